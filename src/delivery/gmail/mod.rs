//! The Gmail API: `messages.send` by upload, for which the narrow scope `gmail.send` is enough. Gmail mails to whom the
//! header names, takes `Bcc` out, and keeps a copy in Sent by itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderName, HeaderValue};
use url::Url;

use crate::delivery::by_header::{self, ByHeader, Letter, Source};
use crate::delivery::web::{Caller, below};
use crate::delivery::{Backend, BoxFuture, Delivery, GmailWay, Tokens};
use crate::http::{Http, Request, Response};
use crate::mail::{Attempt, BackendKind, Failure, Reason, Receipt};
use crate::token::Purpose;

mod classify;

/// Octets that leave in one request; what is larger leaves in ranges of this size, which must be a multiple of 256 KiB
/// ("Resumable upload").
const RANGE_OCTETS: u64 = 2 * 1024 * 1024;
/// How often an upload may break before the attempt ends.
const TROUBLES: u32 = 3;

/// The way out through the Gmail API.
pub struct GmailBackend {
    way: GmailWay,
    http: Http,
    tokens: Arc<dyn Tokens>,
    timeout: Duration,
}

impl GmailBackend {
    /// A backend that gives each request `timeout` from its start to the end of its answer.
    pub fn new(way: GmailWay, http: Http, tokens: Arc<dyn Tokens>, timeout: Duration) -> Self {
        Self { way, http, tokens, timeout }
    }

    async fn hand_over(&self, letter: Letter<'_>) -> Result<Receipt, Failure> {
        letter.check_size(self.way.max_octets, "the Gmail API")?;
        let (http, tokens, timeout) = (&self.http, &*self.tokens, self.timeout);
        let caller = Caller { http, tokens, account: letter.delivery.account, purpose: Purpose::Gmail, timeout };
        let upload = Upload { caller, base: &self.way.base, letter };
        if letter.octets() <= RANGE_OCTETS { upload.at_once().await } else { upload.in_ranges().await }
    }
}

impl ByHeader for GmailBackend {
    fn max_recipients(&self) -> usize {
        self.way.max_recipients
    }

    fn send<'a>(&'a self, letter: Letter<'a>, _: &'a mut Vec<String>) -> BoxFuture<'a, Result<Receipt, Failure>> {
        Box::pin(self.hand_over(letter))
    }
}

impl Backend for GmailBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Gmail
    }

    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Attempt> {
        Box::pin(by_header::attempt(self, delivery))
    }
}

/// One message that is being uploaded.
struct Upload<'a> {
    caller: Caller<'a>,
    base: &'a Url,
    letter: Letter<'a>,
}

/// How far an upload in ranges is.
enum Progress {
    /// So many octets have arrived.
    Octets(u64),
    /// All, and the message is sent.
    Sent(Receipt),
}

