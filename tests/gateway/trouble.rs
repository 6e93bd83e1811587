//! The provider in trouble: nothing is lost, nothing is sent twice without saying so, and it says what to do.

use std::time::Duration;

use oxpost::mail::{Event, QueueId, Reason};
use oxpost::practice::{
    Arrived, AuthFault, DotFault, Fault, GraphFault, GreetingFault, RecipientFault, Rule, TokenFault,
};
use oxpost::queue::{Filter, Selector, State};

use crate::client::PATIENCE;
use crate::house::{BILLING, BOB, House, Plan, RECIPIENT, SCANNER, letter, network_client};

const MINUTE: Duration = Duration::from_secs(60);

/// Sends a small message that can be told from others by its subject.
async fn send(house: &House, from: &str, subject: &str) -> QueueId {
    house.send(from, &[RECIPIENT], letter(from, RECIPIENT, subject)).await
}

/// Waits until an attempt at the message is put off, and says why.
async fn deferred(house: &House, id: QueueId) -> Reason {
    let pick = |event: &Event| {
        if let Event::Deferred { id: other, failure, .. } = event
            && *other == id
        {
            Some(failure.reason)
        } else {
            None
        }
    };
    house.events.first("the message is deferred", pick).await
}

/// Waits until the mailbox is held, and says why.
async fn held(house: &House, mailbox: &str) -> Reason {
    let pick = |event: &Event| {
        if let Event::Held { mailbox: other, failure, .. } = event
            && other == mailbox
        {
            Some(failure.reason)
        } else {
            None
        }
    };
    house.events.first("the mailbox is held", pick).await
}

