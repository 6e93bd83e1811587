//! Tries whether a mailbox can be read: a login, and the one command that shows how many messages there are.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::back::BackTrouble;
use super::{Protocol, ReadingServers, UpstreamStream, Way, classify, hint};
use crate::mail::failure::one_line;
use crate::mail::{Address, Failure, Reason};
use crate::net::connect::Connector;
use crate::octets::{Input, Line};
use crate::token::TokenManager;

/// Octets of a line from the server that are looked at.
const MAX_LINE: usize = 8 * 1024;
/// Octets of an answer. The flags of a folder fit many times over.
const MAX_ANSWER: usize = 256 * 1024;

/// What came of trying to read a mailbox by one protocol.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Probed {
    /// `imap` or `pop3`.
    pub protocol: String,
    /// The server, with its port.
    pub server: String,
    /// The mailbox.
    pub mailbox: String,
    /// How many messages the inbox has; `None`: it cannot be read.
    pub messages: Option<u64>,
    /// Why it cannot be read.
    pub why: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a probe goes with.
pub struct Probe<'a> {
    /// Where tokens come from.
    pub tokens: &'a TokenManager,
    /// Makes the connections.
    pub connector: &'a Connector,
    /// How long each step may take.
    pub step_timeout: Duration,
}

impl Probe<'_> {
    /// Logs in to `mailbox` with a token of `account`, by each protocol it has a server for, and counts the messages.
    /// Nothing is changed there, and no message is read.
    pub async fn run(&self, account: &str, servers: &ReadingServers, mailbox: &Address) -> Vec<Probed> {
        let mut found = Vec::new();
        for protocol in [Protocol::Imap, Protocol::Pop3] {
            let Some(server) = servers.get(protocol) else { continue };
            let Self { connector, step_timeout, .. } = *self;
            let way = Way { connector, protocol, server, mailbox, step_timeout };
            let count = self.count(&way, account).await;
            let advice = |failure: &Failure| hint(failure.reason, account, protocol.name());
            found.push(Probed {
                protocol: protocol.name().to_owned(),
                server: format!("{}:{}", server.host, server.port),
                mailbox: mailbox.to_string(),
                hint: count.as_ref().err().map(advice),
                why: count.as_ref().err().map(ToString::to_string),
                messages: count.ok(),
            });
        }
        found
    }

    async fn count(&self, way: &Way<'_>, account: &str) -> Result<u64, Failure> {
        let (stream, logged_in) = way.enter_for(self.tokens, account).await?;
        let mut dialogue = Dialogue::new(stream, &logged_in.unread);
        let limit = self.step_timeout;
        let counted = match way.protocol {
            Protocol::Imap => timeout(limit, dialogue.examine()).await,
            Protocol::Pop3 => timeout(limit, dialogue.stat()).await,
        };
        let late = |_| Failure::new(Reason::TimedOut, format!("no answer within {} s", limit.as_secs_f32()));
        counted.map_err(late)?
    }
}

/// A connection that is logged in.
struct Dialogue {
    stream: UpstreamStream,
    input: Input<MAX_LINE>,
    /// Octets that were received.
    talk: usize,
}

impl Dialogue {
    fn new(stream: UpstreamStream, unread: &[u8]) -> Self {
        let mut input = Input::default();
        input.receive(unread);
        Self { stream, input, talk: 0 }
    }

    /// EXAMINE, which unlike SELECT does not even take the mark of what is new away.
    async fn examine(&mut self) -> Result<u64, Failure> {
        const TAG: &str = "oxpost1";
        self.say(&format!("{TAG} EXAMINE INBOX\r\n")).await?;
        let mut count = None;
        loop {
            let line = self.line().await?;
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next()) {
                (Some("*"), Some(number), Some("EXISTS")) => count = number.parse().ok(),
                (Some("*"), Some("BYE"), _) => return Err(refused(&line)),
                (Some(TAG), Some("OK"), _) => break,
                (Some(TAG), ..) => return Err(refused(line.trim_start_matches(TAG).trim_start())),
                _ => {}
            }
        }
        // It may hang up first, and what was asked is known.
        let _said = self.say("oxpost2 LOGOUT\r\n").await;
        count.ok_or_else(|| refused("the server does not say how many messages there are"))
    }

    async fn stat(&mut self) -> Result<u64, Failure> {
        self.say("STAT\r\n").await?;
        let line = self.line().await?;
        let count = line.strip_prefix("+OK ").and_then(|rest| rest.split(' ').next()?.parse().ok());
        let count = count.ok_or_else(|| refused(line.trim_start_matches("-ERR").trim_start()))?;
        let _said = self.say("QUIT\r\n").await;
        Ok(count)
    }

    async fn say(&mut self, command: &str) -> Result<(), Failure> {
        let stream = &mut self.stream;
        let write = async {
            stream.write_all(command.as_bytes()).await?;
            stream.flush().await
        };
        write.await.map_err(|error| broken(&error.to_string()))
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let mut buffer = [0; 4096];
        loop {
            match self.input.line() {
                Some(Line::Whole(line)) => return Ok(one_line(&String::from_utf8_lossy(&line))),
                Some(Line::TooLong) => return Ok(String::new()),
                None if self.talk > MAX_ANSWER => return Err(refused("the server talks without end")),
                None => {}
            }
            match self.stream.read(&mut buffer).await {
                Ok(0) => return Err(broken("the server closed it")),
                Ok(count) => {
                    self.talk += count;
                    self.input.receive(&buffer[..count]);
                }
                Err(error) => return Err(broken(&error.to_string())),
            }
        }
    }
}

fn broken(why: &str) -> Failure {
    Failure::new(Reason::ProviderTrouble, format!("the connection broke after the login: {why}"))
}

/// Exchange says of some mailboxes only now that they cannot be used.
fn refused(words: &str) -> Failure {
    let words = classify::clean(words, &[]);
    classify::of_trouble(&BackTrouble { words, to_login: false, challenge: None })
}
