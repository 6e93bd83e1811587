//! oxpost itself, as an administrator runs it: the program, a configuration file, the command line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};

use crate::identity::{self, Identity, browse, browse_elsewhere};
use crate::support::{Ground, Process, free_port, run, wait_for_port, wait_until};
use crate::upstream::Upstream;

const PROGRAM: &str = env!("CARGO_BIN_EXE_oxpost");

/// The usual configuration.
const TEMPLATE: &str = include_str!("gateway.toml");

/// The account all mail goes through.
pub(crate) const ACCOUNT: &str = "scanner";
/// What clients log in with.
pub(crate) const LOGIN: &str = "old-program";
/// The password of [`LOGIN`].
pub(crate) const PASSWORD: &str = "only known here";

/// How the account gets tokens.
#[derive(Clone, Copy)]
pub(crate) enum Grant {
    /// A person signs in; her mailbox.
    Person(&'static str),
    /// The application itself, for every mailbox of a domain.
    Application(&'static str),
}

/// For gateways that reach no mail server: a certificate that nobody has the key of.
fn certificate_of_nobody() -> String {
    let pair = rcgen::KeyPair::generate().unwrap();
    rcgen::CertificateParams::new(["nobody.test".to_owned()]).unwrap().self_signed(&pair).unwrap().pem()
}

/// A running gateway.
pub(crate) struct Gateway<'a> {
    ground: &'a Ground,
    /// STARTTLS on offer; logins only under TLS, none needed from loopback.
    pub(crate) port: u16,
    /// TLS from the first octet.
    pub(crate) tls_port: u16,
    /// IMAP in clear, with STARTTLS on offer.
    pub(crate) imap_port: u16,
    /// IMAP with TLS from the first octet.
    pub(crate) imaps_port: u16,
    /// POP3 in clear, with STLS on offer.
    pub(crate) pop3_port: u16,
    /// POP3 with TLS from the first octet.
    pub(crate) pop3s_port: u16,
    /// The certificate that its clients trust.
    pub(crate) ca: PathBuf,
    config: PathBuf,
    process: Process,
}

impl<'a> Gateway<'a> {
    /// Writes the configuration and runs `oxpost serve`.
    pub(crate) fn start(ground: &'a Ground, identity: &Identity, upstream: &Upstream, grant: Grant) -> Self {
        Self::start_edited(ground, identity, upstream, grant, str::to_owned)
    }

    /// The same with a configuration that `edit` makes of the usual one.
    pub(crate) fn start_edited(
        ground: &'a Ground,
        identity: &Identity,
        upstream: &Upstream,
        grant: Grant,
        edit: impl FnOnce(&str) -> String,
    ) -> Self {
        let proof = "client_id = \"gateway\"\nclient_secret = { file = \"client-secret\" }";
        Self::start_with(
            ground,
            identity,
            ([upstream.smtp_port, upstream.imaps_port, upstream.pop3s_port], upstream.ca.as_path()),
            grant,
            (proof, &edit(TEMPLATE)),
        )
    }

    /// The same without a mail server, with these keys of the provider.
    pub(crate) fn start_alone(ground: &'a Ground, identity: &Identity, grant: Grant, provider: &str) -> Self {
        let nobody = ground.write("nobody.pem", certificate_of_nobody());
        Self::start_with(
            ground,
            identity,
            ([free_port(), free_port(), free_port()], &nobody),
            grant,
            (provider, TEMPLATE),
        )
    }

