//! Reminders of holds that last: 1 hour, 1 day, then daily.

use std::time::Duration;

use rusqlite::{Connection, Row};

use super::rows::{from_json, time};
use crate::clock::Timestamp;
use crate::mail::{Event, Failure};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// How many reminders a hold of this age has had, if none was missed.
pub(super) fn reminders(age: Duration) -> u32 {
    match u32::try_from(age.as_secs() / DAY.as_secs()).unwrap_or(u32::MAX) {
        0 => u32::from(age >= HOUR),
        days => days.saturating_add(1),
    }
}

/// The lanes of which people are to be reminded, how often they will have been then, and the reminder. Those that were
/// missed while the program stood still are not made up for.
pub(super) fn due(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<(i64, u32, Event)>> {
    let sql = "SELECT hold.*, lane.mailbox FROM hold JOIN lane ON lane.id = hold.lane ORDER BY since";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let told = reminders(now.since(time(row, "since")?));
        if told > row.get::<_, u32>("reminders")? {
            due.push((row.get("lane")?, told, reminder(connection, row)?));
        }
    }
    Ok(due)
}

fn reminder(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Event> {
    // One of them may be out as a probe.
    let waiting = "SELECT count(*) FROM message WHERE lane = ?1 AND state IN (0, 1) AND finished_at IS NULL";
    let lane: i64 = row.get("lane")?;
    let waiting: i64 = connection.prepare_cached(waiting)?.query_row([lane], |row| row.get(0))?;
    Ok(Event::StillHeld {
        account: row.get("account")?,
        mailbox: row.get("mailbox")?,
        failure: from_json::<Failure>(row, "failure")?,
        since: time(row, "since")?,
        waiting: waiting.cast_unsigned(),
    })
}

/// Notes how often people were reminded of each lane.
pub(super) fn told(connection: &Connection, lanes: &[(i64, u32)]) -> rusqlite::Result<()> {
    let mut note = connection.prepare_cached("UPDATE hold SET reminders = ?2 WHERE lane = ?1")?;
    lanes.iter().try_for_each(|lane| note.execute(*lane).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reminders_come_after_an_hour_a_day_and_each_day_from_then_on() {
        let table = [(0, 0), (59, 0), (60, 1), (23 * 60, 1), (24 * 60, 2), (47 * 60, 2), (48 * 60, 3), (72 * 60, 4)];
        for (minutes, expected) in table {
            assert_eq!(reminders(Duration::from_mins(minutes)), expected, "{minutes} min");
        }
    }
}
