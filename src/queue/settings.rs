//! What the queue is told by configuration.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the queue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The data folder; spool files live in its `spool` folder.
    pub data: PathBuf,
    /// How long a message is retried before it expires. Time spent on hold does not count. Default 4 days.
    pub expire_after: Duration,
    /// How long a message may wait on hold. Default 14 days.
    pub hold_expire_after: Duration,
    /// How long a message may wait until its sender is told; zero: nobody is told. Default 4 h.
    pub delay_report_after: Duration,
    /// How long relayed and failed messages stay in the list, and failed ones keep their content. Default 30 days.
    pub keep: Duration,
    /// How long an attempt whose answer was lost waits at least before the next one. Default 15 min.
    pub unknown_retry: Duration,
    /// Free space below which no mail is accepted: octets; the larger of this and `reserve_percent` counts. Default 200 MB.
    pub reserve_octets: u64,
    /// Free space below which no mail is accepted: percent of the file system. Default 5.
    pub reserve_percent: u8,
    /// Content up to this many octets is kept in the database; larger content goes to a spool file. Default 256 kB.
    pub inline_octets: usize,
    /// Octets of content in memory, all sessions together. Default 16 MB.
    pub memory_octets: usize,
}

impl Settings {
    /// The defaults, in the data folder `data`.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            data: data.into(),
            expire_after: DAY * 4,
            hold_expire_after: DAY * 14,
            delay_report_after: Duration::from_hours(4),
            keep: DAY * 30,
            unknown_retry: Duration::from_mins(15),
            reserve_octets: 200_000_000,
            reserve_percent: 5,
            inline_octets: 256 * 1024,
            memory_octets: 16 * 1024 * 1024,
        }
    }
}
