//! What the tests with other programs share: a folder, processes that end with the test, waiting for a condition.
#![allow(dead_code, reason = "each of the tests takes what it needs")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

mod port;

pub(crate) use self::port::free_port;

/// The longest a test waits for something that should happen at once; a busy machine needs some of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A test's folder. Other programs' own users may look into it. After a failure its logs stay in `target/tmp`.
pub(crate) struct Ground {
    folder: tempfile::TempDir,
    test: &'static str,
}

impl Ground {
    /// A fresh folder for `test`. Its path is short: Unix sockets live in it.
    pub(crate) fn new(test: &'static str) -> Self {
        let folder = tempfile::Builder::new().prefix("oxpost-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Self { folder, test }
    }

    /// The path of `name` in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into it.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// What a file of it says so far; empty if it does not exist yet.
    pub(crate) fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.test);
        let _ = std::fs::create_dir_all(&kept);
        for entry in std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                let _ = std::fs::copy(entry.path(), kept.join(entry.file_name()));
            }
        }
        eprintln!("what the programs said is in {}", kept.display());
    }
}

/// A program that runs as long as this value lives.
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command` with its output in `NAME.log` of the test's folder.
    ///
    /// It gets SIGTERM should the test's thread die without ending it, as after Ctrl-C.
    pub(crate) fn start(ground: &Ground, name: &str, command: &Command) -> Self {
        let log: File = OpenOptions::new().create(true).append(true).open(ground.path(&format!("{name}.log"))).unwrap();
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "TERM", "--"]).arg(command.get_program()).args(command.get_args());
        wrapped.envs(command.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))));
        wrapped.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        let child = wrapped.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}; ./test installs it"));
        Self { name: name.to_owned(), child }
    }

    /// The program's process id: `setpriv` becomes the program.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(status.success(), "{} takes SIG{name}", self.name);
    }

    /// Waits until the program ends by itself; whether it said that all is well.
    pub(crate) fn ended(&mut self) -> bool {
        let what = format!("{} ends", self.name);
        wait_until(&what, || self.child.try_wait().unwrap()).success()
    }

    /// Panics if the program has ended.
    pub(crate) fn assert_runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} ended ({status}); its log says why", self.name);
        }
    }

    /// SIGKILL: the program gets no chance to do anything.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and SIGKILL if the program does not end by that.
    pub(crate) fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let deadline = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Asks again and again until there is an answer; panics with `what` when patience ends.
pub(crate) fn wait_until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until somebody listens on a port of loopback.
pub(crate) fn wait_for_port(process: &mut Process, port: u16) {
    let what = format!("{} listens on port {port}", process.name);
    wait_until(&what, || {
        process.assert_runs();
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
}

/// Runs a program to its end and returns what it printed; panics with all it said if it fails.
pub(crate) fn run(command: &mut Command) -> String {
    let name = format!("{command:?}");
    let output = command.output().unwrap_or_else(|error| panic!("cannot run {name}: {error}; ./test installs it"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}
