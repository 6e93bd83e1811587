//! What the Gmail API and EWS refuse, and what follows from it. Graph and SMTP have their own tables beside the code.

use std::time::Duration;

use oxpost::mail::{BackendKind, Outcome, Reason};
use oxpost::practice::{Fault, GraphFault, Rule, WebStep};
use oxpost::token::Purpose;

use crate::bench::{Bench, SCANNER, reasons, words};

const ALICE: &str = "alice@practice.example";

fn mail() -> Vec<u8> {
    format!("From: {SCANNER}\r\nTo: {ALICE}\r\nMessage-ID: <1@x>\r\n\r\nText\r\n").into_bytes()
}

#[tokio::test]
async fn each_refusal_has_its_reason() {
    use GraphFault::{
        AccessDenied, Empty, Html, NoRest, TakenThenTimeout, Throttled, TooLarge, Unauthorized, Unavailable,
    };
    let rows = [
        (Unauthorized, Reason::AuthenticationRejected, Reason::AuthenticationRejected),
        (AccessDenied, Reason::PermissionMissing, Reason::PermissionMissing),
        (TooLarge, Reason::MessageTooLarge, Reason::MessageTooLarge),
        (Throttled(25), Reason::Throttled, Reason::Throttled),
        (Unavailable, Reason::ProviderTrouble, Reason::ProviderTrouble),
        (NoRest, Reason::MailboxUnavailable, Reason::MailboxUnavailable),
        (Html, Reason::Unexpected, Reason::Unexpected),
        (Empty, Reason::Unexpected, Reason::Unexpected),
        (TakenThenTimeout, Reason::AnswerLost, Reason::AnswerLost),
    ];
    for (fault, by_gmail, by_ews) in rows {
        for (kind, step, expected) in
            [(BackendKind::Gmail, WebStep::GmailSend, by_gmail), (BackendKind::Ews, WebStep::Ews, by_ews)]
        {
            let bench = Bench::new().await;
            bench.tenant.switches().inject(Rule::always(Fault::GraphAt(step, fault)));
            let attempt = bench.deliver(&*bench.backend(kind), &mail(), &[ALICE]).await;
            assert_eq!(reasons(&attempt), [Some(expected)], "{kind} {fault:?}: {}", words(&attempt));
            if let (Throttled(_), Outcome::Deferred(failure)) = (fault, &attempt.outcomes[0]) {
                assert_eq!(failure.retry_after, Some(Duration::from_secs(25)), "{kind}");
            }
        }
    }
}

#[tokio::test]
async fn an_upload_to_gmail_that_breaks_goes_on_and_never_sends_twice() {
    let large = [&mail()[..], &b"x".repeat(5 << 20), b"\r\n"].concat();
    for (fault, times) in [(GraphFault::Reset, 1), (GraphFault::TakenThenReset, 3), (GraphFault::Unavailable, 2)] {
        let bench = Bench::new().await;
        bench.tenant.switches().inject(Rule::times(Fault::GraphAt(WebStep::GmailRange, fault), times));
        let attempt = bench.deliver(&bench.gmail(), &large, &[ALICE]).await;
        assert_eq!(reasons(&attempt), [None], "{fault:?}: {}", words(&attempt));
        assert!(bench.tenant.arrived(1).await[0].raw[..] == large, "{fault:?}");
        assert_eq!((bench.tenant.mail_count(), bench.tenant.findings()), (1, vec![]), "{fault:?}");
    }
}

#[tokio::test]
async fn what_the_account_may_not_do_is_said() {
    let mut bench = Bench::new().await;
    bench.permissions.insert(Purpose::Gmail, vec!["Mail.Send"]);
    bench.permissions.insert(Purpose::Ews, vec!["SMTP.Send"]);
    for kind in [BackendKind::Gmail, BackendKind::Ews] {
        let attempt = bench.deliver(&*bench.backend(kind), &mail(), &[ALICE]).await;
        assert_eq!(reasons(&attempt), [Some(Reason::PermissionMissing)], "{kind}");
    }
    let other = String::from_utf8(mail()).unwrap().replace(SCANNER, "billing@practice.example");
    bench.permissions.insert(Purpose::Ews, vec!["EWS.AccessAsUser.All"]);
    let attempt = bench.deliver(&bench.ews(), other.as_bytes(), &[ALICE]).await;
    assert_eq!(reasons(&attempt), [Some(Reason::SenderRefused)]);
    bench.tenant.switches().set(|knobs| knobs.ews = false);
    let attempt = bench.deliver(&bench.ews(), &mail(), &[ALICE]).await;
    assert_eq!(reasons(&attempt), [Some(Reason::MailboxUnavailable)], "a directory that has EWS switched off");
}

#[tokio::test]
async fn ews_keeps_a_copy_only_where_it_shall() {
    for save_copy in [true, false] {
        let mut bench = Bench::new().await;
        bench.save_copy = save_copy;
        assert_eq!(reasons(&bench.deliver(&bench.ews(), &mail(), &[ALICE]).await), [None]);
        assert_eq!(bench.tenant.sent_count(SCANNER), usize::from(save_copy));
    }
}
