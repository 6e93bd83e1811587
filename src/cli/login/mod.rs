//! `oxpost login`: signs an account in by authorization code with PKCE (RFC 7636, RFC 8252), or by device code.

mod device;
mod way_back;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;
use http::Method;
use url::Url;

use self::way_back::WayBack;
use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::config::Config;
use crate::front::admin::{BeginSignIn, Confirmed, FinishSignIn, SignInBegun, SignInFinished};
use crate::token::{AccountSettings, Grant, Provider};

#[derive(Args, Debug)]
pub(super) struct LoginArguments {
    /// The account's name in the configuration.
    account: String,
    /// Do not open a browser; only print the address.
    #[arg(long)]
    no_browser: bool,
    /// Sign in with a code, typed into a page on any machine.
    #[arg(long, conflicts_with_all = ["paste", "confirm"])]
    device: bool,
    /// Listen nowhere: paste the address that the browser ends at.
    #[arg(long, conflicts_with = "confirm")]
    paste: bool,
    /// Say that whoever signed in is meant although the mailbox has another name.
    #[arg(long)]
    confirm: bool,
}

/// Signs an account in.
pub(super) fn run(config: &Path, arguments: &LoginArguments) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let done = sign_in(&reach, &config, arguments).await;
        reach.close().await;
        done
    })
}

async fn sign_in(reach: &Reach, config: &Config, arguments: &LoginArguments) -> Result<(), Report> {
    let name = &arguments.account;
    let (account, provider) = find(config, name).ok_or_else(|| unknown_account(config, name))?;
    if arguments.confirm {
        return confirm(reach, name).await;
    }
    let by_code = matches!(account.grant, Grant::DeviceCode) && !arguments.paste;
    if arguments.device || by_code {
        return device::sign_in(reach, name).await;
    }
    in_browser(reach, provider, arguments).await
}

async fn in_browser(reach: &Reach, provider: &Provider, arguments: &LoginArguments) -> Result<(), Report> {
    let account = &arguments.account;
    let mut way_back = WayBack::open(provider.redirect_uri.as_ref(), arguments.paste).await?;
    let begin = BeginSignIn { redirect_uri: way_back.redirect_uri.clone() };
    let path = format!("/api/v1/accounts/{account}/sign-in");
    let begun: SignInBegun = reach.call(Method::POST, &path, Some(&begin)).await?;
    let mut page = begun.url;
    loop {
        way_back.expect(&page);
        say(format_args!("Sign in as the mailbox of account `{account}` at:\n\n{page}\n"));
        if way_back.listens() {
            if !arguments.no_browser {
                open_browser(&page);
            }
            say(
                "Waiting for the browser. If it runs on another machine, paste the address it ends at here, and press Enter:",
            );
        } else {
            say("Then paste the address the browser ends at here, and press Enter:");
        }
        let patience = provider.sign_in_timeout;
        let url = tokio::time::timeout(patience, way_back.url()).await.map_err(|_| {
            Report::new(format!("nobody signed in within {} s", patience.as_secs()))
                .hint(format!("run `oxpost login {account}` again; `sign_in_timeout` of the provider gives more time"))
        })??;
        let url = whole(url, &page);
        let done: SignInFinished = reach.call(Method::POST, "/api/v1/sign-in", Some(&FinishSignIn { url })).await?;
        match done.next {
            Some(next) => {
                say("One more page: the provider wants consent for each resource by itself.");
                page = next;
            }
            None => return finish(reach, done, &mut way_back).await,
        }
    }
}

/// Some providers show a code instead of an address: then the state is that of the page that was opened.
fn whole(pasted: String, page: &Url) -> String {
    let is_code = !pasted.is_empty() && !pasted.contains(['=', '?', '&', ':', ' ']);
    let state = page.query_pairs().find(|(name, _)| name == "state").filter(|_| is_code);
    let Some((_, state)) = state else { return pasted };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("code", &pasted)
        .append_pair("state", &state)
        .finish();
    format!("?{query}")
}

async fn finish(reach: &Reach, done: SignInFinished, way_back: &mut WayBack) -> Result<(), Report> {
    let name = done.name.map(|name| format!(" as {name}")).unwrap_or_default();
    say(format_args!("account `{}` is signed in{name}", done.account));
    done.notes.iter().for_each(say);
    if done.released > 0 {
        say("mail that was held for it goes now");
    }
    let Some(question) = done.question else { return Ok(()) };
    say(format_args!("{question}\nType yes to send as that name, or press Enter to leave the mail on hold:"));
    if way_back.agrees().await {
        return confirm(reach, &done.account).await;
    }
    Err(Report::new(format!(
        "the mail of account `{}` stays on hold: nobody said that the name is meant",
        done.account
    ))
    .hint(format!("run `oxpost login {0} --confirm`, or `oxpost login {0}` to sign in as the mailbox", done.account)))
}

async fn confirm(reach: &Reach, account: &str) -> Result<(), Report> {
    let path = format!("/api/v1/accounts/{account}/confirm");
    let confirmed: Confirmed = reach.call(Method::POST, &path, None::<&()>).await?;
    say(format_args!("whoever signed account `{account}` in is meant"));
    if confirmed.released > 0 {
        say("mail that was held for it goes now");
    }
    Ok(())
}

fn find<'a>(config: &'a Config, account: &str) -> Option<(&'a AccountSettings, &'a Provider)> {
    let account = config.token.accounts.iter().find(|known| known.name == account)?;
    let provider = config.token.providers.iter().find(|provider| provider.name == account.provider)?;
    Some((account, provider))
}

fn unknown_account(config: &Config, account: &str) -> Report {
    let known: Vec<_> = config.token.accounts.iter().map(|a| a.name.as_str()).collect();
    Report::new(format!("no account `{account}` that can be signed in"))
        .hint(format!("the configuration has: {}", known.join(", ")))
}

/// Opens the browser if there is a desktop; whether it worked shows by itself.
fn open_browser(url: &Url) {
    let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if has_desktop {
        let command = Command::new("xdg-open")
            .arg(url.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if command.is_err() {
            let _closed =
                writeln!(std::io::stderr(), "no browser could be opened (xdg-open); open the address by hand");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_was_copied_alone_gets_the_state_of_its_page() {
        let page: Url = "https://login.example/authorize?client_id=a&state=s%2B1".parse().unwrap();
        let table = [
            ("4/0AbC-d_e", "?code=4%2F0AbC-d_e&state=s%2B1", "a code"),
            ("http://localhost/?code=a&state=b", "http://localhost/?code=a&state=b", "an address"),
            ("code=a&state=b", "code=a&state=b", "its query"),
            ("http://localhost/", "http://localhost/", "an address without an answer"),
        ];
        for (pasted, whole_text, why) in table {
            assert_eq!(whole(pasted.to_owned(), &page), whole_text, "{why}");
        }
    }
}
