//! Which way a message takes: pure, so that the choice can be explained and tested.

use super::{AccountWays, Way};
use crate::mail::{Failure, Reason};

/// What the choice depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    /// Octets of the whole message, our own header lines included.
    pub(super) size: u64,
    /// Addresses or headers that need SMTPUTF8 (RFC 6531).
    pub(super) smtputf8: bool,
    /// The header names people whom the envelope does not, or the reverse path is null: only a way with an envelope
    /// can say that.
    pub(super) needs_envelope: bool,
}

/// The ways that can carry the message, best first: the account's order, but one with an envelope goes first for a
/// message that needs it. If none can, why.
pub(super) fn choose(account: &AccountWays, facts: Facts) -> Result<Vec<&Way>, Failure> {
    let mut able: Vec<&Way> = account.ways.iter().filter(|way| refusal(way, facts).is_none()).collect();
    if able.is_empty() {
        // The last refusal is that of the way with the widest door, or there is no way at all.
        let widest = account.ways.iter().max_by_key(|way| way.max_octets());
        return Err(widest.and_then(|way| refusal(way, facts)).unwrap_or_else(|| {
            Failure::new(Reason::NoWayOut, format!("account `{}` has no way out", account.account))
        }));
    }
    if facts.needs_envelope {
        able.sort_by_key(|way| !has_envelope(way));
    }
    Ok(able)
}

/// Why a way cannot carry a message; `None` if it can.
fn refusal(way: &Way, facts: Facts) -> Option<Failure> {
    if facts.size > way.max_octets() {
        let words = format!("{} octets, and {} carries at most {}", facts.size, way.kind(), way.max_octets());
        return Some(Failure::new(Reason::MessageTooLarge, words));
    }
    if facts.smtputf8 && !has_envelope(way) {
        let words = format!("an address beyond ASCII needs SMTPUTF8, which {} does not have", way.kind());
        return Some(Failure::new(Reason::CannotCarry, words));
    }
    None
}

const fn has_envelope(way: &Way) -> bool {
    matches!(way, Way::Smtp(_))
}

impl AccountWays {
    /// The largest message any of its ways carries, in octets.
    pub fn max_octets(&self) -> u64 {
        self.ways.iter().map(Way::max_octets).max().unwrap_or(0)
    }

    /// Attempts at once for one mailbox: the narrowest of its ways, so that whichever way a message takes stays within
    /// its limit; `unlimited` if none has one.
    pub fn at_once(&self, unlimited: usize) -> usize {
        self.ways.iter().filter_map(|way| self.limits.of(way.kind())).min().unwrap_or(unlimited)
    }

    /// Whether every way can carry SMTPUTF8, so that a listener may offer it.
    pub fn carries_smtputf8(&self) -> bool {
        self.ways.iter().all(has_envelope)
    }

    /// Whether every way keeps what DSN (RFC 3461) asks for, so that a listener may offer it.
    pub fn keeps_dsn(&self) -> bool {
        self.ways.iter().all(|way| matches!(way, Way::Smtp(way) if way.dsn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{GraphWay, Limits, SmtpTls, SmtpWay};
    use crate::mail::BackendKind;

    fn account(ways: Vec<Way>) -> AccountWays {
        let limits =
            Limits { smtp_sessions: 3, graph_requests: 4, messages_per_minute: 30, recipients_per_day: 10_000 };
        AccountWays { account: "a".to_owned(), provider: "p".to_owned(), ways, limits, mailbox: None }
    }

    fn graph(max_octets: u64) -> Way {
        let base = "https://graph.example/v1.0".parse().unwrap();
        Way::Graph(GraphWay { base, app_only: false, max_octets, max_recipients: 500 })
    }

    fn smtp(max_octets: u64) -> Way {
        let (host, helo) = ("smtp.example".to_owned(), "oxpost.example".to_owned());
        Way::Smtp(SmtpWay {
            host,
            port: 587,
            tls: SmtpTls::StartTls,
            max_octets,
            max_recipients: 500,
            helo,
            dsn: false,
        })
    }

    #[test]
    fn the_first_able_way_is_taken() {
        use BackendKind::{Graph, Smtp};
        let facts = |size, smtputf8, needs_envelope| Facts { size, smtputf8, needs_envelope };
        let both = || vec![graph(100), smtp(1000)];
        let table = [
            (both(), facts(100, false, false), Ok(vec![Graph, Smtp]), "the account's order"),
            (both(), facts(101, false, false), Ok(vec![Smtp]), "too large for graph"),
            (both(), facts(1001, false, false), Err(Reason::MessageTooLarge), "too large for both"),
            (both(), facts(10, true, false), Ok(vec![Smtp]), "SMTPUTF8"),
            (both(), facts(10, false, true), Ok(vec![Smtp, Graph]), "the header names others than the envelope"),
            (vec![graph(100)], facts(10, false, true), Ok(vec![Graph]), "graph alone reconciles"),
            (vec![graph(100)], facts(10, true, false), Err(Reason::CannotCarry), "SMTPUTF8 over graph alone"),
            (vec![], facts(10, false, false), Err(Reason::NoWayOut), "nothing configured"),
        ];
        for (ways, facts, expected, why) in table {
            let account = account(ways);
            let chosen = choose(&account, facts).map(|ways| ways.iter().map(|w| w.kind()).collect::<Vec<_>>());
            assert_eq!(chosen.map_err(|failure| failure.reason), expected, "{why}");
        }
    }

    #[test]
    fn attempts_at_once_stay_within_the_narrowest_way() {
        let table = [
            (vec![smtp(1), graph(1)], 3, 4, 3, "both ways: the narrower"),
            (vec![graph(1)], 3, 4, 4, "graph alone"),
            (vec![smtp(1)], 3, 4, 3, "smtp alone"),
            (vec![smtp(1)], 20, 0, 20, "a limit of a way that is not used has no say"),
            (vec![smtp(1)], 0, 4, 64, "no limit"),
        ];
        for (ways, smtp_sessions, graph_requests, expected, why) in table {
            let mut account = account(ways);
            account.limits = Limits { smtp_sessions, graph_requests, ..account.limits };
            assert_eq!(account.at_once(64), expected, "{why}");
        }
    }
}
