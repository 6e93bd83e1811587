//! The nearest word to one that is not known.

/// The word of `known` that `typed` was probably meant to be.
pub(super) fn nearest<'k>(typed: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let typed = plain(typed);
    let far = typed.chars().count() / 3 + 1;
    let near =
        known.into_iter().map(|word| (distance(&typed, &plain(word)), word)).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, _)| *distance <= far).map(|(_, word)| word)
}

/// Letter case and the choice between `-`, `_` and a blank are not what people mean to say.
fn plain(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Steps from one word to the other: a letter more, less or another, or two neighbours swapped (Damerau, 1964).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let other = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + other);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word_and_nonsense_finds_none() {
        let known = ["tls", "tenant", "client_id", "client_secret", "authorize_url"];
        let table = [
            ("tsl", Some("tls"), "two letters swapped"),
            ("tennant", Some("tenant"), "one letter too many"),
            ("clientId", Some("client_id"), "another habit of writing"),
            ("client-secret", Some("client_secret"), "a hyphen"),
            ("authorise_url", Some("authorize_url"), "British"),
            ("colour", None, "not near anything"),
        ];
        for (typed, expected, why) in table {
            assert_eq!(nearest(typed, known), expected, "{typed}: {why}");
        }
    }
}
