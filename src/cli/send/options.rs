//! The options of `sendmail`, as the programs that call it write them.

use super::{Exit, Failure};

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// A message comes on standard input (`-bm`).
    Message,
    /// The caller speaks SMTP (`-bs`).
    Smtp,
}

/// The options, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Options {
    pub(super) mode: Mode,
    /// Recipients stand in the header as well (`-t`).
    pub(super) from_header: bool,
    /// A line with a lone dot does not end the message (`-i`, `-oi`).
    pub(super) dots_mean_nothing: bool,
    /// The reverse path (`-f`, `-r`); empty is the null reverse path.
    pub(super) sender: Option<String>,
    /// The name for a `From` that is missing (`-F`).
    pub(super) name: Option<String>,
    /// Host and port of the gateway (`--server`).
    pub(super) server: Option<String>,
    pub(super) recipients: Vec<String>,
}

/// Options with a value that mean nothing here.
const IGNORED_WITH_VALUE: &str = "BCNORVXhLpM";

impl Options {
    /// Reads the words behind the program's name.
    pub(super) fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            mode: Mode::Message,
            from_header: false,
            dots_mean_nothing: false,
            sender: None,
            name: None,
            server: None,
            recipients: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--" => options.recipients.extend(words.by_ref().cloned()),
                "--server" => options.server = Some(value(word, "", &mut words)?),
                long if long.starts_with("--server=") => {
                    options.server = long.strip_prefix("--server=").map(str::to_owned);
                }
                short if short.len() > 1 && short.starts_with('-') && short.is_ascii() => {
                    options.short(short, &mut words)?;
                }
                recipient => options.recipients.push(recipient.to_owned()),
            }
        }
        Ok(options)
    }

    fn short<'w>(&mut self, word: &str, words: &mut impl Iterator<Item = &'w String>) -> Result<(), Failure> {
        let (letter, rest) = (word.as_bytes()[1], &word[2..]);
        match letter {
            // Letters without a value may stand together, as in `-ti`.
            b't' | b'i' | b'v' | b'n' | b'm' | b'G' | b'U' => {
                self.from_header |= letter == b't';
                self.dots_mean_nothing |= letter == b'i';
                if rest.is_empty() { Ok(()) } else { self.short(&format!("-{rest}"), words) }
            }
            b'f' | b'r' => {
                self.sender = Some(value(word, rest, words)?);
                Ok(())
            }
            b'F' => {
                self.name = Some(value(word, rest, words)?);
                Ok(())
            }
            // `-oi` and others of the form `-oX`; a lone `-o` or `-O` has its value behind it.
            b'o' => {
                let option = value(word, rest, words)?;
                self.dots_mean_nothing |= option == "i";
                Ok(())
            }
            b'b' => {
                self.mode = match rest {
                    "m" => Mode::Message,
                    "s" => Mode::Smtp,
                    _ => {
                        return Err(Failure::new(
                            Exit::Usage,
                            format!("`{word}` is not offered; `oxpost queue` shows the queue"),
                        ));
                    }
                };
                Ok(())
            }
            b'e' | b'q' | b'A' | b'd' => Ok(()),
            _ if IGNORED_WITH_VALUE.as_bytes().contains(&letter) => value(word, rest, words).map(drop),
            _ => Err(Failure::new(Exit::Usage, format!("`{word}` is no option of sendmail"))),
        }
    }
}

fn value<'w>(word: &str, rest: &str, words: &mut impl Iterator<Item = &'w String>) -> Result<String, Failure> {
    if !rest.is_empty() {
        return Ok(rest.to_owned());
    }
    let missing = || Failure::new(Exit::Usage, format!("`{word}` needs a value behind it"));
    words.next().cloned().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Failure> {
        Options::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_as_programs_write_them() {
        let plain = parse("a@x b@x").unwrap();
        assert_eq!((plain.mode, plain.from_header, plain.recipients.len()), (Mode::Message, false, 2));
        type Row = (&'static str, fn(&Options) -> bool, &'static str);
        let rows: [Row; 14] = [
            ("-t -i", |o| o.from_header && o.dots_mean_nothing, "PHP"),
            ("-ti", |o| o.from_header && o.dots_mean_nothing, "together"),
            ("-oi -t", |o| o.from_header && o.dots_mean_nothing, "Perl"),
            ("-oem -oi -f a@x b@x", |o| o.sender.as_deref() == Some("a@x") && o.recipients == ["b@x"], "mutt"),
            ("-fa@x b@x", |o| o.sender.as_deref() == Some("a@x"), "joined"),
            ("-r a@x b@x", |o| o.sender.as_deref() == Some("a@x"), "mailx"),
            (
                "-FCronDaemon -odi -oem -oi -t -f root",
                |o| o.name.as_deref() == Some("CronDaemon") && o.from_header,
                "cron",
            ),
            ("-i -- -odd@x", |o| o.recipients == ["-odd@x"], "behind --"),
            ("-bm a@x", |o| o.mode == Mode::Message, "a message"),
            ("-bs", |o| o.mode == Mode::Smtp, "SMTP"),
            ("-B 8BITMIME -N never -O x=y a@x", |o| o.recipients == ["a@x"], "ignored with values"),
            ("-f <> a@x", |o| o.sender.as_deref() == Some("<>"), "null"),
            ("--server h:25 a@x", |o| o.server.as_deref() == Some("h:25"), "ours"),
            ("--server=h:25 a@x", |o| o.server.as_deref() == Some("h:25"), "ours, joined"),
        ];
        for (line, holds, why) in rows {
            let options = parse(line).unwrap();
            assert!(holds(&options), "{why}: {options:?}");
        }
        for line in ["-bp", "-bd", "-Z", "-f", "--server"] {
            assert_eq!(parse(line).unwrap_err().exit, Exit::Usage, "{line}");
        }
    }
}
