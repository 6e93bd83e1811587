//! Whatever a client sends, what leaves is the RCPT set: random headers, read back by a reader that is not ours.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Some addresses that headers and envelopes have in common.
const POOL: [&str; 8] = [
    "a@x.example",
    "B@x.example",
    "c.d+e@y.example",
    "victim@evil.test",
    "\"q r\"@x.example",
    "\"victim@evil.test x\"@own.test",
    "a@own.test",
    "o'neil@x.example",
];

fn element() -> impl Strategy<Value = String> {
    let pool = || proptest::sample::select(POOL.to_vec());
    prop_oneof![
        6 => pool().prop_map(str::to_owned),
        4 => pool().prop_map(|to| format!("Name N. <{to}>")),
        2 => pool().prop_map(|to| format!("\"a, <{to}>\" <{to}>")),
        2 => pool().prop_map(|to| format!("{to} (comment)")),
        1 => pool().prop_map(|to| format!("(c) {to}")),
        1 => pool().prop_map(|to| format!("=?utf-8?Q?=C3=B6?=\r\n =?utf-8?B?w7Y=?= <{to}>")),
        1 => pool().prop_map(|to| format!("Group: {to}, {to};")),
        1 => pool().prop_map(|to| format!("Scanner {to}")),
        1 => pool().prop_map(|to| format!("<@r.example:{to}>")),
        2 => "[abx@<>(),:;\"\\\\ =?._\\[\\]\t]{0,24}",
    ]
}

fn field() -> impl Strategy<Value = String> {
    let list = || proptest::collection::vec(element(), 0..5).prop_map(|list| list.join(",\r\n "));
    let named = |names: &[&'static str]| proptest::sample::select(names.to_vec());
    prop_oneof![
        6 => (named(&["To", "Cc", "Bcc", "TO", "cc ", "Resent-To", "Resent-Bcc"]), list())
            .prop_map(|(name, list)| format!("{name}: {list}\r\n")),
        2 => (named(&["From", "Sender", "Reply-To"]), list()).prop_map(|(name, list)| format!("{name}: {list}\r\n")),
        2 => "[A-Za-z-]{1,9}: [ -~]{0,40}\r\n".prop_filter("not a recipient", |f| !f.starts_with(['T', 't', 'C', 'c', 'B', 'b'])),
        1 => "[ -~]{1,20}\r\n".prop_filter("a line that goes on", |line| !line.starts_with(' ')),
    ]
}

fn policy() -> impl Strategy<Value = SenderPolicy> {
    proptest::sample::select(vec![SenderPolicy::Keep, SenderPolicy::Rewrite, SenderPolicy::Strict])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn another_reader_sees_the_recipients_of_the_envelope(
        fields in proptest::collection::vec(field(), 0..8),
        recipients in proptest::sample::subsequence(POOL.to_vec(), 1..POOL.len()),
        body in proptest::collection::vec(any::<u8>(), 0..60),
        policy in policy(),
    ) {
        let mut message = format!("Received: x\r\n{}\r\n", fields.concat()).into_bytes();
        let header_octets = message.len();
        message.extend_from_slice(&body);
        let mailbox = address(MAILBOX);
        let sender = Sender { policy, mailbox: &mailbox };
        let out = for_headers(&message, &envelope(&recipients), &sender);
        let wanted: BTreeSet<String> = recipients.iter().map(|to| to.to_lowercase()).collect();
        prop_assert_eq!(mailed_to(&out.header), wanted, "{}", String::from_utf8_lossy(&out.header));
        prop_assert_eq!(out.body_offset, header_octets);
        prop_assert!(out.header.ends_with(b"\r\n\r\n") || out.header == b"\r\n");
        prop_assert_eq!(HeaderBlock::parse(&out.header).octets(), out.header.len(), "no early end");
        // Once more changes nothing.
        let again = for_headers(&out.header, &envelope(&recipients), &sender);
        prop_assert_eq!(recipient_fields(&again.header), recipient_fields(&out.header));
    }

    #[test]
    fn nothing_but_known_fields_is_ever_added(
        fields in proptest::collection::vec(field(), 0..8),
        recipients in proptest::sample::subsequence(POOL.to_vec(), 1..POOL.len()),
        policy in policy(),
    ) {
        let message = format!("Received: x\r\n{}\r\n", fields.concat()).into_bytes();
        let mailbox = address(MAILBOX);
        let sender = Sender { policy, mailbox: &mailbox };
        let before = HeaderBlock::parse(&message);
        for out in [for_headers(&message, &envelope(&recipients), &sender), for_envelope(&message, &envelope(&recipients), &sender)] {
            for line in HeaderBlock::parse(&out.header).fields() {
                let ours = ["To", "Cc", "Bcc", "From", "Reply-To"].iter().any(|name| line.is(name))
                    || line.name().starts_with(b"X-Oxpost-Original-");
                prop_assert!(ours || before.fields().contains(line), "{:?}", String::from_utf8_lossy(line.raw()));
            }
        }
    }
}
