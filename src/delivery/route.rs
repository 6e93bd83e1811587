//! Which way a message takes: pure, so that the choice can be explained and tested.

use super::graph::MAX_REQUEST;
use super::{AccountWays, Way};
use crate::mail::header::header_of;
use crate::mail::outgoing::header_only_recipients;
use crate::mail::parts::sealed_header;
use crate::mail::{BackendKind, Envelope, Failure, Reason, ReversePath, Sender, SenderPolicy};

/// What the choice depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Octets of the whole message, our own header lines included.
    pub size: u64,
    /// Addresses or headers that need SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// The media type of a message that is signed or encrypted as a whole.
    pub sealed: Option<String>,
    /// People whom the header names and the envelope does not.
    pub header_only: usize,
    /// What a way without an envelope cannot say of the sender, in words.
    pub reverse_path: Option<String>,
    /// The object that the message was handed in as, if it was no MIME.
    pub object: Option<ObjectFacts>,
}

/// What the choice depends on where a message was handed in as Microsoft's mail object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectFacts {
    /// Octets of the object.
    pub octets: u64,
    /// The properties that MIME cannot carry.
    pub not_in_mime: Vec<String>,
}

impl ObjectFacts {
    /// Whether a way takes the object itself.
    pub fn is_taken_by(&self, way: &Way) -> bool {
        matches!(way, Way::Graph(_)) && self.octets + ROOM <= MAX_REQUEST
    }

    /// What is lost of it on a way that carries MIME, in words.
    pub fn loss(&self) -> Option<String> {
        let lost = self.not_in_mime.join("`, `");
        (!lost.is_empty()).then(|| format!("it carries MIME, which has no `{lost}`"))
    }
}

/// Octets that a request of Graph may have more than the object that it was made of.
const ROOM: u64 = 64 * 1024;

impl Facts {
    /// What there is to know of a message of `size` octets. `head` holds its whole header block.
    pub fn read(head: &[u8], envelope: &Envelope, sender: &Sender<'_>, size: u64) -> Self {
        let header = header_of(head);
        let reverse_path = match envelope.reverse_path() {
            ReversePath::Null => Some("it cannot carry the null reverse path".to_owned()),
            ReversePath::Mailbox(path) if sender.policy != SenderPolicy::Rewrite && path != sender.mailbox => {
                Some(format!("it cannot carry the reverse path `{path}`"))
            }
            ReversePath::Mailbox(_) => None,
        };
        Self {
            size,
            smtputf8: envelope.needs_smtputf8(),
            sealed: sealed_header(header),
            header_only: header_only_recipients(header, envelope).len(),
            reverse_path,
            object: None,
        }
    }

    /// The same for a message that was handed in as an object.
    #[must_use]
    pub fn with_object(self, object: Option<ObjectFacts>) -> Self {
        Self { object, ..self }
    }
}

/// The ways of an account in the order in which a message tries them; those that cannot carry it are at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice<'a> {
    /// Every way of the account.
    pub ways: Vec<Weighed<'a>>,
}

/// A way, and what speaks against it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weighed<'a> {
    /// The way.
    pub way: &'a Way,
    /// Why it cannot carry the message.
    pub refusal: Option<Failure>,
    /// Why the provider refuses this way for the mailbox now, in words.
    pub trouble: Option<String>,
    /// What is lost on it, in words.
    pub losses: Vec<String>,
}

impl Weighed<'_> {
    /// Whether the message can take it.
    pub const fn is_able(&self) -> bool {
        self.refusal.is_none()
    }

    /// What speaks against it, the weightiest first; empty if nothing does.
    pub fn against(&self) -> Vec<String> {
        let refusal = self.refusal.iter().map(|failure| failure.diagnostic.clone());
        refusal.chain(self.trouble.clone()).chain(self.losses.iter().cloned()).collect()
    }
}

impl Choice<'_> {
    /// Why no way can carry the message: in the words of the one with the widest door. `None` if one can.
    pub fn failure(&self, account: &AccountWays) -> Option<Failure> {
        if self.ways.iter().any(Weighed::is_able) {
            return None;
        }
        let widest = self.ways.iter().max_by_key(|weighed| weighed.way.max_octets());
        Some(
            widest.and_then(|weighed| weighed.refusal.clone()).unwrap_or_else(|| {
                Failure::new(Reason::NoWayOut, format!("account `{}` has no way out", account.account))
            }),
        )
    }

    /// Why the first way is not the one that the account prefers: a sentence for each way that was passed over.
    pub fn reasons(&self, account: &AccountWays) -> Vec<String> {
        let Some(first) = self.ways.first() else { return Vec::new() };
        let before = account.ways.iter().take_while(|way| way.kind() != first.way.kind());
        let passed_over = before.filter_map(|way| self.ways.iter().find(|weighed| weighed.way.kind() == way.kind()));
        passed_over
            .map(|other| {
                let why = other.against().into_iter().next().unwrap_or_default();
                format!("by {} and not by {}: {why}", first.way.kind(), other.way.kind())
            })
            .collect()
    }
}

