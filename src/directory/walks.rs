//! Lists that are being paged through. Graph's pages know the next one alone; going back needs a memory.

use std::collections::VecDeque;

/// Lists that are remembered; the one that was not touched for the longest time goes first.
const MAX_WALKS: usize = 64;
/// Pages of one list that can be turned to.
const MAX_PAGES: usize = 1000;

/// A page that is to be asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stop {
    /// The list it belongs to; `None`: a new one.
    pub(super) walk: Option<String>,
    /// Its number, from 1.
    pub(super) page: usize,
    /// The query string.
    pub(super) query: String,
    /// Whether `ConsistencyLevel` goes with it, on each page anew.
    pub(super) advanced: bool,
}

/// The cursors of a page's neighbours.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Turns {
    pub(super) next: Option<String>,
    pub(super) previous: Option<String>,
}

/// The lists.
#[derive(Default)]
pub(super) struct Walks {
    /// The one touched last is at the back.
    walks: VecDeque<Walk>,
}

struct Walk {
    id: String,
    advanced: bool,
    /// The query strings of its pages, from the first on.
    queries: Vec<String>,
}

impl Walks {
    /// The page that a cursor names.
    pub(super) fn find(&self, cursor: &str) -> Option<Stop> {
        let (id, page) = cursor.rsplit_once('.')?;
        let page: usize = page.parse().ok()?;
        let walk = self.walks.iter().find(|walk| walk.id == id)?;
        let query = walk.queries.get(page.checked_sub(1)?)?.clone();
        Some(Stop { walk: Some(id.to_owned()), page, query, advanced: walk.advanced })
    }

    /// Remembers where a page that was answered leads.
    pub(super) fn pass(&mut self, stop: Stop, next: Option<String>) -> Turns {
        if stop.page == 1 && next.is_none() {
            return Turns::default();
        }
        let known = stop.walk.as_ref().and_then(|id| self.walks.iter().position(|walk| walk.id == *id));
        let mut walk = known.and_then(|at| self.walks.remove(at)).unwrap_or_else(|| Walk::new(&stop));
        let page = stop.page;
        let has_next = next.is_some() && page < MAX_PAGES;
        if let Some(next) = next.filter(|_| has_next) {
            walk.queries.truncate(page);
            walk.queries.push(next);
        }
        let cursor = |page: usize| format!("{}.{page}", walk.id);
        let turns = Turns { next: has_next.then(|| cursor(page + 1)), previous: (page > 1).then(|| cursor(page - 1)) };
        if self.walks.len() == MAX_WALKS {
            self.walks.pop_front();
        }
        self.walks.push_back(walk);
        turns
    }
}

impl Walk {
    fn new(stop: &Stop) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string();
        Self { id, advanced: stop.advanced, queries: vec![stop.query.clone()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(query: &str) -> Stop {
        Stop { walk: None, page: 1, query: query.to_owned(), advanced: true }
    }

    #[test]
    fn pages_are_turned_forth_and_back() {
        let mut walks = Walks::default();
        let turns = walks.pass(first("a"), Some("b".into()));
        assert_eq!(turns.previous, None, "there is nothing before the first");
        let second = walks.find(&turns.next.unwrap()).unwrap();
        assert_eq!((second.page, second.query.as_str(), second.advanced), (2, "b", true));
        let turns = walks.pass(second, Some("c".into()));
        let back = walks.find(turns.previous.as_ref().unwrap()).unwrap();
        assert_eq!((back.page, back.query.as_str()), (1, "a"));
        let third = walks.find(&turns.next.unwrap()).unwrap();
        let turns = walks.pass(third, None);
        assert_eq!(turns.next, None, "nor after the last");
        assert_eq!(walks.find(&turns.previous.unwrap()).unwrap().query, "b");
    }

    #[test]
    fn a_list_of_one_page_is_not_remembered() {
        let mut walks = Walks::default();
        assert_eq!(walks.pass(first("a"), None), Turns::default());
        assert!(walks.walks.is_empty());
    }

    #[test]
    fn what_names_no_page_is_not_found() {
        let mut walks = Walks::default();
        let next = walks.pass(first("a"), Some("b".into())).next.unwrap();
        let id = next.split('.').next().unwrap();
        for cursor in ["", ".", "2", id, &format!("{id}.0"), &format!("{id}.3"), &format!("{id}.-1"), "other.1"] {
            assert_eq!(walks.find(cursor), None, "{cursor:?}");
        }
    }

    #[test]
    fn the_list_that_nobody_reads_any_more_is_forgotten_first() {
        let mut walks = Walks::default();
        let old = walks.pass(first("old"), Some("b".into())).next.unwrap();
        let read = walks.pass(first("read"), Some("b".into())).next.unwrap();
        for _ in 0..MAX_WALKS - 2 {
            walks.pass(first("other"), Some("b".into()));
        }
        let stop = walks.find(&read).unwrap();
        let read = walks.pass(stop, Some("c".into())).next.unwrap();
        walks.pass(first("one more"), Some("b".into()));
        assert_eq!(walks.find(&old), None);
        assert!(walks.find(&read).is_some());
    }
}
