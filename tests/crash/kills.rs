//! Nothing that was acknowledged is lost, however often the gateway is killed.
//!
//! Clients hand in mail all the time; the gateway is killed by SIGKILL at random moments, reception, delivery, renewal of
//! tokens, start, recovery and the upgrade of the database included, and started again on the same data folder. In the
//! end every acknowledged message has arrived at the practice tenant, and whatever arrived twice had an attempt open at
//! a kill.
//!
//! `OXPOST_SEED` repeats the moments of an earlier run, `OXPOST_KILLS` says how many, `OXPOST_LONG` makes them 300.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxpost::practice::Tenant;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::load::{self, Load, PERSON};
use crate::rig::Rig;
use crate::soak::LAST_MAIL;
use crate::support::{Process, run, wait_until};

/// Attempts that can be open at once: 3 SMTP sessions of each of two mailboxes, 4 Graph requests of another.
const CONCURRENT_ATTEMPTS: u64 = 10;

/// How long the gateway lives, in milliseconds. A start takes some 100 of them.
const LIFE: std::ops::Range<u64> = 0..800;

/// Every so many starts the database is one step older than the program.
const UPGRADE_EVERY: u64 = 4;

/// How often each message of the load arrived.
#[derive(Clone, Default)]
pub(crate) struct Arrivals(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    copies: HashMap<u64, u64>,
    /// The last message that was looked at, as the tenant numbers them.
    seen: u64,
}

impl Arrivals {
    /// Counts what arrives at `tenant`, as long as the runtime lives.
    pub(crate) async fn count(self, tenant: Arc<Tenant>) {
        loop {
            let known = self.0.lock().unwrap().seen;
            let mail = tenant.arrived(known + 1).await;
            let mut counted = self.0.lock().unwrap();
            for message in mail.iter().filter(|message| message.number > known) {
                assert_eq!(message.number, counted.seen + 1, "the tenant forgot mail before it was counted");
                counted.seen = message.number;
                if let Some(number) = load::number_of(&message.raw) {
                    *counted.copies.entry(number).or_default() += 1;
                }
            }
        }
    }

    pub(crate) fn distinct(&self) -> usize {
        self.0.lock().unwrap().copies.len()
    }

    /// How often each arrived, once all that arrived is counted.
    pub(crate) fn whole(&self, tenant: &Tenant) -> HashMap<u64, u64> {
        wait_until("all that arrived is counted", || {
            let counted = self.0.lock().unwrap();
            (counted.seen == tenant.mail_count()).then(|| counted.copies.clone())
        })
    }
}

/// How often an attempt of each message was open when the gateway was killed, by Message-ID, as history has it.
fn stopped_attempts(rig: &Rig) -> HashMap<String, u64> {
    attempts_with(rig, "oxpost stopped during the attempt")
}

