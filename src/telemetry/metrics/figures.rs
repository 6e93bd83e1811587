//! The figures themselves: names, help texts, labels.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Seconds of an attempt: from a local relay to Graph on a bad day.
const SECONDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct AccountLabel {
    pub(super) account: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct ClientLabel {
    pub(super) client: String,
    pub(super) account: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct WayLabel {
    pub(super) account: String,
    pub(super) backend: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct WhyLabel {
    pub(super) account: String,
    pub(super) backend: &'static str,
    pub(super) reason: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct BounceLabel {
    pub(super) account: String,
    pub(super) action: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub(super) struct SessionLabel {
    pub(super) protocol: &'static str,
    pub(super) account: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct VersionLabel {
    version: &'static str,
}

pub(super) type PerAccount = Family<AccountLabel, Counter>;

/// A histogram of [`SECONDS`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seconds;

impl MetricConstructor<Histogram> for Seconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS)
    }
}

/// How long attempts took.
pub(super) struct AttemptSeconds(pub(super) Family<WayLabel, Histogram, Seconds>);

impl Default for AttemptSeconds {
    fn default() -> Self {
        Self(Family::new_with_constructor(Seconds))
    }
}

/// What is counted.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) accepted: Family<ClientLabel, Counter>,
    pub(super) accepted_octets: Family<ClientLabel, Counter>,
    pub(super) accepted_recipients: Family<ClientLabel, Counter>,
    pub(super) refused: Counter,
    pub(super) refused_for_now: Counter,
    pub(super) logins_refused: Counter,
    pub(super) relayed: Family<WayLabel, Counter>,
    pub(super) relayed_recipients: Family<WayLabel, Counter>,
    pub(super) attempt_seconds: AttemptSeconds,
    pub(super) deferred: Family<WhyLabel, Counter>,
    pub(super) failed: Family<WhyLabel, Counter>,
    pub(super) held: Family<WhyLabel, Counter>,
    pub(super) released: PerAccount,
    pub(super) reported: Counter,
    pub(super) unreported: Counter,
    pub(super) bounced: Family<BounceLabel, Counter>,
    pub(super) ways_refused: Family<WhyLabel, Counter>,
    pub(super) sessions_opened: Family<SessionLabel, Counter>,
    pub(super) sessions_closed: Family<SessionLabel, Counter>,
    pub(super) sessions_refused: Family<SessionLabel, Counter>,
    pub(super) session_octets: Family<SessionLabel, Counter>,
    pub(super) tokens_renewed: PerAccount,
    pub(super) tokens_deferred: PerAccount,
    pub(super) tokens_unsaved: PerAccount,
    pub(super) sign_ins_needed: PerAccount,
    pub(super) warnings: PerAccount,
    pub(super) signed_in: PerAccount,
}

impl Figures {
    /// All of them, at zero, in `registry`.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let figures = Self::default();
        figures.register_mail(registry);
        figures.register_reading(registry);
        figures.register_accounts(registry);
        figures
    }

    fn register_mail(&self, to: &mut Registry) {
        to.register("messages_accepted", "Messages that were accepted with 250", self.accepted.clone());
        to.register("octets_accepted", "Octets of accepted messages", self.accepted_octets.clone());
        to.register("recipients_accepted", "Recipients of accepted messages", self.accepted_recipients.clone());
        to.register("commands_refused", "Commands of clients that were refused for good", self.refused.clone());
        to.register("commands_deferred", "Commands of clients that were refused for now", self.refused_for_now.clone());
        to.register("logins_refused", "Local logins that failed", self.logins_refused.clone());
        to.register("messages_relayed", "Attempts in which a provider took a message", self.relayed.clone());
        to.register("recipients_relayed", "Recipients that a provider took", self.relayed_recipients.clone());
        let seconds = self.attempt_seconds.0.clone();
        to.register("attempt_seconds", "How long attempts took in which a provider took a message", seconds);
        to.register("messages_deferred", "Attempts after which a message waits for another one", self.deferred.clone());
        to.register("messages_failed", "Attempts after which recipients failed for good", self.failed.clone());
        to.register("mailboxes_held", "Holds that began or went on after a probe", self.held.clone());
        to.register("mailboxes_released", "Holds that ended", self.released.clone());
        to.register("reports", "Reports about failures that were queued", self.reported.clone());
        let bounced = self.bounced.clone();
        to.register("recipients_bounced", "Recipients that a report in the mailbox told of later", bounced);
        to.register("ways_refused", "Times that a way out was closed to a mailbox", self.ways_refused.clone());
        to.register("reports_impossible", "Failures that nobody can be told of by mail", self.unreported.clone());
    }

    fn register_reading(&self, to: &mut Registry) {
        to.register("sessions_opened", "Reading sessions that were logged in", self.sessions_opened.clone());
        to.register("sessions_closed", "Reading sessions that ended", self.sessions_closed.clone());
        let refused = self.sessions_refused.clone();
        to.register(
            "sessions_refused",
            "Reading clients that could not be let in though their password is right",
            refused,
        );
        to.register("session_octets", "Octets of reading sessions that ended, both ways", self.session_octets.clone());
    }

    fn register_accounts(&self, to: &mut Registry) {
        to.register("tokens_renewed", "Access tokens that were issued", self.tokens_renewed.clone());
        to.register(
            "tokens_deferred",
            "Tries to get an access token that failed for now",
            self.tokens_deferred.clone(),
        );
        let unsaved = self.tokens_unsaved.clone();
        to.register("tokens_unsaved", "Renewed refresh tokens that could not be written at once", unsaved);
        to.register(
            "sign_ins_needed",
            "Times that an account was found to need a sign-in",
            self.sign_ins_needed.clone(),
        );
        to.register("account_notices", "Warnings about accounts that were given ahead of time", self.warnings.clone());
        to.register("sign_ins", "Sign-ins that succeeded", self.signed_in.clone());
    }
}

/// How an account stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountFigures {
    /// Its name.
    pub account: String,
    /// Whether somebody must sign in or mend its settings.
    pub needs_somebody: bool,
    /// Warnings that stand.
    pub warnings: usize,
}

