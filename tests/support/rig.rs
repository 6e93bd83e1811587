//! The real program between a practice tenant of this process and clients of this process.
#![allow(dead_code, reason = "each of the tests takes what it needs")]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oxpost::practice::{self, APP_CLIENT_ID, APP_CLIENT_SECRET, Tenant};
use tokio::runtime::Runtime;

use crate::support::{Ground, Process, free_port, run, wait_for_port, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_oxpost");
/// Goes out by SMTP.
pub(crate) const SCANNER: &str = "scanner@practice.example";
/// Goes out by Graph.
pub(crate) const BILLING: &str = "billing@practice.example";
/// A recipient somewhere else.
pub(crate) const RECIPIENT: &str = "carol@elsewhere.example";

/// A folder with a configuration, and the provider that it names.
pub(crate) struct Rig {
    pub(crate) ground: Ground,
    pub(crate) tenant: Arc<Tenant>,
    /// Where the gateway takes mail.
    pub(crate) port: u16,
    /// Where its page is, and what monitoring reads.
    pub(crate) page: u16,
    pub(crate) runtime: Runtime,
}

impl Rig {
    /// The configuration of `gateway.toml`, changed by `change`.
    pub(crate) fn new(test: &'static str, change: impl FnOnce(String) -> String) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let tenant = Arc::new(runtime.block_on(Tenant::start(practice::Settings::default())).unwrap());
        tenant.switches().set(|knobs| {
            knobs.smtp_sessions = 0; // a killed gateway's sessions end a moment after it
            knobs.graph_requests = 0;
        });
        let rig = Self { ground: Ground::new(test), tenant, port: free_port(), page: free_port(), runtime };
        rig.ground.write("client-secret", APP_CLIENT_SECRET);
        rig.ground.write("ca.pem", rig.tenant.ca_pem());
        let filled = include_str!("gateway.toml")
            .replace("@client_id@", APP_CLIENT_ID)
            .replace("@authorize_url@", rig.tenant.authorize_url().as_str())
            .replace("@token_url@", rig.tenant.token_url().as_str())
            .replace("@graph_url@", rig.tenant.graph_base().as_str())
            .replace("@smtp_port@", &rig.tenant.smtp_addr().port().to_string())
            .replace("@port@", &rig.port.to_string())
            .replace("@page@", &rig.page.to_string());
        rig.ground.write("oxpost.toml", change(filled));
        rig
    }

    /// The program with these arguments and the configuration.
    pub(crate) fn oxpost(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--config").arg(self.ground.path("oxpost.toml"));
        command
    }

    /// The same, started by another program, such as `prlimit`.
    pub(crate) fn oxpost_under(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let inner = self.oxpost(arguments);
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(inner.get_program()).args(inner.get_args());
        command
    }

    /// Runs the gateway and waits until it takes connections.
    pub(crate) fn serve(&self) -> Process {
        self.serve_by(&self.oxpost(&["serve"]))
    }

    /// The same by a command of the caller's.
    pub(crate) fn serve_by(&self, command: &Command) -> Process {
        let mut gateway = Process::start(&self.ground, "gateway", command);
        wait_for_port(&mut gateway, self.port);
        gateway
    }

    /// What the gateway's log says so far.
    pub(crate) fn log(&self) -> String {
        self.ground.read("gateway.log")
    }

    /// A client that has said EHLO.
    pub(crate) fn client(&self) -> Client {
        let mut client = Client::connect(self.port).unwrap();
        assert_eq!(client.reply().unwrap().as_str().get(..3), Some("220"));
        assert!(client.say("EHLO rig.test").unwrap().starts_with("250"));
        client
    }

    /// Hands a small message in and gives the reply that decided.
    pub(crate) fn hand_in(&self, from: &str, subject: &str) -> String {
        self.client().hand_in(from, &letter(from, subject)).unwrap()
    }

    /// The same; it must be taken.
    pub(crate) fn send(&self, from: &str, subject: &str) {
        let reply = self.hand_in(from, subject);
        assert!(reply.starts_with("250 "), "{subject}: {reply}");
    }

    /// How often a message has arrived at the provider.
    pub(crate) fn copies(&self, subject: &str) -> usize {
        self.tenant.mail().iter().filter(|mail| mail.subject() == subject).count()
    }

    /// Waits until the message has arrived, and sees that it did so once.
    pub(crate) fn arrives_once(&self, subject: &str) {
        wait_until(&format!("`{subject}` arrives"), || (self.copies(subject) > 0).then_some(()));
        wait_until("the queue is empty", || self.queue().contains("the queue is empty").then_some(()));
        assert_eq!(self.copies(subject), 1, "{subject}");
    }

    /// What `oxpost queue list` says.
    pub(crate) fn queue(&self) -> String {
        run(&mut self.oxpost(&["queue", "list"]))
    }

    /// Makes every message due that waits.
    pub(crate) fn retry_all(&self) {
        let list = self.queue();
        let is_id = |word: &&str| word.len() == 32 && word.chars().all(|c| c.is_ascii_hexdigit());
        for id in list.split_whitespace().filter(is_id) {
            // It may be on its way at this moment, or gone.
            let _retried = self.oxpost(&["queue", "retry", id]).output();
        }
    }

    /// Releases these accounts and makes due what waits, again and again until the queue is empty; at most `patience`.
    pub(crate) fn drain(&self, accounts: &[&str], patience: Duration) {
        let deadline = Instant::now() + patience;
        while !self.queue().contains("the queue is empty") {
            assert!(Instant::now() < deadline, "mail is left: {}", self.queue());
            for account in accounts {
                // Nothing may be held.
                let _released = self.oxpost(&["queue", "release", account]).output();
            }
            self.retry_all();
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Status and text that the page's port answers, by HTTP/1.1 in clear.
    pub(crate) fn get(&self, path: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.page))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let port = self.page;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Ok((status, answer.split_once("\r\n\r\n").map_or("", |(_, text)| text).to_owned()))
    }

    /// Files that wait in the spool folder.
    pub(crate) fn spool_files(&self, data: &str) -> usize {
        std::fs::read_dir(self.ground.path(data).join("spool")).unwrap().count()
    }
}

/// A small complete message.
pub(crate) fn letter(from: &str, subject: &str) -> String {
    let id = subject.replace(' ', "-");
    format!("From: {from}\r\nTo: {RECIPIENT}\r\nSubject: {subject}\r\nMessage-ID: <{id}@rig.test>\r\n\r\nText\r\n")
}

/// The same with `octets` of text.
pub(crate) fn large_letter(from: &str, subject: &str, octets: usize) -> String {
    let line = "seventy octets of text that say nothing, so that a message has a size.\r\n";
    letter(from, subject) + &line.repeat(octets / line.len() + 1)
}

/// A client's connection.
pub(crate) struct Client(BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        stream.set_write_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The next reply, its lines joined.
    pub(crate) fn reply(&mut self) -> io::Result<String> {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 || !line.ends_with('\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            all.push_str(line.trim_end());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(all);
            }
            all.push('\n');
        }
    }

    pub(crate) fn write(&mut self, octets: &str) -> io::Result<()> {
        self.0.get_mut().write_all(octets.as_bytes())
    }

    pub(crate) fn say(&mut self, line: &str) -> io::Result<String> {
        self.write(&format!("{line}\r\n"))?;
        self.reply()
    }

    /// One transaction; the reply that decided it.
    pub(crate) fn hand_in(&mut self, from: &str, content: &str) -> io::Result<String> {
        for (line, expected) in [
            (format!("MAIL FROM:<{from}>"), "250"),
            (format!("RCPT TO:<{RECIPIENT}>"), "250"),
            ("DATA".to_owned(), "354"),
        ] {
            let reply = self.say(&line)?;
            if !reply.starts_with(expected) {
                return Ok(reply);
            }
        }
        self.write(content)?;
        self.say(".")
    }
}
