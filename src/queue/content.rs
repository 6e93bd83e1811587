//! The content of any message that still has it, for people: to look at or to keep a copy.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::forms::Outlined;
use super::inner::Inner;
use super::rows::{self, from_json};
use super::spool::{BodyReader, Checksum, ContentKind, Expected};
use super::{QueueError, Route, listing};
use crate::mail::QueueId;
use crate::mail::form::{Form, compose};

/// A message as it would be sent: our own header lines, then what the client sent. What it sent as an object is MIME
/// here.
#[derive(Debug)]
pub struct MessageCopy {
    /// Our own header lines.
    pub prefix: Vec<u8>,
    /// What the client sent.
    pub body: BodyReader,
}

struct Found {
    seq: i64,
    size: u64,
    spool: Option<String>,
    prefix: Vec<u8>,
    kind: ContentKind,
    route: Route,
    checksum: Option<Checksum>,
}

fn find(connection: &Connection, id: QueueId) -> rusqlite::Result<Option<Found>> {
    let sql = "SELECT seq, size, spool, kind, route, prefix, checksum FROM message JOIN body ON body.message = seq
        WHERE message.id = ?1";
    let read = |row: &Row<'_>| {
        Ok(Found {
            seq: row.get("seq")?,
            size: row.get::<_, i64>("size")?.cast_unsigned(),
            spool: row.get("spool")?,
            prefix: row.get("prefix")?,
            kind: rows::kind(row)?,
            route: from_json(row, "route")?,
            checksum: row.get_ref("checksum")?.as_blob_or_null()?.and_then(Checksum::from_slice),
        })
    };
    connection.prepare_cached(sql)?.query_row([id.as_bytes()], read).optional()
}

impl Inner {
    /// See [`super::Queue::copy`].
    pub(super) async fn copy(&self, id: QueueId) -> Result<MessageCopy, QueueError> {
        let found = self.store.read(move |connection| find(connection, id)).await?;
        let Some(Found { seq, size, spool, prefix, kind, route, checksum }) = found else {
            return Err(QueueError::NoContent(id));
        };
        let expected = checksum.map(|checksum| Expected { checksum, prefix: prefix.clone() });
        let stored = match spool {
            Some(name) => Stored::File(self.spool.path(&name)),
            None => {
                let octets = self.store.read(move |connection| listing::content(connection, seq)).await?;
                Stored::Octets(octets.ok_or(QueueError::NoContent(id))?)
            }
        };
        let reader = async || match &stored {
            Stored::File(path) => BodyReader::file(path.clone(), size, expected.clone()).await,
            Stored::Octets(octets) => BodyReader::memory(Arc::clone(octets), size, expected.clone()),
        };
        let body = match kind {
            ContentKind::Mime => reader().await?,
            ContentKind::Microsoft => {
                let Outlined { outline, alone: _alone } = self.outline(Form::Microsoft, reader().await?).await?;
                let composed = compose(Form::Microsoft, outline, id, Some(&route.mailbox));
                let composed = composed.map_err(|fault| QueueError::BodyDamaged(fault.to_string()))?;
                self.assembled(composed.mime, reader().await?).await?
            }
        };
        Ok(MessageCopy { prefix, body })
    }
}

/// Where content lies.
enum Stored {
    File(PathBuf),
    Octets(Arc<[u8]>),
}
