//! Rows 29, 36: a provider whose name is not found, or whose TLS is not good enough any more.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::rig::{BILLING, Rig, SCANNER};
use crate::support::{free_port, run, wait_until};

/// A server of OpenSSL, for TLS from the first octet.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _gone = self.0.wait();
    }
}

/// A key of `bits`, and its certificate for `localhost` from a CA that the gateway trusts.
fn certificate(rig: &Rig, bits: u32) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        run(command.args(arguments.split(' ')).current_dir(rig.ground.path("")).stderr(Stdio::null()));
    };
    rig.ground.write("names", "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n");
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out other-ca.pem -days 2 -subj /CN=Test-CA");
    openssl(&format!("req -newkey rsa:{bits} -nodes -keyout server.key -out server.csr -subj /CN=localhost"));
    openssl(
        "x509 -req -in server.csr -CA other-ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    let both = rig.ground.read("ca.pem") + &rig.ground.read("other-ca.pem");
    rig.ground.write("ca.pem", both);
}

fn serve(rig: &Rig, port: u16, options: &[&str]) -> Server {
    let mut command = Command::new("openssl");
    command.args(["s_server", "-quiet", "-accept", &port.to_string(), "-cert", "server.pem", "-key", "server.key"]);
    command
        .args(options)
        .current_dir(rig.ground.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Server(command.spawn().unwrap());
    wait_until("the server listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    server
}

/// The configuration with another port of the provider's SMTP server.
fn with_smtp_port(text: &str, port: u16) -> String {
    let (before, after) = text.split_once("smtp_port = ").unwrap();
    let (_, rest) = after.split_once('\n').unwrap();
    format!("{before}smtp_port = {port}\n{rest}")
}

#[test]
fn tls_of_another_age_gets_no_login_no_mail_and_words_of_its_own() {
    let weak = "DEFAULT:@SECLEVEL=0";
    let rows: [(&str, u32, &[&str], &str); 3] = [
        ("tls-1-0", 2_048, &["-tls1", "-cipher", weak], "agree on no TLS version or cipher (TLS 1.2 is the oldest)"),
        ("tls-1-1", 2_048, &["-tls1_1", "-cipher", weak], "agree on no TLS version or cipher (TLS 1.2 is the oldest)"),
        ("rsa-1024", 1_024, &["-cipher", weak], "the certificate of `localhost`"),
    ];
    for (test, bits, options, words) in rows {
        let port = free_port();
        let rig = Rig::new(test, |text| with_smtp_port(&text, port).replace("\"starttls\"", "\"implicit\""));
        certificate(&rig, bits);
        let _server = serve(&rig, port, options);
        let _gateway = rig.serve();
        rig.send(SCANNER, "waits");
        wait_until(&format!("{test}: the log says why"), || rig.log().contains("deferred").then_some(()));
        assert!(rig.log().contains(words), "{test}: {}", rig.log());
        rig.send(BILLING, "by the other account");
        wait_until("others are not concerned", || (rig.copies("by the other account") > 0).then_some(()));
        assert!(!rig.queue().contains("the queue is empty"), "{test}: it waits");
        assert!(!rig.log().contains("failed"), "{test}: it is not given up");
    }
}

#[test]
fn a_name_that_is_not_found_is_found_when_it_is_there_again_without_a_restart() {
    let rig = Rig::new("no-dns", |text| text.replace("\"localhost\"", "\"mail.rig.test\""));
    rig.ground.write("hosts", "127.0.0.1 localhost\n");
    rig.ground.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
    // A mount namespace of its own gives the program other files than the machine has.
    let script = format!(
        "mount --bind {0}/hosts /etc/hosts && mount --bind {0}/resolv.conf /etc/resolv.conf && exec \"$@\"",
        rig.ground.path("").display().to_string().trim_end_matches('/')
    );
    let command = rig.oxpost_under(&["unshare", "-m", "sh", "-c", &script, "sh"], &["serve"]);
    let _gateway = rig.serve_by(&command);
    rig.send(SCANNER, "waits");
    wait_until("the log names the name", || {
        rig.log().contains("the name `mail.rig.test` could not be looked up").then_some(())
    });
    rig.send(BILLING, "by the other account");
    wait_until("others are not concerned", || (rig.copies("by the other account") > 0).then_some(()));
    // Written into the same file: that is what the program sees.
    std::fs::write(rig.ground.path("hosts"), "127.0.0.1 localhost mail.rig.test\n").unwrap();
    wait_until("another error, or none: the name is found", || {
        rig.retry_all();
        rig.log().contains("is for another name than `mail.rig.test`").then_some(())
    });
}

/// Carries every connection to the provider, once somebody calls [`Line::open`]; until then its line is full, and the
/// kernel answers nobody.
struct Line {
    socket: TcpListener,
    waiting: Vec<TcpStream>,
}

impl Line {
    fn dead(port: u16) -> Self {
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(0).unwrap();
        let wait = Duration::from_millis(300);
        let connect = |_| TcpStream::connect_timeout(&address, wait).ok();
        let waiting: Vec<_> = (0..64).map_while(connect).collect();
        assert!(waiting.len() < 64, "the line is never full");
        Self { socket: socket.into(), waiting }
    }

    fn open(self, to: SocketAddr) {
        drop(self.waiting);
        std::thread::spawn(move || {
            while let Ok((client, _)) = self.socket.accept() {
                let server = TcpStream::connect(to).unwrap();
                carry(client.try_clone().unwrap(), server.try_clone().unwrap());
                carry(server, client);
            }
        });
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    std::thread::spawn(move || {
        // Either side may be gone; the other one hears of it.
        let _carried = std::io::copy(&mut from, &mut to);
        let _told = to.shutdown(Shutdown::Both);
    });
}

#[test]
fn a_provider_whose_line_is_dead_is_given_up_in_time_and_used_again() {
    let port = free_port();
    let line = Line::dead(port);
    let rig = Rig::new("dead-line", |text| {
        with_smtp_port(&text, port).replace("[limits]", "[delivery]\nstep_timeout = \"1 s\"\n\n[limits]")
    });
    let _gateway = rig.serve();
    rig.send(SCANNER, "waits");
    wait_until("the log says why", || rig.log().contains("did not finish the connection within 1 s").then_some(()));
    rig.send(BILLING, "by the other account");
    wait_until("others are not concerned", || (rig.copies("by the other account") > 0).then_some(()));
    line.open(rig.tenant.smtp_addr());
    wait_until("`waits` arrives", || {
        rig.retry_all();
        (rig.copies("waits") > 0).then_some(())
    });
    rig.arrives_once("waits");
}
