//! The last lines of a module, with real files and the thread that writes them.

use super::log::{LogEnd, LogHistory};
use crate::{
    log_files::{LogFiles, LogQueue, Rotation},
    log_lines::{Line, Stream},
    module_log::{ModuleLog, Sink},
    scratch::Scratch,
};
use bulkhead_protocol::{Json, ModuleName};
use serde::Deserialize;
use std::{fs, path::Path, sync::Arc};

/// A host, as far as it has the log of one module.
struct Host {
    log: Arc<ModuleLog>,
    sink: Sink,
    // Its thread ends once nothing more can be passed to it.
    files: LogFiles,
    dir: std::path::PathBuf,
}

impl Host {
    fn new(dir: &Path, file_bytes_max: u64, tail_bytes: usize) -> Host {
        let rotation = Rotation { dir: dir.to_owned(), file_bytes_max, files: 50 };
        let files = LogFiles::start(rotation).unwrap();
        let sink = Sink { files: files.queue(), live: Arc::default() };
        Host { log: Arc::new(ModuleLog::new("m", tail_bytes)), sink, files, dir: dir.to_owned() }
    }

    fn say(&self, text: &str) {
        self.sink.say(&self.log, 1, vec![Line::new(Stream::Stdout, text.into())]);
    }

    fn history(&self, lines: usize) -> LogHistory {
        let (newest, cut) = self.log.cut(&self.files.queue());
        let module = ModuleName::new("m").unwrap();
        let end = LogEnd { newest, cut };
        LogHistory { module, log: Some(self.log.clone()), dir: self.dir.clone(), lines, end }
    }

    /// The texts of the last lines, those of earlier hosts marked.
    fn shown(&self, lines: usize) -> Vec<String> {
        texts(self.history(lines).read())
    }
}

fn texts(lines: Vec<Json>) -> Vec<String> {
    #[derive(Deserialize)]
    struct CrashList {
        line: String,
        #[serde(default)]
        earlier: bool,
    }
    let marked = |CrashList { line, earlier }| if earlier { format!("old {line}") } else { line };
    lines.iter().map(|json| marked(json.read().unwrap())).collect()
}

/// A size at which a tail has room for two short lines.
const TWO_LINES: usize = 300;

fn numbers(range: std::ops::Range<u32>, prefix: &str) -> Vec<String> {
    range.map(|at| format!("{prefix}{at}")).collect()
}

#[test]
fn lines_of_earlier_hosts_and_of_this_one_come_once_and_in_their_order() {
    let dir = Scratch::new("history");
    let first = Host::new(&dir, 1_000_000, TWO_LINES);
    numbers(0..5, "").iter().for_each(|line| first.say(line));
    drop(first);
    // As a host leaves it that is killed while it writes.
    let mut text = fs::read(dir.join("m.log")).unwrap();
    text.extend_from_slice(b"2026-11-30T00:00:00.000000Z stdout half a l\xff");
    fs::write(dir.join("m.log"), text).unwrap();
    let second = Host::new(&dir, 1_000_000, TWO_LINES);
    let old = [numbers(0..5, "old "), vec!["old half a l\u{fffd}".into()]].concat();
    assert_eq!(second.shown(100), old, "before it has a line of its own");
    assert_eq!(second.shown(2), old[4..]);
    numbers(5..12, "").iter().for_each(|line| second.say(line));
    let all = [old, numbers(5..12, "")].concat();
    assert_eq!(second.shown(100), all);
    assert_eq!(second.shown(9), all[4..]);
    assert_eq!(second.shown(3), all[10..]);
    let gone = LogHistory { log: None, ..second.history(100) };
    assert_eq!(texts(gone.read()), all, "also of a module that was removed");
}

#[test]
fn files_that_were_put_aside_are_read_and_whose_they_are_is_known() {
    let dir = Scratch::new("history-rotated");
    // Each has some lines; the last one may just have been rotated.
    for (count, host) in [(30, 0), (31, 1), (32, 2)] {
        let host_of_lines = Host::new(&dir, 150, TWO_LINES);
        numbers(0..count, &format!("{host}-")).iter().for_each(|line| host_of_lines.say(line));
        if host == 2 {
            let old = [numbers(0..30, "old 0-"), numbers(0..31, "old 1-")].concat();
            let all = [old, numbers(0..32, "2-")].concat();
            assert_eq!(host_of_lines.shown(1000), all);
            for most in 3..40 {
                assert_eq!(host_of_lines.shown(most), all[all.len() - most..]);
            }
            // No file that others move away is kept open.
            for age in 0..10 {
                let _ = fs::remove_file(dir.join(crate::log_files::name("m", age)));
            }
            host_of_lines.say("after");
            assert_eq!(host_of_lines.shown(2).last().map(String::as_str), Some("after"));
        }
    }
    assert!(fs::read_dir(&*dir).unwrap().count() > 5);
}

