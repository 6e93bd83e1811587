//! Mail that the gateway writes itself. It leaves through an account as everybody's does.

use mail_builder::MessageBuilder;
use mail_builder::headers::raw::Raw;

use crate::account::Account;
use crate::clock::Timestamp;
use crate::mail::{Address, Envelope, QueueId, Recipient, ReversePath, SenderPolicy};
use crate::queue::{NewMessage, Queue, QueueError, Route};

/// A message to one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnMessage<'a> {
    /// What it leaves through.
    pub account: &'a Account,
    /// The mailbox it leaves from: one of the account.
    pub from: Address,
    /// Who gets it.
    pub to: Address,
    /// One line.
    pub subject: String,
    /// Plain text, with CRLF.
    pub text: String,
}

impl OwnMessage<'_> {
    /// Puts it into the queue.
    ///
    /// # Errors
    /// What the queue says.
    pub async fn queue(self, queue: &Queue, now: Timestamp) -> Result<QueueId, QueueError> {
        let id = QueueId::fresh();
        let (content, message_id) = self.render(&id, now);
        let mut writer = queue.body_writer();
        writer.write(&content).await?;
        let body = writer.finish().await?;
        let mut envelope = Envelope::to_one(ReversePath::Mailbox(self.from.clone()), Recipient::from(self.to));
        envelope.smtputf8 = envelope.needs_smtputf8();
        let route = Route {
            account: self.account.name.clone(),
            provider: self.account.provider.clone(),
            mailbox: self.from,
            client: "oxpost".to_owned(),
            sender: SenderPolicy::Keep,
            reports_to: None,
        };
        let (prefix, message_id, peer, report_about) = (Vec::new(), Some(message_id), None, None);
        queue.accept(NewMessage { id, envelope, route, prefix, body, message_id, peer, report_about }).await
    }

    /// The content, and its message id in angle brackets.
    fn render(&self, id: &QueueId, now: Timestamp) -> (Vec<u8>, String) {
        let message_id = format!("{id}@{}", self.from.domain());
        let message = MessageBuilder::new()
            .from(("oxpost".to_owned(), self.from.to_string()))
            .to(self.to.to_string())
            .subject(self.subject.as_str())
            .date(now.as_millis() / 1_000)
            .message_id(message_id.clone())
            // RFC 3834 section 5: nobody's holiday notice is to answer it.
            .header("Auto-Submitted", Raw::new("auto-generated"))
            .text_body(self.text.as_str())
            .write_to_vec();
        // Writing into memory does not fail.
        (message.unwrap_or_default(), format!("<{message_id}>"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::setup;
    use super::*;

    #[test]
    fn what_the_gateway_writes_is_whole_and_asks_for_no_answer() {
        let setup = setup();
        let message = OwnMessage {
            account: setup.account("scanner").unwrap(),
            from: "scanner@contoso.com".parse().unwrap(),
            to: "jos\u{e9}@example.com".parse().unwrap(),
            subject: "Test".to_owned(),
            text: "One line.\r\n".to_owned(),
        };
        let id: QueueId = "07070707070707070707070707070707".parse().unwrap();
        let (content, message_id) = message.render(&id, Timestamp::from_millis(0));
        let text = String::from_utf8(content).unwrap();
        assert_eq!(message_id, format!("<{id}@contoso.com>"));
        for line in [
            "From: \"oxpost\" <scanner@contoso.com>",
            "To: <jos\u{e9}@example.com>",
            "Subject: Test",
            "Date: Thu, 1 Jan 1970 00:00:00 +0000",
            &format!("Message-ID: {message_id}"),
            "MIME-Version: 1.0",
            "Auto-Submitted: auto-generated",
        ] {
            assert!(text.split("\r\n").any(|own| own == line), "no `{line}` in {text}");
        }
        assert!(text.contains("\r\n\r\nOne line.\r\n"), "{text}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
    }
}
