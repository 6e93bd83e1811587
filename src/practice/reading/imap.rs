//! IMAP: one folder, read and never changed.

use std::io;
use std::sync::Arc;

use super::super::shared::Shared;
use super::super::smtp::stream::Connection;
use super::{LONGEST, challenge, gone, judge, messages, object};

const PERMISSION: [&str; 2] = ["IMAP.AccessAsUser.All", "IMAP.AccessAsApp"];
const CAPABILITIES: &str = "IMAP4 IMAP4rev1 SASL-IR UIDPLUS ID UNSELECT CHILDREN IDLE NAMESPACE LITERAL+";

pub(super) struct Session {
    connection: Connection,
    shared: Arc<Shared>,
    mailbox: Option<String>,
    /// The messages of the folder that is open.
    open: Option<Vec<Arc<[u8]>>>,
}

impl Session {
    pub(super) fn new(connection: Connection, shared: Arc<Shared>) -> Self {
        Self { connection, shared, mailbox: None, open: None }
    }

    pub(super) async fn run(mut self) -> io::Result<()> {
        self.connection.say("* OK The Microsoft Exchange IMAP4 service is ready.");
        loop {
            let Ok(line) = self.connection.line(LONGEST).await? else { return Err(gone()) };
            let (tag, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
            let (verb, arguments) = rest.split_once(' ').unwrap_or((rest, ""));
            let verb = verb.to_ascii_uppercase();
            let known = match verb.as_str() {
                "LOGOUT" => {
                    self.connection.say("* BYE Microsoft Exchange Server IMAP4 server signing off.");
                    self.connection.say(&format!("{tag} OK LOGOUT completed."));
                    return self.connection.close().await;
                }
                "AUTHENTICATE" => {
                    self.authenticate(tag, arguments).await?;
                    continue;
                }
                "IDLE" if self.open.is_some() => {
                    self.idle(tag).await?;
                    continue;
                }
                "CAPABILITY" => {
                    let login = if self.mailbox.is_none() { " AUTH=PLAIN AUTH=XOAUTH2 LOGINDISABLED" } else { "" };
                    self.connection.say(&format!("* CAPABILITY {CAPABILITIES}{login}"));
                    true
                }
                "NOOP" => true,
                _ if self.mailbox.is_none() => false,
                verb => self.read(verb, arguments),
            };
            let answer = if known { "OK" } else { "BAD" };
            self.connection
                .say(&format!("{tag} {answer} {verb} {}", if known { "completed." } else { "is not known here." }));
        }
    }

    async fn authenticate(&mut self, tag: &str, arguments: &str) -> io::Result<()> {
        let (mechanism, initial) = arguments.split_once(' ').unwrap_or((arguments, ""));
        if !mechanism.eq_ignore_ascii_case("XOAUTH2") {
            self.connection.say(&format!("{tag} NO AUTHENTICATE failed."));
            return Ok(());
        }
        let response = if initial.is_empty() {
            self.connection.say("+ ");
            self.connection.line(LONGEST).await?.unwrap_or_default()
        } else {
            initial.to_owned()
        };
        match judge(&self.shared, &response, PERMISSION) {
            Ok(mailbox) => {
                self.mailbox = Some(mailbox);
                self.connection.say(&format!("{tag} OK AUTHENTICATE completed."));
            }
            Err(why) => {
                object(&self.shared, why);
                self.connection.say(&format!("+ {}", challenge()));
                let answer = self.connection.line(LONGEST).await?;
                if answer.as_deref() != Ok("") {
                    object(&self.shared, "a challenge was answered by something else than an empty line".to_owned());
                }
                self.connection.say(&format!("{tag} NO AUTHENTICATE failed."));
            }
        }
        Ok(())
    }

    /// Waits for new mail and tells of it until the client has enough.
    async fn idle(&mut self, tag: &str) -> io::Result<()> {
        self.connection.say("+ IDLE accepted, awaiting DONE command.");
        self.connection.flush().await?;
        loop {
            let shared = Arc::clone(&self.shared);
            let next = shared.office.count() + 1;
            tokio::select! {
                line = self.connection.line(LONGEST) => {
                    let done = line?.is_ok_and(|line| line.eq_ignore_ascii_case("DONE"));
                    self.connection.say(&format!("{tag} {} IDLE completed.", if done { "OK" } else { "BAD" }));
                    return Ok(());
                }
                () = shared.office.reached(next) => {
                    self.tell_count();
                    self.connection.flush().await?;
                }
            }
        }
    }

    fn tell_count(&mut self) {
        let Some(mailbox) = &self.mailbox else { return };
        let messages = messages(&self.shared, mailbox);
        if self.open.as_ref().is_some_and(|open| open.len() != messages.len()) {
            self.connection.say(&format!("* {} EXISTS", messages.len()));
            self.open = Some(messages);
        }
    }

    fn read(&mut self, verb: &str, arguments: &str) -> bool {
        match verb {
            "LIST" | "LSUB" => self.connection.say(&format!("* {verb} (\\HasNoChildren) \"/\" INBOX")),
            "SELECT" | "EXAMINE" => self.select(),
            "SEARCH" | "UID" if verb == "SEARCH" || arguments.to_ascii_uppercase().starts_with("SEARCH") => {
                let count = self.open.as_ref().map_or(0, Vec::len);
                let all: String = (1..=count).map(|number| format!(" {number}")).collect();
                self.connection.say(&format!("* SEARCH{all}"));
            }
            "FETCH" => self.fetch(arguments),
            "UID" if arguments.to_ascii_uppercase().starts_with("FETCH ") => self.fetch(&arguments[6..]),
            "CLOSE" | "UNSELECT" => self.open = None,
            "STATUS" => {
                let count = self.mailbox.as_ref().map_or(0, |mailbox| messages(&self.shared, mailbox).len());
                self.connection.say(&format!("* STATUS INBOX (MESSAGES {count} UNSEEN {count} UIDNEXT {})", count + 1));
            }
            _ => return false,
        }
        true
    }

    fn select(&mut self) {
        let Some(mailbox) = &self.mailbox else { return };
        let messages = messages(&self.shared, mailbox);
        let (count, next) = (messages.len(), messages.len() + 1);
        self.connection.say(&format!("* {count} EXISTS\r\n* 0 RECENT"));
        self.connection.say("* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)");
        self.connection.say(&format!("* OK [UIDVALIDITY 14] UIDVALIDITY value\r\n* OK [UIDNEXT {next}] The next UID"));
        self.open = Some(messages);
    }

    /// Whatever part is asked for, the whole message is what there is.
    fn fetch(&mut self, arguments: &str) {
        let (set, what) = arguments.split_once(' ').unwrap_or((arguments, ""));
        let what = what.to_ascii_uppercase();
        let open = self.open.clone().unwrap_or_default();
        for (number, message) in open.iter().enumerate().map(|(at, message)| (at + 1, message)) {
            if !includes(set, number) {
                continue;
            }
            let head = format!("* {number} FETCH (UID {number} FLAGS () RFC822.SIZE {}", message.len());
            if what.contains("BODY") || what.contains("RFC822)") || what == "RFC822" {
                self.connection.say(&format!("{head} BODY[] {{{}}}", message.len()));
                self.connection.say_octets(message);
                self.connection.say(")");
            } else {
                self.connection.say(&format!("{head})"));
            }
        }
    }
}

/// Whether a set such as `1:3,5:*` has the number.
fn includes(set: &str, number: usize) -> bool {
    let bound = |text: &str| if text == "*" { usize::MAX } else { text.parse().unwrap_or(0) };
    set.split(',').any(|part| {
        let (from, to) = part.split_once(':').unwrap_or((part, part));
        let (from, to) = (bound(from), bound(to));
        (from.min(to)..=from.max(to)).contains(&number)
    })
}
