//! A message that shows whether an account can send.

use std::sync::Arc;

use http::StatusCode;

use super::{Control, OwnMessage, Problem};
use crate::account::{Account, MailboxRule};
use crate::mail::{Address, QueueId};

/// Puts a test message into the queue. `from` is needed where the account has a whole domain.
///
/// # Errors
/// An address that is none, one that the account may not send from, or what the queue says.
pub async fn send(control: &Control, account: &Arc<Account>, to: &str, from: Option<&str>) -> Result<QueueId, Problem> {
    let to = address(to, "to")?;
    let from = sender(account, from)?;
    let subject = "Test message from oxpost".to_owned();
    let text = format!("Account `{}` can send. Nobody needs to answer this message.\r\n", account.name);
    let message = OwnMessage { account, from, to, subject, text };
    Ok(message.queue(&control.queue, control.clock.now()).await?)
}

fn sender(account: &Account, from: Option<&str>) -> Result<Address, Problem> {
    match (&account.mailbox, from) {
        (MailboxRule::One(mailbox), _) => Ok(mailbox.clone()),
        (MailboxRule::Domain(domain), Some(from)) => {
            let from = address(from, "from")?;
            if from.domain() == domain {
                return Ok(from);
            }
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{from}` is not in `{domain}`"), None)
                .hint("write a mailbox of the account's domain"))
        }
        (MailboxRule::Domain(domain), None) => {
            let what = format!("account `{}` can send from any mailbox of `{domain}`", account.name);
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, what, None).hint("write which one in `from`"))
        }
    }
}

fn address(text: &str, field: &str) -> Result<Address, Problem> {
    text.trim().parse().map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{field}` is no address: {error}"), None)
            .hint("write one, such as `it@contoso.com`")
    })
}