/// How many attempts of each message ended in these words, by Message-ID, as history has it.
pub(crate) fn attempts_with(rig: &Rig, words: &str) -> HashMap<String, u64> {
    let database = rusqlite::Connection::open(rig.ground.path("data/oxpost.db")).unwrap();
    let sql = "SELECT message.message_id, count(*) FROM attempt JOIN message ON message.seq = attempt.message
        WHERE attempt.result LIKE '%' || ?1 || '%' GROUP BY 1";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map([words], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?.into()))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// Signs the account of a person in, as a browser would, through the operations that the command line uses.
fn sign_in(rig: &Rig) {
    let socket = rig.ground.path("data/control.sock");
    let post = |path: &str, body: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sSf", "-H", "content-type: application/json", "--unix-socket"]).arg(&socket);
        run(curl.args(["-d", body, &format!("http://localhost/api/v1/{path}")]))
    };
    let begun = post("accounts/by-person/sign-in", r#"{"redirect_uri": "http://localhost:8027/"}"#);
    let begun: serde_json::Value = serde_json::from_str(&begun).unwrap();
    let url = format!("{}&practice_auto=1", begun["url"].as_str().unwrap());
    let back = run(Command::new("curl").args(["-sS", "-o", "/dev/null", "-w", "%{redirect_url}", &url]));
    post("sign-in", &serde_json::json!({ "url": back }).to_string());
}

/// Makes the database what a program two steps older left, so that a kill may come between them, too.
fn make_older(rig: &Rig) {
    let Ok(database) = rusqlite::Connection::open(rig.ground.path("data/oxpost.db")) else { return };
    let older = "DROP TABLE bounce; DROP TABLE inbox; ALTER TABLE body DROP COLUMN checksum;
        UPDATE part SET version = version - 2 WHERE name = 'queue'";
    // A kill in the middle of the steps before may have left it older already.
    let _done = database.execute_batch(&format!("BEGIN IMMEDIATE; {older}; COMMIT"));
}

/// Starts the gateway and kills it, `kills` times, at moments that `random` chooses.
fn kill_again_and_again(rig: &Rig, random: &mut StdRng, kills: u64, mut each: impl FnMut()) {
    for kill in 0..kills {
        if kill % UPGRADE_EVERY == 0 {
            make_older(rig);
        }
        let mut gateway = Process::start(&rig.ground, "gateway", &rig.oxpost(&["serve"]));
        std::thread::sleep(Duration::from_millis(random.random_range(LIFE)));
        gateway.assert_runs();
        gateway.kill();
        each();
    }
}

/// How many kills this run is to make.
fn kills() -> u64 {
    let wanted = std::env::var("OXPOST_KILLS").ok().map(|text| text.parse().unwrap());
    wanted.unwrap_or(if std::env::var_os("OXPOST_LONG").is_some() { 300 } else { 60 })
}

#[test]
fn no_acknowledged_message_is_lost_however_often_the_gateway_is_killed() {
    let kills = kills();
    let seed: u64 = std::env::var("OXPOST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("{kills} kills; repeat with OXPOST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let rig = Rig::new("crash", |text| load::with_a_person(&text));
    rig.tenant.switches().set(|knobs| {
        knobs.smtp_latency = Duration::from_millis(5);
        knobs.graph_latency = Duration::from_millis(10);
        knobs.identity_latency = Duration::from_millis(10);
        knobs.token_lifetime = Duration::from_secs(2); // renewed in nearly every life of the gateway
    });
    let mut gateway = rig.serve();
    sign_in(&rig);
    gateway.stop();
    let arrivals = Arrivals::default();
    let counting = rig.runtime.spawn(arrivals.clone().count(Arc::clone(&rig.tenant)));

    let load = Load::start(rig.port, Duration::ZERO);
    kill_again_and_again(&rig, &mut random, kills, || load.note_arrived(arrivals.distinct()));
    // On a busy machine a token of two seconds is dead before it is used, and refusals hold the mailbox.
    rig.tenant.switches().set(|knobs| knobs.token_lifetime = Duration::from_secs(3_600));
    let mut gateway = rig.serve();
    let acknowledged = load.stop();
    rig.drain(&["by-smtp", "by-graph", "by-person"], LAST_MAIL);
    gateway.stop();
    assert!(!counting.is_finished(), "the count of arrivals ended early");

    let copies = arrivals.whole(&rig.tenant);
    let stopped = stopped_attempts(&rig);
    let lost: Vec<_> = acknowledged.iter().filter(|number| !copies.contains_key(number)).collect();
    assert!(lost.is_empty(), "acknowledged but lost: {lost:?}");
    let open = |number: u64| stopped.get(&load::message_id(number)).copied().unwrap_or(0);
    let unexplained: Vec<_> = copies.iter().filter(|(number, copies)| **copies > 1 + open(**number)).collect();
    assert!(unexplained.is_empty(), "(message, copies) without an attempt that was open at a kill: {unexplained:?}");
    let doubled: u64 = copies.values().map(|copies| copies - 1).sum();
    assert!(doubled <= kills * CONCURRENT_ATTEMPTS, "{doubled} copies too many after {kills} kills");

    let hit: u64 = stopped.values().sum();
    let (renewed, upgraded) = (rig.log().matches("access token renewed").count(), kills.div_ceil(UPGRADE_EVERY));
    let by_person = acknowledged.iter().filter(|number| load::sender(**number) == PERSON).count();
    let figures = format!(
        "{} acknowledged ({by_person} of a person), 0 lost, {} arrived; {hit} attempts open at a kill, {doubled} second copies, \
         each of them explained; {renewed} renewals of tokens, {upgraded} upgrades",
        acknowledged.len(),
        copies.len()
    );
    crate::report(&format!("kills, {kills}"), &figures);
    assert!(by_person > 0 && renewed as u64 > kills / 4, "tokens were hardly renewed");
    assert!(acknowledged.len() as u64 > kills && hit >= kills / 4, "the kills met too little work to prove anything");
    let left = std::fs::read_dir(rig.ground.path("data/spool")).unwrap().count();
    assert_eq!(left, 0, "spool files of messages that are gone");
    assert_eq!(rig.tenant.findings(), [], "the practice tenant objected");
}
