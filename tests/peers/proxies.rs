//! All that leaves goes through a proxy that nobody of us wrote: tinyproxy by CONNECT, microsocks by SOCKS5.

use std::process::Command;

use crate::clients::{Letter, curl};
use crate::gateway::{Gateway, Grant, LOGIN, PASSWORD};
use crate::identity::Identity;
use crate::support::{Ground, Process, free_port, run, wait_for_port};
use crate::upstream::Upstream;

const PERSON: &str = "scanner@practice.test";
const PROXY_PASSWORD: &str = "only-for-the-proxy";

/// Starts one; its log says where it connected to.
fn start(ground: &Ground, program: &str, port: u16) -> Process {
    let at = port.to_string();
    let mut process = match program {
        "tinyproxy" => {
            let text = format!(
                "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 50\nLogLevel Connect\nAllow 127.0.0.1\n\
                 BasicAuth oxpost {PROXY_PASSWORD}\n"
            );
            let file = ground.write("tinyproxy.conf", text);
            Process::start(ground, program, Command::new(program).arg("-d").arg("-c").arg(file))
        }
        _ => {
            let mut command = Command::new(program);
            command.args(["-i", "127.0.0.1", "-p", &at, "-u", "oxpost", "-P", PROXY_PASSWORD]);
            Process::start(ground, program, &command)
        }
    };
    wait_for_port(&mut process, port);
    process
}

#[test]
fn sign_in_mail_and_reading_go_through_a_real_proxy() {
    for (program, scheme) in [("tinyproxy", "http"), ("microsocks", "socks5h")] {
        let ground = Ground::new("proxies");
        let identity = Identity::start(&ground, PERSON);
        let upstream = Upstream::start(&ground, identity.port);
        let port = free_port();
        let proxy = start(&ground, program, port);
        ground.write("proxy-password", PROXY_PASSWORD);
        let network = format!(
            "[network]\nproxy = \"{scheme}://127.0.0.1:{port}\"\nproxy_login = \"oxpost\"\n\
             proxy_password = {{ file = \"proxy-password\" }}\nproxy_loopback = true\n\n[provider.peer]"
        );
        let gateway = Gateway::start_edited(&ground, &identity, &upstream, Grant::Person(PERSON), |usual| {
            usual.replace("[provider.peer]", &network)
        });
        gateway.sign_in();

        let letter = Letter::new(PERSON, &[PERSON, "a@elsewhere.test"], "through a proxy").with_lines(20_000);
        curl(&ground, &gateway, &letter);
        for recipient in &letter.to {
            assert!(upstream.wait_for_mail(recipient, 1)[0].ends_with(&letter.octets), "{program}: {recipient}");
        }
        let user = format!("{LOGIN}:{PASSWORD}");
        let read = |url: &str| run(Command::new("curl").args(["-sS", "--user", &user, url]));
        let by_imap = read(&format!("imap://127.0.0.1:{}/INBOX;UID=1", gateway.imap_port));
        let by_pop3 = read(&format!("pop3://127.0.0.1:{}/1", gateway.pop3_port));
        for (way, text) in [("IMAP", by_imap), ("POP3", by_pop3)] {
            assert!(text.contains("Subject: through a proxy"), "{program}, {way}: {text:.500}");
        }
        let servers = [identity.port, upstream.smtp_port, upstream.imaps_port, upstream.pop3s_port];
        let log = ground.read(&format!("{program}.log"));
        for server in servers {
            assert!(log.contains(&format!(":{server}")), "{program} was not asked for port {server}:\n{log}");
        }
        let doctor = gateway.command(&["doctor"]);
        assert!(doctor.contains(&format!("goes through the proxy `{scheme}://127.0.0.1:{port}`")), "{doctor}");

        // Without it nothing leaves, and it is named.
        drop(proxy);
        let output = gateway.try_command(&["doctor"]).output().unwrap();
        let doctor = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!output.status.success() && doctor.contains("could not be connected to"), "{program}: {doctor}");
        for secret in [PROXY_PASSWORD, PASSWORD] {
            assert!(!gateway.log().contains(secret) && !doctor.contains(secret), "{program}: a password is shown");
        }
    }
}
