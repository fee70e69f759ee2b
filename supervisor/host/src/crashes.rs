//! Crash records and quarantined messages: the newest are kept in memory for a question, all on disk for good. How
//! the files are named and which of them stay is decided in [`crate::records`], how they are read in
//! [`crate::history`].

use crate::{
    clock::wall_clock,
    history::{CrashFiles, OldCrashes, QuarantineAsk, QuarantineFiles, substitute},
    log_files::LogFiles,
    quarantine::QuarantineRecord,
    records::{FILES_BETWEEN_COUNTS, Number},
};
use bulkhead_core::{CrashRecord, LostRequest, QuarantinedRequest};
use bulkhead_protocol::{Exit, HeldBytes, Json, ModuleName, allocation};
use serde::Serialize;
use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
};

/// Records that are kept in memory, of all modules together.
const KEPT_MAX: usize = 200;

/// Bytes of records that are kept, as they lie in memory; the newest stays in any case.
const KEPT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of one payload that go into a record; a longer one is cut and no JSON any more, so it is
/// written as a string.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// One crash, as it is written and sent.
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
    /// Its path, as a text.
    file: String,
}

/// A request as it stands in a record: none of its other members does.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Lost {
    pub(crate) r#type: String,
    pub(crate) payload: Json,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    pub(crate) delivery: &'static str,
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
        let texts = self.reason.held_bytes() + self.exit.held_bytes() + self.stderr.held_bytes();
        named + texts + self.in_flight.held_bytes() + allocation(self.file.capacity())
    }
}

/// A record in memory.
#[derive(Debug)]
struct Kept {
    number: Number,
    /// Its length as it is sent.
    written: usize,
    /// What it takes.
    held: usize,
    crash: Crash,
}

/// Which crashes are wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) module: Option<String>,
    pub(crate) most: usize,
}

/// The answer to `crashes`.
#[derive(Debug, Serialize)]
pub(crate) struct CrashList {
    /// Oldest first.
    pub(crate) crashes: Vec<Json>,
    /// How many there are before them.
    pub(crate) older: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

/// The crashes of this host.
#[derive(Debug)]
pub(crate) struct Crashes {
    crashes: Folder,
    quarantine: Folder,
    /// The number of the last record of an earlier host.
    earlier: Number,
    /// The number of the last record in either folder.
    newest: Number,
    /// With the bytes of each.
    kept: VecDeque<Kept>,
    kept_bytes: usize,
}

/// The folder in which records are written.
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
        Crashes { crashes, quarantine, earlier: newest, newest, kept: VecDeque::new(), kept_bytes: 0 }
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
        self.keep(content.len(), crash);
        files.write_file(file, content);
    }

    fn keep(&mut self, written: usize, crash: Crash) {
        let held = 2 * size_of::<Kept>() + crash.held_bytes();
        self.kept_bytes += held;
        self.kept.push_back(Kept { number: self.newest, written, held, crash });
        while self.kept.len() > 1 && (self.kept.len() > KEPT_MAX || self.kept_bytes > KEPT_BYTES_MAX) {
            self.kept_bytes -= self.kept.pop_front().expect("there are two of them").held;
        }
    }

    /// Keeps a message that is not tried again.
    pub(crate) fn quarantine(&mut self, module: &ModuleName, request: QuarantinedRequest, files: &LogFiles) -> PathBuf {
        let time = wall_clock();
        let file = self.quarantine.next_file(&mut self.newest, module, &time, files);
        files.write_file(file.clone(), pretty(&QuarantineRecord::new(module, time, request)));
        file
    }

    /// Where quarantined messages are, for a question that is answered with at most so many bytes.
    pub(crate) fn quarantined(&self, ask: QuarantineAsk, bytes_max: usize, files: &LogFiles) -> QuarantineFiles {
        let folder = self.quarantine.path.clone();
        QuarantineFiles { folder, newest: self.newest, ask, bytes_max, written: files.written() }
    }

    /// Where the records are that are not kept in memory, for a reading that returns at most so many bytes.
    pub(crate) fn files(&self, wanted: &Wanted, bytes_max: usize) -> CrashFiles {
        let held: BTreeSet<Number> = self.kept.iter().map(|kept| kept.number).collect();
        CrashFiles {
            folder: self.crashes.path.clone(),
            module: wanted.module.clone(),
            newest: self.newest,
            earlier: self.earlier,
            held,
            most: wanted.most,
            bytes_max,
        }
    }

    /// The answer: the newest records that are wanted and fit into `bytes_max`, of those in memory and of those that
    /// were read.
    pub(crate) fn list(&self, wanted: &Wanted, read: OldCrashes, bytes_max: usize) -> CrashList {
        let is_wanted = |kept: &&Kept| wanted.module.as_ref().is_none_or(|name| *name == kept.crash.module);
        let mut kept = self.kept.iter().rev().filter(is_wanted).peekable();
        // One that was written after the question may have been read, and be in memory as well.
        let known: BTreeSet<Number> = self.kept.iter().map(|kept| kept.number).collect();
        let mut read_ones = read.crashes.into_iter().filter(|old| !known.contains(&old.number)).peekable();
        let (mut room, mut chosen, mut older) = (bytes_max, Vec::new(), read.more);
        loop {
            let of_memory = match (kept.peek(), read_ones.peek()) {
                (None, None) => break,
                (Some(kept), Some(old)) => kept.number > old.number,
                (kept, None) => kept.is_some(),
                (None, Some(_)) => false,
            };
            if chosen.len() >= wanted.most || room == 0 {
                older += kept.count() + read_ones.count();
                break;
            }
            let (bytes, json) = match of_memory {
                true => kept.next().map(|kept| kept.json(bytes_max)),
                false => read_ones.next().map(|old| (old.json.as_str().len(), old.json)),
            }
            .expect("one was seen");
            if bytes > room && !chosen.is_empty() {
                room = 0;
                older += 1;
                continue;
            }
            room = room.saturating_sub(bytes);
            chosen.push(json);
        }
        chosen.reverse();
        CrashList { crashes: chosen, older, remarks: read.notice.into_iter().collect() }
    }
}

