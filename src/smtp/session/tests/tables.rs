//! Lines and addresses that are taken or refused, each row with its reason.

use super::*;

#[test]
fn every_malformed_line_gets_its_reply_and_the_session_lives_on() {
    let unknown = "500 5.5.1 Unknown command";
    let control = "500 5.5.2 Control character in a command";
    let not_utf8 = "500 5.5.2 A command is ASCII, or UTF-8 where SMTPUTF8 is offered";
    let not_ascii = "500 5.5.2 This command takes ASCII only";
    let no_command = "500 5.5.2 A line begins with a command";
    let mail_syntax = "501 5.5.2 Syntax: MAIL FROM:<address>";
    let rcpt_syntax = "501 5.5.2 Syntax: RCPT TO:<address>";
    let table: [(&[u8], &str, &str); 28] = [
        (b"", no_command, "nothing"),
        (b"   ", no_command, "blanks"),
        (b" NOOP", no_command, "a blank before the command"),
        (b"FROB", unknown, "no such command"),
        (b"NOOPX", unknown, "a command with a letter too many"),
        (b"MAILFROM:<a@b.example>", unknown, "no blank"),
        (b"STARTTLSRSET", unknown, "two commands in one"),
        (b"Received: from x", unknown, "a header line"),
        (b"NO\0OP", control, "NUL"),
        (b"NOOP\x01", control, "ctrl-A"),
        (b"NOOP \x1b[31m", control, "an escape sequence"),
        (b"NOOP \x7f", control, "DEL"),
        (b"NOOP \xc2\x85", control, "a line end beyond ASCII"),
        (b"NO\rOP", control, "a lone CR"),
        (b"NOOP\r", control, "two CR before LF"),
        (b"HELO \xff\xfe", not_utf8, "no text at all"),
        (b"HELO b\xfcro", not_utf8, "Latin-1"),
        (b"EHLO b\xc3\xbcro", not_ascii, "a name beyond ASCII"),
        (b"\xc3\xbc", unknown, "a command beyond ASCII"),
        (b"MAIL", mail_syntax, "no argument"),
        (b"MAIL a@b.example", mail_syntax, "no FROM"),
        (b"MAIL FROM", mail_syntax, "no colon"),
        (b"MAIL FROM:", mail_syntax, "no address"),
        (b"MAIL FROM <a@b.example>", mail_syntax, "no colon before the address"),
        (b"MAIL TO:<a@b.example>", mail_syntax, "the other keyword"),
        (b"RCPT", rcpt_syntax, "no argument"),
        (b"RCPT FROM:<a@b.example>", rcpt_syntax, "the other keyword"),
        (b"AUTH PLAIN a b", "501 5.5.2 The authentication answer cannot be decoded", "two initial responses"),
    ];
    for (line, reply, why) in table {
        let (mut session, mut driver) = after(options(), HELLO);
        let said = driver.say(&mut session, &[line, b"\r\nNOOP\r\n"].concat());
        assert_eq!(said, [reply, "250 2.0.0 OK"], "{:?}: {why}", String::from_utf8_lossy(line));
    }
}

