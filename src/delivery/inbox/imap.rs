//! The inbox as IMAP shows it (RFC 9051). It is opened by EXAMINE and read by BODY.PEEK, so nothing is changed there, not
//! even what counts as new.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::source::{Item, Page};
use crate::clock::Timestamp;
use crate::mail::dsn::MAX_REPORT;
use crate::mail::{Address, Failure, Reason};
use crate::net::connect::Connector;
use crate::reading::{Protocol, ReadingServer, Talk, Way};

/// Messages on a page.
const PAGE: usize = 200;
/// UIDs in one command: servers take lines of 8,000 octets (RFC 9051 section 4).
const AT_ONCE: usize = 500;
/// Messages that a search may find.
const MAX_FOUND: usize = 20_000;
/// A day begins earlier or later where the server is.
const DAY: Duration = Duration::from_hours(24);
/// Where reports come from, and what they are (RFC 6522 section 3): the server's index tells reports from letters.
const REPORTS: &str = r#"OR FROM "mailer-daemon" OR FROM "postmaster" OR FROM "MicrosoftExchange" HEADER "Content-Type" "delivery-status""#;

/// An inbox that is open.
pub(super) struct ImapInbox<S> {
    talk: Talk<S>,
    /// UIDs mean the same as long as this is the same.
    validity: u32,
    listed: Option<Vec<Item>>,
}

impl ImapInbox<()> {
    /// The way in.
    pub(super) const fn way<'a>(
        connector: &'a Connector,
        server: &'a ReadingServer,
        mailbox: &'a Address,
        step_timeout: Duration,
    ) -> Way<'a> {
        Way { connector, protocol: Protocol::Imap, server, mailbox, step_timeout }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ImapInbox<S> {
    /// Opens the inbox on a connection that is logged in; `limit` is for each command.
    pub(super) async fn open(stream: S, unread: &[u8], limit: Duration) -> Result<Self, Failure> {
        let mut talk = Talk::new(stream, unread, MAX_REPORT, limit);
        let mut validity = None;
        talk.ask("EXAMINE INBOX", |answer| validity = answer.uid_validity().or(validity)).await?;
        // Without it UIDs may be others tomorrow (RFC 9051 section 2.3.1.1), and nothing is known again.
        let validity = validity.ok_or_else(|| unusable("it has no UIDVALIDITY for its inbox"))?;
        Ok(Self { talk, validity, listed: None })
    }

    /// What came since then and may be a report, oldest first, without the first `skipped` of it.
    pub(super) async fn list(&mut self, since: Timestamp, skipped: usize) -> Result<Page, Failure> {
        let listed = match self.listed.take() {
            Some(listed) => listed,
            None => self.search(since).await?,
        };
        let items: Vec<Item> = listed.iter().skip(skipped).take(PAGE).cloned().collect();
        let is_full = listed.len() > skipped + items.len();
        self.listed = Some(listed);
        Ok(Page { items, is_full })
    }

    /// The beginning of a message; `None` if it is gone.
    pub(super) async fn mime(&mut self, id: &str) -> Result<Option<Vec<u8>>, Failure> {
        let uid = id.rsplit('.').next().and_then(|uid| uid.parse::<u32>().ok());
        let Some(uid) = uid else { return Ok(None) };
        let mut body = None;
        let command = format!("UID FETCH {uid} (BODY.PEEK[]<0.{MAX_REPORT}>)");
        self.talk.ask(&command, |answer| body = answer.body.or_else(|| body.take())).await?;
        Ok(body)
    }

    /// Leaves.
    pub(super) async fn close(self) {
        self.talk.leave().await;
    }

    /// The search has days alone, so the times of what it finds are asked for.
    async fn search(&mut self, since: Timestamp) -> Result<Vec<Item>, Failure> {
        let day = since.minus(DAY).imap_day();
        let mut uids: Vec<u32> = Vec::new();
        let command = format!("UID SEARCH SINCE {day} {REPORTS}");
        self.talk.ask(&command, |answer| uids.extend(answer.found().unwrap_or_default())).await?;
        uids.sort_unstable();
        uids.dedup();
        // The newest are worth most; so many reports within two days are no news to anybody.
        let uids = &uids[uids.len().saturating_sub(MAX_FOUND)..];
        let mut items = Vec::new();
        for some in uids.chunks(AT_ONCE) {
            let set = some.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let mut came = Vec::new();
            self.talk.ask(&format!("UID FETCH {set} (INTERNALDATE)"), |answer| came.extend(answer.came())).await?;
            // Others may be told of meanwhile.
            let came = came.into_iter().filter(|(uid, at)| some.binary_search(uid).is_ok() && *at >= since);
            items.extend(came);
        }
        items.sort_unstable_by_key(|(uid, at)| (*at, *uid));
        items.dedup();
        let item = |(uid, at)| Item { id: format!("{}.{uid}", self.validity), at, is_report: true };
        Ok(items.into_iter().map(item).collect())
    }
}

