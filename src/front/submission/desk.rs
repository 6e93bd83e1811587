//! The answers a session asks for: who is this, may they send that, is there room.

use std::net::IpAddr;
use std::sync::Arc;

use super::Door;
use super::connection::line_endings;
use super::intake::{Intake, Received, SizeLimits, storing_failed};
use super::prefix::{Arrival, made_message_id, prefix, protocol};
use super::replies as ours;
use super::rules::{Leave, Rules};
use crate::account::Client;
use crate::account::password::{Login, Verdict};
use crate::delivery::AccountWays;
use crate::front::settings::Mode;
use crate::mail::{Address, Envelope, Event, QueueId, Recipient, ReversePath, SenderPolicy};
use crate::queue::{Answer, NewMessage, QueueError};
use crate::smtp::{
    AuthResult, AuthRule, Credentials, MailRequest, Options, RcptRequest, RcptTarget, Reply, Session, replies,
};

/// Errors a client may make without sending a message.
const MAX_ERRORS: u32 = 20;

/// One client's desk.
pub(super) struct Desk {
    door: Arc<Door>,
    /// The rules as they stood when the client came: a reload does not change them under an open session.
    rules: Arc<Rules>,
    peer: IpAddr,
    /// Who the network says it is.
    by_network: Option<Arc<Client>>,
    /// Who the login says it is; it counts before the network.
    by_login: Option<Arc<Client>>,
    transaction: Option<Transaction>,
}

struct Transaction {
    leave: Leave,
    reverse_path: ReversePath,
    request: MailRequest,
    recipients: Vec<Recipient>,
    intake: Option<Intake>,
}

impl Transaction {
    /// Has the message take the account that the recipient's route leads to. One message has one account: the first
    /// recipient decides.
    fn lead(&mut self, rules: &Rules, client: &Client, recipient: &Address) -> Result<(), Reply> {
        let leave = rules.may_send(client, &self.reverse_path, Some(recipient))?;
        if leave.route.account == self.leave.route.account {
            return Ok(());
        }
        if !self.recipients.is_empty() {
            return Err(ours::ANOTHER_ROUTE);
        }
        if self.request.size.is_some_and(|size| size > leave.limits.any) {
            return Err(ours::too_large(leave.limits.any));
        }
        self.leave = leave;
        Ok(())
    }
}

impl Desk {
    /// The desk and session for a client; `None` if nobody from that address may come in.
    pub(super) fn open(door: &Arc<Door>, peer: IpAddr, tls: bool) -> Option<(Self, Session)> {
        let rules = door.submission.rules.load_full();
        let names = &door.settings.clients;
        let by_network = rules.by_network(peer, names).cloned();
        if by_network.is_none() && !rules.has_logins(names) {
            return None;
        }
        let options = door.options(&rules, by_network.as_deref());
        let session = Session::new(options, tls).identified(by_network.is_some());
        let (by_login, transaction) = (None, None);
        Some((Self { door: Arc::clone(door), rules, peer, by_network, by_login, transaction }, session))
    }

    /// The desk for a program that said who it is in another way than by SMTP.
    pub(super) fn of_program(door: &Arc<Door>, peer: IpAddr, client: Arc<Client>) -> Self {
        let rules = door.submission.rules.load_full();
        let (by_network, by_login, transaction) = (None, Some(client), None);
        Self { door: Arc::clone(door), rules, peer, by_network, by_login, transaction }
    }

    /// The client, as far as it is known.
    pub(super) fn client(&self) -> Option<&Arc<Client>> {
        self.by_login.as_ref().or(self.by_network.as_ref())
    }

    /// What was learnt before TLS is forgotten (RFC 3207 section 4.2).
    pub(super) fn forget_login(&mut self) {
        (self.by_login, self.transaction) = (None, None);
    }

    /// AUTH. A wrong password never touches a token: nothing beyond this desk learns of it.
    pub(super) async fn authenticate(&mut self, credentials: Credentials) -> AuthResult {
        if self.by_network.as_ref().is_some_and(|client| client.any_login) {
            return AuthResult::Accepted;
        }
        let login = Login { peer: self.peer, name: credentials.login, password: credentials.password };
        // Acting for another (RFC 4616) is nothing a mail client here has a right to; many send their own name.
        let acts_for_another = credentials.authorization_id.is_some_and(|other| other != login.name);
        let verdict = if acts_for_another {
            Verdict::Refused
        } else {
            self.rules.log_in(&login, &self.door.settings.clients).await
        };
        match verdict {
            Verdict::Accepted(client) => {
                self.by_login = Some(client);
                AuthResult::Accepted
            }
            Verdict::Refused => {
                let why = if acts_for_another { "a login may not act for another" } else { "wrong login or password" };
                self.observe(&Event::LoginRefused { peer: Some(self.peer), login: login.name, why: why.to_owned() });
                AuthResult::Refused(replies::AUTH_FAILED)
            }
            Verdict::Busy => {
                let why = "too many logins are being checked or have failed".to_owned();
                self.observe(&Event::LoginRefused { peer: Some(self.peer), login: login.name, why });
                AuthResult::Refused(replies::AUTH_BUSY)
            }
        }
    }

