//! Check: whether the database is whole. SQLite looks at every page and every index, and then what only
//! this program knows is looked at: that what entities hold is JSON that could be stored today, that the
//! sums are right, and that the searches have every entity.

use super::{ToolError, Tools, Watcher, is_damage, tell};
use crate::open::open_reader;
use bulkhead_protocol::layer1::{Data, EntityId, EntityName, Raw};
use rusqlite::Connection;
use std::collections::BTreeMap;

/// Problems that are listed; more of them say nothing new.
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
        tell(watcher, 0, total)?;
        pages(&connection, problems)?;
        entities(&connection, total, watcher, problems)?;
        searches(&connection, problems)?;
        events(&connection, problems)
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
    let mut statement = connection.prepare("SELECT entity, id, version, owner, data FROM entities ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    let mut done = 0;
    while let Some(row) = rows.next()? {
        let (entity, id, version): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let data = row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?;
        if problems.len() < PROBLEMS_MAX
            && let Some(problem) = problem(&entity, &id, version, data)
        {
            problems.push(format!("the {entity:?} with the id {id:?}: {problem}"));
        }
        let owner = held.entry(row.get(3)?).or_default();
        *owner = (owner.0 + data.len() as u64, owner.1 + 1);
        done += 1;
        if done % REPORT_ENTITIES == 0 {
            tell(watcher, done, total)?;
        }
    }
    tell(watcher, done, total)?;
    for usage in crate::tables::usage::list(connection)? {
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

fn problem(entity: &str, id: &str, version: i64, data: &str) -> Option<String> {
    if let Err(fault) = EntityName::new(entity) {
        return Some(fault.to_string());
    }
    if EntityId::new(id).map_or(true, |read| read.as_str() != id) {
        return Some("the id is no UUID in small letters".into());
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

fn events(connection: &Connection, problems: &mut Vec<String>) -> Result<(), ToolError> {
    let (oldest, newest): (u64, u64) = crate::tables::events::ends(connection)?;
    let count: u64 = connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0))?;
    let expected = if newest == 0 { 0 } else { newest - oldest + 1 };
    if count != expected {
        problems.push(format!("events {oldest} to {newest} should be {expected}, and are {count}"));
    }
    let mut statement = connection.prepare("SELECT module, cursor FROM subscriptions WHERE cursor > ?1")?;
    let ahead = statement.query_map([newest], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?)))?;
    for subscription in ahead {
        let (module, cursor) = subscription?;
        problems.push(format!("the module {module:?} is at event {cursor}, and the newest is {newest}"));
    }
    Ok(())
}