    fn start_with(
        ground: &'a Ground,
        identity: &Identity,
        ([smtp_upstream, imap_upstream, pop3_upstream], ca): ([u16; 3], &Path),
        grant: Grant,
        (provider, template): (&str, &str),
    ) -> Self {
        let (port, tls_port) = (free_port(), free_port());
        let (imap_port, imaps_port, pop3_port, pop3s_port) = (free_port(), free_port(), free_port(), free_port());
        let hash = Self::password_hash();
        ground.write("client-secret", identity::CLIENT_SECRET);
        let (mailbox, grant, scopes) = match grant {
            Grant::Person(mailbox) => (mailbox.to_owned(), "authorization-code", identity::SCOPES),
            Grant::Application(domain) => (format!("*@{domain}"), "client-credentials", "mail"),
        };
        let filled = template
            .replace("@authorize@", &identity.url("/auth"))
            .replace("@token@", &identity.url("/token"))
            .replace("@scopes@", scopes)
            .replace("@provider@", provider)
            .replace("@upstream_port@", &smtp_upstream.to_string())
            .replace("@ca@", ca.to_str().unwrap())
            .replace("@mailbox@", &mailbox)
            .replace("@grant@", grant)
            .replace("@imap_upstream_port@", &imap_upstream.to_string())
            .replace("@pop3_upstream_port@", &pop3_upstream.to_string())
            .replace("@imap_port@", &imap_port.to_string())
            .replace("@imaps_port@", &imaps_port.to_string())
            .replace("@pop3_port@", &pop3_port.to_string())
            .replace("@pop3s_port@", &pop3s_port.to_string())
            .replace("@port@", &port.to_string())
            .replace("@tls_port@", &tls_port.to_string())
            .replace("@password@", &hash);
        let config = ground.write("oxpost.toml", filled);
        let process = Self::serve(ground, &config, port);
        let ca = ground.path("data/certs/ca.pem");
        Self { ground, port, tls_port, imap_port, imaps_port, pop3_port, pop3s_port, ca, config, process }
    }

    fn serve(ground: &Ground, config: &Path, port: u16) -> Process {
        let mut process =
            Process::start(ground, "gateway", Command::new(PROGRAM).arg("serve").arg("--config").arg(config));
        wait_for_port(&mut process, port);
        process
    }

    /// SIGKILL, and a new start on the same data.
    pub(crate) fn killed_and_started(mut self) -> Self {
        self.process.kill();
        self.process = Self::serve(self.ground, &self.config, self.port);
        self
    }

    /// `oxpost ARGUMENTS`, to be looked at whatever it ends with.
    pub(crate) fn try_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).arg("--config").arg(&self.config);
        command
    }

    fn password_hash() -> String {
        let mut child =
            Command::new(PROGRAM).arg("password").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What `oxpost ARGUMENTS` prints.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        run(Command::new(PROGRAM).args(arguments).arg("--config").arg(&self.config))
    }

    /// `oxpost queue list`.
    pub(crate) fn queue(&self) -> String {
        self.command(&["queue", "list"])
    }

    /// Waits until nothing is in its queue: what has arrived may not be settled yet.
    pub(crate) fn wait_for_empty_queue(&self) {
        wait_until("the queue is empty", || self.queue().contains("the queue is empty").then_some(()));
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        self.ground.read("gateway.log")
    }

    /// `oxpost login`, with a browser on this machine that follows the printed address to its end.
    pub(crate) fn sign_in(&self) {
        self.login(|address, _| browse(self.ground, address));
    }

    /// `oxpost login`, with a browser on another machine; the address it ends at is pasted.
    pub(crate) fn sign_in_by_pasting(&self) {
        self.login(|address, terminal| {
            let end = browse_elsewhere(self.ground, address);
            writeln!(terminal, "{end}").unwrap();
            end
        });
    }

    /// `browser` gets the printed address and the command's standard input, and says where it ended.
    fn login(&self, browser: impl FnOnce(&str, &mut ChildStdin) -> String) {
        let mut login = Command::new(PROGRAM);
        login.args(["login", ACCOUNT, "--no-browser", "--config"]).arg(&self.config);
        let mut login = login.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut terminal = login.stdin.take().unwrap();
        let mut lines = BufReader::new(login.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = lines.find(|line| line.starts_with("http")).expect("`oxpost login` prints an address");
        let end = browser(&address, &mut terminal);
        let rest: Vec<_> = lines.collect();
        assert!(login.wait().unwrap().success(), "the browser ended at {end}; then: {rest:#?}");
    }
}
