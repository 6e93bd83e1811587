//! Reports: what failed, is late or was handed over becomes a DSN, which is another message through the queue.

use super::ContentError;
use super::carrier::{Carrier, Notify};
use super::content::LeaseContent;
use crate::mail::dsn::{Back, DigestMail, Original, Told, render_digest};
use crate::mail::{
    Address, BodyType, Envelope, Event, Failure, QueueId, Reason, Recipient, ReversePath, SenderPolicy, dsn,
};
use crate::queue::{Digest, DigestLine, Fate, Late, Lease, NewMessage, QueueError, Report, Route, Verdict};

/// Octets of a message that comes back whole; of a larger one its header does.
const MAX_WHOLE: u64 = 256 * 1024;

impl Carrier {
    /// The report about a verdict, ready to be settled with it; `None` if there is nothing to report or nobody to tell, or if
    /// the client hears of it itself. A report is never answered by another.
    pub(super) async fn report(&self, lease: &Lease, verdict: &Verdict) -> Option<Report> {
        if verdict.removed {
            return None;
        }
        let told = self.told(lease, verdict);
        let to = self.addressee(lease, told.first()?)?;
        let has_failed = told.iter().any(|(_, told)| matches!(told, Told::Failed(_)));
        let route = self.route_of_report(lease, verdict.failed.iter().any(|(_, f)| f.reason == Reason::HoldExpired));
        if !self.reports().allow(&to, self.clock().now()) {
            // News that something went well is not worth a line.
            return has_failed.then(|| Report::InDigest(Box::new(line(lease, &told, to, route))));
        }
        self.render(lease, &told, to, route).await.map(Report::from)
    }

    /// What the sender wants to hear of a verdict.
    fn told(&self, lease: &Lease, verdict: &Verdict) -> Vec<(Recipient, Told)> {
        let mut told = Vec::new();
        let mut unwanted = 0;
        for (recipient, fate) in lease.envelope.recipients().iter().zip(&verdict.recipients) {
            let news = match fate {
                Fate::Failed(failure) if recipient.wishes.of_failure() => Told::Failed(failure.clone()),
                Fate::Failed(_) => {
                    unwanted += 1;
                    continue;
                }
                Fate::Relayed(receipt) if recipient.wishes.of_success() && !receipt.knows_wishes => {
                    Told::Relayed(receipt.diagnostic.clone())
                }
                Fate::Relayed(_) | Fate::Outstanding(_) => continue,
            };
            told.push((recipient.clone(), news));
        }
        if unwanted > 0 {
            self.unreported(lease, format!("its sender asked not to be told of {unwanted} recipients (NOTIFY)"));
        }
        told
    }

    /// The report that a message is late, unless its sender does not want to hear or the report would be as late.
    pub(super) async fn report_late(&self, late: &Late) -> Option<NewMessage> {
        let Late { lease, waiting, until, held } = late;
        let told = waiting.iter().filter(|(recipient, _)| recipient.wishes.of_delay());
        let told: Vec<_> = told.map(|(to, failure)| (to.clone(), Told::Delayed(failure.clone(), *until))).collect();
        let to = lease.route.reports_to.clone().filter(|_| !told.is_empty())?;
        let route = self.route_of_report(lease, *held);
        if *held && route.key() == lease.key() {
            return None;
        }
        if !self.reports().allow(&to, self.clock().now()) {
            self.unreported(
                lease,
                "it is late, as much else of this sender that was told of within the hour".to_owned(),
            );
            return None;
        }
        self.render(lease, &told, to, route).await
    }

    /// One message about many.
    pub(super) async fn digest(&self, digest: &Digest) -> Result<NewMessage, QueueError> {
        let Digest { to, route, lines, .. } = digest;
        let (id, from) = (QueueId::fresh(), &route.mailbox);
        let message_id = format!("<{id}@{}>", from.domain());
        let (reporting_mta, now) = (self.hostname(), self.clock().now());
        let text = render_digest(&DigestMail { from, to, reporting_mta, now, lines, message_id: &message_id });
        let about = lines.first().map(|(about, _)| *about);
        self.message((id, message_id), &text, to, route.clone(), about).await
    }

    /// Who is told; if nobody is, the log says why.
    fn addressee(&self, lease: &Lease, first: &(Recipient, Told)) -> Option<Address> {
        let why = match (lease.report_about, &lease.route.reports_to) {
            (None, Some(to)) => return Some(to.clone()),
            (Some(about), _) => format!("it was itself the report about {about}"),
            (None, None) => "its reverse path is null".to_owned(),
        };
        if let Told::Failed(_) = first.1 {
            self.unreported(lease, why);
        }
        None
    }

