//! Crash records and quarantined messages: kept in memory for a question, on disk for good. How the files are
//! named and which of them stay is [`crate::records`]'s business.

use crate::{
    clock::wall_clock,
    log_files::LogFiles,
    records::{FILES_BETWEEN_COUNTS, Number},
};
use bulkhead_core::{CrashRecord, LostRequest};
use bulkhead_protocol::{Exit, HeldBytes, Json, ModuleName, allocation};
use serde::Serialize;
use std::{collections::VecDeque, path::PathBuf};

/// Records that are kept in memory, of all modules together.
const KEPT_MAX: usize = 200;

/// Bytes of records that are kept, as they lie in memory; the newest stays in any case.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

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
    /// Where it is kept, as a text.
    file: String,
}

#[derive(Clone, Debug, Serialize)]
struct Lost {
    r#type: String,
    payload: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    delivery: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered: Option<String>,
}

impl From<LostRequest> for Lost {
    fn from(lost: LostRequest) -> Lost {
        let text = lost.payload.as_str();
        let payload = if text.len() > PAYLOAD_BYTES_MAX {
            Json::of(&format!("{}…", &text[..text.floor_char_boundary(PAYLOAD_BYTES_MAX)]))
        } else {
            lost.payload
        };
        let delivery = lost.delivery.name();
        Lost { r#type: lost.kind, payload, key: lost.key, delivery, answered: lost.answered }
    }
}

impl HeldBytes for Lost {
    fn held_bytes(&self) -> usize {
        self.r#type.held_bytes() + self.payload.held_bytes() + self.key.held_bytes() + self.answered.held_bytes()
    }
}

impl HeldBytes for Crash {
    fn held_bytes(&self) -> usize {
        let named = self.module.held_bytes() + self.instance.held_bytes() + self.time.held_bytes();
        let told = self.reason.held_bytes() + self.exit.held_bytes() + self.stderr.held_bytes();
        named + told + self.in_flight.held_bytes() + allocation(self.file.capacity())
    }
}

/// A record in memory.
#[derive(Debug)]
struct Kept {
    /// Its length as it is told.
    written: usize,
    /// What it takes.
    held: usize,
    crash: Crash,
}

/// The crashes of this host.
#[derive(Debug)]
pub(crate) struct Crashes {
    crashes: Folder,
    quarantine: Folder,
    /// The number of the last record in either folder.
    newest: Number,
    /// With the bytes of each.
    kept: VecDeque<Kept>,
    kept_bytes: usize,
}

/// Where records are written.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// How many this host has named.
    named: u64,
}

impl Crashes {
    /// `newest` is the greatest number of a record that is there.
    pub(crate) fn new(crashes: PathBuf, quarantine: PathBuf, newest: Number) -> Crashes {
        let [crashes, quarantine] = [crashes, quarantine].map(|path| Folder { path, named: 0 });
        Crashes { crashes, quarantine, newest, kept: VecDeque::new(), kept_bytes: 0 }
    }

    /// Keeps a record; the file is written on the log thread.
    pub(crate) fn record(&mut self, record: CrashRecord, files: &LogFiles) {
        let time = wall_clock();
        let file = self.crashes.next_file(&mut self.newest, &record.module, &time, files);
        let crash = Crash {
            module: record.module.to_string(),
            instance: record.instance,
            time,
            reason: record.reason,
            exit: record.exit,
            pid: record.pid,
            uptime_ms: u64::try_from(record.uptime.as_millis()).unwrap_or(u64::MAX),
            stderr: record.stderr,
            in_flight: record.in_flight.into_iter().map(Lost::from).collect(),
            file: file.display().to_string(),
        };
        let content = pretty(&crash);
        self.keep(content.len(), crash.clone());
        files.write_file(file, content);
    }

    fn keep(&mut self, written: usize, crash: Crash) {
        let held = 2 * size_of::<Kept>() + crash.held_bytes();
        self.kept_bytes += held;
        self.kept.push_back(Kept { written, held, crash });
        while self.kept.len() > 1 && (self.kept.len() > KEPT_MAX || self.kept_bytes > KEPT_BYTES_MAX) {
            self.kept_bytes -= self.kept.pop_front().expect("there are two of them").held;
        }
    }

    /// Keeps a message that is not tried again.
    pub(crate) fn quarantine(&mut self, module: &ModuleName, request: LostRequest, files: &LogFiles) -> PathBuf {
        let file = self.quarantine.next_file(&mut self.newest, module, &wall_clock(), files);
        files.write_file(file.clone(), pretty(&Lost::from(request)));
        file
    }

    /// The records of one module, or of all, oldest first; of many, the newest that fit into `bytes_max`.
    pub(crate) fn of(&self, module: Option<&str>, bytes_max: usize) -> Vec<&Crash> {
        let mut room = bytes_max;
        let mut found = Vec::new();
        for Kept { written: bytes, crash, .. } in self.kept.iter().rev() {
            if module.is_none_or(|name| name == crash.module) {
                if *bytes > room && !found.is_empty() {
                    break;
                }
                room = room.saturating_sub(*bytes);
                found.push(crash);
            }
        }
        found.reverse();
        found
    }
}

