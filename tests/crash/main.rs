//! Nothing that was acknowledged is lost, however often the gateway is killed.
//!
//! Clients hand in mail all the time; the gateway is killed by SIGKILL at random moments, reception, delivery, start and
//! recovery included, and started again on the same data folder. In the end every acknowledged message has arrived at
//! the practice tenant, and whatever arrived twice had an attempt open at a kill.
//!
//! `OXPOST_SEED` repeats the moments of an earlier run, `OXPOST_LONG` kills more often.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

#[path = "../support/mod.rs"]
mod support;

mod load;

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxpost::practice::{self, APP_CLIENT_ID, APP_CLIENT_SECRET, Tenant};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::load::Load;
use crate::support::{Ground, Process, free_port, run, wait_for_port, wait_until};

const PROGRAM: &str = env!("CARGO_BIN_EXE_oxpost");

/// Attempts that can be open at once: 3 SMTP sessions of one mailbox, 4 Graph requests of another.
const CONCURRENT_ATTEMPTS: u64 = 7;

/// How long the gateway lives, in milliseconds. A start takes some 100 of them.
const LIFE: std::ops::Range<u64> = 0..800;

/// How often each message of the load arrived.
#[derive(Clone, Default)]
struct Arrivals(Arc<Mutex<HashMap<u64, u64>>>);

impl Arrivals {
    /// Counts what arrives at `tenant`, as long as the runtime lives.
    async fn count(self, tenant: Arc<Tenant>) {
        let mut seen = 0;
        loop {
            let mail = tenant.arrived(seen + 1).await;
            let mut copies = self.0.lock().unwrap();
            let known = seen;
            for message in mail.iter().filter(|message| message.number > known) {
                assert_eq!(message.number, seen + 1, "the tenant forgot mail before it was counted");
                seen = message.number;
                if let Some(number) = load::number_of(&message.raw) {
                    *copies.entry(number).or_default() += 1;
                }
            }
        }
    }

    fn distinct(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// How often an attempt of each message was open when the gateway was killed, by Message-ID, as history has it.
fn stopped_attempts(ground: &Ground) -> HashMap<String, u64> {
    let database = rusqlite::Connection::open(ground.path("data/oxpost.db")).unwrap();
    let sql = "SELECT message.message_id, count(*) FROM attempt JOIN message ON message.seq = attempt.message
        WHERE attempt.result LIKE '%oxpost stopped during the attempt%' GROUP BY 1";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?.into()))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn write_configuration(ground: &Ground, tenant: &Tenant, port: u16) {
    ground.write("client-secret", APP_CLIENT_SECRET);
    ground.write("ca.pem", tenant.ca_pem());
    let filled = include_str!("gateway.toml")
        .replace("@client_id@", APP_CLIENT_ID)
        .replace("@authorize_url@", tenant.authorize_url().as_str())
        .replace("@token_url@", tenant.token_url().as_str())
        .replace("@graph_url@", tenant.graph_base().as_str())
        .replace("@smtp_port@", &tenant.smtp_addr().port().to_string())
        .replace("@port@", &port.to_string());
    ground.write("oxpost.toml", filled);
}

fn oxpost(ground: &Ground, arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).arg("--config").arg(ground.path("oxpost.toml"));
    command
}

/// Starts the gateway and kills it, `kills` times, at moments that `random` chooses.
fn kill_again_and_again(ground: &Ground, random: &mut StdRng, kills: u64, mut each: impl FnMut()) {
    for _ in 0..kills {
        let mut gateway = Process::start(ground, "gateway", &oxpost(ground, &["serve"]));
        std::thread::sleep(Duration::from_millis(random.random_range(LIFE)));
        gateway.assert_runs();
        gateway.kill();
        each();
    }
}

#[test]
fn no_acknowledged_message_is_lost_however_often_the_gateway_is_killed() {
    let kills: u64 = if std::env::var_os("OXPOST_LONG").is_some() { 500 } else { 60 };
    let seed: u64 = std::env::var("OXPOST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("{kills} kills; repeat with OXPOST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let ground = Ground::new("crash");
    let port = free_port();

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let tenant = Arc::new(runtime.block_on(Tenant::start(practice::Settings::default())).unwrap());
    tenant.switches().set(|knobs| {
        knobs.smtp_latency = Duration::from_millis(5);
        knobs.graph_latency = Duration::from_millis(10);
        knobs.smtp_sessions = 0; // a killed gateway's sessions end a moment after it
        knobs.graph_requests = 0;
    });
    let arrivals = Arrivals::default();
    let counting = runtime.spawn(arrivals.clone().count(Arc::clone(&tenant)));
    write_configuration(&ground, &tenant, port);

    let load = Load::start(port);
    kill_again_and_again(&ground, &mut random, kills, || load.note_arrived(arrivals.distinct()));
    let mut gateway = Process::start(&ground, "gateway", &oxpost(&ground, &["serve"]));
    wait_for_port(&mut gateway, port);
    let acknowledged = load.stop();
    wait_until("the queue is empty", || {
        run(&mut oxpost(&ground, &["queue", "list"])).contains("the queue is empty").then_some(())
    });
    gateway.stop();
    assert!(!counting.is_finished(), "the count of arrivals ended early");

    let copies = arrivals.0.lock().unwrap().clone();
    let stopped = stopped_attempts(&ground);
    let lost: Vec<_> = acknowledged.iter().filter(|number| !copies.contains_key(number)).collect();
    assert!(lost.is_empty(), "acknowledged but lost: {lost:?}");
    let open = |number: u64| stopped.get(&load::message_id(number)).copied().unwrap_or(0);
    let unexplained: Vec<_> = copies.iter().filter(|(number, copies)| **copies > 1 + open(**number)).collect();
    assert!(unexplained.is_empty(), "(message, copies) without an attempt that was open at a kill: {unexplained:?}");
    let doubled: u64 = copies.values().map(|copies| copies - 1).sum();
    assert!(doubled <= kills * CONCURRENT_ATTEMPTS, "{doubled} copies too many after {kills} kills");

    let hit: u64 = stopped.values().sum();
    eprintln!(
        "{} acknowledged, {} arrived, {hit} attempts open at a kill, {doubled} copies",
        acknowledged.len(),
        copies.len()
    );
    assert!(acknowledged.len() as u64 > kills && hit >= kills / 4, "the kills met too little work to prove anything");
    let left = std::fs::read_dir(ground.path("data/spool")).unwrap().count();
    assert_eq!(left, 0, "spool files of messages that are gone");
    assert_eq!(tenant.findings(), [], "the practice tenant objected");
}
