use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{MessageParser, MimeHeaders};

use super::*;

/// A message of text, an inline image, a PDF and a text file, as mail programs make them.
const MAIL: &str = "From: a@x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"out er\"\r\n\r\n\
    preamble\r\n--out er\r\nContent-Type: multipart/related; boundary=in\r\n\r\n\
    --in\r\nContent-Type: text/html\r\n\r\n<img src=\"cid:i@x\">\r\n\
    --in\r\nContent-Type: image/png; name=i.png\r\nContent-ID: <i@x>\r\nContent-Disposition: inline\r\n\
    Content-Transfer-Encoding: base64\r\n\r\naW1hZ2U=\r\n--in--\r\n\r\n\
    --out er\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment;\r\n filename*=utf-8''scan%20%C3%BC.pdf\r\n\
    Content-Transfer-Encoding: base64\r\n\r\ncGRm\r\nZmls\r\nZQ==\r\n\
    --out er  \r\nContent-Disposition: attachment; filename=\"../note.txt\"\r\n\r\nnote\r\n--out er--\r\nepilogue\r\n";

fn scan(message: &[u8], piece: usize) -> Structure {
    let mut scanner = Scanner::new();
    message.chunks(piece).for_each(|chunk| scanner.push(chunk));
    scanner.finish()
}

fn text(message: &str, range: &Range<u64>) -> String {
    let place = |at: u64| usize::try_from(at).unwrap();
    message[place(range.start)..place(range.end)].to_owned()
}

/// The message without what the plan cuts out.
fn cut(message: &str, plan: &Plan) -> String {
    let (mut rest, mut at) = (String::new(), 0);
    for cut in &plan.cuts {
        rest += &text(message, &(at..cut.span.start));
        rest += std::str::from_utf8(&cut.instead).unwrap();
        at = cut.span.end;
    }
    rest + &text(message, &(at..message.len() as u64))
}

#[test]
fn parts_are_found_wherever_the_octets_are_cut() {
    let whole = scan(MAIL.as_bytes(), usize::MAX);
    for piece in 1..40 {
        assert_eq!(scan(MAIL.as_bytes(), piece), whole, "{piece}");
    }
    let bodies: Vec<String> = whole.leaves.iter().map(|leaf| text(MAIL, &leaf.body)).collect();
    assert_eq!(bodies, ["<img src=\"cid:i@x\">", "aW1hZ2U=", "cGRm\r\nZmls\r\nZQ==", "note"]);
    let names: Vec<_> = whole.leaves.iter().map(|leaf| leaf.name.as_deref()).collect();
    assert_eq!(names, [None, Some("i.png"), Some("scan ü.pdf"), Some("note.txt")]);
    assert_eq!(whole.leaves[1].content_id.as_deref(), Some("i@x"));
    assert_eq!(whole.leaves[1].disposition, Disposition::Inline);
    assert_eq!((whole.multiparts[0].children, whole.multiparts[1].children), (3, 2));
    assert_eq!((whole.sealed, whole.excessive), (None, false));
}

#[test]
fn the_largest_files_go_first_and_the_rest_is_a_whole_message() {
    let structure = scan(MAIL.as_bytes(), 100);
    let size = MAIL.len() as u64;
    let span = |number: usize| structure.leaves[number].span.end - structure.leaves[number].span.start;
    assert_eq!(structure.plan(size, size).unwrap().apart, [0_usize; 0], "it fits as it is");
    assert_eq!(structure.plan(size, size - 1).unwrap().apart, [2], "the PDF is the largest");
    let two = structure.plan(size, size - span(2) - 1).unwrap();
    assert_eq!(two.apart, [1, 2], "then the image");
    let all = structure.plan(size, size - span(2) - span(1) - 1).unwrap();
    assert_eq!(all.apart, [1, 2, 3]);
    let rest = cut(MAIL, &all);
    let message = MessageParser::default().parse(&rest).unwrap();
    assert_eq!((message.parts.len(), message.attachments().count()), (3, 0), "{rest}");
    assert_eq!(message.body_html(0).unwrap(), "<img src=\"cid:i@x\">");
    let left = structure.plan(size, 10).unwrap_err();
    assert_eq!(left, NotSplit::Rest(rest.len() as u64), "text and header stay");
}

