//! A login without a message: whether a mailbox would be let in.

use super::session::{Session, Target};
use super::{Lost, Timeouts};
use crate::delivery::{SmtpWay, Token};
use crate::mail::{Address, Failure};
use crate::net::connect::Connector;

/// Connects, starts TLS, logs in and says goodbye.
///
/// # Errors
/// What a delivery would meet on the same way.
pub async fn try_login(
    way: &SmtpWay,
    connector: &Connector,
    timeouts: Timeouts,
    mailbox: &Address,
    token: &Token,
) -> Result<(), Failure> {
    let target = Target { way: way.clone(), connector: connector.clone(), timeouts };
    let session = Session::open(&target, mailbox, Some(token)).await.map_err(|lost: Lost| Failure::from(lost))?;
    session.close();
    Ok(())
}