impl Upload<'_> {
    /// In one request.
    async fn at_once(&self) -> Result<Receipt, Failure> {
        let url = self.url(&["upload"], "media")?;
        let body = Bytes::from(Source::open(&self.letter, 0).await?.take(u64::MAX).await?);
        let response = self.caller.call(|| Request::post(url.clone(), "message/rfc822", body.clone())).await?;
        classify::receipt(&response).ok_or_else(|| classify::classify(&response))
    }

    /// In ranges. What breaks goes on where it was, and the end is asked for rather than sent twice.
    async fn in_ranges(&self) -> Result<Receipt, Failure> {
        let session = self.open().await?;
        let size = self.letter.octets();
        let mut source = Source::open(&self.letter, 0).await?;
        let (mut at, mut troubles) = (0, 0);
        loop {
            let range = Bytes::from(source.take(RANGE_OCTETS).await?);
            let end = at + range.len() as u64;
            let is_last = end == size;
            let failure = match self.put(&session, (at, end), range).await {
                Ok(Progress::Sent(receipt)) => return Ok(receipt),
                Ok(Progress::Octets(next)) if next == end && !is_last => {
                    at = end;
                    continue;
                }
                Ok(Progress::Octets(_)) => Failure::new(Reason::Unexpected, "Gmail lost a part of the upload"),
                Err(failure) if is_passing(&failure) => failure,
                Err(failure) => return Err(if is_last { failure } else { before_the_end(failure) }),
            };
            troubles += 1;
            if troubles > TROUBLES {
                return Err(if is_last { failure } else { before_the_end(failure) });
            }
            match self.put(&session, (0, 0), Bytes::new()).await {
                Ok(Progress::Sent(receipt)) => return Ok(receipt),
                Ok(Progress::Octets(next)) => at = next,
                // Whether the last range arrived stays unknown.
                Err(_) => return Err(if is_last { failure } else { before_the_end(failure) }),
            }
            source = Source::open(&self.letter, at).await?;
        }
    }

    /// The URL of the session, which carries its right in itself.
    async fn open(&self) -> Result<Url, Failure> {
        let url = self.url(&["resumable", "upload"], "resumable")?;
        let size = HeaderValue::from(self.letter.octets());
        let make = || {
            Request::post(url.clone(), "application/json", Bytes::new())
                .header(HeaderName::from_static("x-upload-content-type"), HeaderValue::from_static("message/rfc822"))
                .header(HeaderName::from_static("x-upload-content-length"), size.clone())
        };
        let response = self.caller.call(make).await.map_err(before_the_end)?;
        let place = response.headers.get(LOCATION).and_then(|place| place.to_str().ok()?.parse().ok());
        match place {
            Some(place) if response.status == 200 && self.is_googles(&place) => Ok(place),
            Some(_) | None => Err(before_the_end(classify::classify(&response))),
        }
    }

    /// Mail goes where the configuration says, or to another host of Google's.
    fn is_googles(&self, place: &Url) -> bool {
        let google =
            place.scheme() == "https" && place.host_str().is_some_and(|host| host.ends_with(".googleapis.com"));
        google || place.origin() == self.base.origin()
    }

    /// Puts a range; an empty one asks how far the upload is.
    async fn put(&self, session: &Url, (from, end): (u64, u64), range: Bytes) -> Result<Progress, Failure> {
        let size = self.letter.octets();
        let place =
            if range.is_empty() { format!("bytes */{size}") } else { format!("bytes {from}-{}/{size}", end - 1) };
        let place = HeaderValue::from_str(&place);
        let place = place.map_err(|error| Failure::new(Reason::Unexpected, error.to_string()))?;
        let request = Request::put(session.clone(), "message/rfc822", range).header(CONTENT_RANGE, place);
        let response = self.caller.call_without_token(request).await?;
        if response.status == 308 {
            return Ok(Progress::Octets(arrived(&response)));
        }
        let sent = classify::receipt(&response).map(Progress::Sent);
        sent.ok_or_else(|| classify::classify(&response))
    }

    fn url(&self, kind: &[&str], upload_type: &str) -> Result<Url, Failure> {
        let segments = [kind, &["gmail", "v1", "users", "me", "messages", "send"]].concat();
        let mut url = below(self.base, &segments)?;
        url.query_pairs_mut().append_pair("uploadType", upload_type);
        Ok(url)
    }
}

/// Octets that have arrived: `Range: bytes=0-N`, or none.
fn arrived(response: &Response) -> u64 {
    let range = response.headers.get(RANGE).and_then(|range| range.to_str().ok());
    let last = range.and_then(|range| range.rsplit_once('-')?.1.parse::<u64>().ok());
    last.map_or(0, |last| last + 1)
}

fn is_passing(failure: &Failure) -> bool {
    use Reason::{AnswerLost, ProviderTrouble, TimedOut, Unreachable};
    matches!(failure.reason, AnswerLost | ProviderTrouble | TimedOut | Unreachable)
}

/// Before the last range nothing can have been sent.
fn before_the_end(failure: Failure) -> Failure {
    let reason = if failure.reason == Reason::AnswerLost { Reason::TimedOut } else { failure.reason };
    Failure { reason, ..failure }
}
