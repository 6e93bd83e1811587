//! Rows 12, 13, 14, 16, 22: no room, no inodes, a read-only file system. The disk is a small tmpfs.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use oxpost::practice::{DotFault, Fault, Rule};

use crate::rig::{Rig, SCANNER, large_letter, letter};
use crate::support::{PATIENCE, Process, run, wait_until};

const NO_ROOM: &str = "452 4.3.1";
const MEGABYTE: usize = 1_000_000;

/// A file system of its own on a rig's ground; it goes with the value.
struct Disk(PathBuf);

impl Disk {
    fn mount(rig: &Rig, options: &str) -> Self {
        let at = rig.ground.path("disk");
        std::fs::create_dir(&at).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", options, "oxpost-test"]).arg(&at));
        Self(at)
    }

    fn remount(&self, options: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0));
    }

    /// Fills it up to `left` octets; the file that does it.
    fn fill(&self, left: usize) -> PathBuf {
        let path = self.0.join("filler");
        let space = rustix::fs::statvfs(&self.0).unwrap();
        let free = space.f_bavail * space.f_frsize;
        let octets = usize::try_from(free).unwrap().saturating_sub(left);
        // The gateway may take some of the room meanwhile; then the disk is full before all is written.
        if let Err(error) = std::fs::write(&path, vec![0; octets]) {
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
        }
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("-l").arg(&self.0).stderr(std::process::Stdio::null()).status();
    }
}

/// A gateway whose data folder is on a small disk, with this reserve.
fn on_a_small_disk(test: &'static str, options: &str, reserve: &str) -> (Rig, Disk, Process) {
    let rig = Rig::new(test, |text| {
        let queue = format!("[queue]\nreserve = \"{reserve}\"\nreserve_percent = 0");
        text.replace("data = \"data\"", "data = \"disk/data\"").replace("[queue]", &queue)
    });
    let disk = Disk::mount(&rig, options);
    let gateway = rig.serve();
    (rig, disk, gateway)
}

/// Waits until a message is answered with `reply`: how much room there is is asked once a second, so some of that name
/// may be taken before.
fn wait_for_reply(rig: &Rig, subject: &str, reply: &str) {
    wait_until(&format!("`{subject}` is answered {reply}"), || {
        rig.hand_in(SCANNER, subject).starts_with(reply).then_some(())
    });
}

/// Whether the provider puts every message off from now on, so that mail waits.
fn provider_is_away(rig: &Rig, away: bool) {
    let switches = rig.tenant.switches();
    if away {
        switches.inject(Rule::always(Fault::EndOfData(DotFault::Temporary)));
    } else {
        switches.clear_faults();
    }
}

#[test]
fn a_full_disk_refuses_new_mail_lets_the_old_mail_go_and_takes_new_mail_when_there_is_room() {
    let (rig, disk, _gateway) = on_a_small_disk("full-disk", "size=32m", "8 MB");
    provider_is_away(&rig, true);
    rig.send(SCANNER, "before");
    let filler = disk.fill(4 * MEGABYTE);
    wait_for_reply(&rig, "refused", NO_ROOM);
    let (status, why) = rig.get("/readyz").unwrap();
    assert_eq!(status, 503, "{why}");
    assert!(why.contains("free space"), "it says what to do: {why}");
    assert_eq!(rig.get("/healthz").unwrap().0, 200, "it lives");
    provider_is_away(&rig, false);
    // An attempt that the provider put off may still be written down: one call could come too early.
    rig.drain(&[], PATIENCE);
    rig.arrives_once("before");

    std::fs::remove_file(filler).unwrap();
    wait_for_reply(&rig, "after", "250");
    wait_until("`after` arrives", || (rig.copies("after") > 0).then_some(()));
    assert_eq!(rig.get("/readyz").unwrap().0, 200);
}

