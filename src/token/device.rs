//! Sign-ins by device code (RFC 8628): the person goes to a page on any machine and types a short code.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::AbortHandle;
use url::Url;

use super::TokenManager;
use super::causes::Kind;
use super::discovery::Endpoints;
use super::endpoint::{Exchange, Minted};
use super::error::TokenError;
use super::explain::Refusal;
use super::grants::{SignedIn, check_signs_in};
use super::provider::{self, Resource};
use super::registration::{Era, Registration};
use super::settings::ProviderKind;
use super::sign_in::{calls_for_apart, first};
use crate::clock::Timestamp;
use crate::mail::failure::one_line;
use crate::secret::Secret;

/// RFC 8628 section 3.2, where no interval is given.
const INTERVAL: Duration = Duration::from_secs(5);
/// RFC 8628 section 3.5: what `slow_down` adds, for good.
const SLOWER: Duration = Duration::from_secs(5);
/// No interval is longer, whatever the provider says.
const LONGEST_INTERVAL: Duration = Duration::from_secs(120);
/// Where the provider does not say how long a code is good.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Octets of a code that people type, and of one that they do not.
const MAX_USER_CODE: usize = 64;
const MAX_DEVICE_CODE: usize = 8 * 1024;

/// A sign-in that waits for somebody to type a code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceSignIn {
    /// What to type.
    pub user_code: String,
    /// Where to type it.
    pub verification_uri: Url,
    /// The same with the code in it, if the provider has that.
    pub verification_uri_complete: Option<Url>,
    /// When it is too late.
    pub expires: Timestamp,
}

/// Where a sign-in by device code stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceProgress {
    /// Nobody has agreed yet.
    Waiting(DeviceSignIn),
    /// Somebody did.
    SignedIn(SignedIn),
    /// It came to nothing.
    Failed(TokenError),
}

/// The newest sign-in by device code of each account.
#[derive(Default)]
pub(super) struct Devices {
    by_account: BTreeMap<String, Device>,
    /// How many there have been. Each has its number: a task that was replaced may still have something to say.
    count: u64,
}

struct Device {
    number: u64,
    progress: DeviceProgress,
    task: AbortHandle,
}

