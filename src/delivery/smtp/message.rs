//! A message as it goes over the wire: its new header, the rest as it came, dots stuffed.

use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::{Lost, Wire};
use crate::delivery::{ContentError, Delivery};
use crate::mail::outgoing::Outgoing;
use crate::smtp::data::DotStuffer;

/// Octets that leave in one write. A message that is not larger leaves in one piece with its final dot.
const WRITE: usize = 64 * 1024;
/// Octets that are stuffed at once, so that the piece in hand stays near [`WRITE`] whatever size the content comes in.
const PIECE: usize = 16 * 1024;

/// What is sent after DATA.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) delivery: &'a Delivery<'a>,
    pub(super) outgoing: &'a Outgoing,
}

impl Message<'_> {
    /// Octets without stuffed dots.
    pub(super) fn size(&self) -> u64 {
        let rest = self.delivery.size.saturating_sub(self.outgoing.body_offset as u64);
        rest + self.outgoing.header.len() as u64
    }

    /// Whether it has, or was declared to have, octets above 127. Of a large message only the first part is looked at.
    pub(super) fn is_eight_bit(&self) -> bool {
        let declared = self.delivery.envelope.body == crate::mail::BodyType::EightBitMime;
        declared || !self.delivery.head.is_ascii() || !self.outgoing.header.is_ascii()
    }

    /// Sends it with its final dot. After an error the dot has not left.
    pub(super) async fn send<S: AsyncRead + AsyncWrite + Unpin>(&self, wire: &mut Wire<S>) -> Result<(), Lost> {
        let expected = usize::try_from(self.size()).unwrap_or(WRITE).min(WRITE);
        let out = Vec::with_capacity(expected + expected / 32 + 64);
        self.send_through(Sending { wire, stuffer: Some(DotStuffer::new()), out }).await
    }

    /// Sends the commands that wait for it and behind them the message as it is. After an error its last octet has not
    /// left.
    pub(super) async fn send_chunk<S: AsyncRead + AsyncWrite + Unpin>(&self, wire: &mut Wire<S>) -> Result<(), Lost> {
        let out = wire.client.output().to_vec();
        wire.client.written();
        self.send_through(Sending { wire, stuffer: None, out }).await
    }

    async fn send_through<S: AsyncRead + AsyncWrite + Unpin>(&self, mut sending: Sending<'_, S>) -> Result<(), Lost> {
        sending.push(&self.outgoing.header).await?;
        let head = self.delivery.head;
        if head.len() as u64 == self.delivery.size {
            sending.push(head.get(self.outgoing.body_offset..).unwrap_or_default()).await?;
        } else {
            self.send_rest(&mut sending).await?;
        }
        sending.finish().await
    }

    async fn send_rest<S: AsyncRead + AsyncWrite + Unpin>(&self, sending: &mut Sending<'_, S>) -> Result<(), Lost> {
        let mut skip = self.outgoing.body_offset;
        let mut seen = 0;
        let mut chunks = self.delivery.content.open().await?;
        let size = self.delivery.size;
        while let Some(chunk) = chunks.next().await? {
            seen += chunk.len() as u64;
            if seen > size {
                return Err(ContentError::Damaged(format!("it has more than its {size} octets")).into());
            }
            let skipped = skip.min(chunk.len());
            skip -= skipped;
            sending.push(&chunk[skipped..]).await?;
        }
        if seen != size {
            return Err(ContentError::Damaged(format!("it has {seen} octets instead of {size}")).into());
        }
        Ok(())
    }
}

struct Sending<'w, S> {
    wire: &'w mut Wire<S>,
    /// `None`: the octets go as they are.
    stuffer: Option<DotStuffer>,
    out: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sending<'_, S> {
    async fn push(&mut self, octets: &[u8]) -> Result<(), Lost> {
        for piece in octets.chunks(PIECE) {
            match &mut self.stuffer {
                Some(stuffer) => stuffer.push(piece, &mut self.out),
                None => self.out.extend_from_slice(piece),
            }
            // A message of exactly one write is kept back for its dot.
            if self.out.len() > WRITE {
                self.wire.write(&self.out).await?;
                self.out.clear();
            }
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), Lost> {
        if let Some(stuffer) = &mut self.stuffer {
            stuffer.finish(&mut self.out);
        }
        self.wire.write(&self.out).await
    }
}