#[test]
fn a_disk_that_fills_up_during_the_content_leaves_no_half_file() {
    let (rig, disk, _gateway) = on_a_small_disk("full-in-data", "size=32m", "1 MB");
    disk.fill(6 * MEGABYTE);
    let reply = rig.client().hand_in(SCANNER, &large_letter(SCANNER, "too much", 16 * MEGABYTE)).unwrap();
    assert!(reply.starts_with(NO_ROOM), "{reply}");
    wait_until("nothing is left in the spool", || (rig.spool_files("disk/data") == 0).then_some(()));
    rig.send(SCANNER, "fits");
    rig.arrives_once("fits");
    assert_eq!(rig.copies("too much"), 0);
}

#[test]
fn an_outcome_that_finds_no_room_is_written_when_there_is_and_nothing_goes_twice() {
    let (rig, disk, mut gateway) = on_a_small_disk("full-in-settle", "size=32m", "1 MB");
    rig.tenant.switches().inject(Rule::once(Fault::EndOfData(DotFault::Late(Duration::from_secs(10)))));
    rig.send(SCANNER, "under way");
    wait_until("the provider has it", || (rig.copies("under way") > 0).then_some(()));
    let filler = disk.fill(0);
    // Its answer comes while nothing can be written; some of the log may be used again, then it is written at once.
    wait_for_reply(&rig, "refused", NO_ROOM);
    wait_until("the answer has come", || {
        let list = rig.oxpost(&["queue", "list"]).output().unwrap().stdout;
        let written = String::from_utf8_lossy(&list).contains("the queue is empty");
        (written || rig.log().contains("an outcome is kept in memory")).then_some(())
    });
    gateway.assert_runs();
    std::fs::remove_file(filler).unwrap();
    rig.arrives_once("under way");
    gateway.stop();
    let _gateway = rig.serve();
    rig.send(SCANNER, "later");
    rig.arrives_once("later");
    assert_eq!(rig.copies("under way"), 1);
}

#[test]
fn a_disk_without_inodes_refuses_new_mail_and_takes_it_again_when_there_are() {
    let (rig, disk, _gateway) = on_a_small_disk("no-inodes", "size=32m,nr_inodes=64", "1 MB");
    rig.send(SCANNER, "before");
    rig.arrives_once("before");
    let mut fillers = Vec::new();
    for number in 0.. {
        let path = disk.0.join(format!("filler-{number}"));
        if File::create(&path).is_err() {
            break;
        }
        fillers.push(path);
    }
    wait_for_reply(&rig, "refused", NO_ROOM);
    for path in fillers {
        std::fs::remove_file(path).unwrap();
    }
    wait_for_reply(&rig, "after", "250");
    wait_until("`after` arrives", || (rig.copies("after") > 0).then_some(()));
}

#[test]
fn a_read_only_data_folder_is_named_at_the_start_and_used_again_when_it_is_writable() {
    let (rig, disk, mut gateway) = on_a_small_disk("read-only", "size=32m", "1 MB");
    provider_is_away(&rig, true);
    rig.send(SCANNER, "waits");
    gateway.stop();
    disk.remount("ro");
    let mut refused = Process::start(&rig.ground, "read-only", &rig.oxpost(&["serve"]));
    assert!(!refused.ended(), "it does not run on what it cannot write");
    let said = rig.ground.read("read-only.log");
    assert!(said.contains("disk/data") && said.contains("ead-only file system"), "{said}");
    disk.remount("rw");
    provider_is_away(&rig, false);
    let _gateway = rig.serve();
    rig.drain(&[], PATIENCE);
    rig.arrives_once("waits");
}

#[test]
fn a_data_folder_that_goes_away_is_not_written_beside() {
    let (rig, disk, mut gateway) = on_a_small_disk("unmounted", "size=32m", "1 MB");
    rig.send(SCANNER, "before");
    rig.arrives_once("before");
    run(Command::new("umount").arg("-l").arg(&disk.0));
    wait_for_reply(&rig, "refused", "4");
    gateway.assert_runs();
    assert!(is_empty(&disk.0), "nothing is made in the place of the file system");
    let reply = rig.client().hand_in(SCANNER, &letter(SCANNER, "refused too")).unwrap();
    assert!(reply.starts_with('4'), "{reply}");
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}
