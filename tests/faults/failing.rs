//! Rows 17, 18: calls of the system that fail. `strace` makes them fail in the running program, and lets go again.

use std::process::{Child, Command, Stdio};

use crate::rig::{Rig, SCANNER, large_letter};
use crate::support::{Process, wait_until};

/// Calls of a running program that fail as long as this value lives.
struct Tampering(Child);

impl Tampering {
    /// `calls` as strace names them, `error` as errno does.
    fn with(rig: &Rig, gateway: &Process, calls: &str, error: &str) -> Self {
        let note = format!("strace-{calls}.log").replace(',', "-");
        let log = std::fs::File::create(rig.ground.path(&note)).unwrap();
        let mut strace = Command::new("strace");
        strace.args(["-f", "-p", &gateway.id().to_string(), "-o", "/dev/null", "-e", &format!("trace={calls}")]);
        strace.args(["-e", &format!("inject={calls}:error={error}")]).stdin(Stdio::null()).stderr(log);
        let this = Self(strace.spawn().expect("strace is there; ./test installs it"));
        wait_until("strace holds the program", || rig.ground.read(&note).contains(" attached").then_some(()));
        this
    }
}

impl Drop for Tampering {
    fn drop(&mut self) {
        let _told = Command::new("kill").args(["-s", "INT", &self.0.id().to_string()]).status();
        let _gone = self.0.wait();
    }
}

#[test]
fn a_flush_that_fails_stops_acceptance_until_a_restart_and_nothing_is_lost() {
    let rig = Rig::new("flush-fails", |text| text);
    let mut gateway = rig.serve();
    rig.send(SCANNER, "before");
    // Also settled: an outcome that could not be written would send it twice, as history then says.
    rig.arrives_once("before");
    let tampering = Tampering::with(&rig, &gateway, "fsync,fdatasync", "EIO");
    let reply = rig.hand_in(SCANNER, "not flushed");
    assert!(reply.starts_with('4'), "{reply}");
    drop(tampering);
    let reply = rig.hand_in(SCANNER, "a later success proves nothing");
    assert!(reply.starts_with('4'), "{reply}");
    let (status, why) = rig.get("/readyz").unwrap();
    assert_eq!(status, 503);
    assert!(why.contains("restart"), "it says what to do: {why}");
    gateway.assert_runs();
    gateway.stop();
    let _gateway = rig.serve();
    rig.send(SCANNER, "after");
    wait_until("`after` arrives", || (rig.copies("after") > 0).then_some(()));
    assert_eq!(rig.copies("before"), 1);
    assert!(rig.copies("not flushed") <= 1 && rig.copies("a later success proves nothing") == 0);
}

#[test]
fn a_spool_file_that_cannot_be_named_is_not_acknowledged_and_the_next_one_is() {
    let rig = Rig::new("rename-fails", |text| text);
    let gateway = rig.serve();
    let large = |subject: &str| rig.client().hand_in(SCANNER, &large_letter(SCANNER, subject, 600_000)).unwrap();
    for (calls, error) in [("rename,renameat,renameat2", "EIO"), ("rename,renameat,renameat2", "EACCES")] {
        let tampering = Tampering::with(&rig, &gateway, calls, error);
        let reply = large("not named");
        assert!(reply.starts_with('4'), "{error}: {reply}");
        drop(tampering);
    }
    wait_until("no half file is left", || (rig.spool_files("data") == 0).then_some(()));
    assert_eq!(rig.copies("not named"), 0);
}

#[test]
fn a_spool_file_that_cannot_be_removed_is_sent_once_and_goes_at_the_next_start() {
    let rig = Rig::new("unlink-fails", |text| text);
    let mut gateway = rig.serve();
    let tampering = Tampering::with(&rig, &gateway, "unlink,unlinkat", "EIO");
    let reply = rig.client().hand_in(SCANNER, &large_letter(SCANNER, "stays", 600_000)).unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    rig.arrives_once("stays");
    wait_until("the log tells of it", || rig.log().contains("could not be removed").then_some(()));
    drop(tampering);
    assert_eq!(rig.spool_files("data"), 1);
    gateway.stop();
    let _gateway = rig.serve();
    assert_eq!(rig.spool_files("data"), 0);
    rig.arrives_once("stays");
}
