//! An hour at a steady rate with random faults: nothing is lost, and memory and descriptors stay as they were.
//!
//! `OXPOST_SOAK_SECONDS` says how long; without it an hour with `OXPOST_LONG`, else half a minute, which shows no more
//! than that the test works: memory still finds its size then, and what it grows by counts with `OXPOST_LONG` only.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oxpost::practice::{AuthFault, DotFault, Fault, GraphFault, GreetingFault, Rule, TokenFault};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::kills::{Arrivals, attempts_with};
use crate::load::{self, Load};
use crate::rig::{BILLING, Rig, SCANNER};
use crate::support::{Process, wait_until};

/// What each of the ten clients waits between two messages.
const PAUSE: Duration = Duration::from_millis(250);
/// A fault comes after so many seconds.
const FAULT_AFTER: std::ops::Range<u64> = 1..4;
/// How long the last mail may take: a token endpoint that lied is left alone for some minutes.
pub(crate) const LAST_MAIL: Duration = Duration::from_secs(900);
/// What memory may grow by between the beginning and the end, in kB.
const GROWTH_KB: u64 = 12_000;
/// What open descriptors may grow by, once nobody is there.
const GROWTH_DESCRIPTORS: usize = 8;

/// Faults that pass; what would hold a mailbox until somebody comes is not among them.
fn faults() -> Vec<Fault> {
    vec![
        Fault::Graph(GraphFault::Unauthorized),
        Fault::Graph(GraphFault::Throttled(1)),
        Fault::Graph(GraphFault::Unavailable),
        Fault::Graph(GraphFault::Reset),
        Fault::Graph(GraphFault::TakenThenTimeout),
        Fault::Graph(GraphFault::TakenThenReset),
        Fault::Graph(GraphFault::Html),
        Fault::Greeting(GreetingFault::Refused),
        Fault::Greeting(GreetingFault::Close),
        Fault::Auth(AuthFault::Refused),
        Fault::Auth(AuthFault::Temporary),
        Fault::Auth(AuthFault::TooManySessions),
        Fault::EndOfData(DotFault::Closing),
        Fault::EndOfData(DotFault::Temporary),
        Fault::EndOfData(DotFault::Lost),
        Fault::EndOfData(DotFault::TakenThenLost),
        Fault::EndOfData(DotFault::Late(Duration::from_secs(2))),
    ]
}

fn is_long() -> bool {
    std::env::var_os("OXPOST_LONG").is_some()
}

fn length() -> Duration {
    let wanted = std::env::var("OXPOST_SOAK_SECONDS").ok().map(|text| text.parse().unwrap());
    Duration::from_secs(wanted.unwrap_or(if is_long() { 3_600 } else { 30 }))
}

/// Resident memory in kB.
fn memory(gateway: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn descriptors(gateway: &Process) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap().count()
}

fn median(values: &[u64]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

/// One fault: at the provider, or to the process itself.
fn fault(rig: &Rig, gateway: &Process, random: &mut StdRng) {
    // What nobody ran into would add up to a fault of another size.
    rig.tenant.switches().clear_faults();
    let expire = || [SCANNER, BILLING].iter().for_each(|who| rig.tenant.expire_access_tokens(who));
    match random.random_range(0..60) {
        // Rare: no token is asked for again for a minute, and all mail of the minute waits longer than that.
        0 => {
            let lies = [TokenFault::Unavailable, TokenFault::Garbage, TokenFault::Html];
            rig.tenant.switches().inject(Rule::once(Fault::Token(lies[random.random_range(0..lies.len())])));
            expire();
        }
        1..6 => {
            gateway.signal("STOP");
            std::thread::sleep(Duration::from_millis(random.random_range(100..2_000)));
            gateway.signal("CONT");
        }
        6..10 => gateway.signal("HUP"),
        10..15 => expire(),
        _ => {
            let faults = faults();
            let fault = faults[random.random_range(0..faults.len())].clone();
            // Twice in a row they would hold the mailbox for minutes.
            let refusal = matches!(fault, Fault::Auth(AuthFault::Refused) | Fault::Graph(GraphFault::Unauthorized));
            let times = if refusal { 1 } else { random.random_range(1..3) };
            rig.tenant.switches().inject(Rule::times(fault, times));
        }
    }
}

#[test]
fn a_long_time_at_a_steady_rate_with_random_faults_costs_no_mail_no_memory_and_no_descriptors() {
    let (length, seed): (_, u64) = (length(), rand::random());
    let seed = std::env::var("OXPOST_SEED").map_or(seed, |seed| seed.parse().unwrap());
    eprintln!("a soak of {} s; repeat with OXPOST_SEED={seed}", length.as_secs());
    let mut random = StdRng::seed_from_u64(seed);
    let rig = Rig::new("soak", |text| text);
    let gateway = rig.serve();
    let arrivals = Arrivals::default();
    let counting = rig.runtime.spawn(arrivals.clone().count(Arc::clone(&rig.tenant)));
    rig.queue(); // whatever is opened at the first use is open
    let at_rest = descriptors(&gateway);

    let load = Load::start(rig.port, PAUSE);
    let (begun, mut kilobytes, mut faults) = (Instant::now(), Vec::new(), 0);
    while begun.elapsed() < length {
        std::thread::sleep(Duration::from_secs(random.random_range(FAULT_AFTER)));
        fault(&rig, &gateway, &mut random);
        faults += 1;
        load.note_arrived(arrivals.distinct());
        kilobytes.push(memory(&gateway));
    }
    rig.tenant.switches().clear_faults();
    let acknowledged = load.stop();
    rig.drain(&["by-smtp", "by-graph"], LAST_MAIL);
    wait_until("the connections are given back", || {
        (descriptors(&gateway) <= at_rest + GROWTH_DESCRIPTORS).then_some(())
    });
    assert!(!counting.is_finished(), "the count of arrivals ended early");

    let copies = arrivals.whole(&rig.tenant);
    let twice = attempts_with(&rig, "may arrive twice");
    let lost: Vec<_> = acknowledged.iter().filter(|number| !copies.contains_key(number)).collect();
    assert!(lost.is_empty(), "acknowledged but lost: {lost:?}");
    let allowed = |number: u64| 1 + twice.get(&load::message_id(number)).copied().unwrap_or(0);
    let unexplained: Vec<_> = copies.iter().filter(|(number, copies)| **copies > allowed(**number)).collect();
    assert!(unexplained.is_empty(), "(message, copies) that history does not explain: {unexplained:?}");
    let quarter = kilobytes.len() / 4;
    let (first, last) = (median(&kilobytes[quarter..quarter * 2]), median(&kilobytes[quarter * 3..]));
    let figures = format!(
        "{} messages, {faults} faults, 0 lost, {} second copies that history tells of; {first} kB of memory at the beginning \
         and {last} at the end, {at_rest} descriptors before and {} after",
        acknowledged.len(),
        copies.values().map(|copies| copies - 1).sum::<u64>(),
        descriptors(&gateway)
    );
    crate::report(&format!("the long run, {} s", length.as_secs()), &figures);
    let grew = last.saturating_sub(first);
    assert!(!is_long() || grew <= GROWTH_KB, "memory grew from {first} kB to {last} kB");
}
