//! The gateway as clients, providers and attackers meet it: the whole program in this process, against the practice
//! tenant, over loopback. `docs/security.md` says which test shows what.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops where an expectation fails")]

mod client;
mod house;

mod backup;
mod bounces;
mod clear_text;
mod commands;
mod cuts;
mod dialogues;
mod direct;
mod disk;
mod guessing;
mod history;
mod holds;
mod listeners;
mod outgoing;
#[path = "../support/proxy.rs"]
mod outside;
mod ownership;
mod pacing;
mod page;
#[path = "../support/port.rs"]
mod port;
mod programs;
mod proxy;
mod reading;
mod reading_limits;
mod reading_rights;
mod relay;
mod reports;
mod routing;
mod secrets;
mod sign_in;
mod slow;
mod smarthost;
mod smuggling;
mod spool;
mod the_way;
mod trouble;
mod values;
mod ways;
