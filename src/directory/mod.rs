//! People of the tenant, looked up in Microsoft Graph: one by id or user principal name, the one who signed in, and
//! lists page by page. What Graph asks of its callers (`ConsistencyLevel`, `$count`, whole next links) is handled here.

mod answer;
mod error;
mod query;
mod walks;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::http::{HeaderName, HeaderValue};
use arc_swap::ArcSwapOption;
use url::Url;

use crate::http::{Http, Request, Response};
use crate::token::{AccessToken, Purpose, TokenError, TokenManager};

pub use answer::{Fault, User, UserPage};
pub use error::DirectoryError;
pub use query::{DEFAULT_PROPERTIES, DEFAULT_TOP, ListQuery, MAX_TOP};
use walks::{Stop, Walks};

/// What tokens for looking people up are asked for as.
const PURPOSE: Purpose = Purpose::Directory;

/// Whose rights people are looked up with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The name of the account.
    pub account: String,
    /// Base such as `https://graph.microsoft.com/v1.0`.
    pub base: Url,
    /// Whether the account is the app itself, so that nobody is signed in.
    pub app_only: bool,
}

/// A future behind a pointer, so that [`Tokens`] can be made into an object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where access tokens come from.
pub trait Tokens: Send + Sync {
    /// A token for the account, renewed if need be.
    fn access_token<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<AccessToken, TokenError>>;

    /// Takes note that Graph refused the token of this generation.
    fn invalidate<'a>(&'a self, account: &'a str, generation: u64) -> BoxFuture<'a, ()>;
}

impl Tokens for TokenManager {
    fn access_token<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(Self::access_token(self, account, PURPOSE))
    }

    fn invalidate<'a>(&'a self, account: &'a str, generation: u64) -> BoxFuture<'a, ()> {
        Box::pin(Self::invalidate(self, account, PURPOSE, generation))
    }
}

/// Looks people up. Clones share everything.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    http: Http,
    tokens: Arc<dyn Tokens>,
    settings: ArcSwapOption<Settings>,
    walks: Mutex<Walks>,
}

impl Directory {
    /// A directory that asks with the account of `settings`; `None`: none is configured, and every question is refused.
    pub fn new(http: Http, tokens: Arc<dyn Tokens>, settings: Option<Settings>) -> Self {
        let settings = ArcSwapOption::from_pointee(settings);
        Self { inner: Arc::new(Inner { http, tokens, settings, walks: Mutex::default() }) }
    }

    /// Takes new settings. Lists that were begun with another account cannot be gone on with.
    pub fn reload(&self, settings: Option<Settings>) {
        if self.settings().ok().as_deref() != settings.as_ref() {
            *self.walks() = Walks::default();
        }
        self.inner.settings.store(settings.map(Arc::new));
    }

    /// The name of the account people are looked up with, if one is configured.
    pub fn account(&self) -> Option<String> {
        self.settings().ok().map(|settings| settings.account.clone())
    }

    /// The user with this object id or user principal name. `select` names the properties to have; empty: those of
    /// [`DEFAULT_PROPERTIES`].
    ///
    /// # Errors
    /// [`DirectoryError::NoSuchUser`], and those of every question.
    pub async fn get(&self, id_or_name: &str, select: &[String]) -> Result<User, DirectoryError> {
        let settings = self.settings()?;
        let url = query::one(&settings.base, id_or_name, select)?;
        let answer = self.ask(&settings, url, false).await.map_err(|error| error.about(id_or_name))?;
        answer::user(&answer)
    }

    /// The one who signed the account in.
    ///
    /// # Errors
    /// [`DirectoryError::NobodySignedIn`] for an account that is the app itself, and those of every question.
    pub async fn me(&self, select: &[String]) -> Result<User, DirectoryError> {
        let settings = self.settings()?;
        if settings.app_only {
            return Err(DirectoryError::NobodySignedIn(settings.account.clone()));
        }
        let answer = self.ask(&settings, query::me(&settings.base, select)?, false).await?;
        answer::user(&answer)
    }

    /// The first page of a list.
    ///
    /// # Errors
    /// [`DirectoryError::BadQuery`] for what Graph does not understand, and those of every question.
    pub async fn list(&self, query: &ListQuery) -> Result<UserPage, DirectoryError> {
        let settings = self.settings()?;
        let first = query.query_string()?;
        let stop = |advanced| Stop { walk: None, page: 1, query: first.clone(), advanced };
        match self.page(&settings, stop(query.is_advanced())).await {
            // There are more advanced filters than a reader of their texts knows of; Graph says so with this code.
            Err(error) if error.wants_advanced() && !query.is_advanced() => self.page(&settings, stop(true)).await,
            answer => answer,
        }
    }

    /// The page that [`UserPage::next`] or [`UserPage::previous`] of another one names.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownPage`] where the list was begun too long ago, and those of every question.
    pub async fn turn(&self, cursor: &str) -> Result<UserPage, DirectoryError> {
        let settings = self.settings()?;
        let stop = self.walks().find(cursor).ok_or_else(|| DirectoryError::UnknownPage(cursor.to_owned()))?;
        self.page(&settings, stop).await
    }

    async fn page(&self, settings: &Settings, stop: Stop) -> Result<UserPage, DirectoryError> {
        let url = query::users(&settings.base, &stop.query)?;
        let answer = answer::page(&self.ask(settings, url, stop.advanced).await?)?;
        let next = answer.next_link.map(|link| query::of_next_link(&settings.base, &link)).transpose()?;
        let (page, is_last_page) = (stop.page, next.is_none());
        let turns = self.walks().pass(stop, next);
        Ok(UserPage::new(answer.users, page, is_last_page, turns))
    }

    /// Asks once, and once more with a fresh token if the first is refused.
    async fn ask(&self, settings: &Settings, url: Url, advanced: bool) -> Result<Response, DirectoryError> {
        let mut refused_before = false;
        loop {
            let token = self.inner.tokens.access_token(&settings.account).await?;
            let mut request = Request::get(url.clone()).bearer(&token.secret)?;
            if advanced {
                let name = HeaderName::from_static("consistencylevel");
                request = request.header(name, HeaderValue::from_static("eventual"));
            }
            let response = self.inner.http.send(request).await?;
            if response.status == 401 {
                self.inner.tokens.invalidate(&settings.account, token.generation).await;
            }
            if response.status != 401 || refused_before {
                return error::judge(response, &settings.account);
            }
            refused_before = true;
        }
    }

    fn settings(&self) -> Result<Arc<Settings>, DirectoryError> {
        self.inner.settings.load_full().ok_or(DirectoryError::NotConfigured)
    }

    fn walks(&self) -> MutexGuard<'_, Walks> {
        self.inner.walks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
