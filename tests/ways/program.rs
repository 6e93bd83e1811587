//! The program itself as a process, with the practice tenant in the test.
#![allow(dead_code, reason = "each of the tests takes what it needs")]

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oxpost::practice::{APP_CLIENT_ID, APP_CLIENT_SECRET, Arrived, Settings, Tenant};
use tokio::runtime::Runtime;

use crate::support::{free_port, wait_until};

/// A gateway on a port of loopback that sends by Graph as `scanner@practice.example`. It ends with the test.
pub(crate) struct Program {
    child: Child,
    pub(crate) tenant: Tenant,
    pub(crate) runtime: Runtime,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Program {
    /// Starts it, with `tables` before the account's.
    pub(crate) fn start(tables: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let mut settings = Settings::default();
        let app = settings.directory.apps.iter_mut().find(|app| app.client_id == APP_CLIENT_ID).unwrap();
        app.roles.push("Mail.ReadWrite".to_owned());
        let tenant = runtime.block_on(Tenant::start(settings)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        file("secret", APP_CLIENT_SECRET);
        file("ca.pem", tenant.ca_pem());
        let port = free_port();
        let config = format!(
            "data = \"data\"\nhostname = \"mx.example\"\nca_file = \"ca.pem\"\n{tables}\n[admin]\nlisten = \"127.0.0.1:0\"\n[provider.p]\nkind = \"microsoft\"\n\
             tenant = \"practice.example\"\nclient_id = \"{APP_CLIENT_ID}\"\nclient_secret = {{ file = \"secret\" }}\n\
             authorize_url = \"{}\"\ntoken_url = \"{}\"\ngraph_url = \"{}\"\n\
             graph_resource = \"https://graph.microsoft.com\"\n[account.a]\nprovider = \"p\"\n\
             mailbox = \"scanner@practice.example\"\ngrant = \"client-credentials\"\nsend = [\"graph\"]\ndrafts = true\n\
             limits = {{ draft_size = \"150 MB\" }}\n[[listener]]\nlisten = \"127.0.0.1:{port}\"\ntls = \"none\"\n\
             [[client]]\nname = \"c\"\nnetworks = [\"127.0.0.1/32\"]\naccounts = [\"a\"]\n",
            tenant.authorize_url(),
            tenant.token_url(),
            tenant.graph_base(),
        );
        file("oxpost.toml", &config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxpost"));
        command.arg("serve").arg("--config").arg(folder.path().join("oxpost.toml")).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut program = Self { child, tenant, runtime, folder, port };
        wait_until("the gateway takes connections", || {
            assert_eq!(program.child.try_wait().unwrap(), None, "the gateway ended");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        program
    }

    /// Most resident octets so far.
    pub(crate) fn peak(&self) -> u64 {
        self.resident("VmHWM:")
    }

    /// The same without what is mapped of files, which is the program's own code.
    pub(crate) fn peak_of_data(&self) -> u64 {
        self.peak() - self.resident("RssFile:")
    }

    fn resident(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Waits until so many messages have arrived in all.
    pub(crate) fn arrived(&self, count: u64) -> Vec<Arc<Arrived>> {
        let arrived = async { tokio::time::timeout(Duration::from_secs(400), self.tenant.arrived(count)).await };
        self.runtime.block_on(arrived).expect("the message arrives")
    }
}
