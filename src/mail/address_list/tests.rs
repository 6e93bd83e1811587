use std::time::{Duration, Instant};

use super::*;

/// Addresses separated by blanks, `!` behind them if the list is not plain.
fn seen(body: &str) -> String {
    let list = AddressList::parse(body.as_bytes());
    let mut words: Vec<String> = list.entries.iter().map(|entry| entry.address.to_string()).collect();
    if !list.plain {
        words.push("!".to_owned());
    }
    words.join(" ")
}

#[test]
fn lists_are_read_as_every_reader_reads_them_or_are_not_plain() {
    let table = [
        (" a@x.example\r\n", "a@x.example", "bare"),
        (" <a@x.example>\r\n", "a@x.example", "in brackets"),
        (" Ann <a@x.example>, Bob B. <b@x.example>\r\n", "a@x.example b@x.example", "names with a dot"),
        (" \"Doe, John\" <a@x.example>\r\n", "a@x.example", "a comma in quotes"),
        (" \"b@x.example\" <a@x.example>\r\n", "a@x.example", "an address as a name, in quotes"),
        (" b@x.example <a@x.example>\r\n", "a@x.example !", "an address as a name, without quotes"),
        (" =?utf-8?Q?J=C3=B6rg?= <a@x.example>\r\n", "a@x.example", "an encoded word"),
        (" =?utf-8?Q?M,_<b@x.example>?= <a@x.example>\r\n", "a@x.example !", "an encoded word with specials"),
        (" a@x.example (Ann), b@x.example\r\n", "a@x.example b@x.example", "a comment behind"),
        (" (x (y) z) a@x.example\r\n", "a@x.example", "nested comments"),
        (" a@x.example (b@y.example)\r\n", "a@x.example !", "an address in a comment"),
        (" Ann\r\n <a@x.example>,\r\n\tb@x.example\r\n", "a@x.example b@x.example", "folded"),
        (" a@x.example,,b@x.example,\r\n", "a@x.example b@x.example", "empty elements"),
        (" Team: a@x.example, b@x.example;, c@x.example\r\n", "a@x.example b@x.example c@x.example !", "a group"),
        (" undisclosed-recipients:;\r\n", "!", "an empty group"),
        (" a @ x . example\r\n", "a@x.example !", "blanks around dots and @"),
        (" <@relay.example,@b.example:a@x.example>\r\n", "a@x.example !", "a source route"),
        (" \"a b\"@x.example\r\n", "\"a b\"@x.example !", "a quoted local part without brackets"),
        (" <\"a b\"@x.example>\r\n", "\"a b\"@x.example", "a quoted local part in brackets"),
        (" a@[192.0.2.1]\r\n", "a@[192.0.2.1] !", "an address literal without brackets"),
        (" Scanner scanner@x.example\r\n", "scanner@x.example !", "a name without brackets"),
        // Nobody is in doubt about these: they are not addresses.
        (" \"victim@evil.test x\"@own.test\r\n", "\"victim@evil.test x\"@own.test !", "S12: quotes before the @"),
        (" a@own.test(x)evil.test\r\n", "!", "S12: a comment inside"),
        (" <a@own.test(x)evil.test>\r\n", "!", "S12: a comment inside brackets"),
        (" =?x?q?victim=40evil.test=3e=00?=@own.test\r\n", "=?x?q?victim=40evil.test=3e=00?=@own.test !", "encoded"),
        (" a@x.example b@x.example\r\n", "!", "two addresses, no comma"),
        (" a@x.example Ann\r\n", "!", "a word behind the address"),
        (" <a@x.example> <b@x.example>\r\n", "!", "two brackets, no comma"),
        (" <a@x.example\r\n", "!", "a bracket left open"),
        (" <a@x.example y>\r\n", "!", "two words in brackets"),
        (" a@x.example>\r\n", "!", "a bracket never opened"),
        (" \"a@x.example\r\n", "!", "a quote left open"),
        (" a@x.example (b\r\n", "a@x.example !", "a comment left open"),
        (" a@b@x.example\r\n", "!", "two @"),
        (" Scanner\r\n", "!", "no address"),
        (" <>\r\n", "!", "nothing in brackets"),
        (" a\u{1b}@x.example\r\n", "!", "a control character"),
        (" a\\@x.example\r\n", "!", "a backslash outside quotes"),
        ("\r\n", "", "nothing"),
    ];
    for (body, expected, why) in table {
        assert_eq!(seen(body), expected, "{why}: {body:?}");
    }
    assert_eq!(AddressList::parse(b" a\xff@x.example").entries.len(), 0, "octets that are no UTF-8");
}

