//! oxpost: plain SMTP, IMAP and POP3 in, OAuth 2.0 out.
//!
//! The house, from the ground up (`tests/layering.rs` keeps each floor from using a higher one):
//! `secret`, `clock`; `mail`, `octets`, `proxy`, `sasl`; `smtp`, `imap`, `pop3`; `account`, `telemetry`; `net`, `http`, `store`;
//! `token`, `queue`; `delivery`, `directory`; `front`; `config`; `gateway`; `cli`. Beside it stands `practice`, a provider
//! to practise against.

pub mod account;
pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod directory;
pub mod front;
pub mod gateway;
pub mod http;
pub mod imap;
pub mod mail;
pub mod net;
pub mod octets;
pub mod pop3;
pub mod practice;
pub mod proxy;
pub mod queue;
pub mod reading;
pub mod sasl;
pub mod secret;
pub mod smtp;
pub mod store;
pub mod telemetry;
pub mod token;
pub mod unix;