impl Devices {
    fn next_number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Notes how the sign-in of this number stands, unless another took its place.
    fn note(&mut self, account: &str, number: u64, progress: DeviceProgress) {
        if let Some(device) = self.by_account.get_mut(account).filter(|device| device.number == number) {
            device.progress = progress;
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A code as the provider gave it.
struct Issued {
    sign_in: DeviceSignIn,
    at: Timestamp,
    code: Secret,
    interval: Duration,
    registration: Arc<Registration>,
    era: Era,
    endpoints: Endpoints,
    resources: Vec<Resource>,
}

impl TokenManager {
    /// Begins a sign-in by device code and waits for its end in the background. A newer one for the same account takes
    /// its place.
    ///
    /// # Errors
    /// The account is unknown, needs no sign-in, or its provider has no device codes for mail; or the provider refuses.
    pub async fn begin_device_sign_in(&self, account: &str) -> Result<DeviceSignIn, TokenError> {
        let issued = self.issue_code(account).await?;
        let sign_in = issued.sign_in.clone();
        let (manager, name) = (self.clone(), account.to_owned());
        let progress = DeviceProgress::Waiting(sign_in.clone());
        // The lock is held until the task is in its place, so that its result cannot come before it.
        let mut devices = self.devices();
        let number = devices.next_number();
        let task = tokio::spawn(async move { manager.follow((&name, number), issued).await }).abort_handle();
        devices.by_account.insert(account.to_owned(), Device { number, progress, task });
        Ok(sign_in)
    }

    /// Where the account's newest sign-in by device code stands; `None` if there was none.
    pub fn device_sign_in(&self, account: &str) -> Option<DeviceProgress> {
        self.devices().by_account.get(account).map(|device| device.progress.clone())
    }

    /// Gives the account's sign-in by device code up, or clears away how it ended once somebody has seen that.
    pub fn drop_device_sign_in(&self, account: &str) {
        self.devices().by_account.remove(account);
    }

    fn devices(&self) -> MutexGuard<'_, Devices> {
        self.inner.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a code; for the first resource alone if the provider refuses all at once.
    async fn issue_code(&self, account: &str) -> Result<Issued, TokenError> {
        let entry = self.entry(account)?;
        let registration = self.registration(account)?;
        check_signs_in(&registration)?;
        check_has_codes(&registration)?;
        let explained = |refusal: Refusal| refusal.error(&registration.addressee());
        let endpoints = self.endpoints(&registration).await.map_err(explained)?;
        let resources = entry.consent().asks(&registration);
        match self.ask_for_code(&registration, &endpoints, resources.clone()).await {
            Err(refusal) if calls_for_apart(&refusal, &resources) => {
                entry.consent().part(&resources);
                let one = entry.consent().asks(&registration);
                self.ask_for_code(&registration, &endpoints, one).await.map_err(explained)
            }
            asked => asked.map_err(explained),
        }
    }

    async fn ask_for_code(
        &self,
        registration: &Arc<Registration>,
        endpoints: &Endpoints,
        resources: Vec<Resource>,
    ) -> Result<Issued, Refusal> {
        let provider = &registration.provider;
        let Some(url) = &endpoints.device else {
            let why = format!("`{}` has no device authorization endpoint", provider.name);
            return Err(Refusal::setup(
                why,
                "write the provider's `device_authorization_url`, or sign in with `oxpost login {account} --paste`",
            ));
        };
        let scope = provider::authorization_scopes(provider, &resources).join(" ");
        let fields = [("scope", scope.as_str())];
        let fields = if scope.is_empty() { &fields[..0] } else { &fields };
        let asked_at = self.inner.clock.now();
        let body = self.counter(registration, endpoints).post(url, fields).await?;
        let (sign_in, code, interval) = read(&body, asked_at).ok_or_else(|| {
            Refusal::later(format!("`{}`: the answer to the request for a code is not understood", provider.name))
        })?;
        let era = self.entry(&registration.account.name).map(|entry| entry.state().era()).unwrap_or_default();
        let (registration, endpoints) = (Arc::clone(registration), endpoints.clone());
        Ok(Issued { sign_in, at: asked_at, code, interval, registration, era, endpoints, resources })
    }

    /// Follows a code to its end, and the codes after it where consent is given one resource at a time.
    async fn follow(&self, (account, number): (&str, u64), mut issued: Issued) {
        let note = |progress| self.devices().note(account, number, progress);
        loop {
            let signed_in = match self.follow_one(&issued).await {
                Ok(signed_in) => signed_in,
                Err(error) => return note(DeviceProgress::Failed(error)),
            };
            if signed_in.question.is_none() {
                // Nobody need be listening.
                let _ = self.inner.signed_in.send(account.to_owned());
            }
            let goes_on = self.entry(account).is_ok_and(|entry| entry.consent().given(&issued.resources));
            if !goes_on {
                return note(DeviceProgress::SignedIn(signed_in));
            }
            issued = match self.issue_code(account).await {
                Ok(issued) => issued,
                Err(error) => return note(DeviceProgress::Failed(error)),
            };
            note(DeviceProgress::Waiting(issued.sign_in.clone()));
        }
    }

    async fn follow_one(&self, issued: &Issued) -> Result<SignedIn, TokenError> {
        let Registration { account, provider } = &*issued.registration;
        let resource = first(&issued.registration, &issued.resources);
        let mut polling = Polling::new(issued.interval);
        let mut last = issued.at;
        loop {
            self.wait_until(last.plus(polling.wait)).await;
            let asked_at = self.inner.clock.now();
            if asked_at >= issued.sign_in.expires {
                return Err(too_late(&account.name));
            }
            // A code is redeemed without scopes: what was agreed to is what there is. Microsoft needs its resource.
            let scopes = match provider.kind {
                ProviderKind::Microsoft => resource.request(provider, &account.grant),
                ProviderKind::Google | ProviderKind::Custom => Vec::new(),
            };
            let answer = self.poll(issued, scopes).await;
            last = self.inner.clock.now();
            match polling.next(answer) {
                Next::Wait => {}
                Next::Done(minted) => {
                    // In a task of its own: a newer code that takes this one's place must not lose the grant.
                    let (manager, registration, era) = (self.clone(), Arc::clone(&issued.registration), issued.era);
                    let complete = tokio::spawn(async move {
                        manager.complete((&registration, era), resource, &minted, asked_at).await
                    });
                    return complete.await.unwrap_or_else(|_| Err(too_late(&account.name)));
                }
                Next::Over(refusal) => return Err(refusal.error(&issued.registration.addressee())),
            }
        }
    }

    async fn poll(&self, issued: &Issued, scopes: Vec<String>) -> Result<Minted, Refusal> {
        self.counter(&issued.registration, &issued.endpoints).exchange(&Exchange::Device(&issued.code), scopes).await
    }

    /// Waits by the clock: a machine that slept must not wait its sleep again.
    async fn wait_until(&self, moment: Timestamp) {
        loop {
            let ticked = self.inner.tick.notified();
            let left = moment.since(self.inner.clock.now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = ticked => {}
            }
        }
    }
}

/// Google's device codes give no permission for mail ("OAuth 2.0 for TV and limited-input devices", allowed scopes).
fn check_has_codes(registration: &Registration) -> Result<(), TokenError> {
    let Registration { account, provider } = registration;
    if provider.kind != ProviderKind::Google {
        return Ok(());
    }
    Err(TokenError::Configuration {
        why: "Google gives no permission for mail by device code".to_owned(),
        hint: format!("sign in with `oxpost login {}`, and add `--paste` on a machine without a browser", account.name),
    })
}

fn too_late(account: &str) -> TokenError {
    TokenError::SignInNeeded {
        why: format!("nobody typed the code for `{account}` in time"),
        hint: format!("get a new one: `oxpost login {account} --device`"),
    }
}

/// Reads RFC 8628 section 3.2, with the other name that Google has for the page.
fn read(body: &[u8], now: Timestamp) -> Option<(DeviceSignIn, Secret, Duration)> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let page =
        |key: &str| text(key).and_then(|url| Url::parse(url).ok()).filter(|url| url.scheme().starts_with("http"));
    // Some send numbers as text.
    let seconds = |key: &str| {
        let value = body.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.trim().parse().ok()).map(Duration::from_secs)
    };
    let code = text("device_code").filter(|code| code.len() <= MAX_DEVICE_CODE)?;
    let user_code = text("user_code").map(one_line).filter(|code| code.len() <= MAX_USER_CODE)?;
    let sign_in = DeviceSignIn {
        user_code,
        verification_uri: page("verification_uri").or_else(|| page("verification_url"))?,
        verification_uri_complete: page("verification_uri_complete"),
        expires: now.plus(seconds("expires_in").unwrap_or(LIFETIME)),
    };
    Some((sign_in, Secret::new(code), seconds("interval").unwrap_or(INTERVAL)))
}

/// How often to ask.
#[derive(Debug)]
struct Polling {
    /// What the provider wants.
    interval: Duration,
    /// What comes next: longer while the provider cannot be reached.
    wait: Duration,
}

/// What follows from an answer.
enum Next {
    Wait,
    Done(Box<Minted>),
    Over(Refusal),
}

impl Polling {
    fn new(interval: Duration) -> Self {
        // An interval of nothing is no leave to ask without end.
        let interval = interval.clamp(Duration::from_secs(1), LONGEST_INTERVAL);
        Self { interval, wait: interval }
    }

