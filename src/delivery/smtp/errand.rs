//! One message on its way through one backend: as many transactions as its recipients need.

use super::message::Message;
use super::session::{Broken, Progress, Session};
use super::{SmtpBackend, classify};
use crate::delivery::{Backend, Delivery};
use crate::mail::failure::Disposition;
use crate::mail::outgoing::{Outgoing, for_envelope};
use crate::mail::{Address, Attempt, Failure, Outcome, Reason, Receipt, Recipient, Sender};
use crate::smtp::upstream::{Answers, Ending, Mail, Response, Stage};

/// The work of one delivery.
pub(super) struct Errand<'a> {
    backend: &'a SmtpBackend,
    delivery: &'a Delivery<'a>,
    mailbox: String,
    session: Option<Session>,
    outcomes: Vec<Option<Outcome>>,
    notes: Vec<String>,
}

/// What one transaction came to.
struct Verdict {
    /// For each recipient of the transaction its own refusal.
    refusals: Vec<Option<Response>>,
    /// For the others: taken, or why not.
    rest: Result<Receipt, Failure>,
}

impl<'a> Errand<'a> {
    pub(super) fn new(backend: &'a SmtpBackend, delivery: &'a Delivery<'a>) -> Self {
        let recipients = delivery.envelope.recipients().len();
        let outcomes = vec![None; recipients];
        Self { backend, delivery, mailbox: delivery.mailbox.key(), session: None, outcomes, notes: Vec::new() }
    }

