//! The records of crashes that are in files. Of a record that cannot be sent, the answer has what its name says.

use super::READING_TIME_MAX;
use crate::{
    folder::Folder,
    records::{self, Found, Name, Number},
};
use bulkhead_protocol::Json;
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

/// The members of a record in the order in which they are sent; any others follow them.
const MEMBERS: [&str; 9] = ["module", "instance", "time", "reason", "exit", "pid", "uptime_ms", "stderr", "in_flight"];

/// The folder of the records, and which are wanted.
#[derive(Debug)]
pub(crate) struct CrashFiles {
    pub(crate) folder: PathBuf,
    pub(crate) module: Option<String>,
    /// The number that was given last, and the one before the first that this host gave.
    pub(crate) newest: Number,
    pub(crate) earlier: Number,
    /// Those that are kept in memory.
    pub(crate) held: BTreeSet<Number>,
    pub(crate) most: usize,
    pub(crate) bytes_max: usize,
}

/// A record.
#[derive(Debug)]
pub(crate) struct OldCrash {
    pub(crate) number: Number,
    pub(crate) json: Json,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct OldCrashes {
    /// Newest first.
    pub(crate) crashes: Vec<OldCrash>,
    /// How many there are that were not read.
    pub(crate) more: usize,
    /// Why records are missing that should have been sent.
    pub(crate) notice: Option<String>,
}

impl CrashFiles {
    /// Reads them.
    pub(crate) fn read(&self) -> OldCrashes {
        self.try_read().unwrap_or_else(|error| OldCrashes {
            notice: Some(format!("records in {} cannot be read: {error}", self.folder.display())),
            ..OldCrashes::default()
        })
    }

    fn try_read(&self) -> io::Result<OldCrashes> {
        let until = Instant::now() + READING_TIME_MAX;
        let (found, mut more) =
            records::newest_in(&self.folder, self.module.as_deref(), self.newest, &self.held, self.most)?;
        if found.is_empty() {
            return Ok(OldCrashes::default());
        }
        let folder = Folder::open(&self.folder)?;
        let (mut crashes, mut room, mut notice) = (Vec::new(), self.bytes_max, None);
        for found in &found {
            if Instant::now() >= until {
                notice = Some(format!("reading the records in {} takes too long", self.folder.display()));
                break;
            }
            let Some(json) = self.record(&folder, found, room) else { break };
            room = room.saturating_sub(json.as_str().len());
            crashes.push(OldCrash { number: found.number, json });
        }
        more += found.len() - crashes.len();
        Ok(OldCrashes { crashes, more, notice })
    }

    /// A record as it is sent; `None` if there is no room for it. One that is too long for any answer is mentioned.
    fn record(&self, folder: &Folder, found: &Found, room: usize) -> Option<Json> {
        let os_name = OsStr::new(&found.name);
        let name = Name::of(os_name).expect("it is the name of a record");
        let file = self.folder.join(&found.name);
        let is_earlier = found.number <= self.earlier;
        let instead = |why: String| substitute(name.module, &name.time(), &why, &file, is_earlier);
        let read = folder.read(&found.name, self.bytes_max.saturating_add(1) as u64);
        Some(match read {
            Ok(bytes) if bytes.len() > self.bytes_max => instead("the record is too long to be sent".into()),
            Ok(bytes) if bytes.len() > room => return None,
            Ok(bytes) => match as_sent(&bytes, name.module, &file, is_earlier) {
                Ok(json) => json,
                Err(error) => instead(format!("the record is no JSON object, or not whole: {error}")),
            },
            Err(error) => instead(format!("the record cannot be read: {error}")),
        })
    }
}

/// Replaces a record that cannot be sent itself.
pub(crate) fn substitute(module: &str, time: &str, why: &str, file: &Path, is_earlier: bool) -> Json {
    #[derive(Serialize)]
    struct Substitute<'a> {
        module: &'a str,
        time: &'a str,
        reason: String,
        file: Cow<'a, str>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        earlier: bool,
    }
    let reason = format!("unknown: {why}");
    Json::of(&Substitute { module, time, reason, file: file.to_string_lossy(), earlier: is_earlier })
}

/// A record as it is in a file, of any version, with its present path.
fn as_sent(bytes: &[u8], module: &str, file: &Path, is_earlier: bool) -> Result<Json, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut members: BTreeMap<String, Json> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    members.insert("module".into(), Json::of(module));
    let mut ordered: Vec<(String, Json)> = MEMBERS.iter().filter_map(|name| members.remove_entry(*name)).collect();
    ["file", "earlier"].iter().for_each(|name| _ = members.remove(*name));
    ordered.extend(members);
    ordered.push(("file".into(), Json::of(&file.to_string_lossy())));
    ordered.extend(is_earlier.then(|| ("earlier".into(), Json::of(&true))));
    Ok(object(&ordered))
}

/// An object of these members, whatever their names are.
pub(super) fn object(members: &[(String, Json)]) -> Json {
    let texts: Vec<String> =
        members.iter().map(|(name, value)| format!("{}:{}", Json::of(name).as_str(), value.as_str())).collect();
    Json::of_checked_buffer(format!("{{{}}}", texts.join(",")))
}