#[test]
fn text_stays_and_files_may_go() {
    let part = |header: &str, body: &str| format!("{header}\r\n\r\n{body}");
    let multi = |kind: &str, parts: &[String]| {
        let inner: String = parts.iter().map(|part| format!("--b\r\n{part}\r\n")).collect();
        format!("Subject: s\r\nContent-Type: multipart/{kind}; boundary=b\r\n\r\n{inner}--b--\r\n")
    };
    let long = "x".repeat(2_000);
    let plain = part("Content-Type: text/plain", &long);
    let none = part("", &long).trim_start().to_owned();
    let none = format!("\r\n{none}");
    let pdf = part("Content-Type: application/pdf; name=a.pdf", &long);
    let calendar = part("Content-Type: text/calendar; method=REQUEST", &long);
    let table: [(String, Option<&[usize]>, &str); 12] = [
        (multi("mixed", &[part("", "short"), pdf.clone()]), Some(&[1]), "a file behind a text"),
        (multi("mixed", &[plain.clone(), pdf.clone()]), None, "a long text is no file"),
        (multi("mixed", &[part("", "short"), plain.clone()]), Some(&[1]), "a second text is one"),
        (multi("mixed", &[none]), None, "a part without header is text"),
        (multi("mixed", std::slice::from_ref(&pdf)), Some(&[0]), "nothing but a file"),
        (multi("mixed", &[pdf.clone(), part("", "short")]), Some(&[0]), "the file first"),
        (multi("alternative", &[part("", "short"), calendar]), None, "an invitation is a form of the text"),
        (multi("related", &[pdf.clone(), part("", "short")]), None, "the root of related parts"),
        (multi("x-unknown", &[part("", "short"), pdf.clone()]), Some(&[1]), "unknown ones are like mixed"),
        (format!("Subject: s\r\n{pdf}"), Some(&[0]), "the message is a file"),
        (format!("Subject: s\r\n{plain}"), None, "the message is a text"),
        (format!("Content-Disposition: attachment\r\n{plain}"), Some(&[0]), "a text that is a file"),
    ];
    for (message, expected, why) in table {
        let structure = scan(message.as_bytes(), 64);
        let planned = structure.plan(message.len() as u64, 400);
        assert_eq!(planned.as_ref().ok().map(|plan| plan.apart.as_slice()), expected, "{why}: {planned:?}");
        if let Ok(plan) = planned {
            let rest = cut(&message, &plan);
            let parsed = MessageParser::default().parse(&rest).unwrap();
            assert!(!rest.contains(&long) && !parsed.parts.is_empty(), "{why}");
            assert_eq!(
                parsed.attachments().filter(|part| part.attachment_name() == Some("a.pdf")).count(),
                usize::from(plan.whole && rest.contains("pdf")),
                "{why}"
            );
        }
    }
}

#[test]
fn what_is_signed_or_encrypted_stays_in_one_piece() {
    let signed = "Content-Type: multipart/signed; protocol=x; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\n\
        Content-Type: application/pgp-signature\r\n\r\ny\r\n--b--\r\n";
    let rows = [
        (signed.to_owned(), Some("multipart/signed")),
        (
            format!("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n{signed}\r\n--o--\r\n"),
            Some("multipart/signed"),
        ),
        (
            "Content-Type: application/PKCS7-mime; smime-type=enveloped-data\r\n\r\nx".into(),
            Some("application/pkcs7-mime"),
        ),
        ("Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n".into(), None),
    ];
    for (message, sealed) in rows {
        let structure = scan(message.as_bytes(), 50);
        assert_eq!(structure.sealed.as_deref(), sealed, "{message}");
        let planned = structure.plan(message.len() as u64, 0);
        assert_eq!(matches!(planned, Err(NotSplit::Sealed(_))), sealed.is_some(), "{message}");
    }
    assert_eq!(sealed_header(signed.as_bytes()).as_deref(), Some("multipart/signed"));
    assert_eq!(sealed_header(b"Subject: multipart/signed\r\n\r\n"), None);
}

#[test]
fn broken_and_hostile_structures_end_somewhere() {
    let nested: String =
        (0..200).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    assert!(scan(nested.as_bytes(), 1_000).excessive);
    let many = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", "--b\r\n\r\nx\r\n".repeat(10_000));
    assert!(scan(many.as_bytes(), 1_000).excessive);
    let rows: [(&str, &[&str], &str); 6] = [
        ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nlast", &["last"], "no end"),
        ("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b--\r\n", &[""], "a part without a header's end"),
        ("Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx", &["--b\r\n\r\nx"], "no boundary: a text"),
        ("Subject: x", &[""], "all header"),
        ("", &[""], "nothing"),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--bc\r\n--b--",
            &["x\r\n--bc"],
            "a longer line is none",
        ),
    ];
    for (message, bodies, why) in rows {
        let structure = scan(message.as_bytes(), 3);
        let found: Vec<String> = structure.leaves.iter().map(|leaf| text(message, &leaf.body)).collect();
        assert_eq!(found, bodies, "{why}");
    }
}

fn decoded(encoding: Encoding, text: &[u8], piece: usize) -> Vec<u8> {
    let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
    text.chunks(piece).for_each(|chunk| decoder.decode(chunk, &mut out));
    decoder.finish(&mut out);
    out
}

#[test]
fn content_is_decoded_wherever_it_is_cut() {
    let octets: Vec<u8> = (0..=255).cycle().take(1_001).collect();
    let folded: String = STANDARD
        .encode(&octets)
        .as_bytes()
        .chunks(76)
        .map(|line| format!("{}\r\n", String::from_utf8_lossy(line)))
        .collect();
    let rows: [(Encoding, &[u8], &[u8], &str); 9] = [
        (Encoding::Base64, folded.as_bytes(), &octets, "lines of base64"),
        (Encoding::Base64, b"YQ==YmM=", b"abc", "two texts behind one another"),
        (Encoding::Base64, b"YW*J j", b"abc", "what is no base64 is skipped"),
        (
            Encoding::QuotedPrintable,
            b"a=3D=C3=bc b  \r\nc=\r\nd",
            "a=ü b\r\ncd".as_bytes(),
            "escapes and soft line ends",
        ),
        (Encoding::QuotedPrintable, b"a= \t\r\nb", b"ab", "blanks behind a soft line end"),
        (Encoding::QuotedPrintable, b"a=zz =4", b"a=zz =4", "a wrong escape stays"),
        (Encoding::QuotedPrintable, b"end=", b"end", "nothing follows"),
        (Encoding::QuotedPrintable, b"a  b \t", b"a  b", "blanks at the end"),
        (Encoding::Identity, b"\x00\xff\r\n", b"\x00\xff\r\n", "as it is"),
    ];
    for (encoding, encoded, expected, why) in rows {
        for piece in [1, 2, 3, 5, 77, 10_000] {
            assert_eq!(decoded(encoding, encoded, piece), expected, "{why} in pieces of {piece}");
        }
    }
}
