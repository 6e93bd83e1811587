//! Telling the observer what a settlement changed.

use super::NewMessage;
use super::settle::{Settled, Settlement, Told};
use super::verdict::Fate;
use crate::clock::Timestamp;
use crate::mail::{Event, Failure, Observer, Outcome};

/// Tells what became of the recipients: one event for those that were relayed, one for each failure that others share.
pub(super) fn tell(observer: &dyn Observer, settlement: &Settlement, settled: &Settled, now: Timestamp) {
    if settlement.verdict.removed {
        // The client is told, and whoever tells it says so.
        return holds(observer, settlement, settled);
    }
    let fates = &settlement.verdict.recipients;
    relayed(observer, settlement, now);
    let outstanding = fates.iter().zip(&settlement.attempt.outcomes).filter_map(|(fate, outcome)| match fate {
        Fate::Outstanding(failure) if !matches!(outcome, Outcome::Held(_)) => Some(failure),
        Fate::Outstanding(_) | Fate::Relayed(_) | Fate::Failed(_) => None,
    });
    let failed = fates.iter().filter_map(|fate| match fate {
        Fate::Failed(failure) => Some(failure),
        Fate::Outstanding(_) | Fate::Relayed(_) => None,
    });
    let lease = &settlement.lease;
    for (failure, recipients) in grouped(outstanding) {
        observer.observe(&Event::Deferred {
            id: lease.id,
            account: lease.route.account.clone(),
            backend: settlement.attempt.backend,
            attempt: lease.attempt,
            recipients,
            failure: failure.clone(),
            next: settlement.verdict.next.max(settlement.verdict.not_before).unwrap_or(now),
        });
    }
    for (failure, recipients) in grouped(failed) {
        observer.observe(&Event::Failed {
            id: lease.id,
            account: lease.route.account.clone(),
            backend: settlement.attempt.backend,
            attempt: lease.attempt,
            recipients,
            failure: failure.clone(),
        });
    }
    holds(observer, settlement, settled);
    match &settlement.report {
        Some(Told::Alone(message, _)) => observer.observe(&reported(message)),
        Some(Told::InDigest(line)) => {
            let why = format!("`{}` was told of much one by one; this one stands in the next digest", line.to);
            observer.observe(&Event::Unreported { about: lease.id, why });
        }
        None => {}
    }
}

/// A report that is in the queue.
pub(super) fn reported(message: &NewMessage) -> Event {
    let to = message.envelope.recipients().first().map(|to| to.address.to_string()).unwrap_or_default();
    Event::Reported { id: message.id, about: message.report_about.unwrap_or(message.id), to }
}

fn relayed(observer: &dyn Observer, settlement: &Settlement, now: Timestamp) {
    let mut receipts = settlement.verdict.recipients.iter().filter_map(|fate| match fate {
        Fate::Relayed(receipt) => Some(receipt),
        Fate::Outstanding(_) | Fate::Failed(_) => None,
    });
    let (Some(first), Some(backend)) = (receipts.next(), settlement.attempt.backend) else { return };
    let lease = &settlement.lease;
    observer.observe(&Event::Relayed {
        id: lease.id,
        account: lease.route.account.clone(),
        backend,
        attempt: lease.attempt,
        recipients: 1 + receipts.count(),
        diagnostic: first.diagnostic.clone(),
        millis: u64::try_from(now.since(lease.started_at).as_millis()).unwrap_or(u64::MAX),
    });
}

fn holds(observer: &dyn Observer, settlement: &Settlement, settled: &Settled) {
    let route = &settlement.lease.route;
    if let (Some(failure), Some(begun)) = (&settlement.verdict.hold, &settled.held) {
        observer.observe(&Event::Held {
            id: settlement.lease.id,
            account: route.account.clone(),
            mailbox: route.mailbox.to_string(),
            failure: failure.clone(),
            probe: begun.next_probe,
            fresh: begun.fresh,
        });
    }
    if let Some(account) = &settled.released {
        observer.observe(&Event::Released {
            account: account.clone(),
            mailbox: route.mailbox.to_string(),
            why: "a probe went through".to_owned(),
        });
    }
}

/// Equal failures together, in the order of their first.
fn grouped<'a>(failures: impl Iterator<Item = &'a Failure>) -> Vec<(&'a Failure, usize)> {
    let mut groups: Vec<(&Failure, usize)> = Vec::new();
    for failure in failures {
        match groups.iter_mut().find(|(known, _)| *known == failure) {
            Some((_, count)) => *count += 1,
            None => groups.push((failure, 1)),
        }
    }
    groups
}
