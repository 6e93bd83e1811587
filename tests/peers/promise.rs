//! Promise 2 at servers nobody of us wrote: exactly the recipients of the envelope receive, and none sees a hidden one.

use crate::clients::{Letter, curl};
use crate::gateway::{Gateway, Grant};
use crate::identity::Identity;
use crate::support::Ground;
use crate::upstream::Upstream;

const PERSON: &str = "scanner@practice.test";
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Recipients of the envelope, and what the client wrote into the header, `{a}` being the address of `a`.
const ROWS: &[(&[&str], &str, &str)] = &[
    (&["a", "b"], "To: {a}\r\nCc: {b}", "To and Cc"),
    (&["a", "b", "c"], "To: {a}", "two hidden from each other"),
    (&["a", "b"], "", "no recipient field at all"),
    (&["a", "b"], "To: {a}\r\nBcc: {b}", "a Bcc field that is right"),
    (&["a"], "To: {a}\r\nBcc: {b}", "a Bcc field that names somebody else"),
    (&["a"], "Bcc: {a}", "Bcc alone"),
    (&["a"], "To: {a}, {b}", "To names one too many"),
    (&["a", "d"], "To: {b}\r\nCc: {c}", "none of the header, two of the envelope"),
    (&["a"], "To: \"{b}\" <{a}>", "an address as display name"),
    (&["a", "b"], "To: {a} (not\r\n really {c}),\r\n {b}", "a comment with an address, folded"),
    (&["a"], "To: Team: {a}, {b};", "a group with one too many"),
    (&["a", "b"], "To: undisclosed-recipients:;", "an empty group"),
    (&["a"], "To: {a}\r\nResent-Bcc: {c}", "Resent-Bcc"),
    (&["a", "b"], "To: list@elsewhere.test", "expanded from a list"),
];

fn address(row: usize, name: &str) -> String {
    format!("{name}-{row}@elsewhere.test")
}

fn header(message: &[u8]) -> String {
    let end = message.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap();
    String::from_utf8_lossy(&message[..end]).into_owned()
}

#[test]
fn exactly_the_envelope_receives_at_postfix_and_dovecot() {
    let ground = Ground::new("promise");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let gateway = Gateway::start(&ground, &identity, &upstream, Grant::Person(PERSON));
    gateway.sign_in();
    for (row, (recipients, fields, why)) in ROWS.iter().enumerate() {
        let fill = |text: &str| {
            NAMES.iter().fold(text.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), &address(row, name)))
        };
        let fields = if fields.is_empty() { String::new() } else { fill(fields) + "\r\n" };
        let to = recipients.iter().map(|name| address(row, name)).collect();
        let octets = format!(
            "From: {PERSON}\r\n{fields}Subject: {why}\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n\
             Message-ID: <{row}@promise.test>\r\n\r\nText\r\n"
        );
        curl(&ground, &gateway, &Letter { from: PERSON.to_owned(), to, octets: octets.into_bytes() });
    }
    for (row, (recipients, fields, why)) in ROWS.iter().enumerate() {
        for name in *recipients {
            let mail = upstream.wait_for_mail(&address(row, name), 1);
            assert_eq!(mail.len(), 1, "{why}: {name} gets it once");
            let header = header(&mail[0]);
            let lower = header.to_lowercase();
            assert!(!lower.contains("\nbcc:") && !lower.contains("\nresent-bcc:"), "{why}: {header}");
            // Whom the client itself names in a field that everybody sees is no secret.
            let open = fields.split("\r\n").filter(|field| !field.contains("Bcc:"));
            let shown = |other: &str| open.clone().any(|field| field.contains(&format!("{{{other}}}")));
            for hidden in recipients.iter().filter(|other| *other != name && !shown(other)) {
                assert!(!header.contains(&address(row, hidden)), "{why}: {name} sees {hidden}:\n{header}");
            }
        }
    }
    // All that was handed in has arrived by now; nobody else got any of it.
    for (row, (recipients, _, why)) in ROWS.iter().enumerate() {
        for name in NAMES.iter().filter(|name| !recipients.contains(*name)) {
            assert_eq!(upstream.mail(&address(row, name)).len(), 0, "{why}: {name} is not in the envelope");
        }
    }
    assert_eq!(upstream.mail("list@elsewhere.test").len(), 0);
}
