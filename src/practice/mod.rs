//! The practice tenant: a loopback look-alike of Microsoft 365 to practise against, for `oxpost try` and for tests.
//!
//! It checks what the real one checks: the audience and scope of a token, PKCE, one resource per token request, size
//! limits, base64, line ends, who may send as whom. It reads with parsers of its own or of others (mail-parser), never
//! with the gateway's, so that it cannot confirm our own mistakes.
//!
//! It gives tokens to everybody who asks and so listens on loopback only.

mod assembly;
mod authority;
mod bounces;
mod codes;
mod directory;
mod ews;
mod faults;
mod gmail;
mod graph;
mod identity;
mod items;
mod ledger;
mod letter;
mod page;
mod post_office;
mod reading;
mod scope;
mod settings;
mod shared;
mod smtp;
mod switches;
mod tenant;
mod wire;

#[cfg(test)]
mod tests;

pub use directory::{APP_CLIENT_ID, APP_CLIENT_SECRET, App, Directory, PUBLIC_CLIENT_ID, User};
pub use faults::{
    AuthFault, DotFault, Fault, GraphFault, GreetingFault, PeopleFault, RecipientFault, Rule, Times, TokenFault,
    WebStep,
};
pub use post_office::{Arrived, Finding, Place, Seen, Via};
pub use settings::{PracticeError, Settings};
pub use switches::{FailedAuth, Knobs, MessageRate, Oversize, Rotation, Switches};
pub use tenant::Tenant;
