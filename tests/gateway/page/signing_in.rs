//! Signing accounts in from the page: by code, with an administrator's consent, and what each account's page offers.

use std::time::Duration;

use http::StatusCode;
use oxpost::mail::Event;
use url::Url;

use super::{Browser, Desk, cookie, provider_link, public_desk};
use crate::house::{House, Plan};

/// An account whose grant is an app's, and one with a refresh token that came from elsewhere.
/// Nobody asks the app's provider for anything, so any text will do for a secret.
const OTHERS: &str = "
[provider.apps]
kind = \"microsoft\"
tenant = \"contoso.com\"
client_id = \"id\"
client_secret = { file = \"practice-ca.pem\" }
[account.robot]
provider = \"apps\"
mailbox = \"robot@contoso.com\"
grant = \"client-credentials\"
[account.moved]
provider = \"practice\"
mailbox = \"moved@practice.example\"
grant = \"refresh-token\"
";

/// Types the code that the page shows, and waits until it has counted.
async fn sign_in_by_code(browser: &Browser<'_>, account: &str) {
    let house = &browser.desk.house;
    house.tenant.switches().set(|knobs| {
        (knobs.auto_sign_in, knobs.device_interval) = (true, Duration::from_secs(1));
    });
    let before = house.events.count(|event| matches!(event, Event::SignedIn { .. }));
    browser.send(&format!("/accounts/{account}/device"), &[]).await;
    house.clock.advance(Duration::from_secs(2));
    house
        .events
        .until("the code counts", |all| {
            all.iter().filter(|event| matches!(event, Event::SignedIn { .. })).count() > before
        })
        .await;
}

#[tokio::test]
async fn one_sign_in_by_code_follows_the_other() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let place = "/accounts/alice/device";
    assert!(browser.text(place).await.contains("Get a code"));
    let begun = browser.send(place, &[]).await;
    assert_eq!(begun.headers()["location"], place);
    let page = browser.text(place).await;
    assert!(page.contains("Type this code") && page.contains("Get another code"), "{page}");

    sign_in_by_code(&browser, "scanner").await;
    let place = "/accounts/scanner/device";
    let page = browser.text(place).await;
    assert!(page.contains("signed in") && page.contains("Get another code"), "{page}");
    let forgotten = browser.send("/accounts/scanner/forget", &[]).await;
    let page = browser.text(forgotten.headers()["location"].to_str().unwrap()).await;
    assert!(page.contains("the sign-in of scanner is forgotten") && page.contains("must be signed in"), "{page}");
    let page = browser.text(place).await;
    assert!(page.contains("Get a code") && !page.contains(">done<"), "what was forgotten is not done: {page}");
}

#[tokio::test]
async fn whoever_can_sign_in_and_be_forgotten_is_offered_both() {
    let plan = Plan { tables: super::tables(""), ..Plan::default() };
    let plan = Plan { accounts: plan.accounts.clone() + OTHERS, ..plan };
    let house = House::not_signed_in(plan).await;
    let port = house.control().links.page().unwrap().port().unwrap();
    let desk = Desk::of(house, port);
    let browser = desk.browser().await;
    let table = [
        ("scanner", true, "a person signs in"),
        ("moved", true, "a person did, elsewhere"),
        ("robot", false, "an app has no sign-in"),
    ];
    for (account, expected, why) in table {
        let page = browser.text(&format!("/accounts/{account}")).await;
        for offered in ["Sign in with this browser", "Forget the sign-in"] {
            assert_eq!(page.contains(offered), expected, "{account}, {offered}: {why}");
        }
        assert_eq!(page.contains("Nobody signs in"), !expected, "{account}: {why}");
    }
}

async fn consent(browser: &Browser<'_>, account: &str) -> (Url, String, String) {
    let onward = browser.send(&format!("/accounts/{account}/consent"), &[]).await;
    assert_eq!(onward.status(), StatusCode::OK);
    let cookie = cookie(&onward);
    let page = onward.text().await.unwrap();
    (provider_link(&page), cookie, page)
}

