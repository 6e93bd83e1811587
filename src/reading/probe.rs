//! Tries whether a mailbox can be read: a login, and the one command that shows how many messages there are.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::talk::{broken, refused};
use super::{Protocol, ReadingServers, Talk, UpstreamStream, Way, hint};
use crate::mail::failure::one_line;
use crate::mail::{Address, Failure, Reason};
use crate::net::connect::Connector;
use crate::octets::{Input, Line};
use crate::token::TokenManager;

/// Octets of a line from the server that are looked at.
const MAX_LINE: usize = 8 * 1024;

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
        let limit = self.step_timeout;
        match way.protocol {
            Protocol::Imap => examine(Talk::new(stream, &logged_in.unread, 0, limit)).await,
            Protocol::Pop3 => {
                let late = |_| Failure::new(Reason::TimedOut, format!("no answer within {} s", limit.as_secs_f32()));
                timeout(limit, stat(stream)).await.map_err(late)?
            }
        }
    }
}

/// EXAMINE, which unlike SELECT does not even take the mark of what is new away.
async fn examine(mut talk: Talk<UpstreamStream>) -> Result<u64, Failure> {
    let mut count = None;
    talk.ask("EXAMINE INBOX", |answer| count = answer.exists().or(count)).await?;
    talk.leave().await;
    count.ok_or_else(|| refused("the server does not say how many messages there are"))
}

async fn stat(mut stream: UpstreamStream) -> Result<u64, Failure> {
    say(&mut stream, "STAT\r\n").await.map_err(|error| broken(&error))?;
    let line = line(&mut stream).await?;
    let count = line.strip_prefix("+OK ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    let count = count.ok_or_else(|| refused(line.trim_start_matches("-ERR").trim_start()))?;
    // It may hang up first, and what was asked is known.
    let _said = say(&mut stream, "QUIT\r\n").await;
    Ok(count)
}

async fn say(stream: &mut UpstreamStream, command: &str) -> std::io::Result<()> {
    stream.write_all(command.as_bytes()).await?;
    stream.flush().await
}

async fn line(stream: &mut UpstreamStream) -> Result<String, Failure> {
    let (mut input, mut buffer) = (Input::<MAX_LINE>::default(), [0; 4096]);
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return Err(broken(&"the server closed it")),
            Ok(count) => input.receive(&buffer[..count]),
            Err(error) => return Err(broken(&error)),
        }
        match input.line() {
            Some(Line::Whole(line)) => return Ok(one_line(&String::from_utf8_lossy(&line))),
            Some(Line::TooLong) => return Err(refused("the server talks without end")),
            None => {}
        }
    }
}
