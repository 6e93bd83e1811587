//! Reads dialogue files and plays them against a server, whatever it is made of.
//!
//! A dialogue is a transcript one can read aloud. Its lines:
//!
//! ```text
//! # a comment
//! with KEY VALUE        a rule of the server, before the first step; see `Rules`
//! C: text               the client sends text and CRLF; several lines in a row are sent as one piece
//! C- text               the same without CRLF
//! S: text               the server's next line is exactly this; `*` stands for one word
//! S! silent             nothing more is said (yet)
//! S! closed             nothing more is said, and the connection is closed
//! TLS                   the client does the TLS handshake
//! message from <a@b.example> to <c@d.example> <e@f.example>
//! | text                a message was stored: its envelope, and each line of its content
//! no message            none was
//! U: text               IMAP, POP3: the upstream is given this line next
//! ```
//!
//! In what the client sends, `\r \n \t \0 \\ \xHH` are octets and `\(text*12)` is a repetition.

use std::path::Path;

/// A dialogue, read from a file.
pub(crate) struct Dialogue {
    /// What the server has to be set up with.
    pub(crate) rules: Rules,
    steps: Vec<(usize, Step)>,
}

/// How a server is set up for a dialogue: the defaults, changed by `with` lines.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// `tls`: the dialogue takes place under TLS from its beginning.
    pub(crate) tls: bool,
    /// `starttls no`: STARTTLS is not offered.
    pub(crate) starttls: bool,
    /// `auth never | over-tls | always`.
    pub(crate) auth: String,
    /// `auth-required`.
    pub(crate) auth_required: bool,
    /// `network`: the client is known by its network.
    pub(crate) network: bool,
    /// `smtputf8`.
    pub smtputf8: bool,
    /// `max-octets N`.
    pub(crate) max_octets: u64,
    /// `max-recipients N`.
    pub(crate) max_recipients: usize,
    /// `max-errors N`.
    pub(crate) max_errors: u32,
    /// `strict-line-ends`.
    pub(crate) strict_line_ends: bool,
    /// `line-endings lf`.
    pub(crate) lf: bool,
    /// `no-room`: the disk reserve is reached.
    pub(crate) no_room: bool,
    /// `login NAME PASSWORD`: the one that is accepted.
    pub(crate) login: (String, String),
    /// `own-tokens`: clients may bring a token of their own.
    pub(crate) own_tokens: bool,
    /// `trouble`: the upstream cannot be used now.
    pub(crate) trouble: bool,
    /// `refused ADDRESS`: a recipient that is answered `550 5.1.1 No such recipient`.
    pub(crate) refused: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            tls: false,
            starttls: true,
            auth: "over-tls".to_owned(),
            auth_required: false,
            network: false,
            smtputf8: false,
            max_octets: 50_000_000,
            max_recipients: 1000,
            max_errors: 20,
            strict_line_ends: false,
            lf: false,
            no_room: false,
            login: ("scanner".to_owned(), "tr0ub4dor".to_owned()),
            own_tokens: false,
            trouble: false,
            refused: Vec::new(),
        }
    }
}

/// What a server stored.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Stored {
    /// As in MAIL, with its brackets.
    pub(crate) reverse_path: String,
    /// As in RCPT, with their brackets.
    pub(crate) recipients: Vec<String>,
    /// The content, without what the server put before it.
    pub(crate) content: String,
}

/// The other end of a dialogue.
pub(crate) trait Peer {
    /// Sends octets in one piece.
    fn send(&mut self, octets: &[u8]);
    /// The server's next line without its CRLF; `None` if it says nothing more for now.
    fn line(&mut self) -> Option<String>;
    /// As [`Peer::line`], where the dialogue expects nothing: who cannot know that nothing comes listens for a moment.
    fn overheard(&mut self) -> Option<String> {
        self.line()
    }
    /// Whether the server closed the connection.
    fn is_closed(&mut self) -> bool;
    /// Does the TLS handshake.
    fn start_tls(&mut self);
    /// The oldest stored message that was not asked for yet.
    fn message(&mut self) -> Option<Stored>;
    /// The next line that the upstream was given once the client was logged in.
    fn passed_on(&mut self) -> Option<String> {
        None
    }
}

#[derive(Debug)]
enum Step {
    Send(Vec<u8>),
    Expect(String),
    Silent,
    Closed,
    StartTls,
    Message(Stored),
    NoMessage,
    PassedOn(String),
}

