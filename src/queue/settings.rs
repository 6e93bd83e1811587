//! What the queue is told by configuration.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the queue.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The data folder; spool files live in its `spool` folder.
    pub data: PathBuf,
    /// How long a message is retried before it expires. Time spent on hold does not count. Default 4 days.
    pub expire_after: Duration,
    /// How long a message may wait on hold. Default 14 days.
    pub hold_expire_after: Duration,
    /// How long relayed and failed messages stay in the list, and failed ones keep their content. Default 30 days.
    pub keep: Duration,
    /// Free space below which no mail is accepted: octets; the larger of this and `reserve_percent` counts. Default 200 MB.
    pub reserve_octets: u64,
    /// Free space below which no mail is accepted: percent of the file system. Default 5.
    pub reserve_percent: u8,
    /// Content up to this many octets is kept in the database; larger content goes to a spool file. Default 256 kB.
    pub inline_octets: usize,
    /// Octets of content in memory, all sessions together. Default 16 MB.
    pub memory_octets: usize,
}
