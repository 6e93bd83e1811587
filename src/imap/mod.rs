//! IMAP (RFC 9051, RFC 3501) up to the login, as values without I/O. After it nothing is read any more: both streams are
//! joined octet by octet.

mod arguments;
mod literal;
pub mod session;
pub mod upstream;

pub use session::{Action, Handover, Options, Session};
pub use upstream::{LoggedIn, Step, Trouble, Upstream};
