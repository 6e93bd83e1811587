//! Questions as URLs (Microsoft Learn, "List users", "$search", "Advanced query capabilities on directory objects").

use url::{Url, form_urlencoded};

use super::error::DirectoryError;

/// The properties one gets without `select`: those that 4D NetKit and Graph itself give.
pub const DEFAULT_PROPERTIES: [&str; 11] = [
    "id",
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
];
/// Users on a page without `top`.
pub const DEFAULT_TOP: u32 = 100;
/// The most users on a page.
pub const MAX_TOP: u32 = 999;

/// What a plain word is looked for in.
const SEARCHED: [&str; 3] = ["displayName", "mail", "userPrincipalName"];
/// What makes a filter an advanced one, outside quotes, in lower case.
const ADVANCED: [&str; 5] = ["endswith(", " ne ", "not(", "not ", "$count"];

/// Which users to list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ListQuery {
    /// As Graph writes it: `"displayName:Jean" OR "mail:jean"`. A text without quotes is looked for as a whole: `mail:jean`
    /// in that property, `jean` in name and addresses.
    pub search: Option<String>,
    /// An OData filter: `startswith(displayName,'Jean')`.
    pub filter: Option<String>,
    /// Properties to have; empty: [`DEFAULT_PROPERTIES`].
    pub select: Vec<String>,
    /// Users on a page, 1 to [`MAX_TOP`]. Default [`DEFAULT_TOP`].
    pub top: Option<u32>,
    /// `displayName desc`.
    pub order_by: Option<String>,
}

impl ListQuery {
    /// Whether Graph wants `ConsistencyLevel: eventual` and `$count=true` with it.
    pub(super) fn is_advanced(&self) -> bool {
        let filter = self.filter.as_deref().map(outside_quotes).unwrap_or_default().to_ascii_lowercase();
        let is_filtered = !filter.trim().is_empty();
        self.search.as_deref().is_some_and(|search| !search.trim().is_empty())
            || (is_filtered && self.order_by.is_some())
            || ADVANCED.iter().any(|word| filter.contains(word))
    }

    /// The query string of the first page. `$count` goes with every list: it does no harm to a plain one.
    pub(super) fn query_string(&self) -> Result<String, DirectoryError> {
        let top = self.top.unwrap_or(DEFAULT_TOP);
        if !(1..=MAX_TOP).contains(&top) {
            return Err(DirectoryError::BadQuery(format!("`top` is {top}, and a page has 1 to {MAX_TOP} users")));
        }
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.append_pair("$top", &top.to_string()).append_pair("$select", &selected(&self.select));
        let given = |text: &Option<String>| text.as_deref().map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
        for (name, value) in [
            ("$search", given(&self.search).map(|words| search(&words))),
            ("$filter", given(&self.filter)),
            ("$orderby", given(&self.order_by)),
        ] {
            if let Some(value) = value {
                text.append_pair(name, &value);
            }
        }
        if self.is_advanced() {
            text.append_pair("$count", "true");
        }
        Ok(text.finish())
    }
}

/// `{base}/users?{query}`.
pub(super) fn users(base: &Url, query: &str) -> Result<Url, DirectoryError> {
    let mut url = below(base, &["users"])?;
    url.set_query(Some(query));
    Ok(url)
}

/// `{base}/me`.
pub(super) fn me(base: &Url, select: &[String]) -> Result<Url, DirectoryError> {
    let mut url = below(base, &["me"])?;
    url.query_pairs_mut().append_pair("$select", &selected(select));
    Ok(url)
}

/// `{base}/users/{id or name}`, with the name as one segment whatever it holds. One that begins with `$` needs the
/// form in parentheses (Microsoft Learn, "Get a user").
pub(super) fn one(base: &Url, id_or_name: &str, select: &[String]) -> Result<Url, DirectoryError> {
    let wanted = id_or_name.trim();
    if wanted.is_empty() || wanted == "." || wanted == ".." {
        let words = format!("`{wanted}` is neither an id nor a user principal name");
        return Err(DirectoryError::BadQuery(words));
    }
    let quoted = format!("users('{}')", wanted.replace('\'', "''"));
    let segments = if wanted.starts_with('$') { vec![quoted.as_str()] } else { vec!["users", wanted] };
    let mut url = below(base, &segments)?;
    url.query_pairs_mut().append_pair("$select", &selected(select));
    Ok(url)
}

/// The query of an `@odata.nextLink`. It comes from the server and is followed with our token, so it must lead to the
/// same list of the same server.
pub(super) fn of_next_link(base: &Url, link: &str) -> Result<String, DirectoryError> {
    let foreign = || DirectoryError::ForeignLink(link.chars().take(100).filter(|c| !c.is_control()).collect());
    let link: Url = link.parse().map_err(|_| foreign())?;
    let list = below(base, &["users"])?;
    let is_ours = link.origin() == list.origin() && link.path() == list.path() && link.username().is_empty();
    link.query().filter(|_| is_ours).map(str::to_owned).ok_or_else(foreign)
}

