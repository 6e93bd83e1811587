//! npm's `oidc-provider` on loopback, and a browser made of curl.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ground, Process, free_port, run, wait_for_port};

pub(crate) const CLIENT_ID: &str = "gateway";
pub(crate) const CLIENT_SECRET: &str = "gateway-secret";
pub(crate) const SCOPES: &str = "openid offline_access mail";

/// The identity provider.
pub(crate) struct Identity {
    pub(crate) port: u16,
    _process: Process,
}

impl Identity {
    /// Starts it; whoever signs in is `mailbox`.
    pub(crate) fn start(ground: &Ground, mailbox: &str) -> Self {
        let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers");
        assert!(modules.join("node_modules/oidc-provider").exists(), "oidc-provider is missing: ./test installs it");
        let port = free_port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/identity.mjs");
        let mut node = Command::new("node");
        node.arg(script).arg(port.to_string()).arg(modules).arg(mailbox);
        let mut process = Process::start(ground, "identity", &node);
        wait_for_port(&mut process, port);
        Self { port, _process: process }
    }

    /// The address of one of its endpoints, such as `/token`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Access tokens issued from now on live this long.
    pub(crate) fn token_lifetime(&self, seconds: u32) {
        self.desk(&format!("lifetime/{seconds}"));
    }

    /// No access token is good any more; grants and refresh tokens are.
    pub(crate) fn expire_access_tokens(&self) {
        self.desk("expire");
    }

    /// The administrator takes every grant back, and all that came of it.
    pub(crate) fn revoke_grants(&self) {
        self.desk("revoke");
    }

    /// The token endpoint answers nobody any more: `before` it looks at a request, `after` it served one; or `never`.
    pub(crate) fn hold(&self, when: &str) {
        self.desk(&format!("hold/{when}"));
    }

    /// How many requests it holds back.
    pub(crate) fn held(&self) -> u64 {
        run(Command::new("curl").args(["--fail", "-sS"]).arg(self.url("/desk/held"))).trim().parse().unwrap()
    }

    /// The private key of the client `gateway-key`.
    pub(crate) fn key(&self) -> String {
        run(Command::new("curl").args(["--fail", "-sS"]).arg(self.url("/desk/key")))
    }

    fn desk(&self, what: &str) {
        run(Command::new("curl").args(["--fail", "-sS", "-X", "POST"]).arg(self.url(&format!("/desk/{what}"))));
    }

    /// How often it gave tokens for `grant_type`; `refused` counts refusals.
    pub(crate) fn count(&self, grant_type: &str) -> u64 {
        let counts = run(Command::new("curl").args(["--fail", "-sS"]).arg(self.url("/desk/counts")));
        let counts: Value = serde_json::from_str(&counts).unwrap();
        counts[grant_type].as_u64().unwrap_or_else(|| panic!("nobody counts {grant_type}"))
    }

    /// Asks the token endpoint, as the client [`CLIENT_ID`].
    pub(crate) fn token(&self, form: &[(&str, &str)]) -> Value {
        let mut curl = Command::new("curl");
        curl.args(["-sS"]).arg(self.url("/token"));
        for (name, value) in form.iter().chain(&[("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET)]) {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        serde_json::from_str(&run(&mut curl)).unwrap()
    }
}

/// Opens `url` as a browser does, follows every redirect, and returns the address it ends at.
///
/// Whether somebody listens at that last address is not looked at.
pub(crate) fn browse(ground: &Ground, url: &str) -> String {
    let mut curl = browser(ground);
    curl.args(["-w", "%{url_effective}", url]);
    let output = curl.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Types a device code as a person does: the page, the code, the question whether that is meant.
pub(crate) fn type_code(ground: &Ground, page: &str, code: &str) {
    let jar = ground.path("device-cookies");
    let _ = std::fs::remove_file(&jar);
    let curl = |fields: &[(&str, &str)]| {
        let mut curl = Command::new("curl");
        curl.args(["-sSL", "-c"]).arg(&jar).arg("-b").arg(&jar);
        for (name, value) in fields {
            curl.arg("--data-urlencode").arg(format!("{name}={value}"));
        }
        run(curl.arg(page))
    };
    let guard = |page: &str| {
        let (_, rest) = page.split_once("name=\"xsrf\" value=\"").unwrap_or_else(|| panic!("no form: {page}"));
        rest.split('"').next().unwrap().to_owned()
    };
    let form = curl(&[]);
    let question = curl(&[("xsrf", &guard(&form)), ("user_code", code)]);
    let done = curl(&[("xsrf", &guard(&question)), ("user_code", code), ("confirm", "yes")]);
    assert!(done.contains("Sign-in Success"), "{done}");
}

/// The same on another machine: the address that the browser is sent to last, and cannot open there.
pub(crate) fn browse_elsewhere(ground: &Ground, url: &str) -> String {
    let mut curl = browser(ground);
    curl.args(["--max-redirs", "2", "-w", "%{redirect_url}", url]); // to the sign-in page, and back from it
    String::from_utf8(curl.output().unwrap().stdout).unwrap()
}

/// curl that follows redirects and keeps cookies, with nothing remembered.
fn browser(ground: &Ground) -> Command {
    let jar = ground.path("cookies");
    let _ = std::fs::remove_file(&jar);
    let mut curl = Command::new("curl");
    curl.args(["-sSL", "-o", "/dev/null", "-c"]).arg(&jar).arg("-b").arg(&jar);
    curl
}

/// The value of a parameter in the query of `url`.
pub(crate) fn parameter(url: &str, name: &str) -> String {
    let parsed = url::Url::parse(url).unwrap();
    let found = parsed.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    found.unwrap_or_else(|| panic!("{url} has no {name}"))
}
