//! POP3 (RFC 1939, RFC 2449, RFC 5034) up to the login, as values without I/O. After it nothing is read any more: both
//! streams are joined octet by octet.

pub mod session;
pub mod upstream;

pub use session::{Action, Handover, Options, Session};
pub use upstream::{Step, Trouble, Upstream};