#[tokio::test]
async fn an_administrator_is_led_to_consent_and_back() {
    let plan = Plan { tables: super::tables(""), ..Plan::default() };
    let plan = Plan { accounts: plan.accounts.clone() + OTHERS, ..plan };
    let house = House::not_signed_in(plan).await;
    let port = house.control().links.page().unwrap().port().unwrap();
    let desk = Desk::of(house, port);
    let browser = desk.browser().await;
    let agreed = "An administrator agreed";
    let table = [
        ("scanner", "admin_consent=True&tenant=t", [agreed, "Sign scanner in now"], "people sign in afterwards"),
        ("robot", "admin_consent=True&tenant=t", [agreed, "Nobody need sign in"], "an app does not"),
        ("scanner", "admin_consent=False", ["The administrator did not agree", "Next step"], "the page says no"),
        ("scanner", "error=access_denied&error_description=x", ["did not agree", "access_denied"], "so does this"),
        ("scanner", "code=1", ["did not agree", "Next step"], "no answer to that question"),
    ];
    for (account, answer, expected, why) in table {
        let (url, cookie, page) = consent(&browser, account).await;
        assert!(url.path().ends_with("adminconsent"), "{url}");
        assert!(page.contains("as an administrator") && !page.contains("as the mailbox"), "{page}");
        let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
        let get = |cookie: String| desk.get(&format!("/?{answer}&state={state}")).header("cookie", cookie).send();
        for (cookie, expected) in [
            (String::new(), ["did not begin here"; 2]),
            (cookie.clone(), expected),
            (cookie, ["did not begin here"; 2]),
        ] {
            let page = get(cookie).await.unwrap().text().await.unwrap();
            for part in expected {
                assert!(page.contains(part), "{why}: no `{part}` in {page}");
            }
            assert!(!page.contains("is not signed in"), "nobody wanted to be: {page}");
        }
    }
}

#[tokio::test]
async fn where_the_browser_cannot_come_back_after_a_consent_the_page_says_so_first() {
    let mut desk = Desk::open("").await;
    desk.origin = format!("http://192.0.2.7:{}", desk.port);
    let browser = desk.browser().await;
    let onward = browser.send("/accounts/scanner/consent", &[]).await;
    assert!(!onward.headers().contains_key("set-cookie"), "no answer is waited for");
    let page = onward.text().await.unwrap();
    assert!(page.contains("consent counts all the same") && !page.contains("http-equiv=\"refresh\""), "{page}");
    assert!(provider_link(&page).path().ends_with("adminconsent"));

    let mut desk = public_desk().await;
    desk.origin = format!("http://192.0.2.7:{}", desk.port);
    let browser = desk.browser().await;
    let page = browser.text("/accounts/scanner").await;
    assert!(page.contains("https://mail.contoso.com/accounts/scanner") && !page.contains("/scanner/consent"), "{page}");
    let elsewhere = browser.send("/accounts/scanner/consent", &[]).await;
    assert_eq!(elsewhere.status(), StatusCode::CONFLICT);
    assert!(elsewhere.text().await.unwrap().contains("https://mail.contoso.com/accounts/scanner"));
}

#[tokio::test]
async fn the_time_for_a_sign_in_is_said_before_it_begins() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let page = browser.text("/accounts/scanner").await;
    assert!(page.contains("within 2 minutes"), "{page}");
    let onward = browser.send("/accounts/scanner/sign-in", &[]).await;
    let set = onward.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.contains("Max-Age=120"), "as long as the sign-in itself: {set}");
    let page = onward.text().await.unwrap();
    assert!(page.contains("within 2 minutes"), "{page}");
    let page = browser.send("/accounts/scanner/paste/begin", &[]).await.text().await.unwrap();
    assert!(page.contains("within 2 minutes"), "{page}");
}