    /// MAIL: decides account and mailbox now, and whether any way out can carry the message.
    pub(super) fn mail(&mut self, request: &MailRequest) -> Result<(), Reply> {
        self.transaction = None;
        let Some(client) = self.client() else { return Err(replies::AUTH_REQUIRED) };
        let leave = self.rules.may_send(client, &request.reverse_path, None);
        let leave = leave.map_err(|reply| self.refused(reply, "the sender is not allowed"))?;
        if request.size.is_some_and(|size| size > leave.limits.any) {
            return Err(self.refused(ours::too_large(leave.limits.any), "the declared size is too large"));
        }
        let (reverse_path, recipients) = (request.reverse_path.clone(), Vec::new());
        self.transaction =
            Some(Transaction { leave, reverse_path, request: request.clone(), recipients, intake: None });
        Ok(())
    }

    /// RCPT: an alias gives way to those whom it names, and a route may lead to another account.
    pub(super) fn recipient(&mut self, request: RcptRequest) -> Result<(), Reply> {
        let client = self.client().cloned();
        let (Some(client), Some(transaction)) = (client, &mut self.transaction) else {
            return Err(replies::MAIL_FIRST);
        };
        let address: Address = match request.target {
            RcptTarget::Address(address) => address,
            RcptTarget::Postmaster => transaction.leave.postmaster.clone(),
        };
        let meant = self.rules.routing.recipients(address);
        // All whom an alias names go the way of the first: the client cannot send to them one by one.
        let led = meant.first().map_or(Ok(()), |first| transaction.lead(&self.rules, &client, first));
        if let Err(reply) = led {
            return Err(self.refused(reply, "the recipient is not taken"));
        }
        for address in meant {
            if !transaction.recipients.iter().any(|known| known.address == address) {
                // What was asked for holds for each of them (RFC 3461 section 5.2.7).
                transaction.recipients.push(Recipient { address, wishes: request.wishes.clone() });
            }
        }
        Ok(())
    }

    /// DATA or the first BDAT: is there room?
    pub(super) fn start_body(&mut self) -> Result<(), Reply> {
        let queue = &self.door.submission.queue;
        queue.check_room().map_err(|error| storing_failed(&error))?;
        let Some(transaction) = &mut self.transaction else { return Err(replies::MAIL_FIRST) };
        transaction.intake = Some(Intake::new(queue.body_writer(), transaction.leave.limits));
        Ok(())
    }

    /// A piece of content.
    pub(super) async fn body(&mut self, octets: &[u8]) -> Result<(), Reply> {
        let Some(intake) = self.transaction.as_mut().and_then(|transaction| transaction.intake.as_mut()) else {
            return Ok(());
        };
        let taken = intake.push(octets).await;
        taken.map_err(|reply| {
            self.transaction = None;
            self.refused(reply, "the content is not taken")
        })
    }

    /// Whether there is room for more mail.
    pub(super) fn check_room(&self) -> Result<(), Reply> {
        self.door.submission.queue.check_room().map_err(|error| storing_failed(&error))
    }

    /// The largest message of the client, whatever account it takes.
    pub(super) fn max_octets(&self) -> u64 {
        self.client().map_or(0, |client| self.rules.max_octets(std::slice::from_ref(&client.name)))
    }

    /// Recipients that one message may have.
    pub(super) fn max_recipients(&self) -> usize {
        self.door.settings.max_recipients
    }

    /// The mailbox that the message leaves from.
    pub(super) fn leaves_from(&self) -> Option<&Address> {
        self.transaction.as_ref().map(|transaction| &transaction.leave.route.mailbox)
    }

    /// What the ways out of its account have room for.
    pub(super) fn limits(&self) -> Option<SizeLimits> {
        self.transaction.as_ref().map(|transaction| transaction.leave.limits)
    }

    /// How mail of an account goes out.
    pub(super) fn ways(&self, account: &str) -> Option<AccountWays> {
        self.rules.ways.get(account).cloned()
    }

