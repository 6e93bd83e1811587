//! The part of OData that looking people up needs, with the rules of advanced queries (Microsoft Learn, "Advanced query
//! capabilities on directory objects").

use url::form_urlencoded;

use super::super::directory::User;
use super::filter::{Filter, PROPERTIES};
use super::problem::Problem;

/// Page size without `$top`.
const DEFAULT_TOP: usize = 100;
/// Largest `$top`.
const MAX_TOP: usize = 999;
/// What people can be sorted by.
const SORTED_BY: [&str; 2] = ["displayName", "userPrincipalName"];
/// Where the rules stand.
const SEE: &str = "Refer to https://aka.ms/graph-docs/advanced-queries for more information";

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
    filter: Option<Filter>,
    order: Option<Order>,
    /// The properties to show.
    pub(super) select: Vec<String>,
    /// The options to repeat in `@odata.nextLink`.
    options: Vec<(String, String)>,
}

/// One clause of `$search`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Term {
    property: String,
    value: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Order {
    property: String,
    falls: bool,
}

impl Query {
    /// Reads the query string; `eventual` says whether the `ConsistencyLevel` header was there.
    pub(super) fn parse(query: &str, eventual: bool) -> Result<Self, Problem> {
        let mut parsed = Self {
            top: DEFAULT_TOP,
            skip: 0,
            count: false,
            terms: Vec::new(),
            filter: None,
            order: None,
            select: PROPERTIES.map(str::to_owned).to_vec(),
            options: Vec::new(),
        };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            parsed.take(&name, &value, eventual)?;
            if name != "$skiptoken" {
                parsed.options.push((name.into_owned(), value.into_owned()));
            }
        }
        parsed.check_advanced(eventual)?;
        Ok(parsed)
    }

    fn take(&mut self, name: &str, value: &str, eventual: bool) -> Result<(), Problem> {
        match name {
            "$top" => {
                let top = value.parse().ok().filter(|top| (1..=MAX_TOP).contains(top));
                self.top = top.ok_or_else(|| invalid(format!("Invalid page size specified: '{value}'.")))?;
            }
            "$search" if eventual => self.terms = search(value)?,
            "$search" => {
                return Err(unsupported(
                    "Request with $search query parameter only works through MSGraph with a special request header: \
                     'ConsistencyLevel: eventual'",
                ));
            }
            "$filter" => self.filter = Some(Filter::parse(value).map_err(invalid)?),
            "$orderby" => self.order = Some(order(value)?),
            "$select" => self.select = select(value)?,
            "$count" => self.count = value == "true",
            "$skiptoken" => self.skip = value.parse().map_err(|_| invalid("Invalid skip token.".into()))?,
            other => return Err(invalid(format!("The practice tenant has no query option '{other}'."))),
        }
        Ok(())
    }

    fn check_advanced(&self, eventual: bool) -> Result<(), Problem> {
        if eventual && self.count {
            return Ok(());
        }
        let missing = if eventual { "'$count=true' parameter" } else { "'ConsistencyLevel:eventual' header" };
        if let Some(operator) = self.filter.as_ref().and_then(Filter::advanced_operator) {
            let message = format!("Operator '{operator}' is not supported because the {missing} is missing. {SEE}");
            return Err(unsupported(&message));
        }
        if self.filter.is_some() && self.order.is_some() {
            return Err(unsupported("Sorting not supported for current query."));
        }
        Ok(())
    }

    /// Those asked for, in the order asked for.
    pub(super) fn found<'a>(&self, users: &'a [User]) -> Vec<&'a User> {
        let mut found: Vec<&User> = users.iter().filter(|user| self.matches(user)).collect();
        if let Some(Order { property, falls }) = &self.order {
            found.sort_by_key(|user| user.property(property).map(|value| value.to_lowercase()));
            if *falls {
                found.reverse();
            }
        }
        found
    }

    fn matches(&self, user: &User) -> bool {
        let searched = self.terms.is_empty() || self.terms.iter().any(|term| term.matches(user));
        searched && self.filter.as_ref().is_none_or(|filter| filter.matches(user))
    }

    /// The query string of the page that begins at `skip`.
    pub(super) fn next_page(&self, skip: usize) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(&self.options).append_pair("$skiptoken", &skip.to_string());
        text.finish()
    }
}

impl Term {
    /// The display name is matched word by word, everything else from its beginning.
    fn matches(&self, user: &User) -> bool {
        let Some(held) = user.property(&self.property) else { return false };
        let held = held.to_lowercase();
        if self.property != "displayName" {
            return held.starts_with(&self.value);
        }
        held.split(|letter: char| !letter.is_alphanumeric()).any(|word| word.starts_with(&self.value))
    }
}

