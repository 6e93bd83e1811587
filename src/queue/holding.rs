//! Holds as people and the gateway handle them: shown, begun by hand, ended, reminded of.

use super::{Hold, MailboxKey, Queue, QueueError, Selector, hold, remind, rows};
use crate::mail::Event;

impl Queue {
    /// The mailboxes that are held, oldest hold first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn holds(&self) -> Result<Vec<Hold>, QueueError> {
        Ok(self.inner.store.read(hold::list).await?)
    }

    /// Ends holds: their messages are due now. `why` goes into the log. Returns the mailboxes.
    ///
    /// # Errors
    /// What the store says; nothing is released then.
    pub async fn release(&self, selector: Selector, why: &str) -> Result<Vec<MailboxKey>, QueueError> {
        self.end_holds(selector, hold::End::Released, why).await
    }

    /// As [`Queue::release`], because the trouble is over: a hold by hand stays.
    ///
    /// # Errors
    /// As [`Queue::release`].
    pub async fn mended(&self, selector: Selector, why: &str) -> Result<Vec<MailboxKey>, QueueError> {
        self.end_holds(selector, hold::End::Mended, why).await
    }

    /// Has one message of each held mailbox try whether the trouble is over, because something changed that may have
    /// mended it. Holds by hand stay as they are.
    ///
    /// # Errors
    /// What the store says; then the probes come in their time.
    pub async fn probe_now(&self) -> Result<(), QueueError> {
        let inner = &self.inner;
        let now = inner.now();
        for key in inner.store.write(move |connection| hold::probe_now(connection, now)).await? {
            inner.lanes.wake(&key);
        }
        Ok(())
    }

    /// Puts a mailbox on hold until somebody releases it; attempts that are open come to their end. `why` is shown.
    ///
    /// # Errors
    /// What the store says; nothing changes then.
    pub async fn hold(&self, key: &MailboxKey, account: &str, why: &str) -> Result<(), QueueError> {
        let inner = &self.inner;
        let (owned, name, words, now) = (key.clone(), account.to_owned(), why.to_owned(), inner.now());
        let write = move |connection: &_| {
            let lane = rows::lane(connection, &owned)?;
            hold::by_hand(connection, lane, &name, &words, now)
        };
        inner.store.write(write).await?;
        let (account, mailbox, why) = (account.to_owned(), key.mailbox.clone(), why.to_owned());
        inner.observer.observe(&Event::HeldByHand { account, mailbox, why });
        inner.lanes.wake(key);
        Ok(())
    }

    /// Tells of holds that last: after an hour, a day, and each day from then on. To be called every minute or so.
    ///
    /// # Errors
    /// What the store says; then it is told later.
    pub async fn remind(&self) -> Result<(), QueueError> {
        let inner = &self.inner;
        let now = inner.now();
        let due = inner.store.read(move |connection| remind::due(connection, now)).await?;
        if due.is_empty() {
            return Ok(());
        }
        let lanes: Vec<_> = due.iter().map(|(lane, told, _)| (*lane, *told)).collect();
        inner.store.write(move |connection| remind::told(connection, &lanes)).await?;
        for (_, _, event) in due {
            inner.observer.observe(&event);
        }
        Ok(())
    }

    async fn end_holds(&self, selector: Selector, by: hold::End, why: &str) -> Result<Vec<MailboxKey>, QueueError> {
        let inner = &self.inner;
        let now = inner.now();
        let released = inner.store.write(move |connection| hold::release(connection, &selector, by, now)).await?;
        let mut keys = Vec::new();
        for (key, account) in released {
            let mailbox = key.mailbox.clone();
            inner.observer.observe(&Event::Released { account, mailbox, why: why.to_owned() });
            inner.lanes.wake(&key);
            keys.push(key);
        }
        Ok(keys)
    }
}
