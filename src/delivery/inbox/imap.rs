//! The inbox as IMAP shows it (RFC 9051). It is opened by EXAMINE and read by BODY.PEEK, so nothing is changed there, not
//! even what counts as new.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use super::source::{Item, Page};
use crate::clock::Timestamp;
use crate::imap::answers::Answer;
use crate::mail::{Address, Failure, Reason};
use crate::net::connect::Connector;
use crate::reading::{Protocol, ReadingServer, Talk, Unanswered, UpstreamStream, Way};
use crate::secret::Secret;

/// Messages on a page.
const PAGE: usize = 200;
/// UIDs in one command: servers take lines of 8,000 octets (RFC 9051 section 4).
const AT_ONCE: usize = 500;
/// Reports that one look lists.
const MAX_FOUND: usize = 20_000;
/// Octets of a message that are asked for: a report says what it has to say at its beginning, and lines are slow.
const BEGINNING: usize = 256 * 1024;
/// A day begins earlier or later where the server is.
const DAY: Duration = Duration::from_hours(24);
/// Where reports come from: the server's index tells them from letters.
const SENDERS: &str = r#"OR FROM "mailer-daemon" OR FROM "postmaster" FROM "MicrosoftExchange""#;
/// What they are (RFC 6522 section 3).
const KIND: &str = r#"HEADER "Content-Type" "delivery-status""#;

/// An inbox that is open.
pub(super) struct ImapInbox<S> {
    talk: Talk<S>,
    /// UIDs mean the same as long as this is the same.
    validity: u32,
    is_empty: bool,
    listed: Option<Vec<Item>>,
}

