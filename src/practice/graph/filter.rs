//! `$filter` of people: comparisons, `startswith`, `endswith`, `in`, `and`, `or`, `not` and parentheses (OData 4.01 URL
//! conventions section 5.1.1, as far as users have them).

use super::super::directory::User;

/// The properties that a filter may name. `mail` and the others are texts; null compares as nothing.
pub(super) const PROPERTIES: [&str; 11] = [
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

/// A filter, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Filter {
    /// Either.
    Or(Box<Self>, Box<Self>),
    /// Both.
    And(Box<Self>, Box<Self>),
    /// The opposite.
    Not(Box<Self>),
    /// A property has one of these values; `None` is null.
    In(String, Vec<Option<String>>),
    /// A property does not have this value.
    Differs(String, Option<String>),
    /// A property begins so.
    StartsWith(String, String),
    /// A property ends so.
    EndsWith(String, String),
}

impl Filter {
    /// Reads a filter; the error is what Graph says.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { words: words(text)?, at: 0 };
        let filter = reader.either()?;
        if reader.at < reader.words.len() { Err("Invalid filter clause".to_owned()) } else { Ok(filter) }
    }

    /// Whether a user is meant.
    pub(super) fn matches(&self, user: &User) -> bool {
        let held = |property: &str| user.property(property).map(|value| value.to_lowercase());
        match self {
            Self::Or(left, right) => left.matches(user) || right.matches(user),
            Self::And(left, right) => left.matches(user) && right.matches(user),
            Self::Not(filter) => !filter.matches(user),
            Self::In(property, values) => values.contains(&held(property)),
            Self::Differs(property, value) => held(property) != *value,
            Self::StartsWith(property, value) => held(property).is_some_and(|held| held.starts_with(value)),
            Self::EndsWith(property, value) => held(property).is_some_and(|held| held.ends_with(value)),
        }
    }

    /// The first operator in it that only works as an advanced query.
    pub(super) fn advanced_operator(&self) -> Option<&'static str> {
        match self {
            Self::Or(left, right) | Self::And(left, right) => {
                left.advanced_operator().or_else(|| right.advanced_operator())
            }
            Self::Not(_) => Some("not"),
            Self::Differs(..) => Some("NotEqualsMatch"),
            Self::EndsWith(..) => Some("endsWith"),
            Self::In(..) | Self::StartsWith(..) => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Word {
    /// A name or an operator.
    Name(String),
    /// A text between quotes, in lower case: Graph ignores case.
    Text(String),
    /// `(`, `)` or `,`.
    Sign(char),
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | ',' => {
                words.push(Word::Sign(first));
                1
            }
            '\'' => {
                let (value, length) = quoted(rest).ok_or("There is an unterminated string literal in the filter")?;
                words.push(Word::Text(value.to_lowercase()));
                length
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "(),'".contains(c)).unwrap_or(rest.len());
                words.push(Word::Name(rest[..end].to_owned()));
                end
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

/// The text at the beginning and how long it is with its quotes; a doubled quote is one.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut letters = text.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != '\'' {
            value.push(letter);
        } else if letters.next_if(|(_, next)| *next == '\'').is_some() {
            value.push('\'');
        } else {
            return Some((value, at + 1));
        }
    }
    None
}

struct Reader {
    words: Vec<Word>,
    at: usize,
}

impl Reader {
    fn either(&mut self) -> Result<Filter, String> {
        let mut filter = self.both()?;
        while self.takes_name("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both()?));
        }
        Ok(filter)
    }

