//! Log files with a writer whose time the test decides, and with its thread.

use super::*;
use crate::scratch::Scratch;
use std::fs;

#[test]
fn what_waits_for_a_disk_that_stands_still_is_bounded_in_bytes() {
    let (files, receiver) = LogQueue::new();
    let module: Arc<str> = "m".into();
    for _ in 0..100 {
        files.write(&module, "x".repeat(1024 * 1024));
    }
    assert_eq!(receiver.try_iter().count(), WAITING_BYTES_MAX / (1024 * 1024));
    assert_eq!(files.lost.load(Ordering::Relaxed), 100 - 32);
}

/// A writer without a thread, in a folder of its own that is removed with it.
struct Folder {
    dir: Scratch,
    writer: Writer,
}

impl Folder {
    fn new(name: &str) -> Folder {
        let dir = Scratch::new(name);
        let rotation = Rotation { dir: dir.to_owned(), file_bytes_max: 1024 * 1024, files: 3 };
        Folder { dir, writer: Writer::new(rotation, Arc::default(), Arc::default()) }
    }

    fn line(&mut self, module: &str, line: &str, now: Instant) {
        self.writer.waiting_bytes.fetch_add(line.len(), Ordering::Relaxed);
        self.writer.step(Some(Order::Line { module: module.into(), line: line.to_owned() }), now);
    }

    fn on_disk(&self, module: &str) -> String {
        fs::read_to_string(self.dir.join(name(module, 0))).unwrap_or_default()
    }
}

#[test]
fn a_line_is_on_the_disk_after_the_interval_however_many_follow_it() {
    let (mut folder, start) = (Folder::new("stream"), Instant::now());
    let step = FLUSH_INTERVAL / 4;
    for n in 0..4 {
        folder.line("m", &n.to_string(), start + step * n);
        assert_eq!(folder.on_disk("m"), "");
        assert_eq!(folder.writer.flush_at, Some(start + FLUSH_INTERVAL));
    }
    folder.line("m", "4", start + FLUSH_INTERVAL);
    assert_eq!(folder.on_disk("m"), "0\n1\n2\n3\n4\n");
    // The next interval begins with the next line, of any module.
    folder.line("other", "a", start + step * 5);
    folder.line("m", "5", start + step * 6);
    assert_eq!(folder.writer.flush_at, Some(start + step * 5 + FLUSH_INTERVAL));
    folder.writer.step(None, start + step * 9);
    assert_eq!((folder.on_disk("other").as_str(), folder.on_disk("m").len()), ("a\n", 12));
}

#[test]
fn nothing_wakes_the_thread_while_no_line_waits() {
    let (mut folder, start) = (Folder::new("silence"), Instant::now());
    assert_eq!(folder.writer.flush_at, None);
    folder.line("m", "x", start);
    folder.writer.step(None, start + FLUSH_INTERVAL);
    assert_eq!(folder.writer.flush_at, None, "after a flush");
    folder.line("m", "x", start);
    folder.writer.step(Some(Order::Flush), start);
    assert_eq!((folder.writer.flush_at, folder.on_disk("m").as_str()), (None, "x\nx\n"), "after an order to flush");
    let content = Order::File { path: folder.dir.join("a.json"), content: Vec::new() };
    folder.writer.step(Some(content), start);
    folder.writer.step(Some(Order::ThinOut { dir: folder.dir.to_owned(), newest: Number::default() }), start);
    assert_eq!(folder.writer.flush_at, None, "after whole files");
    // So much that it is written at once, for one module and then for the last that has lines.
    folder.line("other", "x", start);
    folder.line("m", &"x".repeat(64 * 1024), start);
    assert_eq!(folder.writer.flush_at, Some(start + FLUSH_INTERVAL));
    folder.line("other", &"x".repeat(64 * 1024), start);
    assert_eq!(folder.writer.flush_at, None, "after buffers that were full");
}

#[test]
fn files_are_rotated_and_the_oldest_is_dropped() {
    let dir = Scratch::new("rotation");
    let rotation = Rotation { dir: dir.to_owned(), file_bytes_max: 10, files: 3 };
    let files = LogFiles::start(rotation).unwrap();
    let module: Arc<str> = "m".into();
    for n in 0..5 {
        files.queue().write(&module, format!("line {n:05}"));
    }
    drop(files);
    let mut names: Vec<_> =
        fs::read_dir(&*dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["m.log.1", "m.log.2"]);
    assert_eq!(fs::read_to_string(dir.join("m.log.1")).unwrap(), "line 00004\n");
}

