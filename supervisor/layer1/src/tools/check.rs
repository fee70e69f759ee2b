//! Check: whether the database is whole. SQLite looks at every page and every index, and then what only
//! this program knows is looked at: that what entities hold is JSON that could be stored today, that the
//! sums are right, and that the searches have every entity.

use super::{ToolError, Tools, Watcher, is_damage, report};
use crate::{
    open::open_reader,
    stored_id::StoredId,
    tables::{
        events::{self, Reading, bytes_of, ends},
        keys, usage,
    },
};
use bulkhead_json::Raw;
use bulkhead_protocol::layer1::{Cursor, Data, EntityName};
use rusqlite::{Connection, OptionalExtension};
use std::collections::BTreeMap;

/// Most problems that are listed.
const PROBLEMS_MAX: usize = 100;

/// Entities between two reports.
const REPORT_ENTITIES: u64 = 1000;

impl Tools {
    /// Looks at everything, and lists what is wrong: nothing, if all is well.
    ///
    /// # Errors
    /// When the database cannot be read at all, or the watcher stops it.
    pub fn check(&self, watcher: Watcher<'_>) -> Result<Vec<String>, ToolError> {
        let mut problems = Vec::new();
        match self.look(watcher, &mut problems) {
            // What cannot be read is a finding too, and so is what was found before.
            Err(ToolError::Sqlite(error)) if is_damage(&error) => problems.push(error.to_string()),
            other => other?,
        }
        Ok(problems)
    }

    fn look(&self, watcher: Watcher<'_>, problems: &mut Vec<String>) -> Result<(), ToolError> {
        let connection = open_reader(&self.path)?;
        connection.execute_batch("BEGIN")?;
        let total = connection.query_row("SELECT count(*) FROM entities", [], |row| row.get(0)).ok();
        report(watcher, 0, total)?;
        pages(&connection, problems)?;
        entities(&connection, total, watcher, problems)?;
        searches(&connection, problems)?;
        events(&connection, problems)?;
        subscriptions(&connection, problems)?;
        accounts(&connection, problems)
    }
}

fn pages(connection: &Connection, problems: &mut Vec<String>) -> Result<(), ToolError> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({PROBLEMS_MAX})"))?;
    let mut rows = statement.query([])?;
    // Where it cannot go on, what it has found before says more than its error.
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        problems.extend((line != "ok").then_some(line));
    }
    Ok(())
}