    async fn render(&self, lease: &Lease, told: &[(Recipient, Told)], to: Address, route: Route) -> Option<NewMessage> {
        let rendered = self.try_to_render(lease, told, &to, route).await;
        rendered.map_err(|error| self.unreported(lease, format!("the report cannot be stored: {error}"))).ok()
    }

    async fn try_to_render(
        &self,
        lease: &Lease,
        told: &[(Recipient, Told)],
        to: &Address,
        route: Route,
    ) -> Result<NewMessage, QueueError> {
        let id = QueueId::fresh();
        let from = &route.mailbox;
        let message_id = format!("<{id}@{}>", from.domain());
        let has_failed = told.iter().any(|(_, told)| matches!(told, Told::Failed(_)));
        // A message whose content is gone is reported without it.
        let (octets, whole) = self.original(lease, has_failed).await.unwrap_or_default();
        let text = dsn::render(&dsn::Report {
            about: lease.id,
            from,
            to,
            reporting_mta: self.hostname(),
            arrival: lease.accepted_at,
            now: self.clock().now(),
            envelope_id: lease.envelope.wishes.envelope_id.as_deref(),
            told,
            account: &lease.route.account,
            original: if whole { Original::Whole(&octets) } else { Original::Header(&octets) },
            message_id: message_id.clone(),
        });
        self.message((id, message_id), &text, to, route, Some(lease.id)).await
    }

    /// What of the message comes back, and whether that is all of it.
    async fn original(&self, lease: &Lease, has_failed: bool) -> Result<(Vec<u8>, bool), ContentError> {
        use super::Content;
        let content = LeaseContent::open(self.queue(), lease).await?;
        let wanted = has_failed && lease.envelope.wishes.back == Some(Back::Full);
        if !wanted || content.size() > MAX_WHOLE {
            return Ok((content.header().to_vec(), false));
        }
        let mut whole = Vec::new();
        let mut chunks = content.open().await?;
        while let Some(chunk) = chunks.next().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok((whole, true))
    }

    async fn message(
        &self,
        (id, message_id): (QueueId, String),
        text: &[u8],
        to: &Address,
        route: Route,
        report_about: Option<QueueId>,
    ) -> Result<NewMessage, QueueError> {
        let mut writer = self.queue().body_writer();
        writer.write(text).await?;
        let body = writer.finish().await?;
        let mut envelope = Envelope::to_one(ReversePath::Null, Recipient::from(to.clone()));
        if !text.is_ascii() {
            envelope.body = BodyType::EightBitMime;
        }
        let (prefix, message_id, peer) = (Vec::new(), Some(message_id), None);
        Ok(NewMessage { id, envelope, route, prefix, body, message_id, peer, report_about })
    }

    /// A report leaves as the message would have; if its account is on hold, by the account that is there for that.
    fn route_of_report(&self, lease: &Lease, on_hold: bool) -> Route {
        let own =
            Route { sender: SenderPolicy::Keep, reports_to: None, client: "oxpost".to_owned(), ..lease.route.clone() };
        match self.notify().filter(|_| on_hold) {
            Some(Notify { account, provider, mailbox }) => Route { account, provider, mailbox, ..own },
            None => own,
        }
    }

    fn unreported(&self, lease: &Lease, why: String) {
        self.observe(&Event::Unreported { about: lease.id, why });
    }
}

/// What a digest says of one message.
fn line(lease: &Lease, told: &[(Recipient, Told)], to: Address, route: Route) -> DigestLine {
    let failure = |told: &Told| -> Option<Failure> {
        match told {
            Told::Failed(failure) => Some(failure.clone()),
            Told::Delayed(..) | Told::Relayed(_) => None,
        }
    };
    let failed: Vec<_> = told.iter().filter_map(|(to, told)| Some((to, failure(told)?))).collect();
    let why = failed.first().map(|(_, failure)| failure.to_string()).unwrap_or_default();
    let first: Vec<_> = failed.iter().take(3).map(|(to, _)| to.address.to_string()).collect();
    let more = match failed.len().saturating_sub(first.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let line = format!("of {}, to {}{more}: {why}", lease.accepted_at.rfc5322(), first.join(", "));
    DigestLine { to, route, about: lease.id, line }
}
