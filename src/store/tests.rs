use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;

const NOTES: &[Migration] = &[Migration {
    part: "notes",
    version: 1,
    sql: "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
}];

fn open(folder: &TempDir) -> Store {
    Store::open(&folder.path().join("t.sqlite"), NOTES).unwrap()
}

async fn note(store: &Store, text: impl Into<String>) -> Result<usize, StoreError> {
    let text = text.into();
    store.write(move |c| c.prepare_cached("INSERT INTO note (text) VALUES (?1)")?.execute([&text])).await
}

async fn count(store: &Store) -> i64 {
    store.read(|c| c.query_row("SELECT count(*) FROM note", [], |row| row.get(0))).await.unwrap()
}

/// Keeps the writer busy with one job until the guard is dropped, so that others queue up behind it.
fn stall(store: &Store) -> Sender<()> {
    let (go, wait) = channel::<()>();
    let (waiting, _answer) = oneshot::channel();
    let job = move |_: &Connection| {
        let _ = wait.recv();
        Ok(())
    };
    store.shared.jobs.send(Message::Job(Box::new(Task::new(job, waiting)))).unwrap();
    go
}

#[tokio::test]
async fn a_write_is_seen_by_reads_and_by_the_next_program() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    note(&store, "one").await.unwrap();
    assert_eq!(count(&store).await, 1);
    drop(store);
    assert_eq!(count(&open(&folder)).await, 1);
}

#[tokio::test]
async fn the_database_is_readable_by_its_owner_alone() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    note(&store, "one").await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[tokio::test]
async fn a_job_that_fails_or_panics_undoes_itself_alone() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let go = stall(&store);
    let half_done = store.write(|c| {
        c.execute("INSERT INTO note (text) VALUES ('half')", [])?;
        c.execute("INSERT INTO no_such_table VALUES (1)", [])
    });
    let panicking = store.write(|c| -> rusqlite::Result<()> {
        c.execute("INSERT INTO note (text) VALUES ('worse')", [])?;
        panic!("on purpose")
    });
    let all = async { tokio::join!(note(&store, "a"), half_done, panicking, note(&store, "b")) };
    let (a, half, panicked, b) = tokio::join!(all, async { drop(go) }).0;
    assert!(a.is_ok() && b.is_ok());
    assert!(matches!(half, Err(StoreError::Refused(_))), "{half:?}");
    assert!(matches!(panicked, Err(StoreError::Panicked)), "{panicked:?}");
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn writes_that_wait_together_share_a_commit() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let before = store.commits();
    let go = stall(&store);
    let writes: Vec<_> = (0..100)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { note(&store, n.to_string()).await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(go);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    let commits = store.commits() - before;
    assert!(commits <= 3, "{commits} commits for 100 writes");
}

#[tokio::test]
async fn a_full_database_refuses_and_recovers_when_there_is_room_again() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.write(|c| c.query_row("PRAGMA max_page_count = 20", [], |_| Ok(()))).await.unwrap();
    let mut refused = None;
    for n in 0..100 {
        if let Err(error) = note(&store, format!("{n}{}", "x".repeat(2000))).await {
            refused = Some(error);
            break;
        }
    }
    assert!(matches!(refused, Some(StoreError::NoSpace)), "{refused:?}");
    store.check().unwrap();
    store.write(|c| c.query_row("PRAGMA max_page_count = 1000", [], |_| Ok(()))).await.unwrap();
    note(&store, "fits again").await.unwrap();
}

#[tokio::test]
async fn one_job_that_fills_the_disk_leaves_nothing_of_its_batch_half_done() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    store.write(|c| c.query_row("PRAGMA max_page_count = 30", [], |_| Ok(()))).await.unwrap();
    let go = stall(&store);
    let all = async { tokio::join!(note(&store, "a"), note(&store, "x".repeat(1_000_000)), note(&store, "b")) };
    let (a, big, b) = tokio::join!(all, async { drop(go) }).0;
    assert!(matches!(big, Err(StoreError::NoSpace)), "{big:?}");
    let acknowledged = i64::from(a.is_ok()) + i64::from(b.is_ok());
    assert_eq!(count(&store).await, acknowledged);
    assert!(b.is_ok(), "{b:?}");
}

#[tokio::test]
async fn nothing_is_written_after_the_disk_has_failed() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let failing = store.write(|_| {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Err::<(), _>(rusqlite::Error::SqliteFailure(code, None))
    });
    assert!(matches!(failing.await, Err(StoreError::Suspect(_))));
    assert!(matches!(note(&store, "later").await, Err(StoreError::Suspect(_))));
    assert!(store.check().is_err());
    assert_eq!(count(&store).await, 0, "reading goes on");
}

#[tokio::test]
async fn a_disk_that_failed_once_is_not_believed_when_it_works_the_next_time() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let times = AtomicU64::new(0);
    let failing_once = store.write(move |c| {
        if times.fetch_add(1, Ordering::Relaxed) == 0 {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_WRITE);
            return Err(rusqlite::Error::SqliteFailure(code, None));
        }
        c.execute("INSERT INTO note (text) VALUES ('a')", [])
    });
    assert!(matches!(failing_once.await, Err(StoreError::Suspect(_))));
    assert_eq!(count(&store).await, 0);
}

#[tokio::test]
async fn the_log_does_not_grow_for_ever_under_load() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let log = folder.path().join("t.sqlite-wal");
    let mut largest = 0;
    for n in 0..250 {
        let text = format!("{n}{}", "x".repeat(400_000));
        note(&store, text).await.unwrap();
        largest = largest.max(std::fs::metadata(&log).unwrap().len());
    }
    assert!(largest < 50_000_000, "100 MB written, the log had {largest} octets");
}

#[tokio::test]
async fn a_newer_database_is_refused_and_an_older_one_brought_up_to_date() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.sqlite");
    let second = Migration { part: "notes", version: 2, sql: "ALTER TABLE note ADD COLUMN colour TEXT" };
    note(&open(&folder), "old").await.unwrap();
    let both = [second, NOTES[0]];
    let store = Store::open(&path, &both).unwrap();
    assert_eq!(count(&store).await, 1);
    store.read(|c| c.query_row("SELECT colour FROM note", [], |_| Ok(()))).await.unwrap();
    store.close();
    let error = Store::open(&path, NOTES).err().unwrap().to_string();
    assert!(error.contains("`notes` has version 2, this program knows 1"), "{error}");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("t.sqlite");
    note(&open(&folder), "kept").await.unwrap();
    let broken =
        Migration { part: "notes", version: 2, sql: "DELETE FROM note; ALTER TABLE no_such_table ADD COLUMN x" };
    assert!(Store::open(&path, &[NOTES[0], broken]).is_err());
    assert_eq!(count(&open(&folder)).await, 1);
}

#[tokio::test]
async fn a_symbolic_link_is_not_opened_as_the_database() {
    let folder = TempDir::new().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::fs::write(&elsewhere, "").unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.path().join("t.sqlite")).unwrap();
    assert!(Store::open(&folder.path().join("t.sqlite"), NOTES).is_err());
}

#[tokio::test]
async fn a_closed_store_has_written_what_it_was_asked_and_refuses_the_rest() {
    let folder = TempDir::new().unwrap();
    let store = open(&folder);
    let other = store.clone();
    note(&store, "before").await.unwrap();
    store.close();
    assert!(matches!(note(&other, "after").await, Err(StoreError::Closed)));
    assert_eq!(count(&open(&folder)).await, 1);
}
