//! IMAP (RFC 9051, RFC 3501) up to the login, as values without I/O. After it nothing of a client's session is read any
//! more: both streams are joined octet by octet. What oxpost itself asks a server goes by `answers`.

pub mod answers;
mod arguments;
mod literal;
pub mod session;
pub mod upstream;

pub use session::{Action, Handover, Options, Session};
pub use upstream::{LoggedIn, Step, Trouble, Upstream};
