//! Handing out attempts: each is on the disk before it is made.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::fair::Fair;
use super::hold::{self, Gate};
use super::message::{Lease, Record};
use super::rows::{self, FAILED, HELD_SO_FAR, LEASED, OUTSTANDING, Row as NewRow, WAITING};
use super::rows::{damaged, from_json, optional_json, parsed, queue_id, time};
use super::spool::{Checksum, Content};
use super::{NewMessage, Settings};
use crate::clock::Timestamp;
use crate::mail::{Address, BodyType, Envelope, Failure, QueueId, Reason, Recipient, ReversePath};

/// The first message of the first client of a lane behind client `?2`. The index has this order, so a long queue costs
/// nothing, and many clients little.
pub(super) const FIRST: &str = "SELECT client, seq, next_attempt, size FROM message
    WHERE lane = ?1 AND state = 0 AND finished_at IS NULL AND client > ?2
    ORDER BY client, next_attempt, expiry_from, seq LIMIT 1";

/// What a lane has to offer.
pub(super) enum Offer {
    Lease(Box<Lease>),
    Wait(Option<Timestamp>),
    /// A message had to be set aside; there may be others.
    SetAside {
        id: Option<QueueId>,
        why: String,
    },
}

/// Leases the message of the lane that is due first, if the lane may be worked on. Done again because of another job, it
/// spends the turn of a client twice, which evens out.
pub(super) fn next(connection: &Connection, lane: i64, fair: &Mutex<Fair>, now: Timestamp) -> rusqlite::Result<Offer> {
    let gate = hold::gate(connection, lane)?;
    if let Some(gate) = &gate {
        match gate.next_probe {
            None => return Ok(Offer::Wait(None)),
            Some(_) if gate.probing => return Ok(Offer::Wait(None)),
            Some(at) if at > now => return Ok(Offer::Wait(Some(at))),
            Some(_) => {}
        }
    }
    if let Some(at) = asked_to_wait(connection, lane)?.filter(|at| *at > now) {
        return Ok(Offer::Wait(Some(at)));
    }
    let firsts = firsts(connection, lane)?;
    let due: Vec<_> = firsts.iter().filter(|first| first.at <= now).map(|first| first.client.clone()).collect();
    let chosen = fair.lock().unwrap_or_else(PoisonError::into_inner).next(&due).map(str::to_owned);
    let Some(seq) = firsts.iter().find(|first| Some(&first.client.0) == chosen.as_ref()).map(|first| first.seq) else {
        return Ok(Offer::Wait(firsts.iter().map(|first| first.at).min()));
    };
    let mut lease = match load(connection, seq, now) {
        Ok(lease) => lease,
        Err(error) => return set_aside(connection, seq, now, error),
    };
    lease.attempt += 1;
    lease.probe = gate.is_some();
    lease.record.recorded = true;
    if let Some(gate) = &gate {
        hold::probe(connection, lane, seq, gate, now)?;
    }
    connection.prepare_cached("UPDATE message SET state = ?2, attempts = ?3 WHERE seq = ?1")?.execute((
        seq,
        LEASED,
        lease.attempt,
    ))?;
    begin_attempt(connection, (seq, lease.attempt), lane, now)?;
    Ok(Offer::Lease(Box::new(lease)))
}

/// What a client would send next.
struct First {
    /// Its name, and the octets of the message.
    client: (String, u64),
    seq: i64,
    at: Timestamp,
}

/// What each client of a lane that has mail waiting would send next.
fn firsts(connection: &Connection, lane: i64) -> rusqlite::Result<Vec<First>> {
    let mut find = connection.prepare_cached(FIRST)?;
    let mut firsts: Vec<First> = Vec::new();
    let read = |row: &Row<'_>| {
        let client = (row.get("client")?, row.get::<_, i64>("size")?.cast_unsigned());
        Ok(First { client, seq: row.get("seq")?, at: time(row, "next_attempt")? })
    };
    loop {
        let behind = firsts.last().map_or("", |first| first.client.0.as_str());
        match find.query_row((lane, behind), read).optional()? {
            Some(first) => firsts.push(first),
            None => return Ok(firsts),
        }
    }
}

fn begin_attempt(
    connection: &Connection,
    (seq, number): (i64, u32),
    lane: i64,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO attempt (message, number, lane, started_at) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute((seq, number, lane, now.as_millis()))?;
    Ok(())
}

/// What the database says of a message that was leased as it was accepted.
pub(super) struct Taken {
    pub(super) seq: i64,
    lane: i64,
    releases: i64,
    probe: bool,
}

/// Makes a message for which somebody stands by: leased, unless its lane is held or was asked to wait. The first value
/// is the row of the lane.
pub(super) fn accept(connection: &Connection, row: &NewRow, now: Timestamp) -> rusqlite::Result<(i64, Option<Taken>)> {
    let lane = rows::lane(connection, &row.key)?;
    if hold::gate(connection, lane)?.is_some() || asked_to_wait(connection, lane)?.is_some_and(|at| at > now) {
        row.insert_as(connection, lane, WAITING, now)?;
        return Ok((lane, None));
    }
    Ok((lane, Some(take(connection, row, lane, None, now)?)))
}