#[test]
fn addresses_are_taken_or_refused_as_they_stand() {
    let table: [(&str, Option<&str>, &str); 44] = [
        ("<c@d.example>", Some("c@d.example"), "the form of RFC 5321"),
        (" <c@d.example>", Some("c@d.example"), "a blank behind the colon"),
        ("c@d.example", Some("c@d.example"), "no brackets"),
        ("< c@d.example >", Some("c@d.example"), "blanks inside the brackets"),
        ("\t<c@d.example>\t", Some("c@d.example"), "tabs"),
        ("<\"c d\"@d.example>", Some("\"c d\"@d.example"), "a quoted blank"),
        ("\"c d\"@d.example", Some("\"c d\"@d.example"), "the same without brackets"),
        ("<\"c>d\"@d.example>", Some("\"c>d\"@d.example"), "a quoted bracket"),
        ("<\"c\\\">d\"@d.example>", Some("\"c\\\">d\"@d.example"), "a bracket behind an escaped quote"),
        ("<\"victim@evil.test x\"@own.test>", Some("\"victim@evil.test x\"@own.test"), "one address, of own.test"),
        ("<c@[192.0.2.1]>", Some("c@[192.0.2.1]"), "an address literal"),
        ("<c%evil.test@d.example>", Some("c%evil.test@d.example"), "a % means nothing here"),
        ("<evil.test!c@d.example>", Some("evil.test!c@d.example"), "neither does a !"),
        ("<\"c@evil.test\"@d.example>", Some("\"c@evil.test\"@d.example"), "an @ in quotes is of d.example"),
        ("<@x.example:c@d.example>", Some("c@d.example"), "a source route is ignored"),
        ("<@x.example,@y.example:c@d.example>", Some("c@d.example"), "a longer one too"),
        ("<c%evil.test>", None, "a % is no @"),
        ("<evil.test!c>", None, "a path of UUCP"),
        ("<c@evil.test@d.example>", None, "two @"),
        ("<\"c@evil.test\">", None, "an @ in quotes alone"),
        ("<@x.example:c%evil.test>", None, "a route to no address"),
        ("<@x.example:@y.example:c@d.example>", None, "a route to a route"),
        ("<@:c@d.example>", None, "a route over nowhere"),
        ("<c@evil.test@>", None, "nothing behind the last @"),
        ("<c@d.example.>", None, "a dot behind the domain"),
        ("<c@d.example><e@evil.test>", None, "two paths"),
        ("<c@d.example>,<e@evil.test>", None, "a list"),
        ("<c@d.example,e@evil.test>", None, "a list inside"),
        ("c@d.example,e@evil.test", None, "a list without brackets"),
        ("<c@d.example>e@evil.test", None, "text behind the path"),
        ("<c@d.example", None, "no closing bracket"),
        ("c@d.example>", None, "no opening bracket"),
        ("<<c@d.example>>", None, "two pairs"),
        ("Bob <c@d.example>", None, "a name before it"),
        ("c@own.test(x)evil.test", None, "a comment"),
        ("<c(x)@d.example>", None, "a comment in the local part"),
        ("<c d@d.example>", None, "a blank without quotes"),
        ("<c@d.example e@evil.test>", None, "two addresses in one path"),
        ("<\"c@d.example>", None, "an open quote"),
        ("<c..d@d.example>", None, "two dots"),
        ("<\"\"@d.example>", None, "nothing in the quotes"),
        ("<c@>", None, "no domain"),
        ("<@d.example>", None, "no local part"),
        ("<c@d.example> <e@evil.test>", None, "a second path where a parameter belongs"),
    ];
    for (path, address, why) in table {
        let (mut session, mut driver) = after(options(), RCPT);
        driver.recipients.clear();
        let said = driver.say(&mut session, format!("RCPT TO:{path}\r\nNOOP\r\n").as_bytes());
        let expected: &[&str] = if address.is_some() { &["250"] } else { &["501", "555"] };
        assert!(expected.contains(&&said[0][..3]) && said.len() == 2, "{path}: {why}: {said:?}");
        assert_eq!(driver.recipients, Vec::from_iter(address), "{path}: {why}");
    }
}

#[test]
fn deep_parentheses_are_no_trouble() {
    let (mut session, mut driver) = after(options(), RCPT);
    let path = format!("RCPT TO:<{}c@d.example>\r\n", "(".repeat(4000));
    assert_eq!(driver.say(&mut session, path.as_bytes()), ["501 5.1.3 Recipient is not an address"]);
    let path = format!("RCPT TO:<{}c@d.example>\r\n", "(".repeat(60_000));
    assert_eq!(driver.say(&mut session, path.as_bytes()), ["500 5.5.2 Line too long"]);
}

#[test]
fn http_ends_the_session_at_its_first_line() {
    for line in ["GET / HTTP/1.1", "POST /x HTTP/1.0", "CONNECT mx:25 HTTP/1.1", "PRI * HTTP/2.0", "put x", "OPTIONS *"]
    {
        for commands in [&[] as &[&str], RCPT] {
            let (mut session, mut driver) = after(options(), commands);
            let said = driver.say(&mut session, format!("{line}\r\nEHLO x\r\nNOOP\r\n").as_bytes());
            let refusal = said.last().expect("it was refused");
            assert_eq!(refusal, "554 5.7.0 This is a mail server, it does not speak HTTP", "{line}");
            assert!(driver.closed);
            assert!(driver.say(&mut session, b"NOOP\r\n").is_empty());
        }
    }
}

#[test]
fn values_cannot_bring_a_command_with_them() {
    for line in [
        "EHLO x\rMAIL FROM:<evil@b.example>",
        "MAIL FROM:<a@b.example> SIZE=10\rRCPT TO:<evil@d.example>",
        "MAIL FROM:<a\r@b.example>",
        "MAIL FROM:<\"a\rb\"@b.example>",
        "MAIL FROM:<a@b.example\0>",
        "MAIL FROM:<a@b.example> AUTH=<\0>",
    ] {
        let (mut session, mut driver) = after(options(), HELLO);
        let said = driver.say(&mut session, format!("{line}\r\nRCPT TO:<c@d.example>\r\n").as_bytes());
        assert_eq!(said, ["500 5.5.2 Control character in a command", "503 5.5.1 MAIL comes first"], "{line:?}");
    }
}
