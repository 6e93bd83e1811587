//! The background: due tokens are renewed, idle grants kept alive, dead ones left in peace.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::support::{Bench, Reply, imported};
use crate::token::{Grant, Purpose};

fn background(bench: &Bench) -> (CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    (stop.clone(), tokio::spawn(bench.manager.clone().renew_in_background(stop)))
}

/// Lets the background look at the clock.
fn wake(bench: &Bench) {
    bench.manager.reload(bench.settings.clone());
}

/// Waits until the answer under way is in.
async fn taken_in(bench: &Bench) {
    drop(bench.manager.entries()[0].flight().await);
}

#[tokio::test]
async fn a_token_in_use_is_renewed_ten_minutes_before_its_end_and_an_unused_one_is_not() {
    let bench = Bench::new(Grant::ClientCredentials).await;
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let (stop, running) = background(&bench);
    bench.clock.advance(Duration::from_secs(3000));
    wake(&bench);
    bench.endpoint.asked(2).await;
    // Nobody used the second one: it is let go.
    stop.cancel();
    running.await.unwrap();
    let (stop, running) = background(&bench);
    bench.clock.advance(Duration::from_secs(3000));
    wake(&bench);
    stop.cancel();
    running.await.unwrap();
    assert_eq!(bench.endpoint.seen().len(), 2);
}

#[tokio::test]
async fn a_short_life_is_renewed_after_four_fifths_of_it() {
    let bench = Bench::new(Grant::ClientCredentials).await;
    bench.endpoint.reply(Reply::Tokens(json!({ "expires_in": 10 })));
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let (stop, running) = background(&bench);
    bench.clock.advance(Duration::from_secs(8));
    wake(&bench);
    bench.endpoint.asked(2).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn an_idle_refresh_token_is_used_once_a_day_and_an_imported_one_at_once() {
    let bench = Bench::new(imported()).await;
    let (stop, running) = background(&bench);
    bench.endpoint.asked(1).await;
    taken_in(&bench).await;
    bench.clock.advance(Duration::from_secs(24 * 60 * 60));
    wake(&bench);
    bench.endpoint.asked(2).await;
    stop.cancel();
    running.await.unwrap();
    assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-2"), "the end waits for what is under way");
}

#[tokio::test]
async fn a_dead_grant_is_left_in_peace() {
    let bench = Bench::new(imported()).await;
    bench.endpoint.reply(Reply::error(400, "invalid_grant"));
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    let (stop, running) = background(&bench);
    for _ in 0..3 {
        bench.clock.advance(Duration::from_secs(24 * 60 * 60));
        wake(&bench);
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.await.unwrap();
    assert_eq!(bench.endpoint.seen().len(), 1);
}

#[tokio::test]
async fn trouble_in_the_background_is_tried_again_after_its_wait() {
    let bench = Bench::new(imported()).await;
    bench.endpoint.reply(Reply::Raw(503, Vec::new(), Vec::new()));
    let (stop, running) = background(&bench);
    bench.endpoint.asked(1).await;
    taken_in(&bench).await;
    bench.clock.advance(Duration::from_secs(5));
    wake(&bench);
    bench.endpoint.asked(2).await;
    stop.cancel();
    running.await.unwrap();
}
