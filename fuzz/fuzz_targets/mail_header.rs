//! A message from a client, made ready for each kind of way out: its header is read and edited, its parts are found. Or one
//! out of a watched mailbox, read as a report.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxpost::mail::dsn::BounceReport;
use oxpost::mail::header::{HeaderBlock, inspect};
use oxpost::mail::outgoing::{for_envelope, for_headers, header_only_recipients};
use oxpost::mail::parts::{Scanner, sealed_header};
use oxpost::mail::{Address, Envelope, ReversePath, Sender, SenderPolicy};

fuzz_target!(|octets: &[u8]| {
    let Some((first, message)) = octets.split_first() else { return };
    let address = |text: &str| text.parse::<Address>().expect("it is an address");
    let envelope = Envelope::to_one(ReversePath::Mailbox(address("app@own.example")), address("a@x.example").into());
    let mailbox = address("scanner@own.example");
    let policy = [SenderPolicy::Keep, SenderPolicy::Rewrite, SenderPolicy::Strict][usize::from(first % 3)];
    let sender = Sender { policy, mailbox: &mailbox };
    let _inspected = inspect(message);
    let _sealed = sealed_header(message);
    let headers = for_headers(message, &envelope, &sender);
    let enveloped = for_envelope(message, &envelope, &sender);
    for out in [&headers, &enveloped] {
        let block = HeaderBlock::parse(&out.header);
        assert!(out.body_offset <= message.len());
        assert!(block.is_terminated() && block.octets() == out.header.len(), "the header ends where it should");
    }
    assert_eq!(HeaderBlock::parse(&enveloped.header).named("Bcc").count(), 0, "nobody sees who got a blind copy");
    assert!(header_only_recipients(&headers.header, &envelope).is_empty(), "nobody else is named");
    let mut scanner = Scanner::new();
    for piece in message.chunks(usize::from(*first).max(1)) {
        scanner.push(piece);
    }
    let _structure = scanner.finish();
    if let Some(report) = BounceReport::read(message) {
        assert!(!report.recipients.is_empty(), "a report tells of somebody");
    }
});
