//! Signing in by device code (RFC 8628): for machines without a browser.

use std::time::Duration;

use http::Method;

use super::super::reach::Reach;
use super::super::report::{Report, say};
use crate::front::admin::{DeviceCode, DeviceView};

/// How often the gateway is asked how it stands. It asks the provider itself, at the provider's pace.
const LOOK: Duration = Duration::from_secs(1);

/// Shows the code and waits until somebody has typed it.
pub(super) async fn sign_in(reach: &Reach, account: &str) -> Result<(), Report> {
    let path = format!("/api/v1/accounts/{account}/device-sign-in");
    let mut code: DeviceCode = reach.call(Method::POST, &path, None::<&()>).await?;
    show(account, &code);
    loop {
        tokio::time::sleep(LOOK).await;
        match reach.get::<DeviceView>(&path).await? {
            DeviceView::Waiting(now) if now.user_code == code.user_code => {}
            DeviceView::Waiting(next) => {
                say("One more code: the provider wants consent for each resource by itself.");
                code = next;
                show(account, &code);
            }
            DeviceView::SignedIn { name, question, notes } => return finish(account, name, question, &notes),
            DeviceView::Failed { why, hint: Some(hint) } => return Err(Report::new(why).hint(hint)),
            DeviceView::Failed { why, hint: None } => return Err(Report::new(why)),
        }
    }
}

fn show(account: &str, code: &DeviceCode) {
    let DeviceCode { user_code, verification_uri, verification_uri_complete, expires } = code;
    say(format_args!(
        "Open this page on any machine, type the code, and sign in as the mailbox of account `{account}`:\n\n  page  \
         {verification_uri}\n  code  {user_code}\n"
    ));
    if let Some(complete) = verification_uri_complete {
        say(format_args!("or, with the code in it: {complete}\n"));
    }
    say(format_args!("Waiting until {expires}."));
}

fn finish(account: &str, name: Option<String>, question: Option<String>, notes: &[String]) -> Result<(), Report> {
    let name = name.map(|name| format!(" as {name}")).unwrap_or_default();
    say(format_args!("account `{account}` is signed in{name}"));
    notes.iter().for_each(say);
    match question {
        Some(question) => Err(Report::new(question)
            .hint(format!("if it is, run `oxpost login {account} --confirm`; if not, sign in again as the mailbox"))),
        None => Ok(()),
    }
}