/// The properties of a `$select`.
pub(super) fn select(text: &str) -> Result<Vec<String>, Problem> {
    let known = |name: &str| {
        let known = PROPERTIES.iter().find(|known| known.eq_ignore_ascii_case(name));
        let message = format!("Could not find a property named '{name}' on type 'microsoft.graph.user'.");
        known.map(|known| (*known).to_owned()).ok_or_else(|| invalid(message))
    };
    text.split(',').map(str::trim).map(known).collect()
}

/// `displayName desc`.
fn order(text: &str) -> Result<Order, Problem> {
    let (property, way) = text.trim().split_once(' ').unwrap_or((text.trim(), "asc"));
    if !SORTED_BY.contains(&property) || !["asc", "desc"].contains(&way) {
        return Err(unsupported("Sorting not supported for current query."));
    }
    Ok(Order { property: property.to_owned(), falls: way == "desc" })
}

/// `"displayName:wa" OR "mail:wa"`.
fn search(text: &str) -> Result<Vec<Term>, Problem> {
    let clause = |clause: &str| {
        let quoted = clause.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let (name, value) = quoted.and_then(|quoted| quoted.split_once(':'))?;
        let property = PROPERTIES.iter().find(|known| **known == name && name != "id")?;
        Some(Term { property: (*property).to_owned(), value: value.to_lowercase() })
    };
    let terms: Option<Vec<Term>> = text.split(" OR ").map(clause).collect();
    terms.ok_or_else(|| invalid(format!("Syntax error in $search: {text}")))
}

fn invalid(message: String) -> Problem {
    Problem::bad_request("BadRequest", message)
}

fn unsupported(message: &str) -> Problem {
    Problem::bad_request("Request_UnsupportedQuery", message)
}

#[cfg(test)]
mod tests {
    use super::super::super::directory::Directory;
    use super::*;

    fn found(query: &str) -> Vec<String> {
        let query = Query::parse(query, true).expect("a good query");
        query.found(&Directory::default().users).into_iter().map(|user| user.name.clone()).collect()
    }

    #[test]
    fn people_are_found_by_name_and_address() {
        assert_eq!(found("$search=\"displayName:flo\" OR \"mail:bob\""), ["Scanner, second floor", "Bob Baker"]);
        assert_eq!(found("$filter=startswith(mail,'b') or displayName eq 'Alice Archer'").len(), 3);
        assert_eq!(found("$search=\"displayName:canner\""), [""; 0], "words are matched from their beginning");
        assert_eq!(found("$select=id&$top=5").len(), 4);
        let falling = ["Scanner, second floor", "Bob Baker", "Billing", "Alice Archer"];
        assert_eq!(found("$orderby=displayName desc"), falling);
        assert_eq!(found("$search=\"displayName:b\"&$filter=surname eq 'Baker'"), ["Bob Baker"], "both count");
    }

    #[test]
    fn what_graph_would_refuse_is_refused() {
        let search = "$search=\"mail:bob\"";
        for (query, eventual, why) in [
            (search, false, "$search without the ConsistencyLevel header"),
            ("$search=mail:bob", true, "a clause without quotes"),
            ("$filter=contains(mail,'b')", true, "contains does not exist for users"),
            ("$filter=endswith(mail,'b')&$count=true", false, "endswith without the header"),
            ("$filter=endswith(mail,'b')", true, "endswith without $count"),
            ("$filter=mail ne 'b'", false, "ne without the header"),
            ("$filter=mail eq 'b'&$orderby=displayName&$count=true", false, "filter and order without the header"),
            ("$filter=mail eq 'b'&$orderby=displayName", true, "filter and order without $count"),
            ("$orderby=jobTitle", true, "an order that users do not have"),
            ("$select=shoeSize", true, "a property that users do not have"),
            ("$top=1000", true, "a page over 999"),
            ("$top=0", true, "a page of nobody"),
            ("$skip=1", true, "$skip is unsupported"),
        ] {
            assert!(Query::parse(query, eventual).is_err(), "{why}");
        }
        for (query, eventual, why) in [
            ("$filter=endswith(mail,'b')&$count=true", true, "with both"),
            ("$filter=startswith(mail,'b')", false, "a plain filter"),
            ("$orderby=displayName", false, "an order alone"),
        ] {
            assert!(Query::parse(query, eventual).is_ok(), "{why}");
        }
    }
}
