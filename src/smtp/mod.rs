//! SMTP (RFC 5321) as values without I/O: octets in, actions out.

mod action;
mod command;
pub mod data;
mod input;
mod options;
mod path;
pub mod replies;
pub mod reply;
pub mod session;
pub mod upstream;

pub use action::{Action, AuthResult, Credentials, MailRequest, Mechanism, RcptRequest, RcptTarget};
pub use data::DotStuffer;
pub use options::{AuthRule, LineEndings, Options};
pub use reply::Reply;
pub use session::{Hello, Session};
