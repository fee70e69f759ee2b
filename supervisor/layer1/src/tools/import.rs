//! Import of what an export has written. Lines are committed in groups, so memory stays bounded however
//! long the file is; when a line is wrong, the groups before it are in, and the same import can be run
//! again after the line is mended: an identical entity that is stored already is passed over.
//!
//! An import emits no events and checks no quota: it brings back what was there.

use super::{ToolError, Watcher, report};
use crate::{
    failure::{refusal, with_data},
    ids::IdMaker,
    job::{Existing, Job, JobId},
    outcome::{Imported, Outcome},
    staged::{StagedEntity, State, Stored},
    statements::Statements,
    store::Layer1,
    tables::entities,
    unit::Unit,
};
use bulkhead_json::Raw;
use bulkhead_protocol::{
    ErrorCode, Failure, Json, ModuleName,
    layer1::{Data, EntityId, EntityName, limits::ENTITY_BYTES_MAX},
    time,
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::{
    borrow::Cow,
    io::{self, BufRead, Read},
};

/// Lines of one group.
const GROUP_LINES_MAX: usize = 1000;

/// Bytes of one group, after which no line joins it.
const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// The longest line: an entity, and what stands around it.
const LINE_BYTES_MAX: usize = ENTITY_BYTES_MAX + 4096;

/// What some programs begin a text with.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The greatest version that a line may bring: what every JSON program reads exactly, with room for changes.
const VERSION_MAX: u64 = (1 << 53) - 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    entity: Cow<'a, str>,
    id: Cow<'a, str>,
    version: u64,
    created_at: Cow<'a, str>,
    updated_at: Cow<'a, str>,
    #[serde(default)]
    owner: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads the lines and makes a unit of them, which is to be written in the transaction that is open.
pub(crate) fn prepare(
    statements: &mut Statements<'_>,
    ids: &IdMaker,
    lines: &[String],
    first: u64,
    existing: Existing,
) -> rusqlite::Result<Result<(Unit, Imported), Failure>> {
    let mut unit = Unit::default();
    let mut imported = Imported::default();
    for (line, number) in lines.iter().zip(first..) {
        let (key, pending) = match read(line) {
            Ok(read) => read,
            Err(reason) => return Ok(Err(at_line(number, &reason))),
        };
        if unit.changes.contains_key(&key) {
            return Ok(Err(at_line(
                number,
                &format!("the {} with the id {} stands in another line too", key.0, key.1),
            )));
        }
        ids.pass_imported(&key.1);
        let Some(stored) = entities::find(statements, &key)? else {
            imported.created += 1;
            unit.set(key, pending);
            continue;
        };
        if is_same(&stored, &pending) || existing == Existing::Keep {
            imported.kept += 1;
        } else if existing == Existing::Replace {
            imported.replaced += 1;
            unit.set(key, pending.over(stored));
        } else {
            let reason = format!(
                "another {} with the id {} is there already, of version {}",
                key.0, key.1, stored.state.version
            );
            return Ok(Err(at_line(number, &reason)));
        }
    }
    Ok(Ok((unit, imported)))
}

fn read(line: &str) -> Result<((EntityName, EntityId), StagedEntity), String> {
    let line: Line<'_> = read_object(line).map_err(|reason| format!("expected a line of an export: {reason}"))?;
    let time =
        |name: &str, text: &str| time::parse(text).ok_or_else(|| format!("at {name}: expected a time, found {text:?}"));
    let entity = EntityName::new(&line.entity).map_err(|fault| fault.inside("entity").to_string())?;
    let id = EntityId::new(&line.id).map_err(|fault| fault.inside("id").to_string())?;
    let data = Data::new(Raw::new(line.data.get())).map_err(|fault| fault.inside("data").to_string())?;
    if !(1..=VERSION_MAX).contains(&line.version) {
        return Err(format!("at version: expected an integer from 1 to {VERSION_MAX}, found {}", line.version));
    }
    if !line.owner.is_empty() && ModuleName::new(&line.owner).is_err() {
        let found = Json::of(&line.owner);
        return Err(format!(
            "at owner: expected the name of a module, or nothing, found {}",
            Raw::from(&found).quote()
        ));
    }
    let created_at = time("created_at", &line.created_at)?;
    // A clock that had been set back may have reversed them, before the store prevented that.
    let updated_at = time("updated_at", &line.updated_at)?.max(created_at);
    let state = State { version: line.version, updated_at, data };
    Ok(((entity, id), StagedEntity { base: None, owner: line.owner.as_ref().into(), created_at, now: Some(state) }))
}

/// Reads an object on a line. Of a list, serde would take the elements for the members in their order.
fn read_object<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T, String> {
    match line.trim_ascii_start().as_bytes().first() {
        Some(b'{') => serde_json::from_str(line).map_err(|error| {
            // It is always the first line of one; which line of the file it is, the caller says.
            let reason = error.to_string();
            let sentence = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(sentence, _)| sentence);
            format!("column {}: {sentence}", error.column())
        }),
        Some(_) => Err(format!("expected an object, found {}", Raw::new(line.trim_ascii()).quote())),
        None => Err("expected an object, found an empty line".into()),
    }
}

fn is_same(stored: &Stored, pending: &StagedEntity) -> bool {
    let state = &stored.state;
    stored.owner == pending.owner
        && stored.created_at == pending.created_at
        && pending.now.as_ref().is_some_and(|now| {
            (now.version, now.updated_at, &now.data) == (state.version, state.updated_at, &state.data)
        })
}

