//! Each cause for which mail is held: people are told of it once, one message probes, and mail goes by itself when the
//! cause is mended.

use std::time::Duration;

use oxpost::mail::{Event, Reason};
use oxpost::practice::{AuthFault, DotFault, Fault, Rule, TokenFault};
use oxpost::queue::State;
use serde_json::Value;
use tokio::sync::mpsc::Receiver;

use crate::house::{ALICE, House, Plan, RECIPIENT, SCANNER, letter};
use crate::sign_in::webhook;

const MINUTE: Duration = Duration::from_mins(1);

/// A gateway whose administrator is told by mail and by a webhook.
async fn watched() -> (House, Receiver<Value>) {
    let (url, posted) = webhook().await;
    let tables = format!("notify = \"alice\"\nnotify_to = \"admin@practice.example\"\nnotify_webhook = \"{url}\"\n");
    let house = House::start(Plan { tables, ..Plan::default() }).await;
    // The tokens of the sign-ins are no longer good.
    house.clock.advance(120 * MINUTE);
    (house, posted)
}

/// Waits until the scanner's mail is held, anew or still.
async fn held(house: &House, anew: bool) -> Reason {
    let pick = |event: &Event| {
        if let Event::Held { mailbox, failure, fresh, .. } = event
            && mailbox == SCANNER
            && *fresh == anew
        {
            return Some(failure.reason);
        }
        None
    };
    house.events.first("the mail is held", pick).await
}

async fn send(house: &House, subject: &str) -> oxpost::mail::QueueId {
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, subject)).await
}

/// The notices that arrived as mail.
async fn notices(house: &House) -> Vec<String> {
    let mail = house.arrived(0).await;
    let notices = mail.iter().filter(|mail| mail.mailbox == ALICE);
    notices.map(|mail| String::from_utf8_lossy(&mail.raw).replace("=\r\n", "")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_is_told_once_and_mail_goes_by_itself_when_it_is_mended() {
    let says = |reply| Fault::EndOfData(DotFault::Says(reply));
    let table = [
        (Fault::Token(TokenFault::InvalidGrant), Reason::SignInNeeded, "oxpost login scanner"),
        (Fault::Token(TokenFault::InvalidClient), Reason::ConfigurationRejected, "AADSTS7000222"),
        (Fault::Auth(AuthFault::SwitchedOff), Reason::SmtpAuthDisabled, "Set-CASMailbox"),
        (Fault::Auth(AuthFault::Refused), Reason::AuthenticationRejected, "535 5.7.3"),
        (says("554 5.2.2 mailbox full; STOREDRV; QuotaExceeded"), Reason::MailboxFull, "make room"),
        (says("550 5.7.705 Access denied, tenant has exceeded threshold"), Reason::SenderBlocked, "unblock"),
        (says("550 5.7.232 tenant external recipient limit exceeded"), Reason::DailyLimit, "tomorrow"),
    ];
    for (fault, reason, told) in table {
        let (house, mut posted) = watched().await;
        house.tenant.switches().inject(Rule::always(fault).only_for(SCANNER));
        let first = send(&house, "first").await;
        assert_eq!(held(&house, true).await, reason);
        house.arrived(1).await;
        let mail = notices(&house).await.remove(0);
        assert!(mail.contains(told) && mail.contains("scanner"), "{reason:?}: no {told} in {mail}");
        let notice = posted.recv().await.unwrap();
        assert_eq!(notice["account"], "scanner", "{reason:?}: {notice}");
        let (_, holds) = house.get("/api/v1/holds").await;
        assert!(holds.contains(SCANNER), "{reason:?}: {holds}");
        let summary = house.show(first).await.summary;
        assert_eq!((summary.state, summary.attempts), (State::Held, 0), "{reason:?}: waiting takes no attempt");

        let second = send(&house, "second").await;
        if reason != Reason::SignInNeeded {
            house.later(6 * MINUTE, SCANNER).await;
            assert_eq!(held(&house, false).await, reason, "one message probes, in vain");
        }
        house.tenant.switches().clear_faults();
        if reason == Reason::SignInNeeded {
            house.sign_in("scanner").await;
        } else {
            house.later(20 * MINUTE, SCANNER).await;
        }
        house.relayed(first).await;
        house.relayed(second).await;
        assert_eq!(notices(&house).await.len(), 1, "{reason:?}: told once");
        assert!(posted.try_recv().is_err(), "{reason:?}: told once");
        assert!(house.control().queue.holds().await.unwrap().is_empty(), "{reason:?}");
        assert_eq!(house.events.count(|event| matches!(event, Event::Failed { .. })), 0, "{reason:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_that_mends_the_cause_lets_mail_go_at_once_but_not_what_is_held_by_hand() {
    let (house, _posted) = watched().await;
    house.tenant.switches().inject(Rule::always(Fault::Token(TokenFault::InvalidClient)).only_for(SCANNER));
    let first = send(&house, "first").await;
    assert_eq!(held(&house, true).await, Reason::ConfigurationRejected);
    house.post("/api/v1/reload", "").await;
    assert_eq!(held(&house, false).await, Reason::ConfigurationRejected, "it was not mended");
    house.tenant.switches().clear_faults();
    // What the token endpoint said of the app is remembered for a minute.
    house.clock.advance(2 * MINUTE);
    house.post("/api/v1/reload", "").await;
    house.relayed(first).await;

    let hold = serde_json::json!({ "what": SCANNER, "why": "a test" }).to_string();
    assert!(house.call("POST", "/api/v1/holds/begin", &hold).await.0.is_success());
    let kept = send(&house, "kept").await;
    house.post("/api/v1/reload", "").await;
    let other =
        house.send(crate::house::BILLING, &[RECIPIENT], letter(crate::house::BILLING, RECIPIENT, "other")).await;
    house.relayed(other).await;
    assert_eq!(house.show(kept).await.summary.state, State::Held);
}
