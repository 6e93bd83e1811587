//! A question that changes nothing: whether Exchange lets anybody into a mailbox.

use std::time::Duration;

use super::{anchor, answer, request};
use crate::delivery::web::transport;
use crate::delivery::{EwsWay, Token};
use crate::http::{Http, Request};
use crate::mail::{Address, Failure};

/// Asks for the folder of sent mail.
///
/// # Errors
/// What a delivery would meet on the same way.
pub async fn try_mailbox(
    way: &EwsWay,
    http: &Http,
    timeout: Duration,
    mailbox: &Address,
    token: &Token,
) -> Result<(), Failure> {
    let mailbox = mailbox.to_string();
    let (name, value) = anchor(&mailbox)?;
    let request = Request::post(way.url.clone(), "text/xml; charset=utf-8", request::folder(way, &mailbox))
        .timeout(timeout)
        .header(name, value)
        .bearer(&token.secret)
        .map_err(|error| transport(&error))?;
    let response = http.send(request).await.map_err(|error| transport(&error))?;
    answer::read(&response).map(drop)
}
