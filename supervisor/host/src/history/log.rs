//! The last lines of a module, of those that are kept in memory and those in its files: each once, and in their order.

use super::{
    READING_TIME_MAX,
    log_file::{self, Bounds, Lines, Stored},
};
use crate::{
    log_files::Cut,
    log_lines::{Line, Stream, level},
    module_log::ModuleLog,
};
use bulkhead_protocol::{Json, ModuleName};
use serde::Serialize;
use std::{
    path::PathBuf,
    sync::{Arc, mpsc::Receiver},
    time::{Duration, Instant},
};

/// Bytes of log files that are read for one answer.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long lines that are on their way to the files are waited for.
const CUT_TIME_MAX: Duration = Duration::from_secs(1);

/// Where the lines of a module are.
#[derive(Debug)]
pub(crate) struct LogHistory {
    pub(crate) module: ModuleName,
    /// What is kept in memory; a module that was removed has nothing there.
    pub(crate) log: Option<Arc<ModuleLog>>,
    pub(crate) dir: PathBuf,
    pub(crate) lines: usize,
    pub(crate) end: LogEnd,
}

/// Up to where lines are wanted: their number in memory, and the position of that in the files. A cut does not
/// keep the writing thread from its end.
#[derive(Debug)]
pub(crate) struct LogEnd {
    pub(crate) newest: u64,
    pub(crate) cut: Option<Receiver<Cut>>,
}

impl LogHistory {
    /// Reads them; oldest first.
    pub(crate) fn read(self) -> Vec<Json> {
        let until = Instant::now() + READING_TIME_MAX;
        let LogEnd { newest, cut } = &self.end;
        let stored = match cut.as_ref().and_then(|cut| cut.recv_timeout(CUT_TIME_MAX).ok()) {
            None => Err("lines on their way to the disk have not arrived there".to_owned()),
            Some(cut) => {
                let bounds = Bounds { lines: self.lines, bytes: READ_BYTES_MAX, until };
                log_file::read(&self.dir, self.module.as_str(), &cut, bounds).map_err(|error| error.to_string())
            }
        };
        // What is no longer kept there by now was in the files before.
        let held = self.log.as_ref().map(|log| log.up_to(*newest));
        self.merge(stored, &held.unwrap_or_default())
    }

    fn merge(&self, stored: Result<Lines, String>, held: &[Line]) -> Vec<Json> {
        let (older, why) = match stored {
            Ok(Lines { lines, left_out }) => (before(lines, held), left_out),
            Err(reason) => (Vec::new(), Some(format!("the files cannot be read: {reason}"))),
        };
        let mut lines: Vec<Json> = older.iter().map(stored_json).chain(held.iter().map(json_of)).collect();
        if lines.len() > self.lines {
            lines.drain(..lines.len() - self.lines);
        } else if let Some(why) = why {
            let file = self.dir.join(crate::log_files::name(self.module.as_str(), 0));
            lines.insert(0, notice(&format!("[older lines are not shown: {why}; the files are {}*]", file.display())));
        }
        lines
    }
}

/// Of lines in the files, those before the ones that are kept in memory. The last lines in the files are those, or
/// some of them where others could not be written.
fn before(mut stored: Vec<Stored>, held: &[Line]) -> Vec<Stored> {
    let mut held = held.iter().rev();
    let mut own = stored.len();
    while let Some(line) = own.checked_sub(1).map(|at| &stored[at]) {
        // The writer's notice on lost lines has no number, and the lines themselves say the same.
        if (line.time.is_none() && held.len() > 0) || held.any(|held| line.is(held)) {
            own -= 1;
        } else {
            break;
        }
    }
    stored.truncate(own);
    stored
}

/// A line as it is sent.
#[derive(Serialize)]
struct CrashList<'a> {
    time: Option<&'a str>,
    stream: &'static str,
    level: Option<String>,
    line: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    earlier: bool,
}

fn stored_json(line: &Stored) -> Json {
    Json::of(&CrashList {
        time: line.time.as_deref(),
        stream: line.stream.name(),
        level: level(&line.text),
        line: &line.text,
        earlier: line.is_earlier,
    })
}

/// A line that is kept in memory.
pub(crate) fn json_of(line: &Line) -> Json {
    Json::of(&CrashList {
        time: Some(&line.time),
        stream: line.stream.name(),
        level: level(&line.text),
        line: &line.text,
        earlier: false,
    })
}

/// A notice of the host on the lines.
pub(crate) fn notice(text: &str) -> Json {
    json_of(&Line::new(Stream::Host, text.to_owned()))
}
