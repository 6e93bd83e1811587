//! Routes, aliases, and the `sendmail` command.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::house::{BILLING, BOB, House, Plan, RECIPIENT, SCANNER, letter, network_client};

const TABLES: &str = "[alias]\nroot = \"it@own.example\"\nteam = [\"a@own.example\", \"b@own.example\"]\n\
    [[route]]\nrecipients = [\"@partner.example\"]\naccount = \"bob\"\n\
    [[route]]\nclients = [\"printers\"]\nsenders = [\"invoices@elsewhere.example\"]\naccount = \"billing\"\n";

async fn house() -> House {
    House::start(Plan { tables: TABLES.to_owned(), ..Plan::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn recipients_and_senders_lead_to_other_accounts() {
    let house = house().await;
    let rows = [
        (SCANNER, RECIPIENT, SCANNER, "no route"),
        (SCANNER, "x@partner.example", BOB, "by recipient"),
        ("invoices@elsewhere.example", RECIPIENT, BILLING, "by sender"),
        ("invoices@elsewhere.example", "x@partner.example", BOB, "the first route"),
    ];
    for (number, (from, to, mailbox, why)) in rows.into_iter().enumerate() {
        house.send(from, &[to], letter(from, to, why)).await;
        let arrived = house.arrived(number as u64 + 1).await;
        assert_eq!(
            (arrived[number].mailbox.as_str(), &arrived[number].recipients[..]),
            (mailbox, &[to.to_owned()][..]),
            "{why}"
        );
    }
    let mut client = house.client().await;
    assert!(client.say(&format!("MAIL FROM:<{SCANNER}>")).await.starts_with("250"));
    assert!(client.say(&format!("RCPT TO:<{RECIPIENT}>")).await.starts_with("250"));
    let reply = client.say("RCPT TO:<x@partner.example>").await;
    assert!(reply.starts_with("452 4.5.3") && reply.contains("message of its own"), "{reply}");
    assert!(client.say("RCPT TO:<other@elsewhere.example>").await.starts_with("250"), "the others go on");
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_name_who_receives() {
    let house = house().await;
    let to = ["root@localhost", "team@mx.example", RECIPIENT, "a@own.example"];
    house.send(SCANNER, &to, letter(SCANNER, "root@localhost", "s")).await;
    let mut recipients = house.only_one().await.recipients.clone();
    recipients.sort();
    assert_eq!(recipients, ["a@own.example", "b@own.example", RECIPIENT, "it@own.example"], "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_aliases_say_whose_mailbox_a_sender_means() {
    let aliases = format!("aliases = {{ \"erp@intranet.local\" = \"{BILLING}\", \"@print.local\" = \"{BOB}\" }}\n");
    let house = House::start(Plan { clients: network_client("strict") + &aliases, ..Plan::default() }).await;
    let rows = [
        ("ERP@Intranet.local", BILLING, "one address, in any letter case"),
        ("floor7@print.local", BOB, "every address of a domain"),
        (SCANNER, SCANNER, "no alias"),
    ];
    for (number, (from, mailbox, why)) in rows.into_iter().enumerate() {
        house.send(from, &[RECIPIENT], letter(from, RECIPIENT, why)).await;
        let arrived = house.arrived(number as u64 + 1).await;
        assert_eq!(arrived[number].mailbox, mailbox, "{why}");
        let header = String::from_utf8_lossy(&arrived[number].raw).into_owned();
        assert!(header.contains(&format!("From: {mailbox}\r\n")), "{header}");
        assert_eq!(
            header.to_lowercase().contains(&format!("reply-to: {}", from.to_lowercase())),
            from != mailbox,
            "{why}: {header}"
        );
    }
    let mut client = house.client().await;
    let reply = client.say("MAIL FROM:<someone@elsewhere.example>").await;
    assert!(reply.contains(&format!("may send as <{SCANNER}> alone")), "who has no other name is as before: {reply}");
}

/// Runs `oxpost` with these words, on a thread that may block.
async fn oxpost(words: &[&str], input: &str) -> Output {
    let (words, input): (Vec<String>, _) = (words.iter().map(|&word| word.to_owned()).collect(), input.to_owned());
    let run = move || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_oxpost"))
            .args(words)
            .env("LOGNAME", "daemon")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that ends before it has read everything is what some rows are about.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sendmail_command_hands_mail_in_and_says_what_became_of_it() {
    let house = house().await;
    let server = house.listener(0).to_string();
    let mail =
        format!("From: App <{SCANNER}>\nTo: {RECIPIENT}\nBcc: hidden@own.example\nSubject: s\n\n.dot\n..\nend\n");
    let sent = oxpost(&["send", "--server", &server, "-t", "-i"], &mail).await;
    assert_eq!(sent.status.code(), Some(0), "{sent:?}");
    let arrived = house.only_one().await;
    assert_eq!(arrived.recipients, [RECIPIENT, "hidden@own.example"]);
    assert!(arrived.raw.ends_with(b"\r\n\r\n.dot\r\n..\r\nend\r\n"), "{}", String::from_utf8_lossy(&arrived.raw));
    assert!(arrived.seen().iter().all(|seen| seen.leaks.is_empty()));

    let cron = ["send", "--server", &server, "-FCronDaemon", "-odi", "-oem", "-oi", "-t", "-f", "root"];
    let done = oxpost(&cron, "From: root (Cron Daemon)\nTo: root\nSubject: Cron\n\nout\n").await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(house.arrived(2).await[1].recipients, ["it@own.example"]);

    let rows: [(&[&str], i32, &str, &str); 4] = [
        (&["send", "--server", "127.0.0.1:1", "a@x.example"], 75, "no gateway answers", "nobody there"),
        (&["send", "--server", &server, "not an address"], 67, "the gateway refused", "a recipient"),
        (&["send", "--server", &server, "-bp"], 64, "is not offered", "the queue"),
        (&["send", "--server", &server], 64, "nobody is to receive", "no recipient"),
    ];
    for (words, code, said, why) in rows {
        let done = oxpost(words, "Subject: x\n\n").await;
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(code), "{why}: {text}");
        assert!(text.contains(said), "{why}: {text}");
    }
    let dialogue = oxpost(&["send", "--server", &server, "-bs"], "EHLO me\r\nQUIT\r\n").await;
    let said = String::from_utf8_lossy(&dialogue.stdout).into_owned();
    assert!(said.starts_with("220 ") && said.contains("\r\n221 "), "{said}");
}
