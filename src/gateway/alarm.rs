//! Tells people of an account that needs them: by mail through the `notify` account, and by a webhook.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::mpsc;

use super::Running;
use crate::account::MailboxRule;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::front::admin::OwnMessage;
use crate::http::{Http, Request};
use crate::mail::{Event, Observer, Reason};
use crate::queue::Queue;

/// Notices that may wait to be sent. More than that at once are not read by anybody.
const BACKLOG: usize = 64;

/// An account that needs somebody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Notice {
    account: String,
    kind: Kind,
    what: String,
    hint: String,
    due: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// It works still.
    Warning,
    /// Its mail waits.
    SignInNeeded,
    /// Mail of a mailbox waits for another reason, or still waits.
    Held,
}

/// Passes every event on, and keeps what people must be told.
pub(super) struct Alarm {
    next: Arc<dyn Observer>,
    notices: mpsc::Sender<Notice>,
}

impl Alarm {
    /// Around another observer.
    pub(super) fn around(next: Arc<dyn Observer>) -> (Arc<dyn Observer>, mpsc::Receiver<Notice>) {
        let (notices, received) = mpsc::channel(BACKLOG);
        (Arc::new(Self { next, notices }), received)
    }
}

impl Observer for Alarm {
    #[expect(clippy::wildcard_enum_match_arm, reason = "few kinds of event are for people at once")]
    fn observe(&self, event: &Event) {
        self.next.observe(event);
        let notice = match event.clone() {
            Event::AccountWarning { account, what, hint, due } => {
                Notice { account, kind: Kind::Warning, what, hint, due }
            }
            Event::SignInNeeded { account, why, hint } => {
                Notice { account, kind: Kind::SignInNeeded, what: why, hint, due: None }
            }
            // Trouble with the sign-in has its own event, and who holds a mailbox by hand knows.
            Event::Held { account, mailbox, failure, fresh: true, .. } if is_news(failure.reason) => {
                let what = format!("mail of `{mailbox}` is held: {failure}");
                let hint = failure.reason.hint(&account);
                Notice { account, kind: Kind::Held, what, hint, due: None }
            }
            Event::StillHeld { account, mailbox, failure, since, waiting } => {
                let what = format!("{waiting} messages of `{mailbox}` are held since {since}: {failure}");
                let hint = failure.reason.hint(&account);
                Notice { account, kind: Kind::Held, what, hint, due: None }
            }
            _ => return,
        };
        if self.notices.try_send(notice).is_err() {
            tracing::warn!("too many notices at once: one is in the log alone");
        }
    }
}

/// Whether a hold for this reason is told here.
const fn is_news(reason: Reason) -> bool {
    !matches!(reason, Reason::SignInNeeded | Reason::ConfigurationRejected | Reason::HeldByHand)
}

/// Sends notices as long as there may be some.
pub(super) async fn run(mut notices: mpsc::Receiver<Notice>, running: Arc<Running>, queue: Queue, http: Http) {
    while let Some(notice) = notices.recv().await {
        let config = running.config.load_full();
        if let Some(mail) = mail(&config, &notice)
            && let Err(error) = mail.queue(&queue, running.clock.now()).await
        {
            tracing::warn!(account = notice.account, %error, "the notice cannot be sent by mail");
        }
        if let Some(url) = &config.notify_webhook
            && let Err(why) = call(&http, url.clone(), &notice, &config.hostname).await
        {
            tracing::warn!(account = notice.account, why, "the webhook did not take the notice");
        }
    }
}

async fn call(http: &Http, url: url::Url, notice: &Notice, hostname: &str) -> Result<(), String> {
    let body = notice.json(hostname).to_string();
    let answer = http.send(Request::post(url, "application/json", body)).await.map_err(|error| error.to_string())?;
    if (200..300).contains(&answer.status) { Ok(()) } else { Err(format!("it answers {}", answer.status)) }
}

impl Notice {
    fn json(&self, hostname: &str) -> serde_json::Value {
        json!({
            "gateway": hostname,
            "account": self.account,
            "kind": match self.kind { Kind::Warning => "warning", Kind::SignInNeeded => "sign-in-needed", Kind::Held => "held" },
            "what": self.what,
            "hint": self.hint,
            "due": self.due.map(|due| due.to_string()),
        })
    }

    fn text(&self, hostname: &str) -> String {
        let Self { account, what, hint, due, .. } = self;
        let due = due.map(|due| format!("When: {due}\r\n")).unwrap_or_default();
        format!("Account: {account}\r\nGateway: {hostname}\r\n\r\nWhat: {what}\r\n{due}What to do: {hint}\r\n")
    }

    fn subject(&self) -> String {
        match self.kind {
            Kind::Warning => format!("oxpost: account {} will need you", self.account),
            Kind::SignInNeeded => format!("oxpost: account {} needs you, or its mail waits", self.account),
            Kind::Held => format!("oxpost: mail of account {} is held", self.account),
        }
    }
}

/// A notice as mail; `None` if nobody is to be told by mail, or if the account that would tell is the one in trouble.
fn mail<'c>(config: &'c Config, notice: &Notice) -> Option<OwnMessage<'c>> {
    let named = config.notify.as_ref()?;
    if notice.kind != Kind::Warning && notice.account == *named {
        return None;
    }
    let account = config.accounts.iter().find(|account| account.name == *named)?;
    let MailboxRule::One(mailbox) = &account.mailbox else { return None };
    let to = config.notify_to.clone().unwrap_or_else(|| mailbox.clone());
    let text = notice.text(&config.hostname);
    Some(OwnMessage { account, from: mailbox.clone(), to, subject: notice.subject(), text })
}
