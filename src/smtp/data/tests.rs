use proptest::prelude::*;

use super::*;

/// Decodes `input` cut into the given pieces. Returns the octets used, if the end was found, and the content.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, endings: LineEndings) -> (Option<usize>, Vec<u8>) {
    let mut decoder = DataDecoder::new(endings);
    let (mut content, mut before) = (Vec::new(), 0);
    for piece in pieces {
        if let Some(used) = decoder.push(piece, &mut content) {
            return (Some(before + used), content);
        }
        before += piece.len();
    }
    (None, content)
}

fn decoded(input: &[u8], endings: LineEndings) -> (Option<usize>, String) {
    let (end, content) = decode([input], endings);
    (end, String::from_utf8_lossy(&content).into_owned())
}

/// The same rules over the whole input at once, written as plainly as they are told.
mod oracle {
    use super::super::LineEndings;

    pub(super) fn decode(input: &[u8], endings: LineEndings) -> Option<(usize, Vec<u8>)> {
        let octets = [b"\r\n", input].concat();
        let ends: &[&[u8]] = match endings {
            LineEndings::Crlf => &[b"\r\n.\r\n"],
            LineEndings::Lf => &[b"\n.\n", b"\n.\r\n"],
        };
        let found = |at: usize| ends.iter().find(|end| octets[at..].starts_with(end)).map(|end| (at, *end));
        let (at, end) = (0..octets.len()).find_map(found)?;
        let line_end = if end.starts_with(b"\r") { 2 } else { 1 };
        let content = octets.get(2..at + line_end).unwrap_or_default();
        Some((at + end.len() - 2, canonical(&unstuffed(content, endings))))
    }

    fn unstuffed(content: &[u8], endings: LineEndings) -> Vec<u8> {
        let mut out = Vec::new();
        let mut begun_by_crlf = true;
        for line in content.split_inclusive(|octet| *octet == b'\n') {
            let counts = begun_by_crlf || endings == LineEndings::Lf;
            let stuffed = line.starts_with(b"..") || (counts && line.starts_with(b"."));
            out.extend_from_slice(&line[usize::from(stuffed)..]);
            begun_by_crlf = line.ends_with(b"\r\n");
        }
        out
    }

    pub(super) fn canonical(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut in_header = true;
        for line in content.split_inclusive(|octet| *octet == b'\n') {
            let ended = line.ends_with(b"\n");
            let mut text = line.strip_suffix(b"\n").unwrap_or(line);
            while let (true, Some(shorter)) = (ended, text.strip_suffix(b"\r")) {
                text = shorter;
            }
            for octet in text {
                match octet {
                    b'\r' if in_header => out.push(b' '),
                    b'\r' => out.extend_from_slice(b"\r\n"),
                    octet => out.push(*octet),
                }
            }
            if ended {
                out.extend_from_slice(b"\r\n");
                in_header &= !text.is_empty();
            }
        }
        out
    }
}

