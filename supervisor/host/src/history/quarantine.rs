//! The messages that are quarantined, in their files: listed page by page, shown, removed. Of a record that cannot be
//! read, the answer has what its name says. What they are for is not known here.

use super::READING_TIME_MAX;
use crate::{
    folder::Folder,
    records::{self, Found, Name, Number, Rest},
};
use bulkhead_protocol::{ErrorCode, Exit, Failure, Json, event::command_name, limits::NAME_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    path::PathBuf,
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

/// Bytes of a record that are read for a list. A host writes none that is longer.
const LISTED_RECORD_BYTES_MAX: u64 = 512 * 1024;

/// How long records that are on their way to the disk are waited for.
const WRITTEN_TIME_MAX: Duration = Duration::from_secs(1);

/// The members of a record in the order in which they are sent; any others follow them.
const MEMBERS: [&str; 11] =
    ["id", "module", "time", "type", "payload", "key", "from", "delivery", "crashes", "reason", "exit"];

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) enum QuarantineAsk {
    /// Those of a module, or all, after a file.
    List { module: Option<String>, after: Option<String>, most: usize },
    /// The one in this file, whole.
    Show { file: String },
    /// The removal of that file.
    Drop { file: String },
}

/// The folder of the records, and what is asked for.
#[derive(Debug)]
pub(crate) struct QuarantineFiles {
    pub(crate) folder: PathBuf,
    /// The number that was given last.
    pub(crate) newest: Number,
    pub(crate) ask: QuarantineAsk,
    pub(crate) bytes_max: usize,
    /// Comes when the records are written that were handed over before the question.
    pub(crate) written: Option<Receiver<()>>,
}

/// What was read or done.
#[derive(Debug)]
pub(crate) enum Quarantined {
    Page(QuarantinePage),
    One(Json),
}

/// A part of the list.
#[derive(Debug, Serialize)]
pub(crate) struct QuarantinePage {
    /// Oldest first.
    pub(crate) quarantined: Vec<Json>,
    /// What the next part begins after.
    pub(crate) next: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

/// What is looked at of a record.
#[derive(Deserialize)]
struct Members {
    r#type: String,
    #[serde(default)]
    payload: Json,
    key: Option<String>,
    from: Option<String>,
    delivery: Option<String>,
    crashes: Option<u64>,
    reason: Option<String>,
    exit: Option<Exit>,
}

/// A record as it is listed.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    module: &'a str,
    time: String,
    #[serde(flatten)]
    what: What,
}

#[derive(Serialize)]
#[serde(untagged)]
enum What {
    Whole {
        r#type: String,
        command: Option<String>,
        bytes: usize,
        key: Option<String>,
        from: Option<String>,
        delivery: Option<String>,
        crashes: Option<u64>,
        reason: Option<String>,
        exit: Option<Exit>,
    },
    /// It cannot be read.
    Unknown { reason: String },
}

impl QuarantineFiles {
    /// Reads or removes.
    ///
    /// # Errors
    /// When there is no such record, or it cannot be done.
    pub(crate) fn read(self) -> Result<Quarantined, Failure> {
        let is_all_written =
            self.written.as_ref().is_some_and(|written| written.recv_timeout(WRITTEN_TIME_MAX).is_ok());
        match &self.ask {
            QuarantineAsk::List { module, after, most } => {
                let page = self.page(module.as_deref(), after.as_deref(), *most, is_all_written);
                page.map(Quarantined::Page).map_err(|error| self.failed("read", &error))
            }
            QuarantineAsk::Show { file } => self.whole(file).map(Quarantined::One),
            QuarantineAsk::Drop { file } => self.remove(file).map(Quarantined::One),
        }
    }

    fn page(
        &self,
        module: Option<&str>,
        after: Option<&str>,
        most: usize,
        is_all_written: bool,
    ) -> io::Result<QuarantinePage> {
        let until = Instant::now() + READING_TIME_MAX;
        let mut remarks = Vec::new();
        if !is_all_written {
            remarks.push("the newest records are missing: they are on their way to the disk".to_owned());
        }
        let place = after.and_then(|file| Found::at(file, self.newest));
        let (found, rest) = records::oldest_in(&self.folder, module, self.newest, place.as_ref(), most)?;
        let mut page = QuarantinePage { quarantined: Vec::new(), next: None, remarks };
        if found.is_empty() {
            return Ok(page);
        }
        let folder = Folder::open(&self.folder)?;
        let (mut room, mut last) = (self.bytes_max, after);
        for found in &found {
            if Instant::now() >= until {
                page.remarks.push(format!("reading the records in {} takes too long", self.folder.display()));
                break;
            }
            let json = listed(&folder, found);
            let bytes = json.as_str().len() + 1;
            if bytes > room {
                break;
            }
            room -= bytes;
            last = Some(&found.name);
            page.quarantined.push(json);
        }
        if rest == Rest::More || page.quarantined.len() < found.len() {
            page.next = last.map(|file| id_of(file).to_owned());
        }
        Ok(page)
    }