fn unusable(why: &str) -> Failure {
    Failure::new(Reason::ProviderTrouble, format!("the IMAP server is of no use: {why}"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(5);

    /// A server that answers each command it gets in turn, `TAG` standing for its tag; the commands, without tags.
    async fn serve(server: DuplexStream, answers: Vec<String>) -> Vec<String> {
        let (mut server, mut commands) = (BufReader::new(server), Vec::new());
        for answer in answers {
            let mut line = String::new();
            server.read_line(&mut line).await.unwrap();
            let (tag, command) = line.trim_end().split_once(' ').unwrap();
            commands.push(command.to_owned());
            server.write_all(answer.replace("TAG", tag).as_bytes()).await.unwrap();
        }
        commands
    }

    const OPENED: &str = "* 3 EXISTS\r\n* OK [UIDVALIDITY 14] valid\r\nTAG OK [READ-ONLY] done\r\n";

    fn at(text: &str) -> Timestamp {
        Timestamp::of_imap(text).unwrap()
    }

    /// An inbox whose server answers like this once it is open.
    async fn opened(answers: &[&str]) -> (ImapInbox<DuplexStream>, tokio::task::JoinHandle<Vec<String>>) {
        let (ours, theirs) = duplex(1 << 20);
        let answers = [OPENED].iter().chain(answers).map(|answer| (*answer).to_owned()).collect();
        let server = tokio::spawn(serve(theirs, answers));
        (ImapInbox::open(ours, b"", LIMIT).await.unwrap(), server)
    }

    #[tokio::test]
    async fn reports_are_listed_by_the_time_they_came() {
        let found = "* SEARCH 9 7 8 7\r\nTAG OK done\r\n";
        let times = "* 1 FETCH (UID 7 INTERNALDATE \"21-Nov-2026 10:00:00 +0000\")\r\n\
            * 2 FETCH (INTERNALDATE \"21-Nov-2026 08:00:00 +0000\" UID 8)\r\n\
            * 3 FETCH (UID 9 INTERNALDATE \"20-Nov-2026 23:00:00 -0100\")\r\n\
            * 4 FETCH (UID 10 INTERNALDATE \"21-Nov-2026 11:00:00 +0000\")\r\nTAG OK done\r\n";
        let (mut inbox, server) = opened(&[found, times]).await;
        let page = inbox.list(at("21-Nov-2026 00:30:00 +0000"), 0).await.unwrap();
        let ids: Vec<&str> = page.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(ids, ["14.8", "14.7"], "the oldest first; one came before, one was not asked for");
        assert!(!page.is_full && page.items.iter().all(|item| item.is_report));
        let rest = inbox.list(at("21-Nov-2026 00:30:00 +0000"), 1).await.unwrap();
        assert_eq!(rest.items, page.items[1..], "without asking again");
        let commands = server.await.unwrap();
        assert_eq!(commands[0], "EXAMINE INBOX");
        assert!(commands[1].starts_with("UID SEARCH SINCE 20-Nov-2026 OR FROM "), "{}", commands[1]);
        assert_eq!(commands[2], "UID FETCH 7,8,9 (INTERNALDATE)");
    }

    #[tokio::test]
    async fn a_quiet_inbox_is_asked_once() {
        let (mut inbox, server) = opened(&["* SEARCH\r\nTAG OK done\r\n"]).await;
        let page = inbox.list(Timestamp::default(), 0).await.unwrap();
        assert_eq!(page, Page { items: Vec::new(), is_full: false });
        assert_eq!(server.await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn many_reports_come_in_pages_and_short_commands() {
        let uids: String = (1..=1_200).map(|uid| format!(" {uid}")).collect();
        let times = |from: u32, to: u32| {
            let line = |uid: u32| {
                format!("* {uid} FETCH (UID {uid} INTERNALDATE \"21-Nov-2026 08:00:{:02} +0000\")\r\n", uid % 60)
            };
            (from..=to).map(line).collect::<String>() + "TAG OK done\r\n"
        };
        let found = format!("* SEARCH{uids}\r\nTAG OK done\r\n");
        let answers = [found, times(1, 500), times(501, 1_000), times(1_001, 1_200)];
        let (mut inbox, server) = opened(&answers.each_ref().map(String::as_str)).await;
        let mut ids = std::collections::HashSet::new();
        loop {
            let page = inbox.list(Timestamp::default(), ids.len()).await.unwrap();
            ids.extend(page.items.into_iter().map(|item| item.id));
            if !page.is_full {
                break;
            }
        }
        assert_eq!(ids.len(), 1_200);
        assert!(server.await.unwrap().iter().all(|command| command.len() < 8_000));
    }

    #[tokio::test]
    async fn a_message_is_read_without_being_marked() {
        let answer =
            "* 3 FETCH (UID 9 BODY[]<0> {11}\r\nSubject: x\n)\r\n* 4 FETCH (FLAGS (\\Seen))\r\nTAG OK done\r\n";
        let gone = "TAG OK nothing\r\n";
        let (mut inbox, server) = opened(&[answer, gone]).await;
        assert_eq!(inbox.mime("14.9").await, Ok(Some(b"Subject: x\n".to_vec())));
        assert_eq!(inbox.mime("14.10").await, Ok(None), "it is gone");
        assert_eq!(
            server.await.unwrap()[1..],
            ["UID FETCH 9 (BODY.PEEK[]<0.1048576>)", "UID FETCH 10 (BODY.PEEK[]<0.1048576>)"]
        );
    }

    #[tokio::test]
    async fn without_uidvalidity_nothing_is_known_again() {
        let (ours, theirs) = duplex(1024);
        let server = tokio::spawn(serve(theirs, vec!["* 3 EXISTS\r\nTAG OK done\r\n".to_owned()]));
        let failure = ImapInbox::open(ours, b"", LIMIT).await.err().unwrap();
        assert!(failure.to_string().contains("UIDVALIDITY"), "{failure}");
        server.await.unwrap();
    }
}
