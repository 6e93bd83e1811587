//! The whole program with a message as large as any way takes: its memory does not grow with it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mail_parser::MessageParser;
use oxpost::practice::{APP_CLIENT_ID, APP_CLIENT_SECRET, Settings, Tenant};

/// Resident octets that the program may have at most, ever.
const MOST: u64 = 64 << 20;
/// Octets of the file that is sent; in base64 the message has close to 150 MB.
const FILE: usize = 108_000_000;

/// Ends the gateway with the test.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Gateway {
    /// Most resident octets so far.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

/// One reply's last line.
fn reply(stream: &mut BufReader<TcpStream>) -> String {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the gateway hung up");
        if line.as_bytes().get(3) != Some(&b'-') {
            return line;
        }
    }
}

fn hand_in(port: u16) {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap());
    reply(&mut stream);
    for command in ["EHLO test", "MAIL FROM:<scanner@practice.example>", "RCPT TO:<alice@practice.example>", "DATA"] {
        stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let said = reply(&mut stream);
        assert!(said.starts_with(['2', '3']), "{command}: {said}");
    }
    let header = "From: scanner@practice.example\r\nTo: alice@practice.example\r\nSubject: large\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nText\r\n--b\r\nContent-Type: application/pdf; name=a.pdf\r\n\
        Content-Transfer-Encoding: base64\r\n\r\n";
    stream.get_mut().write_all(header.as_bytes()).unwrap();
    // 57 octets are a line of 76 characters.
    let line = "QUFB".repeat(19) + "\r\n";
    let block = line.repeat(1_000);
    for _ in 0..FILE / 57 / 1_000 {
        stream.get_mut().write_all(block.as_bytes()).unwrap();
    }
    stream.get_mut().write_all(b"--b--\r\n.\r\n").unwrap();
    let said = reply(&mut stream);
    assert!(said.starts_with("250"), "{said}");
}

#[test]
fn a_message_of_150_mb_goes_through_in_64_mb_of_memory() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut settings = Settings::default();
    let app = settings.directory.apps.iter_mut().find(|app| app.client_id == APP_CLIENT_ID).unwrap();
    app.roles.push("Mail.ReadWrite".to_owned());
    let tenant = runtime.block_on(Tenant::start(settings)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("secret", APP_CLIENT_SECRET);
    file("ca.pem", tenant.ca_pem());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "data = \"data\"\nhostname = \"mx.example\"\nca_file = \"ca.pem\"\n[provider.p]\nkind = \"microsoft\"\n\
         tenant = \"practice.example\"\nclient_id = \"{APP_CLIENT_ID}\"\nclient_secret = {{ file = \"secret\" }}\n\
         authorize_url = \"{}\"\ntoken_url = \"{}\"\ngraph_url = \"{}\"\ngraph_resource = \"https://graph.microsoft.com\"\n\
         [account.a]\nprovider = \"p\"\nmailbox = \"scanner@practice.example\"\ngrant = \"client-credentials\"\n\
         send = [\"graph\"]\ndrafts = true\nlimits = {{ draft_size = \"150 MB\" }}\n[[listener]]\n\
         listen = \"127.0.0.1:{port}\"\ntls = \"none\"\n[[client]]\nname = \"c\"\nnetworks = [\"127.0.0.1/32\"]\naccounts = [\"a\"]\n",
        tenant.authorize_url(),
        tenant.token_url(),
        tenant.graph_base(),
    );
    file("oxpost.toml", &config);
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxpost"));
    command.arg("serve").arg("--config").arg(folder.path().join("oxpost.toml")).stdin(Stdio::null());
    let gateway = Gateway(command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap());
    for _ in 0..600 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    hand_in(port);
    let arrived = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(400), tenant.arrived(1)).await });
    let arrived = arrived.expect("the message arrives").remove(0);
    let peak = gateway.peak();
    let parsed = MessageParser::default().parse(&arrived.raw[..]).unwrap();
    let octets = parsed.attachments().next().unwrap().contents();
    assert!(octets.len() == FILE / 57_000 * 57_000 && octets.iter().all(|&octet| octet == b'A'));
    eprintln!("{} MiB were resident at most", peak >> 20);
    assert!(peak < MOST, "{peak} octets were resident at most");
    assert_eq!((tenant.draft_count(), tenant.findings()), (0, vec![]));
}