#[test]
fn nothing_is_written_to_a_state_directory_that_has_replaced_this_hosts() {
    let (mut folder, start) = (Folder::new("other-state"), Instant::now());
    let (state, away) = (folder.dir.join("state"), folder.dir.join("away"));
    fs::create_dir_all(state.join("logs")).unwrap();
    let rotation = Rotation { dir: state.join("logs"), ..folder.writer.rotation.clone() };
    folder.writer = Writer::new(rotation, Arc::default(), Arc::default());
    fs::rename(&state, &away).unwrap();
    fs::create_dir_all(state.join("logs")).unwrap();
    folder.line("m", "lost", start);
    folder.writer.step(Some(Order::Flush), start);
    for name in ["crashes/a.json", "family.json"] {
        folder.writer.step(Some(Order::File { path: state.join(name), content: b"{}".to_vec() }), start);
    }
    let left: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["logs"]);
    assert_eq!(fs::read_dir(state.join("logs")).unwrap().count(), 0);
    assert_eq!((folder.writer.troubled.lock().len(), folder.writer.files_lost), (1, 2));
    fs::remove_dir_all(&state).unwrap();
    fs::rename(&away, &state).unwrap();
    folder.line("m", "kept", start);
    folder.writer.step(Some(Order::Flush), start);
    let log = fs::read_to_string(state.join("logs/m.log")).unwrap();
    assert!(log.contains("1 lines were lost") && log.ends_with("kept\n"), "{log}");
}

#[test]
fn a_file_and_a_folder_that_are_removed_are_made_again() {
    let (mut folder, start) = (Folder::new("removed"), Instant::now());
    let logs = folder.dir.join("logs");
    folder.writer =
        Writer::new(Rotation { dir: logs.clone(), ..folder.writer.rotation.clone() }, Arc::default(), Arc::default());
    folder.line("m", "1", start);
    folder.writer.step(Some(Order::Flush), start);
    fs::remove_file(logs.join("m.log")).unwrap();
    folder.line("m", "2", start);
    folder.writer.step(Some(Order::Flush), start);
    assert_eq!(fs::read_to_string(logs.join("m.log")).unwrap(), "2\n");
    fs::remove_dir_all(&logs).unwrap();
    folder.line("m", "3", start);
    folder.writer.step(Some(Order::Flush), start);
    assert_eq!(fs::read_to_string(logs.join("m.log")).unwrap(), "3\n");
    let record = folder.dir.join("crashes/a.json");
    folder.writer.step(Some(Order::File { path: record.clone(), content: b"{}".to_vec() }), start);
    assert_eq!(fs::read_to_string(record).unwrap(), "{}");
    assert!(folder.writer.troubled.lock().is_empty() && folder.writer.files_lost == 0);
}

#[test]
fn a_file_that_is_moved_away_is_written_no_more_after_a_flush() {
    let (mut folder, start) = (Folder::new("moved"), Instant::now());
    folder.line("m", "before", start);
    folder.writer.step(Some(Order::Flush), start);
    fs::rename(folder.dir.join("m.log"), folder.dir.join("elsewhere")).unwrap();
    folder.line("m", "after", start);
    folder.writer.step(Some(Order::Flush), start);
    assert_eq!(fs::read_to_string(folder.dir.join("elsewhere")).unwrap(), "before\n");
    assert_eq!(folder.on_disk("m"), "after\n");
}

#[test]
fn what_is_no_file_of_ours_is_never_written_nor_waited_for_and_lines_are_counted_until_it_is_gone() {
    let (mut folder, start) = (Folder::new("strange"), Instant::now());
    let file = folder.dir.join("m.log");
    let victim = folder.dir.join("victim");
    fs::write(&victim, "as it was").unwrap();
    std::os::unix::fs::symlink(&victim, &file).unwrap();
    folder.line("m", "1", start);
    folder.writer.step(Some(Order::Flush), start);
    fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    folder.line("m", "2", start);
    folder.line("m", "3", start);
    folder.writer.step(Some(Order::Flush), start);
    assert_eq!(folder.writer.troubled.lock().get("m").map(|trouble| trouble.lost), Some(3));
    assert!(folder.writer.troubled.lock()["m"].reason.starts_with(&format!("cannot write {}", file.display())));
    fs::remove_file(&file).unwrap();
    folder.line("m", "4", start);
    folder.writer.step(Some(Order::Flush), start);
    assert_eq!(folder.on_disk("m"), "[3 lines were lost: they could not be written]\n4\n");
    assert!(folder.writer.troubled.lock().is_empty());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "as it was");
}

#[test]
fn a_rotation_that_fails_lets_no_file_grow_and_goes_on_once_it_can() {
    let (mut folder, start) = (Folder::new("stuck"), Instant::now());
    (folder.writer.rotation.file_bytes_max, folder.writer.rotation.files) = (10, 2);
    let aside = folder.dir.join("m.log.1");
    fs::create_dir_all(aside.join("in the way")).unwrap();
    for n in 0..4 {
        folder.line("m", &format!("line {n:05}"), start);
    }
    assert_eq!(folder.on_disk("m"), "line 00000\n");
    assert_eq!(
        folder.writer.troubled.lock().get("m").map(|trouble| trouble.lost),
        Some(3),
        "it is reported with the first, and counted"
    );
    fs::remove_dir_all(&aside).unwrap();
    folder.line("m", "line 00004", start);
    assert!(folder.writer.troubled.lock().is_empty());
    let kept = fs::read_to_string(&aside).unwrap();
    assert_eq!(kept, "[3 lines were lost: they could not be written]\nline 00004\n");
}
