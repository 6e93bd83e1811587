//! Signatures hold: mail that openssl and gpg signed or encrypted goes through every way out, and openssl and gpg
//! accept what arrives.

use std::path::Path;
use std::process::Command;

use oxpost::practice::Arrived;

use crate::bench::{ALL, Bench, SCANNER, reasons};
use crate::support::{Ground, run};

const ALICE: &str = "alice@practice.example";
/// In no header: ways without an envelope put it into Bcc, which is a change next to what is signed.
const HIDDEN: &str = "hidden@practice.example";

/// The part that is signed: what relays like to mend.
const PART: &str = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
    Gr\u{fc}\u{df}e  \r\n.\r\n..\r\nFrom here on\r\n\ttab \t\r\n\r\n-- \r\nx\r\n\r\n";

fn header(subject: &str) -> String {
    format!(
        "From: Scanner <{SCANNER}>\r\nTo: {ALICE}\r\nSubject: {subject}\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n\
         Message-ID: <1@x.example>\r\nMIME-Version: 1.0\r\n"
    )
}

/// With CRLF at each line's end.
fn crlf(text: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(text).replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
}

/// A message that some program made, and how that program judges what arrived.
struct Sealed<'a> {
    name: &'static str,
    mail: Vec<u8>,
    accepts: Box<dyn Fn(&Path) -> bool + 'a>,
}

fn openssl(ground: &Ground, words: &str) -> Command {
    let mut command = Command::new("openssl");
    command.args(words.split(' ')).current_dir(ground.path(""));
    command
}

fn well(command: &mut Command) -> bool {
    command.output().unwrap().status.success()
}

/// S/MIME by openssl: signed beside the text and around it, by the old command and the new one, and encrypted.
fn smime<'a>(ground: &'a Ground) -> Vec<Sealed<'a>> {
    let subject = format!("/CN=Scanner/emailAddress={SCANNER}");
    let request = "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out cert.pem -addext extendedKeyUsage=emailProtection -subj";
    run(openssl(ground, request).arg(subject));
    ground.write("part.eml", PART);
    let rows = [
        ("S/MIME beside", "smime -sign -binary", "smime -verify -CAfile cert.pem"),
        ("S/MIME around", "smime -sign -binary -nodetach", "smime -verify -CAfile cert.pem"),
        ("CMS beside", "cms -sign -binary -md sha256", "cms -verify -CAfile cert.pem"),
        ("CMS around", "cms -sign -binary -nodetach", "cms -verify -CAfile cert.pem"),
        ("encrypted", "smime -encrypt -binary -aes256", "smime -decrypt -inkey key.pem -recip cert.pem"),
    ];
    let make = |(name, seal, open): (&'static str, &'static str, &'static str)| {
        let with = if seal.contains("encrypt") { "cert.pem" } else { "-signer cert.pem -inkey key.pem" };
        let words = format!("{seal} -in part.eml -out sealed.eml {with}");
        run(&mut openssl(ground, &words));
        let sealed = std::fs::read(ground.path("sealed.eml")).unwrap();
        // openssl begins with `MIME-Version`, which the header has already.
        let body = String::from_utf8(crlf(&sealed)).unwrap().replacen("MIME-Version: 1.0\r\n", "", 1);
        let accepts = move |arrived: &Path| {
            let opened = format!("{open} -in {} -out opened.eml", arrived.display());
            let opens = well(&mut openssl(ground, &opened));
            opens && std::fs::read(ground.path("opened.eml")).unwrap() == PART.as_bytes()
        };
        Sealed { name, mail: [header(name).into_bytes(), body.into_bytes()].concat(), accepts: Box::new(accepts) }
    };
    rows.into_iter().map(make).collect()
}

fn gpg(ground: &Ground) -> Command {
    let mut command = Command::new("gpg");
    command.env("GNUPGHOME", ground.path("gnupg")).current_dir(ground.path("")).args(["--batch", "--quiet"]);
    command
}

