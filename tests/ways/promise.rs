//! Promise 2: exactly the recipients of the envelope receive a message, whatever its header says, by every way.

use std::collections::BTreeSet;

use oxpost::mail::BackendKind;

use crate::bench::{ALL, Bench, SCANNER, reasons};

/// Recipients of the envelope, and what the client wrote into the header. Names without a domain are at `x.example`.
type Row = (&'static [&'static str], &'static str, &'static str);

const ROWS: &[Row] = &[
    (&["a"], "To: a@x.example", "one in To"),
    (&["a", "b"], "To: a@x.example\r\nCc: b@x.example", "To and Cc"),
    (&["a", "b"], "To: a@x.example", "one hidden"),
    (&["a", "b", "c"], "To: a@x.example", "two hidden from each other"),
    (&["a"], "", "no recipient field at all"),
    (&["a", "b"], "", "two, and no recipient field"),
    (&["a", "b"], "To: a@x.example\r\nBcc: b@x.example", "a Bcc field that is right"),
    (&["a"], "To: a@x.example\r\nBcc: b@x.example", "a Bcc field that names somebody else"),
    (&["a", "b"], "To: a@x.example\r\nBcc: b@x.example, c@x.example", "a Bcc field that names one too many"),
    (&["a"], "Bcc: a@x.example", "Bcc alone"),
    (&["a"], "Bcc:\r\nTo: a@x.example", "an empty Bcc"),
    (&["a"], "To: a@x.example, b@x.example", "To names one too many"),
    (&["a"], "To: a@x.example\r\nCc: b@x.example, c@x.example", "Cc names others only"),
    (&["a"], "To: b@x.example", "To names somebody else altogether"),
    (&["a", "d"], "To: b@x.example\r\nCc: c@x.example", "none of the header, two of the envelope"),
    (&["A"], "To: a@X.Example", "letter case"),
    (&["a", "b"], "To: a@x.example, A@x.example, a@x.example\r\nCc: a@x.example", "one named four times"),
    (&["a"], "To: Ann Archer <a@x.example>", "a display name"),
    (&["a"], "To: \"Archer, Ann\" <a@x.example>", "a comma in a display name"),
    (&["a"], "To: \"b@x.example\" <a@x.example>", "an address as display name"),
    (&["a"], "To: =?utf-8?q?J=C3=BCrgen=2C_Sales?= <a@x.example>", "an encoded word"),
    (&["a"], "To: a@x.example (Ann)", "a comment"),
    (&["a", "b"], "To: a@x.example (not\r\n really c@x.example),\r\n b@x.example", "a comment with an address, folded"),
    (&["a", "b"], "To:\r\n a@x.example,\r\n\tb@x.example", "a folded field"),
    (&["a", "b"], "To: Team: a@x.example, b@x.example;", "a group"),
    (&["a"], "To: Team: a@x.example, b@x.example;", "a group with one too many"),
    (&["a"], "To: undisclosed-recipients:;", "an empty group"),
    (&["a", "b"], "To: undisclosed-recipients:;\r\nCc: a@x.example", "an empty group, and a Cc"),
    (&["a"], "To: a@x.example\r\nResent-To: c@x.example\r\nResent-From: d@x.example", "Resent names somebody else"),
    (&["c"], "To: a@x.example\r\nResent-To: c@x.example", "Resent names the recipient"),
    (&["a"], "To: a@x.example\r\nResent-Bcc: c@x.example", "Resent-Bcc"),
    (&["a"], "To: list@x.example", "expanded from a list"),
    (&["a", "b"], "To: list@x.example\r\nReply-To: list@x.example", "a list of two"),
    (&["a", "b"], "To: a@x.example\r\nTo: b@x.example", "two To fields"),
    (&["a"], "To: a@x.example\r\nTo: b@x.example", "a second To that names somebody else"),
    (&["a"], "TO: a@x.example\r\ncc:b@x.example", "names of fields in other case"),
    (&["a"], "To : a@x.example\r\nCc : b@x.example", "a blank before the colon"),
    (&["o'neil+tag"], "To: o'neil+tag@x.example", "odd characters in a local part"),
    (&["a"], "To: <a@x.example>, not an address", "something that is no address"),
    (&["a"], "Apparently-To: b@x.example\r\nTo: a@x.example", "Apparently-To"),
];

