//! Who of a mailbox's clients goes next: deficit round robin (Shreedhar and Varghese, 1995) in octets, so that a client
//! that hands in thousands of messages keeps nobody else waiting. Pure.

use std::collections::VecDeque;

/// What a message costs beside its octets. It takes up one of the minute's messages however small it is; without this a
/// large one would wait for as many octets of small ones, each of which takes as long.
const EACH: u64 = 64 * 1024;
/// What a client may spend in each round.
const ROUND: u64 = 128 * 1024;

/// The round of a mailbox's clients that have mail due. What a client may still spend is forgotten as soon as it has none.
#[derive(Clone, Debug, Default)]
pub struct Fair {
    round: VecDeque<Share>,
    /// Whether the first of the round has got what it may spend in this round.
    begun: bool,
}

#[derive(Clone, Debug)]
struct Share {
    client: String,
    /// Octets that it may still spend.
    left: u64,
}

impl Fair {
    /// Whose message goes now, of clients with the octets of what each would send next; `None` if there are none.
    pub fn next<'h>(&mut self, heads: &'h [(String, u64)]) -> Option<&'h str> {
        self.meet(heads);
        if heads.is_empty() {
            return None;
        }
        loop {
            let first = self.round.front_mut()?;
            if !self.begun {
                first.left = first.left.saturating_add(ROUND);
                self.begun = true;
            }
            let (client, octets) = heads.iter().find(|(client, _)| *client == first.client)?;
            let cost = octets.saturating_add(EACH);
            if first.left >= cost {
                first.left -= cost;
                return Some(client);
            }
            self.round.rotate_left(1);
            self.begun = false;
        }
    }

    /// Clients without mail leave the round, new ones come in at its end.
    fn meet(&mut self, heads: &[(String, u64)]) {
        let has_mail = |share: &Share| heads.iter().any(|(client, _)| *client == share.client);
        self.begun &= self.round.front().is_some_and(has_mail);
        self.round.retain(has_mail);
        for (client, _) in heads {
            if !self.round.iter().any(|share| share.client == *client) {
                self.round.push_back(Share { client: client.clone(), left: 0 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn heads(of: &[(&str, u64)]) -> Vec<(String, u64)> {
        of.iter().map(|(client, octets)| ((*client).to_owned(), *octets)).collect()
    }

    #[test]
    fn a_single_message_waits_for_a_handful_of_the_five_thousand_of_another() {
        let table = [
            (2_000, 2, "a letter"),
            (1_000_000, 20, "a scan"),
            (25_000_000, 400, "as large as most take: what others send in a quarter of an hour at 30 a minute"),
        ];
        for (octets, most, why) in table {
            let mut fair = Fair::default();
            let dumped = ("dumper", 1_000);
            let before = (0..1_000).take_while(|_| fair.next(&heads(&[dumped])) == Some("dumper")).count();
            assert_eq!(before, 1_000, "alone, it goes on");
            let all = heads(&[dumped, ("quiet", octets)]);
            let waited = (0..4_000).take_while(|_| fair.next(&all) == Some("dumper")).count();
            assert!(waited <= most, "{why}: after {waited}");
        }
    }

    #[test]
    fn clients_with_letters_of_one_size_take_turns() {
        let mut fair = Fair::default();
        let all = heads(&[("a", EACH), ("b", EACH), ("c", EACH)]);
        let order: Vec<_> = (0..6).map(|_| fair.next(&all).unwrap()).collect();
        assert_eq!(order, ["a", "b", "c", "a", "b", "c"]);
        assert_eq!(fair.next(&heads(&[("c", EACH)])), Some("c"));
        assert_eq!(fair.next(&[]), None);
        assert_eq!(fair.next(&all), Some("a"), "who had no mail begins anew");
    }

    proptest! {
        /// The bound of deficit round robin: one round and one largest message.
        #[test]
        fn clients_that_always_have_mail_spend_alike(sizes in proptest::collection::vec(0_u64..500_000, 2..200), clients in 2_usize..6) {
            let mut fair = Fair::default();
            let names: Vec<String> = (0..clients).map(|number| number.to_string()).collect();
            let mut sizes = sizes.iter().copied().cycle();
            let mut queued: Vec<(String, u64)> = names.iter().map(|name| (name.clone(), sizes.next().unwrap())).collect();
            let mut spent: BTreeMap<String, u64> = names.iter().map(|name| (name.clone(), 0)).collect();
            for _ in 0..500 {
                let next = fair.next(&queued).unwrap().to_owned();
                let head = queued.iter_mut().find(|(name, _)| *name == next).unwrap();
                *spent.get_mut(&next).unwrap() += head.1 + EACH;
                head.1 = sizes.next().unwrap();
                let (least, most) = (spent.values().min().unwrap(), spent.values().max().unwrap());
                prop_assert!(most - least <= ROUND + 500_000 + EACH, "{spent:?}");
            }
        }
    }
}
