//! The way to the provider's SMTP server in trouble: a proxy of ours cuts it at every step, lets it drip, or swallows
//! everything. Nothing is lost, a second copy is explained by history, and it mends without a restart.
//!
//! The numbers are those of the fault table in docs/reliability.md.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxpost::mail::{Event, QueueId};
use oxpost::queue::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::house::{House, Plan, RECIPIENT, SCANNER, letter};

/// What the proxy does to connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mood {
    Pass,
    /// The connection ends after so many octets in both directions.
    Cut(u64),
    /// Octet by octet.
    Drip,
    /// Nothing comes back, ever.
    Swallow,
    /// Accepted and closed.
    Close,
}

/// A proxy before the practice tenant's SMTP server.
struct Proxy {
    address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    octets: Arc<AtomicU64>,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, mood, octets) =
            (listener.local_addr().unwrap(), Arc::new(Mutex::new(Mood::Pass)), Arc::default());
        let proxy = Self { address, mood, octets };
        let (mood, octets) = (Arc::clone(&proxy.mood), Arc::clone(&proxy.octets));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mood, octets) = (*mood.lock().unwrap(), Arc::clone(&octets));
                tokio::spawn(async move { carry(client, to, mood, octets).await });
            }
        });
        proxy
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn carry(client: TcpStream, to: SocketAddr, mood: Mood, octets: Arc<AtomicU64>) {
    if mood == Mood::Close {
        return;
    }
    if mood == Mood::Swallow {
        let _held = client;
        return std::future::pending().await;
    }
    let server = TcpStream::connect(to).await.unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Whichever side is cut, both ends are dropped, so both see the end at once.
    tokio::select! {
        () = copy(from_client, to_server, mood, (&seen, &octets)) => {}
        () = copy(from_server, to_client, mood, (&seen, &octets)) => {}
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mood: Mood,
    (seen, octets): (&AtomicU64, &AtomicU64),
) {
    let mut buffer = vec![0; 16 * 1024];
    let piece = if mood == Mood::Drip { 1 } else { buffer.len() };
    while let Ok(count) = from.read(&mut buffer[..piece]).await
        && count > 0
    {
        let count = count as u64;
        let before = seen.fetch_add(count, Ordering::SeqCst);
        octets.fetch_add(count, Ordering::SeqCst);
        let passed = if let Mood::Cut(at) = mood { count.min(at.saturating_sub(before)) } else { count };
        if to.write_all(&buffer[..usize::try_from(passed).unwrap()]).await.is_err() || passed < count {
            return;
        }
    }
}

/// A gateway whose SMTP server is behind the proxy.
async fn behind_a_proxy(tables: &str) -> (House, Proxy) {
    let mut house = House::start(Plan { tables: tables.to_owned(), ..Plan::default() }).await;
    let to = house.tenant.smtp_addr();
    let proxy = Proxy::start(to).await;
    let file = house.path("oxpost.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let port = |port: u16| format!("smtp_port = {port}");
    std::fs::write(&file, text.replace(&port(to.port()), &port(proxy.address.port()))).unwrap();
    house.restart().await;
    (house, proxy)
}

async fn send(house: &House, subject: &str) -> QueueId {
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, subject)).await
}

/// Waits until an attempt at the message came to nothing, or to its end.
async fn attempted(house: &House, message: QueueId) -> bool {
    let pick = |event: &Event| {
        if let Event::Deferred { id, .. } | Event::Relayed { id, .. } = event
            && *id == message
        {
            return Some(matches!(event, Event::Relayed { .. }));
        }
        None
    };
    house.events.first("the message is attempted", pick).await
}

async fn copies(house: &House, subject: &str) -> usize {
    house.arrived(0).await.iter().filter(|mail| mail.subject() == subject).count()
}

/// Rows 35, 42, 43, 46, 47, 49: the connection ends at any point of handshake, login, envelope and content.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_at_any_octet_loses_nothing() {
    let (house, proxy) = behind_a_proxy("[delivery]\nidle_timeout = \"0 s\"\n").await;
    let first = send(&house, "whole").await;
    house.relayed(first).await;
    let whole = proxy.octets.load(Ordering::SeqCst);
    let steps = 24;
    for step in 0..steps {
        let subject = format!("cut {step}");
        proxy.set(Mood::Cut(whole * step / steps));
        let id = send(&house, &subject).await;
        let relayed = attempted(&house, id).await;
        proxy.set(Mood::Pass);
        if !relayed {
            let other = house.later(Duration::from_secs(20 * 60), SCANNER).await;
            house.relayed(id).await;
            house.relayed(other).await;
        }
        let detail = house.show(id).await;
        let twice = detail.attempts.iter().filter_map(|attempt| attempt.result.as_ref());
        let twice = twice.flat_map(|result| &result.notes).filter(|note| note.contains("may arrive twice")).count();
        let copies = copies(&house, &subject).await;
        assert!((1..=1 + twice).contains(&copies), "{subject}: {copies} copies, {twice} times unknown");
        assert_eq!(detail.summary.state, State::Relayed, "{subject}");
    }
    assert_eq!(house.events.count(|event| matches!(event, Event::Failed { .. })), 0);
}

/// Rows 50, 53: every octet for itself is slow, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_drips_is_slow_and_nothing_else() {
    let (house, proxy) = behind_a_proxy("").await;
    proxy.set(Mood::Drip);
    let id = send(&house, "drips").await;
    house.relayed(id).await;
    assert_eq!((copies(&house, "drips").await, house.show(id).await.summary.attempts), (1, 1));
}

/// Rows 31, 32: no answer at all, or none but the end.
#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_left_and_mail_goes_when_it_is_gone() {
    let (house, proxy) = behind_a_proxy("[delivery]\nstep_timeout = \"3 s\"\nidle_timeout = \"0 s\"\n").await;
    for (mood, subject) in [(Mood::Swallow, "swallowed"), (Mood::Close, "closed")] {
        proxy.set(mood);
        let id = send(&house, subject).await;
        assert!(!attempted(&house, id).await, "{subject}");
        let other = house.send(crate::house::BILLING, &[RECIPIENT], letter(crate::house::BILLING, RECIPIENT, "other"));
        house.relayed(other.await).await;
        proxy.set(Mood::Pass);
        let later = house.later(Duration::from_secs(20 * 60), SCANNER).await;
        house.relayed(id).await;
        house.relayed(later).await;
        assert_eq!(copies(&house, subject).await, 1);
    }
}

/// Rows 25, 26: the clock jumps ahead, and back.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_expires_nothing_fresh_and_delays_nothing_for_long() {
    let (house, proxy) = behind_a_proxy("").await;
    proxy.set(Mood::Close);
    let id = send(&house, "jumped").await;
    assert!(!attempted(&house, id).await);
    proxy.set(Mood::Pass);
    house.later(Duration::from_secs(2 * 24 * 3_600), SCANNER).await;
    house.relayed(id).await;
    assert_eq!(house.events.count(|event| matches!(event, Event::Failed { .. })), 0, "two days are not four");
    assert_eq!(copies(&house, "jumped").await, 1);
}