/// Makes a message that is leased already, as a probe if its lane is held.
pub(super) fn take(
    connection: &Connection,
    row: &NewRow,
    lane: i64,
    gate: Option<&Gate>,
    now: Timestamp,
) -> rusqlite::Result<Taken> {
    let seq = row.insert_as(connection, lane, LEASED, now)?;
    begin_attempt(connection, (seq, 1), lane, now)?;
    if let Some(gate) = gate {
        hold::probe(connection, lane, seq, gate, now)?;
    }
    let releases =
        connection.prepare_cached("SELECT releases FROM lane WHERE id = ?1")?.query_row([lane], |row| row.get(0))?;
    Ok(Taken { seq, lane, releases, probe: gate.is_some() })
}

/// The lease of a message that is about to be accepted, but for what only the database knows.
pub(super) fn draft(message: &NewMessage, (content, checksum): (Content, Checksum), now: Timestamp) -> Lease {
    let NewMessage { id, envelope, route, prefix, body, message_id, report_about, .. } = message;
    Lease {
        id: *id,
        attempt: 1,
        started_at: now,
        route: route.clone(),
        envelope: envelope.clone(),
        prefix: prefix.clone(),
        size: body.size(),
        kind: body.kind(),
        accepted_at: now,
        message_id: message_id.clone(),
        report_about: *report_about,
        probe: false,
        record: Record {
            seq: 0,
            lane: 0,
            releases: 0,
            expiry_from: now,
            held: Duration::ZERO,
            positions: (0..).take(envelope.recipients().len()).collect(),
            content,
            checksum: Some(checksum),
            decided: Vec::new(),
            recorded: true,
        },
    }
}

impl Taken {
    pub(super) fn complete(self, mut draft: Lease) -> Lease {
        let Self { seq, lane, releases, probe } = self;
        draft.probe = probe;
        (draft.record.seq, draft.record.lane, draft.record.releases) = (seq, lane, releases);
        draft
    }
}

/// The end of the longest wait that the remote asked for. It asked the mailbox, not the message that happened to be
/// under way, so all of its mail waits.
pub(super) fn asked_to_wait(connection: &Connection, lane: i64) -> rusqlite::Result<Option<Timestamp>> {
    let sql = "SELECT max(not_before, coalesce((SELECT max(not_before) FROM message
        WHERE lane = ?1 AND finished_at IS NULL AND not_before > 0), 0)) FROM lane WHERE id = ?1";
    let at: i64 = connection.prepare_cached(sql)?.query_row([lane], |row| row.get(0))?;
    Ok((at > 0).then(|| Timestamp::from_millis(at)))
}

/// Up to `limit` waiting messages whose time is up.
pub(super) fn overdue(
    connection: &Connection,
    settings: &Settings,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<i64>> {
    // Whatever is overdue is at least this old, which the index tells; hold time only makes it later.
    let oldest = now.minus(settings.expire_after.min(settings.hold_expire_after)).as_millis();
    let sql = "SELECT message.seq, expiry_from,
            lane.held + coalesce(max(0, ?2 - hold.since), 0) - held_before AS held
        FROM message JOIN lane ON lane.id = message.lane LEFT JOIN hold ON hold.lane = lane.id
        WHERE state = 0 AND finished_at IS NULL AND expiry_from <= ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((oldest, now.as_millis()))?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        if expiry(settings, time(row, "expiry_from")?, millis(row, "held")?, now).is_some() {
            found.push(row.get("seq")?);
        }
    }
    Ok(found)
}

/// Leases overdue messages without an attempt: what became of them is known.
pub(super) fn expired(
    connection: &Connection,
    settings: &Settings,
    now: Timestamp,
    overdue: &[i64],
) -> rusqlite::Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for &seq in overdue {
        let take = "UPDATE message SET state = ?2 WHERE seq = ?1 AND state = 0";
        if connection.prepare_cached(take)?.execute((seq, LEASED))? == 0 {
            continue;
        }
        let mut lease = match load(connection, seq, now) {
            Ok(lease) => lease,
            Err(error) => {
                offers.push(set_aside(connection, seq, now, error)?);
                continue;
            }
        };
        let reason = expiry(settings, lease.record.expiry_from, lease.record.held, now).unwrap_or(Reason::Expired);
        lease.record.decided = last_words(connection, seq)?
            .into_iter()
            .map(|last| Failure::new(reason, last.map_or_else(String::new, |failure| failure.to_string())))
            .collect();
        offers.push(Offer::Lease(Box::new(lease)));
    }
    Ok(offers)
}

/// A message whose row cannot be understood is not guessed at: it is kept as failed, and the others go on.
fn set_aside(connection: &Connection, seq: i64, now: Timestamp, error: rusqlite::Error) -> rusqlite::Result<Offer> {
    if error.sqlite_error().is_some() {
        return Err(error);
    }
    let sql = "UPDATE message SET state = ?2, finished_at = ?3 WHERE seq = ?1 RETURNING id";
    let id: Vec<u8> = connection.prepare_cached(sql)?.query_row((seq, FAILED, now.as_millis()), |row| row.get("id"))?;
    Ok(Offer::SetAside { id: QueueId::from_slice(&id), why: error.to_string() })
}

