//! The program is killed, loses its power, or has faults for an hour. `./test` runs this; `./test --long` for longer.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

#[path = "../support/rig.rs"]
mod rig;
#[path = "../support/mod.rs"]
mod support;

mod kills;
mod load;
mod power;
mod soak;

/// Writes what was seen as a row of the last table of docs/reliability.md, into `target/tmp/reliability`: `./test` shows it.
fn report(what: &str, figures: &str) {
    let run = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load = load.split(' ').next().unwrap();
    let row = format!(
        "| {} | {what} | {figures} | {build} build, {} cores, load {load} |\n",
        run("date", &["-u", "+%Y-%m-%d"]),
        std::thread::available_parallelism().unwrap()
    );
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("reliability");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{}.md", what.split(',').next().unwrap().replace(' ', "-"))), &row).unwrap();
    eprint!("{row}");
}
