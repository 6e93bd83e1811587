//! Mail that programs hand in by the API. It passes the desk that SMTP mail passes: the same clients, routes, aliases,
//! sender policy and limits.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body::Body;

use super::desk::Desk;
use super::intake::{Intake, Received, SizeLimits, storing_failed};
use super::replies as ours;
use super::{Door, Submission};
use crate::account::Client;
use crate::delivery::route::{Choice, Facts, ObjectFacts, choose};
use crate::front::settings::ListenerSettings;
use crate::mail::address_list::AddressList;
use crate::mail::dsn::{MessageWishes, RecipientWishes};
use crate::mail::form::{Composed, Fault, Form, NotCarried, People, compose};
use crate::mail::header::{HeaderBlock, header_of, inspect};
use crate::mail::{Address, BodyType, Failure, QueueId, ReversePath, Sender};
use crate::queue::{Answer, BodyReader, NewMessage, Outlined, SpooledBody};
use crate::smtp::data::LineEnds;
use crate::smtp::{MailRequest, RcptRequest, RcptTarget, Reply};

/// Octets of a message in JSON: its texts are held in memory as a whole. MIME may be as large as the account can send.
const MAX_JSON: u64 = 8 * 1024 * 1024;
/// Octets of an object that is kept as it is. A larger one fits into no request of the way out that takes objects.
const MAX_OBJECT: u64 = 4 * 1024 * 1024;

/// What a program hands in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A message in MIME; it goes to whom its To, Cc and Bcc name.
    Mime,
    /// A message in JSON.
    Json(Form),
}

/// A program's request.
#[derive(Clone, Debug)]
pub struct HandIn {
    /// What comes.
    pub what: What,
    /// As which client.
    pub client: Arc<Client>,
    /// From where.
    pub peer: IpAddr,
    /// The mailbox to send from, if the program names one.
    pub mailbox: Option<Address>,
    /// How long the program waits for the provider's answer; `None`: not at all.
    pub wait: Option<Duration>,
}

/// A message that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Its queue id.
    pub id: QueueId,
    /// Whether the provider has it already, for all recipients.
    pub relayed: bool,
    /// How many people receive it.
    pub recipients: usize,
    /// What does not reach them, by the way that the message takes as things stand.
    pub not_carried: Vec<NotCarried>,
}

/// Why a message was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotTaken {
    /// A property is wrong.
    Fault(Fault),
    /// Larger than JSON may be, in octets.
    TooMuchJson(u64),
    /// The request broke off.
    Broken(String),
    /// What an SMTP client would hear.
    Refused(Reply),
    /// The provider's words, with the account: nobody took the message, and nothing of it is kept.
    ByProvider(Failure, String),
}

impl From<Reply> for NotTaken {
    fn from(reply: Reply) -> Self {
        Self::Refused(reply)
    }
}

impl From<Fault> for NotTaken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Where programs hand in their mail. Clones share it.
#[derive(Clone)]
pub struct Programs {
    door: Arc<Door>,
}

impl Programs {
    /// Beside the listeners of `submission`.
    pub fn new(submission: Arc<Submission>) -> Self {
        let door = Arc::new(Door::new(submission, ListenerSettings::for_programs(), None));
        Self { door }
    }

    /// The clients there are.
    pub fn clients(&self) -> Vec<Arc<Client>> {
        self.door.submission.rules.load().clients.iter().cloned().collect()
    }

    /// Takes a message, whose octets come in `body`.
    ///
    /// # Errors
    /// [`NotTaken`]: nothing of it is kept then.
    pub async fn hand_in<B>(&self, request: HandIn, body: B) -> Result<Taken, NotTaken>
    where
        B: Body + Unpin + Send,
        B::Data: Send,
        B::Error: std::fmt::Display,
    {
        let client = match &request.mailbox {
            None => Arc::clone(&request.client),
            Some(mailbox) => {
                let narrowed = request.client.narrowed_to(mailbox);
                Arc::new(narrowed.map_err(|error| ours::no_mailbox(&request.client.name, &error))?)
            }
        };
        let desk = Desk::of_program(&self.door, request.peer, Arc::clone(&client));
        desk.check_room()?;
        let mut counter = Counter { desk, client, mailbox: request.mailbox, id: QueueId::fresh(), lost: Vec::new() };
        let message = match request.what {
            What::Mime => counter.mime(&self.door, body).await?,
            What::Json(form) => self.json(&mut counter, form, body).await?,
        };
        self.queue(counter, message, request.wait).await
    }

