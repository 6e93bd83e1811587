//! A session after its login: two connections, joined.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Reading;
use super::desk::{Desk, Inside};
use super::dialogue::Front;
use super::sessions::{Entered, OpenSession};
use crate::mail::Event;
use crate::net::Stream;
use crate::net::splice::{Ending, Ends, Rules, Traffic, splice};
use crate::reading::UpstreamStream;

/// How long half a connection is kept in which nothing moves.
const HALF_CLOSED: Duration = Duration::from_secs(60);
/// How long a session must be silent to be ended when the program stops: an octet of ours could land inside a literal,
/// so it is ended without a word.
const QUIET: Duration = Duration::from_secs(2);

/// A session that is only carried.
pub(super) struct Joined {
    ends: Ends<Stream, UpstreamStream>,
    rules: Rules,
    entered: Entered,
    reading: Arc<Reading>,
}

impl Joined {
    /// Joins the client with the server that let it in.
    pub(super) fn new(
        client: Stream,
        front: Front,
        desk: Desk,
        inside: Inside,
        draining: CancellationToken,
    ) -> Option<Self> {
        let Inside { admission, stream, logged_in } = inside;
        let leftover = front.logged_in(logged_in)?;
        let Desk { door, peer, id, .. } = desk;
        let reading = Arc::clone(&door.reading);
        let (protocol, idle_timeout) = (door.protocol, door.settings.idle_timeout);
        let hang_up = CancellationToken::new();
        let open = OpenSession {
            id,
            protocol: protocol.name(),
            client: admission.client.name.clone(),
            account: admission.account.name.clone(),
            mailbox: admission.mailbox.to_string(),
            peer,
            since: reading.clock.now(),
            traffic: Traffic::default(),
            hang_up: hang_up.clone(),
        };
        reading.observer.observe(&Event::SessionOpened {
            session: open.id.clone(),
            protocol: open.protocol,
            client: open.client.clone(),
            account: open.account.clone(),
            mailbox: open.mailbox.clone(),
            peer,
        });
        let rules = Rules { idle: idle_timeout, half_closed: HALF_CLOSED, hang_up, draining, quiet: QUIET };
        let (to_client, to_upstream) = (leftover.to_client, leftover.to_upstream);
        let ends = Ends { client, upstream: stream, to_client, to_upstream };
        Some(Self { ends, rules, entered: reading.sessions.enter(open), reading })
    }

    /// Carries it to its end.
    pub(super) async fn carry(self) {
        let Self { ends, rules, entered, reading } = self;
        let session = Arc::clone(&entered.session);
        let why = match splice(ends, &rules, &session.traffic).await {
            Ok(Ending::Closed) => "closed".to_owned(),
            Ok(Ending::Idle) => "silent too long".to_owned(),
            Ok(Ending::HungUp) => "ended by an administrator".to_owned(),
            Ok(Ending::Drained) => "the gateway stops".to_owned(),
            Err(error) => format!("a connection broke: {error}"),
        };
        let millis = reading.clock.now().since(session.since).as_millis();
        reading.observer.observe(&Event::SessionClosed {
            session: session.id.clone(),
            protocol: session.protocol,
            client: session.client.clone(),
            account: session.account.clone(),
            mailbox: session.mailbox.clone(),
            why,
            up: session.traffic.up(),
            down: session.traffic.down(),
            millis: u64::try_from(millis).unwrap_or(u64::MAX),
        });
    }
}
