//! Files on their way through: found, checked, and put where they belong.

use super::*;

fn with_file(text: &str) -> Vec<u8> {
    format!("{{\"attachments\": [{{\"name\": \"a\", \"contentBytes\": \"{text}\"}}]}}").into_bytes()
}

/// The lines of the only file.
fn file_of(octets: &[u8], pieces: usize) -> String {
    let composed = compose(Form::Microsoft, outline(Form::Microsoft, octets, pieces), id(), None).unwrap();
    let mime = String::from_utf8(whole(&composed.mime, octets, pieces)).unwrap();
    let (_, file) = mime.split_once("Content-Transfer-Encoding: base64\r\n\r\n").unwrap();
    file.split_once("\r\n--=_").unwrap().0.to_owned()
}

#[test]
fn a_file_is_the_same_however_its_text_is_written() {
    let rows = [
        ("+/8A", "plain"),
        ("+\\/8A", "as PHP writes a slash"),
        ("\\u002B/8A", "as .NET writes a plus"),
        ("\\u002b\\u002f8A", "in lower case"),
        (" +/\\r\\n8\\tA\\f\\u0020", "with blanks and line breaks"),
    ];
    for (text, why) in rows {
        for pieces in [1, 2, 3, 1_000] {
            assert_eq!(file_of(&with_file(text), pieces), "+/8A\r\n", "{why}, in pieces of {pieces}");
        }
    }
    for characters in [0, 72, 76, 80, 152, 156] {
        let text = "A".repeat(characters);
        let lines: Vec<_> = text.as_bytes().chunks(76).map(|line| [line, b"\r\n"].concat()).collect();
        let expected = String::from_utf8(lines.concat()).unwrap();
        assert_eq!(file_of(&with_file(&text), 7), expected, "{characters} characters");
    }
}

