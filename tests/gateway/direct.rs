//! Direct mode: the client hears the provider's answer.

use std::time::Duration;

use oxpost::mail::Event;
use oxpost::practice::{AuthFault, DotFault, Fault, GraphFault, RecipientFault, Rule, TokenFault};
use oxpost::queue::{Filter, Selector, State};

use crate::house::{BILLING, House, Plan, RECIPIENT, SCANNER, letter, queue_id};

const OTHER: &str = "other@elsewhere.example";

/// A house whose first listener is direct and waits this long; its second one queues.
async fn house(patience: &str) -> House {
    let direct = format!("tls = \"none\"\nmode = \"direct\"\nanswer_within = \"{patience}\"");
    House::start(Plan { listeners: vec![direct, "tls = \"none\"".to_owned()], ..Plan::default() }).await
}

async fn hand_in(house: &House, from: &str, to: &[&str]) -> String {
    house.client().await.hand_in(from, to, letter(from, to[0], "direct")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_hears_that_the_provider_took_the_message() {
    let house = house("45 s").await;
    for (number, mailbox) in (1..).zip([SCANNER, BILLING]) {
        let reply = hand_in(&house, mailbox, &[RECIPIENT]).await;
        assert!(reply.starts_with("250 2.0.0 relayed as "), "{reply}");
        assert_eq!(house.tenant.mail_count(), number, "it is there before the client hears so");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_refuses_is_refused_and_not_kept() {
    let house = house("45 s").await;
    let rows = [
        (
            SCANNER,
            Fault::Auth(AuthFault::Temporary),
            "451 4.3.0 ",
            "454 4.7.0",
            "the login, for now; later rows use its session",
        ),
        (SCANNER, Fault::EndOfData(DotFault::Permanent), "554 5.7.1 ", "550 5.7.1", "refused for good"),
        (SCANNER, Fault::EndOfData(DotFault::Temporary), "451 4.3.0 ", "451 4.7.0", "refused for now"),
        (SCANNER, Fault::MailFrom, "550 5.7.60 ", "550 5.7.60", "the sender"),
        (SCANNER, Fault::Recipient(RECIPIENT.to_owned(), RecipientFault::Permanent), "550 5.1.1 ", "550 5.1.1", "RCPT"),
        (SCANNER, Fault::Recipient(RECIPIENT.to_owned(), RecipientFault::Temporary), "450 4.2.0 ", "450 4.2.1", "RCPT"),
        (BILLING, Fault::Graph(GraphFault::Throttled(1)), "451 4.4.5 ", "429", "throttled"),
    ];
    for (mailbox, fault, start, words, why) in rows {
        house.tenant.switches().inject(Rule::once(fault));
        let reply = hand_in(&house, mailbox, &[RECIPIENT]).await;
        assert!(reply.starts_with(start) && reply.contains(words), "{why}: {reply}");
        assert_eq!(house.list(Filter::default()).await, [], "{why}: nothing is kept, nothing is reported");
        let refused = |event: &Event| matches!(event, Event::Refused { reply, .. } if reply.contains(words));
        assert!(house.events.count(refused) > 0, "{why}: the log has it");
        house.tenant.switches().clear_faults();
    }
    assert_eq!(house.tenant.mail_count(), 0);
    assert_eq!(house.events.count(|event| matches!(event, Event::Accepted { .. })), 0);
}

/// A 535 would have the client ask its user for another password of the gateway.
#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_the_account_is_never_the_clients_login() {
    let rows = [
        (Fault::Auth(AuthFault::Refused), "451 4.7.0 "),
        (Fault::Auth(AuthFault::SwitchedOff), "451 4.7.1 "),
        (Fault::Token(TokenFault::InvalidGrant), "451 4.7.0 "),
        (Fault::Token(TokenFault::Unavailable), "451 4.7.0 "),
    ];
    for (fault, start) in rows {
        let house = house("45 s").await;
        house.clock.advance(Duration::from_secs(2 * 3600));
        house.tenant.switches().inject(Rule::always(fault.clone()));
        let reply = hand_in(&house, SCANNER, &[RECIPIENT]).await;
        assert!(reply.starts_with(start), "{fault:?}: {reply}");
        let held = !house.control().queue.holds().await.unwrap().is_empty();
        if held {
            let again = hand_in(&house, SCANNER, &[RECIPIENT]).await;
            assert!(again.starts_with(start) && again.contains("oxpost "), "{fault:?}: the next step: {again}");
        }
        // A queueing listener takes mail for the same mailbox as ever.
        let mut client = crate::client::Client::connect(house.listener(1)).await.greeted().await;
        queue_id(&client.hand_in(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "queued")).await);
        house.tenant.switches().clear_faults();
        house.sign_in("scanner").await;
        house.control().queue.release(Selector::All, "a test").await.unwrap();
        house.clock.advance(Duration::from_secs(3600));
        let reply = hand_in(&house, SCANNER, &[RECIPIENT]).await;
        assert!(reply.starts_with("250 2.0.0 relayed as "), "{fault:?}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed_answers_are_taken_and_the_rest_goes_the_queues_way() {
    let house = house("45 s").await;
    let fault = Fault::Recipient(OTHER.to_owned(), RecipientFault::Permanent);
    house.tenant.switches().inject(Rule::once(fault));
    let id = queue_id(&hand_in(&house, SCANNER, &[RECIPIENT, OTHER]).await);
    let reported = |event: &Event| matches!(event, Event::Reported { about, .. } if *about == id).then_some(());
    house.events.first("the refused one is reported", reported).await;
    assert_eq!(house.show(id).await.summary.state, State::Failed);
    assert_eq!(house.arrived(2).await[0].recipients, [RECIPIENT]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_are_unknown_and_not_the_clients() {
    let house = house("45 s").await;
    house.tenant.switches().inject(Rule::once(Fault::EndOfData(DotFault::TakenThenLost)));
    let id = queue_id(&hand_in(&house, SCANNER, &[RECIPIENT]).await);
    assert_eq!(house.tenant.mail_count(), 1);
    let deferred = |event: &Event| matches!(event, Event::Deferred { id: other, .. } if *other == id).then_some(());
    house.events.first("it is written down", deferred).await;
    assert_eq!(house.show(id).await.summary.state, State::Waiting, "tried again after a while, as in the queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_does_not_answer_in_time_is_waited_for_by_the_queue() {
    let house = house("100 ms").await;
    house.tenant.switches().inject(Rule::once(Fault::EndOfData(DotFault::Late(Duration::from_secs(5)))));
    let id = queue_id(&hand_in(&house, SCANNER, &[RECIPIENT]).await);
    assert_eq!(
        house.events.count(|event| matches!(event, Event::Relayed { .. })),
        0,
        "the client did not wait so long"
    );
    house.relayed(id).await;
    assert_eq!(house.tenant.mail_count(), 1);
}
