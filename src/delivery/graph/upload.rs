//! Attaches files to a draft: small ones in one request, large ones range by range.

use std::time::Duration;

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderStringWriter;
use bytes::Bytes;
use http::header::CONTENT_RANGE;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::apart::File;
use super::{MAX_REQUEST, classify, encode};
use crate::delivery::reading::Reading;
use crate::delivery::web::{Caller, below};
use crate::delivery::{ContentError, Delivery};
use crate::http::{Request, Response};
use crate::mail::parts::Decoder;
use crate::mail::{Failure, Reason};

/// From this size on a file needs an upload session ("attachment: createUploadSession").
const LARGE: u64 = 3 * 1024 * 1024;
/// The largest file that a session takes.
const MAX_FILE: u64 = 150 * 1024 * 1024;
/// Octets of a range: at most 4 MB, and a multiple of 320 KiB, as OneDrive's sessions want it.
const RANGE: usize = 12 * 320 * 1024;
/// How often a session may break or throttle before the attempt ends.
const TROUBLES: u32 = 5;
/// The longest wait within an attempt: Graph counts what is uploaded within five minutes.
const PATIENCE: Duration = Duration::from_secs(330);

/// Attaches files to one draft.
pub(super) struct Uploading<'a> {
    pub(super) caller: Caller<'a>,
    /// The draft's URL.
    pub(super) draft: Url,
    pub(super) delivery: Delivery<'a>,
}

/// What a session says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Session {
    upload_url: Option<Url>,
    #[serde(default)]
    next_expected_ranges: Vec<String>,
}

