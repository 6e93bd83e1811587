//! SMTP submission, in the words of smtp.office365.com.

mod command;
mod content;
mod login;
mod session;
pub(super) mod stream;
mod transaction;
pub(super) mod xoauth2;

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use self::session::Session;
use super::shared::Shared;

/// Accepts sessions until the tenant stops; each is a task of `tracker`.
pub(super) async fn serve(listener: TcpListener, tls: Arc<ServerConfig>, shared: Arc<Shared>, tracker: TaskTracker) {
    let tls = TlsAcceptor::from(tls);
    while let Some(accepted) = shared.stopping.run_until_cancelled(listener.accept()).await {
        let Ok((tcp, _)) = accepted else {
            // Out of descriptors, most likely: give others the time to close theirs.
            shared.pause(Duration::from_millis(50)).await;
            continue;
        };
        let session = Session::new(tcp, tls.clone(), Arc::clone(&shared));
        // An end without QUIT is the client's affair.
        tracker.spawn(async move { session.run().await.ok() });
    }
}
