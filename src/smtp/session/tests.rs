//! What no dialogue file can show: tables, splits, random octets, answers that never come.

use super::*;
use crate::smtp::{AuthResult, RcptTarget};

/// Answers every question with yes and keeps what a driver would keep.
#[derive(Default)]
struct Driver {
    wire: Vec<u8>,
    open: Option<Vec<u8>>,
    messages: Vec<String>,
    recipients: Vec<String>,
    closed: bool,
}

impl Driver {
    fn drive(&mut self, session: &mut Session) {
        while let Some(action) = session.next_action() {
            match action {
                Action::Reply(octets) => self.wire.extend(octets),
                Action::StartTls => session.tls_started(),
                Action::Authenticate(_) => session.authenticated(AuthResult::Accepted),
                Action::Mail(_) => {
                    self.recipients.clear();
                    session.mail_answered(Ok(()));
                }
                Action::Rcpt(request) => {
                    self.recipients.push(match request.target {
                        RcptTarget::Address(address) => address.to_string(),
                        RcptTarget::Postmaster => "postmaster".to_owned(),
                    });
                    session.recipient_answered(Ok(()));
                }
                Action::StartBody => {
                    self.open = Some(Vec::new());
                    session.data_answered(Ok(()));
                }
                Action::Body(piece) => self.open.as_mut().expect("content was opened").extend(piece),
                Action::DiscardBody => self.open = None,
                Action::EndOfBody => {
                    let content = self.open.take().expect("content was opened");
                    self.messages.push(String::from_utf8_lossy(&content).into_owned());
                    session.accepted(replies::DONE);
                }
                Action::Close => self.closed = true,
            }
        }
    }

    fn replies(&self) -> Vec<&str> {
        std::str::from_utf8(&self.wire).expect("replies are ASCII").split_terminator("\r\n").collect()
    }
}

fn options() -> Options {
    Options { auth: AuthRule::Always, ..Options::new("mx.example") }
}

#[test]
fn a_message_goes_in() {
    let mut session = Session::new(options(), false);
    let mut driver = Driver::default();
    for octets in [
        "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
        "Subject: x\r\n\r\n..y\r\n.\r\nQUIT\r\n",
    ] {
        session.receive(octets.as_bytes());
        driver.drive(&mut session);
    }
    assert_eq!(driver.messages, ["Subject: x\r\n\r\n.y\r\n"]);
    assert!(driver.closed);
    assert_eq!(driver.replies().last(), Some(&"221 2.0.0 Goodbye"));
}
