//! From an error of a provider to what it means and what to do, in plain words.

use std::time::Duration;

use serde_json::Value;

use super::causes::{BY_NAME, BY_NUMBER, BY_SUBTYPE, Cause, Kind};
use super::error::TokenError;
use crate::mail::failure::one_line;

/// A provider may not keep us from asking for a token for longer.
const MAX_WAIT: Duration = Duration::from_secs(60 * 60);
/// What is shown of an error name: the longest that providers use has 30 characters.
const MAX_NAME: usize = 60;

/// Whom an explanation is for: what its next step names.
#[derive(Clone, Debug)]
pub(super) struct Addressee {
    /// The account.
    pub(super) account: String,
    /// The page where an administrator consents for everybody, if the provider has one.
    pub(super) consent: Option<String>,
}

/// Why the provider gave no token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    /// What happened, with the provider's own words.
    pub(super) why: String,
    /// The next step; `{account}` stands for the account's name.
    pub(super) remedy: &'static str,
    /// At most one hour.
    pub(super) retry_after: Option<Duration>,
    /// The provider's name of the error, where it gave one.
    pub(super) code: String,
}

impl Refusal {
    /// Something that passes by itself, or that nobody knows: temporary until proven otherwise.
    pub(super) fn later(why: impl Into<String>) -> Self {
        let remedy = "nothing to do: oxpost tries again by itself";
        Self { kind: Kind::Later, why: why.into(), remedy, retry_after: None, code: String::new() }
    }

    /// Something that the settings, here or at the provider, must mend.
    pub(super) fn setup(why: impl Into<String>, remedy: &'static str) -> Self {
        Self { kind: Kind::Setup, why: why.into(), remedy, retry_after: None, code: String::new() }
    }

    /// The same, not to be asked again before `wait` is over.
    pub(super) fn after(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait.map(|wait| wait.min(MAX_WAIT)), ..self }
    }

    /// The same for client credentials: there is nobody who could sign in.
    pub(super) fn of_the_app(self) -> Self {
        match self.kind {
            Kind::GrantLost | Kind::Person => {
                let remedy = "the tenant's administrator must let the app have tokens; the provider's words say what is \
                              missing (for a service account: the mailbox must exist, and this machine's clock be right)";
                Self { kind: Kind::Setup, remedy, ..self }
            }
            Kind::Later | Kind::Setup => self,
        }
    }

    /// As the error that the callers of an account get.
    pub(super) fn error(&self, to: &Addressee) -> TokenError {
        let consent = to.consent.as_deref().unwrap_or("the provider's own console");
        let hint = self.remedy.replace("{account}", &to.account).replace("{consent}", consent);
        let why = self.why.clone();
        match self.kind {
            Kind::Later => TokenError::TryLater { why, retry_after: self.retry_after },
            Kind::GrantLost | Kind::Person => TokenError::SignInNeeded { why, hint },
            Kind::Setup => TokenError::Configuration { why, hint },
        }
    }
}

/// What a provider says about an error: at the token endpoint (RFC 6749 section 5.2) or on the redirect (4.1.2.1).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct ErrorWords {
    pub(super) error: String,
    pub(super) subtype: Option<String>,
    pub(super) numbers: Vec<u32>,
    pub(super) description: String,
}

impl ErrorWords {
    /// The words of a redirect.
    pub(super) fn new(error: &str, description: &str, subtype: Option<&str>) -> Self {
        let numbers = aadsts(description).into_iter().collect();
        Self { error: error.into(), subtype: subtype.map(Into::into), numbers, description: description.into() }
    }

