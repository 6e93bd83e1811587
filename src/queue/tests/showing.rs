use super::*;

const HOUR: Duration = Duration::from_hours(1);

async fn found(desk: &Desk, filter: Filter) -> Vec<QueueId> {
    desk.queue.list(filter).await.unwrap().into_iter().map(|summary| summary.id).collect()
}

#[tokio::test]
async fn a_list_is_searched_by_what_people_know_of_a_message() {
    let desk = Desk::new().await;
    let first = desk.accept(&["ann_b@x.example", "bob@x.example"]).await;
    let second = desk.accept(&["annxb@x.example"]).await;
    let table = [
        ("bob@", vec![first], "a recipient that is not the first"),
        ("BOB", vec![first], "in any case"),
        ("ann_b", vec![first], "a blank that is none of ours"),
        ("%", vec![], "nor is this"),
        ("app@x", vec![second, first], "the reverse path"),
        ("<1@x", vec![second, first], "the Message-ID"),
        (&second.to_string(), vec![second], "the queue id"),
        ("nobody", vec![], "nothing"),
        ("  ", vec![second, first], "no search at all"),
    ];
    for (text, expected, why) in table {
        let filter = Filter { search: Some(text.to_owned()), all: true, ..Filter::default() };
        assert_eq!(found(&desk, filter).await, expected, "{why}");
    }
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let desk = Desk::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, desk.accept(&["a@x.example"]).await);
    }
    let mut read = Vec::new();
    let mut before = None;
    loop {
        let page = found(&desk, Filter { limit: Some(2), before, ..Filter::default() }).await;
        let Some(last) = page.last() else { break };
        before = Some(*last);
        read.extend(page);
    }
    assert_eq!(read, ids, "each once, newest first");
}

#[tokio::test]
async fn history_is_searched_by_client_and_time_and_told_whole() {
    let desk = Desk::new().await;
    let begin = desk.clock.now();
    let mut ids = Vec::new();
    for client in ["printer", "scanner", "printer"] {
        let mut message = desk.message(&["a@x.example"], b"Subject: a\r\n\r\nb\r\n").await;
        message.route.client = client.to_owned();
        ids.push(desk.queue.accept(message).await.unwrap());
        desk.attempt(relayed()).await;
        desk.clock.advance(HOUR);
    }
    let at = |hours: u32| Some(begin.plus(HOUR * hours));
    let by = |client: &str| Some(client.to_owned());
    let table = [
        (Filter::default(), vec![2, 1, 0], "relayed ones, too, newest first"),
        (Filter { client: by("printer"), ..Filter::default() }, vec![2, 0], "of one client"),
        (Filter { client: by("print"), ..Filter::default() }, vec![], "a client has its whole name"),
        (Filter { since: at(1), ..Filter::default() }, vec![2, 1], "from a time on"),
        (Filter { until: at(1), ..Filter::default() }, vec![0], "before a time"),
        (Filter { since: at(1), until: at(2), client: by("scanner"), ..Filter::default() }, vec![1], "all together"),
        (Filter { limit: Some(1), before: Some(ids[2]), ..Filter::default() }, vec![1], "the next page"),
    ];
    for (filter, expected, why) in table {
        let found = desk.queue.history(filter).await.unwrap();
        let expected: Vec<_> = expected.into_iter().map(|index: usize| ids[index]).collect();
        assert_eq!(found.iter().map(|detail| detail.summary.id).collect::<Vec<_>>(), expected, "{why}");
        let whole = |detail: &Detail| detail.attempts.len() == 1 && detail.recipients[0].receipt.is_some();
        assert!(found.iter().all(whole), "{why}");
    }
}

#[tokio::test]
async fn messages_are_counted_by_where_they_stand() {
    let desk = Desk::new().await;
    for _ in 0..3 {
        desk.accept(&["a@x.example"]).await;
    }
    desk.attempt(relayed()).await;
    desk.attempt(outcome(Reason::RecipientRefused)).await;
    let waiting = Totals { waiting: 1, failed: 1, ..Totals::default() };
    assert_eq!(desk.queue.totals().await.unwrap(), waiting);
    let lease = desk.lease().await;
    assert_eq!(desk.queue.totals().await.unwrap(), Totals { sending: 1, failed: 1, ..Totals::default() });
    let attempt = all(&lease, outcome(Reason::SignInNeeded));
    desk.settle(lease, attempt).await;
    assert_eq!(desk.queue.totals().await.unwrap(), Totals { held: 1, failed: 1, ..Totals::default() });
}

#[tokio::test]
async fn the_hours_of_a_day_are_counted_and_older_ones_left_out() {
    let desk = Desk::new().await;
    let begin = desk.clock.now();
    for hour in 0..30 {
        desk.accept(&["a@x.example"]).await;
        desk.attempt(if hour % 2 == 0 { relayed() } else { outcome(Reason::RecipientRefused) }).await;
        desk.clock.advance(HOUR);
    }
    let now = desk.clock.now();
    let sum = |hours: Vec<HourOfMail>| {
        hours.iter().fold((0, 0, 0), |(a, r, f), hour| (a + hour.accepted, r + hour.relayed, f + hour.failed))
    };
    assert_eq!(sum(desk.queue.hours(begin, now).await.unwrap()), (30, 15, 15));
    assert_eq!(sum(desk.queue.hours(now.minus(24 * HOUR), now).await.unwrap()), (24, 12, 12));
    assert_eq!(sum(desk.queue.hours(begin, begin.plus(2 * HOUR)).await.unwrap()), (2, 1, 1), "not what came after");
    assert_eq!(sum(desk.queue.hours(now, now).await.unwrap()), (0, 0, 0));
    assert_eq!(sum(Desk::new().await.queue.hours(begin, now).await.unwrap()), (0, 0, 0), "an empty queue");
}

#[tokio::test]
async fn the_content_is_copied_as_it_would_be_sent_as_long_as_it_is_there() {
    let desk = Desk::new().await;
    for size in [100, 5_000] {
        let content = vec![b'x'; size];
        let id = desk.queue.accept(desk.message(&["a@x.example"], &content).await).await.unwrap();
        let MessageCopy { prefix, mut body } = desk.queue.copy(id).await.unwrap();
        let mut octets = prefix;
        while let Some(piece) = body.chunk().await.unwrap() {
            octets.extend(piece);
        }
        assert_eq!(octets, [b"Received: by test\r\n".as_slice(), &content].concat());
        desk.attempt(relayed()).await;
        assert!(matches!(desk.queue.copy(id).await, Err(QueueError::NoContent(_))), "it was handed over");
    }
    assert!(matches!(desk.queue.copy(QueueId::fresh()).await, Err(QueueError::NoContent(_))));
}