fn at_line(number: u64, reason: &str) -> Failure {
    let failure = refusal(ErrorCode::BadRequest, format!("line {number}: {reason}"));
    with_data(failure, &json!({"line": number, "reason": reason}))
}

/// Cuts an export into jobs, for a caller that brings them to the store.
pub struct ImportLines<R> {
    input: R,
    line: u64,
    bytes: u64,
    /// How many entities the first line promises.
    promised: Option<u64>,
}

impl<R: BufRead> ImportLines<R> {
    /// Reads and checks the first line; a byte order mark in front of it is passed over.
    ///
    /// # Errors
    /// When it is not that of an export that this program knows.
    pub fn new(input: R) -> Result<ImportLines<R>, ToolError> {
        #[derive(Deserialize)]
        struct Head {
            bulkhead: String,
            format: u64,
            #[serde(default)]
            entities: Option<u64>,
        }
        let mut lines = ImportLines { input, line: 0, bytes: 0, promised: None };
        let mut text = lines.next_line()?.unwrap_or_default();
        // An editor may put it in front of a file; it has no meaning.
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len_utf8());
        }
        let wrong = |reason: String| ToolError::Line { line: 1, reason };
        let head: Head = read_object(&text)
            .map_err(|reason| wrong(format!("expected the first line of an export of layer1: {reason}")))?;
        match (head.bulkhead.as_str(), head.format) {
            ("layer1", 1) => {
                lines.promised = head.entities;
                Ok(lines)
            }
            ("layer1", format) => Err(wrong(format!("the export has the format {format}, this program knows 1"))),
            (other, _) => Err(wrong(format!("expected an export of layer1, found one of {other:?}"))),
        }
    }

    /// How many bytes were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next job; `None` at the end.
    ///
    /// # Errors
    /// When reading fails, a line is too long, or the end comes sooner or later than the first line says: the
    /// file was truncated, or put together of several.
    pub fn next_job(&mut self, existing: Existing) -> Result<Option<Job>, ToolError> {
        let first = self.line + 1;
        let mut lines = Vec::new();
        let mut bytes = 0;
        while lines.len() < GROUP_LINES_MAX && bytes < GROUP_BYTES_MAX {
            let Some(line) = self.next_line()? else { break };
            bytes += line.len();
            lines.push(line);
        }
        if lines.is_empty() {
            return self.compare_with_promise().map(|()| None);
        }
        Ok(Some(Job::Import { lines, first, existing }))
    }

    /// Whether the input is text of two bytes a character, as some editors save it.
    fn begins_with_utf16(&mut self) -> io::Result<bool> {
        loop {
            match self.input.fill_buf() {
                Ok(bytes) => return Ok(bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn compare_with_promise(&self) -> Result<(), ToolError> {
        let found = self.line.saturating_sub(1);
        match self.promised {
            Some(promised) if promised != found => {
                let reason = format!(
                    "expected {promised} entities, as the first line says, found {found}; if the file is meant to be so, take \"entities\" out of its first line"
                );
                Err(ToolError::Line { line: self.line, reason })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn next_line(&mut self) -> Result<Option<String>, ToolError> {
        let mut line = String::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        if self.line == 0 && self.begins_with_utf16()? {
            let reason = "expected UTF-8, found the byte order mark of UTF-16: save it as UTF-8, as with iconv -f UTF-16 -t UTF-8";
            return Err(ToolError::Line { line: 1, reason: reason.into() });
        }
        let read = self.input.by_ref().take(limit).read_line(&mut line).map_err(|error| match error.kind() {
            // A reader of lines reports this without the position.
            io::ErrorKind::InvalidData => ToolError::Line { line: self.line + 1, reason: "expected UTF-8".into() },
            _ => error.into(),
        })?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        self.bytes += read as u64;
        if line.len() as u64 == limit && !line.ends_with('\n') {
            let reason = format!("a line has at most {LINE_BYTES_MAX} bytes, found more");
            return Err(ToolError::Line { line: self.line, reason });
        }
        Ok(Some(line))
    }
}

impl Layer1 {
    /// Imports everything from `input`, waiting for the store. For a store that has no other user:
    /// it takes every outcome. A host brings the jobs of [`ImportLines`] itself.
    ///
    /// # Errors
    /// When a line is wrong, reading fails, or the watcher stops it. Lines before it may be in.
    pub fn import(&self, input: impl BufRead, existing: Existing, watcher: Watcher<'_>) -> Result<Imported, ToolError> {
        let mut lines = ImportLines::new(input)?;
        let mut all = Imported::default();
        while let Some(job) = lines.next_job(existing)? {
            let refused = |_| ToolError::Refused("the store is closing".into());
            self.submit(JobId(u64::MAX), job, None).map_err(refused)?;
            match self.wait().1 {
                Outcome::Imported(imported) => {
                    all.created += imported.created;
                    all.replaced += imported.replaced;
                    all.kept += imported.kept;
                }
                Outcome::Failed(failure) => return Err(of_failure(failure)),
                other => return Err(ToolError::Refused(format!("expected an import, found {other:?}"))),
            }
            report(watcher, lines.bytes(), None)?;
        }
        Ok(all)
    }
}

fn of_failure(failure: Failure) -> ToolError {
    #[derive(Deserialize)]
    struct At {
        line: u64,
        reason: String,
    }
    match failure.data.as_ref().and_then(|data| data.read::<At>().ok()) {
        Some(At { line, reason }) => ToolError::Line { line, reason },
        None => ToolError::Refused(failure.error),
    }
}
