//! Promise 3: a message arrives as it was sent, by every way and in every size it has room for.

use mail_parser::MessageParser;
use oxpost::mail::{BackendKind, Reason};

use crate::bench::{ALL, Bench, ONE_REQUEST, SCANNER, reasons};

const ALICE: &str = "alice@practice.example";

fn header() -> String {
    format!("From: Scanner <{SCANNER}>\r\nTo: {ALICE}\r\nMessage-ID: <1@x.example>\r\nSubject: s\r\n")
}

/// Bodies that some program on the way has broken before.
fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let signed = "MIME-Version: 1.0\r\nContent-Type: multipart/signed; protocol=\"application/pgp-signature\"; boundary=s\r\n\r\n\
        --s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e  \r\n-- \r\nx\r\n\r\n\
        --s\r\nContent-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n\r\nabc=\r\n-----END\r\n--s--\r\n";
    let encrypted = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nMIIB\r\nAAA=\r\n";
    let calendar = "Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n\
        END:VCALENDAR\r\n";
    let nested = "Content-Type: multipart/mixed; boundary=\"a b\"\r\n\r\npreamble\r\n--a b\r\nContent-Type: message/rfc822\r\n\r\n\
        Bcc: inner@x.example\r\nTo: other@x.example\r\n\r\ninner\r\n--a b--\r\nepilogue\r\n";
    let tnef =
        "Content-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: base64\r\n\r\neJ8+Ig==\r\n";
    let mut all_octets = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n".to_vec();
    all_octets.extend((1..=255_u8).filter(|octet| !matches!(octet, b'\r' | b'\n')));
    all_octets.extend_from_slice(b"\r\n");
    let long = |count: usize| format!("\r\n{}\r\n", "0123456789".repeat(count / 10)).into_bytes();
    vec![
        ("an empty body", b"\r\n".to_vec()),
        ("no line end at the end", b"\r\nlast line".to_vec()),
        ("dots at the start of lines", b"\r\n.\r\n..\r\n.x\r\n\r\n.\r\n".to_vec()),
        ("blanks and empty lines at the end", b"\r\nx  \t\r\n\r\n\r\n".to_vec()),
        ("every octet", all_octets),
        ("a line of 998 octets", long(990)),
        ("a line of 20,000 octets", long(20_000)),
        ("another charset", b"Content-Type: text/plain; charset=shift_jis\r\n\r\n\x82\xb1\x82\xf1\r\n".to_vec()),
        ("signed", signed.as_bytes().to_vec()),
        ("encrypted", encrypted.as_bytes().to_vec()),
        ("an invitation", calendar.as_bytes().to_vec()),
        ("a message in a message", nested.as_bytes().to_vec()),
        ("TNEF", tnef.as_bytes().to_vec()),
        ("a broken multipart", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx".to_vec()),
        ("a multipart without boundary", b"Content-Type: multipart/mixed\r\n\r\n--b\r\n\r\nx\r\n".to_vec()),
        ("odd fields", b"X-Odd: \xff\xfe\r\nX-Folded: a\r\n\tb\r\n  c\r\nX-Empty:\r\n\r\nx\r\n".to_vec()),
    ]
}

#[tokio::test]
async fn every_octet_arrives_by_every_way() {
    for kind in ALL {
        let bench = Bench::new().await;
        let backend = bench.backend(kind);
        for (what, rest) in corpus() {
            let mail = [header().as_bytes(), &rest].concat();
            let before = bench.tenant.mail_count();
            let attempt = bench.deliver(&*backend, &mail, &[ALICE]).await;
            assert_eq!(reasons(&attempt), [None], "{kind}, {what}: {attempt:?}");
            let arrived = bench.tenant.arrived(before + 1).await;
            let raw = &arrived.last().unwrap().raw[..];
            // The final dot of SMTP stands on a line of its own; a chunk needs none.
            let ended = kind == BackendKind::Smtp && raw.strip_suffix(b"\r\n") == Some(&mail);
            assert!(raw == mail || ended, "{kind}, {what}");
        }
        assert_eq!(bench.tenant.findings(), [], "{kind}");
    }
}

/// A message of exactly so many octets.
fn sized(octets: u64) -> Vec<u8> {
    let mut mail = format!("{}\r\n", header()).into_bytes();
    let line = format!("{}\r\n", "x".repeat(76)).into_bytes();
    let octets = usize::try_from(octets).unwrap();
    while mail.len() + line.len() + 2 <= octets {
        mail.extend_from_slice(&line);
    }
    let rest = octets - mail.len() - 2;
    mail.extend(std::iter::repeat_n(b'y', rest));
    mail.extend_from_slice(b"\r\n");
    mail
}

#[tokio::test]
async fn each_way_has_its_exact_edge() {
    let rows = [(BackendKind::Graph, ONE_REQUEST), (BackendKind::Gmail, 36_700_160), (BackendKind::Ews, 35 << 20)];
    for (kind, limit) in rows {
        let mut bench = Bench::new().await;
        bench.drafts = None;
        let backend = bench.backend(kind);
        let fits = sized(limit);
        assert_eq!(fits.len() as u64, limit);
        assert_eq!(reasons(&bench.deliver(&*backend, &fits, &[ALICE]).await), [None], "{kind}");
        assert!(bench.tenant.arrived(1).await[0].raw[..] == fits, "{kind}");
        let over = bench.deliver(&*backend, &sized(limit + 1), &[ALICE]).await;
        assert_eq!(reasons(&over), [Some(Reason::MessageTooLarge)], "{kind}");
        assert_eq!((bench.tenant.mail_count(), bench.tenant.findings()), (1, vec![]), "{kind}: nothing was sent");
    }
}

#[tokio::test]
async fn all_sizes_arrive_whole() {
    for kind in ALL {
        let bench = Bench::new().await;
        let backend = bench.backend(kind);
        for (number, size) in [1_000, 65_536, 300_001, 2 << 20, (2 << 20) + 1].into_iter().enumerate() {
            let mail = sized(size);
            assert_eq!(reasons(&bench.deliver(&*backend, &mail, &[ALICE]).await), [None], "{kind} {size}");
            let arrived = bench.tenant.arrived(number as u64 + 1).await;
            assert!(arrived[number].raw[..] == mail, "{kind} {size}");
            assert!(MessageParser::default().parse(&arrived[number].raw[..]).is_some());
        }
    }
}
