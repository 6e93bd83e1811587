//! Parameters of a query or a form body.

use super::problem::Problem;

/// Parameters by name; each at most once (RFC 6749 section 3.1).
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded` text.
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(encoded) {
            if pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(Problem::request(9_000_411, format!("The parameter '{name}' is duplicated.")));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    /// A parameter that may be missing; empty is missing (RFC 6749 section 3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A parameter that must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, Problem> {
        let missing =
            || Problem::request(900_144, format!("The request body must contain the following parameter: '{name}'."));
        self.get(name).ok_or_else(missing)
    }

    /// All parameters in order.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}