    fn next(&mut self, answer: Result<Minted, Refusal>) -> Next {
        let refusal = match answer {
            Ok(minted) => return Next::Done(Box::new(minted)),
            Err(refusal) => refusal,
        };
        match refusal.code.as_str() {
            "authorization_pending" => self.wait = self.interval,
            "slow_down" => {
                self.interval = (self.interval + SLOWER).min(LONGEST_INTERVAL);
                self.wait = self.interval;
            }
            // RFC 8628 section 3.5: exponential where there is no answer.
            _ if refusal.kind == Kind::Later => {
                self.wait = (self.wait * 2).min(LONGEST_INTERVAL).max(refusal.retry_after.unwrap_or_default());
            }
            _ => return Next::Over(refusal),
        }
        Next::Wait
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::explain::ErrorWords;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn said(error: &str) -> Result<Minted, Refusal> {
        Err(ErrorWords::new(error, "", None).explain("contoso"))
    }

    #[test]
    fn slow_down_adds_five_seconds_for_good_and_silence_doubles_the_wait_until_an_answer() {
        let seconds = Duration::from_secs;
        let mut polling = Polling::new(seconds(5));
        let table = [
            (said("authorization_pending"), 5, "nobody yet"),
            (said("slow_down"), 10, "slower"),
            (said("authorization_pending"), 10, "for good"),
            (Err(Refusal::later("no answer")), 20, "silence"),
            (Err(Refusal::later("no answer")), 40, "still"),
            (Err(Refusal::later("busy").after(Some(seconds(300)))), 300, "told to wait"),
            (said("slow_down"), 15, "an answer again"),
        ];
        for (answer, wait, why) in table {
            assert!(matches!(polling.next(answer), Next::Wait), "{why}");
            assert_eq!(polling.wait, seconds(wait), "{why}");
        }
        for error in
            ["access_denied", "authorization_declined", "expired_token", "bad_verification_code", "invalid_client"]
        {
            assert!(matches!(polling.next(said(error)), Next::Over(_)), "{error}");
        }
        assert_eq!(Polling::new(Duration::ZERO).wait, seconds(1));
    }

    #[test]
    fn a_code_is_read_as_providers_write_it() {
        let whole = json!({
            "device_code": "secret-code", "user_code": "AB-CD", "verification_uri": "https://login.example/device",
            "expires_in": 900, "interval": 7,
        });
        let (sign_in, code, interval) = read(whole.to_string().as_bytes(), NOW).unwrap();
        assert_eq!((sign_in.user_code.as_str(), code.expose(), interval.as_secs()), ("AB-CD", "secret-code", 7));
        assert_eq!(sign_in.expires, NOW.plus(Duration::from_secs(900)));
        let changed = |key: &str, value: Value| {
            let mut body = whole.clone();
            body[key] = value;
            read(body.to_string().as_bytes(), NOW)
        };
        assert_eq!(changed("interval", json!("9")).unwrap().2.as_secs(), 9, "text");
        assert_eq!(changed("interval", Value::Null).unwrap().2, INTERVAL, "none");
        let google =
            json!({ "device_code": "a", "user_code": "b", "verification_url": "https://www.google.com/device" });
        assert!(read(google.to_string().as_bytes(), NOW).is_some(), "the other name of the page");
        for (key, value, why) in [
            ("device_code", Value::Null, "no code"),
            ("user_code", json!(""), "nothing to type"),
            ("user_code", json!("x".repeat(65)), "too long to type"),
            ("verification_uri", json!("javascript:alert(1)"), "no page"),
        ] {
            assert!(changed(key, value).is_none(), "{why}");
        }
    }

    #[tokio::test]
    async fn what_a_replaced_sign_in_has_to_say_is_not_said_of_the_one_in_its_place() {
        let mut devices = Devices::default();
        let failed = |why: &str| DeviceProgress::Failed(TokenError::TryLater { why: why.into(), retry_after: None });
        let begin = |devices: &mut Devices| {
            let number = devices.next_number();
            let task = tokio::spawn(async {}).abort_handle();
            devices.by_account.insert("scanner".into(), Device { number, progress: failed("begun"), task });
            number
        };
        let first = begin(&mut devices);
        let second = begin(&mut devices);
        devices.note("scanner", first, failed("the first"));
        assert_eq!(devices.by_account["scanner"].progress, failed("begun"));
        devices.note("scanner", second, failed("the second"));
        assert_eq!(devices.by_account["scanner"].progress, failed("the second"));
        devices.by_account.remove("scanner");
        assert!(begin(&mut devices) > second, "no number comes twice");
    }
}
