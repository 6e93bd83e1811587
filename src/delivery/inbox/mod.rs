//! Looks from time to time into the mailboxes of accounts with `watch_inbox`, for reports that mail which the provider
//! took did not arrive, and writes them into history. What lies in a mailbox is a stranger's word: it is bounded, nothing
//! is changed there, and nothing is done here but a line of history (docs/decisions/0060-watched-inboxes.md).

mod cursor;
mod imap;
mod look;
mod source;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{Id, JoinSet};

use super::{Settings, Tokens, WatchedBy, WatchedInbox};
use crate::clock::{Clock, Timestamp};
use crate::http::Http;
use crate::mail::failure::Disposition;
use crate::mail::{Failure, Reason};
use crate::net::connect::Connector;
use crate::queue::Queue;
use crate::reading;
use crate::token::{TokenManager, Warning};
use look::{Look, Stubborn};
pub use source::try_inbox;
pub(super) use source::{Item, Page};

/// How often the clock is looked at while a mailbox is watched.
const TICK: Duration = Duration::from_secs(1);
/// How soon a look goes on that had enough for once.
const GO_ON: Duration = Duration::from_secs(10);
/// Mailboxes that are looked into at once.
const AT_ONCE: usize = 2;
/// Looks in a row that failed for something that passes by itself, after which people are told all the same.
const MANY_FAILURES: u32 = 12;
/// What the account's standing has it under.
const ABOUT: &str = "inbox";

/// What the watch works with.
pub struct Watcher {
    parts: WatchParts,
    watched: ArcSwap<Watched>,
    changed: Notify,
}

/// What a [`Watcher`] is made of.
#[derive(Clone)]
pub struct WatchParts {
    /// History.
    pub queue: Queue,
    /// Outgoing HTTP.
    pub http: Http,
    /// Makes connections to IMAP servers.
    pub connector: Connector,
    /// Tokens for looking.
    pub tokens: Arc<dyn Tokens>,
    /// Where trouble is told of.
    pub standing: TokenManager,
    /// The time.
    pub clock: Clock,
}

/// What is watched.
struct Watched {
    inboxes: Vec<WatchedInbox>,
    /// For each request, from its start to the end of its answer.
    timeout: Duration,
}

impl From<&Settings> for Watched {
    fn from(settings: &Settings) -> Self {
        Self { inboxes: settings.inboxes.clone(), timeout: settings.step_timeout }
    }
}

/// When a mailbox is looked into next.
struct Plan {
    due: Timestamp,
    made: Timestamp,
    past: Past,
}

/// What earlier looks into a mailbox left.
#[derive(Default)]
struct Past {
    stubborn: Option<Stubborn>,
    /// Looks in a row that failed.
    failures: u32,
}

impl Plan {
    /// A clock that was set back must not make it wait for the same hours again.
    fn is_due(&self, now: Timestamp) -> bool {
        now >= self.due || now < self.made
    }
}

impl Watcher {
    /// A watch over what the settings name.
    pub fn new(parts: WatchParts, settings: &Settings) -> Self {
        Self { parts, watched: ArcSwap::from_pointee(settings.into()), changed: Notify::new() }
    }

    /// Takes new settings.
    pub fn replace(&self, settings: &Settings) {
        self.watched.store(Arc::new(settings.into()));
        self.changed.notify_one();
    }

    /// Watches until it is dropped; what is under way then is given up and done again another time.
    pub async fn run(self: Arc<Self>) {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let mut plans: HashMap<String, Plan> = HashMap::new();
        let mut looks: JoinSet<(String, Plan)> = JoinSet::new();
        let mut open: HashMap<Id, String> = HashMap::new();
        loop {
            let watched = self.watched.load_full();
            let inboxes = &watched.inboxes;
            self.forget(&mut plans, inboxes);
            let now = self.parts.clock.now();
            let busy: HashSet<String> = open.values().cloned().collect();
            for inbox in inboxes.iter().filter(|inbox| !busy.contains(&inbox.account)) {
                if plans.get(&inbox.account).is_some_and(|plan| !plan.is_due(now)) {
                    continue;
                }
                let past = plans.remove(&inbox.account).map(|plan| plan.past).unwrap_or_default();
                let look = look(self.parts.clone(), (inbox.clone(), watched.timeout), past, Arc::clone(&permits));
                open.insert(looks.spawn(look).id(), inbox.account.clone());
            }
            tokio::select! {
                Some(done) = looks.join_next_with_id() => self.take(done, (&mut plans, &mut open)),
                () = self.changed.notified() => {}
                () = tokio::time::sleep(TICK), if !inboxes.is_empty() => {}
            }
        }
    }

    /// Those that are not watched any longer have no trouble with it either.
    fn forget(&self, plans: &mut HashMap<String, Plan>, inboxes: &[WatchedInbox]) {
        plans.retain(|account, _| {
            let is_watched = inboxes.iter().any(|inbox| inbox.account == *account);
            if !is_watched {
                self.parts.standing.found_out(account, ABOUT, None);
            }
            is_watched
        });
    }