#[test]
fn lines_that_come_while_files_are_read_are_not_among_those_that_were_there_before() {
    let dir = Scratch::new("history-moving");
    let host = Host::new(&dir, 150, TWO_LINES);
    numbers(0..20, "").iter().for_each(|line| host.say(line));
    let asked = host.history(1000);
    // By then, memory has none of those lines any more, and the files have others and other names.
    numbers(20..60, "").iter().for_each(|line| host.say(line));
    assert_eq!(host.shown(1).len(), 1);
    assert_eq!(texts(asked.read()), numbers(0..20, ""));
}

#[test]
fn files_that_are_being_put_aside_are_found_wherever_one_has_no_name_for_a_moment() {
    let dir = Scratch::new("history-gap");
    let host = Host::new(&dir, 150, TWO_LINES);
    numbers(0..40, "").iter().for_each(|line| host.say(line));
    let name = |age: usize| dir.join(crate::log_files::name("m", age));
    assert_eq!(host.shown(1000), numbers(0..40, ""));
    let oldest = (1..).find(|age| !name(*age).exists()).unwrap() - 1;
    assert!(oldest > 5);
    for gap in (2..=oldest).rev() {
        // As it is in the middle of a rotation.
        let asked = host.history(1000);
        fs::rename(name(gap), name(gap + 1)).unwrap();
        assert_eq!(texts(asked.read()), numbers(0..40, ""), "without {gap}");
    }
}

#[test]
fn lines_that_are_all_alike_are_counted_right() {
    let dir = Scratch::new("history-alike");
    let host = Host::new(&dir, 1_000_000, TWO_LINES);
    let line = Line::new(Stream::Stdout, "y".into());
    for _ in 0..10 {
        // All of the same moment.
        host.sink.say(&host.log, 1, vec![line.clone(); 100]);
    }
    assert_eq!(host.shown(5000).len(), 1000);
    assert_eq!(host.shown(777).len(), 777);
}

#[test]
fn lines_that_are_only_in_memory_are_sent_with_a_remark_that_files_are_not_read() {
    let dir = Scratch::new("history-unwritten");
    let mut host = Host::new(&dir, 1_000_000, 10_000);
    host.say("in both");
    assert_eq!(host.shown(100), ["in both"]);
    host.sink.files = LogQueue::nowhere();
    host.say("in memory");
    host.sink.files = host.files.queue();
    host.say("in both again");
    assert_eq!(host.shown(100), ["in both", "in memory", "in both again"]);
    let mut unasked = host.history(100);
    unasked.end.cut = None;
    let shown = texts(unasked.read());
    assert!(
        shown[0].starts_with("[older lines are not shown: the files cannot be read: lines on their way"),
        "{shown:?}"
    );
    assert_eq!(shown[1..], ["in both", "in memory", "in both again"]);
    // A link is not followed.
    fs::remove_file(dir.join("m.log")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join("m.log")).unwrap();
    assert_eq!(host.shown(100), ["in both", "in memory", "in both again"]);
}

#[test]
fn what_is_in_a_file_may_be_anything_and_as_long_as_it_likes() {
    let dir = Scratch::new("history-odd");
    let mut text = b"first\n\n[7 lines were lost: they could not be written]\n".to_vec();
    text.extend_from_slice(b"2026-11-30T00:00:00.000000Z stderr \x1b[2J\xf0\x9f\n");
    text.extend_from_slice(b"2026-11-30T00:00:00.000000Z nowhere x\n2026-11-30T00:00:00.000000Z host \n");
    fs::write(dir.join("m.log"), &text).unwrap();
    let host = Host::new(&dir, 1_000_000, TWO_LINES);
    let expected = [
        "old first",
        "old ",
        "old [7 lines were lost: they could not be written]",
        "old \u{1b}[2J\u{fffd}",
        "old 2026-11-30T00:00:00.000000Z nowhere x",
        "old ",
    ];
    assert_eq!(host.shown(100), expected);
    // One line that is longer than all that is read; and before it some of usual length.
    let long = [b"before\n".repeat(10), vec![b'x'; 5 * 1024 * 1024], b"\nafter\n".to_vec()].concat();
    fs::write(dir.join("m.log"), long).unwrap();
    let shown = host.shown(100);
    assert_eq!(shown.len(), 2, "{:.200}", shown[0]);
    assert!(shown[0].starts_with("[older lines are not shown: they are too long"), "{shown:?}");
    assert_eq!(shown[1], "old after");
}
