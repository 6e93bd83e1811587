//! SMTP submission: what it takes, and what it must not let pass.

use std::time::Duration;

use super::super::{
    AuthFault, DotFault, FailedAuth, Fault, GreetingFault, MessageRate, RecipientFault, Rule, Tenant, Via,
};
use super::client::{ALICE, GRAPH, MAIL, SCANNER, SMTP, Smtp, access_token, app_token, tenant, text, xoauth2};

const GOOD: &str = "235 2.7.0 Authentication successful";
const UNSUCCESSFUL: &str = "535 5.7.3 Authentication unsuccessful [localhost]";

fn last_finding(tenant: &Tenant) -> String {
    tenant.findings().last().map(|finding| finding.what.clone()).unwrap_or_default()
}

#[tokio::test]
async fn pipelined_transactions_by_data_and_bdat_are_taken() {
    let (tenant, _) = tenant().await;
    let mut smtp = Smtp::signed_in(&tenant, &access_token(&tenant, SMTP).await).await;
    let group = "MAIL FROM:<scanner@practice.example> SIZE=100 BODY=8BITMIME\r\n\
        RCPT TO:<alice@practice.example> NOTIFY=NEVER\r\nDATA\r\n";
    smtp.write(group.as_bytes()).await;
    assert_eq!(smtp.reply().await, "250 2.1.0 Sender OK");
    assert_eq!(smtp.reply().await, "250 2.1.5 Recipient OK");
    assert!(smtp.reply().await.starts_with("354 "));
    let content = MAIL.replace("Text", "..Text");
    assert!(smtp.say(&format!("{content}.")).await.starts_with("250 2.0.0 OK"));
    let (first, second) = MAIL.split_at(40);
    let size = second.len();
    let envelope = "MAIL FROM:<>\r\nRCPT TO:<bob@practice.example>";
    let group = format!("{envelope}\r\nBDAT 40\r\n{first}BDAT {size} LAST\r\n{second}QUIT\r\n");
    smtp.write(group.as_bytes()).await;
    for expected in ["250 2.1.0", "250 2.1.5", "250 2.6.0", "250 2.0.0 OK", "221 2.0.0"] {
        let reply = smtp.reply().await;
        assert!(reply.starts_with(expected), "{reply}");
    }
    let mail = tenant.arrived(2).await;
    assert_eq!(&*mail[0].raw, MAIL.replace("Text", ".Text").as_bytes(), "the stuffed dot is gone");
    assert_eq!((mail[0].via, mail[0].reverse_path.as_deref()), (Via::Smtp, Some(SCANNER)));
    assert_eq!((&*mail[1].raw, mail[1].reverse_path.as_deref()), (MAIL.as_bytes(), Some("")));
    assert_eq!(mail[1].recipients, ["bob@practice.example"], "the envelope decides, not the header");
    assert_eq!(tenant.findings(), []);
}

#[tokio::test]
async fn wrong_sign_ins_are_caught() {
    let (tenant, clock) = tenant().await;
    // The first, as long as nothing else is consented to: later tokens of a resource carry all of its consents.
    let reading = access_token(&tenant, "https://outlook.office.com/IMAP.AccessAsUser.All").await;
    let good = access_token(&tenant, SMTP).await;
    let for_graph = access_token(&tenant, GRAPH).await;
    let rows = [
        (xoauth2(SCANNER, &for_graph), "for Graph, not for Exchange", "the wrong audience"),
        (xoauth2(SCANNER, &reading), "does not carry `SMTP.Send`", "a scope missing"),
        (xoauth2(ALICE, &good), "is not the account of the token", "user= of somebody else"),
        (xoauth2(SCANNER, "made-up"), "not one of ours", "an unknown token"),
        (xoauth2(SCANNER, &good).replace('=', ""), "not padded standard base64", "base64 without padding"),
        ("AUTH XOAUTH2 dXNlcj1h".into(), "two octets of value 1", "a response cut short"),
    ];
    for (command, finding, why) in rows {
        let mut smtp = Smtp::secure(&tenant).await;
        assert_eq!(smtp.say(&command).await, UNSUCCESSFUL, "{why}");
        assert!(last_finding(&tenant).contains(finding), "{why}: {}", last_finding(&tenant));
        assert!(smtp.say("MAIL FROM:<>").await.starts_with("530 5.7.57"), "{why}");
    }
    clock.advance(Duration::from_secs(3_599));
    let mut smtp = Smtp::secure(&tenant).await;
    assert_eq!(smtp.say(&xoauth2(SCANNER, &good)).await, UNSUCCESSFUL);
    assert!(last_finding(&tenant).contains("expired"));
    assert!(tenant.findings().iter().all(|finding| !finding.what.contains(&good[..40])), "no finding shows a token");
}