/// Weighs the ways of an account for a message. The account's order counts, but a way that carries the message whole
/// goes before one that loses something, and one that works now before one that `trouble` says is refused.
pub fn choose<'a>(
    account: &'a AccountWays,
    facts: &Facts,
    trouble: impl Fn(BackendKind) -> Option<String>,
) -> Choice<'a> {
    let weigh = |way: &'a Way| Weighed {
        way,
        refusal: refusal(way, facts),
        trouble: trouble(way.kind()),
        losses: losses(way, facts),
    };
    let mut ways: Vec<Weighed<'a>> = account.ways.iter().map(weigh).collect();
    ways.sort_by_key(|weighed| (weighed.refusal.is_some(), weighed.trouble.is_some(), !weighed.losses.is_empty()));
    Choice { ways }
}

/// Why a way cannot carry a message; `None` if it can.
fn refusal(way: &Way, facts: &Facts) -> Option<Failure> {
    let (size, kind) = (facts.size, way.kind());
    let as_object = facts.object.as_ref().is_some_and(|object| object.is_taken_by(way));
    if size > way.max_octets() && !as_object {
        let words = format!("{size} octets, and {kind} carries at most {}", way.max_octets());
        return Some(Failure::new(Reason::MessageTooLarge, words));
    }
    if let Some(sealed) = facts.sealed.as_ref().filter(|_| size > in_one_piece(way)) {
        let limit = in_one_piece(way);
        let words =
            format!("{size} octets of `{sealed}`, which is never taken apart, and {kind} takes {limit} in one piece");
        return Some(Failure::new(Reason::MessageTooLarge, words));
    }
    if facts.smtputf8 && !has_envelope(way) {
        let words = format!("an address beyond ASCII needs SMTPUTF8, which {kind} does not have");
        return Some(Failure::new(Reason::CannotCarry, words));
    }
    None
}

/// What is lost of a message on a way.
fn losses(way: &Way, facts: &Facts) -> Vec<String> {
    let as_object = facts.object.as_ref().is_some_and(|object| object.is_taken_by(way));
    let of_object = facts.object.as_ref().filter(|_| !as_object).and_then(ObjectFacts::loss);
    let mut losses: Vec<String> = of_object.into_iter().collect();
    if has_envelope(way) {
        return losses;
    }
    losses.extend(facts.reverse_path.iter().cloned());
    if facts.header_only > 0 {
        losses.push(format!(
            "it mails to whom the header names, and {} of them are not to receive it",
            facts.header_only
        ));
    }
    if facts.size > in_one_piece(way) && !as_object {
        losses.push("it takes the message apart, and the provider puts it together anew".to_owned());
    }
    losses
}