#[test]
fn content_is_decoded_by_the_rules() {
    let strict = LineEndings::Crlf;
    let table: [(&str, &str, &str); 21] = [
        ("a\r\n.\r\n", "a\r\n", "one line"),
        (".\r\n", "", "the CRLF of DATA is the first half of the end: an empty message"),
        ("\r\n.\r\n", "\r\n", "an empty line"),
        ("..a\r\n.\r\n", ".a\r\n", "a stuffed dot on the first line"),
        ("a\r\n..\r\n.\r\n", "a\r\n.\r\n", "a line with a dot alone"),
        ("a\r\n.b\r\n.\r\n", "a\r\nb\r\n", "a dot that should have been doubled goes too (RFC 5321 section 4.5.2)"),
        ("a\n.b\r\n.\r\n", "a\r\n.b\r\n", "a sender that ends lines with CRLF saw no line there"),
        ("a\n..b\r\n.\r\n", "a\r\n.b\r\n", "a sender that ends lines with LF doubled the dot"),
        ("a\n.\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", "LF.LF is no end"),
        ("a\n.\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n", "LF.CRLF is no end"),
        ("a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", "CRLF.LF is no end"),
        ("a\r\n.\r\r\nb\r\n.\r\n", "a\r\n\r\nb\r\n", "CRLF.CR CRLF is no end"),
        ("\r\na\r.\rb\r\n.\r\n", "\r\na\r\n.\r\nb\r\n", "CR.CR is no end"),
        ("a\r\r\n.\r\n", "a\r\n", "the last CR and LF before the dot are a CRLF"),
        ("a\r\r\r\nb\r\n.\r\n", "a\r\nb\r\n", "a run of CR before LF is one line end"),
        ("a\nb\n\nc\r\n.\r\n", "a\r\nb\r\n\r\nc\r\n", "lone LF"),
        ("S: a\rB: b\r\n\r\nc\rd\r\n.\r\n", "S: a B: b\r\n\r\nc\r\nd\r\n", "a lone CR adds no header field"),
        ("S: a\r\n\rB: b\r\n\r\n.\r\n", "S: a\r\n B: b\r\n\r\n", "a lone CR at the beginning of a header line"),
        ("\r\n\r\r.\r\n\r\r\n.\r\n", "\r\n\r\n\r\n.\r\n\r\n", "each lone CR in the body is a line end"),
        ("S: a\n\nb\rc\r\n.\r\n", "S: a\r\n\r\nb\r\nc\r\n", "the header may end with lone LFs"),
        ("a\r\n.\0\r\n.\r\n", "a\r\n\0\r\n", "a NUL does not hide a dot"),
    ];
    for (input, content, why) in table {
        assert_eq!(decoded(input.as_bytes(), strict), (Some(input.len()), content.to_owned()), "{input:?}: {why}");
    }
}

#[test]
fn a_client_with_lone_lf_ends_its_content_with_it() {
    for (input, content) in [
        ("a\n.\n", "a\r\n"),
        ("a\n.\r\n", "a\r\n"),
        ("a\r\n.\n", "a\r\n"),
        ("a\r\n.\r\n", "a\r\n"),
        (".\n", ""),
        ("a\n..b\n.\n", "a\r\n.b\r\n"),
        ("a\n.b\n.\n", "a\r\nb\r\n"),
        ("a\n.\r\r\n.\n", "a\r\n\r\n"),
    ] {
        assert_eq!(decoded(input.as_bytes(), LineEndings::Lf), (Some(input.len()), content.to_owned()), "{input:?}");
    }
}

#[test]
fn a_lone_dot_between_lone_line_ends_is_noticed() {
    for (input, seen) in [
        ("a\n.\n", true),
        ("a\n.\r\n", true),
        ("a\r\n.\n", true),
        ("a\r\n.b\n", false),
        ("a\n..\n", false),
        ("a.\n", false),
    ] {
        let mut decoder = DataDecoder::new(LineEndings::Crlf);
        assert_eq!(decoder.push(input.as_bytes(), &mut Vec::new()), None);
        // A dot waits for the octet behind it.
        assert_eq!(decoder.saw_lone_dot(), seen, "{input:?}");
    }
}

#[test]
fn what_was_found_is_named() {
    let findings = |input: &str| {
        let mut decoder = DataDecoder::new(LineEndings::Crlf);
        decoder.push(input.as_bytes(), &mut Vec::new());
        decoder.findings()
    };
    let none = Findings::default();
    assert_eq!(findings("a\r\n..\r\n\r\nb\r\n.\r\n"), none);
    assert_eq!(findings("a\nb\r\n.\r\n"), Findings { bare_lf: true, ..none });
    assert_eq!(findings("a\rb\r\n.\r\n"), Findings { bare_cr: true, ..none });
    assert_eq!(findings("a\r\r\n.\r\n"), Findings { bare_cr: true, ..none });
    assert_eq!(findings("a\r\n.\r\r\n.\r\n"), Findings { bare_cr: true, ..none });
    assert_eq!(findings("a\0\r\n.\r\n"), Findings { nul: true, ..none });
}

