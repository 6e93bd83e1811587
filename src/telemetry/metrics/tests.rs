//! Each event moves its figure, and what the dashboard and the alert rules ask for is there.

use std::collections::BTreeSet;

use super::*;
use crate::clock::Timestamp;
use crate::mail::{QueueId, Reason};

const DASHBOARD: &str = include_str!("../../../packaging/grafana-dashboard.json");
const RULES: &str = include_str!("../../../packaging/prometheus-rules.yml");

/// An event, with the line that it must move to 1.
type Row = (Event, &'static str);

/// Every kind of event.
fn one_of_each() -> Vec<Row> {
    [at_the_door(), of_attempts(), of_accounts(), of_sessions()].concat()
}

fn failure(reason: Reason) -> Failure {
    Failure::new(reason, "words of a provider")
}

fn at_the_door() -> Vec<Row> {
    let why = "why".to_owned();
    vec![
        (
            Event::Accepted {
                id: QueueId::fresh(),
                client: "c".into(),
                peer: None,
                account: "a".into(),
                mailbox: "a@x.example".into(),
                reverse_path: "<>".into(),
                recipients: 2,
                octets: 5,
                message_id: None,
            },
            "oxpost_messages_accepted_total{client=\"c\",account=\"a\"} 1",
        ),
        (
            Event::Refused { client: "c".into(), peer: None, reply: "550 no".into(), why: why.clone() },
            "oxpost_commands_refused_total 1",
        ),
        (
            Event::Refused { client: "c".into(), peer: None, reply: "452 full".into(), why: why.clone() },
            "oxpost_commands_deferred_total 1",
        ),
        (Event::LoginRefused { peer: None, login: "x".into(), why }, "oxpost_logins_refused_total 1"),
    ]
}

fn of_attempts() -> Vec<Row> {
    let (id, at) = (QueueId::fresh(), Timestamp::from_millis(0));
    let (account, mailbox, why) = ("a".to_owned(), "a@x.example".to_owned(), "why".to_owned());
    let (backend, attempt, recipients) = (BackendKind::Graph, 1, 2);
    vec![
        (
            Event::Relayed {
                id,
                account: account.clone(),
                backend,
                attempt,
                recipients,
                diagnostic: why.clone(),
                millis: 700,
            },
            "oxpost_attempt_seconds_bucket{le=\"1.0\",account=\"a\",backend=\"graph\"} 1",
        ),
        (
            Event::Deferred {
                id,
                account: account.clone(),
                backend: None,
                attempt,
                recipients,
                failure: failure(Reason::Throttled),
                next: at,
            },
            "oxpost_messages_deferred_total{account=\"a\",backend=\"none\",reason=\"throttled\"} 1",
        ),
        (
            Event::Failed {
                id,
                account: account.clone(),
                backend: Some(backend),
                attempt,
                recipients,
                failure: failure(Reason::Expired),
            },
            "oxpost_messages_failed_total{account=\"a\",backend=\"graph\",reason=\"expired\"} 1",
        ),
        (
            Event::Held {
                id,
                account: account.clone(),
                mailbox: mailbox.clone(),
                failure: failure(Reason::SignInNeeded),
                probe: None,
                fresh: true,
            },
            "oxpost_mailboxes_held_total{account=\"a\",backend=\"none\",reason=\"sign_in_needed\"} 1",
        ),
        (
            Event::HeldByHand { account: account.clone(), mailbox: mailbox.clone(), why: "moving".to_owned() },
            "oxpost_mailboxes_held_total{account=\"a\",backend=\"none\",reason=\"held_by_hand\"} 1",
        ),
        (
            Event::WayRefused {
                account: account.clone(),
                mailbox: mailbox.clone(),
                backend,
                failure: failure(Reason::SmtpAuthDisabled),
                until: at,
            },
            "oxpost_ways_refused_total{account=\"a\",backend=\"graph\",reason=\"smtp_auth_disabled\"} 1",
        ),
        (Event::Released { account, mailbox, why: why.clone() }, "oxpost_mailboxes_released_total{account=\"a\"} 1"),
        (Event::Reported { id, about: id, to: "x".into() }, "oxpost_reports_total 1"),
        (Event::Unreported { about: id, why }, "oxpost_reports_impossible_total 1"),
    ]
}

fn of_accounts() -> Vec<Row> {
    let at = Timestamp::from_millis(0);
    let (account, why) = ("a".to_owned(), "why".to_owned());
    vec![
        (
            Event::TokenRenewed { account: account.clone(), resource: "r".into(), expires: at },
            "oxpost_tokens_renewed_total{account=\"a\"} 1",
        ),
        (
            Event::TokenDeferred { account: account.clone(), why: why.clone() },
            "oxpost_tokens_deferred_total{account=\"a\"} 1",
        ),
        (
            Event::TokenUnsaved { account: account.clone(), why: why.clone() },
            "oxpost_tokens_unsaved_total{account=\"a\"} 1",
        ),
        (
            Event::SignInNeeded { account: account.clone(), why: why.clone(), hint: why.clone() },
            "oxpost_sign_ins_needed_total{account=\"a\"} 1",
        ),
        (
            Event::AccountWarning { account: account.clone(), what: why.clone(), hint: why, due: None },
            "oxpost_account_notices_total{account=\"a\"} 1",
        ),
        (Event::SignedIn { account, name: None }, "oxpost_sign_ins_total{account=\"a\"} 1"),
    ]
}

fn of_sessions() -> Vec<Row> {
    let (session, client, account, mailbox) =
        ("s".to_owned(), "c".to_owned(), "a".to_owned(), "a@x.example".to_owned());
    let (protocol, peer) = ("imap", "192.0.2.1".parse().unwrap());
    vec![
        (
            Event::SessionOpened {
                session: session.clone(),
                protocol,
                client: client.clone(),
                account: account.clone(),
                mailbox: mailbox.clone(),
                peer,
            },
            "oxpost_sessions_opened_total{protocol=\"imap\",account=\"a\"} 1",
        ),
        (
            Event::SessionRefused {
                session: session.clone(),
                protocol,
                client: client.clone(),
                account: account.clone(),
                mailbox: mailbox.clone(),
                peer,
                failure: failure(Reason::SignInNeeded),
                hint: String::new(),
            },
            "oxpost_sessions_refused_total{protocol=\"imap\",account=\"a\"} 1",
        ),
        (
            Event::SessionClosed {
                session,
                protocol,
                client,
                account,
                mailbox,
                why: String::new(),
                up: 3,
                down: 4,
                millis: 5,
            },
            "oxpost_sessions_closed_total{protocol=\"imap\",account=\"a\"} 1",
        ),
    ]
}

fn standing() -> Standing {
    Standing {
        version: "1.2.3",
        accepting: true,
        messages: vec![("waiting", 3), ("held", 4)],
        oldest: std::time::Duration::from_millis(1500),
        holds: 1,
        accounts: vec![AccountFigures { account: "a".to_owned(), needs_somebody: true, warnings: 2 }],
    }
}

fn everything() -> String {
    let metrics = Metrics::default();
    for (event, _) in one_of_each() {
        metrics.count(&event);
    }
    metrics.render(&standing()).unwrap()
}

#[test]
fn each_event_moves_its_figure() {
    for (event, line) in one_of_each() {
        let metrics = Metrics::default();
        assert!(!metrics.render(&standing()).unwrap().contains(line), "before: {line}");
        metrics.count(&event);
        let text = metrics.render(&standing()).unwrap();
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        assert!(text.ends_with("# EOF\n"), "OpenMetrics ends with its mark");
        metrics.count(&event);
        assert!(!metrics.render(&standing()).unwrap().lines().any(|found| found == line), "it counts on: {line}");
    }
}

#[test]
fn what_stands_is_told_as_it_stands_now() {
    let metrics = Metrics::default();
    let text = metrics.render(&standing()).unwrap();
    for line in [
        "oxpost_build{version=\"1.2.3\"} 1",
        "oxpost_accepting 1",
        "oxpost_queue_messages{state=\"held\"} 4",
        "oxpost_queue_oldest_seconds 1.5",
        "oxpost_holds 1",
        "oxpost_account_needs_somebody{account=\"a\"} 1",
        "oxpost_account_warnings{account=\"a\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let later = metrics.render(&Standing { accounts: Vec::new(), ..standing() }).unwrap();
    assert!(!later.contains("account=\"a\""), "an account that went leaves nothing behind");
}

#[test]
fn no_client_and_no_provider_makes_a_series() {
    let metrics = Metrics::default();
    for number in 0..50 {
        let (login, words) = (format!("guess {number}"), format!("words {number}"));
        metrics.count(&Event::LoginRefused { peer: None, login, why: words.clone() });
        metrics.count(&Event::Refused {
            client: "c".into(),
            peer: None,
            reply: format!("55{number}"),
            why: words.clone(),
        });
        let failure = Failure::new(Reason::Rejected, words);
        let (id, account) = (QueueId::fresh(), "a".to_owned());
        metrics.count(&Event::Failed { id, account, backend: None, attempt: number, recipients: 1, failure });
    }
    let text = metrics.render(&Standing::default()).unwrap();
    let series = text.lines().filter(|line| line.starts_with("oxpost_messages_failed_total")).count();
    assert_eq!(series, 1);
    assert!(!text.contains("guess") && !text.contains("words"));
}

/// Words that begin with our prefix.
fn names(text: &str) -> BTreeSet<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !word(c)).filter(|name| name.starts_with("oxpost_")).collect()
}

#[test]
fn the_dashboard_and_the_rules_ask_for_figures_that_there_are() {
    let text = everything();
    let there: BTreeSet<&str> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next()).collect();
    for (file, content) in [("the dashboard", DASHBOARD), ("the rules", RULES)] {
        let asked = names(content);
        assert!(asked.len() > 5, "{file} asks for something");
        for name in asked {
            assert!(there.contains(name), "{file} asks for `{name}`, which is not in\n{text}");
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 5);
}
