//! Messages in JSON, read and written in bounded memory: their files pass through in pieces, and of what is left one is
//! in memory at a time, if it is large.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::inner::Inner;
use super::spool::{BodyReader, BodyWriter};
use super::{Queue, QueueError};
use crate::mail::form::{Assembly, Form, Outline, Outliner};

/// Octets of a message without its files that any number may have at once. In memory it takes several times that.
const LITTLE: usize = 128 * 1024;

/// A message in JSON without its files.
#[derive(Debug)]
pub struct Outlined {
    /// The message.
    pub outline: Outline,
    /// To be kept until what was made of the outline is out of memory.
    pub alone: Alone,
}

/// While there is one of a message that is large without its files, no other such message is read. Whoever has it waits
/// for nothing but the disk.
#[derive(Debug)]
pub struct Alone {
    _permit: Option<OwnedSemaphorePermit>,
}

/// One large message at a time.
#[derive(Debug)]
pub(super) struct OneLarge(Arc<Semaphore>);

impl Default for OneLarge {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Queue {
    /// Reads a message in JSON.
    ///
    /// # Errors
    /// As [`BodyReader::chunk`].
    pub async fn outline(&self, form: Form, source: BodyReader) -> Result<Outlined, QueueError> {
        self.inner.outline(form, source).await
    }

    /// The whole of `assembly`, whose files stand in `source`. What is large in memory goes through a file, so that
    /// others have their turn however slowly it is read.
    ///
    /// # Errors
    /// `source` cannot be read, or what comes of it cannot be written.
    pub async fn assembled(&self, assembly: Assembly, source: BodyReader) -> Result<BodyReader, QueueError> {
        self.inner.assembled(assembly, source).await
    }
}

impl Inner {
    pub(super) async fn outline(&self, form: Form, mut source: BodyReader) -> Result<Outlined, QueueError> {
        let (mut outliner, mut permit) = (Outliner::new(form), None);
        while let Some(piece) = source.chunk().await? {
            outliner.push(&piece);
            if permit.is_none() && outliner.kept() > LITTLE {
                // It is never closed.
                permit = Arc::clone(&self.one_large.0).acquire_owned().await.ok();
            }
        }
        Ok(Outlined { outline: outliner.finish(), alone: Alone { _permit: permit } })
    }

    pub(super) async fn assembled(&self, assembly: Assembly, source: BodyReader) -> Result<BodyReader, QueueError> {
        let is_little = assembly.held() <= LITTLE;
        let mut whole = BodyReader::assembled(assembly, source);
        if is_little {
            return Ok(whole);
        }
        let mut writer = BodyWriter::new(Arc::clone(&self.spool));
        while let Some(piece) = whole.chunk().await? {
            writer.write(&piece).await?;
        }
        drop(whole);
        // The file is gone when it was read.
        writer.finish().await?.reader().await
    }
}
