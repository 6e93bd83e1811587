//! What the submission front says beyond the protocol's own replies.

use std::net::IpAddr;

use crate::account::NoMailbox;
use crate::mail::{Address, EnhancedStatusCode, Failure, QueueId};
use crate::queue::QueueError;
use crate::smtp::{Reply, replies};

const fn status(class: u8, subject: u16, detail: u16) -> EnhancedStatusCode {
    EnhancedStatusCode::new(class, subject, detail)
}

/// The header block is larger than anything a mail program makes.
pub(super) const HEADER_TOO_LARGE: Reply = Reply::new(552, status(5, 3, 4), "The header is too large: 256 kB at most");
/// More Received lines than a path has hops.
pub(super) const LOOP: Reply =
    Reply::new(554, status(5, 4, 6), "Mail loop: more than 50 Received lines; check where this message comes from");
/// A recipient whose mail takes another account than that of the recipients before it.
pub(super) const ANOTHER_ROUTE: Reply =
    Reply::new(452, status(4, 5, 3), "This recipient's mail takes another account; send to it in a message of its own");
/// More recipients than a message may have.
pub(super) const TOO_MANY: Reply =
    Reply::new(554, status(5, 5, 3), "The message has more than 1000 recipients; send it in parts");
/// A message that names no recipient.
pub(super) const NOBODY: Reply =
    Reply::new(554, status(5, 5, 1), "The message names nobody in To, Cc or Bcc; name at least one recipient");
const NO_WAY_OUT: Reply =
    Reply::new(554, status(5, 3, 5), "The account has no way out; its administrator must mend `send`");
const TOO_LARGE: Reply = Reply::new(552, status(5, 3, 4), "Too large");
const SENDER_REFUSED: Reply = Reply::new(550, status(5, 7, 1), "Sender refused");
const STRANGER: Reply = Reply::new(554, status(5, 7, 1), "Not for you");
const QUEUED: Reply = Reply::new(250, status(2, 0, 0), "queued");

/// The message is durable.
pub(super) fn queued(id: QueueId) -> Reply {
    QUEUED.saying(&format!("queued as {id}"))
}

/// The provider took the message for all recipients.
pub(super) fn relayed(id: QueueId) -> Reply {
    QUEUED.saying(&format!("relayed as {id}"))
}

/// Nobody took the message: the provider's words and the next step.
pub(super) fn not_relayed(failure: &Failure, account: &str) -> Reply {
    let reply = Reply::from(failure);
    reply.saying(&format!("{}; {}", reply.text(), failure.reason.hint(account)))
}

/// Larger than any way out of the account carries.
pub(super) fn too_large(max_octets: u64) -> Reply {
    TOO_LARGE.saying(&format!("The message is too large: this account can send at most {max_octets} octets"))
}

/// Signed or encrypted mail that only a way could carry which takes mail apart.
pub(super) fn sealed_too_large(media_type: &str, max_octets: u64) -> Reply {
    TOO_LARGE.saying(&format!(
        "The message is too large: it is `{media_type}`, which is never taken apart, and this account can send at most \
         {max_octets} octets in one piece"
    ))
}

/// A strict client may send as its mailbox alone.
pub(super) fn sender_refused(mailbox: &Address) -> Reply {
    SENDER_REFUSED.saying(&format!("This client may send as <{mailbox}> alone"))
}

/// The client's account is for a whole domain, and nothing says which mailbox to use.
pub(super) fn no_mailbox(client: &str, error: &NoMailbox) -> Reply {
    SENDER_REFUSED.saying(&format!("No mailbox for this sender: {error}; set `mailbox` for the client `{client}`"))
}

/// A route leads to an account that has another mailbox than the one asked for.
pub(super) fn not_from(mailbox: &Address) -> Reply {
    SENDER_REFUSED.saying(&format!("The message does not leave from <{mailbox}>: a route leads it to another account"))
}

/// The account has no way out.
pub(super) fn no_way_out() -> Reply {
    NO_WAY_OUT
}

/// Nobody from that address may come in.
pub(super) fn stranger(peer: IpAddr) -> Reply {
    let peer = peer.to_canonical();
    STRANGER.saying(&format!(
        "{peer} is in no client's network; the administrator can add it to `networks` of a `[[client]]`"
    ))
}

/// Our own trouble is temporary on the wire, whatever it is.
pub(super) fn from_queue_error(error: &QueueError) -> Reply {
    if matches!(error, QueueError::NoRoom) { replies::NO_ROOM } else { replies::LOCAL_TROUBLE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_trouble_is_temporary() {
        assert_eq!(
            from_queue_error(&QueueError::NoRoom).to_octets(),
            b"452 4.3.1 No room for more mail at the moment, try again later\r\n"
        );
        assert_eq!(from_queue_error(&QueueError::BodyDamaged("x".to_owned())).code(), 451);
    }

    #[test]
    fn replies_name_the_thing_and_the_remedy() {
        let text = |reply: Reply| String::from_utf8(reply.to_octets()).unwrap();
        assert_eq!(
            text(stranger("::ffff:192.0.2.9".parse().unwrap())),
            "554 5.7.1 192.0.2.9 is in no client's network; the administrator can add it to `networks` of a `[[client]]`\r\n"
        );
        assert!(
            text(too_large(3_145_728))
                .starts_with("552 5.3.4 The message is too large: this account can send at most 3145728 octets")
        );
    }
}
