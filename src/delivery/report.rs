//! Reports: what failed for good becomes a DSN, which is another message through the queue.

use super::carrier::{Carrier, Notify};
use super::content::LeaseContent;
use crate::mail::{Address, Envelope, Event, QueueId, Reason, Recipient, ReversePath, SenderPolicy, dsn};
use crate::queue::{Lease, NewMessage, QueueError, Route, Verdict};

impl Carrier {
    /// The report about what a verdict says failed, ready to be settled with it; `None` if there is nothing to report
    /// or nobody to tell, or if the client hears of it itself. A report is never answered by another.
    pub(super) async fn report(&self, lease: &Lease, verdict: &Verdict) -> Option<NewMessage> {
        if verdict.failed.is_empty() || verdict.removed {
            return None;
        }
        if let Some(about) = lease.report_about {
            self.unreported(lease, format!("it was itself the report about {about}"));
            return None;
        }
        let Some(to) = lease.route.reports_to.clone() else {
            self.unreported(lease, "its reverse path is null".to_owned());
            return None;
        };
        match self.render(lease, verdict, &to).await {
            Ok(message) => Some(message),
            Err(error) => {
                self.unreported(lease, format!("the report cannot be stored: {error}"));
                None
            }
        }
    }

    async fn render(&self, lease: &Lease, verdict: &Verdict, to: &Address) -> Result<NewMessage, QueueError> {
        let id = QueueId::fresh();
        let route = self.route_of_report(lease, verdict);
        let from = &route.mailbox;
        let message_id = format!("<{id}@{}>", from.domain());
        // A message whose content is gone is reported without its header.
        let head =
            LeaseContent::open(self.queue(), lease).await.map(|content| content.header().to_vec()).unwrap_or_default();
        let text = dsn::render(&dsn::Report {
            about: lease.id,
            from,
            to,
            reporting_mta: self.hostname(),
            arrival: lease.accepted_at,
            now: self.clock().now(),
            failed: &verdict.failed,
            account: &lease.route.account,
            original_header: &head,
            message_id: message_id.clone(),
        });
        let mut writer = self.queue().body_writer();
        writer.write(&text).await?;
        let body = writer.finish().await?;
        let envelope = Envelope::to_one(ReversePath::Null, Recipient::from(to.clone()));
        let (prefix, message_id, peer, report_about) = (Vec::new(), Some(message_id), None, Some(lease.id));
        Ok(NewMessage { id, envelope, route, prefix, body, message_id, peer, report_about })
    }

    /// A report leaves as the message would have; if its account is on hold, by the account that is there for that.
    fn route_of_report(&self, lease: &Lease, verdict: &Verdict) -> Route {
        let own =
            Route { sender: SenderPolicy::Keep, reports_to: None, client: "oxpost".to_owned(), ..lease.route.clone() };
        let on_hold = verdict.failed.iter().any(|(_, failure)| failure.reason == Reason::HoldExpired);
        match self.notify().filter(|_| on_hold) {
            Some(Notify { account, provider, mailbox }) => Route { account, provider, mailbox, ..own },
            None => own,
        }
    }

    fn unreported(&self, lease: &Lease, why: String) {
        self.observe(&Event::Unreported { about: lease.id, why });
    }
}
