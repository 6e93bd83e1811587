//! The log's way to standard error: by a thread of its own, so that whoever reads the log too slowly, or not at all,
//! holds no mail up. Lines that find no room are counted and told of later; a reader that is gone hears nothing more.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written at most: a burst, and no more memory than a few megabytes.
const ROOM: usize = 4_096;
/// Lines of one moment leave together: under load a wake and a write for each would cost more than the mail's own
/// bookkeeping.
const MOMENT: Duration = Duration::from_millis(5);
/// Octets that leave in one write, give or take a line.
const AT_ONCE: usize = 64 * 1024;
/// How long the end of the program waits for the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    End,
}

/// Takes lines and never waits.
#[derive(Clone)]
pub(super) struct Lines {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

/// Logging goes on as long as this value lives; its end writes what still waits.
#[must_use = "dropping it ends the log"]
pub struct Logging {
    queue: SyncSender<Message>,
    ended: Receiver<()>,
}

/// Starts the thread that writes to `out`.
pub(super) fn lines(out: impl Write + Send + 'static) -> io::Result<(Lines, Logging)> {
    let (queue, waiting) = sync_channel(ROOM);
    let (end, ended) = channel();
    let lost = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&lost);
    let write = move || {
        write(out, &waiting, &counted);
        // Nobody may wait for it any more.
        let _heard = end.send(());
    };
    std::thread::Builder::new().name("log".into()).spawn(write)?;
    Ok((Lines { queue: queue.clone(), lost }, Logging { queue, ended }))
}

fn write(mut out: impl Write, waiting: &Receiver<Message>, lost: &AtomicU64) {
    while let Ok(Message::Line(mut lines)) = waiting.recv() {
        let ended = gather(waiting, &mut lines);
        // There is no other place to tell of it.
        let _written = out.write_all(&lines).and_then(|()| out.flush());
        let lines = lost.swap(0, Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "log lines were lost: whoever reads the log did not keep up");
        }
        if ended {
            return;
        }
    }
}

/// Adds what is said in the next moment; `true`: it was the last.
fn gather(waiting: &Receiver<Message>, lines: &mut Vec<u8>) -> bool {
    std::thread::sleep(MOMENT);
    while lines.len() < AT_ONCE {
        match waiting.try_recv() {
            Ok(Message::Line(line)) => lines.extend_from_slice(&line),
            Ok(Message::End) | Err(TryRecvError::Disconnected) => return true,
            Err(TryRecvError::Empty) => return false,
        }
    }
    false
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// The formatter hands over whole lines.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        if self.queue.try_send(Message::End).is_ok() {
            let _in_time = self.ended.recv_timeout(PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What was written, by a reader that takes nothing before it is told to.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Waits until all is written, however long that takes.
    fn end(logging: &Logging) {
        logging.queue.send(Message::End).unwrap();
        logging.ended.recv().unwrap();
    }

    #[test]
    fn what_was_said_is_written_in_order_before_the_end() {
        let page = Page::default();
        let (lines, logging) = lines(page.clone()).unwrap();
        for number in 0..1_000 {
            writeln!(&lines, "{number}").unwrap();
        }
        end(&logging);
        let written = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        assert!(written.lines().eq((0..1_000).map(|number| number.to_string())), "{written}");
    }

    #[test]
    fn lines_of_one_moment_leave_together() {
        #[derive(Clone, Default)]
        struct Counted(Page, Arc<AtomicU64>);
        impl Write for Counted {
            fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
                self.1.fetch_add(1, Ordering::Relaxed);
                self.0.write(octets)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let counted = Counted::default();
        let busy = counted.0.0.lock().unwrap();
        let (lines, logging) = lines(counted.clone()).unwrap();
        for _ in 0..1_000 {
            (&lines).write_all(b"line\n").unwrap();
        }
        drop(busy);
        end(&logging);
        assert_eq!(counted.0.0.lock().unwrap().len(), 5_000);
        assert!(counted.1.load(Ordering::Relaxed) <= 2, "what waits behind a write leaves in one");
    }

    #[test]
    fn a_reader_that_takes_nothing_holds_nobody_up_and_costs_bounded_memory() {
        let page = Page::default();
        let stuck = page.0.lock().unwrap();
        let (lines, logging) = lines(page.clone()).unwrap();
        for _ in 0..ROOM * 3 {
            (&lines).write_all(b"line\n").unwrap();
        }
        assert!(lines.lost.load(Ordering::Relaxed) >= ROOM as u64, "what found no room is counted");
        drop(stuck);
        drop(logging);
    }

    #[test]
    fn a_reader_that_is_gone_is_no_reason_to_end() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (lines, logging) = lines(Gone).unwrap();
        (&lines).write_all(b"one\n").unwrap();
        (&lines).write_all(b"two\n").unwrap();
        drop(logging);
    }
}
