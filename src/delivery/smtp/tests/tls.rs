//! TLS that is not good enough: mail waits, nothing goes in clear, each cause has words of its own.

use super::*;

fn year(year: i32) -> impl FnOnce(&mut CertificateParams) {
    move |params| {
        params.not_before = rcgen::date_time_ymd(year - 1, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
    }
}

fn self_signed() -> ServerConfig {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    server_config(params.self_signed(&key).unwrap().der().clone(), &key)
}

#[tokio::test]
async fn a_certificate_that_is_not_good_is_refused_in_its_own_words() {
    let certificates = Certificates::new();
    let stranger = Certificates::of("Another CA");
    let impostor = Certificates::new();
    let table = [
        (certificates.server("127.0.0.1", year(2020)), "expired on 2020-01-01", "expired"),
        (certificates.server("127.0.0.1", year(2999)), "this machine's clock says", "not valid yet"),
        (certificates.server("mail.example", |_| {}), "for another name than `127.0.0.1`", "another name"),
        (self_signed(), "self-signed or comes from a CA", "self-signed"),
        (stranger.server("127.0.0.1", |_| {}), "self-signed or comes from a CA", "unknown CA"),
        (impostor.server("127.0.0.1", |_| {}), "not signed by the CA that it names", "a CA that borrows a name"),
    ];
    for (config, words, why) in table {
        for tls in [SmtpTls::StartTls, SmtpTls::Implicit] {
            let script = if tls == SmtpTls::Implicit { "TLS\nHANG" } else { HELLO };
            let setup = Setup { tls, certificate: Some(config.clone()), ..Setup::default() };
            let mut bench = Bench::with(setup, [script]).await;
            bench.backend.target.connector = certificates.connector();
            let attempt = bench.send(&["b@x.example"]).await;
            assert_eq!(shown(&attempt), ["deferred TlsRefused"], "{why}");
            assert!(diagnostic(&attempt).contains(words), "{why}: {}", diagnostic(&attempt));
            assert!(!bench.server.lines().iter().any(|line| line.contains("AUTH")), "{why}");
        }
    }
}

#[tokio::test]
async fn a_handshake_that_comes_to_nothing_defers() {
    let start = "S: 220 up\nC: EHLO\nS: 250-up\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\n";
    let table = [
        ("CLOSE", "deferred TlsRefused", "closed the connection during the TLS handshake"),
        ("TAKE 10\nRESET", "deferred TlsRefused", "during the TLS handshake"),
        ("LINGER 20\nTAKE 10\nS: HTTP/1.1 400 Bad Request", "deferred TlsRefused", "something that is not TLS"),
        ("HANG", "deferred TimedOut", "the TLS handshake"),
    ];
    for (fault, expected, words) in table {
        let mut setup = Setup::default();
        if fault == "HANG" {
            setup.timeouts.step = Duration::from_millis(500);
        }
        let bench = Bench::with(setup, [format!("{start}{fault}")]).await;
        let attempt = bench.send(&["b@x.example"]).await;
        assert_eq!(shown(&attempt), [expected], "{fault}");
        assert!(diagnostic(&attempt).contains(words), "{fault}: {}", diagnostic(&attempt));
    }
}

#[tokio::test]
async fn implicit_tls_speaks_no_starttls() {
    let setup = Setup { tls: SmtpTls::Implicit, ..Setup::default() };
    let hello = "TLS\nS: 220 up\nC: EHLO gw.example\nS: 250-up\nS: 250-PIPELINING\nS: 250 AUTH XOAUTH2\n";
    let bench = Bench::with(setup, [format!("{hello}{LOGIN}{MAIL}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    bench.assert_followed();
}

#[tokio::test]
async fn a_second_connection_resumes_the_tls_session() {
    let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}CLOSE"), format!("{HELLO}{LOGIN}{MAIL}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    bench.server.all_closed().await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    assert_eq!(bench.server.resumed(), [false, true]);
}