impl Dialogue {
    /// Reads a file; panics with its name and line where it is malformed.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the dialogue can be read");
        let mut dialogue = Self { rules: Rules::default(), steps: Vec::new() };
        for (number, line) in text.lines().enumerate() {
            let at = number + 1;
            dialogue.line(at, line).unwrap_or_else(|why| panic!("{}:{at}: {why}", path.display()));
        }
        dialogue
    }

    fn line(&mut self, at: usize, line: &str) -> Result<(), String> {
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(());
        }
        if let Some(rule) = line.strip_prefix("with ") {
            return self.rules.set(rule);
        }
        if line.starts_with('|') {
            return self.content_line(line);
        }
        let step = match (line.get(..2), line.get(2..).map(|text| text.strip_prefix(' ').unwrap_or(text))) {
            (Some("C:"), Some(text)) => return self.send(at, [octets(text)?, b"\r\n".to_vec()].concat()),
            (Some("C-"), Some(text)) => return self.send(at, octets(text)?),
            (Some("S:"), Some(text)) => Step::Expect(text.to_owned()),
            (Some("S!"), Some("silent")) => Step::Silent,
            (Some("S!"), Some("closed")) => Step::Closed,
            (Some("U:"), Some(text)) => Step::PassedOn(text.to_owned()),
            _ if line == "TLS" => Step::StartTls,
            _ if line == "no message" => Step::NoMessage,
            _ => Step::Message(envelope(line).ok_or("not a line of a dialogue")?),
        };
        self.steps.push((at, step));
        Ok(())
    }

    fn send(&mut self, at: usize, octets: Vec<u8>) -> Result<(), String> {
        match self.steps.last_mut() {
            Some((_, Step::Send(before))) => before.extend(octets),
            _ => self.steps.push((at, Step::Send(octets))),
        }
        Ok(())
    }

    fn content_line(&mut self, line: &str) -> Result<(), String> {
        let Some((_, Step::Message(message))) = self.steps.last_mut() else {
            return Err("a line of content belongs to a message".to_owned());
        };
        message.content.push_str(line.strip_prefix("| ").unwrap_or_default());
        message.content.push_str("\r\n");
        Ok(())
    }

    /// Whether it looks at what the upstream is given.
    #[allow(dead_code, reason = "not every test that plays dialogues needs it")]
    pub(crate) fn passes_on(&self) -> bool {
        self.steps.iter().any(|(_, step)| matches!(step, Step::PassedOn(_)))
    }

    /// Plays it; panics at the line where the server does something else.
    pub(crate) fn play(&self, name: &str, peer: &mut impl Peer) {
        for (at, step) in &self.steps {
            match step {
                Step::Send(octets) => peer.send(octets),
                Step::Expect(pattern) => {
                    let line = peer.line().unwrap_or_else(|| panic!("{name}:{at}: silence instead of {pattern:?}"));
                    assert!(matches(pattern, &line), "{name}:{at}: {line:?} instead of {pattern:?}");
                }
                Step::Silent => assert_eq!((peer.overheard(), peer.is_closed()), (None, false), "{name}:{at}"),
                Step::Closed => assert_eq!((peer.line(), peer.is_closed()), (None, true), "{name}:{at}"),
                Step::StartTls => peer.start_tls(),
                Step::Message(message) => assert_eq!(peer.message().as_ref(), Some(message), "{name}:{at}"),
                Step::PassedOn(line) => assert_eq!(peer.passed_on().as_ref(), Some(line), "{name}:{at}"),
                Step::NoMessage => assert_eq!(peer.message(), None, "{name}:{at}"),
            }
        }
        assert_eq!(peer.overheard(), None, "{name}: more is said at its end");
        assert_eq!(peer.message(), None, "{name}: a message is left over");
        assert_eq!(peer.passed_on(), None, "{name}: more is passed on at its end");
    }
}

impl Rules {
    fn set(&mut self, rule: &str) -> Result<(), String> {
        let words: Vec<_> = rule.split_whitespace().collect();
        let number = |text: &str| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number"));
        match words.as_slice() {
            ["tls"] => self.tls = true,
            ["starttls", "no"] => self.starttls = false,
            ["auth", rule @ ("never" | "over-tls" | "always")] => self.auth = (*rule).to_owned(),
            ["auth-required"] => self.auth_required = true,
            ["network"] => self.network = true,
            ["smtputf8"] => self.smtputf8 = true,
            ["max-octets", count] => self.max_octets = number(count)?,
            ["max-recipients", count] => self.max_recipients = number(count)? as usize,
            ["max-errors", count] => self.max_errors = number(count)? as u32,
            ["strict-line-ends"] => self.strict_line_ends = true,
            ["line-endings", "lf"] => self.lf = true,
            ["own-tokens"] => self.own_tokens = true,
            ["trouble"] => self.trouble = true,
            ["no-room"] => self.no_room = true,
            ["login", name, password] => self.login = ((*name).to_owned(), (*password).to_owned()),
            ["refused", address] => self.refused.push((*address).to_owned()),
            _ => return Err(format!("no such rule: {rule:?}")),
        }
        Ok(())
    }
}

/// `message from <a@b> to <c@d> <e@f>`
fn envelope(line: &str) -> Option<Stored> {
    let (reverse_path, recipients) = line.strip_prefix("message from ")?.split_once(" to ")?;
    Some(Stored {
        reverse_path: reverse_path.to_owned(),
        recipients: recipients.split(' ').map(str::to_owned).collect(),
        content: String::new(),
    })
}

/// Word by word; blanks at the end of a line cannot be seen in a file and do not count.
fn matches(pattern: &str, line: &str) -> bool {
    let (mut wanted, mut words) = (pattern.trim_end().split(' '), line.trim_end().split(' '));
    loop {
        match (wanted.next(), words.next()) {
            (None, None) => return true,
            (Some(want), Some(word)) if want == "*" || want == word => {}
            _ => return false,
        }
    }
}

/// The octets a text stands for.
fn octets(text: &str) -> Result<Vec<u8>, String> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = escape(&rest[at + 1..], &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Appends what an escape stands for and returns what is behind it.
fn escape<'a>(text: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let wrong = || format!("no such escape: \\{text}");
    let (letter, rest) = text.split_at_checked(1).ok_or_else(wrong)?;
    match letter {
        "r" => out.push(b'\r'),
        "n" => out.push(b'\n'),
        "t" => out.push(b'\t'),
        "0" => out.push(0),
        "\\" => out.push(b'\\'),
        "x" => {
            let (digits, rest) = rest.split_at_checked(2).ok_or_else(wrong)?;
            out.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
            return Ok(rest);
        }
        "(" => {
            let (repetition, rest) = rest.split_once(')').ok_or_else(wrong)?;
            let (text, count) = repetition.rsplit_once('*').ok_or_else(wrong)?;
            out.extend(octets(text)?.repeat(count.parse().map_err(|_| wrong())?));
            return Ok(rest);
        }
        _ => return Err(wrong()),
    }
    Ok(rest)
}
