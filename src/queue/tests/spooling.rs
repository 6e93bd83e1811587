use std::os::unix::fs::PermissionsExt;

use super::*;

#[tokio::test]
async fn small_content_stays_in_memory_and_large_content_goes_to_a_private_file() {
    let desk = Desk::new().await;
    let small = desk.body(&[b'x'; 1_000]).await;
    assert_eq!((small.size(), desk.spool_files().len()), (1_000, 0));
    let large = desk.body(&[b'x'; 1_001]).await;
    assert_eq!((large.size(), desk.spool_files().len()), (1_001, 1));
    let path = desk.spool().join(&desk.spool_files()[0]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(desk.spool()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read(path).unwrap(), [b'x'; 1_001]);
}

#[tokio::test]
async fn content_goes_to_a_file_when_the_memory_of_all_is_used_up() {
    let desk = Desk::new().await;
    let mut bodies = Vec::new();
    for _ in 0..30 {
        bodies.push(desk.body(&[b'x'; 800]).await);
    }
    assert!(desk.queue.inner.spool.budget.used() <= desk.settings.memory_octets);
    let files = desk.spool_files().len();
    assert!(files > 10 && files < 30, "{files} of 30 in files");
    drop(bodies);
    assert_eq!(desk.queue.inner.spool.budget.used(), 0);
    assert!(desk.spool_files().is_empty(), "what nobody accepted is gone");
}

#[tokio::test]
async fn content_that_is_given_up_leaves_nothing() {
    let desk = Desk::new().await;
    let mut writer = desk.queue.body_writer();
    writer.write(&[b'x'; 100_000]).await.unwrap();
    assert_eq!(desk.spool_files().len(), 1);
    assert!(desk.spool_files()[0].ends_with(".part"), "{:?}", desk.spool_files());
    drop(writer);
    assert!(desk.spool_files().is_empty());
}

#[tokio::test]
async fn large_content_is_read_back_as_it_was_written() {
    let desk = Desk::new().await;
    let octets: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    desk.queue.accept(desk.message(&["a@x.example"], &octets).await).await.unwrap();
    let lease = desk.lease().await;
    assert_eq!(lease.size, 1_000_000);
    assert!(desk.read(&lease).await.unwrap() == octets);
}

#[tokio::test]
async fn empty_content_is_content() {
    let desk = Desk::new().await;
    desk.queue.accept(desk.message(&["a@x.example"], b"").await).await.unwrap();
    let lease = desk.lease().await;
    assert!(desk.read(&lease).await.unwrap().is_empty());
    let desk = desk.crash().await;
    desk.clock.advance(DAY);
    let lease = desk.lease().await;
    assert!(desk.read(&lease).await.unwrap().is_empty());
}