    async fn json<B>(&self, counter: &mut Counter, form: Form, body: B) -> Result<NewMessage, NotTaken>
    where
        B: Body + Unpin + Send,
        B::Error: std::fmt::Display,
    {
        let spooled = self.spool(body).await?;
        let reading = async { self.door.submission.queue.outline(form, spooled.reader().await?).await };
        let Outlined { outline, alone: _alone } = reading.await.map_err(|error| storing_failed(&error))?;
        let mailbox = counter.own_mailbox();
        let composed = compose(form, outline, counter.id, mailbox.as_ref())?;
        counter.announce(&composed.people)?;
        if form == Form::Microsoft && spooled.size() <= MAX_OBJECT {
            return counter.object(spooled, &composed);
        }
        counter.composed(&self.door, composed, &spooled).await
    }

    /// The whole of a message in JSON, in bounded memory.
    async fn spool(
        &self,
        mut body: impl Body<Error: std::fmt::Display> + Unpin + Send,
    ) -> Result<SpooledBody, NotTaken> {
        let mut writer = self.door.submission.queue.body_writer();
        let mut size = 0;
        while let Some(piece) = next(&mut body).await? {
            size += piece.len() as u64;
            if size > MAX_JSON {
                return Err(NotTaken::TooMuchJson(MAX_JSON));
            }
            writer.write(&piece).await.map_err(|error| storing_failed(&error))?;
        }
        Ok(writer.finish().await.map_err(|error| storing_failed(&error))?)
    }

    /// Into the queue, or to the provider while the program waits.
    async fn queue(&self, counter: Counter, message: NewMessage, wait: Option<Duration>) -> Result<Taken, NotTaken> {
        let (queue, account) = (&self.door.submission.queue, message.route.account.clone());
        let (id, recipients) = (message.id, message.envelope.recipients().len());
        let mut taken = Taken { id, relayed: false, recipients, not_carried: counter.lost };
        let Some(wait) = wait else {
            queue.accept(message).await.map_err(|error| storing_failed(&error))?;
            return Ok(taken);
        };
        let answer =
            queue.hand_over(message, tokio::time::sleep(wait)).await.map_err(|error| storing_failed(&error))?;
        match answer {
            Answer::Relayed => taken.relayed = true,
            Answer::Queued => {}
            Answer::Refused(failure) => return Err(NotTaken::ByProvider(failure, account)),
        }
        Ok(taken)
    }
}

/// One message on its way over the counter.
struct Counter {
    desk: Desk,
    client: Arc<Client>,
    mailbox: Option<Address>,
    id: QueueId,
    lost: Vec<NotCarried>,
}

impl Counter {
    /// The mailbox the message leaves from if nothing in it says otherwise. A client for a whole domain may have none.
    fn own_mailbox(&self) -> Option<Address> {
        self.mailbox.clone().or_else(|| self.client.account_for(None).ok().map(|(_, mailbox)| mailbox))
    }

    /// MAIL and RCPT: whom the message names.
    fn announce(&mut self, people: &People) -> Result<(), NotTaken> {
        let named = people.sender.as_ref().or(people.from.first()).cloned();
        let path = named.or_else(|| self.own_mailbox()).map_or(ReversePath::Null, ReversePath::Mailbox);
        let ascii = path.address().is_none_or(Address::is_ascii) && people.recipients.iter().all(Address::is_ascii);
        let (size, body, wishes) = (None, BodyType::EightBitMime, MessageWishes::default());
        let request = MailRequest { reverse_path: path, size, body, smtputf8: !ascii, wishes };
        if people.recipients.len() > self.desk.max_recipients() {
            return Err(ours::TOO_MANY.into());
        }
        self.desk.mail(&request)?;
        for address in people.recipients.iter().cloned() {
            let wishes = RecipientWishes::default();
            self.desk.recipient(RcptRequest { target: RcptTarget::Address(address), wishes })?;
        }
        // A route of a recipient may have led it to another account.
        if let Some(mailbox) = self.mailbox.as_ref().filter(|mailbox| self.desk.leaves_from() != Some(*mailbox)) {
            return Err(ours::not_from(mailbox).into());
        }
        if people.recipients.is_empty() { Err(ours::NOBODY.into()) } else { Ok(()) }
    }

    /// A message in MIME as it streams in.
    async fn mime(
        &mut self,
        door: &Door,
        mut body: impl Body<Error: std::fmt::Display> + Unpin + Send,
    ) -> Result<NewMessage, NotTaken> {
        let most = self.desk.max_octets();
        let mut intake = Intake::new(door.submission.queue.body_writer(), SizeLimits { any: most, sealed: most });
        let (mut ends, mut clean) = (LineEnds::new(), Vec::new());
        while let Some(piece) = next(&mut body).await? {
            clean.clear();
            ends.push(&piece, &mut clean);
            intake.push(&clean).await?;
        }
        clean.clear();
        ends.finish(&mut clean);
        intake.push(&clean).await?;
        self.announce(&people(intake.head())?)?;
        self.received(intake).await
    }

