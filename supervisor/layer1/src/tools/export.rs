//! Export: every entity, or every one of a type, as one line of JSON, in order of creation, as of one moment.
//!
//! The first line is `{"bulkhead":"layer1","format":1,"entities":N}`. Every other one is
//! `{"entity","id","version","created_at","updated_at","owner","data"}`, with the times as in an answer
//! to a query. Events, keys and subscriptions are not exported: a backup has everything.

use super::{ToolError, Tools, Watcher, report};
use crate::{open::open_reader, stored_id::StoredId};
use bulkhead_protocol::{layer1::EntityName, time};
use std::io::Write;

/// Lines between two reports.
const REPORT_LINES: u64 = 1000;

impl Tools {
    /// Writes every entity, or those of one type, to `out`, and says how many there were.
    ///
    /// # Errors
    /// When writing or reading fails, or the watcher stops it.
    pub fn export(
        &self,
        entity: Option<&EntityName>,
        out: &mut dyn Write,
        watcher: Watcher<'_>,
    ) -> Result<u64, ToolError> {
        self.write(entity, out, watcher).map_err(|error| self.explained(error))
    }

    fn write(&self, entity: Option<&EntityName>, out: &mut dyn Write, watcher: Watcher<'_>) -> Result<u64, ToolError> {
        let entity = entity.map(EntityName::as_str);
        let connection = open_reader(&self.path)?;
        connection.execute_batch("BEGIN")?;
        let total: u64 =
            connection.query_row("SELECT count(*) FROM entities WHERE ?1 IS NULL OR entity = ?1", [entity], |row| {
                row.get(0)
            })?;
        writeln!(out, r#"{{"bulkhead":"layer1","format":1,"entities":{total}}}"#)?;
        report(watcher, 0, Some(total))?;
        let mut statement = connection.prepare(
            "SELECT entity, id, version, created_at, updated_at, owner, data FROM entities
             WHERE ?1 IS NULL OR entity = ?1 ORDER BY rowid",
        )?;
        let mut rows = statement.query([entity])?;
        let mut done = 0;
        while let Some(row) = rows.next()? {
            let owner = serde_json::to_string(row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?)
                .expect("a text can be written as JSON");
            writeln!(
                out,
                r#"{{"entity":"{}","id":"{}","version":{},"created_at":"{}","updated_at":"{}","owner":{owner},"data":{}}}"#,
                row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?,
                row.get::<_, StoredId>(1)?.id(),
                row.get::<_, u64>(2)?,
                time::format(row.get(3)?),
                time::format(row.get(4)?),
                row.get_ref(6)?.as_str().map_err(rusqlite::Error::from)?,
            )?;
            done += 1;
            if done % REPORT_LINES == 0 {
                report(watcher, done, Some(total))?;
            }
        }
        out.flush()?;
        report(watcher, done, Some(total))?;
        Ok(done)
    }
}
