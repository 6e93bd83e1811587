//! Plays every dialogue of `tests/dialogues` against the sessions in memory.
#![expect(clippy::expect_used, reason = "a test stops where an expectation fails")]

#[path = "support/dialogue.rs"]
mod dialogue;
#[path = "support/reading_sessions.rs"]
mod reading_sessions;

use std::collections::VecDeque;
use std::path::Path;

use dialogue::{Dialogue, Peer, Rules, Stored};
use oxpost::mail::EnhancedStatusCode;
use oxpost::smtp::{
    Action, AuthResult, AuthRule, Credentials, LineEndings, Options, RcptTarget, Reply, Session, replies,
};

const NO_SUCH_RECIPIENT: Reply = Reply::new(550, EnhancedStatusCode::new(5, 1, 1), "No such recipient");

/// A session and a driver that keeps what it is told.
struct InMemory {
    session: Session,
    rules: Rules,
    wire: VecDeque<u8>,
    closed: bool,
    handshake_due: bool,
    open: Option<Stored>,
    stored: VecDeque<Stored>,
}

impl InMemory {
    fn new(rules: &Rules) -> Self {
        let options = Options {
            max_octets: rules.max_octets,
            max_recipients: rules.max_recipients,
            auth: match rules.auth.as_str() {
                "never" => AuthRule::Never,
                "always" => AuthRule::Always,
                _ => AuthRule::OverTlsOnly,
            },
            auth_required: rules.auth_required,
            starttls: rules.starttls,
            smtputf8: rules.smtputf8,
            dsn: rules.smtputf8, // both follow from ways that are all SMTP
            max_errors: rules.max_errors,
            strict_line_ends: rules.strict_line_ends,
            line_endings: if rules.lf { LineEndings::Lf } else { LineEndings::Crlf },
            ..Options::new("mx.example")
        };
        let mut peer = Self {
            session: Session::new(options, rules.tls).identified(rules.network),
            rules: rules.clone(),
            wire: VecDeque::new(),
            closed: false,
            handshake_due: false,
            open: None,
            stored: VecDeque::new(),
        };
        peer.drive();
        peer
    }

    fn drive(&mut self) {
        while let Some(action) = self.session.next_action() {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Reply(octets) => self.wire.extend(octets),
            Action::StartTls => self.handshake_due = true,
            Action::Authenticate(credentials) => {
                let result = self.check(&credentials);
                self.session.authenticated(result);
            }
            Action::Mail(request) => {
                let reverse_path = request.reverse_path.to_string();
                self.open = Some(Stored { reverse_path, recipients: Vec::new(), content: String::new() });
                self.session.mail_answered(Ok(()));
            }
            Action::Rcpt(request) => {
                let answer = self.recipient(request.target);
                self.session.recipient_answered(answer);
            }
            Action::StartBody if self.rules.no_room => self.session.data_answered(Err(replies::NO_ROOM)),
            Action::StartBody => self.session.data_answered(Ok(())),
            Action::Body(piece) => {
                let open = self.open.as_mut().expect("a message is open");
                open.content.push_str(std::str::from_utf8(&piece).expect("dialogues are text"));
            }
            Action::DiscardBody => self.open = None,
            Action::EndOfBody => {
                self.stored.push_back(self.open.take().expect("a message is open"));
                self.session.accepted(replies::DONE.saying("queued as 0123"));
            }
            Action::Close => self.closed = true,
        }
    }

    fn check(&self, credentials: &Credentials) -> AuthResult {
        let (name, password) = &self.rules.login;
        let acts_as_itself = credentials.authorization_id.as_ref().is_none_or(|id| *id == credentials.login);
        if acts_as_itself && credentials.login == *name && credentials.password.same_as(password) {
            AuthResult::Accepted
        } else {
            AuthResult::Refused(replies::AUTH_FAILED)
        }
    }

    fn recipient(&mut self, target: RcptTarget) -> Result<(), Reply> {
        let address = match target {
            RcptTarget::Address(address) => address.to_string(),
            RcptTarget::Postmaster => "postmaster".to_owned(),
        };
        if self.rules.refused.contains(&address) {
            return Err(NO_SUCH_RECIPIENT);
        }
        self.open.as_mut().expect("a message is open").recipients.push(format!("<{address}>"));
        Ok(())
    }
}

impl Peer for InMemory {
    fn send(&mut self, octets: &[u8]) {
        self.session.receive(octets);
        self.drive();
    }

    fn line(&mut self) -> Option<String> {
        let length = self.wire.iter().position(|octet| *octet == b'\n')?;
        let line: Vec<u8> = self.wire.drain(..=length).collect();
        let line = String::from_utf8(line).expect("a reply is ASCII");
        Some(line.strip_suffix("\r\n").expect("a reply line ends with CRLF").to_owned())
    }

    fn is_closed(&mut self) -> bool {
        self.closed
    }

    fn start_tls(&mut self) {
        assert!(std::mem::take(&mut self.handshake_due), "the server waits for a handshake");
        self.session.tls_started();
        self.drive();
    }

    fn message(&mut self) -> Option<Stored> {
        self.stored.pop_front()
    }
}

#[test]
fn the_session_speaks_as_the_dialogues_say() {
    for (name, dialogue) in dialogues("smtp") {
        dialogue.play(&name, &mut InMemory::new(&dialogue.rules));
    }
}

#[test]
fn the_imap_session_speaks_as_the_dialogues_say() {
    for (name, dialogue) in dialogues("imap") {
        dialogue.play(&name, &mut reading_sessions::imap(&dialogue.rules));
    }
}

#[test]
fn the_pop3_session_speaks_as_the_dialogues_say() {
    for (name, dialogue) in dialogues("pop3") {
        dialogue.play(&name, &mut reading_sessions::pop3(&dialogue.rules));
    }
}

/// The dialogues of a protocol with their names.
fn dialogues(protocol: &str) -> Vec<(String, Dialogue)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues").join(protocol);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(paths.len() > 10, "the dialogues are there");
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), Dialogue::read(path))).collect()
}