    /// The words in an answer's body; `None` if it is not an OAuth error.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let text = |key: &str| body.get(key).and_then(Value::as_str);
        let subtype = text("suberror").filter(|text| !text.is_empty()).or_else(|| text("error_subtype"));
        let mut words = Self::new(text("error")?, text("error_description").unwrap_or_default(), subtype);
        let numbers = body.get("error_codes").and_then(Value::as_array);
        let numbers = numbers.into_iter().flatten().filter_map(|number| u32::try_from(number.as_u64()?).ok());
        words.numbers.splice(0..0, numbers);
        Some(words)
    }

    /// What the error means. A number says more than a subtype, and that more than the name; Microsoft changes its
    /// numbers at will, so an unknown number leaves the decision to the name.
    pub(super) fn explain(&self, provider: &str) -> Refusal {
        let by_number = self.numbers.iter().find_map(|number| Row::find(BY_NUMBER, |code| code == number));
        let by_subtype = || self.subtype.as_deref().and_then(|subtype| Row::find(BY_SUBTYPE, |code| *code == subtype));
        let by_name = || Row::find(BY_NAME, |code| *code == self.error);
        let row = by_number.or_else(by_subtype).or_else(by_name);
        let label = self.label();
        match row {
            Some(row) => Refusal {
                kind: row.kind,
                why: format!("`{provider}`: {} ({label}){}", row.cause, self.quoted()),
                remedy: row.remedy,
                retry_after: None,
                code: self.error.clone(),
            },
            None => {
                let why = format!("`{provider}` gives an error that oxpost does not know ({label}){}", self.quoted());
                Refusal { code: self.error.clone(), ..Refusal::later(why) }
            }
        }
    }

    /// What the provider said, without a meaning.
    pub(super) fn said(&self) -> String {
        format!("{}{}", self.label(), self.quoted())
    }

    /// `invalid_grant, AADSTS70008`.
    fn label(&self) -> String {
        let mut label: String = one_line(&self.error).chars().take(MAX_NAME).collect();
        if let Some(number) = self.numbers.first() {
            label.push_str(&format!(", AADSTS{number}"));
        }
        if let Some(subtype) = &self.subtype {
            label.push_str(", ");
            label.extend(one_line(subtype).chars().take(MAX_NAME));
        }
        label
    }

    fn quoted(&self) -> String {
        let words = one_line(&self.description);
        if words.is_empty() { words } else { format!(": {words}") }
    }
}

/// What the tables say, without the type of their codes.
struct Row {
    kind: Kind,
    cause: &'static str,
    remedy: &'static str,
}

impl Row {
    fn find<Code>(table: &[Cause<Code>], is: impl Fn(&Code) -> bool) -> Option<Self> {
        let row = table.iter().find(|row| row.codes.iter().any(&is))?;
        Some(Self { kind: row.kind, cause: row.cause, remedy: row.remedy })
    }
}