    pub(super) async fn run(mut self) -> Attempt {
        let sender = Sender { policy: self.delivery.sender, mailbox: self.delivery.mailbox };
        let mut outgoing = for_envelope(self.delivery.head, self.delivery.envelope, &sender);
        self.notes.append(&mut outgoing.notes);
        let mut pending: Vec<usize> = (0..self.outcomes.len()).collect();
        while !pending.is_empty() {
            let batch = pending.len().min(self.backend.target.way.max_recipients.max(1));
            let verdict = self.transaction(&outgoing, &pending[..batch]).await;
            pending = self.settle(verdict, &pending, batch);
        }
        if let Some(session) = self.session.take() {
            self.backend.pool.put(&self.mailbox, session);
        }
        let untold = || Outcome::from(Failure::new(Reason::Unexpected, "no transaction named this recipient"));
        let outcomes = self.outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(untold)).collect();
        Attempt { backend: Some(self.backend.kind()), outcomes, notes: self.notes }
    }

    /// Notes what a transaction with the first `batch` of `pending` came to, and returns who needs another.
    fn settle(&mut self, mut verdict: Verdict, pending: &[usize], batch: usize) -> Vec<usize> {
        verdict.refusals.resize(batch, None);
        let (asked, unasked) = pending.split_at(batch);
        let mut again = Vec::new();
        let went_on = verdict.rest.is_ok();
        for (recipient, refusal) in asked.iter().zip(verdict.refusals) {
            match refusal {
                Some(response) if went_on && classify::asks_for_another_transaction(&response) => {
                    again.push(*recipient);
                }
                Some(response) => {
                    self.outcomes[*recipient] = Some(classify::classify(Stage::Rcpt, &response).into());
                }
                None => self.outcomes[*recipient] = Some(outcome_of(&verdict.rest)),
            }
        }
        again.extend(unasked);
        match verdict.rest {
            // Trouble that waits will not be over for the next transaction.
            Err(failure) if failure.reason.disposition() != Disposition::Fail => {
                for recipient in again {
                    self.outcomes[recipient] = Some(Outcome::from(not_tried(&failure)));
                }
                Vec::new()
            }
            _ => again,
        }
    }

    /// One transaction with some of the recipients. A session that was used before may have been closed by the server
    /// in the meantime; nothing was sent then, so another is opened and nobody hears of it.
    async fn transaction(&mut self, outgoing: &Outgoing, asked: &[usize]) -> Verdict {
        let all = self.delivery.envelope.recipients();
        let recipients: Vec<&Recipient> = asked.iter().filter_map(|index| all.get(*index)).collect();
        let message = Message { delivery: self.delivery, outgoing };
        let mut mail = Mail {
            reverse_path: &outgoing.reverse_path,
            recipients: &recipients,
            size: message.size(),
            eight_bit: message.is_eight_bit(),
            smtputf8: self.delivery.envelope.smtputf8
                || !outgoing.reverse_path.address().is_none_or(Address::is_ascii)
                || recipients.iter().any(|recipient| !recipient.address.is_ascii()),
            wishes: &self.delivery.envelope.wishes,
            in_one_go: false,
        };
        let mut fresh = false;
        loop {
            let (mut session, used) = match self.next_session(fresh).await {
                Ok(session) => session,
                Err(failure) => return Verdict::failed(failure),
            };
            mail.in_one_go = session.is_fresh();
            let answered = session.transact(&mail, &message).await;
            if used && was_stale(&answered) {
                fresh = true;
                continue;
            }
            if mail.eight_bit && !session.takes_eight_bit() {
                self.note_missing_eight_bit();
            }
            return self.verdict(session, answered);
        }
    }

    async fn next_session(&mut self, fresh: bool) -> Result<(Session, bool), Failure> {
        match self.session.take().filter(|_| !fresh) {
            Some(session) => Ok((session, true)),
            None => self.backend.session(self.delivery, &self.mailbox, fresh).await,
        }
    }

    fn verdict(&mut self, session: Session, answered: Result<Answers, Broken>) -> Verdict {
        match answered {
            Ok(Answers { recipients, ending }) => {
                let knows_wishes = session.knows_wishes();
                self.keep(session);
                let rest = match ending {
                    Ending::Taken(response) => {
                        let diagnostic = crate::mail::failure::one_line(&response.to_string());
                        Ok(Receipt { diagnostic, knows_wishes })
                    }
                    Ending::Refused(stage, response) => Err(classify::classify(stage, &response)),
                    Ending::NoRecipients => {
                        Err(Failure::new(Reason::RecipientRefused, "the server accepted none of the recipients"))
                    }
                };
                Verdict { refusals: recipients, rest }
            }
            Err(Broken::Limits(limits)) => {
                self.keep(session);
                Verdict::failed(classify::of_limits(limits))
            }
            Err(Broken::Lost { lost, progress, recipients }) => {
                let failure = match progress {
                    Progress::AfterDot => Failure::new(Reason::AnswerLost, lost.to_string()),
                    Progress::Nothing | Progress::BeforeDot => lost.into(),
                };
                Verdict { refusals: recipients, rest: Err(failure) }
            }
        }
    }

    /// Keeps a session for the next transaction, unless it has done its work.
    fn keep(&mut self, session: Session) {
        if session.is_reusable() {
            self.session = Some(session);
        } else {
            session.close();
        }
    }

    fn note_missing_eight_bit(&mut self) {
        let host = &self.backend.target.way.host;
        let note = format!("`{host}` does not offer 8BITMIME; the octets above 127 were sent as they are");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl Verdict {
    /// The same failure for every recipient of the transaction.
    fn failed(failure: Failure) -> Self {
        Self { refusals: Vec::new(), rest: Err(failure) }
    }
}

/// Whether the server had given up a session before it heard of the message: it closed, said 421, or no longer knew
/// who was logged in.
fn was_stale(answered: &Result<Answers, Broken>) -> bool {
    match answered {
        Ok(Answers { ending: Ending::Refused(Stage::Mail, response), .. }) => matches!(response.code, 421 | 530),
        Ok(_) | Err(Broken::Limits(_)) => false,
        Err(Broken::Lost { lost, progress, .. }) => *progress == Progress::Nothing && lost.is_a_closed_door(),
    }
}

fn outcome_of(rest: &Result<Receipt, Failure>) -> Outcome {
    match rest {
        Ok(receipt) => Outcome::Relayed(receipt.clone()),
        Err(failure) => Outcome::from(failure.clone()),
    }
}

/// What is said of recipients whose transaction was not begun because the one before came to `failure`.
fn not_tried(failure: &Failure) -> Failure {
    if failure.reason == Reason::AnswerLost {
        return Failure::new(Reason::TimedOut, "not tried after the answer for others was lost");
    }
    failure.clone()
}
