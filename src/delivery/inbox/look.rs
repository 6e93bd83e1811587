//! One look into one mailbox: lists what came since the last one, reads what may be a report, and writes down what was
//! found together with how far the look came.

use std::time::Duration;

use super::WatchParts;
use super::cursor::{Cursor, End, Seen};
use super::source::{Item, Source};
use crate::clock::Timestamp;
use crate::delivery::WatchedInbox;
use crate::mail::dsn::BounceReport;
use crate::mail::{Failure, Reason};
use crate::queue::{FoundReport, MailboxKey, QueueError};

/// How far the first look goes back.
const FIRST: Duration = Duration::from_hours(24);
/// What is dated further ahead of our clock than that has a wrong date.
const AHEAD: Duration = Duration::from_hours(24);
/// Pages of a list in one look.
const MAX_PAGES: usize = 5;
/// Messages that are read in one look.
const MAX_READ: usize = 100;
/// Recipients of the reports of one look, give or take a report.
const MAX_RECIPIENTS: usize = 1_000;
/// Tries at a message that the provider does not give.
const MAX_TRIES: u32 = 3;

/// A message that could not be read in the last look, and how often it was tried.
pub(super) struct Stubborn {
    id: String,
    tries: u32,
}

/// A look into a mailbox.
pub(super) struct Look<'a> {
    pub(super) parts: &'a WatchParts,
    pub(super) inbox: &'a WatchedInbox,
    pub(super) timeout: Duration,
    pub(super) stubborn: Option<Stubborn>,
}

/// What a look has come to.
#[derive(Default)]
struct Found {
    looked_at: Vec<Seen>,
    reports: Vec<FoundReport>,
    read: usize,
    /// Whether a list came at all.
    listed: bool,
}

impl Found {
    /// Whether it is enough for one look.
    fn is_enough(&self) -> bool {
        let recipients: usize = self.reports.iter().map(|found| found.report.recipients.len()).sum();
        self.read >= MAX_READ || recipients >= MAX_RECIPIENTS
    }
}

impl Look<'_> {
    /// Looks. `false`: there was more than one look takes.
    ///
    /// # Errors
    /// Why it could not go on; what it found before is written down.
    pub(super) async fn run(&mut self) -> Result<bool, Failure> {
        let WatchParts { queue, clock, .. } = self.parts;
        let key = MailboxKey { provider: self.inbox.provider.clone(), mailbox: self.inbox.mailbox.key() };
        let place = queue.inbox_place(&key).await.map_err(|error| stored(&error))?;
        let now = clock.now();
        // A place far ahead is of a time when our clock was wrong.
        let cursor = place.as_deref().and_then(Cursor::read).filter(|cursor| cursor.since() <= now.plus(AHEAD));
        let cursor = cursor.unwrap_or_else(|| Cursor::beginning(now.minus(FIRST)));
        let account = &self.inbox.account;
        let mut inbox = Source::open(self.parts, self.inbox, self.timeout).await?;
        let mut found = Found::default();
        let ended = self.go_through(&mut inbox, &cursor, &mut found).await;
        inbox.close().await;
        let end = *ended.as_ref().unwrap_or(&End::Trouble);
        if let Err(failure) = &ended
            && !found.listed
        {
            // Where the clock is wrong no list comes, and a beginning in the wrong time would be kept.
            return Err(failure.clone());
        }
        let next = cursor.advance(found.looked_at, end).text();
        if place.as_deref() != Some(&next) || !found.reports.is_empty() {
            let new = queue.record_bounces(&key, found.reports, next).await.map_err(|error| stored(&error))?;
            tracing::debug!(account, read = found.read, new, "looked into the mailbox for reports");
        }
        ended.map(|end| end == End::Whole)
    }

    async fn go_through(&mut self, inbox: &mut Source<'_>, cursor: &Cursor, found: &mut Found) -> Result<End, Failure> {
        let mut listed = 0;
        for _ in 0..MAX_PAGES {
            let page = inbox.list(cursor.since(), listed).await?;
            found.listed = true;
            listed += page.items.len();
            let now = self.parts.clock.now();
            for item in page.items.into_iter().filter(|item| counts(item, now)) {
                let is_news = item.is_report && !cursor.knows(&item.id);
                if is_news && found.is_enough() {
                    return Ok(End::Bound);
                }
                if is_news {
                    found.read += 1;
                    let report = self.read(inbox, &item).await?;
                    found.reports.extend(report.map(|report| FoundReport { report, at: item.at }));
                }
                found.looked_at.push(Seen::new(&item.id, item.at));
            }
            if !page.is_full {
                return Ok(End::Whole);
            }
        }
        Ok(End::Bound)
    }

    /// What a message says, if it is a report. One that the provider does not give is tried a few times and then passed
    /// over, so that it does not stand before all others.
    async fn read(&mut self, inbox: &mut Source<'_>, item: &Item) -> Result<Option<BounceReport>, Failure> {
        let failure = match inbox.mime(&item.id).await {
            Ok(octets) => return Ok(octets.as_deref().and_then(BounceReport::read)),
            Err(failure) => failure,
        };
        let may_be_the_message = matches!(
            failure.reason,
            Reason::ProviderTrouble | Reason::AnswerLost | Reason::Unexpected | Reason::TimedOut
        );
        if !may_be_the_message {
            return Err(failure);
        }
        let tries = self.stubborn.take().filter(|last| last.id == item.id).map_or(0, |last| last.tries) + 1;
        if tries >= MAX_TRIES {
            let account = &self.inbox.account;
            tracing::warn!(account, why = %failure, "a report in the mailbox cannot be read and is passed over");
            return Ok(None);
        }
        self.stubborn = Some(Stubborn { id: item.id.clone(), tries });
        Err(failure)
    }
}

/// Whether a message's date can be believed: it would lead the next look past everything that comes before it. Providers
/// date reports themselves, but whoever puts a letter into a mailbox by IMAP chooses its date.
fn counts(item: &Item, now: Timestamp) -> bool {
    item.at <= if item.is_report { now.plus(AHEAD) } else { now }
}

fn stored(error: &QueueError) -> Failure {
    Failure::new(Reason::Unexpected, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_ahead_of_its_time_moves_nothing_on() {
        let hour = |hour: i64| Timestamp::from_millis(hour * 3_600_000);
        let table = [
            (100, false, true, "a letter that came now"),
            (101, false, false, "a letter of tomorrow"),
            (101, true, true, "a report, and the provider's clock is ahead of ours"),
            (125, true, false, "a report with a wrong date"),
        ];
        for (at, is_report, expected, why) in table {
            assert_eq!(counts(&Item { id: String::new(), at: hour(at), is_report }, hour(100)), expected, "{why}");
        }
    }
}
