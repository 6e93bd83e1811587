//! One SMTP session: greeting, commands, STARTTLS.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::super::faults::{Fault, GreetingFault};
use super::super::post_office::Place;
use super::super::shared::Shared;
use super::command::{Command, Syntax};
use super::login::Login;
use super::stream::{BadLine, Connection};
use super::transaction::Transaction;

/// Longest command line (Exchange takes more than the 512 of RFC 5321 section 4.5.3.1.4).
const LONGEST_COMMAND: usize = 2_048;
/// Longest AUTH line or response (RFC 4954 section 4).
pub(super) const LONGEST_AUTH: usize = 12_288;
/// What EHLO says of SIZE: the ceiling of the service, not of a mailbox.
const SIZE: usize = 157_286_400;

/// Whether a session goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// With the next command.
    On,
    /// It ends, after what was said has been written.
    Close,
    /// It ends at once; what was said is lost.
    Cut,
    /// It goes on inside TLS.
    Secure,
}

/// A session.
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) shared: Arc<Shared>,
    tls: TlsAcceptor,
    pub(super) secured: bool,
    pub(super) greeted: bool,
    pub(super) login: Option<Login>,
    pub(super) transaction: Option<Transaction>,
}

impl Session {
    pub(super) fn new(tcp: TcpStream, tls: TlsAcceptor, shared: Arc<Shared>) -> Self {
        // Without it small replies would wait for acknowledgements; with an error it is merely slow.
        let _ = tcp.set_nodelay(true);
        let connection = Connection::new(Box::new(tcp), Arc::clone(&shared));
        Self { connection, shared, tls, secured: false, greeted: false, login: None, transaction: None }
    }

    /// Serves the client until it leaves.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let fault = self.shared.switches.take(None, Fault::of_greeting);
        match fault {
            None => {}
            Some(GreetingFault::Close) => return Ok(()),
            Some(GreetingFault::Hang) => {
                self.shared.stopping.cancelled().await;
                return Ok(());
            }
            Some(GreetingFault::Refused) => {
                self.connection.say("421 4.3.2 Service not active");
                return self.connection.close().await;
            }
        }
        self.connection.say("220 localhost oxpost practice tenant, Exchange Online look-alike, ESMTP ready");
        loop {
            let line = self.connection.line(LONGEST_AUTH).await?;
            match self.obey(line).await? {
                Flow::On => {}
                Flow::Close => {
                    // Its place is free before the client can know that it has left.
                    self.login = None;
                    return self.connection.close().await;
                }
                Flow::Cut => return Ok(()),
                Flow::Secure => self = self.secure().await?,
            }
        }
    }

    /// Says a reply and goes on.
    pub(super) fn reply(&mut self, reply: &str) -> io::Result<Flow> {
        self.connection.say(reply);
        Ok(Flow::On)
    }

    /// Says a reply, notes why, and goes on.
    pub(super) fn object(&mut self, reply: &str, why: &str) -> io::Result<Flow> {
        self.shared.note(Place::Smtp, format!("{why} ({reply})"));
        self.reply(reply)
    }

    async fn obey(&mut self, line: Result<String, BadLine>) -> io::Result<Flow> {
        let line = match line {
            Ok(line) => line,
            Err(BadLine::TooLong) => {
                return self.object("500 5.5.2 Line too long", "a command line over 12,288 octets");
            }
            Err(BadLine::BareLineEnd) => {
                return self.object("500 5.5.2 Syntax error", "a command line that does not end with CRLF alone");
            }
            Err(BadLine::NotText) => return self.object("500 5.5.2 Syntax error", "a command line that is not UTF-8"),
        };
        match Command::parse(&line) {
            Ok(Command::Auth { mechanism, initial }) => self.auth(&mechanism, initial).await,
            Ok(_) if line.len() > LONGEST_COMMAND => {
                self.object("500 5.5.2 Line too long", "a command over 2,048 octets")
            }
            Ok(command) => self.execute(command).await,
            Err(syntax @ Syntax::Unrecognized(_)) => self.object(&syntax.to_string(), "an unknown command"),
            Err(syntax) => {
                let verb = line.split(' ').next().unwrap_or_default();
                self.object(&syntax.to_string(), &format!("{verb} with something Exchange does not take"))
            }
        }
    }

    async fn execute(&mut self, command: Command) -> io::Result<Flow> {
        match command {
            Command::Ehlo => self.ehlo(),
            Command::Helo => {
                self.greet();
                self.reply("250 localhost Hello")
            }
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial } => self.auth(&mechanism, initial).await,
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt { address } => self.rcpt(address),
            Command::Data => self.data().await,
            Command::Bdat { octets, last } => self.bdat(octets, last).await,
            Command::Rset => {
                self.transaction = None;
                self.reply("250 2.0.0 Resetting")
            }
            Command::Noop => self.reply("250 2.0.0 OK"),
            Command::Vrfy => self.reply("252 2.1.5 Cannot VRFY user"),
            Command::Quit
                if self.shared.switches.take(None, |fault| (*fault == Fault::Quit).then_some(())).is_some() =>
            {
                self.shared.stopping.cancelled().await;
                Ok(Flow::Cut)
            }
            Command::Quit => {
                self.connection.say("221 2.0.0 Service closing transmission channel");
                Ok(Flow::Close)
            }
        }
    }

    fn greet(&mut self) {
        self.greeted = true;
        self.transaction = None;
    }

    fn ehlo(&mut self) -> io::Result<Flow> {
        self.greet();
        let after = if self.secured { "AUTH LOGIN XOAUTH2" } else { "STARTTLS" };
        for line in ["localhost Hello", &format!("SIZE {SIZE}"), "PIPELINING", "DSN", "ENHANCEDSTATUSCODES", after] {
            self.connection.say(&format!("250-{line}"));
        }
        self.reply("250-8BITMIME\r\n250-BINARYMIME\r\n250-CHUNKING\r\n250 SMTPUTF8")
    }

    fn start_tls(&mut self) -> io::Result<Flow> {
        if self.secured || !self.greeted {
            return self.object("503 5.5.1 Bad sequence of commands", "STARTTLS inside TLS or before EHLO");
        }
        if self.connection.read_ahead() > 0 {
            // RFC 3207 section 4.2; a client that pipelines here could be fed commands by somebody in between.
            self.shared.note(Place::Smtp, "octets in the clear after STARTTLS");
            self.connection.say("501 5.5.4 Nothing may follow STARTTLS before TLS");
            return Ok(Flow::Close);
        }
        self.connection.say("220 2.0.0 SMTP server ready");
        Ok(Flow::Secure)
    }

    async fn secure(self) -> io::Result<Self> {
        let connection = self.connection.secure(&self.tls).await?;
        // Nothing said before counts (RFC 3207 section 4.2).
        Ok(Self { connection, secured: true, greeted: false, login: None, transaction: None, ..self })
    }
}
