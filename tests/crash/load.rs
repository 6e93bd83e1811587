//! Clients that hand in mail as fast as it is taken, whatever happens to the gateway, and remember what it promised.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients at once.
const CLIENTS: u64 = 10;
/// Acknowledged messages that may wait for delivery before the clients pause: the ways out must stay busy too.
const WAITING: u64 = 300;
/// Messages on one connection.
const PER_CONNECTION: u64 = 5;
/// Every so many messages one is too large for the database and goes to a spool file.
const LARGE_EVERY: u64 = 40;

/// The mailbox of a person who signed in; her access tokens are renewed by a refresh token.
pub(crate) const PERSON: &str = "alice@practice.example";
const SENDERS: [&str; 3] = ["scanner@practice.example", "billing@practice.example", PERSON];

/// Who sends message `number`.
pub(crate) fn sender(number: u64) -> &'static str {
    SENDERS[usize::try_from(number % 3).unwrap()]
}

/// The configuration with an account of a person.
pub(crate) fn with_a_person(text: &str) -> String {
    let account = format!(
        "[account.by-person]\nprovider = \"practice\"\nmailbox = \"{PERSON}\"\nsend = [\"smtp\"]\n\n[account.by-smtp]"
    );
    text.replace("[account.by-smtp]", &account).replace("\"by-graph\"]\nsender", "\"by-graph\", \"by-person\"]\nsender")
}

/// The Message-ID of message `number`.
pub(crate) fn message_id(number: u64) -> String {
    format!("<{number}@load.test>")
}

/// The number of the message with this header, if it is one of the load's.
pub(crate) fn number_of(message: &[u8]) -> Option<u64> {
    let head = String::from_utf8_lossy(&message[..message.len().min(4_096)]).into_owned();
    head.lines().find_map(|line| line.strip_prefix("Subject: load ")?.trim().parse().ok())
}

/// What clients and test know of each other.
#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    started: AtomicU64,
    acknowledged: Mutex<HashSet<u64>>,
    /// Different messages that arrived.
    arrived: AtomicU64,
    /// What each client waits between two messages.
    pause: Duration,
}

/// The clients, at work until they are stopped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts them against the gateway on `port`, whether or not it runs yet. Each waits `pause` after a message.
    pub(crate) fn start(port: u16, pause: Duration) -> Self {
        let shared = Arc::new(Shared { pause, ..Shared::default() });
        let client = |_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work(port))
        };
        Self { clients: (0..CLIENTS).map(client).collect(), shared }
    }

    /// Tells the clients how many different messages have arrived.
    pub(crate) fn note_arrived(&self, count: usize) {
        self.shared.arrived.store(count as u64, Ordering::Relaxed);
    }

    /// Lets every client end its connection; returns the numbers of the acknowledged messages.
    pub(crate) fn stop(self) -> HashSet<u64> {
        self.shared.stopped.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        std::mem::take(&mut *self.shared.acknowledged.lock().unwrap())
    }
}

impl Shared {
    fn work(&self, port: u16) {
        while !self.stopped.load(Ordering::Relaxed) {
            let waiting =
                (self.acknowledged.lock().unwrap().len() as u64).saturating_sub(self.arrived.load(Ordering::Relaxed));
            if waiting > WAITING || self.connection(port).is_err() {
                std::thread::sleep(Duration::from_millis(5)); // full, or the gateway is down: ask again soon
            }
        }
    }

    /// One connection. A message whose reply does not come is not sent again: whether it was taken shows later.
    fn connection(&self, port: u16) -> io::Result<()> {
        let mut smtp = Smtp::connect(port)?;
        for _ in 0..PER_CONNECTION {
            let number = self.started.fetch_add(1, Ordering::Relaxed);
            smtp.send(number)?;
            self.acknowledged.lock().unwrap().insert(number);
            std::thread::sleep(self.pause);
        }
        smtp.command("QUIT", "221")
    }
}

/// A client's connection.
struct Smtp(BufReader<TcpStream>);

impl Smtp {
    fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut smtp = Self(BufReader::new(stream));
        smtp.reply("220")?;
        smtp.command("EHLO load.test", "250")?;
        Ok(smtp)
    }

    fn send(&mut self, number: u64) -> io::Result<()> {
        let sender = sender(number);
        let recipients: Vec<_> = (0..=number / 3 % 3).map(|n| format!("r{n}@elsewhere.example")).collect();
        self.command(&format!("MAIL FROM:<{sender}>"), "250")?;
        for recipient in &recipients {
            self.command(&format!("RCPT TO:<{recipient}>"), "250")?;
        }
        self.command("DATA", "354")?;
        let to = recipients.join(", ");
        let id = message_id(number);
        let header = format!("From: {sender}\r\nTo: {to}\r\nSubject: load {number}\r\nMessage-ID: {id}\r\n\r\n");
        let lines = if number.is_multiple_of(LARGE_EVERY) { 5_000 } else { 50 };
        let body = "seventy octets of text that say nothing, so that a message has a size.\r\n".repeat(lines);
        self.0.get_mut().write_all((header + &body).as_bytes())?;
        self.command(".", "250")
    }

    fn command(&mut self, line: &str, expected: &str) -> io::Result<()> {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        self.reply(expected)
    }

    /// Reads a reply to its last line. Another code than `expected` is a failure of the test: the gateway may vanish,
    /// but as long as it talks it takes mail.
    fn reply(&mut self, expected: &str) -> io::Result<()> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 || !line.ends_with('\n') {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            assert!(line.starts_with(expected), "expected {expected}, got {line}");
            if line.as_bytes().get(3) == Some(&b' ') {
                return Ok(());
            }
        }
    }
}