impl Kept {
    /// The record as it is sent, and its length; one that is too long for any answer is only mentioned.
    fn json(&self, bytes_max: usize) -> (usize, Json) {
        let Crash { module, time, file, .. } = &self.crash;
        if self.written <= bytes_max {
            return (self.written, Json::of(&self.crash));
        }
        let json = substitute(module, time, "the record is too long to be sent", Path::new(file), false);
        (json.as_str().len(), json)
    }
}

impl Folder {
    /// A name that no host before this one has used, after all existing ones.
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
        let quarantined =
            || QuarantinedRequest { request: lost(), from: None, crashes: 2, reason: "SIGSEGV".into(), exit: None };
        let mut written: [Vec<String>; 2] = Default::default();
        for _host in 0..3 {
            let files = LogFiles::start(Rotation { dir: dir.join("logs"), file_bytes_max: 1000, files: 1 }).unwrap();
            let newest = Number::greatest_in(&folders).unwrap();
            let mut crashes = Crashes::new(folders[0].clone(), folders[1].clone(), newest);
            let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            crashes.record(record("a"), &files);
            for _ in 0..50 {
                crashes.record(record("m"), &files);
                written[0].push(name(Path::new(&crashes.kept.back().unwrap().crash.file)));
                // As often as the other: both are counted.
                let file = crashes.quarantine(&ModuleName::new("m").unwrap(), quarantined(), &files);
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

    fn wanted(module: Option<&str>, most: usize) -> Wanted {
        Wanted { module: module.map(str::to_owned), most }
    }

    /// The files in an answer, and how many there are before them.
    fn shown(crashes: &Crashes, wanted: &Wanted, bytes_max: usize) -> (Vec<String>, usize) {
        #[derive(serde::Deserialize)]
        struct File {
            file: String,
        }
        let read = crashes.files(wanted, bytes_max).read();
        assert_eq!(read.notice, None);
        let shown = crashes.list(wanted, read, bytes_max);
        (shown.crashes.iter().map(|crash| crash.read::<File>().unwrap().file).collect(), shown.older)
    }

    #[test]
    fn what_is_sent_fits_and_is_the_newest() {
        let files = LogFiles::start(Rotation { dir: "/proc/nonexistent".into(), file_bytes_max: 1, files: 1 }).unwrap();
        let mut crashes = Crashes::new("/proc/nonexistent".into(), "/proc/nonexistent".into(), Number::default());
        for _ in 0..KEPT_MAX + 5 {
            crashes.record(record("a"), &files);
        }
        let newest = crashes.kept.back().unwrap().crash.file.clone();
        let (all, older) = shown(&crashes, &wanted(None, 1000), usize::MAX);
        assert_eq!((all.len(), older, all.last()), (KEPT_MAX, 0, Some(&newest)));
        let (few, older) = shown(&crashes, &wanted(Some("a"), 1000), 5000);
        assert!((1..5).contains(&few.len()) && few.len() + older == KEPT_MAX, "{few:?}");
        assert_eq!(few.last(), Some(&newest));
        assert_eq!(shown(&crashes, &wanted(None, 1000), 1), (vec![newest.clone()], KEPT_MAX - 1), "one in any case");
        assert_eq!(shown(&crashes, &wanted(None, 2), 1_000_000).1, KEPT_MAX - 2);
        assert_eq!(shown(&crashes, &wanted(Some("b"), 1000), 5000), (Vec::new(), 0));
    }

    #[test]
    fn records_of_earlier_hosts_and_those_that_memory_has_no_room_for_are_sent_in_their_order_and_once() {
        let dir = Scratch::new("listed-crashes");
        let folders = [dir.join("crashes"), dir.join("quarantine")];
        folders.iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        let old = r#"{"module":"a","reason":"of a version before the numbers"}"#;
        fs::write(folders[0].join("a-20991231T000000.000Z-0007.json"), old).unwrap();
        let mut hosts = Vec::new();
        for modules in [&["a"; 3][..], &["b"; 2], &["a"; 5]] {
            let files = LogFiles::start(Rotation { dir: dir.join("logs"), file_bytes_max: 1000, files: 1 }).unwrap();
            let newest = Number::greatest_in(&folders).unwrap();
            let mut crashes = Crashes::new(folders[0].clone(), folders[1].clone(), newest);
            modules.iter().for_each(|module| crashes.record(record(module), &files));
            hosts.push(crashes);
        }
        let mut last = hosts.pop().unwrap();
        // As if many more had come since.
        last.kept.drain(..3);
        let shown = |wanted: Wanted| {
            let shown = last.list(&wanted, last.files(&wanted, usize::MAX).read(), usize::MAX);
            let text = |crash: &Json, member: &str| crash.read::<serde_json::Value>().unwrap()[member].clone();
            let crashes = shown.crashes.iter().map(|crash| {
                let file = text(crash, "file").as_str().unwrap().to_owned();
                (file[file.len() - 6..].to_owned(), text(crash, "earlier") == true)
            });
            (crashes.collect::<Vec<_>>(), shown.older)
        };
        let number = |number: u32, is_earlier: bool| (format!("{number}.json"), is_earlier);
        let all = (1..=10).map(|at| number(at % 10, at <= 5));
        let all: Vec<_> = std::iter::once(number(7, true)).chain(all).collect();
        assert_eq!(shown(wanted(None, 1000)), (all.clone(), 0));
        assert_eq!(shown(wanted(None, 7)), (all[4..].to_vec(), 4));
        assert_eq!(shown(wanted(None, 1)), (all[10..].to_vec(), 10));
        assert_eq!(shown(wanted(Some("b"), 1000)), (all[4..6].to_vec(), 0));
        assert_eq!(shown(wanted(Some("gone"), 1000)), (Vec::new(), 0));
    }

    #[test]
    fn a_record_that_is_none_is_mentioned_and_hides_no_other() {
        let dir = Scratch::new("odd-crashes");
        let folder = dir.join("crashes");
        fs::create_dir_all(folder.join("m-20261130T010203.004Z-000000000005.json")).unwrap();
        let put = |number: u64, content: &[u8]| {
            fs::write(folder.join(format!("m-20261130T010203.004Z-{number:012}.json")), content).unwrap();
        };
        put(1, br#"{"module":"m","time":"t","reason":"whole","strange":[1.0e99],"file":"/moved/away"}"#);
        put(2, br#"{"module":"m","rea"#);
        put(3, b"\xff\xfe");
        put(4, b"[1]");
        std::os::unix::fs::symlink("/etc/passwd", folder.join("m-20261130T010203.004Z-000000000006.json")).unwrap();
        put(7, format!("{{\"stderr\":[\"{}\"]}}", "x".repeat(100_000)).as_bytes());
        fs::write(folder.join("notes.txt"), "").unwrap();
        let crashes = Crashes::new(folder.clone(), "/proc/nonexistent".into(), Number::greatest_in(&[folder]).unwrap());
        let all = wanted(Some("m"), 1000);
        let shown = crashes.list(&all, crashes.files(&all, 50_000).read(), 50_000);
        let shown: Vec<serde_json::Value> = shown.crashes.iter().map(|crash| crash.read().unwrap()).collect();
        assert_eq!(shown.len(), 7, "{shown:#?}");
        let reason = |at: usize| shown[at]["reason"].as_str().unwrap();
        assert_eq!((reason(0), &shown[0]["strange"]), ("whole", &serde_json::json!([1.0e99])));
        let file = shown[0]["file"].as_str().unwrap();
        assert!(file.starts_with(dir.to_str().unwrap()), "{file}");
        assert!((1..4).all(|at| reason(at).starts_with("unknown: the record is no JSON object, or not whole")));
        assert!((4..6).all(|at| reason(at).starts_with("unknown: the record cannot be read")), "{shown:#?}");
        assert_eq!(
            (reason(6), &shown[6]["time"]),
            ("unknown: the record is too long to be sent", &"2026-11-30T01:02:03.004Z".into())
        );
    }
}