fn below(base: &Url, segments: &[&str]) -> Result<Url, DirectoryError> {
    let mut url = base.clone();
    url.path_segments_mut()
        .map_err(|()| DirectoryError::BadQuery(format!("`{base}` is not the base of a web address")))?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

fn selected(select: &[String]) -> String {
    let names: Vec<&str> = select.iter().flat_map(|names| names.split(',')).map(str::trim).collect();
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    if names.is_empty() { DEFAULT_PROPERTIES.join(",") } else { names.join(",") }
}

/// Graph wants each clause in double quotes; quotes and backslashes within are escaped.
fn search(text: &str) -> String {
    if text.contains('"') {
        return text.to_owned();
    }
    let text = text.replace('\\', "\\\\");
    if text.contains(':') {
        return format!("\"{text}\"");
    }
    SEARCHED.map(|property| format!("\"{property}:{text}\"")).join(" OR ")
}

/// A filter without the insides of its `'texts'`. A doubled quote closes and opens again, which comes to the same.
fn outside_quotes(filter: &str) -> String {
    filter.split('\'').step_by(2).collect::<Vec<_>>().join("''")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://graph.example/v1.0";

    fn base() -> Url {
        BASE.parse().unwrap()
    }

    #[test]
    fn advanced_questions_are_known_by_their_parts() {
        let table = [
            (None, Some("startswith(displayName,'Jean')"), None, false, "4D's first example"),
            (Some("\"displayName:F\""), None, Some("displayName desc"), true, "4D's second example"),
            (None, None, Some("displayName"), false, "an order alone"),
            (None, Some("mail eq 'a'"), Some("displayName"), true, "filter and order together"),
            (None, Some("endsWith(mail,'@a.example')"), None, true, "endswith in any case"),
            (None, Some("jobTitle ne null"), None, true, "ne"),
            (None, Some("not(accountEnabled eq true)"), None, true, "not"),
            (None, Some("displayName eq 'not a ne endswith( $count'"), None, false, "words in a text"),
            (None, Some("displayName eq 'O''ne not '"), None, false, "a doubled quote"),
            (Some("  "), Some(""), Some("displayName"), false, "nothing typed into the boxes"),
        ];
        for (search, filter, order_by, advanced, why) in table {
            let own = |text: Option<&str>| text.map(str::to_owned);
            let query =
                ListQuery { search: own(search), filter: own(filter), order_by: own(order_by), ..ListQuery::default() };
            assert_eq!(query.is_advanced(), advanced, "{why}");
            assert_eq!(query.query_string().unwrap().contains("count=true"), advanced, "{why}");
        }
    }

    #[test]
    fn a_plain_word_is_looked_for_in_name_and_addresses() {
        let table = [
            ("jean", "\"displayName:jean\" OR \"mail:jean\" OR \"userPrincipalName:jean\"", "a word"),
            ("mail:jean", "\"mail:jean\"", "a clause without its quotes"),
            ("\"displayName:F\"", "\"displayName:F\"", "as Graph writes it"),
            ("a\\b:c", "\"a\\\\b:c\"", "a backslash is escaped"),
        ];
        for (typed, asked, why) in table {
            assert_eq!(search(typed), asked, "{why}");
        }
    }

    #[test]
    fn a_page_has_1_to_999_users() {
        for (top, fine) in [(None, true), (Some(0), false), (Some(1), true), (Some(999), true), (Some(1000), false)] {
            let query = ListQuery { top, ..ListQuery::default() };
            assert_eq!(query.query_string().is_ok(), fine, "{top:?}");
        }
        let all = ListQuery::default().query_string().unwrap();
        assert!(all.starts_with("%24top=100&%24select=id%2CbusinessPhones%2C"), "{all}");
    }

    #[test]
    fn a_name_is_one_segment_whatever_it_holds() {
        let table = [
            ("a@b.example", "/v1.0/users/a@b.example", "a user principal name"),
            ("a#EXT#@b.example", "/v1.0/users/a%23EXT%23@b.example", "a guest's"),
            ("../me/messages", "/v1.0/users/..%2Fme%2Fmessages", "no way up"),
            ("x?$expand=manager", "/v1.0/users/x%3F$expand=manager", "no query"),
            ("$o'x@b.example", "/v1.0/users('$o''x@b.example')", "a name that begins with a dollar sign"),
        ];
        for (name, path, why) in table {
            assert_eq!(one(&base(), name, &[]).unwrap().path(), path, "{why}");
        }
        for name in ["", " ", ".", ".."] {
            assert!(matches!(one(&base(), name, &[]), Err(DirectoryError::BadQuery(_))), "{name:?} would be the list");
        }
        let selected = one(&base(), "a", &["id, mail".to_owned(), String::new()]).unwrap();
        assert_eq!(selected.query(), Some("%24select=id%2Cmail"));
    }

    #[test]
    fn a_next_link_leads_on_in_the_same_list_or_nowhere() {
        let table = [
            ("https://graph.example/v1.0/users?$skiptoken=abc", true, "the next page"),
            ("https://graph.example:443/v1.0/users?$skiptoken=abc", true, "the same port, written"),
            ("https://evil.example/v1.0/users?$skiptoken=abc", false, "another host"),
            ("https://graph.example.evil.example/v1.0/users?$skiptoken=a", false, "a longer name"),
            ("https://graph.example@evil.example/v1.0/users?$skiptoken=a", false, "another host behind a name"),
            ("https://evil@graph.example/v1.0/users?$skiptoken=a", false, "a login in the address"),
            ("http://graph.example/v1.0/users?$skiptoken=abc", false, "without TLS"),
            ("https://graph.example:8443/v1.0/users?$skiptoken=a", false, "another port"),
            ("https://graph.example/v1.0/me/messages?$skiptoken=a", false, "other data"),
            ("https://graph.example/v1.0/users", false, "the first page again, for ever"),
            ("/v1.0/users?$skiptoken=abc", false, "no address"),
        ];
        for (link, fine, why) in table {
            let query = of_next_link(&base(), link);
            assert_eq!(query.is_ok(), fine, "{why}: {query:?}");
            if let Ok(query) = query {
                assert_eq!(users(&base(), &query).unwrap().query(), Some("$skiptoken=abc"), "whole and unchanged");
            }
        }
    }
}
