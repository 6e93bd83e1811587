//! The first message by each way out, and the proof that it arrived as it was sent.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::house::{House, MAILBOXES, Mailbox};
use crate::cli::Report;

/// Named in the header.
const TO: &str = "alice@practice.example";
/// Named in the envelope alone: a blind copy.
const BLIND: &str = "bob@practice.example";
/// How long a message may be on its way.
const PATIENCE: Duration = Duration::from_secs(30);

fn subject(mailbox: &Mailbox) -> String {
    format!("oxpost try: hello by {}", mailbox.way)
}

/// Sends as an old program would: plain SMTP, one command at a time. Returns the reply that names the queue id.
pub(super) async fn send(gateway: SocketAddr, mailbox: &Mailbox) -> Result<String, Report> {
    let dialogue = async {
        let mut client = BufReader::new(TcpStream::connect(gateway).await?);
        let mut reply = read_reply(&mut client).await?;
        let (address, subject) = (mailbox.address, subject(mailbox));
        let message = format!("From: {address}\r\nTo: {TO}\r\nSubject: {subject}\r\n\r\nIt works.\r\n.\r\n");
        let commands = [
            "HELO oxpost-try\r\n".to_owned(),
            format!("MAIL FROM:<{address}>\r\n"),
            format!("RCPT TO:<{TO}>\r\n"),
            format!("RCPT TO:<{BLIND}>\r\n"),
            "DATA\r\n".to_owned(),
            message,
        ];
        for command in commands {
            if !matches!(reply.as_bytes().first(), Some(b'2' | b'3')) {
                break;
            }
            client.write_all(command.as_bytes()).await?;
            reply = read_reply(&mut client).await?;
        }
        Ok::<_, std::io::Error>(reply)
    };
    match timeout(PATIENCE, dialogue).await {
        Ok(Ok(reply)) if reply.starts_with("250") => Ok(reply.trim_end().to_owned()),
        Ok(Ok(reply)) => Err(Report::new(format!("the gateway refused the message: {}", reply.trim_end()))),
        Ok(Err(error)) => Err(Report::new(format!("talking to the gateway: {error}"))),
        Err(_) => Err(Report::new("the gateway did not answer in time")),
    }
}

/// The last line of a reply.
async fn read_reply(client: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

/// Both arrived, each at exactly its two recipients, and nobody sees the blind copy.
pub(super) async fn verify(house: &House) -> Result<(), Report> {
    let count = MAILBOXES.len() as u64;
    let arrived = timeout(PATIENCE, house.tenant().arrived(count)).await.map_err(|_| {
        Report::new(format!("only {} of {count} messages arrived within {PATIENCE:?}", house.tenant().mail_count()))
            .hint("run `oxpost try --verbose` to see the gateway's log")
    })?;
    for mailbox in MAILBOXES {
        let subject = subject(mailbox);
        let wrong = |what: &str| Report::new(format!("the message `{subject}` arrived, but {what}"));
        let message = arrived.iter().find(|message| message.subject() == subject);
        let message = message.ok_or_else(|| Report::new(format!("the message `{subject}` did not arrive")))?;
        let mut recipients = message.recipients.clone();
        recipients.sort_unstable();
        if recipients != [TO, BLIND] {
            return Err(wrong(&format!("its recipients are {recipients:?}")));
        }
        if message.mailbox != mailbox.address {
            return Err(wrong(&format!("from the mailbox {}", message.mailbox)));
        }
        if message.seen().iter().any(|seen| !seen.leaks.is_empty()) {
            return Err(wrong("somebody can see the blind copy"));
        }
    }
    let findings = house.tenant().findings();
    match findings.first() {
        None => Ok(()),
        Some(finding) => Err(Report::new(format!("the practice tenant found fault with the gateway: {finding:?}"))),
    }
}
