//! Joins two connections octet by octet, both ways at once. Nothing is looked at and nothing is kept: what one side
//! says is on the stack for a moment and then with the other side. Only what that side does not take yet waits in
//! memory, and while it waits nothing more is read.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

/// Octets moved at once: four TLS records.
const BLOCK: usize = 64 * 1024;

/// Octets that have gone through, to be looked at from outside.
#[derive(Debug, Default)]
pub struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
}

impl Traffic {
    /// From the client to the upstream.
    pub fn up(&self) -> u64 {
        self.up.load(Ordering::Relaxed)
    }

    /// From the upstream to the client.
    pub fn down(&self) -> u64 {
        self.down.load(Ordering::Relaxed)
    }
}

/// The two sides, and what was read from each and not used.
pub struct Ends<A, B> {
    /// The client.
    pub client: A,
    /// The server.
    pub upstream: B,
    /// What goes to the client first.
    pub to_client: Vec<u8>,
    /// What goes to the server first.
    pub to_upstream: Vec<u8>,
}

/// When to end although both sides are there.
pub struct Rules {
    /// Nothing in either direction for so long.
    pub idle: Duration,
    /// The same once the client has said all it has to say.
    pub half_closed: Duration,
    /// Ends at once.
    pub hang_up: CancellationToken,
    /// Ends as soon as nothing was said for `quiet`: the program stops.
    pub draining: CancellationToken,
    /// See `draining`; the same once the server has said all it has to say.
    pub quiet: Duration,
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Both sides said all they had to say.
    Closed,
    /// Nobody said anything for too long.
    Idle,
    /// Somebody hung up from outside.
    HungUp,
    /// The program stops.
    Drained,
}