    fn take(
        &self,
        done: Result<(Id, (String, Plan)), tokio::task::JoinError>,
        (plans, open): (&mut HashMap<String, Plan>, &mut HashMap<Id, String>),
    ) {
        match done {
            Ok((id, (account, plan))) => {
                open.remove(&id);
                plans.insert(account, plan);
            }
            Err(error) => {
                let Some(account) = open.remove(&error.id()) else { return };
                tracing::error!(account, %error, "looking into the mailbox failed; it is tried again in an hour");
                let made = self.parts.clock.now();
                plans.insert(account, Plan { due: made.plus(Duration::from_hours(1)), made, past: Past::default() });
            }
        }
    }
}

/// One look into one mailbox, and when the next one is.
async fn look(
    parts: WatchParts,
    (inbox, timeout): (WatchedInbox, Duration),
    past: Past,
    permits: Arc<Semaphore>,
) -> (String, Plan) {
    // The semaphore is never closed.
    let _permit = permits.acquire_owned().await.ok();
    let made = parts.clock.now();
    let mut look = Look { parts: &parts, inbox: &inbox, timeout, stubborn: past.stubborn };
    let looked = look.run().await;
    let mut past = Past { stubborn: look.stubborn, failures: past.failures.saturating_add(1) };
    let due = match looked {
        Ok(is_whole) => {
            past.failures = 0;
            parts.standing.found_out(&inbox.account, ABOUT, None);
            made.plus(if is_whole { inbox.every } else { inbox.every.min(GO_ON) })
        }
        Err(failure) => {
            tell(&parts, &inbox, &failure, past.failures);
            after(&failure, made.plus(inbox.every), parts.clock.now())
        }
    };
    (inbox.account, Plan { due, made, past })
}

/// When to try again after a failure: as planned, and never before the provider asked for it.
fn after(failure: &Failure, planned: Timestamp, now: Timestamp) -> Timestamp {
    failure.retry_after.map_or(planned, |wait| planned.max(now.plus(wait)))
}

/// What passes by itself is for the log, unless it does not pass; the rest is for people. The sign-in tells of its own
/// trouble.
fn is_for_people(reason: Reason, failures: u32) -> bool {
    let is_told = matches!(reason, Reason::SignInNeeded | Reason::ConfigurationRejected);
    !is_told && (reason.disposition() == Disposition::Hold || failures >= MANY_FAILURES)
}

fn tell(parts: &WatchParts, inbox: &WatchedInbox, failure: &Failure, failures: u32) {
    let WatchedInbox { account, mailbox, .. } = inbox;
    tracing::info!(account, %mailbox, why = %failure, "cannot look into the mailbox for reports; trying again");
    if !is_for_people(failure.reason, failures) {
        return;
    }
    let mend = match (&inbox.by, failure.reason, inbox.app_only) {
        (WatchedBy::Graph { .. }, Reason::PermissionMissing, true) => {
            "grant the app the application permission `Mail.Read` with admin consent".to_owned()
        }
        (WatchedBy::Graph { .. }, Reason::PermissionMissing, false) => format!(
            "add the delegated permission `Mail.Read` (`Mail.Read.Shared` for somebody else's mailbox) to the app, then \
             run `oxpost login {account}`"
        ),
        (WatchedBy::Graph { .. }, ..) => format!("run `oxpost doctor {account}`"),
        (WatchedBy::Imap(_), reason, _) => reading::hint(reason, account, reading::Protocol::Imap.name()),
    };
    let hint = format!("{mend}; or take `watch_inbox` out of the account; its mail goes out all the same");
    let what = format!("`{mailbox}` cannot be looked into for reports about mail that did not arrive: {failure}");
    parts.standing.found_out(account, ABOUT, Some(Warning { what, hint, due: None }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_is_left_alone_as_long_as_it_asked() {
        let at = |minute: i64| Timestamp::from_millis(minute * 60_000);
        let table = [(None, 5, "as planned"), (Some(1), 5, "no sooner than planned"), (Some(60), 62, "as it asked")];
        for (asked, due, why) in table {
            let failure = Failure::new(Reason::Throttled, "HTTP 429").retry_after(asked.map(Duration::from_mins));
            assert_eq!(after(&failure, at(5), at(2)), at(due), "{why}");
        }
    }

    #[test]
    fn people_are_told_of_what_does_not_pass_by_itself() {
        let table = [
            (Reason::PermissionMissing, 1, true, "nobody else gives it"),
            (Reason::ProviderTrouble, 1, false, "it passes"),
            (Reason::ProviderTrouble, MANY_FAILURES, true, "it does not pass"),
            (Reason::SignInNeeded, 1, false, "the sign-in says so"),
            (Reason::SignInNeeded, MANY_FAILURES, false, "the sign-in has said so"),
        ];
        for (reason, failures, expected, why) in table {
            assert_eq!(is_for_people(reason, failures), expected, "{why}");
        }
    }

    #[test]
    fn a_look_is_due_at_its_time_and_when_the_clock_was_set_back() {
        let at = |second: i64| Timestamp::from_millis(second * 1000);
        let plan = Plan { due: at(400), made: at(100), past: Past::default() };
        for (now, due, why) in
            [(100, false, "just looked"), (399, false, "soon"), (400, true, "now"), (99, true, "set back")]
        {
            assert_eq!(plan.is_due(at(now)), due, "{why}");
        }
    }
}
