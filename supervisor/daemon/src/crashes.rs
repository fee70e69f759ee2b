//! Crash records and quarantined messages: kept in memory for a question, on disk for good.

use crate::{clock::wall_clock, log_files::LogFiles};
use bulkhead_core::{CrashRecord, LostRequest};
use bulkhead_protocol::{Exit, Json, ModuleName};
use serde::Serialize;
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};

/// Records that are kept in memory, of all modules together.
const KEPT_MAX: usize = 200;

/// Files that are kept for each module; the number in a file's name runs around.
const FILES_MAX: u64 = 100;

/// Bytes of one payload that go into a record; a longer one is cut and no JSON any more, so it is
/// written as a string.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// One crash, as it is written and told.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Crash {
    pub(crate) module: String,
    instance: String,
    time: String,
    reason: String,
    exit: Option<Exit>,
    pid: Option<i32>,
    uptime_ms: u64,
    stderr: Vec<String>,
    in_flight: Vec<Lost>,
    file: PathBuf,
}

#[derive(Clone, Debug, Serialize)]
struct Lost {
    r#type: String,
    payload: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    delivery: &'static str,
}

impl From<LostRequest> for Lost {
    fn from(lost: LostRequest) -> Lost {
        let text = lost.payload.as_str();
        let payload = if text.len() > PAYLOAD_BYTES_MAX {
            Json::of(&format!("{}…", &text[..text.floor_char_boundary(PAYLOAD_BYTES_MAX)]))
        } else {
            lost.payload
        };
        Lost { r#type: lost.kind, payload, key: lost.key, delivery: lost.delivery.name() }
    }
}

/// The crashes of this host.
#[derive(Debug)]
pub(crate) struct Crashes {
    crashes_dir: PathBuf,
    quarantine_dir: PathBuf,
    kept: VecDeque<Crash>,
    written: u64,
}

impl Crashes {
    pub(crate) fn new(crashes_dir: PathBuf, quarantine_dir: PathBuf) -> Crashes {
        Crashes { crashes_dir, quarantine_dir, kept: VecDeque::new(), written: 0 }
    }

    /// Keeps a record; the file is written on the log thread.
    pub(crate) fn record(&mut self, record: CrashRecord, files: &LogFiles) {
        let file = self.next_file(&self.crashes_dir.clone(), &record.module);
        let crash = Crash {
            module: record.module.to_string(),
            instance: record.instance,
            time: wall_clock(),
            reason: record.reason,
            exit: record.exit,
            pid: record.pid,
            uptime_ms: u64::try_from(record.uptime.as_millis()).unwrap_or(u64::MAX),
            stderr: record.stderr,
            in_flight: record.in_flight.into_iter().map(Lost::from).collect(),
            file,
        };
        files.write_file(crash.file.clone(), pretty(&crash));
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(crash);
    }

    /// Keeps a message that is not tried again.
    pub(crate) fn quarantine(&mut self, module: &ModuleName, request: LostRequest, files: &LogFiles) -> PathBuf {
        let file = self.next_file(&self.quarantine_dir.clone(), module);
        files.write_file(file.clone(), pretty(&Lost::from(request)));
        file
    }

    fn next_file(&mut self, dir: &Path, module: &ModuleName) -> PathBuf {
        let number = self.written % FILES_MAX;
        self.written += 1;
        dir.join(format!("{module}-{number:02}.json"))
    }

    /// The records of one module, or of all, oldest first.
    pub(crate) fn of<'a>(&'a self, module: Option<&'a str>) -> impl Iterator<Item = &'a Crash> {
        self.kept.iter().filter(move |crash| module.is_none_or(|name| name == crash.module))
    }
}

fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("a record can be written as JSON");
    bytes.push(b'\n');
    bytes
}
