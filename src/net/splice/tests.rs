use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

fn rules() -> Rules {
    Rules {
        idle: Duration::from_millis(600),
        half_closed: Duration::from_millis(100),
        hang_up: CancellationToken::new(),
        draining: CancellationToken::new(),
        quiet: Duration::from_millis(200),
    }
}

type Joined = JoinHandle<(io::Result<Ending>, u64, u64)>;

/// A spliced pair: what the client and the server hold, and the splice itself.
fn joined(rules: Rules, room: usize, to_client: &[u8], to_upstream: &[u8]) -> (DuplexStream, DuplexStream, Joined) {
    let (client, client_end) = duplex(room);
    let (server, server_end) = duplex(room);
    let ends = Ends {
        client: client_end,
        upstream: server_end,
        to_client: to_client.to_vec(),
        to_upstream: to_upstream.to_vec(),
    };
    let running = tokio::spawn(async move {
        let traffic = Traffic::default();
        let ending = splice(ends, &rules, &traffic).await;
        (ending, traffic.up(), traffic.down())
    });
    (client, server, running)
}

fn random(count: usize, seed: u64) -> Vec<u8> {
    let mut octets = vec![0; count];
    StdRng::seed_from_u64(seed).fill(octets.as_mut_slice());
    octets
}

#[tokio::test]
async fn both_directions_carry_every_octet_whatever_the_room() {
    for room in [1, 100, 5_000, 200_000] {
        let (client, server, running) = joined(rules(), room, b"first", b"early");
        let count = if room == 1 { 3_000 } else { 500_000 };
        let (up, down) = (random(count, 1), random(count + 7, 2));
        let talk = |end: DuplexStream, mine: Vec<u8>| async move {
            let (mut reader, mut writer) = tokio::io::split(end);
            let writing = async {
                writer.write_all(&mine).await.unwrap();
                writer.shutdown().await.unwrap();
            };
            let mut got = Vec::new();
            let reading = reader.read_to_end(&mut got);
            let ((), read) = tokio::join!(writing, reading);
            read.unwrap();
            got
        };
        let (at_client, at_server) = tokio::join!(talk(client, up.clone()), talk(server, down.clone()));
        assert!(at_client == [b"first".as_slice(), &down].concat(), "room {room}");
        assert!(at_server == [b"early".as_slice(), &up].concat(), "room {room}");
        let (ending, up_count, down_count) = running.await.unwrap();
        assert_eq!(ending.unwrap(), Ending::Closed);
        assert_eq!((up_count, down_count), (up.len() as u64 + 5, down.len() as u64 + 5));
    }
}

#[tokio::test]
async fn a_side_that_has_said_all_still_hears_the_rest() {
    let (mut client, mut server, running) = joined(rules(), 1024, b"", b"");
    client.write_all(b"QUIT\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = Vec::new();
    server.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"QUIT\r\n");
    server.write_all(b"+OK bye\r\n").await.unwrap();
    drop(server);
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"+OK bye\r\n");
    assert_eq!(running.await.unwrap().0.unwrap(), Ending::Closed);
}

#[tokio::test]
async fn a_reader_that_stalls_holds_the_writer_back_and_not_in_memory() {
    let patient = Rules { idle: Duration::from_secs(60), ..rules() };
    let (mut client, mut server, _running) = joined(patient, 1024, b"", b"");
    let endless = vec![7; 10 * BLOCK];
    let sent = tokio::time::timeout(Duration::from_millis(200), server.write_all(&endless));
    assert!(sent.await.is_err(), "the writer has to wait");
    let mut got = vec![0; BLOCK + 4 * 1024];
    let read = tokio::time::timeout(Duration::from_millis(200), client.read_exact(&mut got)).await;
    assert!(read.is_err(), "no more than a block and the two pipes had been taken");
}

#[tokio::test]
async fn silence_ends_it_and_an_octet_now_and_then_keeps_it() {
    let (mut client, mut server, running) = joined(rules(), 1024, b"", b"");
    let began = Instant::now();
    let mut octet = [0; 1];
    for _ in 0..5 {
        sleep(Duration::from_millis(300)).await;
        client.write_all(b"x").await.unwrap();
        server.read_exact(&mut octet).await.unwrap();
    }
    let (ending, up, _) = running.await.unwrap();
    assert_eq!((ending.unwrap(), up), (Ending::Idle, 5));
    assert!(began.elapsed() >= Duration::from_millis(2_100), "five times 300 ms, then 600: {:?}", began.elapsed());
}

#[tokio::test]
async fn half_a_connection_is_not_kept_for_ever() {
    let (mut client, _server, running) = joined(rules(), 1024, b"", b"");
    let began = Instant::now();
    client.shutdown().await.unwrap();
    assert_eq!(running.await.unwrap().0.unwrap(), Ending::Idle);
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn a_server_that_is_gone_is_not_mourned_for_long() {
    let (_client, server, running) = joined(rules(), 1024, b"", b"");
    let began = Instant::now();
    drop(server);
    assert_eq!(running.await.unwrap().0.unwrap(), Ending::Closed);
    assert!(began.elapsed() < Duration::from_millis(500), "though the client says nothing: {:?}", began.elapsed());
}

#[tokio::test]
async fn hanging_up_is_at_once_and_draining_waits_for_silence() {
    let hang_up = rules();
    let token = hang_up.hang_up.clone();
    let (_client, _server, running) = joined(hang_up, 1024, b"", b"");
    token.cancel();
    assert_eq!(running.await.unwrap().0.unwrap(), Ending::HungUp);

    let draining = rules();
    let token = draining.draining.clone();
    let (mut client, mut server, running) = joined(draining, 1024, b"", b"");
    let began = Instant::now();
    token.cancel();
    let mut octet = [0; 1];
    for _ in 0..10 {
        sleep(Duration::from_millis(50)).await;
        server.write_all(b"x").await.unwrap();
        client.read_exact(&mut octet).await.unwrap();
    }
    assert_eq!(running.await.unwrap().0.unwrap(), Ending::Drained);
    assert!(began.elapsed() >= Duration::from_millis(700), "500 ms of talk, then 200: {:?}", began.elapsed());
}

#[tokio::test]
async fn a_connection_that_breaks_ends_it_with_the_cause() {
    let client = tokio::io::join(Broken, tokio::io::sink());
    let (_server, upstream) = duplex(1024);
    let ends = Ends { client, upstream, to_client: Vec::new(), to_upstream: Vec::new() };
    let error = splice(ends, &rules(), &Traffic::default()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// Breaks at the first read.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}