/// The largest message that a way carries as it is, in octets.
const fn in_one_piece(way: &Way) -> u64 {
    match way {
        Way::Graph(graph) => graph.max_octets,
        Way::Smtp(_) | Way::Gmail(_) | Way::Ews(_) => way.max_octets(),
    }
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

    /// The largest signed or encrypted message any of its ways carries, in octets: such mail is never taken apart.
    pub fn max_octets_in_one_piece(&self) -> u64 {
        self.ways.iter().map(in_one_piece).max().unwrap_or(0)
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
    use crate::delivery::{GraphWay, Limits, SmtpLogin, SmtpTls, SmtpWay};
    use crate::mail::BackendKind;

    fn account(ways: Vec<Way>) -> AccountWays {
        let limits = Limits { smtp_sessions: 3, graph_requests: 4, ..Limits::STRICTEST };
        AccountWays { account: "a".to_owned(), provider: "p".to_owned(), ways, limits, mailbox: None }
    }

    fn plain(size: u64) -> Facts {
        Facts { size, smtputf8: false, sealed: None, header_only: 0, reverse_path: None, object: None }
    }

    fn graph(max_octets: u64) -> Way {
        let base = "https://graph.example/v1.0".parse().unwrap();
        Way::Graph(GraphWay { base, by_name: false, drafts: None, max_octets, max_recipients: 500 })
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
            login: SmtpLogin::Token,
        })
    }

    fn with_drafts(most: u64) -> Way {
        let Way::Graph(graph) = graph(100) else { panic!() };
        Way::Graph(GraphWay { drafts: Some(most), ..graph })
    }

    #[test]
    fn the_best_able_way_is_taken() {
        use BackendKind::{Graph, Smtp};
        let both = || vec![graph(100), smtp(1000)];
        let utf8 = || Facts { smtputf8: true, ..plain(10) };
        let others = || Facts { header_only: 2, ..plain(10) };
        let null = || Facts { reverse_path: Some("null".to_owned()), ..plain(10) };
        let sealed = |size| Facts { sealed: Some("multipart/signed".to_owned()), ..plain(size) };
        type Row = (Vec<Way>, Facts, Result<Vec<BackendKind>, Reason>, &'static str);
        let table: [Row; 16] = [
            (both(), plain(100), Ok(vec![Graph, Smtp]), "the account's order"),
            (both(), plain(101), Ok(vec![Smtp]), "too large for graph"),
            (both(), plain(1001), Err(Reason::MessageTooLarge), "too large for both"),
            (both(), utf8(), Ok(vec![Smtp]), "SMTPUTF8"),
            (both(), others(), Ok(vec![Smtp, Graph]), "the header names others than the envelope"),
            (both(), null(), Ok(vec![Smtp, Graph]), "a reverse path that only an envelope has"),
            (vec![graph(100)], others(), Ok(vec![Graph]), "graph alone reconciles"),
            (vec![graph(100)], utf8(), Err(Reason::CannotCarry), "SMTPUTF8 over graph alone"),
            (vec![], plain(10), Err(Reason::NoWayOut), "nothing configured"),
            (vec![with_drafts(500)], plain(101), Ok(vec![Graph]), "as a draft"),
            (vec![with_drafts(500)], plain(501), Err(Reason::MessageTooLarge), "too large for a draft"),
            (vec![with_drafts(500), smtp(1000)], plain(101), Ok(vec![Smtp, Graph]), "whole before apart"),
            (vec![with_drafts(500), smtp(1000)], plain(100), Ok(vec![Graph, Smtp]), "whole either way"),
            (vec![with_drafts(500)], sealed(100), Ok(vec![Graph]), "signed mail in one piece"),
            (vec![with_drafts(500)], sealed(101), Err(Reason::MessageTooLarge), "signed mail is not taken apart"),
            (vec![with_drafts(500), smtp(1000)], sealed(101), Ok(vec![Smtp]), "signed mail by smtp"),
        ];
        for (ways, facts, expected, why) in table {
            let account = account(ways);
            let choice = choose(&account, &facts, |_| None);
            let able = choice.ways.iter().filter(|weighed| weighed.is_able()).map(|weighed| weighed.way.kind());
            let found = choice.failure(&account).map_or_else(|| Ok(able.collect()), |failure| Err(failure.reason));
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn a_way_that_is_refused_now_comes_last_and_the_choice_says_why() {
        let account = account(vec![graph(100), smtp(1000)]);
        let refused = |kind| (kind == BackendKind::Graph).then(|| "refused until noon".to_owned());
        let choice = choose(&account, &plain(10), refused);
        assert_eq!(choice.ways[0].way.kind(), BackendKind::Smtp);
        assert_eq!(choice.reasons(&account), ["by smtp and not by graph: refused until noon"]);
        let choice = choose(&account, &plain(10), |_| Some("all refused".to_owned()));
        assert_eq!(choice.ways[0].way.kind(), BackendKind::Graph, "then the account's order counts again");
        assert_eq!(choice.reasons(&account), [""; 0]);
        let choice = choose(&account, &plain(200), |_| None);
        assert_eq!(choice.reasons(&account), ["by smtp and not by graph: 200 octets, and graph carries at most 100"]);
        let lossy = Facts { header_only: 1, ..plain(10) };
        assert!(choose(&account, &lossy, |_| None).reasons(&account)[0].contains("not to receive it"));
    }

    #[test]
    fn an_object_goes_where_nothing_of_it_is_lost() {
        use BackendKind::{Graph, Smtp};
        let object = |octets, lost: &[&str], size| {
            let not_in_mime = lost.iter().map(|&name| name.to_owned()).collect();
            plain(size).with_object(Some(ObjectFacts { octets, not_in_mime }))
        };
        let table = [
            (object(10, &["flag"], 10), &[Graph, Smtp][..], "only Graph carries a flag"),
            (object(10, &[], 10), &[Smtp, Graph], "nothing is lost: the account's order"),
            (object(MAX_REQUEST, &["flag"], 10), &[Smtp, Graph], "too large for an object: lost on both"),
            (object(200, &["flag"], 300), &[Graph, Smtp], "too large for Graph in MIME, and not as an object"),
            (object(200, &["flag"], 5_000), &[Graph], "too large for SMTP"),
        ];
        let account = account(vec![smtp(1000), graph(100)]);
        for (facts, expected, why) in table {
            let choice = choose(&account, &facts, |_| None);
            let able = choice.ways.iter().filter(|weighed| weighed.is_able()).map(|weighed| weighed.way.kind());
            assert_eq!(able.collect::<Vec<_>>(), expected, "{why}");
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
