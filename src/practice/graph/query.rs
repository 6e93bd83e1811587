//! The small part of OData that looking people up needs.

use url::form_urlencoded;

use super::super::directory::User;
use super::problem::Problem;

/// Page size without `$top`.
const DEFAULT_TOP: usize = 100;
/// Largest `$top`.
const MAX_TOP: usize = 999;

/// A `GET /users` request's options.
#[derive(Debug)]
pub(super) struct Query {
    /// Page size.
    pub(super) top: usize,
    /// Where this page begins.
    pub(super) skip: usize,
    /// Whether the total is asked for.
    pub(super) count: bool,
    /// One of these must hold; none at all holds for everybody.
    terms: Vec<Term>,
    /// The options to repeat in `@odata.nextLink`.
    options: Vec<(String, String)>,
}

/// One condition.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Term {
    property: Property,
    test: Test,
    value: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Property {
    DisplayName,
    Address,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Test {
    Equals,
    StartsWith,
    /// A word of the property begins with the value.
    WordStartsWith,
}

impl Query {
    /// Reads the query string; `eventual` says whether the `ConsistencyLevel` header was there.
    pub(super) fn parse(query: &str, eventual: bool) -> Result<Self, Problem> {
        let mut parsed = Self { top: DEFAULT_TOP, skip: 0, count: false, terms: Vec::new(), options: Vec::new() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "$top" => {
                    let top = value.parse().ok().filter(|top| (1..=MAX_TOP).contains(top));
                    parsed.top = top.ok_or_else(|| invalid(format!("Invalid page size specified: '{value}'.")))?;
                }
                "$search" if eventual => parsed.terms = search(&value)?,
                "$search" => {
                    let message = "Request with $search query parameter only works through MSGraph with a special \
                                   request header: 'ConsistencyLevel: eventual'";
                    return Err(Problem::bad_request("Request_UnsupportedQuery", message));
                }
                "$filter" => parsed.terms = filter(&value)?,
                "$count" => parsed.count = value == "true",
                "$skiptoken" => parsed.skip = value.parse().map_err(|_| invalid("Invalid skip token.".into()))?,
                "$select" | "$orderby" => {}
                other => return Err(invalid(format!("The practice tenant has no query option '{other}'."))),
            }
            if name != "$skiptoken" {
                parsed.options.push((name.into_owned(), value.into_owned()));
            }
        }
        Ok(parsed)
    }

    /// Whether a user is among those asked for.
    pub(super) fn matches(&self, user: &User) -> bool {
        self.terms.is_empty() || self.terms.iter().any(|term| term.matches(user))
    }

    /// The query string of the page that begins at `skip`.
    pub(super) fn next_page(&self, skip: usize) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(&self.options).append_pair("$skiptoken", &skip.to_string());
        text.finish()
    }
}

impl Term {
    fn matches(&self, user: &User) -> bool {
        let held = match self.property {
            Property::DisplayName => user.name.to_lowercase(),
            Property::Address => user.address.to_lowercase(),
        };
        match self.test {
            Test::Equals => held == self.value,
            Test::StartsWith => held.starts_with(&self.value),
            Test::WordStartsWith => {
                held.split(|letter: char| !letter.is_alphanumeric()).any(|word| word.starts_with(&self.value))
            }
        }
    }
}

/// `"displayName:wa" OR "mail:wa"`.
fn search(text: &str) -> Result<Vec<Term>, Problem> {
    let clause = |clause: &str| {
        let quoted = clause.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let (name, value) = quoted.and_then(|quoted| quoted.split_once(':'))?;
        let property = property(name)?;
        let test = if property == Property::DisplayName { Test::WordStartsWith } else { Test::StartsWith };
        Some(Term { property, test, value: value.to_lowercase() })
    };
    let terms: Option<Vec<Term>> = text.split(" OR ").map(clause).collect();
    terms.ok_or_else(|| invalid(format!("Syntax error in $search: {text}")))
}

/// `startswith(mail,'a') or mail eq 'b'`; a quote in a value is doubled.
fn filter(text: &str) -> Result<Vec<Term>, Problem> {
    let clause = |clause: &str| {
        let clause = clause.trim();
        let starts = clause.strip_prefix("startswith(").and_then(|rest| rest.strip_suffix(')'));
        let (name, value, test) = match starts {
            Some(inside) => inside.split_once(',').map(|(name, value)| (name, value, Test::StartsWith))?,
            None => clause.split_once(" eq ").map(|(name, value)| (name, value, Test::Equals))?,
        };
        let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'");
        Some(Term { property: property(name.trim())?, test, value: value.to_lowercase() })
    };
    let terms: Option<Vec<Term>> = text.split(" or ").map(clause).collect();
    terms.ok_or_else(|| invalid(format!("Invalid filter clause: {text}")))
}

fn property(name: &str) -> Option<Property> {
    match name {
        "displayName" => Some(Property::DisplayName),
        "mail" | "userPrincipalName" => Some(Property::Address),
        _ => None,
    }
}

fn invalid(message: String) -> Problem {
    Problem::bad_request("BadRequest", message)
}

#[cfg(test)]
mod tests {
    use super::super::super::directory::Directory;
    use super::*;

    fn found(query: &str) -> Vec<String> {
        let query = Query::parse(query, true).expect("a good query");
        let users = Directory::default().users;
        users.into_iter().filter(|user| query.matches(user)).map(|user| user.name).collect()
    }

    #[test]
    fn people_are_found_by_name_and_address() {
        assert_eq!(found("$search=\"displayName:flo\" OR \"mail:bob\""), ["Scanner, second floor", "Bob Baker"]);
        assert_eq!(found("$filter=startswith(mail,'b') or displayName eq 'Alice Archer'").len(), 3);
        assert_eq!(found("$search=\"displayName:canner\""), [""; 0], "words are matched from their beginning");
        assert_eq!(found("$select=id&$top=5").len(), 4);
    }

    #[test]
    fn what_graph_would_refuse_is_refused() {
        let search = "$search=\"mail:bob\"";
        for (query, eventual, why) in [
            (search, false, "$search without the ConsistencyLevel header"),
            ("$search=mail:bob", true, "a clause without quotes"),
            ("$filter=contains(mail,'b')", true, "contains does not exist for users"),
            ("$top=1000", true, "a page over 999"),
            ("$skip=1", true, "$skip is unsupported"),
        ] {
            assert!(Query::parse(query, eventual).is_err(), "{why}");
        }
    }
}
