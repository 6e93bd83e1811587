//! The whole program with a message as large as any way takes: its memory does not grow with it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use mail_parser::MessageParser;

use crate::program::Program;

/// Resident octets that the program may have at most, ever.
const MOST: u64 = 64 << 20;
/// What a release maps of its own code. A build for tests maps twice that, which says nothing of memory.
const CODE: u64 = 20 << 20;
/// Octets of the file that is sent; in base64 the message has close to 150 MB.
const FILE: usize = 108_000_000;

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
    let program = Program::start("");
    hand_in(program.port);
    let arrived = program.arrived(1).remove(0);
    let peak = program.peak();
    let parsed = MessageParser::default().parse(&arrived.raw[..]).unwrap();
    let octets = parsed.attachments().next().unwrap().contents();
    assert!(octets.len() == FILE / 57_000 * 57_000 && octets.iter().all(|&octet| octet == b'A'));
    eprintln!("{} MiB were resident at most", peak >> 20);
    assert!(peak < MOST, "{peak} octets were resident at most");
    assert_eq!((program.tenant.draft_count(), program.tenant.findings()), (0, vec![]));
}

/// An object that is handed in.
#[derive(Clone, Copy)]
enum Object {
    /// With an attached file, and so many octets of JSON.
    File(usize),
    /// With a text as long, each line of which is escaped in JSON.
    Text(usize),
}

impl Object {
    fn json(self, number: usize) -> String {
        let content = match self {
            Self::File(octets) => {
                let file = "QUFB".repeat((octets - 1_000) / 4);
                format!("\"attachments\": [{{\"name\": \"a.pdf\", \"contentBytes\": \"{file}\"}}]")
            }
            Self::Text(octets) => {
                let line = "<p class=\\\"a\\\">Gr\u{fc}\u{df}e</p>\\r\\n";
                let text = line.repeat((octets - 1_000) / line.len());
                format!("\"body\": {{\"contentType\": \"html\", \"content\": \"{text}\"}}")
            }
        };
        format!(
            "{{\"toRecipients\": [{{\"emailAddress\": {{\"address\": \"alice@practice.example\"}}}}], \
             \"subject\": \"json {number}\", {content}}}"
        )
    }
}

fn hand_in_json(page: &str, body: &str) {
    let mut stream = BufReader::new(TcpStream::connect(page).unwrap());
    let head = format!(
        "POST /api/v1/messages HTTP/1.1\r\nHost: {page}\r\nAuthorization: Bearer erp.{SECRET}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(head.as_bytes()).unwrap();
    stream.get_mut().write_all(body.as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_line(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 202"), "{said}");
}

const SECRET: &str = "only known here";

#[test]
fn objects_as_large_as_they_may_be_go_through_in_64_mb_of_memory() {
    let hash = oxpost::account::password::hash(&oxpost::secret::Secret::new(SECRET)).unwrap();
    let key = format!("[[api_key]]\nname = \"erp\"\nsecret = \"{hash}\"\nscopes = [\"send\"]\nclient = \"c\"\n");
    let program = Program::start(&key);
    let config = program.folder.path().join("oxpost.toml");
    let link =
        std::process::Command::new(env!("CARGO_BIN_EXE_oxpost")).arg("page").arg("--config").arg(config).output();
    let link = String::from_utf8(link.unwrap().stdout).unwrap();
    let page = link.split('/').nth(2).unwrap();
    // The key is checked once, in 19 MiB that are given back: never beside the others, however the threads run.
    hand_in_json(page, &Object::File(2_000).json(0));
    program.arrived(1);
    // These are there at once, whoever is quicker: three go as objects, and the one beyond what Graph takes in one
    // request as a draft.
    let objects = [Object::File(4_100_000), Object::File(4_100_000), Object::Text(4_100_000), Object::File(8_300_000)];
    let mut arrived = Vec::new();
    for round in 0..2 {
        std::thread::scope(|scope| {
            for (number, object) in objects.iter().enumerate() {
                scope.spawn(move || hand_in_json(page, &object.json(1 + number)));
            }
        });
        arrived = program.arrived(1 + (round + 1) * objects.len() as u64);
    }
    let peak = program.peak_of_data() + CODE;
    assert_eq!(arrived.iter().filter(|mail| mail.object.is_some()).count(), 7);
    for mail in &arrived {
        let parsed = MessageParser::default().parse(&mail.raw[..]).unwrap();
        match parsed.attachments().next() {
            Some(file) => assert!(file.contents().iter().all(|&octet| octet == b'A'), "{}", mail.subject()),
            None => {
                let text = parsed.body_html(0).unwrap();
                assert!(
                    text.len() > 3_000_000 && text.lines().all(|line| line == "<p class=\"a\">Gr\u{fc}\u{df}e</p>")
                );
            }
        }
    }
    eprintln!("{} MiB were resident at most", peak >> 20);
    assert!(peak < MOST, "{peak} octets were resident at most");
    assert_eq!((program.tenant.draft_count(), program.tenant.findings()), (0, vec![]));
}