/// PGP/MIME by gpg (RFC 3156).
fn pgp<'a>(ground: &'a Ground) -> Vec<Sealed<'a>> {
    std::fs::create_dir(ground.path("gnupg")).unwrap();
    run(Command::new("chmod").arg("700").arg(ground.path("gnupg")));
    let new_key = ["--passphrase", "", "--quick-generate-key", SCANNER, "ed25519", "sign", "1d"];
    run(gpg(ground).args(new_key));
    // RFC 3156 section 5: the signature is over the part without the line end before the delimiter.
    let signed = PART.strip_suffix("\r\n").unwrap();
    ground.write("signed.eml", signed);
    run(gpg(ground).args([
        "--armor",
        "--digest-algo",
        "SHA256",
        "--detach-sign",
        "--output",
        "signed.asc",
        "signed.eml",
    ]));
    let signature = crlf(&std::fs::read(ground.path("signed.asc")).unwrap());
    let mail = [
        header("PGP").as_bytes(),
        b"Content-Type: multipart/signed; micalg=pgp-sha256; protocol=\"application/pgp-signature\"; boundary=\"=-b\"\r\n\r\n--=-b\r\n",
        signed.as_bytes(),
        b"\r\n--=-b\r\nContent-Type: application/pgp-signature; name=signature.asc\r\n\r\n",
        &signature,
        b"\r\n--=-b--\r\n",
    ]
    .concat();
    let accepts = move |arrived: &Path| {
        let mail = std::fs::read(arrived).unwrap();
        let text = String::from_utf8(mail).unwrap();
        let parts: Vec<&str> = text.split("--=-b").collect();
        let [_, part, signature, _] = parts[..] else { return false };
        let part = part.strip_prefix("\r\n").and_then(|part| part.strip_suffix("\r\n"));
        let signature = signature.split_once("\r\n\r\n").map(|(_, signature)| signature);
        let (Some(part), Some(signature)) = (part, signature) else { return false };
        ground.write("arrived.part", part);
        ground.write("arrived.asc", signature);
        well(gpg(ground).args(["--verify", "arrived.asc", "arrived.part"]))
    };
    vec![Sealed { name: "PGP", mail, accepts: Box::new(accepts) }]
}

#[test]
fn what_openssl_and_gpg_sealed_is_accepted_by_them_after_every_way() {
    let ground = Ground::new("signatures");
    let sealed: Vec<_> = smime(&ground).into_iter().chain(pgp(&ground)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for kind in ALL {
        let bench = runtime.block_on(Bench::new());
        let backend = bench.backend(kind);
        for (number, Sealed { name, mail, accepts }) in (1..).zip(&sealed) {
            let arrived: std::sync::Arc<Arrived> = runtime.block_on(async {
                let attempt = bench.deliver(&*backend, mail, &[ALICE, HIDDEN]).await;
                assert_eq!(reasons(&attempt), [None, None], "{kind}, {name}: {attempt:?}");
                bench.tenant.arrived(number).await.pop().unwrap()
            });
            let file = ground.write("arrived.eml", &arrived.shown);
            assert!(accepts(&file), "{kind}, {name}: {}", String::from_utf8_lossy(&arrived.shown));
            assert!(arrived.recipients.iter().any(|to| to == HIDDEN), "{kind}, {name}");
        }
        assert_eq!(bench.tenant.findings(), [], "{kind}");
    }
    for Sealed { name, mail, accepts } in &sealed {
        // One letter of what is sealed, in the text or in the middle of its base64.
        let at = mail.windows(8).position(|octets| octets == b"From her").unwrap_or(mail.len() / 2);
        let mut broken = mail.clone();
        broken[at] = if broken[at] == b'F' { b'G' } else { b'F' };
        let file = ground.write("broken.eml", &broken);
        assert!(!accepts(&file), "{name}: a change must be noticed, or this test shows nothing");
    }
}
