//! Rows 25, 26, 27: the machine's clock jumps under the running program. libfaketime gives it a clock of its own.

use oxpost::practice::{DotFault, Fault, Rule};

use crate::rig::{Rig, SCANNER};
use crate::support::{Process, wait_until};

/// Where Debian's package `faketime` has the library.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketime.so.1";

/// Starts the gateway with a clock that [`set`] moves.
fn serve(rig: &Rig, offset: &str) -> Process {
    set(rig, offset);
    let mut command = rig.oxpost(&["serve"]);
    command.env("LD_PRELOAD", LIBRARY).env("FAKETIME_TIMESTAMP_FILE", rig.ground.path("clock"));
    // The clock is read anew each time, and the steady clock is left as it is.
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
    rig.serve_by(&command)
}

/// Moves the clock of the gateway to this offset from the right time, such as `-1d`.
fn set(rig: &Rig, offset: &str) {
    // In place of the old file at once: a half-written one would be read as something else.
    rig.ground.write("clock.new", format!("{offset}\n"));
    std::fs::rename(rig.ground.path("clock.new"), rig.ground.path("clock")).unwrap();
}

/// A message that was tried once and waits for its next attempt, in some minutes.
fn deferred(rig: &Rig, subject: &str) {
    rig.tenant.switches().inject(Rule::always(Fault::EndOfData(DotFault::Temporary)));
    rig.send(SCANNER, subject);
    wait_until("it is deferred", || rig.log().contains("deferred").then_some(()));
    rig.tenant.switches().clear_faults();
}

#[test]
fn a_clock_that_jumps_ahead_two_days_expires_nothing_and_sends_nothing_twice() {
    let rig = Rig::new("clock-ahead", |text| text);
    let _gateway = serve(&rig, "+0");
    rig.send(SCANNER, "before");
    rig.arrives_once("before");
    deferred(&rig, "waits");
    set(&rig, "+2d");
    rig.send(SCANNER, "after");
    rig.arrives_once("waits");
    rig.arrives_once("after");
    assert!(!rig.log().contains("failed"), "two days are not four");
}

#[test]
fn a_clock_that_is_set_back_a_day_does_not_delay_mail_by_a_day() {
    let rig = Rig::new("clock-back", |text| text);
    let _gateway = serve(&rig, "+0");
    deferred(&rig, "waits");
    set(&rig, "-1d");
    wait_until("it is noticed", || rig.log().contains("the clock was set back").then_some(()));
    rig.send(SCANNER, "after");
    wait_until("`after` arrives", || (rig.copies("after") > 0).then_some(()));
    let queue = rig.queue();
    // The next attempt is due within minutes of the clock as it is now: see that by going on to it.
    set(&rig, "-1430m");
    rig.send(SCANNER, "later");
    wait_until(&format!("`waits` arrives, from {queue}"), || (rig.copies("waits") > 0).then_some(()));
    for subject in ["waits", "after", "later"] {
        rig.arrives_once(subject);
    }
}

#[test]
fn a_clock_of_1970_names_itself_as_the_cause_and_mail_goes_when_it_is_right() {
    let rig = Rig::new("clock-1970", |text| text);
    let _gateway = serve(&rig, "@1970-01-02 00:00:00");
    rig.send(SCANNER, "long ago");
    wait_until("the log names the clock", || rig.log().contains("clock says 1970-01-02").then_some(()));
    set(&rig, "+0");
    rig.send(SCANNER, "now");
    rig.arrives_once("now");
    rig.arrives_once("long ago");
}
