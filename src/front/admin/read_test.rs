//! Shows whether an account can be read.

use http::StatusCode;

use super::{Control, Problem};
use crate::account::{Account, MailboxRule};
use crate::mail::Address;
use crate::reading::{Probe, Probed};

/// Logs in to a mailbox by each protocol the account is read by. `mailbox` is needed where the account has a whole
/// domain; elsewhere it may be a shared one.
///
/// # Errors
/// The account is not read, or does not open that mailbox. What the provider says is no error but the result.
pub async fn read(control: &Control, account: &Account, mailbox: Option<&str>) -> Result<Vec<Probed>, Problem> {
    let unprocessable = |what: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what, None);
    let setup = control.setup.load();
    let servers = setup.reading.get(&account.name);
    let servers = servers.filter(|servers| servers.imap.is_some() || servers.pop3.is_some());
    let servers = servers.ok_or_else(|| {
        unprocessable(format!("account `{}` is not read", account.name)).hint("add `read = [\"imap\"]` to it")
    })?;
    let mailbox = chosen(account, mailbox).map_err(|(what, hint)| unprocessable(what).hint(hint))?;
    let Control { tokens, connector, .. } = control;
    Ok(Probe { tokens, connector, step_timeout: setup.step_timeout }.run(&account.name, servers, &mailbox).await)
}

fn chosen(account: &Account, mailbox: Option<&str>) -> Result<Address, (String, &'static str)> {
    let typed = match (mailbox, &account.mailbox) {
        (Some(typed), _) => typed.trim().parse::<Address>(),
        (None, MailboxRule::One(own)) => Ok(own.clone()),
        (None, MailboxRule::Domain(domain)) => {
            let what = format!("account `{}` can read any mailbox of `{domain}`", account.name);
            return Err((what, "write which one in `mailbox`"));
        }
    };
    let typed =
        typed.map_err(|error| (format!("`mailbox` is no address: {error}"), "write one, such as `it@contoso.com`"))?;
    if account.opens(&typed) {
        return Ok(typed);
    }
    Err((format!("account `{}` does not open `{typed}`", account.name), "write its own mailbox, or add it to `shared`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailbox_that_the_account_does_not_open_is_not_tried() {
        let one = MailboxRule::One("a@x.example".parse().unwrap());
        let domain = MailboxRule::Domain("x.example".parse().unwrap());
        let table = [
            (&one, None, Ok("a@x.example"), "its own"),
            (&one, Some("A@x.example"), Ok("A@x.example"), "its own, by name"),
            (&one, Some(" shared@y.example "), Ok("shared@y.example"), "a shared one"),
            (&one, Some("b@x.example"), Err("account `a` does not open `b@x.example`"), "somebody else's"),
            (&one, Some("b"), Err("`mailbox` is no address"), "a name alone"),
            (&domain, None, Err("account `a` can read any mailbox of `x.example`"), "which one?"),
            (&domain, Some("c@x.example"), Ok("c@x.example"), "one of the domain"),
            (&domain, Some("c@y.example"), Err("account `a` does not open `c@y.example`"), "of another domain"),
        ];
        for (rule, typed, expected, why) in table {
            let account = Account {
                name: "a".to_owned(),
                provider: "p".to_owned(),
                mailbox: rule.clone(),
                shared: vec!["shared@y.example".parse().unwrap()],
            };
            match (chosen(&account, typed), expected) {
                (Ok(mailbox), Ok(expected)) => assert_eq!(mailbox.to_string(), expected, "{why}"),
                (Err((what, _)), Err(expected)) => assert!(what.starts_with(expected), "{why}: {what}"),
                (other, _) => panic!("{why}: {other:?}"),
            }
        }
    }
}
