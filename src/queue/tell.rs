//! The queue's part in telling senders: what is late, and what is told of many messages at once.

use super::{Digest, LateMail, NewMessage, Queue, QueueError, digest, late};

impl Queue {
    /// Messages that are late and whose senders were not told yet: up to 100, oldest first. [`Queue::told`] goes on
    /// behind them, told or not.
    ///
    /// # Errors
    /// What the store says.
    pub async fn late(&self) -> Result<LateMail, QueueError> {
        let (settings, now) = (self.inner.settings.clone(), self.inner.now());
        Ok(self.inner.store.read(move |connection| late::find(connection, &settings, now)).await?)
    }

    /// Queues the reports about messages that are late, and goes on behind the last of them.
    ///
    /// # Errors
    /// What the store says; nothing is queued then.
    pub async fn told(&self, late: &LateMail, reports: Vec<NewMessage>) -> Result<(), QueueError> {
        let Some(last) = late.seen else { return Ok(()) };
        self.inner.accept_all(reports, move |connection| late::told(connection, last)).await
    }

    /// What is to be told in one message each, because it was too much one by one, and has been collected long enough.
    ///
    /// # Errors
    /// What the store says.
    pub async fn digests(&self) -> Result<Vec<Digest>, QueueError> {
        let now = self.inner.now();
        Ok(self.inner.store.read(move |connection| digest::due(connection, now)).await?)
    }

    /// Queues a digest; what stands in it is not told again.
    ///
    /// # Errors
    /// What the store says; nothing changes then.
    pub async fn told_digest(&self, digest: &Digest, message: NewMessage) -> Result<(), QueueError> {
        let (address, last) = (digest.to.to_string(), digest.last);
        self.inner.accept_all(vec![message], move |connection| digest::told(connection, &address, last)).await
    }
}