    /// A message that was made out of JSON, as MIME.
    async fn composed(
        &mut self,
        door: &Door,
        composed: Composed,
        source: &SpooledBody,
    ) -> Result<NewMessage, NotTaken> {
        let most = self.desk.max_octets();
        let mut intake = Intake::new(door.submission.queue.body_writer(), SizeLimits { any: most, sealed: most });
        let source = source.reader().await.map_err(|error| storing_failed(&error))?;
        let mut mime = BodyReader::assembled(composed.mime, source);
        while let Some(piece) = mime.chunk().await.map_err(|error| storing_failed(&error))? {
            intake.push(&piece).await?;
        }
        self.lost = [composed.ignored, composed.not_in_mime].concat();
        self.received(intake).await
    }

    async fn received(&mut self, intake: Intake) -> Result<NewMessage, NotTaken> {
        let Some(limits) = self.desk.limits() else { return Err(ours::NOBODY.into()) };
        let received = intake.within(limits)?.finish().await?;
        let message = self.desk.take(received, self.id, (&self.client.name, "HTTP"))?;
        self.choose(&message, None)?;
        Ok(message)
    }

    /// A message that is kept as the object it was handed in as.
    fn object(&mut self, spooled: SpooledBody, composed: &Composed) -> Result<NewMessage, NotTaken> {
        let not_in_mime = composed.not_in_mime.iter().map(|lost| lost.property.clone()).collect();
        let facts = ObjectFacts { octets: spooled.size(), not_in_mime };
        let body = spooled.as_microsoft_object();
        let received = Received { body, found: inspect(header_of(composed.mime.head())) };
        let message = self.desk.take(received, self.id, (&self.client.name, "HTTP"))?;
        self.lost.clone_from(&composed.ignored);
        self.choose(&message, Some((facts, composed)))?;
        Ok(message)
    }

    /// Whether any way out can carry the message, and what is lost on the one it takes as things stand.
    fn choose(&mut self, message: &NewMessage, object: Option<(ObjectFacts, &Composed)>) -> Result<(), NotTaken> {
        let Some(ways) = self.desk.ways(&message.route.account) else { return Err(ours::no_way_out().into()) };
        let sender = Sender { policy: message.route.sender, mailbox: &message.route.mailbox };
        let header = object.as_ref().map_or(&[][..], |(_, composed)| header_of(composed.mime.head()));
        let size = object.as_ref().map_or(message.body.size(), |(_, composed)| composed.mime.size());
        let size = size + message.prefix.len() as u64;
        let facts = Facts::read(&[&message.prefix, header].concat(), &message.envelope, &sender, size);
        let choice = choose(&ways, &facts.with_object(object.as_ref().map(|(facts, _)| facts.clone())), |_| None);
        if let Some(failure) = choice.failure(&ways) {
            return Err(Reply::from(&failure).into());
        }
        if let Some((facts, composed)) = object {
            self.lost.extend(lost_by(&choice, &facts, composed));
        }
        Ok(())
    }
}

/// What is lost of an object on the way that comes first.
fn lost_by(choice: &Choice<'_>, facts: &ObjectFacts, composed: &Composed) -> Vec<NotCarried> {
    let first = choice.ways.first().map(|weighed| weighed.way);
    let whole = first.is_some_and(|way| facts.is_taken_by(way));
    if whole { Vec::new() } else { composed.not_in_mime.clone() }
}

/// Whom the header of a message names.
fn people(head: &[u8]) -> Result<People, Fault> {
    let block = HeaderBlock::parse(head);
    let named = |name: &str| {
        let mut found = Vec::new();
        for field in block.named(name) {
            let list = AddressList::parse(field.body());
            if list.nameless.is_some() {
                let text = crate::mail::failure::one_line(&String::from_utf8_lossy(field.body()));
                return Err(Fault {
                    path: name.to_owned(),
                    why: format!("`{text}` holds something that is no address"),
                });
            }
            found.extend(list.into_addresses());
        }
        Ok(found)
    };
    let recipients = ["To", "Cc", "Bcc"].into_iter().map(named).collect::<Result<Vec<_>, _>>()?.concat();
    // From may be odd: the sender policy mends it.
    let sender = named("Sender").unwrap_or_default().into_iter().next();
    Ok(People { from: named("From").unwrap_or_default(), sender, recipients })
}

/// The next octets of a request.
async fn next(body: &mut (impl Body<Error: std::fmt::Display> + Unpin)) -> Result<Option<Vec<u8>>, NotTaken> {
    use bytes::Buf;
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(Err(error)) => return Err(NotTaken::Broken(error.to_string())),
            Some(Ok(frame)) => {
                let Ok(mut data) = frame.into_data() else { continue };
                if data.has_remaining() {
                    return Ok(Some(data.copy_to_bytes(data.remaining()).to_vec()));
                }
            }
        }
    }
}