/// What stands at the moment somebody reads.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// The version of the program.
    pub version: &'static str,
    /// Whether mail is taken now.
    pub accepting: bool,
    /// Messages by where they stand.
    pub messages: Vec<(&'static str, u64)>,
    /// The age of the oldest message that has not come to its end; zero without one.
    pub oldest: Duration,
    /// Mailboxes whose mail is held.
    pub holds: usize,
    /// All accounts.
    pub accounts: Vec<AccountFigures>,
}

impl Standing {
    pub(super) fn register(&self, to: &mut Registry) {
        let set = |gauge: Gauge, value: usize| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            gauge
        };
        let build = Family::<VersionLabel, Gauge>::default();
        build.get_or_create(&VersionLabel { version: self.version }).set(1);
        to.register("build", "The version that runs", build);
        let accepting = set(Gauge::default(), usize::from(self.accepting));
        to.register("accepting", "1 if mail is taken; 0 without room, or after the disk failed", accepting);
        let messages = Family::<StateLabel, Gauge>::default();
        for (state, count) in &self.messages {
            messages.get_or_create(&StateLabel { state }).set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        to.register("queue_messages", "Messages by where they stand", messages);
        let oldest: Gauge<f64, std::sync::atomic::AtomicU64> = Gauge::default();
        oldest.set(self.oldest.as_secs_f64());
        to.register("queue_oldest_seconds", "Age of the oldest message that has not come to its end", oldest);
        to.register("holds", "Mailboxes whose mail is held", set(Gauge::default(), self.holds));
        let (attention, warnings) =
            (Family::<AccountLabel, Gauge>::default(), Family::<AccountLabel, Gauge>::default());
        for of in &self.accounts {
            let label = AccountLabel { account: of.account.clone() };
            attention.get_or_create(&label).set(i64::from(of.needs_somebody));
            warnings.get_or_create(&label).set(i64::try_from(of.warnings).unwrap_or(i64::MAX));
        }
        to.register("account_needs_somebody", "1 if an account needs a sign-in or another setting", attention);
        to.register("account_warnings", "What will go wrong with an account unless somebody does something", warnings);
    }
}
