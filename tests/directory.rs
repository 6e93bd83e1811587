//! The directory against the practice tenant, which checks what Microsoft Graph checks.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where an expectation fails")]

use std::sync::{Arc, Mutex};

use oxpost::clock::Timestamp;
use oxpost::directory::{
    BoxFuture, DEFAULT_PROPERTIES, Directory, DirectoryError, ListQuery, Settings, Tokens, UserPage,
};
use oxpost::http::{Http, HttpSettings, Request};
use oxpost::practice::{self, Fault, PeopleFault, Rule, Tenant, User as Person};
use oxpost::secret::Secret;
use oxpost::token::{AccessToken, TokenError};
use url::Url;

/// Tokens of the practice tenant's app, fetched as a program would.
struct AppTokens {
    tenant: Url,
    http: Http,
    invalidated: Mutex<Vec<u64>>,
}

impl Tokens for AppTokens {
    fn access_token<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<AccessToken, TokenError>> {
        Box::pin(async {
            let fields = [
                ("grant_type", "client_credentials"),
                ("client_id", practice::APP_CLIENT_ID),
                ("client_secret", practice::APP_CLIENT_SECRET),
                ("scope", "https://graph.microsoft.com/.default"),
            ];
            let answer = self.http.send(Request::post_form(self.tenant.clone(), &fields)).await.expect("an answer");
            let answer: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
            let secret = Secret::new(answer["access_token"].as_str().expect("a token"));
            Ok(AccessToken { secret, expires: Timestamp::from_millis(i64::MAX), generation: 7, scope: "".into() })
        })
    }

    fn invalidate<'a>(&'a self, _: &'a str, generation: u64) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.invalidated.lock().unwrap().push(generation) })
    }
}

struct Office {
    tenant: Tenant,
    directory: Directory,
    tokens: Arc<AppTokens>,
}

/// A tenant with six more people than usual, and a directory that asks it as an app.
async fn office() -> Office {
    let mut settings = practice::Settings::default();
    let more = ["Jean Dupont", "Jeanne Martin", "Frida Nord", "Fritz Ost", "Fred O'Neill", "Zoe"];
    let person =
        |name: &&str| Person::new(format!("{}@practice.example", name.to_lowercase().replace([' ', '\''], ".")), *name);
    settings.directory.users.extend(more.iter().map(person));
    let tenant = Tenant::start(settings).await.unwrap();
    let http = Http::new(HttpSettings::default()).unwrap();
    let tokens = Arc::new(AppTokens { tenant: tenant.token_url(), http: http.clone(), invalidated: Mutex::default() });
    let settings = Settings { account: "office".into(), base: tenant.graph_base(), app_only: true };
    let directory = Directory::new(http, Arc::clone(&tokens) as Arc<dyn Tokens>, Some(settings));
    Office { tenant, directory, tokens }
}

fn names(page: &UserPage) -> Vec<String> {
    page.users.iter().map(|user| user.text("displayName")).collect()
}

fn query(search: &str, filter: &str, order_by: &str) -> ListQuery {
    let own = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    ListQuery { search: own(search), filter: own(filter), order_by: own(order_by), ..ListQuery::default() }
}

#[tokio::test]
async fn what_4d_netkits_examples_ask_for_is_answered_and_nothing_is_asked_wrongly() {
    let office = office().await;
    let list = async |query: ListQuery| names(&office.directory.list(&query).await.unwrap());
    assert_eq!(list(query("", "startswith(displayName,'Jean')", "")).await, ["Jean Dupont", "Jeanne Martin"]);
    let search = ListQuery { select: vec!["displayName".into()], ..query("\"displayName:F\"", "", "displayName desc") };
    // "Scanner, second floor" has a word that begins so.
    let falling = ["Scanner, second floor", "Fritz Ost", "Frida Nord", "Fred O'Neill"];
    assert_eq!(list(search.clone()).await, falling);
    let page = office.directory.list(&search).await.unwrap();
    assert_eq!(page.users[0].0.keys().collect::<Vec<_>>(), ["displayName"], "that and nothing else");
    assert_eq!(list(query("oneill fred", "", "")).await, [""; 0]);
    assert_eq!(list(query("o.neill", "", "")).await, [""; 0], "addresses are matched from their beginning");
    assert_eq!(list(query("fred", "", "")).await, ["Fred O'Neill"], "a plain word");
    assert_eq!(list(query("", "surname eq 'O''Neill'", "displayName")).await, ["Fred O'Neill"]);
    assert_eq!(list(query("", "endswith(mail,'ost@practice.example')", "")).await, ["Fritz Ost"]);
    assert_eq!(office.tenant.findings(), []);
}