/// Moves octets until both sides are done or a rule ends it.
///
/// # Errors
/// A connection broke.
pub async fn splice<A, B>(ends: Ends<A, B>, rules: &Rules, traffic: &Traffic) -> io::Result<Ending>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let Ends { mut client, mut upstream, to_client, to_upstream } = ends;
    let (mut up, mut down) = (Pump::new(to_upstream), Pump::new(to_client));
    let mut clock = Clock::new(rules.idle);
    let mut hang_up = pin!(rules.hang_up.cancelled());
    let mut draining = pin!(rules.draining.cancelled());
    let mut drains = false;
    poll_fn(|cx| {
        if hang_up.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(Ending::HungUp));
        }
        drains = drains || draining.as_mut().poll(cx).is_ready();
        let before = traffic.up() + traffic.down();
        let upward = up.poll(&mut client, &mut upstream, cx, &traffic.up)?;
        let downward = down.poll(&mut upstream, &mut client, cx, &traffic.down)?;
        if upward.is_ready() && downward.is_ready() {
            return Poll::Ready(Ok(Ending::Closed));
        }
        // A server that has said all is gone, as far as servers go; a client may still wait for its answer.
        let limit = if drains || downward.is_ready() {
            rules.quiet
        } else if upward.is_ready() {
            rules.half_closed
        } else {
            rules.idle
        };
        let moved = traffic.up() + traffic.down() != before;
        match clock.poll(moved, limit, cx) {
            Poll::Ready(()) if downward.is_ready() => Poll::Ready(Ok(Ending::Closed)),
            Poll::Ready(()) if drains => Poll::Ready(Ok(Ending::Drained)),
            Poll::Ready(()) => Poll::Ready(Ok(Ending::Idle)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// How long nothing has moved. The timer is set anew only when it goes off, not with each octet.
struct Clock {
    timer: Pin<Box<Sleep>>,
    last: Instant,
    limit: Duration,
}

impl Clock {
    fn new(limit: Duration) -> Self {
        Self { timer: Box::pin(sleep(limit)), last: Instant::now(), limit }
    }

    /// Ready once nothing has moved for `limit`.
    fn poll(&mut self, moved: bool, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if moved {
            self.last = Instant::now();
        }
        if limit < self.limit {
            self.timer.as_mut().reset(self.last + limit);
        }
        self.limit = limit;
        while self.timer.as_mut().poll(cx).is_ready() {
            let end = self.last + limit;
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(end);
        }
        Poll::Pending
    }
}

/// One direction.
struct Pump {
    /// What the other side has not taken yet.
    waiting: Vec<u8>,
    /// Octets of it that it has.
    taken: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Everything was said; the other side is to be told.
    Ending,
    Over,
}

/// What a read brought.
enum Brought {
    /// The block is full: there may be more.
    Full,
    /// That was all for now; the reader wakes us.
    AllForNow,
    /// That was all there ever is.
    End,
}

impl Pump {
    fn new(waiting: Vec<u8>) -> Self {
        Self { waiting, taken: 0, state: State::Open }
    }

    /// Moves what can be moved. Ready when this direction is over.
    fn poll<R, W>(&mut self, from: &mut R, to: &mut W, cx: &mut Context<'_>, count: &AtomicU64) -> io::Result<Poll<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if self.hand_over(to, cx, count)?.is_pending() {
                return Ok(Poll::Pending);
            }
            match self.state {
                State::Over => return Ok(Poll::Ready(())),
                State::Ending => match Pin::new(&mut *to).poll_shutdown(cx) {
                    Poll::Pending => return Ok(Poll::Pending),
                    Poll::Ready(done) => {
                        // A side that is gone already need not be told.
                        let _told = done;
                        self.state = State::Over;
                    }
                },
                State::Open => {
                    if self.fetch(from, to, cx, count)?.is_pending() {
                        return Ok(Poll::Pending);
                    }
                }
            }
        }
    }

    /// Reads a block and hands it over; what is not taken waits.
    fn fetch<R, W>(&mut self, from: &mut R, to: &mut W, cx: &mut Context<'_>, count: &AtomicU64) -> io::Result<Poll<()>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut space = [const { MaybeUninit::<u8>::uninit() }; BLOCK];
        let mut block = ReadBuf::uninit(&mut space);
        let brought = read_block(from, &mut block, cx)?;
        let mut octets = block.filled();
        while !octets.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, octets)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(taken) => {
                    count.fetch_add(taken as u64, Ordering::Relaxed);
                    octets = &octets[taken..];
                }
                Poll::Pending => {
                    (self.waiting, self.taken) = (octets.to_vec(), 0);
                    break;
                }
            }
        }
        if matches!(brought, Brought::End) {
            self.state = State::Ending;
        }
        if !self.waiting.is_empty() {
            return Ok(Poll::Pending);
        }
        match brought {
            Brought::Full | Brought::End => Ok(Poll::Ready(())),
            Brought::AllForNow => {
                // What TLS keeps back is pushed out; if that takes a while, the writer wakes us for it.
                let _flushed = Pin::new(to).poll_flush(cx)?;
                Ok(Poll::Pending)
            }
        }
    }

    /// Hands over what waits.
    fn hand_over<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
        count: &AtomicU64,
    ) -> io::Result<Poll<()>> {
        while self.taken < self.waiting.len() {
            match Pin::new(&mut *to).poll_write(cx, &self.waiting[self.taken..])? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(taken) => {
                    count.fetch_add(taken as u64, Ordering::Relaxed);
                    self.taken += taken;
                }
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        if !self.waiting.is_empty() {
            (self.waiting, self.taken) = (Vec::new(), 0);
        }
        Ok(Poll::Ready(()))
    }
}

/// Reads until the block is full or nothing more comes for now.
fn read_block<R: AsyncRead + Unpin>(
    from: &mut R,
    block: &mut ReadBuf<'_>,
    cx: &mut Context<'_>,
) -> io::Result<Brought> {
    while block.remaining() > 0 {
        let before = block.filled().len();
        match Pin::new(&mut *from).poll_read(cx, block) {
            Poll::Pending => return Ok(Brought::AllForNow),
            Poll::Ready(Ok(())) if block.filled().len() == before => return Ok(Brought::End),
            Poll::Ready(Ok(())) => {}
            // A TLS side that goes without a goodbye: what it said before still counts.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Brought::End),
            Poll::Ready(Err(error)) if before == 0 => return Err(error),
            // What was read goes first; the error comes again with the next read.
            Poll::Ready(Err(_)) => return Ok(Brought::Full),
        }
    }
    Ok(Brought::Full)
}

#[cfg(test)]
#[path = "splice/tests.rs"]
mod tests;