/// The number in `AADSTS70008: ...`.
fn aadsts(description: &str) -> Option<u32> {
    let (_, rest) = description.split_once("AADSTS")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanner() -> Addressee {
        let consent = Some("https://login.example/t/adminconsent?client_id=id".to_owned());
        Addressee { account: "scanner".into(), consent }
    }

    #[test]
    fn missing_consent_leads_to_the_page_where_an_administrator_gives_it() {
        for number in [65001, 90094, 90095] {
            let error = microsoft("invalid_grant", number).error(&scanner());
            let hint = error.hint().unwrap();
            assert!(hint.contains("https://login.example/t/adminconsent?client_id=id"), "{hint}");
            assert!(hint.contains("oxpost login scanner"), "{hint}");
            let elsewhere = Addressee { account: "scanner".into(), consent: None };
            let error = microsoft("invalid_grant", number).error(&elsewhere);
            assert!(!error.hint().unwrap().contains('{'), "{error}");
        }
    }

    #[test]
    fn every_next_step_names_a_command_a_place_or_a_key() {
        let remedies = BY_NUMBER.iter().map(|row| (format!("{:?}", row.codes), row.kind, row.remedy));
        let remedies = remedies.chain(BY_NAME.iter().map(|row| (format!("{:?}", row.codes), row.kind, row.remedy)));
        let remedies = remedies.chain(BY_SUBTYPE.iter().map(|row| (format!("{:?}", row.codes), row.kind, row.remedy)));
        for (codes, kind, remedy) in remedies.filter(|(_, kind, _)| *kind != Kind::Later) {
            let names_something =
                ["`", "admin center", "console", "administrator"].iter().any(|word| remedy.contains(word));
            assert!(names_something, "{codes} ({kind:?}): {remedy}");
        }
    }

    fn microsoft(error: &str, number: u32) -> Refusal {
        let body =
            format!(r#"{{"error":"{error}","error_description":"AADSTS{number}: text","error_codes":[{number}]}}"#);
        ErrorWords::parse(body.as_bytes()).unwrap().explain("contoso")
    }

    #[test]
    fn every_number_of_the_tables_in_the_provider_facts_is_explained() {
        use Kind::{GrantLost, Later, Person, Setup};
        let sign_in: &[u32] = &[
            70000, 70008, 700_082, 70043, 700_084, 50173, 50089, 50132, 50133, 50055, 50144, 50072, 50074, 50076,
            50078, 50079, 50097, 50129, 53000, 53001, 50158, 700_020, 16000, 65001, 65004, 90094, 90095, 53003,
            530_032, 530_035, 53004, 53010, 53011, 50005, 50131, 50105, 50057, 50053, 50020, 50034,
        ];
        let setup: &[u32] = &[
            7_000_215, 7_000_222, 7_000_218, 700_025, 700_027, 50012, 700_030, 700_016, 700_011, 70001, 7_000_112,
            50011, 70004, 900_971, 90002, 50059, 50128, 50194, 9_001_023, 90124, 90130, 9_002_332, 70011, 28002, 28003,
            700_022, 700_023, 500_011, 50001, 650_052, 650_057, 65005, 650_056, 501_481, 50147, 501_491, 700_005,
            90038, 900_432, 900_382, 65002, 90099,
        ];
        let later: &[u32] = &[50033, 50087, 90006, 90012, 90024, 90033, 90055, 90090, 70012, 50196, 54005];
        for (numbers, kinds) in [(sign_in, [GrantLost, Person]), (setup, [Setup, Setup]), (later, [Later, Later])] {
            for number in numbers {
                let refusal = microsoft("invalid_grant", *number);
                assert!(kinds.contains(&refusal.kind), "AADSTS{number} is {:?}", refusal.kind);
                assert!(refusal.why.contains(&format!("AADSTS{number}")), "{}", refusal.why);
            }
        }
    }

    #[test]
    fn an_error_becomes_a_cause_and_a_next_step() {
        let table = [
            (
                r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
                Kind::GrantLost,
                "oxpost login",
                "Google, revoked",
            ),
            (
                r#"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#,
                Kind::GrantLost,
                "Workspace",
                "Google, session control",
            ),
            (
                r#"{"error":"invalid_grant","suberror":"client_mismatch"}"#,
                Kind::Setup,
                "client_id",
                "not a lost sign-in",
            ),
            (
                r#"{"error":"invalid_grant","suberror":"","error_codes":[99999999]}"#,
                Kind::GrantLost,
                "oxpost login",
                "an unknown number: by name",
            ),
            (r#"{"error":"interaction_required"}"#, Kind::Person, "oxpost login", "a person"),
            (r#"{"error":"invalid_client"}"#, Kind::Setup, "client_secret", "the app"),
            (r#"{"error":"deleted_client"}"#, Kind::Setup, "OAuth client", "Google deleted it"),
            (r#"{"error":"temporarily_unavailable"}"#, Kind::Later, "nothing to do", "passes"),
            (r#"{"error":"something_new","error_codes":"x"}"#, Kind::Later, "nothing to do", "unknown is temporary"),
        ];
        for (body, kind, step, why) in table {
            let refusal = ErrorWords::parse(body.as_bytes()).unwrap().explain("contoso");
            assert_eq!(refusal.kind, kind, "{why}");
            assert!(refusal.remedy.contains(step) && refusal.why.contains("`contoso`"), "{why}: {refusal:?}");
        }
        for (body, why) in
            [("", "nothing"), ("<html>", "no JSON"), ("{}", "no error"), (r#"{"error":{}}"#, "an object")]
        {
            assert_eq!(ErrorWords::parse(body.as_bytes()), None, "{why}");
        }
    }

    #[test]
    fn the_account_is_named_in_the_next_step_and_the_provider_quoted_on_one_line() {
        let body = r#"{"error":"invalid_grant","error_description":"AADSTS50173: revoked.\r\nTrace ID: 1"}"#;
        let error = ErrorWords::parse(body.as_bytes()).unwrap().explain("contoso").error(&scanner());
        assert_eq!(
            error.to_string(),
            "`contoso`: the refresh token was revoked (password changed, or sign-ins revoked) \
             (invalid_grant, AADSTS50173): AADSTS50173: revoked. Trace ID: 1; run `oxpost login scanner`"
        );
    }

    #[test]
    fn no_code_has_two_meanings() {
        let numbers: Vec<_> = BY_NUMBER.iter().flat_map(|cause| cause.codes).collect();
        let unique: std::collections::BTreeSet<_> = numbers.iter().collect();
        assert_eq!(unique.len(), numbers.len());
        let names: Vec<_> = BY_NAME.iter().flat_map(|cause| cause.codes).collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