/// Why the time of a message is up, if it is.
pub(super) fn expiry(settings: &Settings, from: Timestamp, held: Duration, now: Timestamp) -> Option<Reason> {
    if held >= settings.hold_expire_after {
        return Some(Reason::HoldExpired);
    }
    (now >= from.plus(settings.expire_after).plus(held)).then_some(Reason::Expired)
}

/// Everything about a message that an attempt needs. The attempt is not counted yet.
pub(super) fn load(connection: &Connection, seq: i64, now: Timestamp) -> rusqlite::Result<Lease> {
    let lane: i64 =
        connection.prepare_cached("SELECT lane FROM message WHERE seq = ?1")?.query_row([seq], |row| row.get(0))?;
    let sql = format!(
        "SELECT message.*, body.prefix, body.checksum, lane.releases, {HELD_SO_FAR} - held_before AS held_since
         FROM message JOIN lane ON lane.id = message.lane LEFT JOIN body ON body.message = seq WHERE seq = :seq"
    );
    let (positions, recipients) = outstanding(connection, seq)?;
    connection
        .prepare_cached(&sql)?
        .query_row(named_params! { ":seq": seq, ":lane": lane, ":now": now.as_millis() }, |row| {
            lease(row, now, positions, recipients)
        })
}

fn lease(row: &Row<'_>, now: Timestamp, positions: Vec<i64>, recipients: Vec<Recipient>) -> rusqlite::Result<Lease> {
    let prefix: Option<Vec<u8>> = row.get("prefix")?;
    let lost = Failure::new(Reason::BodyDamaged, "the content is not in the database");
    let decided = if prefix.is_some() { Vec::new() } else { vec![lost; positions.len()] };
    let checksum: Option<Vec<u8>> = row.get("checksum")?;
    let reports_about: Option<Vec<u8>> = row.get("report_about")?;
    let content = row.get::<_, Option<String>>("spool")?.map_or(Content::Stored, Content::File);
    Ok(Lease {
        id: queue_id(row, "id")?,
        attempt: row.get("attempts")?,
        started_at: now,
        route: from_json(row, "route")?,
        envelope: envelope(row, recipients)?,
        prefix: prefix.unwrap_or_default(),
        size: row.get::<_, i64>("size")?.cast_unsigned(),
        kind: rows::kind(row)?,
        accepted_at: time(row, "accepted_at")?,
        message_id: row.get("message_id")?,
        report_about: reports_about.as_deref().and_then(QueueId::from_slice),
        probe: false,
        record: Record {
            seq: row.get("seq")?,
            lane: row.get("lane")?,
            releases: row.get("releases")?,
            expiry_from: time(row, "expiry_from")?,
            held: millis(row, "held_since")?,
            positions,
            content,
            checksum: checksum.as_deref().and_then(Checksum::from_slice),
            decided,
            recorded: false,
        },
    })
}

fn millis(row: &Row<'_>, column: &str) -> rusqlite::Result<Duration> {
    row.get::<_, i64>(column).map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

fn envelope(row: &Row<'_>, recipients: Vec<Recipient>) -> rusqlite::Result<Envelope> {
    let path =
        row.get_ref("reverse_path")?.as_str_or_null()?.map(str::parse::<Address>).transpose().map_err(damaged)?;
    let mut envelope =
        Envelope::new(path.map_or(ReversePath::Null, ReversePath::Mailbox), recipients).map_err(damaged)?;
    envelope.body = if row.get("eight_bit")? { BodyType::EightBitMime } else { BodyType::SevenBit };
    envelope.smtputf8 = row.get("smtputf8")?;
    envelope.wishes = optional_json(row, "wishes")?.unwrap_or_default();
    Ok(envelope)
}

fn outstanding(connection: &Connection, seq: i64) -> rusqlite::Result<(Vec<i64>, Vec<Recipient>)> {
    let sql = "SELECT position, address, wishes FROM recipient WHERE message = ?1 AND state = ?2 ORDER BY position";
    let read = |row: &Row<'_>| {
        let wishes = optional_json(row, "wishes")?.unwrap_or_default();
        Ok((row.get::<_, i64>("position")?, Recipient { address: parsed::<Address>(row, "address")?, wishes }))
    };
    connection.prepare_cached(sql)?.query_map((seq, OUTSTANDING), read)?.collect()
}

/// The last failure of each outstanding recipient; for those that never had one, that of the hold they wait for.
pub(super) fn last_words(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<Option<Failure>>> {
    let sql = "SELECT coalesce(failure, (SELECT hold.failure FROM hold JOIN message ON message.lane = hold.lane
        WHERE message.seq = ?1)) AS failure FROM recipient WHERE message = ?1 AND state = ?2 ORDER BY position";
    let read = |row: &Row<'_>| optional_json(row, "failure");
    connection.prepare_cached(sql)?.query_map((seq, OUTSTANDING), read)?.collect()
}
