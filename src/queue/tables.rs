//! The queue's tables.

use crate::store::Migration;

/// The queue's tables, step by step.
pub const MIGRATIONS: &[Migration] = &[
    Migration { part: "queue", version: 1, sql: VERSION_1 },
    Migration { part: "queue", version: 2, sql: VERSION_2 },
    Migration { part: "queue", version: 3, sql: VERSION_3 },
    Migration { part: "queue", version: 4, sql: VERSION_4 },
    Migration { part: "queue", version: 5, sql: VERSION_5 },
    Migration { part: "queue", version: 6, sql: VERSION_6 },
    Migration { part: "queue", version: 7, sql: VERSION_7 },
];

/// `bounce`: what reports in a mailbox said later of a recipient: one line for each action. `address` is whom the message
/// was to be delivered to in the end, if that is another; `at` is when the report came.
///
/// `inbox.place`: how far a mailbox has been looked through for reports.
const VERSION_7: &str = "
CREATE TABLE bounce (
    message INTEGER NOT NULL,
    position INTEGER NOT NULL,
    action TEXT NOT NULL,
    status TEXT,
    words TEXT NOT NULL,
    address TEXT,
    at INTEGER NOT NULL,
    PRIMARY KEY (message, position, action)
) WITHOUT ROWID;
CREATE TABLE inbox (
    provider TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    place TEXT NOT NULL,
    PRIMARY KEY (provider, mailbox)
) WITHOUT ROWID;
";

/// `body.checksum`: SHA-256 of the content and then of the prefix; NULL in rows of before.
const VERSION_6: &str = "ALTER TABLE body ADD COLUMN checksum BLOB";

/// `message.kind`: what the content is: 0 MIME, 1 Microsoft's mail object.
const VERSION_5: &str = "
ALTER TABLE message ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
";

/// `pending`: messages whose clients wait for the provider's answer, so that they are not ours yet.
///
/// `lane.not_before`: the wait that the remote asked for with a message that is gone.
const VERSION_3: &str = "
CREATE TABLE pending (message INTEGER PRIMARY KEY);
ALTER TABLE lane ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;
";

/// `note`: what an attempt writes down between its steps, such as the id of a draft at the provider.
const VERSION_2: &str = "
CREATE TABLE note (
    message INTEGER NOT NULL,
    key TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (message, key)
) WITHOUT ROWID;
";

/// `lane`: one row for each (provider, mailbox). `held` is the time in milliseconds that ended holds took, so that the
/// hold time of any message is a difference and ending a hold touches no message. `releases` counts ended holds: an
/// attempt that began before the last one says nothing about the mailbox as it is now.
///
/// `message.state`: 0 waiting, 1 leased, 2 relayed, 3 failed, 4 dropped; `finished_at` is set with the last three. The
/// index of outstanding messages serves leasing, waiting, expiry and recovery; history may grow without slowing them
/// down.
///
/// `body` stands apart so that a change of state does not rewrite the content.
///
/// `recipient.state`: 0 outstanding, 1 relayed, 2 failed.
///
/// `attempt.sent`: recipients that the provider took or may have taken, for its limits.
const VERSION_1: &str = "
CREATE TABLE lane (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    held INTEGER NOT NULL DEFAULT 0,
    releases INTEGER NOT NULL DEFAULT 0,
    UNIQUE (provider, mailbox)
);
CREATE TABLE hold (
    lane INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    failure TEXT NOT NULL,
    since INTEGER NOT NULL,
    next_probe INTEGER,
    probes INTEGER NOT NULL DEFAULT 0,
    probing INTEGER
);
CREATE TABLE message (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL,
    account TEXT NOT NULL,
    route TEXT NOT NULL,
    reverse_path TEXT,
    eight_bit INTEGER NOT NULL,
    smtputf8 INTEGER NOT NULL,
    size INTEGER NOT NULL,
    spool TEXT,
    message_id TEXT,
    report_about BLOB,
    accepted_at INTEGER NOT NULL,
    expiry_from INTEGER NOT NULL,
    held_before INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    not_before INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    finished_at INTEGER
);
CREATE INDEX message_outstanding ON message (lane, state, next_attempt, expiry_from) WHERE finished_at IS NULL;
CREATE INDEX message_asked ON message (lane, not_before) WHERE finished_at IS NULL AND not_before > 0;
CREATE INDEX message_unsent ON message (seq) WHERE state > 2;
CREATE UNIQUE INDEX message_spool ON message (spool) WHERE spool IS NOT NULL;
CREATE TABLE body (
    message INTEGER PRIMARY KEY,
    prefix BLOB NOT NULL,
    content BLOB
);
CREATE TABLE recipient (
    message INTEGER NOT NULL,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0,
    failure TEXT,
    receipt TEXT,
    at INTEGER,
    PRIMARY KEY (message, position)
) WITHOUT ROWID;
CREATE TABLE attempt (
    message INTEGER NOT NULL,
    number INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    sent INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    PRIMARY KEY (message, number)
) WITHOUT ROWID;
CREATE INDEX attempt_sent ON attempt (lane, started_at, sent) WHERE sent > 0;
";

/// `wishes`: what the client asked for about reports (RFC 3461), as JSON; nothing at all for nearly all mail.
///
/// `message.client`: who handed it in, so that the index of outstanding messages has those of each client together; of
/// messages that finished before, it is not known here.
///
/// `sweep`: how far a search through the messages in their order has come, by what it looks for.
///
/// `digest`: what is told to an address in one message, because it was told of too much one by one.
///
/// `hold.reminders`: how often people were reminded. `hold.by_hand`: somebody holds the mailbox, so nothing but a release
/// ends it.
///
/// `rest`: until when a way of a mailbox is not asked again, because it said so. `learnt`: the messages a minute that
/// refusals showed a mailbox to have.
const VERSION_4: &str = "
ALTER TABLE message ADD COLUMN wishes TEXT;
ALTER TABLE recipient ADD COLUMN wishes TEXT;
ALTER TABLE message ADD COLUMN client TEXT NOT NULL DEFAULT '?';
UPDATE message SET client = coalesce(nullif(json_extract(route, '$.client'), ''), '?')
    WHERE finished_at IS NULL AND json_valid(route);
DROP INDEX message_outstanding;
CREATE INDEX message_outstanding ON message (lane, state, client, next_attempt, expiry_from) WHERE finished_at IS NULL;
ALTER TABLE hold ADD COLUMN reminders INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hold ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0;
CREATE TABLE sweep (name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE digest (
    id INTEGER PRIMARY KEY,
    address TEXT NOT NULL,
    route TEXT NOT NULL,
    about BLOB NOT NULL,
    line TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX digest_address ON digest (address, at);
CREATE TABLE rest (
    lane INTEGER NOT NULL,
    backend TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (lane, backend)
) WITHOUT ROWID;
CREATE TABLE learnt (
    lane INTEGER PRIMARY KEY,
    per_minute INTEGER NOT NULL,
    since INTEGER NOT NULL
);
";
