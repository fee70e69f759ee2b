//! Log files with a writer whose time the test decides, and with its thread.

use super::*;

#[test]
fn what_waits_for_a_disk_that_stands_still_is_bounded_in_bytes() {
    let (orders, receiver) = sync_channel(WAITING_MAX);
    let files = LogFiles { orders: Some(orders), thread: None, waiting_bytes: Arc::default(), lost: Arc::default() };
    let module: Arc<str> = "m".into();
    for _ in 0..100 {
        files.write(&module, "x".repeat(1024 * 1024));
    }
    assert_eq!(receiver.try_iter().count(), WAITING_BYTES_MAX / (1024 * 1024));
    assert_eq!(files.lost.load(Ordering::Relaxed), 100 - 32);
}

/// A writer without a thread, in a folder of its own that goes with it.
struct Folder {
    dir: PathBuf,
    writer: Writer,
}

impl Folder {
    fn new(name: &str) -> Folder {
        let dir = std::env::temp_dir().join(format!("bulkhead-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let rotation = Rotation { dir: dir.clone(), file_bytes_max: 1024 * 1024, files: 3 };
        Folder { dir, writer: Writer::new(rotation, Arc::default(), Arc::default()) }
    }

    fn line(&mut self, module: &str, line: &str, now: Instant) {
        self.writer.waiting_bytes.fetch_add(line.len(), Ordering::Relaxed);
        self.writer.turn(Some(Order::Line { module: module.into(), line: line.to_owned() }), now);
    }

    fn on_disk(&self, module: &str) -> String {
        fs::read_to_string(path(&self.dir, module, 0)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
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
    // The next interval begins with the next line, of whichever module.
    folder.line("other", "a", start + step * 5);
    folder.line("m", "5", start + step * 6);
    assert_eq!(folder.writer.flush_at, Some(start + step * 5 + FLUSH_INTERVAL));
    folder.writer.turn(None, start + step * 9);
    assert_eq!((folder.on_disk("other").as_str(), folder.on_disk("m").len()), ("a\n", 12));
}

#[test]
fn nothing_wakes_the_thread_while_no_line_waits() {
    let (mut folder, start) = (Folder::new("silence"), Instant::now());
    assert_eq!(folder.writer.flush_at, None);
    folder.line("m", "x", start);
    folder.writer.turn(None, start + FLUSH_INTERVAL);
    assert_eq!(folder.writer.flush_at, None, "after a flush");
    folder.line("m", "x", start);
    folder.writer.turn(Some(Order::Close { module: "m".into() }), start);
    assert_eq!(folder.writer.flush_at, None, "after the end of a module");
    let content = Order::File { path: folder.dir.join("a.json"), content: Vec::new() };
    folder.writer.turn(Some(content), start);
    folder.writer.turn(Some(Order::ThinOut { dir: folder.dir.clone(), files_max: 1 }), start);
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
    let dir = std::env::temp_dir().join(format!("bulkhead-rotation-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let rotation = Rotation { dir: dir.clone(), file_bytes_max: 10, files: 3 };
    let files = LogFiles::start(rotation).unwrap();
    let module: Arc<str> = "m".into();
    for n in 0..5 {
        files.write(&module, format!("line {n:05}"));
    }
    drop(files);
    let mut names: Vec<_> =
        fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["m.log.1", "m.log.2"]);
    assert_eq!(fs::read_to_string(dir.join("m.log.1")).unwrap(), "line 00004\n");
    fs::remove_dir_all(&dir).unwrap();
}