#[test]
fn a_run_of_cr_takes_no_memory() {
    let mut decoder = DataDecoder::new(LineEndings::Crlf);
    let mut written = 0;
    decoder.push(b"\r\n", &mut Vec::new());
    for _ in 0..1000 {
        let mut out = Vec::new();
        decoder.push(&[b'\r'; 1000], &mut out);
        assert!(out.len() <= 2000);
        written += out.len();
    }
    let mut out = Vec::new();
    decoder.push(b"a", &mut out);
    assert!(out.len() <= 2001);
    assert_eq!(written + out.len(), 2_000_001);
}

#[test]
fn counted_content_ends_where_it_ends() {
    for (input, content) in
        [("", ""), ("a", "a"), ("a\r", "a "), ("\r\na\r", "\r\na\r\n"), ("a\r\n.\r\n", "a\r\n.\r\n")]
    {
        let (mut line_ends, mut out) = (LineEnds::new(), Vec::new());
        line_ends.push(input.as_bytes(), &mut out);
        line_ends.finish(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), content, "{input:?}");
    }
}

/// Octets that matter, more often than others.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"\r\r\r\n\n\n...ab:\0".to_vec()), 0..60)
}

fn endings() -> impl Strategy<Value = LineEndings> {
    prop::sample::select(vec![LineEndings::Crlf, LineEndings::Lf])
}

/// `input` in pieces of the given sizes, the last taking what is left.
fn cut<'a>(input: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (input, Vec::new());
    for size in sizes {
        let (piece, behind) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn the_decoder_agrees_with_the_rules_wherever_the_input_is_cut(
        head in octets(), tail in octets(), endings in endings(), sizes in prop::collection::vec(0usize..6, 0..30),
    ) {
        let input = [head.as_slice(), b"\r\n.\r\n", tail.as_slice()].concat();
        let (end, content) = oracle::decode(&input, endings).expect("an end is in it");
        prop_assert_eq!(decode([input.as_slice()], endings), (Some(end), content.clone()));
        prop_assert_eq!(decode(cut(&input, &sizes), endings), (Some(end), content.clone()));
        prop_assert_eq!(decode(input.chunks(1), endings), (Some(end), content));
    }

    #[test]
    fn canonical_content_has_crlf_and_no_other_line_end(head in octets(), endings in endings()) {
        let input = [head.as_slice(), b"\r\n.\r\n"].concat();
        let (_, content) = decode([input.as_slice()], endings);
        let bare = String::from_utf8(content).expect("the octets are ASCII").replace("\r\n", "");
        prop_assert!(!bare.contains(['\r', '\n']));
    }

    #[test]
    fn stuffing_and_decoding_are_inverses(text in octets(), sizes in prop::collection::vec(0usize..6, 0..30)) {
        let canonical = oracle::canonical(&text);
        let (mut stuffer, mut wire) = (DotStuffer::new(), Vec::new());
        for piece in cut(&canonical, &sizes) {
            stuffer.push(piece, &mut wire);
        }
        stuffer.finish(&mut wire);
        let ended = canonical.is_empty() || canonical.ends_with(b"\r\n");
        let expected = if ended { canonical } else { [canonical.as_slice(), b"\r\n"].concat() };
        prop_assert_eq!(decode([wire.as_slice()], LineEndings::Crlf), (Some(wire.len()), expected.clone()));
        prop_assert_eq!(decode([wire.as_slice()], LineEndings::Lf), (Some(wire.len()), expected));
    }

    #[test]
    fn even_content_that_is_not_canonical_cannot_end_early_on_the_way_out(text in octets()) {
        let (mut stuffer, mut wire) = (DotStuffer::new(), Vec::new());
        stuffer.push(&text, &mut wire);
        stuffer.finish(&mut wire);
        for endings in [LineEndings::Crlf, LineEndings::Lf] {
            prop_assert_eq!(decode([wire.as_slice()], endings).0, Some(wire.len()));
        }
    }
}
