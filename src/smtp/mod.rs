//! SMTP (RFC 5321) as values without I/O.

pub mod upstream;
