//! Power cuts. strace writes down what the gateway does to its files and what it says to its clients; from that the
//! data folder is made anew as a power cut would leave it right after an acknowledgement, with nothing in it that had
//! not been flushed, or with some of it as chance has it. A gateway on that folder must know every message that was
//! acknowledged by then, whole.

mod disk;
mod trace;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::process::Command;

use oxpost::practice::{DotFault, Fault, Rule};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::disk::Disk;
use self::trace::{Call, TRACED, calls};
use crate::rig::{BILLING, Rig, SCANNER, large_letter, letter};
use crate::support::{Process, run, wait_for_port, wait_until};

/// Messages that are handed in.
const MESSAGES: usize = 60;

/// Not even the data folder is there at the beginning, and no key file, whose flush would be one for its neighbours.
fn on_a_disk_of_its_own(text: String) -> String {
    text.replace("data = \"data\"", "data = \"disk/data\"").replace("[queue]", "[queue]\ninline = \"4 kB\"")
}

/// The gateway, with the key in its environment.
fn with_key(mut command: Command) -> Command {
    command.env("OXPOST_KEY", "b25seSBmb3IgdGVzdHMsIDMyIG9jdGV0cyBsb25nLi4=");
    command
}

/// Hands mail in to a gateway under strace, and returns what it did.
fn record() -> (Rig, Vec<Call>) {
    let rig = Rig::new("power-record", on_a_disk_of_its_own);
    std::fs::create_dir(rig.ground.path("disk")).unwrap();
    let log = rig.ground.path("strace.log");
    let wrapper =
        ["strace", "-f", "-y", "-xx", "-s", "10000000", "-e", &format!("trace={TRACED}"), "-o", log.to_str().unwrap()];
    let mut gateway = rig.serve_by(&with_key(rig.oxpost_under(&wrapper, &["serve"])));
    // Some of it stays in the queue, so that its content must be found again.
    rig.tenant.switches().inject(Rule::always(Fault::EndOfData(DotFault::Temporary)));
    let mut client = rig.client();
    for number in 0..MESSAGES {
        let from = if number % 2 == 0 { SCANNER } else { BILLING };
        let subject = format!("number {number}");
        let content = if number % 5 == 0 { large_letter(from, &subject, 20_000) } else { letter(from, &subject) };
        let reply = client.hand_in(from, &content).unwrap();
        assert!(reply.starts_with("250"), "{reply}");
    }
    // Half of it goes by Graph: those attempts are recorded and settled among the rest.
    wait_until("Graph has its half", || (rig.tenant.mail_count() >= MESSAGES as u64 / 2).then_some(()));
    // SIGTERM would not reach the program behind strace.
    let tracee = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", gateway.id())).unwrap();
    run(Command::new("kill").arg(tracee.trim()));
    assert!(gateway.ended());
    let calls = calls(&std::fs::read_to_string(log).unwrap());
    (rig, calls)
}

/// The queue ids in what is said to a client.
fn acknowledged(said: &[u8]) -> impl Iterator<Item = String> {
    let said = String::from_utf8_lossy(said).into_owned();
    let id = |line: &str| line.strip_prefix("250 2.0.0 queued as ").map(str::to_owned);
    said.lines().filter_map(id).collect::<Vec<_>>().into_iter()
}

/// Starts a gateway on what a power cut left, has everything sent, and names what is lost.
fn lost(disk: &Disk, promised: &BTreeSet<String>, chance: Option<&mut StdRng>) -> String {
    let rig = Rig::new("power-cut", on_a_disk_of_its_own);
    disk.cut(&rig.ground.path("disk"), chance);
    let mut lost = String::new();
    let mut gateway = Process::start(&rig.ground, "gateway", &with_key(rig.oxpost(&["serve"])));
    wait_for_port(&mut gateway, rig.port);
    let known = run(&mut rig.oxpost(&["queue", "list", "--all"]));
    for id in promised.iter().filter(|id| !known.contains(*id)) {
        writeln!(lost, "{id} is not in the queue").unwrap();
    }
    rig.retry_all();
    wait_until("everything came to its end", || {
        let list = rig.queue();
        (!["waiting", "sending", "held"].iter().any(|state| list.contains(state))).then_some(())
    });
    if rig.log().contains("is damaged") || rig.log().contains("failed") || rig.log().contains("missing") {
        writeln!(lost, "the log of the next start: {}", rig.log()).unwrap();
    }
    lost
}

#[test]
fn what_was_acknowledged_is_there_after_a_power_cut_at_any_acknowledgement() {
    let seed: u64 = std::env::var("OXPOST_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("repeat with OXPOST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (rig, calls) = record();
    let mut disk = Disk::new(&rig.ground.path("disk"));
    let mut promised = BTreeSet::new();
    let (mut cuts, mut wrong) = (0, String::new());
    for call in &calls {
        disk.apply(call);
        let Call::Say(said) = call else { continue };
        let before = promised.len();
        promised.extend(acknowledged(said));
        let last = promised.len() == MESSAGES;
        if promised.len() == before || !(before == 0 || last || random.random_bool(0.15)) {
            continue;
        }
        for chance in [None, Some(&mut random)] {
            cuts += 1;
            wrong += &lost(&disk, &promised, chance);
        }
    }
    assert_eq!(promised.len(), MESSAGES, "strace saw every acknowledgement");
    assert!(cuts >= 4 && wrong.is_empty(), "{wrong}");
    crate::report("power cuts", &format!("{cuts} cuts, 0 lost"));
}

/// The order of things before each 250: content, its name, its folder, and then the commit that names it.
#[test]
fn each_acknowledgement_follows_the_flush_of_content_name_folder_and_commit() {
    let (rig, calls) = record();
    let (spool, log) = (rig.ground.path("disk/data/spool"), rig.ground.path("disk/data/oxpost.db-wal"));
    let is_whole = |path: &std::path::Path| path.extension().is_some_and(|extension| extension == "body");
    let (mut flushed, mut named, mut folder_flushed) = (BTreeSet::new(), 0, 0);
    let (mut under_way, mut commits, mut said, mut commits_at_last_word) = (Vec::new(), 0, 0, 0);
    for call in &calls {
        match call {
            Call::FlushBegins { process, path } => under_way.push((*process, path.clone())),
            Call::FlushEnds { process } => {
                let at = under_way.iter().position(|(other, _)| other == process).unwrap();
                let (_, path) = under_way.remove(at);
                commits += usize::from(path == log);
                folder_flushed = if path == spool { named } else { folder_flushed };
                flushed.insert(path);
            }
            Call::Rename(from, to) if is_whole(to) => {
                assert!(flushed.contains(from), "{} got its name before its content was flushed", to.display());
                named += 1;
            }
            Call::Say(words) => {
                let ids = acknowledged(words).count();
                if ids > 0 {
                    assert!(commits > commits_at_last_word, "a 250 without a commit of its own before it");
                    assert_eq!(folder_flushed, named, "a 250 before the folder of a spool file was flushed");
                    commits_at_last_word = commits;
                }
                said += ids;
            }
            Call::Create(_) | Call::Folder(_) | Call::Write(..) | Call::Truncate(..) => {}
            Call::Rename(..) | Call::Remove(_) => {}
        }
    }
    assert_eq!((said, named), (MESSAGES, MESSAGES / 5));
}
