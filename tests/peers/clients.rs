//! Programs that people really point at a relay.

use std::process::{Command, Stdio};

use crate::gateway::{Gateway, LOGIN, PASSWORD};
use crate::support::{Ground, run};

/// A message: who sends it to whom, and its octets with CRLF line ends.
pub(crate) struct Letter {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) octets: Vec<u8>,
}

impl Letter {
    /// A message with a complete header, so that nobody on its way has to add to it, and a body that is hard to carry.
    pub(crate) fn new(from: &str, to: &[&str], subject: &str) -> Self {
        let long = "0123456789".repeat(90);
        let header = format!(
            "From: Old program <{from}>\r\nTo: {}\r\nSubject: {subject}\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n\
             Message-ID: <{}@practice.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n",
            to.join(", "),
            subject.replace(' ', "-")
        );
        let body = format!(
            "Grüße: äöü\r\n.\r\n..\r\n.a line that begins with a dot\r\nspaces at the end   \r\n\ttab\r\n\r\n{long}\r\nFrom here on\r\nthe end\r\n"
        );
        let to = to.iter().map(|address| (*address).to_owned()).collect();
        Self { from: from.to_owned(), to, octets: (header + &body).into_bytes() }
    }

    /// The same with `count` lines more.
    pub(crate) fn with_lines(mut self, count: usize) -> Self {
        for number in 0..count {
            self.octets
                .extend_from_slice(format!("line {number} of an attachment that is not small at all\r\n").as_bytes());
        }
        self
    }

    /// What comes after the header.
    pub(crate) fn body(&self) -> &[u8] {
        let end = self.octets.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap();
        &self.octets[end + 4..]
    }

    fn file(&self, ground: &Ground, name: &str) -> std::path::PathBuf {
        ground.write(name, &self.octets)
    }
}

/// swaks: STARTTLS, AUTH LOGIN. It puts a line end of its own before the final dot.
pub(crate) fn swaks(ground: &Ground, gateway: &Gateway<'_>, letter: &Letter) {
    let server = format!("127.0.0.1:{}", gateway.port);
    let mut swaks = Command::new("swaks");
    swaks.args(["--server", &server, "--tls", "--auth", "LOGIN", "--auth-user", LOGIN, "--auth-password", PASSWORD]);
    swaks.args(["--from", &letter.from, "--to", &letter.to.join(",")]);
    let data = ground.write("swaks.eml", letter.octets.strip_suffix(b"\r\n").unwrap());
    swaks.arg("--data").arg(format!("@{}", data.display()));
    run(&mut swaks);
}

/// msmtp: STARTTLS with the certificate checked, AUTH PLAIN, the message on standard input.
pub(crate) fn msmtp(ground: &Ground, gateway: &Gateway<'_>, letter: &Letter) {
    let mut msmtp = Command::new("msmtp");
    msmtp.args(["--file=/dev/null", "--host=localhost", "--tls=on", "--tls-starttls=on", "--auth=plain"]);
    msmtp.arg(format!("--port={}", gateway.port)).arg(format!("--tls-trust-file={}", gateway.ca.display()));
    msmtp
        .arg(format!("--user={LOGIN}"))
        .arg(format!("--passwordeval=echo '{PASSWORD}'"))
        .arg(format!("--from={}", letter.from));
    let file = std::fs::File::open(letter.file(ground, "msmtp.eml")).unwrap();
    run(msmtp.args(&letter.to).stdin(Stdio::from(file)));
}

/// curl: in clear, without a login; its network lets it in.
pub(crate) fn curl(ground: &Ground, gateway: &Gateway<'_>, letter: &Letter) {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--mail-from", &letter.from]);
    for address in &letter.to {
        curl.args(["--mail-rcpt", address]);
    }
    curl.arg("--upload-file").arg(letter.file(ground, "curl.eml"));
    run(curl.arg(format!("smtp://127.0.0.1:{}/old-program.test", gateway.port)));
}

/// Python's smtplib: TLS from the first octet, its own choice of AUTH.
pub(crate) fn smtplib(ground: &Ground, gateway: &Gateway<'_>, letter: &Letter) {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/send.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(gateway.tls_port.to_string()).arg(&gateway.ca).args([LOGIN, PASSWORD]);
    run(python.arg(letter.file(ground, "smtplib.eml")).arg(&letter.from).args(&letter.to));
}