impl Uploading<'_> {
    /// Attaches `files` one after the other.
    pub(super) async fn attach(&self, files: &[File]) -> Result<(), Failure> {
        for file in files {
            let described = described(file);
            if file.size < LARGE && posted_size(&described, file) <= MAX_REQUEST {
                self.post(file, described).await?;
            } else {
                self.upload(file).await?;
            }
        }
        Ok(())
    }

    /// In one request. The only buffer is the request itself.
    async fn post(&self, file: &File, mut described: String) -> Result<(), Failure> {
        described.truncate(described.len() - 1);
        described.push_str(",\"contentBytes\":\"");
        let mut source = Source::open(&self.delivery, file, 0).await?;
        let mut encoder = EncoderStringWriter::from_consumer(described, &STANDARD);
        while let Some(piece) = source.next().await? {
            std::io::Write::write_all(&mut encoder, &piece)
                .map_err(|error| Failure::new(Reason::Unexpected, error.to_string()))?;
        }
        let body = Bytes::from(encoder.into_inner() + "\"}");
        let url = below(&self.draft, &["attachments"])?;
        // An answer that shows the file would be as large as the file.
        let make = || Request::post(url.clone(), "application/json", body.clone());
        let response = self.caller.call(make).await?;
        if response.status == 201 { Ok(()) } else { Err(classify::classify(&response, body.len())) }
    }

    /// Range by range. A session that breaks goes on where it was.
    async fn upload(&self, file: &File) -> Result<(), Failure> {
        if file.size > MAX_FILE {
            let words = format!("its file `{}` has {} octets, and Graph takes {MAX_FILE}", file.name, file.size);
            return Err(Failure::new(Reason::MessageTooLarge, words));
        }
        let url = self.open(file).await?;
        let mut source = Source::open(&self.delivery, file, 0).await?;
        let (mut at, mut troubles) = (0, 0);
        while at < file.size {
            let range = Bytes::from(source.take(RANGE).await?);
            let end = at + range.len() as u64;
            match self.put(&url, (at, end, file.size), range).await {
                Ok(()) => at = end,
                Err(failure) if troubles < TROUBLES && is_passing(&failure) => {
                    troubles += 1;
                    tokio::time::sleep(failure.retry_after.unwrap_or_default()).await;
                    at = self.resume(&url).await?;
                    if at != end {
                        source = Source::open(&self.delivery, file, at).await?;
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn open(&self, file: &File) -> Result<Url, Failure> {
        let mut item = json!({
            "attachmentType": "file",
            "name": file.name,
            "size": file.size,
            "contentType": file.media_type,
            "isInline": file.inline,
        });
        if let Some(id) = &file.content_id {
            item["contentId"] = json!(id);
        }
        let body = Bytes::from(json!({ "AttachmentItem": item }).to_string());
        let url = below(&self.draft, &["attachments", "createUploadSession"])?;
        let response = self.caller.call(|| Request::post(url.clone(), "application/json", body.clone())).await?;
        let session = if response.status == 201 { session(&response) } else { None };
        session.and_then(|session| session.upload_url).ok_or_else(|| classify::classify(&response, body.len()))
    }

    async fn put(&self, url: &Url, (from, end, size): (u64, u64, u64), range: Bytes) -> Result<(), Failure> {
        let octets = range.len();
        let place = HeaderValue::from_str(&format!("bytes {from}-{}/{size}", end - 1));
        let place = place.map_err(|error| Failure::new(Reason::Unexpected, error.to_string()))?;
        let request = Request::put(url.clone(), "application/octet-stream", range).header(CONTENT_RANGE, place);
        let response = self.caller.call_without_token(request).await?;
        let expected = if end == size { StatusCode::CREATED } else { StatusCode::OK };
        if response.status == expected { Ok(()) } else { Err(classify::classify(&response, octets)) }
    }

    /// Where the session goes on.
    async fn resume(&self, url: &Url) -> Result<u64, Failure> {
        let response = self.caller.call_without_token(Request::get(url.clone())).await?;
        let session = if response.status == 200 { session(&response) } else { None };
        let next = session.as_ref().and_then(|session| session.next_expected_ranges.first());
        let place = next.and_then(|range| range.split('-').next()?.parse().ok());
        place.ok_or_else(|| classify::classify(&response, 0))
    }
}

fn session(response: &Response) -> Option<Session> {
    serde_json::from_slice(response.whole_body().ok()?).ok()
}

/// A broken connection, a busy server or a wait that can be waited for.
fn is_passing(failure: &Failure) -> bool {
    use Reason::{AnswerLost, ProviderTrouble, Throttled, TimedOut, Unreachable};
    let passing = matches!(failure.reason, AnswerLost | ProviderTrouble | Throttled | TimedOut | Unreachable);
    passing && failure.retry_after.is_none_or(|wait| wait <= PATIENCE)
}

/// A `fileAttachment` without its content.
fn described(file: &File) -> String {
    let mut described = json!({
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": file.name,
        "contentType": file.media_type,
        "isInline": file.inline,
    });
    if let Some(id) = &file.content_id {
        described["contentId"] = json!(id);
    }
    described.to_string()
}

/// Octets of the request that posts the file.
fn posted_size(described: &str, file: &File) -> u64 {
    const AROUND: usize = ",\"contentBytes\":\"\"".len();
    (described.len() + AROUND) as u64 + encode::encoded_length(file.size)
}

/// A file as it is read out of the message and decoded.
struct Source {
    reading: Reading,
    decoder: Decoder,
    end: u64,
    rest: Vec<u8>,
    finished: bool,
}

impl Source {
    /// Opens the file at octet `at` of its decoded content.
    async fn open(delivery: &Delivery<'_>, file: &File, at: u64) -> Result<Self, ContentError> {
        let mut reading = Reading::open(delivery.content, delivery.size).await?;
        reading.skip_to(file.body.start).await?;
        let decoder = Decoder::new(file.encoding);
        let mut source = Self { reading, decoder, end: file.body.end, rest: Vec::new(), finished: false };
        let mut behind = at;
        while behind > 0 {
            let Some(mut piece) = source.next().await? else { break };
            let skipped = usize::try_from(behind).unwrap_or(usize::MAX).min(piece.len());
            source.rest = piece.split_off(skipped);
            behind -= skipped as u64;
        }
        Ok(source)
    }

    /// The next octets; `None` behind the last.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, ContentError> {
        let mut out = std::mem::take(&mut self.rest);
        while out.is_empty() && !self.finished {
            match self.reading.until(self.end).await? {
                Some(piece) => self.decoder.decode(&piece, &mut out),
                None => {
                    self.decoder.finish(&mut out);
                    self.finished = true;
                }
            }
        }
        Ok(Some(out).filter(|out| !out.is_empty()))
    }

    /// So many octets, or fewer at the end.
    async fn take(&mut self, octets: usize) -> Result<Vec<u8>, ContentError> {
        let mut taken = Vec::with_capacity(octets);
        while taken.len() < octets {
            let Some(mut piece) = self.next().await? else { break };
            self.rest = piece.split_off(piece.len().min(octets - taken.len()));
            taken.append(&mut piece);
        }
        Ok(taken)
    }
}
