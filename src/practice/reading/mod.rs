//! Reading, in the words of outlook.office365.com: as much of IMAP and POP3 as it takes to read what arrived.

mod imap;
mod pop3;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::directory::same;
use super::ledger::Holder;
use super::post_office::Place;
use super::scope::Resource;
use super::shared::Shared;
use super::smtp::stream::Connection;
use super::smtp::xoauth2::{self, Claim};

/// Octets of a line: an AUTHENTICATE with its token.
const LONGEST: usize = 12_288;

/// What is spoken.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    Imap,
    Pop3,
}

/// Accepts sessions, under TLS from the first octet, until the tenant stops.
pub(super) async fn serve(
    protocol: Protocol,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    shared: Arc<Shared>,
    tracker: TaskTracker,
) {
    let tls = TlsAcceptor::from(tls);
    while let Some(accepted) = shared.stopping.run_until_cancelled(listener.accept()).await {
        let Ok((tcp, _)) = accepted else {
            // Out of descriptors, most likely: give others the time to close theirs.
            shared.pause(Duration::from_millis(50)).await;
            continue;
        };
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        let session = async move {
            let _nodelay = tcp.set_nodelay(true);
            let stream = tls.accept(tcp).await?;
            let connection = Connection::new(Box::new(stream), Arc::clone(&shared));
            match protocol {
                Protocol::Imap => imap::Session::new(connection, shared).run().await,
                Protocol::Pop3 => pop3::Session::new(connection, shared).run().await,
            }
        };
        // An end without a goodbye is the client's affair.
        tracker.spawn(async move { session.await.ok() });
    }
}

/// Whose mail this response opens; why it opens none.
fn judge(shared: &Shared, response: &str, permission: [&str; 2]) -> Result<String, String> {
    let Claim { mailbox, token } = xoauth2::decode(response).map_err(|bad| bad.to_string())?;
    let access =
        shared.access(&token).map_err(|bad| format!("the access token for `{mailbox}` is no good: {bad:?}"))?;
    if access.audience != Resource::Exchange {
        return Err("the access token is for Graph, not for Exchange".to_owned());
    }
    let wanted = if access.holder == Holder::App { permission[1] } else { permission[0] };
    if !access.may(&[wanted]) {
        return Err(format!("the access token does not carry `{wanted}`"));
    }
    let user = shared.directory.user(&mailbox).filter(|user| same(&user.address, &mailbox));
    let user = user.ok_or_else(|| format!("there is no mailbox `{mailbox}`"))?;
    // Who may send as a mailbox is taken to have full access to it.
    let allowed = match &access.holder {
        Holder::App => true,
        Holder::User(signed_in) => shared.directory.user(signed_in).is_some_and(|who| who.may_send_as(&user.address)),
    };
    if allowed { Ok(user.address.clone()) } else { Err(format!("`{mailbox}` is not the account of the token")) }
}

/// The challenge that tells why, in base64.
fn challenge() -> String {
    STANDARD.encode(r#"{"status":"401","schemes":"Bearer","scope":"https://outlook.office.com/IMAP.AccessAsUser.All"}"#)
}

/// What a mailbox holds: the messages it got, oldest first.
fn messages(shared: &Shared, mailbox: &str) -> Vec<Arc<[u8]>> {
    let got = |recipients: &[String]| recipients.iter().any(|recipient| same(recipient, mailbox));
    shared.office.mail().iter().filter(|mail| got(&mail.recipients)).map(|mail| Arc::clone(&mail.shown)).collect()
}

/// Notes what a client did wrong.
fn object(shared: &Shared, why: String) {
    shared.note(Place::Reading, why);
}

/// An end in the middle of something is an end.
fn gone() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