#[test]
fn names_are_taken_over_without_being_decoded() {
    let table: [(&str, &[&str], &str); 11] = [
        (" Ann <a@x.example>", &["\"Ann\""], "an atom is put in quotes"),
        (" \"Doe, \\\"J\\\" \\\\\" <a@x.example>", &["\"Doe, \\\"J\\\" \\\\\""], "escapes are made anew"),
        (" Bob  B.\r\n Smith <a@x.example>", &["\"Bob B. Smith\""], "blanks become one"),
        (" J. R. \"Bob\" <a@x.example>", &["\"J. R. Bob\""], "atoms and quotes become one string"),
        (" =?utf-8?Q?J=C3=B6rg?= <a@x.example>", &["=?utf-8?Q?J=C3=B6rg?="], "an encoded word stays"),
        (" =?utf-8?B?w7Y=?= B. <a@x.example>", &["=?utf-8?B?w7Y=?=", "\"B.\""], "text beside it is quoted"),
        (" =?utf-8?Q?M,_<b@x>?= <a@x.example>", &[], "an encoded word with specials is left out"),
        (" a@x.example (Ann A)", &["\"Ann A\""], "a comment"),
        (" Scanner scanner@x.example", &["\"Scanner\""], "a name without brackets"),
        (" Größe <a@x.example>", &["\"Größe\""], "raw octets beyond ASCII"),
        (" \"x\r\n y\" <a@x.example>", &["\"x y\""], "no line end survives"),
    ];
    for (body, expected, why) in table {
        let list = AddressList::parse(body.as_bytes());
        let pieces: Vec<String> =
            list.entries[0].name.pieces().into_iter().map(|p| String::from_utf8(p).unwrap()).collect();
        assert_eq!(pieces, expected, "{why}");
    }
    let list = AddressList::parse(b" Scanner <>");
    assert_eq!(list.nameless.unwrap().pieces(), [b"\"Scanner\"".to_vec()]);
    let endless = format!(" \"{}\" <a@x.example>", "ä".repeat(500));
    let name = AddressList::parse(endless.as_bytes()).entries[0].name.pieces().concat();
    assert!(name.len() <= 258 && std::str::from_utf8(&name).is_ok(), "cut at a character");
}

#[test]
fn lists_are_written_so_that_no_reader_errs() {
    let written = |addresses: &[&str]| {
        let mut writer = ListWriter::new("To");
        for address in addresses {
            writer.push(&DisplayName::default(), &address.parse().unwrap());
        }
        writer.finish().map(|octets| String::from_utf8(octets).unwrap())
    };
    assert_eq!(written(&[]), None);
    assert_eq!(written(&["a@x.example", "\"a b\"@x.example"]).unwrap(), "To: a@x.example, <\"a b\"@x.example>\r\n");
    assert_eq!(
        written(&["a@[IPv6:2001:db8::1]", "=?x?q?a?=@x.example"]).unwrap(),
        "To: <a@[ipv6:2001:db8::1]>, <\"=?x?q?a?=\"@x.example>\r\n"
    );
    let many: Vec<String> = (0..500).map(|n| format!("recipient-{n}@x.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let field = written(&many).unwrap();
    assert!(field.lines().all(|line| line.len() <= 79) && field.lines().skip(1).all(|line| line.starts_with(' ')));
    assert_eq!(AddressList::parse(&field.as_bytes()[3..]).entries.len(), 500);
}

#[test]
fn bombs_take_bounded_time() {
    let room = super::super::header::MAX_HEADER;
    let fill = |piece: &str| piece.repeat(room / piece.len());
    for (body, what) in [
        (fill("a@x.ex,"), "addresses"),
        (fill("("), "parentheses"),
        (fill("<"), "brackets"),
        (fill("\""), "quotes"),
        (fill("\r\n a"), "folded lines"),
        (fill("=?"), "half encoded words"),
        (fill("=?u?q?a?="), "encoded words"),
        (fill("a:;"), "groups"),
        (fill("a b "), "words"),
        (fill("@"), "at signs"),
        (fill("x."), "dots"),
        (fill("\\"), "backslashes"),
    ] {
        let start = Instant::now();
        let list = AddressList::parse(body.as_bytes());
        assert!(start.elapsed() < Duration::from_secs(2), "{what}: {:?}", start.elapsed());
        assert!(list.entries.len() <= room / 7 + 1);
    }
}
