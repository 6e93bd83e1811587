//! What a server says it can do (RFC 5321 section 4.1.1.1).

/// The extensions of one EHLO answer that a client with XOAUTH2 has a use for. They are forgotten when TLS starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extensions {
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// AUTH with XOAUTH2 among its mechanisms.
    pub xoauth2: bool,
    /// AUTH with OAUTHBEARER among its mechanisms (RFC 7628).
    pub oauthbearer: bool,
    /// AUTH with PLAIN among its mechanisms (RFC 4616).
    pub plain: bool,
    /// AUTH with LOGIN among its mechanisms.
    pub login: bool,
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// SIZE (RFC 1870) is offered, so MAIL may declare it.
    pub size: bool,
    /// The largest message in octets that SIZE named; `None`: no limit was named.
    pub max_octets: Option<u64>,
}

impl Extensions {
    /// Reads the text of an EHLO answer; its first line is the greeting. Unknown keywords are passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut extensions = Self::default();
        for line in text.lines().skip(1) {
            extensions.note(line);
        }
        extensions
    }

    fn note(&mut self, line: &str) {
        // `AUTH=LOGIN` is how servers of the last century wrote it.
        let mut words = line.split(|c: char| c.is_ascii_whitespace() || c == '=').filter(|word| !word.is_empty());
        let Some(keyword) = words.next() else { return };
        match keyword.to_ascii_uppercase().as_str() {
            "STARTTLS" => self.starttls = true,
            "AUTH" => {
                for mechanism in words {
                    self.xoauth2 |= mechanism.eq_ignore_ascii_case("XOAUTH2");
                    self.oauthbearer |= mechanism.eq_ignore_ascii_case("OAUTHBEARER");
                    self.plain |= mechanism.eq_ignore_ascii_case("PLAIN");
                    self.login |= mechanism.eq_ignore_ascii_case("LOGIN");
                }
            }
            "PIPELINING" => self.pipelining = true,
            "CHUNKING" => self.chunking = true,
            "8BITMIME" => self.eight_bit = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "DSN" => self.dsn = true,
            "SIZE" => {
                self.size = true;
                self.max_octets = words.next().and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_providers_offer_is_read() {
        let office = "host Hello [192.0.2.1]\nSIZE 157286400\nPIPELINING\nDSN\nENHANCEDSTATUSCODES\nAUTH LOGIN XOAUTH2\n\
                      8BITMIME\nBINARYMIME\nCHUNKING\nSMTPUTF8";
        let expected = Extensions {
            starttls: false,
            xoauth2: true,
            oauthbearer: false,
            plain: false,
            login: true,
            pipelining: true,
            chunking: true,
            eight_bit: true,
            smtputf8: true,
            dsn: true,
            size: true,
            max_octets: Some(157_286_400),
        };
        assert_eq!(Extensions::parse(office), expected);
    }

    #[test]
    fn keywords_are_read_as_servers_write_them() {
        type Holds = fn(&Extensions) -> bool;
        let table: [(&str, Holds, &str); 8] = [
            ("h\nstarttls", |e| e.starttls, "lower case"),
            ("h\nAUTH=LOGIN XOAUTH2", |e| e.xoauth2, "the old form with ="),
            ("h\nAUTH PLAIN OAuthBearer", |e| e.oauthbearer && !e.xoauth2, "the standard's mechanism alone"),
            ("h\nAUTH LOGIN PLAIN", |e| !e.xoauth2, "other mechanisms alone"),
            ("PIPELINING", |e| !e.pipelining, "the greeting line is not a keyword"),
            ("h\nSIZE", |e| e.size && e.max_octets.is_none(), "SIZE without a limit"),
            ("h\nSIZE 0", |e| e.size && e.max_octets.is_none(), "0 means no limit (RFC 1870 section 4)"),
            ("h\nSIZE x", |e| e.size && e.max_octets.is_none(), "a limit that is no number"),
        ];
        for (text, holds, why) in table {
            assert!(holds(&Extensions::parse(text)), "{text:?}: {why}");
        }
    }
}