#[tokio::test]
async fn a_response_on_its_own_line_and_an_apps_token_are_good() {
    let (tenant, _) = tenant().await;
    let app = text(&app_token(&tenant, "https://outlook.office365.com/.default").await, "access_token");
    let mut smtp = Smtp::secure(&tenant).await;
    assert_eq!(smtp.say("AUTH XOAUTH2").await, "334 ");
    let command = xoauth2(ALICE, &app);
    assert_eq!(smtp.say(command.trim_start_matches("AUTH XOAUTH2 ")).await, GOOD, "any mailbox of the tenant");
}

#[tokio::test]
async fn a_challenge_must_be_answered_by_an_empty_line() {
    let (tenant, _) = tenant().await;
    tenant.switches().set(|knobs| knobs.failed_auth = FailedAuth::Challenge);
    let mut smtp = Smtp::secure(&tenant).await;
    assert!(smtp.say(&xoauth2(SCANNER, "made-up")).await.starts_with("334 eyJ"));
    assert_eq!(smtp.say("").await, UNSUCCESSFUL);
    assert_eq!(tenant.findings().len(), 1);
    assert!(smtp.say(&xoauth2(SCANNER, "made-up")).await.starts_with("334 eyJ"));
    assert_eq!(smtp.say("*").await, UNSUCCESSFUL);
    assert!(tenant.findings()[1].what.contains("something else than an empty line"));
}

#[tokio::test]
async fn nothing_is_said_in_the_clear() {
    let (tenant, _) = tenant().await;
    let mut smtp = Smtp::connect(tenant.smtp_addr()).await;
    smtp.reply().await;
    assert!(!smtp.say("EHLO here").await.contains("AUTH"));
    assert!(smtp.say("AUTH XOAUTH2").await.starts_with("504 5.7.4"));
    assert!(smtp.say("MAIL FROM:<>").await.starts_with("530 5.7.57"));
    smtp.write(b"STARTTLS\r\nMAIL FROM:<>\r\n").await;
    assert!(smtp.reply().await.starts_with("501 5.5.4"));
    assert_eq!(last_finding(&tenant), "octets in the clear after STARTTLS");
}

#[tokio::test]
async fn wrong_messages_are_caught() {
    let (tenant, _) = tenant().await;
    let mut smtp = Smtp::signed_in(&tenant, &access_token(&tenant, SMTP).await).await;
    let rows = [
        (MAIL.replace("Text\r\n", "Text\nmore\r\n"), "550 5.6.11", "a bare LF"),
        (MAIL.replace("Text\r\n", "Text\rmore\r\n"), "550 5.6.11", "a bare CR"),
        (MAIL.replace("Text\r\n", "\n.\nMAIL FROM:<>\r\n"), "550 5.6.11", "a second message behind LF.LF"),
        (MAIL.replace("From:", "X-From:"), "550 5.7.512", "no From"),
        (MAIL.replace("From: scanner@", "From: alice@"), "554 5.2.252", "From of another mailbox"),
    ];
    for (content, reply, why) in rows {
        let said = smtp.send(ALICE, &content).await;
        assert!(said.starts_with(reply), "{why}: {said}");
        assert!(last_finding(&tenant).contains(reply), "{why}");
    }
    assert!(tenant.findings()[2].what.contains("second message"), "{:?}", tenant.findings());
    assert!(smtp.say("MAIL FROM:<alice@practice.example>").await.starts_with("550 5.7.60"));
    assert!(smtp.say("MAIL FROM:<noreply@practice.example>").await.starts_with("250"), "a right it was given");
    assert!(smtp.say("DATA").await.starts_with("503"));
    tenant.switches().set(|knobs| knobs.smtp_max_octets = 10);
    assert!(smtp.say("RSET").await.starts_with("250"));
    assert!(smtp.send(ALICE, MAIL).await.starts_with("552 5.3.4"));
    assert_eq!(tenant.mail_count(), 0);
}

#[tokio::test]
async fn a_bcc_field_that_is_left_in_is_a_leak() {
    let (tenant, _) = tenant().await;
    let mut smtp = Smtp::signed_in(&tenant, &access_token(&tenant, SMTP).await).await;
    let mime = MAIL.replace("Subject", "Bcc: audit@elsewhere.example\r\nSubject");
    smtp.send(ALICE, &mime).await;
    let mail = tenant.arrived(1).await.remove(0);
    assert_eq!(mail.seen_by(ALICE).unwrap().leaks, ["audit@elsewhere.example"]);
    assert!(mail.seen_by("audit@elsewhere.example").is_none(), "nobody put them into the envelope");
}

