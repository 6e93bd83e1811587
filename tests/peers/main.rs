//! A chain nobody of us wrote: swaks, msmtp, curl and Python's smtplib hand mail to oxpost; oxpost signs in at npm's
//! `oidc-provider` and submits to Postfix; Dovecot checks the tokens and keeps the mail.
//!
//! And for reading: mbsync, getmail, fetchmail, offlineimap, mutt, curl and Python's imaplib and poplib read that mail
//! back through oxpost.
//!
//! `./test` installs these programs and runs this. It needs root: Postfix and Dovecot do.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "helpers of tests")]

#[allow(dead_code, reason = "of what the tests of the ways use, these take a part")]
#[path = "../ways/bench.rs"]
mod bench;
#[path = "../ways/program.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;

mod chain;
mod clients;
mod gateway;
mod grants;
mod identity;
mod programs;
mod promise;
mod proxies;
mod reading;
mod recipes;
mod relay;
mod signatures;
mod tokens;
mod upstream;
