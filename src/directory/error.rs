//! Why a question about people has no answer.

use std::time::Duration;

use serde_json::Value;

use crate::http::{HttpError, Response};
use crate::mail::failure::one_line;
use crate::token::TokenError;

/// Why there is no answer. The texts are for people and hold no secret.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DirectoryError {
    /// No account is configured for it.
    #[error("no account is configured for looking people up")]
    NotConfigured,
    /// The account is the app itself; its name.
    #[error("nobody is signed in with the account `{0}`: it is the app itself")]
    NobodySignedIn(String),
    /// Nobody has this id or name.
    #[error("there is no user `{0}`")]
    NoSuchUser(String),
    /// The question cannot be understood, by us or by Graph.
    #[error("the question is not understood: {0}")]
    BadQuery(String),
    /// The same, and Graph says that it wants `ConsistencyLevel` with it.
    #[error("the question is not understood: {0}")]
    Unsupported(String),
    /// The app or the one who signed in may not look people up.
    #[error("account `{account}` may not look people up: {words}")]
    Denied {
        /// The account.
        account: String,
        /// Graph's words.
        words: String,
    },
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Graph does not accept a token that is good; the account, and Graph's words.
    #[error("Graph does not accept the token of account `{account}`: {words}")]
    TokenRefused {
        /// The account.
        account: String,
        /// Graph's words.
        words: String,
    },
    /// Too many questions.
    #[error("Graph asks to slow down")]
    Throttled(Option<Duration>),
    /// Graph cannot be reached, or has trouble of its own.
    #[error("Graph gives no answer: {0}")]
    NoAnswer(String),
    /// The next page is said to be somewhere else. The token is not sent there.
    #[error("the list goes on at `{0}`, which is not the Graph that is configured; it was not followed")]
    ForeignLink(String),
    /// No list that is remembered has this page; its cursor.
    #[error("there is no page `{0}` any more")]
    UnknownPage(String),
}

impl DirectoryError {
    /// The next step, where one is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotConfigured => "set `account` in `[directory]` to an account of a Microsoft provider",
            Self::NobodySignedIn(_) => {
                "ask for a user by name, or set `[directory]` to an account that a person signs in"
            }
            Self::NoSuchUser(_) => "give the object id or the whole user principal name, such as `jean@contoso.com`",
            Self::BadQuery(_) | Self::Unsupported(_) => {
                "see https://learn.microsoft.com/en-us/graph/api/user-list for what Graph understands"
            }
            Self::Denied { account, .. } => {
                return Some(format!(
                    "give the app the permission `User.ReadBasic.All` (delegated) or `User.Read.All` (application) with \
                     admin consent, then run `oxpost login {account}` if a person signs it in; guests may not list users"
                ));
            }
            Self::Token(error) => return error.hint().map(str::to_owned),
            Self::TokenRefused { account, .. } => return Some(format!("run `oxpost doctor {account}`")),
            Self::Throttled(wait) => {
                let seconds = wait.map_or(10, |wait| wait.as_secs().max(1));
                return Some(format!("ask again in {seconds} s"));
            }
            Self::NoAnswer(_) => "ask again in a while; `oxpost doctor` says what is in the way",
            Self::ForeignLink(_) => "check `graph_url` of the provider, and what stands between this machine and Graph",
            Self::UnknownPage(_) => "begin the list again",
        };
        Some(hint.to_owned())
    }

    /// A code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured => "notConfigured",
            Self::NobodySignedIn(_) => "nobodySignedIn",
            Self::NoSuchUser(_) => "noSuchUser",
            Self::BadQuery(_) | Self::Unsupported(_) => "badQuery",
            Self::Denied { .. } => "denied",
            Self::Token(_) => "noToken",
            Self::TokenRefused { .. } => "tokenRefused",
            Self::Throttled(_) => "throttled",
            Self::NoAnswer(_) => "noAnswer",
            Self::ForeignLink(_) => "foreignLink",
            Self::UnknownPage(_) => "unknownPage",
        }
    }

    /// Whether Graph would answer the same question with `ConsistencyLevel`.
    pub(super) fn wants_advanced(&self) -> bool {
        matches!(self, Self::Unsupported(_))
    }

    /// Names who was looked for.
    pub(super) fn about(self, wanted: &str) -> Self {
        if let Self::NoSuchUser(_) = self { Self::NoSuchUser(one_line(wanted)) } else { self }
    }
}

impl From<HttpError> for DirectoryError {
    fn from(error: HttpError) -> Self {
        Self::NoAnswer(error.to_string())
    }
}

/// Lets a good answer through.
pub(super) fn judge(response: Response, account: &str) -> Result<Response, DirectoryError> {
    if response.status == 200 {
        return Ok(response);
    }
    let (code, words) = words(&response);
    let account = account.to_owned();
    Err(match response.status {
        400 if code == "Request_UnsupportedQuery" => DirectoryError::Unsupported(words),
        400 => DirectoryError::BadQuery(words),
        401 => DirectoryError::TokenRefused { account, words },
        403 => DirectoryError::Denied { account, words },
        404 => DirectoryError::NoSuchUser(String::new()),
        429 => DirectoryError::Throttled(response.retry_after),
        status => DirectoryError::NoAnswer(format!("HTTP {status} {words}").trim_end().to_owned()),
    })
}

/// Code and message of Graph's error object (Microsoft Learn, "Microsoft Graph error responses").
fn words(response: &Response) -> (String, String) {
    let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let text = |name: &str| answer["error"][name].as_str().map(one_line).unwrap_or_default();
    let (code, message) = (text("code"), text("message"));
    let words = [code.as_str(), message.as_str()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>();
    let words = words.join(": ");
    (code, words)
}
