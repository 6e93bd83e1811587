//! A message that shows whether an account can send.

use std::sync::Arc;

use http::StatusCode;

use super::{Control, Problem};
use crate::account::{Account, MailboxRule};
use crate::mail::{Address, Envelope, QueueId, Recipient, ReversePath, SenderPolicy};
use crate::queue::{NewMessage, Route};

/// Puts a test message into the queue. `from` is needed where the account has a whole domain.
///
/// # Errors
/// An address that is none, one that the account may not send from, or what the queue says.
pub async fn send(control: &Control, account: &Arc<Account>, to: &str, from: Option<&str>) -> Result<QueueId, Problem> {
    let to = address(to, "to")?;
    let mailbox = sender(account, from)?;
    let id = QueueId::fresh();
    let message_id = format!("<{id}@{}>", mailbox.domain());
    let text = format!(
        "From: <{mailbox}>\r\nTo: <{to}>\r\nSubject: Test message from oxpost\r\nDate: {}\r\n\
         Message-ID: {message_id}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Auto-Submitted: auto-generated\r\n\r\n\
         Account `{}` can send. Nobody needs to answer this message.\r\n",
        control.clock.now().rfc5322(),
        account.name,
    );
    let mut writer = control.queue.body_writer();
    writer.write(text.as_bytes()).await?;
    let body = writer.finish().await?;
    let mut envelope = Envelope::to_one(ReversePath::Mailbox(mailbox.clone()), Recipient::from(to));
    envelope.smtputf8 = envelope.needs_smtputf8();
    let route = Route {
        account: account.name.clone(),
        provider: account.provider.clone(),
        mailbox,
        client: "oxpost".to_owned(),
        sender: SenderPolicy::Keep,
        reports_to: None,
    };
    let (prefix, message_id, peer, report_about) = (Vec::new(), Some(message_id), None, None);
    Ok(control.queue.accept(NewMessage { id, envelope, route, prefix, body, message_id, peer, report_about }).await?)
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