impl ImapInbox<UpstreamStream> {
    /// Logs in to the mailbox with this token and opens its inbox; `limit` is for each step.
    pub(super) async fn enter(
        connector: &Connector,
        (server, mailbox): (&ReadingServer, &Address),
        limit: Duration,
        token: &Secret,
    ) -> Result<Self, Failure> {
        let way = Way { connector, protocol: Protocol::Imap, server, mailbox, step_timeout: limit };
        let (stream, logged_in) = way.enter(token).await?;
        Self::open(stream, &logged_in.unread, limit).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ImapInbox<S> {
    /// Opens the inbox on a connection that is logged in; `limit` is for each command.
    async fn open(stream: S, unread: &[u8], limit: Duration) -> Result<Self, Failure> {
        let mut talk = Talk::new(stream, unread, BEGINNING, limit);
        let (mut validity, mut exists) = (None, None);
        talk.ask("EXAMINE INBOX", |answer| {
            validity = answer.uid_validity().or(validity);
            exists = answer.exists().or(exists);
        })
        .await?;
        // Without it UIDs may be others tomorrow (RFC 9051 section 2.3.1.1), and nothing is known again.
        let validity = validity.ok_or_else(|| unusable("it has no UIDVALIDITY for its inbox"))?;
        Ok(Self { talk, validity, is_empty: exists == Some(0), listed: None })
    }

    /// What came since then and may be a report, and the newest message, whatever it is; oldest first, without the
    /// first `skipped` of it.
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
        let (mut body, mut is_there) = (None, false);
        let command = format!("UID FETCH {uid} (BODY.PEEK[]<0.{BEGINNING}>)");
        let take = |answer: Answer| {
            if answer.uid() == Some(uid) {
                is_there = true;
                body = answer.body.or_else(|| body.take());
            }
        };
        self.talk.ask(&command, take).await?;
        if is_there && body.is_none() {
            return Err(unusable("it has a message and does not give it"));
        }
        Ok(body)
    }

    /// Leaves.
    pub(super) async fn close(self) {
        self.talk.leave().await;
    }

    /// The search has days alone, so the times of what it finds are asked for.
    async fn search(&mut self, since: Timestamp) -> Result<Vec<Item>, Failure> {
        if self.is_empty {
            return Ok(Vec::new());
        }
        // Before the search, which then knows all that came before it. Where nothing bounces, it is what moves on.
        let newest = self.times("*", since).await?.pop();
        let uids = self.reports(since).await?;
        let mut items = Vec::new();
        for some in uids.chunks(AT_ONCE) {
            let set = some.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
            let times = self.times(&set, since).await?;
            // Others may be told of meanwhile.
            items.extend(times.into_iter().filter(|(_, uid)| some.binary_search(uid).is_ok()));
        }
        items.extend(newest.filter(|(_, uid)| uids.binary_search(uid).is_err()));
        items.sort_unstable();
        items.dedup();
        let item = |(at, uid)| Item {
            id: format!("{}.{uid}", self.validity),
            at,
            is_report: uids.binary_search(&uid).is_ok(),
        };
        Ok(items.into_iter().map(item).collect())
    }

    /// UIDs of what may be a report, in order.
    async fn reports(&mut self, since: Timestamp) -> Result<Vec<u32>, Failure> {
        let since = format!("SINCE {}", since.minus(DAY).imap_day());
        let uids = match self.found(&format!("{since} OR {KIND} {SENDERS}")).await {
            // Yahoo has been seen to refuse any search for a header field.
            Err(Unanswered::Refused(_)) => self.found(&format!("{since} {SENDERS}")).await,
            found => found,
        };
        let mut uids = uids?;
        uids.sort_unstable();
        uids.dedup();
        // The newest are worth most; nobody reads so many.
        uids.drain(..uids.len().saturating_sub(MAX_FOUND));
        Ok(uids)
    }

    async fn found(&mut self, keys: &str) -> Result<Vec<u32>, Unanswered> {
        let (mut uids, mut otherwise) = (Vec::new(), false);
        let take = |answer: Answer| {
            otherwise |= answer.is_found_otherwise();
            uids.extend(answer.found().unwrap_or_default());
        };
        self.talk.ask(&format!("UID SEARCH {keys}"), take).await?;
        if otherwise { Err(Unanswered::Broken(unusable("it answers a search by ESEARCH alone"))) } else { Ok(uids) }
    }

    /// When these messages came, as far as they came since then.
    async fn times(&mut self, set: &str, since: Timestamp) -> Result<Vec<(Timestamp, u32)>, Failure> {
        let mut times = Vec::new();
        let take = |answer: Answer| times.extend(answer.came().map(|(uid, at)| (at, uid)));
        self.talk.ask(&format!("UID FETCH {set} (INTERNALDATE)"), take).await?;
        times.retain(|(at, _)| *at >= since);
        Ok(times)
    }
}

fn unusable(why: &str) -> Failure {
    Failure::new(Reason::ProviderTrouble, format!("the IMAP server is of no use: {why}"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

    use super::super::cursor::{Cursor, End, Seen};
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

    /// A letter that came last.
    const NEWEST: &str = "* 3 FETCH (UID 11 INTERNALDATE \"21-Nov-2026 12:00:00 +0000\")\r\nTAG OK done\r\n";
    const NONE: &str = "* SEARCH\r\nTAG OK done\r\n";

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
        let (mut inbox, server) = opened(&[NEWEST, found, times]).await;
        let page = inbox.list(at("21-Nov-2026 00:30:00 +0000"), 0).await.unwrap();
        let items: Vec<(&str, bool)> = page.items.iter().map(|item| (item.id.as_str(), item.is_report)).collect();
        let expected = [("14.8", true), ("14.7", true), ("14.11", false)];
        assert_eq!(items, expected, "the oldest first; one came before, one was not asked for, the last is a letter");
        assert!(!page.is_full);
        let rest = inbox.list(at("21-Nov-2026 00:30:00 +0000"), 1).await.unwrap();
        assert_eq!(rest.items, page.items[1..], "without asking again");
        let commands = server.await.unwrap();
        assert_eq!(commands[0], "EXAMINE INBOX");
        assert_eq!(commands[1], "UID FETCH * (INTERNALDATE)");
        assert!(commands[2].starts_with("UID SEARCH SINCE 20-Nov-2026 OR HEADER "), "{}", commands[2]);
        assert_eq!(commands[3], "UID FETCH 7,8,9 (INTERNALDATE)");
    }

    #[tokio::test]
    async fn an_inbox_without_reports_moves_the_cursor_on() {
        let mut cursor = Cursor::beginning(at("1-Sep-2026 00:00:00 +0000"));
        let (mut inbox, server) = opened(&[NEWEST, NONE]).await;
        let page = inbox.list(cursor.since(), 0).await.unwrap();
        let seen = page.items.iter().map(|item| Seen::new(&item.id, item.at)).collect();
        cursor = cursor.advance(seen, End::Whole);
        assert!(server.await.unwrap()[2].starts_with("UID SEARCH SINCE 31-Aug-2026 "));
        let (mut inbox, server) = opened(&[NEWEST, NONE]).await;
        assert_eq!(inbox.list(cursor.since(), 0).await.unwrap().items, page.items);
        assert!(server.await.unwrap()[2].starts_with("UID SEARCH SINCE 20-Nov-2026 "));
    }

    #[tokio::test]
    async fn an_empty_inbox_is_not_searched() {
        let (ours, theirs) = duplex(1024);
        let empty = "* 0 EXISTS\r\n* OK [UIDVALIDITY 14] valid\r\nTAG OK done\r\n".to_owned();
        let server = tokio::spawn(serve(theirs, vec![empty]));
        let mut inbox = ImapInbox::open(ours, b"", LIMIT).await.unwrap();
        let page = inbox.list(Timestamp::default(), 0).await.unwrap();
        assert_eq!(page, Page { items: Vec::new(), is_full: false });
        assert_eq!(server.await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_server_that_does_not_search_header_fields_is_asked_for_senders() {
        let no = "TAG NO [SERVERBUG] UID SEARCH Server error - Please try again later\r\n";
        let (mut inbox, server) = opened(&[NEWEST, no, "* SEARCH 11\r\nTAG OK done\r\n", NEWEST]).await;
        let page = inbox.list(Timestamp::default(), 0).await.unwrap();
        assert!(page.items.len() == 1 && page.items[0].is_report, "{page:?}");
        let commands = server.await.unwrap();
        assert!(commands[2].contains("HEADER") && !commands[3].contains("HEADER"), "{commands:?}");

        let (mut inbox, _server) = opened(&[NEWEST, no, no]).await;
        let failure = inbox.list(Timestamp::default(), 0).await.unwrap_err();
        assert!(failure.to_string().contains("[SERVERBUG]"), "{failure}");
        let (mut inbox, _server) = opened(&[NEWEST, "* ESEARCH (TAG \"TAG\") UID ALL 7\r\nTAG OK done\r\n"]).await;
        let failure = inbox.list(Timestamp::default(), 0).await.unwrap_err();
        assert!(failure.to_string().contains("ESEARCH"), "{failure}");
    }

    #[tokio::test]
    async fn many_reports_come_in_pages_and_short_commands() {
        // UIDs as long as they get.
        const FIRST: u32 = 4_000_000_000;
        let uids: String = (1..=1_200).map(|number| format!(" {}", FIRST + number)).collect();
        let times = |from: u32, to: u32| {
            let line = |number: u32| {
                let (uid, second) = (FIRST + number, number % 60);
                format!("* {number} FETCH (UID {uid} INTERNALDATE \"21-Nov-2026 08:00:{second:02} +0000\")\r\n")
            };
            (from..=to).map(line).collect::<String>() + "TAG OK done\r\n"
        };
        let found = format!("* SEARCH{uids}\r\nTAG OK done\r\n");
        let answers = [times(1_200, 1_200), found, times(1, 500), times(501, 1_000), times(1_001, 1_200)];
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
        let nothing = "* 3 FETCH (UID 11 BODY[]<0> NIL)\r\nTAG OK done\r\n";
        let (mut inbox, server) = opened(&[answer, gone, nothing]).await;
        assert_eq!(inbox.mime("14.9").await, Ok(Some(b"Subject: x\n".to_vec())));
        assert_eq!(inbox.mime("14.10").await, Ok(None), "it is gone");
        let failure = inbox.mime("14.11").await.unwrap_err();
        assert_eq!(failure.reason, Reason::ProviderTrouble, "it is there, and is not passed over without a word");
        assert_eq!(
            server.await.unwrap()[1..],
            ["9", "10", "11"].map(|uid| format!("UID FETCH {uid} (BODY.PEEK[]<0.262144>)"))
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