fn subjects(mail: &[std::sync::Arc<Arrived>]) -> Vec<String> {
    let mut subjects: Vec<_> = mail.iter().map(|mail| mail.subject()).collect();
    subjects.sort();
    subjects
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_the_token_endpoint_passes_by_itself() {
    for fault in [
        TokenFault::Unavailable,
        TokenFault::Throttled(30),
        TokenFault::Garbage,
        TokenFault::Html,
        TokenFault::Redirect,
    ] {
        let house = House::new().await;
        house.clock.advance(120 * MINUTE);
        house.tenant.switches().inject(Rule::once(Fault::Token(fault)));
        let id = send(&house, SCANNER, "first").await;
        assert_eq!(deferred(&house, id).await, Reason::TokenUnavailable, "{fault:?}");
        house.later(2 * MINUTE, SCANNER).await;
        assert_eq!(subjects(&house.arrived(2).await), ["a little later", "first"], "{fault:?}");
        assert_eq!(house.tenant.findings(), [], "{fault:?}: no secret went elsewhere");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_a_revoked_account_is_held_until_somebody_signs_in() {
    let house = House::new().await;
    for (number, (mailbox, account)) in (1..).zip([(SCANNER, "scanner"), (BILLING, "billing")]) {
        house.tenant.revoke(mailbox);
        let id = send(&house, mailbox, "held").await;
        assert_eq!(held(&house, mailbox).await, Reason::SignInNeeded);
        let listed = house.list(Filter::default()).await;
        assert_eq!((listed[0].id, listed[0].state), (id, State::Held));
        let hint = listed[0].hint.clone().unwrap();
        assert!(hint.contains(&format!("oxpost login {account}")), "{hint}");
        let says_so = |event: &Event| {
            if let Event::SignInNeeded { account: other, hint, .. } = event
                && other == account
            {
                Some(hint.clone())
            } else {
                None
            }
        };
        let hint = house.events.first("the log says what to do", says_so).await;
        assert!(hint.contains(&format!("oxpost login {account}")), "{hint}");
        assert_eq!(house.show(id).await.summary.attempts, 0, "a hold uses no attempt up");

        house.sign_in(account).await;
        house.arrived(number).await;
        house.relayed(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn graph_is_asked_for_nothing_before_its_retry_after() {
    let house = House::new().await;
    house.tenant.switches().inject(Rule::once(Fault::Graph(GraphFault::Throttled(600))));
    let id = send(&house, BILLING, "first").await;
    assert_eq!(deferred(&house, id).await, Reason::Throttled);
    let next = house.show(id).await.summary.next_attempt.unwrap();
    assert!(next >= house.clock.now().plus(10 * MINUTE), "{next}");

    let second = house.send(BILLING, &[RECIPIENT], letter(BILLING, RECIPIENT, "second")).await;
    send(&house, SCANNER, "of another mailbox").await;
    assert_eq!(subjects(&house.arrived(1).await), ["of another mailbox"]);
    house.later(5 * MINUTE, BILLING).await;
    send(&house, SCANNER, "of another mailbox").await;
    assert_eq!(house.arrived(2).await.len(), 2, "the mailbox waits, whatever else it has to send");
    assert_eq!(house.show(second).await.attempts.len(), 0, "waiting is not an attempt");

    house.later(6 * MINUTE, BILLING).await;
    let mail = house.arrived(6).await;
    assert_eq!(subjects(&mail[2..]), ["a little later", "a little later", "first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_by_hand_waits_for_nothing_that_the_provider_asked_for() {
    let house = House::new().await;
    let fault = || Fault::Graph(GraphFault::Throttled(600));
    house.tenant.switches().inject(Rule::once(fault()));
    let id = send(&house, BILLING, "first").await;
    assert_eq!(deferred(&house, id).await, Reason::Throttled);
    let retry = format!("/api/v1/messages/{id}/retry");
    assert!(house.call("POST", &retry, "").await.0.is_success());
    house.relayed(id).await;
    assert_eq!(house.show(id).await.attempts.len(), 2);

    // It asks for patience again, also behind a restart: the retry ends that, too.
    house.tenant.switches().inject(Rule::once(fault()));
    let second = send(&house, BILLING, "second").await;
    assert_eq!(deferred(&house, second).await, Reason::Throttled);
    let mut house = house;
    house.restart().await;
    let retry = format!("/api/v1/messages/{second}/retry");
    assert!(house.call("POST", &retry, "").await.0.is_success());
    house.relayed(second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_never_answers_quit_delays_neither_the_next_mail_nor_the_stop() {
    // Each session ends after one message, and a wait for an answer would take an hour.
    let tables = "[delivery]\nidle_timeout = \"0 s\"\nstep_timeout = \"1 h\"\n".to_owned();
    let mut house = House::start(Plan { tables, ..Plan::default() }).await;
    house.tenant.switches().set(|knobs| knobs.smtp_sessions = 0);
    house.tenant.switches().inject(Rule::times(Fault::Quit, 3));
    let quits_hang = async {
        while !house.tenant.switches().pending_faults().is_empty() {
            let id = send(&house, SCANNER, "one of many").await;
            house.relayed(id).await;
        }
    };
    tokio::time::timeout(4 * PATIENCE, quits_hang).await.expect("three times QUIT gets no answer");
    let last = send(&house, SCANNER, "the last").await;
    house.relayed(last).await;
    assert_eq!(house.show(last).await.attempts.len(), 1);
    house.tenant.switches().inject(Rule::always(Fault::Quit));
    // It has its time, and not an hour: nobody's goodbye is waited for.
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_recipient_is_reported_to_the_right_address() {
    let bounces_to = network_client("rewrite") + "bounces_to = \"it@practice.example\"\n";
    let rows = [
        (network_client("rewrite"), "noreply@practice.example", "noreply@practice.example", "a domain of ours"),
        (network_client("rewrite"), "dev@x.example", SCANNER, "a foreign reverse path may be anybody's"),
        (network_client("keep"), "noreply@practice.example", "noreply@practice.example", "the client keeps its sender"),
        (bounces_to, SCANNER, "it@practice.example", "the client says where"),
    ];
    for (clients, path, to, why) in rows {
        let house = House::start(Plan { clients, ..Plan::default() }).await;
        house
            .tenant
            .switches()
            .inject(Rule::always(Fault::Recipient("gone@x.example".into(), RecipientFault::Permanent)));
        house.send(path, &[RECIPIENT, "gone@x.example"], letter(SCANNER, RECIPIENT, "half of it")).await;
        let mail = house.arrived(2).await;
        assert_eq!(mail[0].recipients, [RECIPIENT], "{why}: the others receive it");
        let report = &mail[1];
        assert_eq!(report.recipients, [to], "{why}");
        assert_eq!((report.reverse_path.as_deref(), report.mailbox.as_str()), (Some(""), SCANNER), "{why}");
        let text = String::from_utf8_lossy(&report.raw);
        for part in [
            "multipart/report",
            "Auto-Submitted: auto-replied",
            "Final-Recipient: rfc822; gone@x.example",
            "550 5.1.1 The recipient's address does not exist",
            "Subject: half of it",
        ] {
            assert!(text.contains(part), "{why}: no {part:?} in {text}");
        }
        assert_eq!(house.tenant.findings(), [], "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_never_answered_by_a_report() {
    let house = House::new().await;
    for gone in ["gone@x.example", SCANNER] {
        house.tenant.switches().inject(Rule::always(Fault::Recipient(gone.into(), RecipientFault::Permanent)));
    }
    let unreported = |event: &Event| if let Event::Unreported { about, .. } = event { Some(*about) } else { None };
    let id = house.send(SCANNER, &["gone@x.example"], letter(SCANNER, "gone@x.example", "lost")).await;
    let about = house.events.first("the report fails", unreported).await;
    assert_ne!(about, id, "the report itself");
    gone(|| house.events.count(|event| matches!(event, Event::Failed { .. })) == 2).await;
    let all = house.list(Filter { all: true, ..Filter::default() }).await;
    assert_eq!(all.iter().map(|message| message.state).collect::<Vec<_>>(), [State::Failed; 2], "there is no third");

    house.send("", &["gone@x.example"], letter(SCANNER, "gone@x.example", "a client's own report")).await;
    let nobody = |event: &Event| {
        if let Event::Unreported { why, .. } = event { why.contains("null").then_some(()) } else { None }
    };
    house.events.first("nobody is told", nobody).await;
    assert_eq!(house.events.count(|event| matches!(event, Event::Reported { .. })), 1);
    assert_eq!(house.tenant.mail_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_unknown_and_history_says_that_it_may_arrive_twice() {
    for (from, fault, copies) in [
        (SCANNER, Fault::EndOfData(DotFault::Lost), 1),
        (SCANNER, Fault::EndOfData(DotFault::TakenThenLost), 2),
        (BILLING, Fault::Graph(GraphFault::TakenThenReset), 2),
    ] {
        let tables = "[queue]\nunknown_retry = \"1s\"\n".to_owned();
        let house = House::start(Plan { tables, ..Plan::default() }).await;
        house.tenant.switches().inject(Rule::once(fault.clone()));
        let id = send(&house, from, "first").await;
        assert_eq!(deferred(&house, id).await, Reason::AnswerLost, "{fault:?}");
        house.later(Duration::from_secs(2), from).await;
        let mail = house.arrived(copies + 1).await;
        assert_eq!(subjects(&mail).iter().filter(|subject| *subject == "first").count() as u64, copies, "{fault:?}");
        house.relayed(id).await;
        let first = house.show(id).await.attempts.remove(0).result.unwrap();
        assert!(first.notes.iter().any(|note| note.contains("may arrive twice")), "{fault:?}: {first:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_dies_early_is_renewed_in_the_middle() {
    let house = House::new().await;
    for (number, mailbox) in (0..).zip([SCANNER, BILLING]) {
        send(&house, mailbox, "before").await;
        house.arrived(2 * number + 1).await;
        house.tenant.expire_access_tokens(mailbox);
        let id = send(&house, mailbox, "after").await;
        house.arrived(2 * number + 2).await;
        house.relayed(id).await;
        assert_eq!(house.show(id).await.summary.attempts, 1, "{mailbox}: nobody had to wait");
    }
    assert_eq!(house.events.count(|event| matches!(event, Event::Deferred { .. } | Event::Held { .. })), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_where_it_was() {
    let mut house = House::new().await;
    let switches = house.tenant.switches();
    switches.inject(Rule::always(Fault::Greeting(GreetingFault::Refused)));
    let waiting = send(&house, SCANNER, "waiting").await;
    deferred(&house, waiting).await;
    house.tenant.revoke(BILLING);
    let on_hold = send(&house, BILLING, "held").await;
    held(&house, BILLING).await;
    let before = [house.show(waiting).await, house.show(on_hold).await];

    house.restart().await;
    assert_eq!([house.show(waiting).await, house.show(on_hold).await], before);
    switches.clear_faults();
    house.stop().await;
    house.clock.advance(2 * MINUTE);
    house.open().await.unwrap();
    assert_eq!(subjects(&house.arrived(1).await), ["waiting"]);
    house.sign_in("billing").await;
    assert_eq!(subjects(&house.arrived(2).await), ["held", "waiting"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_is_tried_with_a_fresh_token_and_then_held_but_never_failed() {
    let house = House::new().await;
    house.tenant.switches().inject(Rule::once(Fault::Auth(AuthFault::Refused)));
    let id = send(&house, SCANNER, "once").await;
    house.relayed(id).await;
    assert_eq!(house.show(id).await.summary.attempts, 1);

    house.tenant.switches().inject(Rule::always(Fault::Auth(AuthFault::RefusedAfterChallenge)));
    let id = send(&house, BOB, "always").await;
    assert_eq!(held(&house, BOB).await, Reason::AuthenticationRejected);
    let listed = house.list(Filter::default()).await;
    assert_eq!((listed[0].id, listed[0].state), (id, State::Held));
    house.tenant.switches().clear_faults();
    house.control().queue.release(Selector::Account("bob".to_owned()), "a test").await.unwrap();
    house.relayed(id).await;
    assert_eq!(house.events.count(|event| matches!(event, Event::Failed { .. })), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_session_of_one_mailbox_delays_no_other() {
    let house = House::new().await;
    let switches = house.tenant.switches();
    // All three sessions that the mailbox may have: one after the greeting, two after the final dot.
    switches.inject(Rule::once(Fault::Greeting(GreetingFault::Hang)));
    send(&house, BOB, "stuck").await;
    gone(|| switches.pending_faults().is_empty()).await;
    switches.inject(Rule::always(Fault::EndOfData(DotFault::Late(Duration::from_secs(3_600)))).only_for(BOB));
    for _ in 0..3 {
        send(&house, BOB, "stuck too").await;
    }
    house.arrived(2).await;
    for (number, mailbox) in (3..).zip([SCANNER, BILLING, SCANNER]) {
        let id = send(&house, mailbox, "through").await;
        house.arrived(number).await;
        house.relayed(id).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_step_of_a_silent_provider_is_waited_for_without_end() {
    // No shorter than the steps before need on a busy machine.
    let (step, last) = ("step_timeout = \"300 ms\"", "final_timeout = \"2 s\"");
    let rows = [
        (step, SCANNER, Fault::Greeting(GreetingFault::Hang), Reason::TimedOut, "no greeting"),
        (last, BILLING, Fault::Graph(GraphFault::Hang), Reason::AnswerLost, "no answer to a request that left whole"),
        (
            last,
            SCANNER,
            Fault::EndOfData(DotFault::Late(PATIENCE * 100)),
            Reason::AnswerLost,
            "no answer to the final dot",
        ),
        ("", SCANNER, Fault::Greeting(GreetingFault::Close), Reason::ProviderTrouble, "hung up"),
    ];
    for (limit, mailbox, fault, reason, why) in rows {
        let tables = format!("[delivery]\n{limit}\n");
        let house = House::start(Plan { tables, ..Plan::default() }).await;
        house.tenant.switches().inject(Rule::always(fault));
        let id = send(&house, mailbox, "first").await;
        assert_eq!(deferred(&house, id).await, reason, "{why}");
    }
}

/// Waits for a condition that nothing announces.
async fn gone(condition: impl Fn() -> bool) {
    let polled = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, polled).await.expect("the condition comes true");
}
