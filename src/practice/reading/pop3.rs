//! POP3: messages can be fetched and never go away.

use std::io;
use std::sync::Arc;

use super::super::shared::Shared;
use super::super::smtp::stream::Connection;
use super::{LONGEST, challenge, gone, judge, messages, object};

const PERMISSION: [&str; 2] = ["POP.AccessAsUser.All", "POP.AccessAsApp"];

pub(super) struct Session {
    connection: Connection,
    shared: Arc<Shared>,
    /// `None` before the login.
    messages: Option<Vec<Arc<[u8]>>>,
}

impl Session {
    pub(super) fn new(connection: Connection, shared: Arc<Shared>) -> Self {
        Self { connection, shared, messages: None }
    }

    pub(super) async fn run(mut self) -> io::Result<()> {
        self.connection.say("+OK The Microsoft Exchange POP3 service is ready.");
        loop {
            let Ok(line) = self.connection.line(LONGEST).await? else { return Err(gone()) };
            let (verb, argument) = line.split_once(' ').unwrap_or((line.as_str(), ""));
            match verb.to_ascii_uppercase().as_str() {
                "QUIT" => {
                    self.connection.say("+OK Microsoft Exchange Server POP3 server signing off.");
                    return self.connection.close().await;
                }
                "CAPA" => self.connection.say("+OK\r\nTOP\r\nUIDL\r\nSASL PLAIN XOAUTH2\r\nUSER\r\n."),
                "AUTH" => self.auth(argument).await?,
                verb => match self.messages.take() {
                    Some(messages) => {
                        self.read(verb, argument, &messages);
                        self.messages = Some(messages);
                    }
                    None => self.connection.say("-ERR Command is not valid in this state."),
                },
            }
        }
    }

    /// Two lines, as Microsoft documents it.
    async fn auth(&mut self, mechanism: &str) -> io::Result<()> {
        if !mechanism.eq_ignore_ascii_case("XOAUTH2") {
            self.connection.say("-ERR Protocol error. 18");
            return Ok(());
        }
        self.connection.say("+ ");
        let response = self.connection.line(LONGEST).await?.unwrap_or_default();
        match judge(&self.shared, &response, PERMISSION) {
            Ok(mailbox) => {
                self.messages = Some(messages(&self.shared, &mailbox));
                self.connection.say("+OK User successfully authenticated.");
            }
            Err(why) => {
                object(&self.shared, why);
                self.connection.say(&format!("+ {}", challenge()));
                self.connection.line(LONGEST).await?.ok();
                self.connection.say("-ERR Authentication failure: unknown user name or bad password.");
            }
        }
        Ok(())
    }

    fn read(&mut self, verb: &str, argument: &str, messages: &[Arc<[u8]>]) {
        let number = argument.split(' ').next().and_then(|text| text.parse::<usize>().ok());
        let one = number.and_then(|number| messages.get(number.checked_sub(1)?));
        match (verb, argument, one) {
            ("STAT", ..) => {
                let octets: usize = messages.iter().map(|message| message.len()).sum();
                self.connection.say(&format!("+OK {} {octets}", messages.len()));
            }
            ("LIST" | "UIDL", "", _) => {
                self.connection.say("+OK");
                for (at, message) in messages.iter().enumerate() {
                    let value = if verb == "LIST" { message.len() } else { at + 1 };
                    self.connection.say(&format!("{} {value}", at + 1));
                }
                self.connection.say(".");
            }
            ("RETR" | "TOP", _, Some(message)) => {
                self.connection.say("+OK");
                let lines = String::from_utf8_lossy(message);
                for line in lines.trim_end_matches("\r\n").split("\r\n") {
                    let stuffed = if line.starts_with('.') { "." } else { "" };
                    self.connection.say(&format!("{stuffed}{line}"));
                }
                self.connection.say(".");
            }
            ("NOOP" | "RSET" | "DELE", ..) => self.connection.say("+OK"),
            _ => self.connection.say("-ERR Protocol error."),
        }
    }
}