#[tokio::test]
async fn a_fourth_session_is_one_too_many() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, SMTP).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(Smtp::signed_in(&tenant, &token).await);
    }
    let mut fourth = Smtp::secure(&tenant).await;
    assert!(fourth.say(&xoauth2(SCANNER, &token)).await.starts_with("432 4.3.2"));
    assert_eq!(fourth.reply().await, "", "and the connection is closed");
    let mut one = held.remove(0);
    assert!(one.say("QUIT").await.starts_with("221"));
    assert_eq!(one.reply().await, "");
    drop(Smtp::signed_in(&tenant, &token).await);
    tenant.switches().set(|knobs| knobs.smtp_sessions = 0);
    held.push(Smtp::signed_in(&tenant, &token).await);
    held.push(Smtp::signed_in(&tenant, &token).await);
}

#[tokio::test]
async fn the_31st_message_of_a_minute_is_noted_or_refused() {
    let (tenant, clock) = tenant().await;
    let mut smtp = Smtp::signed_in(&tenant, &access_token(&tenant, SMTP).await).await;
    tenant.switches().set(|knobs| knobs.message_rate = MessageRate::Delayed);
    for _ in 0..30 {
        assert!(smtp.send(ALICE, MAIL).await.starts_with("250"));
    }
    assert_eq!(tenant.findings(), []);
    assert!(smtp.send(ALICE, MAIL).await.starts_with("250"));
    assert!(last_finding(&tenant).contains("30 messages within a minute"));
    tenant.switches().set(|knobs| knobs.message_rate = MessageRate::Refused);
    assert!(smtp.send(ALICE, MAIL).await.starts_with("451 4.7.500"));
    clock.advance(Duration::from_secs(60));
    assert!(smtp.send(ALICE, MAIL).await.starts_with("250"));
}

#[tokio::test]
async fn sign_in_fails_on_demand() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, SMTP).await;
    for (fault, reply) in [
        (AuthFault::Refused, "535 5.7.3"),
        (AuthFault::RefusedAfterChallenge, "334 "),
        (AuthFault::SwitchedOff, "535 5.7.139"),
        (AuthFault::Temporary, "454 4.7.0"),
        (AuthFault::TooManySessions, "432 4.3.2"),
    ] {
        tenant.switches().inject(Rule::once(Fault::Auth(fault)).only_for(SCANNER));
        let mut smtp = Smtp::secure(&tenant).await;
        let said = smtp.say(&xoauth2(SCANNER, &token)).await;
        assert!(said.starts_with(reply), "{fault:?}: {said}");
    }
    for (fault, reply) in [(GreetingFault::Refused, "421 4.3.2 Service not active"), (GreetingFault::Close, "")] {
        tenant.switches().inject(Rule::once(Fault::Greeting(fault)));
        let mut smtp = Smtp::connect(tenant.smtp_addr()).await;
        assert_eq!(smtp.reply().await, reply, "{fault:?}");
    }
    assert_eq!(tenant.findings(), [], "faults are not the client's");
}

#[tokio::test]
async fn transactions_fail_on_demand() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, SMTP).await;
    let mut smtp = Smtp::signed_in(&tenant, &token).await;
    let switches = tenant.switches();
    switches.inject(Rule::once(Fault::MailFrom));
    assert!(smtp.say(&format!("MAIL FROM:<{SCANNER}>")).await.starts_with("550 5.7.60"));
    smtp.say(&format!("MAIL FROM:<{SCANNER}>")).await;
    switches.inject(Rule::once(Fault::Recipient(ALICE.into(), RecipientFault::Temporary)));
    switches.inject(Rule::once(Fault::Recipient(ALICE.into(), RecipientFault::Permanent)));
    assert!(smtp.say("RCPT TO:<bob@practice.example>").await.starts_with("250"));
    assert!(smtp.say(&format!("RCPT TO:<{ALICE}>")).await.starts_with("450 4.2.1"));
    assert!(smtp.say(&format!("RCPT TO:<{ALICE}>")).await.starts_with("550 5.1.1"));
    smtp.say("RSET").await;
    for (fault, reply, taken) in [
        (DotFault::Temporary, "451 4.7.0", 0),
        (DotFault::Permanent, "550 5.7.1", 0),
        (DotFault::Late(Duration::from_millis(1)), "250 2.0.0", 1),
        (DotFault::TakenThenLost, "", 2),
        (DotFault::Lost, "", 2),
        (DotFault::Closing, "421 4.3.2", 2),
    ] {
        switches.inject(Rule::once(Fault::EndOfData(fault)));
        let said = smtp.send(ALICE, MAIL).await;
        assert!(said.starts_with(reply) && said.is_empty() == reply.is_empty(), "{fault:?}: {said}");
        assert_eq!(tenant.mail_count(), taken, "{fault:?}");
        if said.is_empty() {
            smtp = Smtp::signed_in(&tenant, &token).await;
        }
    }
    assert_eq!(tenant.findings(), []);
}