    fn both(&mut self) -> Result<Filter, String> {
        let mut filter = self.one()?;
        while self.takes_name("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, String> {
        if self.takes_name("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.takes_sign('(') {
            let filter = self.either()?;
            return self.sign(')').map(|()| filter);
        }
        for (name, make) in
            [("startswith", Filter::StartsWith as fn(String, String) -> Filter), ("endswith", Filter::EndsWith)]
        {
            if self.takes_name(name) {
                self.sign('(')?;
                let property = self.property()?;
                self.sign(',')?;
                let value = self.value()?.ok_or("A null value was found where a text is needed")?;
                return self.sign(')').map(|()| make(property, value));
            }
        }
        let property = self.property()?;
        match self.name()?.as_str() {
            "eq" => Ok(Filter::In(property, vec![self.value()?])),
            "ne" => Ok(Filter::Differs(property, self.value()?)),
            "in" => Ok(Filter::In(property, self.values()?)),
            other => Err(format!("Invalid filter clause: the operator '{other}' is unknown")),
        }
    }

    fn values(&mut self) -> Result<Vec<Option<String>>, String> {
        self.sign('(')?;
        let mut values = vec![self.value()?];
        while self.takes_sign(',') {
            values.push(self.value()?);
        }
        self.sign(')').map(|()| values)
    }

    fn property(&mut self) -> Result<String, String> {
        let name = self.name()?;
        let known = PROPERTIES.iter().any(|known| *known == name);
        if known { Ok(name) } else { Err(format!("Invalid filter clause: there is no property or function '{name}'")) }
    }

    fn value(&mut self) -> Result<Option<String>, String> {
        self.at += 1;
        match self.words.get(self.at - 1) {
            Some(Word::Text(text)) => Ok(Some(text.clone())),
            Some(Word::Name(name)) if name == "null" => Ok(None),
            other => Err(format!("Invalid filter clause: {other:?} is no value")),
        }
    }

    fn name(&mut self) -> Result<String, String> {
        self.at += 1;
        match self.words.get(self.at - 1) {
            Some(Word::Name(name)) => Ok(name.clone()),
            other => Err(format!("Invalid filter clause: {other:?} is no name")),
        }
    }

    fn sign(&mut self, sign: char) -> Result<(), String> {
        if self.takes_sign(sign) { Ok(()) } else { Err(format!("Invalid filter clause: '{sign}' is missing")) }
    }

    fn takes_sign(&mut self, sign: char) -> bool {
        self.takes(|word| *word == Word::Sign(sign))
    }

    fn takes_name(&mut self, wanted: &str) -> bool {
        self.takes(|word| matches!(word, Word::Name(name) if name.eq_ignore_ascii_case(wanted)))
    }

    fn takes(&mut self, is_wanted: impl Fn(&Word) -> bool) -> bool {
        let takes = self.words.get(self.at).is_some_and(is_wanted);
        self.at += usize::from(takes);
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::directory::Directory;
    use super::*;

    #[test]
    fn people_are_filtered_as_the_words_say() {
        let table = [
            ("startswith(displayName,'b')", vec!["Billing", "Bob Baker"], "letter case does not count"),
            (
                "endsWith(mail,'practice.example')",
                vec!["Scanner, second floor", "Billing", "Alice Archer", "Bob Baker"],
                "all",
            ),
            ("displayName eq 'Bob Baker' or startswith(mail,'alice')", vec!["Alice Archer", "Bob Baker"], "or"),
            ("startswith(mail,'b') and not startswith(displayName,'Bob')", vec!["Billing"], "and binds, not negates"),
            ("startswith(mail,'b') and (surname eq 'Baker')", vec!["Bob Baker"], "parentheses"),
            ("givenName in ('Bob', 'Alice')", vec!["Alice Archer", "Bob Baker"], "in"),
            ("givenName ne 'Bob' and surname ne null", vec!["Alice Archer"], "null is no surname"),
            ("displayName eq 'O''Neill or mail'", vec![], "a doubled quote, and a word within a text"),
        ];
        for (text, names, why) in table {
            let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{why}: {error}"));
            let found = Directory::default().users.into_iter().filter(|user| filter.matches(user));
            assert_eq!(found.map(|user| user.name).collect::<Vec<_>>(), names, "{why}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "",
            "contains(mail,'b')",
            "mail",
            "mail eq",
            "mail eq b",
            "mail eq 'b",
            "mail eq 'b' mail",
            "(mail eq 'b'",
            "shoeSize eq '43'",
            "startswith(mail,null)",
            "mail like 'b'",
        ] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
    }
}
