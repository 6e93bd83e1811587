//! A small SMTP client for a gateway on this machine or near it: one message, command by command.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::message::Letter;
use super::{Exit, Failure};

/// How long to wait for a connection, and for each reply.
const CONNECT: Duration = Duration::from_secs(10);
const REPLY: Duration = Duration::from_secs(300);

/// A connection that has said EHLO.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

/// Why a message was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// No gateway answers, or the connection broke.
    Lost { server: String, error: io::Error },
    /// The gateway refused a command.
    Reply { stage: Stage, reply: String },
}

/// What was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Hello,
    Sender,
    Recipient,
    Content,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Lost { server, error } => Self::new(
                Exit::TempFail,
                format!("no gateway answers at `{server}`: {error}; is it running, and is OXPOST_SERVER right?"),
            ),
            Refused::Reply { stage, reply } => {
                let exit = match (reply.as_bytes().first(), stage) {
                    (Some(b'5'), Stage::Sender) => Exit::NoPerm,
                    (Some(b'5'), Stage::Recipient) => Exit::NoUser,
                    (Some(b'5'), Stage::Content) => Exit::Unavailable,
                    _ => Exit::TempFail,
                };
                Self::new(exit, format!("the gateway refused the message: {reply}"))
            }
        }
    }
}

impl Client {
    /// Connects to `host:port` and says EHLO.
    pub(super) fn connect(server: &str) -> Result<Self, Refused> {
        let lost = |error| Refused::Lost { server: server.to_owned(), error };
        let stream = first_that_answers(server).map_err(lost)?;
        stream.set_read_timeout(Some(REPLY)).map_err(lost)?;
        stream.set_write_timeout(Some(REPLY)).map_err(lost)?;
        let mut client = Self { stream: BufReader::new(stream) };
        client.expect(Stage::Hello)?;
        client.say("EHLO localhost", Stage::Hello)?;
        Ok(client)
    }

    /// Hands a letter in. Every recipient must be taken: a caller cannot be told of a part.
    pub(super) fn send(&mut self, letter: &Letter) -> Result<(), Refused> {
        let eight_bit = if letter.content.is_ascii() { "" } else { " BODY=8BITMIME" };
        self.say(&format!("MAIL FROM:<{}>{eight_bit}", letter.sender), Stage::Sender)?;
        for recipient in &letter.recipients {
            self.say(&format!("RCPT TO:<{recipient}>"), Stage::Recipient)?;
        }
        self.say("DATA", Stage::Content)?;
        let mut stuffed = Vec::with_capacity(letter.content.len() + 5);
        for line in letter.content.split_inclusive(|&octet| octet == b'\n') {
            if line.starts_with(b".") {
                stuffed.push(b'.');
            }
            stuffed.extend_from_slice(line);
        }
        stuffed.extend_from_slice(b".\r\n");
        self.write(&stuffed)?;
        self.expect(Stage::Content)?;
        self.write(b"QUIT\r\n").ok();
        Ok(())
    }

    fn say(&mut self, command: &str, stage: Stage) -> Result<(), Refused> {
        // A line end in an address would be a command of its own.
        let command: String = command.chars().filter(|c| !c.is_control()).collect();
        self.write(format!("{command}\r\n").as_bytes())?;
        self.expect(stage)
    }

    fn write(&mut self, octets: &[u8]) -> Result<(), Refused> {
        let written = self.stream.get_mut().write_all(octets);
        written.map_err(|error| Refused::Lost { server: "the gateway".to_owned(), error })
    }

    /// Reads a reply, all of its lines; 2yz and 3yz are good.
    fn expect(&mut self, stage: Stage) -> Result<(), Refused> {
        let lost = |error| Refused::Lost { server: "the gateway".to_owned(), error };
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).map_err(lost)? == 0 {
                return Err(lost(io::ErrorKind::UnexpectedEof.into()));
            }
            if line.as_bytes().get(3) == Some(&b'-') {
                continue;
            }
            return match line.as_bytes().first() {
                Some(b'2' | b'3') => Ok(()),
                _ => Err(Refused::Reply { stage, reply: line.trim_end().to_owned() }),
            };
        }
    }
}

fn first_that_answers(server: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in server.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