    fn whole(&self, file: &str) -> Result<Json, Failure> {
        let id = id_of(file);
        let read = self.open().and_then(|folder| folder.read(file, self.bytes_max.saturating_add(1) as u64));
        let bytes = read.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_such(id),
            _ => self.failed("read", &error),
        })?;
        let refused = |why: String| {
            let at = self.folder.join(file);
            Failure::new(ErrorCode::Internal, format!("the record {} {why}", at.display()))
        };
        if bytes.len() > self.bytes_max {
            return Err(refused(format!("is longer than a message may be, {} bytes", self.bytes_max)));
        }
        let not_whole = |error: String| refused(format!("is no JSON object, or not whole: {error}"));
        let text = str::from_utf8(&bytes).map_err(|error| not_whole(error.to_string()))?;
        let mut members: BTreeMap<String, Json> =
            serde_json::from_str(text).map_err(|error| not_whole(error.to_string()))?;
        let name = Name::of(OsStr::new(file)).expect("it is the name of a record");
        for (member, value) in [("id", id), ("module", name.module)] {
            members.insert(member.into(), Json::of(value));
        }
        members.entry("time".into()).or_insert_with(|| Json::of(&name.time()));
        members.remove("file");
        let mut ordered: Vec<(String, Json)> = MEMBERS.iter().filter_map(|name| members.remove_entry(*name)).collect();
        ordered.extend(members);
        ordered.push(("file".into(), Json::of(&self.folder.join(file).to_string_lossy())));
        let json = super::crashes::object(&ordered);
        match json.as_str().len() <= self.bytes_max {
            true => Ok(json),
            false => Err(refused(format!("is longer than a message may be, {} bytes", self.bytes_max))),
        }
    }

    fn remove(&self, file: &str) -> Result<Json, Failure> {
        let id = id_of(file);
        let removed = self.open().and_then(|folder| folder.remove(file));
        removed.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_such(id),
            _ => self.failed("removed", &error),
        })?;
        let module = Name::of(OsStr::new(file)).expect("it is the name of a record").module;
        Ok(Json::of(&serde_json::json!({ "id": id, "module": module })))
    }

    fn open(&self) -> io::Result<Folder> {
        Folder::open(&self.folder)
    }

    fn failed(&self, what: &str, error: &io::Error) -> Failure {
        let folder = self.folder.display();
        Failure::new(ErrorCode::Internal, format!("records in {folder} cannot be {what}: {error}"))
    }
}

fn listed(folder: &Folder, found: &Found) -> Json {
    let name = Name::of(OsStr::new(&found.name)).expect("it is the name of a record");
    let what = what(folder.read(&found.name, LISTED_RECORD_BYTES_MAX + 1));
    Json::of(&Listed { id: id_of(&found.name), module: name.module, time: name.time(), what })
}

fn what(read: io::Result<Vec<u8>>) -> What {
    let unknown = |why: String| What::Unknown { reason: format!("unknown: {why}") };
    let bytes = match read {
        Ok(bytes) if bytes.len() as u64 > LISTED_RECORD_BYTES_MAX => {
            return unknown("the record is longer than any that a host writes".into());
        }
        Ok(bytes) => bytes,
        Err(error) => return unknown(format!("the record cannot be read: {error}")),
    };
    let text = str::from_utf8(&bytes).map_err(|error| error.to_string());
    let members = text.and_then(|text| serde_json::from_str::<Members>(text).map_err(|error| error.to_string()));
    match members {
        Err(error) => unknown(format!("the record is not whole, or of another version: {error}")),
        Ok(Members { r#type, payload, key, from, delivery, crashes, reason, exit }) => {
            let command = (r#type == "command").then(|| command_name(&payload)).flatten();
            let command = command.map(|name| name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned());
            let bytes = payload.as_str().len();
            What::Whole { r#type, command, bytes, key, from, delivery, crashes, reason, exit }
        }
    }
}

/// A record's file without its ending.
pub(crate) fn id_of(file: &str) -> &str {
    file.strip_suffix(".json").unwrap_or(file)
}

/// There is no such record.
pub(crate) fn no_such(id: &str) -> Failure {
    let shown = &id[..id.floor_char_boundary(NAME_BYTES_MAX)];
    let reason = format!("there is no quarantined message {shown:?}; the command quarantine of supervisor lists them");
    Failure::new(ErrorCode::NotFound, reason)
}