    /// The message that was announced, with what was received of it.
    pub(super) fn take(
        &mut self,
        received: Received,
        id: QueueId,
        how: (&str, &'static str),
    ) -> Result<NewMessage, Reply> {
        let Some(transaction) = self.transaction.take() else { return Err(replies::MAIL_FIRST) };
        let message = self.message((transaction, received), id, how);
        message.map_err(|reply| self.refused(reply, "the message is not taken"))
    }

    /// The session refused the content itself.
    pub(super) fn discard_body(&mut self) {
        self.transaction = None;
    }

    /// The end of data: 250 only once the message is durable, and on a direct listener the provider's answer.
    pub(super) async fn end_of_body(&mut self, session: &Session) -> Reply {
        let Some(transaction) = self.transaction.take() else { return replies::MAIL_FIRST };
        match self.accept(transaction, session).await {
            Ok(reply) => reply,
            Err(reply) => self.refused(reply, "the message is not taken"),
        }
    }

    async fn accept(&self, mut transaction: Transaction, session: &Session) -> Result<Reply, Reply> {
        let Some(intake) = transaction.intake.take() else { return Err(replies::MAIL_FIRST) };
        let received = intake.finish().await?;
        let helo = session.hello().map_or("", |hello| hello.name.as_str());
        let message = self.message((transaction, received), QueueId::fresh(), (helo, protocol(session)))?;
        self.hand_in(message).await.map_err(|error| storing_failed(&error))?
    }

    /// What was received as it goes into the queue. `helo` and `protocol` are for its Received line.
    fn message(
        &self,
        (transaction, received): (Transaction, Received),
        id: QueueId,
        (helo, protocol): (&str, &'static str),
    ) -> Result<NewMessage, Reply> {
        let Received { body, found } = received;
        let route = transaction.leave.route;
        if route.sender == SenderPolicy::Strict && found.from.iter().any(|from| *from != route.mailbox) {
            return Err(ours::sender_refused(&route.mailbox));
        }
        let mut envelope =
            Envelope::new(transaction.reverse_path, transaction.recipients).map_err(|_| replies::RCPT_FIRST)?;
        (envelope.body, envelope.smtputf8) = (transaction.request.body, transaction.request.smtputf8);
        envelope.wishes = transaction.request.wishes;
        let submission = &self.door.submission;
        let (hostname, now) = (submission.hostname.as_str(), submission.clock.now());
        let arrival = Arrival { helo, peer: self.peer, hostname, protocol, id, now };
        let prefix = prefix(&arrival, &found, envelope.reverse_path(), &route.mailbox);
        let message_id = Some(found.message_id.unwrap_or_else(|| made_message_id(id, &route.mailbox)));
        let peer = Some(self.peer);
        Ok(NewMessage { id, envelope, route, prefix, body, message_id, peer, report_about: None })
    }

    /// Into the queue, or to the provider while the client waits.
    async fn hand_in(&self, message: NewMessage) -> Result<Result<Reply, Reply>, QueueError> {
        let (id, queue) = (message.id, &self.door.submission.queue);
        let account = message.route.account.clone();
        let patience = match self.door.settings.mode {
            Mode::Queue => return Ok(Ok(ours::queued(queue.accept(message).await?))),
            Mode::Direct(patience) => patience,
        };
        Ok(match queue.hand_over(message, tokio::time::sleep(patience)).await? {
            Answer::Relayed => Ok(ours::relayed(id)),
            Answer::Queued => Ok(ours::queued(id)),
            Answer::Refused(failure) => Err(ours::not_relayed(&failure, &account)),
        })
    }

    fn refused(&self, reply: Reply, why: &str) -> Reply {
        let client = self.client().map(|client| client.name.clone()).unwrap_or_default();
        self.observe(&Event::Refused {
            client,
            peer: Some(self.peer),
            reply: String::from_utf8_lossy(&reply.to_octets()).trim_end().to_owned(),
            why: why.to_owned(),
        });
        reply
    }

    fn observe(&self, event: &Event) {
        self.door.submission.observer.observe(event);
    }
}

impl Door {
    fn options(&self, rules: &Rules, by_network: Option<&Client>) -> Options {
        let names = &self.settings.clients;
        let auth = match (
            rules.has_logins(names) || by_network.is_some_and(|c| c.any_login),
            self.settings.allow_clear_auth,
        ) {
            (false, _) => AuthRule::Never,
            (true, true) => AuthRule::Always,
            (true, false) => AuthRule::OverTlsOnly,
        };
        Options {
            hostname: self.submission.hostname.clone(),
            max_octets: self.settings.max_octets.unwrap_or(u64::MAX).min(rules.max_octets(names)),
            max_recipients: self.settings.max_recipients,
            auth,
            auth_required: by_network.is_none(),
            starttls: self.entrance.offers_starttls(),
            smtputf8: rules.carries_smtputf8(names),
            dsn: rules.keeps_dsn(names),
            max_errors: MAX_ERRORS,
            strict_line_ends: self.settings.strict_line_ends,
            line_endings: by_network.map_or_else(Default::default, |client| line_endings(client.line_endings)),
        }
    }
}