impl Folder {
    /// A name that no host before this one has used, behind all that are there.
    fn next_file(&mut self, newest: &mut Number, module: &ModuleName, time: &str, files: &LogFiles) -> PathBuf {
        if self.named.is_multiple_of(FILES_BETWEEN_COUNTS) {
            files.thin_out(self.path.clone(), *newest);
        }
        self.named += 1;
        newest.advance();
        self.path.join(newest.file_name(module.as_str(), time))
    }
}

fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("a record can be written as JSON");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counting::{check, counted};
    use crate::{log_files::Rotation, records::FILES_MAX, scratch::Scratch};
    use bulkhead_core::RunId;
    use bulkhead_protocol::Delivery;
    use std::{fs, path::Path, time::Duration};

    fn record(module: &str) -> CrashRecord {
        CrashRecord {
            module: ModuleName::new(module).unwrap(),
            instance: format!("{module}#1"),
            run: RunId(1),
            pid: None,
            reason: "SIGSEGV".into(),
            exit: None,
            uptime: Duration::ZERO,
            stderr: vec!["x".repeat(1000)],
            in_flight: Vec::new(),
        }
    }

    #[test]
    fn what_was_just_written_is_never_thinned_out_over_restarts_and_steps_of_the_clock() {
        let dir = Scratch::new("crashes");
        let folders = [dir.join("crashes"), dir.join("quarantine")];
        let names = |folder: &Path, module: &str| -> Vec<String> {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            entries.filter(|name| name.starts_with(&format!("{module}-"))).collect()
        };
        for folder in &folders {
            fs::create_dir_all(folder).unwrap();
            for index in 0..2 * FILES_MAX {
                fs::write(folder.join(format!("m-20991231T000000.000Z-{index:04}.json")), "{}").unwrap();
            }
        }
        let lost = || LostRequest {
            kind: "command".into(),
            payload: Json::of(&7),
            key: None,
            delivery: Delivery::Unknown,
            answered: None,
        };
        let mut written: [Vec<String>; 2] = Default::default();
        for _host in 0..3 {
            let files = LogFiles::start(Rotation { dir: dir.join("logs"), file_bytes_max: 1000, files: 1 }).unwrap();
            let newest = Number::greatest_in(&folders).unwrap();
            let mut crashes = Crashes::new(folders[0].clone(), folders[1].clone(), newest);
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            crashes.record(record("a"), &files);
            for _ in 0..50 {
                crashes.record(record("m"), &files);
                written[0].push(name(Path::new(&crashes.of(Some("m"), 1)[0].file)));
                // As often as the other: both are counted.
                let file = crashes.quarantine(&ModuleName::new("m").unwrap(), lost(), &files);
                written[1].push(name(&file));
            }
            drop(files);
            // The next host finds the clock set back by decades: what this one wrote is from the future.
            for (folder, written) in folders.iter().zip(&mut written) {
                let mut found = names(folder, "m");
                assert!(
                    (FILES_MAX..FILES_MAX + FILES_BETWEEN_COUNTS as usize).contains(&found.len()),
                    "{}",
                    found.len()
                );
                let newest = &written[written.len().saturating_sub(FILES_MAX)..];
                assert!(newest.iter().all(|name| found.contains(name)), "what was written last is there");
                found.retain(|name| written.contains(name));
                for name in &mut *written {
                    let later = name.replacen("-2", "-9", 1);
                    if found.contains(name) {
                        fs::rename(folder.join(&*name), folder.join(&later)).unwrap();
                    }
                    *name = later;
                }
            }
        }
        assert_eq!(names(&folders[0], "a").len(), 3, "one for each host, none over another");
    }

    #[test]
    fn a_record_is_counted_with_what_it_holds() {
        let lost = || Lost {
            r#type: "command".into(),
            payload: Json::of(&7),
            key: Some("k".into()),
            delivery: "unknown",
            answered: Some("it panicked".into()),
        };
        for (number, length) in [(0, 0), (20, 1), (20, 1000)] {
            let (crash, held, pieces) = counted(|| Crash {
                module: "module".into(),
                instance: "module#1".into(),
                time: "2026-11-29T00:00:00Z".into(),
                reason: "SIGSEGV".into(),
                exit: Some(Exit::Signal("SIGSEGV".into())),
                pid: Some(1),
                uptime_ms: 1,
                stderr: (0..number).map(|_| "x".repeat(length)).collect(),
                in_flight: (0..number).map(|_| lost()).collect(),
                file: "/var/lib/bulkhead/crashes/module-1-1.json".into(),
            });
            check("a crash record", crash.held_bytes(), held, pieces);
        }
    }

    #[test]
    fn what_is_told_fits_and_is_the_newest() {
        let files = LogFiles::start(Rotation { dir: "/proc/nonexistent".into(), file_bytes_max: 1, files: 1 }).unwrap();
        let mut crashes = Crashes::new("/proc/nonexistent".into(), "/proc/nonexistent".into(), Number::default());
        for _ in 0..KEPT_MAX + 5 {
            crashes.record(record("a"), &files);
        }
        assert_eq!(crashes.of(None, usize::MAX).len(), KEPT_MAX);
        let few = crashes.of(Some("a"), 5000);
        assert!((1..5).contains(&few.len()));
        assert_eq!(few.last().unwrap().file, crashes.kept.back().unwrap().crash.file);
        assert_eq!(crashes.of(None, 1).len(), 1, "one is told in any case");
        assert!(crashes.of(Some("b"), 5000).is_empty());
    }
}
