use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::mail::form::{Form, compose};
use crate::queue::{BodyReader, Outlined};

/// An object with a text of so many octets and two files, the second of which comes first in MIME.
fn object(text: usize, file: usize) -> Vec<u8> {
    let (text, file) = ("text ".repeat(text / 5), "QUJD".repeat(file / 4));
    let object = format!(
        "{{\"toRecipients\": [{{\"emailAddress\": {{\"address\": \"a@x.example\"}}}}], \"body\": {{\"content\": \"{text}\"}}, \
         \"attachments\": [{{\"name\": \"a\", \"contentBytes\": \"{file}\"}}, \
         {{\"name\": \"b\", \"contentBytes\": \"AAEC\", \"isInline\": true, \"contentId\": \"i\"}}]}}"
    );
    object.into_bytes()
}

async fn all(mut reader: BodyReader) -> Vec<u8> {
    let mut octets = Vec::new();
    let size = reader.size();
    while let Some(piece) = reader.chunk().await.unwrap() {
        assert!(piece.len() <= 200_000, "in pieces");
        octets.extend_from_slice(&piece);
    }
    assert_eq!(octets.len() as u64, size);
    octets
}

#[tokio::test]
async fn an_object_comes_out_the_same_wherever_it_lies() {
    let desk = Desk::new().await;
    let id = QueueId::from_slice(&[7; 16]).unwrap();
    // In memory, in a file; and put together in memory, in a file.
    for (text, file) in [(100, 400), (100, 1_000_000), (1_000_000, 400), (1_000_000, 1_000_000)] {
        let octets = object(text, file);
        let body = desk.body(&octets).await;
        let files = desk.spool_files().len();
        let Outlined { outline, alone } =
            desk.queue.outline(Form::Microsoft, body.reader().await.unwrap()).await.unwrap();
        let made = compose(Form::Microsoft, outline, id, None).unwrap().mime;
        let reader = desk.queue.assembled(made, body.reader().await.unwrap()).await.unwrap();
        drop(alone);
        assert_eq!(desk.spool_files().len(), files, "no file stays");
        let mime = all(reader).await;
        let message = mail_parser::MessageParser::default().parse(&mime).unwrap();
        let contents: Vec<_> = message.attachments().map(|part| part.contents().to_vec()).collect();
        assert!(contents == [vec![0, 1, 2], b"ABC".repeat(file / 4)], "{text} {file}");
        assert_eq!(message.body_text(0).unwrap().trim_end().len(), "text ".repeat(text / 5).trim_end().len());
    }
}

#[tokio::test]
async fn of_objects_with_large_texts_one_is_in_memory_at_a_time() {
    let desk = Desk::new().await;
    let large = desk.body(&object(500_000, 4)).await;
    let small = desk.body(&object(100, 500_000)).await;
    let first = desk.queue.outline(Form::Microsoft, large.reader().await.unwrap()).await.unwrap();
    let mut second = pin!(desk.queue.outline(Form::Microsoft, large.reader().await.unwrap()));
    // What is small without its files waits for nobody; and until it is read the second has had time enough.
    for _ in 0..20 {
        let polled = second.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
        desk.queue.outline(Form::Microsoft, small.reader().await.unwrap()).await.unwrap();
    }
    drop(first);
    second.await.unwrap();
}

#[tokio::test]
async fn an_object_that_shrinks_under_way_is_damaged() {
    let desk = Desk::new().await;
    let body = desk.body(&object(100, 1_000_000)).await;
    let outlined = desk.queue.outline(Form::Microsoft, body.reader().await.unwrap()).await.unwrap();
    let made = compose(Form::Microsoft, outlined.outline, QueueId::fresh(), None).unwrap().mime;
    let path = desk.spool().join(&desk.spool_files()[0]);
    let mut reader = desk.queue.assembled(made, body.reader().await.unwrap()).await.unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(500_000).unwrap();
    let failed = loop {
        match reader.chunk().await {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert!(matches!(failed, Err(QueueError::BodyDamaged(_))), "{failed:?}");
    // The length alone is not enough.
    std::fs::write(&path, vec![b' '; body.size() as usize]).unwrap();
    let outlined =
        desk.queue.outline(Form::Microsoft, desk.body(&object(100, 1_000_000)).await.reader().await.unwrap());
    let made = compose(Form::Microsoft, outlined.await.unwrap().outline, QueueId::fresh(), None).unwrap().mime;
    let mut reader = desk.queue.assembled(made, body.reader().await.unwrap()).await.unwrap();
    let failed = loop {
        match reader.chunk().await {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert!(matches!(failed, Err(QueueError::BodyDamaged(_))), "{failed:?}");
}