fn address(name: &str) -> String {
    format!("{name}@x.example")
}

#[tokio::test]
async fn exactly_the_envelope_receives_and_nobody_sees_a_hidden_one() {
    for kind in ALL {
        let bench = Bench::new().await;
        let backend = bench.backend(kind);
        for (recipients, fields, why) in ROWS {
            let before = bench.tenant.mail_count();
            let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
            let mail = format!("From: {SCANNER}\r\n{fields}Subject: {why}\r\n\r\nText\r\n");
            let to: Vec<String> = recipients.iter().map(|name| address(name)).collect();
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            let attempt = bench.deliver(&*backend, mail.as_bytes(), &to).await;
            assert!(reasons(&attempt).iter().all(Option::is_none), "{kind}, {why}: {attempt:?}");
            let arrived = bench.tenant.arrived(before + 1).await;
            let arrived = arrived.last().unwrap();
            let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
            let got = lower(&arrived.recipients);
            let wanted: BTreeSet<String> = to.iter().map(|name| name.to_lowercase()).collect();
            assert_eq!(got.iter().cloned().collect::<BTreeSet<_>>(), wanted, "{kind}, {why}");
            assert_eq!(got.len(), wanted.len(), "{kind}, {why}: each once");
            for seen in arrived.seen() {
                let told = (kind, why, &seen.recipient, &seen.header);
                // Whom the client itself names in a field that everybody sees is no secret.
                let hidden = seen
                    .leaks
                    .iter()
                    .filter(|who| !fields.to_lowercase().contains(&format!("resent-to: {}", who.to_lowercase())));
                assert_eq!(hidden.collect::<Vec<_>>(), Vec::<&String>::new(), "{told:?}");
            }
        }
        assert_eq!(bench.tenant.findings(), [], "{kind}");
    }
}

#[tokio::test]
async fn the_null_reverse_path_arrives_by_the_way_that_has_one_and_is_told_of_by_the_others() {
    for kind in ALL {
        let bench = Bench::new().await;
        let mail = format!("From: {SCANNER}\r\nTo: a@x.example\r\n\r\nText\r\n");
        let backend = bench.backend(kind);
        let attempt = bench.deliver_from(&*backend, mail.as_bytes(), (None, &["a@x.example"])).await;
        assert_eq!(reasons(&attempt), [None], "{kind}: {attempt:?}");
        let arrived = bench.tenant.arrived(1).await.remove(0);
        let by_smtp = kind == BackendKind::Smtp;
        assert_eq!(arrived.reverse_path.as_deref(), by_smtp.then_some(""), "{kind}");
        assert_eq!(attempt.notes.iter().any(|note| note.contains("null reverse path")), !by_smtp, "{kind}");
    }
}

#[tokio::test]
async fn over_the_recipient_limit_each_part_names_its_own() {
    for kind in ALL {
        let mut bench = Bench::new().await;
        bench.max_recipients = 3;
        let to: Vec<String> = (0..7).map(|n| address(&format!("r{n}"))).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let mail = format!("From: {SCANNER}\r\nTo: {}\r\nCc: {}\r\n\r\nText\r\n", to[..2].join(", "), to[4]);
        let backend = bench.backend(kind);
        let attempt = bench.deliver(&*backend, mail.as_bytes(), &to).await;
        assert!(reasons(&attempt).iter().all(Option::is_none), "{kind}: {attempt:?}");
        let arrived = bench.tenant.arrived(3).await;
        let mut all: Vec<String> = arrived.iter().flat_map(|mail| mail.recipients.clone()).collect();
        all.sort();
        assert_eq!(all, to, "{kind}: each once");
        assert!(arrived.iter().all(|mail| mail.recipients.len() <= 3), "{kind}");
        assert!(arrived.iter().flat_map(|mail| mail.seen()).all(|seen| seen.leaks.is_empty()), "{kind}");
    }
}