#[test]
fn what_is_not_base64_is_refused_as_the_library_would() {
    use base64::Engine;
    let alphabet = b"AQgwz+/=?\n";
    let mut rows: Vec<Vec<u8>> = vec![Vec::new()];
    for length in 1..=5 {
        // Every text of up to five characters out of these.
        let longer = rows.iter().filter(|text| text.len() == length - 1);
        let longer = longer.flat_map(|text| alphabet.iter().map(|&next| [&text[..], &[next]].concat()));
        rows.extend(longer.collect::<Vec<_>>());
    }
    for text in rows {
        let solid: Vec<u8> = text.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        let expected = base64::engine::general_purpose::STANDARD.decode(solid).is_ok();
        let mut checking = file::Checking::default();
        text.iter().for_each(|&character| checking.add(character));
        let (_, flaw) = checking.finish();
        assert_eq!(flaw.is_none(), expected, "{}: {flaw:?}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn a_text_that_is_no_base64_is_named_and_what_is_wrong_with_it() {
    let rows = [
        ("AA?A", "character 3 is `?`", "a character"),
        ("AA\\\"A", "character 3 is none of it", "a quote"),
        ("AA\\u00e9A", "character 3 is none of it", "a letter beyond"),
        ("AA\u{e9}A", "character 3 is none of it", "the same as it is"),
        ("AA\\bA", "character 3 is none of it", "a control character"),
        ("AAA", "its end is missing, or its padding is wrong", "too short"),
        ("AAE=AAAA", "there is more behind the padding, at character 5", "two in one"),
        ("AAF=", "its last character says more than a whole octet", "not the only way to write it"),
    ];
    for (text, flaw, why) in rows {
        let fault = read(Form::Microsoft, &with_file(text)).unwrap_err();
        assert_eq!(fault.to_string(), format!("`attachments[0].contentBytes`: this is not base64: {flaw}"), "{why}");
    }
    // JSON has no line breaks in a text.
    read(Form::Microsoft, &with_file("AA\nAA")).unwrap_err();
}

#[test]
fn only_the_content_of_a_file_is_taken_out_however_its_name_is_written() {
    let long = "QUFB".repeat(1_000);
    let rows = [
        (Form::Microsoft, format!("{{\"attachments\": [{{\"contentBytes\": \"{long}\"}}]}}"), true, "a file"),
        (Form::Microsoft, format!("{{\"attachments\":[{{\"content\\u0042ytes\"\n:\t\"{long}\"}}]}}"), true, "escaped"),
        (Form::Jmap, format!("{{\"attachments\": [{{\"content\": \"{long}\"}}]}}"), true, "a file of 4D's"),
        (Form::Microsoft, format!("{{\"body\": {{\"content\": \"{long}\"}}}}"), false, "a text like base64"),
        (Form::Jmap, format!("{{\"textBody\": \"{long}\", \"subject\": \"content\"}}"), false, "a text of 4D's"),
        (
            Form::Microsoft,
            format!("{{\"subject\": \"contentBytes\", \"body\": {{\"content\":\"{long}\"}}}}"),
            false,
            "a value",
        ),
    ];
    for (form, text, taken_out, why) in rows {
        let mut outliner = Outliner::new(form);
        text.bytes().for_each(|octet| outliner.push(&[octet]));
        assert_eq!(outliner.kept() < 200, taken_out, "{why}");
        let composed = compose(form, outliner.finish(), id(), None).unwrap();
        assert_eq!(composed.mime.held() < 1_000, taken_out, "{why}");
        let mime = String::from_utf8(whole(&composed.mime, text.as_bytes(), 100)).unwrap().replace("=\r\n", "");
        assert!(mime.replace("\r\n", "").contains(&long), "{why}: {mime}");
    }
}

#[test]
fn a_place_in_json_is_that_of_the_message_as_it_came() {
    let file = "QUFB".repeat(1_000);
    let rows = [
        (format!("{{\"attachments\": [{{\"contentBytes\": \"{file}\"}}], x}}"), "behind a file"),
        (format!("{{\n\"a\": 1,\n \"attachments\": [{{\"contentBytes\": \"{file}\"}}], x}}"), "in the third line"),
        (format!("{{\"attachments\": [{{\"contentBytes\": \"{file}\"}}],\n x}}"), "in the line behind"),
        (format!("{{\"attachments\": [{{\"contentBytes\": \"{file}"), "no end"),
        ("{\"attachments\": [{\"contentBytes\": \"\"}, {\"contentBytes\": \"AAEC\"}], x}".to_owned(), "small files"),
    ];
    for (text, why) in rows {
        let error = serde_json::from_str::<Value>(&text).unwrap_err();
        let place = format!("line {}, column {}", error.line(), error.column());
        assert_eq!(read(Form::Microsoft, text.as_bytes()).unwrap_err().path, place, "{why}");
        let marked = format!("\u{feff}{text}");
        assert_eq!(read(Form::Microsoft, marked.as_bytes()).unwrap_err().path, place, "{why}, with a byte order mark");
    }
}

/// One message in each form with everything that has a place of its own in MIME.
fn samples() -> [(Form, Value); 2] {
    let octets: Vec<u8> = (0..=255_u8).cycle().take(70_000).collect();
    let person = |address: &str| json!([{ "emailAddress": { "address": address, "name": "Gr\u{fc}\u{df}e, Ann" } }]);
    let microsoft = json!({
        "from": person("f@x.example")[0], "toRecipients": person("a@x.example"), "ccRecipients": person("c@x.example"),
        "subject": "Gr\u{fc}\u{df}e", "importance": "high", "isReadReceiptRequested": true,
        "body": { "content": "<b>Gr\u{fc}\u{df}e</b>\r\nline\nline\rend  ", "contentType": "html" },
        "attachments": [
            { "name": "a.bin", "contentBytes": in_base64(&octets) },
            { "name": "empty", "contentBytes": "" },
            { "name": "i.png", "contentType": "image/png", "contentBytes": "AAEC", "isInline": true, "contentId": "i" },
            { "name": "57.txt", "contentType": "text/plain", "contentBytes": in_base64(&octets[..57]) },
            { "name": "58.txt", "contentType": "text/plain", "contentBytes": in_base64(&octets[..58]) },
        ],
    });
    let jmap = json!({
        "from": "f@x.example", "to": "Ann <a@x.example>, b@x.example", "subject": "s", "textBody": "plain\ntext",
        "htmlBody": "<p>html", "keywords": { "a": true }, "sendAt": "2026-11-21T08:00:00Z", "messageId": "1@x",
        "attachments": [
            { "name": "b.bin", "content": in_base64(&octets[..1000]) },
            { "name": "i.png", "type": "image/png", "content": "AAEC", "disposition": "inline", "cid": "<i>" },
        ],
    });
    [(Form::Microsoft, microsoft), (Form::Jmap, jmap)]
}

#[test]
fn a_message_that_waits_over_an_update_leaves_as_it_would_have_left() {
    // Of the first version that kept objects.
    let digests = [
        "a32a6bbac6e1ef3b0a8e6b72f219800b3edcd1e997cc3fa76ce7c260a92edbb3",
        "8f636563c27b7bdaa885b9add22a98e2a7f4f7bf0b7646381c01b9e9ee4c1f7b",
    ];
    for ((form, value), expected) in samples().into_iter().zip(digests) {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &mime(form, &value));
        let hex: String = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(hex, expected, "{form:?}");
    }
}

#[test]
fn what_stands_before_the_first_file_holds_the_whole_header() {
    for (form, value) in samples() {
        let composed = composed(form, &value);
        let header = crate::mail::header::header_octets(composed.mime.head());
        assert_eq!(header, crate::mail::header::header_octets(&mime(form, &value)), "{form:?}");
        assert!(header.is_some(), "{form:?}");
    }
}
