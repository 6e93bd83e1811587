//! A message from standard input as it is handed in: its envelope, and its lines with the ends that SMTP has.

use super::options::Options;
use super::{Exit, Failure};
use crate::mail::address_list::AddressList;
use crate::mail::header::HeaderBlock;

/// What is said to the gateway.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Letter {
    /// For MAIL, without brackets; empty: the null reverse path.
    pub(super) sender: String,
    /// For RCPT, without brackets.
    pub(super) recipients: Vec<String>,
    /// Lines that end with CR LF; dots are not stuffed yet.
    pub(super) content: Vec<u8>,
}

/// Makes a letter of what came in. `user` is who runs the program.
pub(super) fn prepare(options: &Options, input: &[u8], user: &str) -> Result<Letter, Failure> {
    let mut content = lines(input, options.dots_mean_nothing);
    let block = HeaderBlock::parse(&content);
    let addresses = |name: &str| -> Vec<String> {
        let fields = block.named(name);
        fields.flat_map(|field| AddressList::parse(field.body()).into_addresses()).map(|to| to.to_string()).collect()
    };
    let mut recipients: Vec<String> = options.recipients.iter().flat_map(|text| text.split(',')).map(path).collect();
    if options.from_header {
        for name in ["To", "Cc", "Bcc"] {
            recipients.extend(addresses(name));
            recipients.extend(block.named(name).flat_map(|field| users(field.body())));
        }
    }
    recipients.retain(|recipient| !recipient.is_empty());
    if recipients.is_empty() {
        return Err(Failure::new(Exit::Usage, "nobody is to receive the message; name somebody, or use `-t`"));
    }
    let sender = options.sender.as_deref().map(path).or_else(|| addresses("From").into_iter().next());
    let sender = sender.unwrap_or_else(|| user.to_owned());
    let has_header = block.has_header();
    let has_from = block.named("From").next().is_some();
    let mut top = String::new();
    if let Some(name) = options.name.as_ref().filter(|_| !has_from && !sender.is_empty()) {
        let name = name.replace(['"', '\\', '\r', '\n'], "");
        top = format!("From: \"{name}\" <{}>\r\n", qualified(&sender));
    }
    if !has_header {
        top += "\r\n";
    }
    content.splice(0..0, top.into_bytes());
    let recipients = recipients.iter().map(|recipient| qualified(recipient)).collect();
    let sender = if sender.is_empty() { sender } else { qualified(&sender) };
    Ok(Letter { sender, recipients, content })
}

/// Users of this machine in a list of addresses: cron writes `To: root`.
fn users(list: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(list);
    let is_user =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
    text.split(',').map(str::trim).filter(|word| is_user(word)).map(str::to_owned).collect()
}

/// What stands between the brackets of a path, or the text itself.
fn path(text: &str) -> String {
    let text = text.trim();
    text.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or(text).trim().to_owned()
}

/// A user of this machine has no domain; the gateway's `aliases` say who that is.
fn qualified(address: &str) -> String {
    if address.contains('@') { address.to_owned() } else { format!("{address}@localhost") }
}

/// With CR LF at each line's end, up to a line with a lone dot if that means something.
fn lines(input: &[u8], dots_mean_nothing: bool) -> Vec<u8> {
    let mut content = Vec::with_capacity(input.len() + input.len() / 32);
    for line in input.split_inclusive(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line == b"." && !dots_mean_nothing {
            break;
        }
        content.extend_from_slice(line);
        content.extend_from_slice(b"\r\n");
    }
    content
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(line: &str, input: &str) -> Letter {
        let words: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        prepare(&Options::parse(&words).unwrap(), input.as_bytes(), "daemon").unwrap()
    }

    #[test]
    fn the_envelope_comes_from_options_and_header() {
        let mail = "From: App <app@x.example>\nTo: a@x.example, B <b@x.example>\nBcc: c@x.example\n\ntext\n";
        let letter = prepared("-t -f bounce@x.example d@x.example", mail);
        assert_eq!(letter.sender, "bounce@x.example");
        assert_eq!(letter.recipients, ["d@x.example", "a@x.example", "b@x.example", "c@x.example"]);
        let letter = prepared("a@x.example,b@x.example", mail);
        assert_eq!((letter.sender.as_str(), letter.recipients.len()), ("app@x.example", 2));
        assert_eq!(prepared("-f <> root", "text\n").sender, "");
        assert_eq!(prepared("root", "Subject: x\n\n").recipients, ["root@localhost"]);
        assert_eq!(prepared("root", "Subject: x\n\n").sender, "daemon@localhost");
        let cron = "From: root (Cron Daemon)\nTo: root, ops@x.example\n\nout\n";
        let letter = prepared("-FCronDaemon -odi -oem -oi -t -f root", cron);
        assert_eq!(letter.recipients, ["ops@x.example", "root@localhost"]);
        let nobody = prepare(&Options::parse(&["-t".to_owned()]).unwrap(), b"Subject: x\n\n", "u").unwrap_err();
        assert_eq!(nobody.exit, Exit::Usage);
    }

    #[test]
    fn the_content_gets_the_line_ends_of_smtp() {
        let content = |line: &str, input: &str| String::from_utf8(prepared(line, input).content).unwrap();
        assert_eq!(content("a@x", "S: x\n\nt\r\nlast"), "S: x\r\n\r\nt\r\nlast\r\n");
        assert_eq!(content("a@x", "S: x\n\na\n.\nb\n"), "S: x\r\n\r\na\r\n", "a dot ends it");
        assert_eq!(content("-i a@x", "S: x\n\na\n.\nb\n"), "S: x\r\n\r\na\r\n.\r\nb\r\n");
        assert_eq!(content("a@x", "only text\n"), "\r\nonly text\r\n", "no header");
        assert_eq!(content("-FCron -f root a@x", "S: x\n\n"), "From: \"Cron\" <root@localhost>\r\nS: x\r\n\r\n");
    }
}