#[tokio::test]
async fn pages_are_turned_to_the_end_and_back() {
    let office = office().await;
    let query = ListQuery { top: Some(4), ..query("", "endswith(mail,'@practice.example')", "displayName") };
    let first = office.directory.list(&query).await.unwrap();
    assert_eq!((first.page, first.is_last_page, first.previous.as_ref()), (1, false, None));
    assert!(first.success && first.errors.is_empty());
    let second = office.directory.turn(first.next.as_ref().unwrap()).await.unwrap();
    assert_eq!((second.page, second.is_last_page), (2, false));
    let last = office.directory.turn(second.next.as_ref().unwrap()).await.unwrap();
    assert_eq!((last.page, last.is_last_page, last.next.as_ref()), (3, true, None));
    let all = [names(&first), names(&second), names(&last)].concat();
    let mut sorted = all.clone();
    sorted.sort_by_key(|name| name.to_lowercase());
    assert_eq!((all.len(), &all), (10, &sorted));
    let back = office.directory.turn(last.previous.as_ref().unwrap()).await.unwrap();
    assert_eq!((back.page, names(&back)), (2, names(&second)));
    assert_eq!(office.tenant.findings(), [], "ConsistencyLevel goes with every page");
    let lost = office.directory.turn("0123.2").await;
    assert_eq!(lost, Err(DirectoryError::UnknownPage("0123.2".into())));
    office.directory.reload(None);
    assert_eq!(office.directory.turn(first.next.as_ref().unwrap()).await, Err(DirectoryError::NotConfigured));
}

#[tokio::test]
async fn an_empty_page_in_the_middle_is_not_the_end() {
    let office = office().await;
    office.tenant.switches().inject(Rule::once(Fault::People(PeopleFault::EmptyPage)));
    let first = office.directory.list(&ListQuery { top: Some(6), ..ListQuery::default() }).await.unwrap();
    assert!(first.users.is_empty() && !first.is_last_page);
    let second = office.directory.turn(&first.next.unwrap()).await.unwrap();
    assert_eq!((second.users.len(), second.is_last_page), (4, true));
}

#[tokio::test]
async fn a_list_that_goes_on_elsewhere_is_not_followed() {
    let office = office().await;
    office.tenant.switches().inject(Rule::once(Fault::People(PeopleFault::ForeignLink)));
    let refused = office.directory.list(&ListQuery::default()).await.unwrap_err();
    assert!(
        matches!(&refused, DirectoryError::ForeignLink(link) if link.contains("graph.elsewhere.example")),
        "{refused}"
    );
}

#[tokio::test]
async fn one_user_is_found_by_id_or_name_with_the_usual_properties_or_those_asked_for() {
    let office = office().await;
    let by_name = office.directory.get("alice@practice.example", &[]).await.unwrap();
    let by_id = office.directory.get(&by_name.text("id"), &[]).await.unwrap();
    assert_eq!(by_name, by_id);
    let mut usual = DEFAULT_PROPERTIES.to_vec();
    usual.sort_unstable();
    let mut held: Vec<_> = by_id.0.keys().map(String::as_str).collect();
    held.sort_unstable();
    assert_eq!(held, usual);
    let some = office.directory.get("alice@practice.example", &["mail,surname".into()]).await.unwrap();
    assert_eq!(
        (some.0.len(), some.text("mail"), some.text("surname")),
        (2, "alice@practice.example".into(), "Archer".into())
    );
    let nobody = office.directory.get("nobody@practice.example", &[]).await;
    assert_eq!(nobody, Err(DirectoryError::NoSuchUser("nobody@practice.example".into())));
    let me = office.directory.me(&[]).await;
    assert_eq!(me, Err(DirectoryError::NobodySignedIn("office".into())));
}

#[tokio::test]
async fn each_trouble_is_told_apart_and_says_what_to_do() {
    let office = office().await;
    let table = [
        (PeopleFault::Denied, "denied", "User.Read.All"),
        (PeopleFault::Throttled(17), "throttled", "17 s"),
        (PeopleFault::Unavailable, "noAnswer", "oxpost doctor"),
        (PeopleFault::Html, "noAnswer", "oxpost doctor"),
    ];
    for (fault, code, hint) in table {
        office.tenant.switches().inject(Rule::once(Fault::People(fault)));
        let error = office.directory.list(&ListQuery::default()).await.unwrap_err();
        assert_eq!(error.code(), code, "{fault:?}: {error}");
        assert!(error.hint().unwrap().contains(hint), "{fault:?}: {:?}", error.hint());
    }
    let bad = office.directory.list(&query("", "contains(mail,'x')", "")).await.unwrap_err();
    assert_eq!(bad.code(), "badQuery");
    assert!(bad.to_string().contains("contains"), "Graph's words: {bad}");
}

#[tokio::test]
async fn a_refused_token_is_given_back_once() {
    let office = office().await;
    office.tenant.switches().inject(Rule::once(Fault::People(PeopleFault::Unauthorized)));
    assert!(office.directory.get("alice@practice.example", &[]).await.is_ok());
    assert_eq!(*office.tokens.invalidated.lock().unwrap(), [7]);
    office.tenant.switches().inject(Rule::times(Fault::People(PeopleFault::Unauthorized), 2));
    let refused = office.directory.get("alice@practice.example", &[]).await.unwrap_err();
    assert_eq!(refused.code(), "tokenRefused");
    assert_eq!(*office.tokens.invalidated.lock().unwrap(), [7, 7, 7]);
}

#[tokio::test]
async fn without_an_account_every_question_says_so() {
    let http = Http::new(HttpSettings::default()).unwrap();
    let office = office().await;
    let directory = Directory::new(http, office.tokens, None);
    assert_eq!(directory.account(), None);
    assert_eq!(directory.me(&[]).await, Err(DirectoryError::NotConfigured));
    assert_eq!(directory.list(&ListQuery::default()).await, Err(DirectoryError::NotConfigured));
}