fn entities(
    connection: &Connection,
    total: Option<u64>,
    watcher: Watcher<'_>,
    problems: &mut Vec<String>,
) -> Result<(), ToolError> {
    let mut held: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut statement =
        connection.prepare("SELECT entity, id, version, owner, data, rowid FROM entities ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    let mut done = 0;
    while let Some(row) = rows.next()? {
        let (entity, version): (String, i64) = (row.get(0)?, row.get(2)?);
        let data = row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?;
        if problems.len() < PROBLEMS_MAX {
            match (row.get::<_, StoredId>(1), problem(&entity, version, data)) {
                (Err(_), _) => {
                    problems.push(format!("the {entity:?} in row {}: the id is no 16 bytes", row.get::<_, i64>(5)?))
                }
                (Ok(id), Some(problem)) => problems.push(format!("the {entity:?} with the id {}: {problem}", id.id())),
                (Ok(_), None) => {}
            }
        }
        let owner = held.entry(row.get(3)?).or_default();
        *owner = (owner.0 + data.len() as u64, owner.1 + 1);
        done += 1;
        if done % REPORT_ENTITIES == 0 {
            report(watcher, done, total)?;
        }
    }
    report(watcher, done, total)?;
    for usage in usage::list(connection)? {
        let found = held.remove(&usage.owner).unwrap_or_default();
        if found != (usage.bytes, usage.entities) {
            problems.push(format!(
                "{:?} is counted with {} bytes in {} entities, and has {} in {}",
                usage.owner, usage.bytes, usage.entities, found.0, found.1
            ));
        }
    }
    problems.extend(held.keys().map(|owner| format!("{owner:?} has entities and is not counted")));
    Ok(())
}

fn problem(entity: &str, version: i64, data: &str) -> Option<String> {
    if let Err(fault) = EntityName::new(entity) {
        return Some(fault.to_string());
    }
    if version < 1 {
        return Some(format!("expected a version from 1, found {version}"));
    }
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(data) {
        return Some(format!("what it holds is no JSON: {error}"));
    }
    match Data::new(Raw::new(data)) {
        Err(fault) => Some(format!("what it holds is {fault}")),
        Ok(compact) if compact.as_str() != data => Some("what it holds has white space between its parts".into()),
        Ok(_) => None,
    }
}

fn searches(connection: &Connection, problems: &mut Vec<String>) -> Result<(), ToolError> {
    let mut statement = connection.prepare("SELECT number, entity FROM searches")?;
    let listed: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (number, entity) in listed {
        // The full-text table keeps one row of sizes for each entity, under its rowid.
        let sql = format!(
            "SELECT count(*) FROM entities AS e LEFT JOIN search_{number}_docsize AS d ON d.id = e.rowid WHERE e.entity = ?1 AND d.id IS NULL"
        );
        let missing: u64 = connection.query_row(&sql, [&entity], |row| row.get(0))?;
        if missing > 0 {
            problems.push(format!(
                "the search of {entity} lacks {missing} entities; take its declaration out and in again"
            ));
        }
    }
    Ok(())
}

/// What an event says is in its row, in an entity that has not changed since, or in a copy, and it is counted as that.
fn events(connection: &Connection, problems: &mut Vec<String>) -> Result<(), ToolError> {
    let mut statement = connection.prepare("SELECT cursor, bytes FROM events ORDER BY cursor")?;
    let mut rows = statement.query([])?;
    let mut reading = Reading::new(connection);
    while let Some(row) = rows.next()?.filter(|_| problems.len() < PROBLEMS_MAX) {
        let (cursor, counted): (u64, i64) = (row.get(0)?, row.get(1)?);
        match reading.find(Cursor(cursor)) {
            Ok(event) => {
                let found = event.map_or(0, |event| bytes_of(&event.event, &event.source, event.data.as_str()));
                if found != counted {
                    problems.push(format!("the event {cursor} is counted with {counted} bytes, and has {found}"));
                }
            }
            Err(error) if is_damage(&error) => problems.push(format!("the event {cursor}: {error}")),
            Err(error) => return Err(error.into()),
        }
    }
    let gone = "SELECT min(cursor) FROM event_copies WHERE cursor NOT IN (SELECT cursor FROM events)";
    if let Some(cursor) = connection.query_row(gone, [], |row| row.get::<_, Option<u64>>(0)).optional()?.flatten() {
        problems.push(format!("there is a copy for the event {cursor}, which is not there"));
    }
    Ok(())
}

fn subscriptions(connection: &Connection, problems: &mut Vec<String>) -> Result<(), ToolError> {
    let (_, newest): (u64, u64) = ends(connection)?;
    let mut statement = connection.prepare("SELECT module, cursor FROM subscriptions WHERE cursor > ?1")?;
    let ahead = statement.query_map([newest], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?)))?;
    for subscription in ahead {
        let (module, cursor) = subscription?;
        problems.push(format!("the module {module:?} is at event {cursor}, and the newest is {newest}"));
    }
    Ok(())
}

/// What events and keys take is counted for each owner.
fn accounts(connection: &Connection, problems: &mut Vec<String>) -> Result<(), ToolError> {
    let counted = usage::list(connection)?;
    let events = counted.iter().map(|usage| (&usage.owner, (usage.event_bytes, usage.events))).collect();
    compare(connection, events::RECOUNT, "events", events, problems)?;
    let keys = counted.iter().map(|usage| (&usage.owner, (usage.key_bytes, usage.keys))).collect();
    compare(connection, keys::RECOUNT, "keys", keys, problems)
}

/// Compares what is counted with what `sql` finds: owners, bytes and numbers.
fn compare(
    connection: &Connection,
    sql: &str,
    what: &str,
    mut counted: BTreeMap<&String, (u64, u64)>,
    problems: &mut Vec<String>,
) -> Result<(), ToolError> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (owner, found): (String, (u64, u64)) = (row.get(0)?, (row.get(1)?, row.get(2)?));
        let expected = counted.remove(&owner).unwrap_or_default();
        if found != expected {
            problems.push(format!(
                "{owner:?} is counted with {} bytes in {} {what}, and has {} in {}",
                expected.0, expected.1, found.0, found.1
            ));
        }
    }
    let missing = counted.into_iter().filter(|(_, counted)| *counted != (0, 0));
    problems.extend(missing.map(|(owner, (bytes, number))| {
        format!("{owner:?} is counted with {bytes} bytes in {number} {what}, and has none")
    }));
    Ok(())
}
