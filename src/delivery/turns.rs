//! What bounds the attempts of one mailbox: how many at once, and how many over time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::carrier::Rates;
use crate::clock::Timestamp;
use crate::queue::pace::{Learnt, Pace};

/// The turns of a mailbox. A turn is a place among the attempts at once, and leave to send one message now.
pub(super) struct Turns {
    state: Mutex<State>,
    /// A turn was given back.
    freed: Notify,
}

struct State {
    pace: Pace,
    at_once: usize,
    /// Turns that are out.
    taken: usize,
    /// Those of them whose message has not been named yet.
    promised: usize,
}

/// Why there is no turn now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoTurn {
    /// Others have them all; wait for [`Turns::freed`].
    Busy,
    /// Not before this moment.
    Until(Timestamp),
}

impl Turns {
    /// `pace` knows what was sent before; its limits are those of [`Turns::set`].
    pub(super) fn new(pace: Pace) -> Arc<Self> {
        let state = State { pace, at_once: 0, taken: 0, promised: 0 };
        Arc::new(Self { state: Mutex::new(state), freed: Notify::new() })
    }

    /// Other limits. Turns that are out stay.
    pub(super) fn set(&self, Rates { at_once, limits }: Rates) {
        let mut state = self.state();
        state.at_once = at_once;
        state.pace.set_rates(limits.messages_per_minute, limits.recipients_per_day);
    }

    /// A turn, if one is to be had now.
    pub(super) fn take(self: &Arc<Self>, now: Timestamp) -> Result<Turn, NoTurn> {
        let mut state = self.state();
        if state.taken >= state.at_once {
            return Err(NoTurn::Busy);
        }
        state.promise(now)?;
        state.taken += 1;
        drop(state);
        Ok(Turn { turns: Arc::clone(self), promised: true })
    }

    /// Completes when a turn was given back; one that comes while nobody waits is kept.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sets one message aside from what may go now.
    fn promise(&mut self, now: Timestamp) -> Result<(), NoTurn> {
        if self.pace.room(now) > self.promised {
            self.promised += 1;
            return Ok(());
        }
        // Promises hold the rest of the room, unless nothing may go at all.
        let at = self.pace.earliest(now, 1);
        Err(if at > now { NoTurn::Until(at) } else { NoTurn::Busy })
    }
}

/// One turn; given back when dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    promised: bool,
}

impl Turn {
    /// A message for this many recipients goes now.
    pub(super) fn used(&mut self, now: Timestamp, recipients: usize) {
        let mut state = self.turns.state();
        state.promised -= usize::from(std::mem::take(&mut self.promised));
        state.pace.sent(now, u32::try_from(recipients).unwrap_or(u32::MAX));
    }

    /// That message did not go after all.
    pub(super) fn unused(&self, recipients: usize) {
        self.turns.state().pace.take_back(u32::try_from(recipients).unwrap_or(u32::MAX));
    }

    /// The provider said that there are too many.
    pub(super) fn refused(&self, now: Timestamp) -> Option<Learnt> {
        self.turns.state().pace.refused(now)
    }

    /// Keeps the place for another message, if one may go now.
    pub(super) fn renew(&mut self, now: Timestamp) -> bool {
        let mut state = self.turns.state();
        // Fewer places than before: this one goes.
        let renewed = state.taken <= state.at_once && (self.promised || state.promise(now).is_ok());
        self.promised |= renewed;
        renewed
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.taken -= 1;
        state.promised -= usize::from(self.promised);
        drop(state);
        self.turns.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Limits;

    fn turns(at_once: usize, messages_per_minute: u32) -> Arc<Turns> {
        let turns = Turns::new(Pace::new(0, 0, Vec::new()));
        let limits = Limits { messages_per_minute, recipients_per_day: 0, ..Limits::STRICTEST };
        turns.set(Rates { at_once, limits });
        turns
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn no_more_turns_are_out_than_places() {
        let turns = turns(2, 0);
        let (first, _second) = (turns.take(at(0)).unwrap(), turns.take(at(0)).unwrap());
        assert_eq!(turns.take(at(0)).err(), Some(NoTurn::Busy));
        drop(first);
        assert!(turns.take(at(0)).is_ok());
    }

    #[test]
    fn a_turn_that_was_only_promised_leaves_no_trace_in_the_pace() {
        let turns = turns(5, 1);
        let promised = turns.take(at(0)).unwrap();
        assert_eq!(turns.take(at(0)).err(), Some(NoTurn::Busy), "the promise holds the minute's only message");
        drop(promised);
        let mut turn = turns.take(at(0)).unwrap();
        turn.used(at(10), 1);
        assert_eq!(turns.take(at(10)).err(), Some(NoTurn::Until(at(71))), "counted from when it went");
    }

    #[test]
    fn a_message_that_did_not_go_after_all_gives_its_place_in_the_minute_back() {
        let turns = turns(5, 1);
        let mut turn = turns.take(at(0)).unwrap();
        turn.used(at(0), 3);
        assert!(!turn.renew(at(1)), "the minute is full");
        turn.unused(3);
        assert!(turn.renew(at(1)));
    }

    #[test]
    fn a_turn_is_renewed_only_within_the_pace_and_the_places() {
        let turns = turns(2, 2);
        let mut turn = turns.take(at(0)).unwrap();
        turn.used(at(0), 1);
        assert!(turn.renew(at(1)), "one more this minute");
        turn.used(at(1), 1);
        assert!(!turn.renew(at(2)), "the minute is full");
        assert!(turn.renew(at(61)), "a minute later");
        turns.set(Rates { at_once: 0, limits: Limits::STRICTEST });
        assert!(!turn.renew(at(200)), "a reload took the place away");
    }
}
