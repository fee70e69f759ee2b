//! Files that are deleted, moved, replaced or written over under an open store: noticed, and nothing more is
//! acknowledged or read until the next opening.

mod common;

use bulkhead_layer1::{Job, JobId, Layer1, Outcome, Settings};
use bulkhead_protocol::{
    ErrorCode, Failure,
    layer1::{Mutation, Query},
};
use common::*;
use rusqlite::Connection;
use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

/// A store in a folder inside of another one, which can be removed.
struct Test {
    layer1: Option<Layer1>,
    woken: Receiver<()>,
    folder: Folder,
}

impl Test {
    fn new() -> Test {
        let folder = Folder::new();
        fs::create_dir_all(folder.0.join("state/layer1")).unwrap();
        let mut test = Test { layer1: None, woken: channel().1, folder };
        test.open();
        test
    }

    fn open(&mut self) {
        let (wake, woken) = channel();
        self.woken = woken;
        // A test that has ended no longer listens.
        let wake = move || {
            let _ = wake.send(());
        };
        self.layer1 = Some(Layer1::open(Settings::new(self.file("")), wake).unwrap_or_else(|error| panic!("{error}")));
    }

    fn layer1(&self) -> &Layer1 {
        self.layer1.as_ref().unwrap()
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.folder.0.join(format!("state/layer1/layer1.db{ending}"))
    }

    fn run(&self, job: Job) -> Result<Outcome, Failure> {
        self.layer1().submit(JobId(1), job, None).unwrap();
        match self.layer1().wait().1 {
            Outcome::Failed(failure) => Err(failure),
            outcome => Ok(outcome),
        }
    }

    fn create(&self) -> Result<Outcome, Failure> {
        let mutation = Mutation::read(&json(r#"{"entity":"A","operation":"create","data":{"n":1}}"#)).unwrap();
        self.run(Job::Mutate { unit: None, owner: String::new(), mutation, key: None })
    }

    fn count(&self) -> Result<u64, Failure> {
        let query = Query::read(&json(r#"{"entity":"A","limit":0,"count":true}"#)).unwrap();
        match self.run(Job::Query { unit: None, query })? {
            Outcome::Rows(rows) => Ok(rows.read::<serde_json::Value>().unwrap()["count"].as_u64().unwrap()),
            other => panic!("{other:?}"),
        }
    }

    /// Changes until one is refused, which must be soon; gives how many were made.
    fn create_until_refused(&self, words: &str) -> u64 {
        let until = Instant::now() + Duration::from_secs(1);
        let mut made = 0;
        loop {
            match self.create() {
                Ok(_) => made += 1,
                Err(failure) => {
                    assert_code(&failure, ErrorCode::Internal, words);
                    assert_code(&failure, ErrorCode::Internal, "start the host again");
                    return made;
                }
            }
            assert!(Instant::now() < until, "{words:?} was not noticed");
        }
    }

    fn close(&mut self) {
        self.layer1.take().unwrap().close().unwrap();
    }

    fn remove(&self, endings: &[&str]) {
        endings.iter().for_each(|ending| fs::remove_file(self.file(ending)).unwrap());
    }
}

/// Something that happens to the files.
type Happening = fn(&Test);

fn replace(test: &Test) {
    let copy = test.folder.0.join("copy.db");
    test.layer1().tools().backup(&copy, &mut |_| ControlFlow::Continue(())).unwrap();
    fs::rename(copy, test.file("")).unwrap();
}

fn overwrite(test: &Test) {
    let copy = test.folder.0.join("copy.db");
    test.layer1().tools().backup(&copy, &mut |_| ControlFlow::Continue(())).unwrap();
    fs::copy(copy, test.file("")).unwrap();
}

fn move_and_link(test: &Test) {
    let elsewhere = test.folder.0.join("elsewhere.db");
    fs::rename(test.file(""), &elsewhere).unwrap();
    std::os::unix::fs::symlink(elsewhere, test.file("")).unwrap();
}

fn move_state(test: &Test) {
    fs::rename(test.folder.0.join("state"), test.folder.0.join("moved")).unwrap();
}

const HAPPENINGS: [(&str, Happening, &str); 11] = [
    ("the database is deleted", |test| test.remove(&[""]), "was deleted or moved away"),
    ("all is deleted", |test| test.remove(&["", "-wal", "-shm", ".lock"]), "was deleted or moved away"),
    ("the state directory is deleted", |test| fs::remove_dir_all(test.folder.0.join("state")).unwrap(), "was deleted"),
    ("the state directory is moved", move_state, "was deleted or moved away"),
    ("the database is replaced", replace, "is not the file any more that this host has open"),
    ("the database is written over", overwrite, "was written by another program"),
    ("the database becomes a link", move_and_link, "is not the file any more"),
    ("the log is deleted", |test| test.remove(&["-wal"]), "layer1.db-wal, a part of the database, was deleted"),
    ("the log is emptied", |test| drop(fs::File::create(test.file("-wal")).unwrap()), "was cut or written over"),
    ("the index of the log is deleted", |test| test.remove(&["-shm"]), "layer1.db-shm, a part of the database"),
    ("the database is emptied", |test| drop(fs::File::create(test.file("")).unwrap()), "was written by another"),
];

#[test]
fn whatever_becomes_of_the_files_no_change_is_acknowledged_and_nothing_is_read_soon_after() {
    for (name, happen, words) in HAPPENINGS {
        let test = Test::new();
        test.create().unwrap();
        assert!(test.layer1().broken().is_none() && test.layer1().is_readable());
        happen(&test);
        test.create_until_refused(words);
        for _ in 0..3 {
            assert_code(&test.create().unwrap_err(), ErrorCode::Internal, words);
            assert_code(&test.count().unwrap_err(), ErrorCode::Internal, words);
        }
        assert!(!test.layer1().is_readable(), "{name}");
        let reason = test.layer1().broken().unwrap_or_else(|| panic!("{name} is not reported"));
        assert!(reason.contains(words) && reason.contains("start the host again"), "{name}: {reason}");
    }
}

#[test]
fn an_idle_store_notices_within_seconds_and_at_once_when_it_is_asked() {
    for asked in [false, true] {
        let test = Test::new();
        test.create().unwrap();
        test.remove(&[""]);
        let begun = Instant::now();
        if asked {
            test.layer1().look();
        }
        while test.layer1().broken().is_none() {
            test.woken.recv_timeout(Duration::from_secs(5)).expect("the caller is woken");
        }
        assert!(!asked || begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
    }
}

#[test]
fn what_was_moved_away_and_back_stays_refused_until_the_store_is_opened_again_and_nothing_is_missing() {
    let mut test = Test::new();
    test.create().unwrap();
    move_state(&test);
    let made = 1 + test.create_until_refused("was deleted or moved away");
    fs::rename(test.folder.0.join("moved"), test.folder.0.join("state")).unwrap();
    assert_code(&test.create().unwrap_err(), ErrorCode::Internal, "was deleted or moved away");
    test.close();
    test.open();
    assert_eq!(test.count().unwrap(), made);
    test.create().unwrap();
}

#[test]
fn what_was_acknowledged_is_saved_when_only_the_log_has_lost_its_name() {
    for ending in ["-wal", "-shm"] {
        let mut test = Test::new();
        for _ in 0..5 {
            test.create().unwrap();
        }
        test.remove(&[ending]);
        let made = 5 + test.create_until_refused("a part of the database, was deleted");
        // As after a kill: another connection sees the file alone.
        let copy = test.folder.0.join("seen.db");
        fs::copy(test.file(""), &copy).unwrap();
        let count: u64 =
            Connection::open(&copy).unwrap().query_row("SELECT count(*) FROM entities", [], |row| row.get(0)).unwrap();
        assert_eq!(count, made, "without {ending}");
        test.close();
        test.open();
        assert_eq!(test.count().unwrap(), made, "without {ending}");
    }
}

#[test]
fn what_was_put_in_its_place_is_as_it_was_put_there_after_the_store_is_closed() {
    for (name, happen) in [("replaced", replace as Happening), ("written over", overwrite)] {
        let mut test = Test::new();
        for _ in 0..200 {
            test.create().unwrap();
        }
        happen(&test);
        let put = fs::read(test.file("")).unwrap();
        // Also if it closes before it has noticed.
        if name == "replaced" {
            test.create_until_refused("is not the file any more");
        }
        test.close();
        assert!(fs::read(test.file("")).unwrap() == put, "{name}");
    }
}

#[test]
fn what_the_store_itself_and_those_who_read_do_to_the_files_is_as_it_should_be() {
    let test = Test::new();
    let text = "x".repeat(100_000);
    let payload = format!(r#"{{"entity":"A","operation":"create","data":{{"text":"{text}"}}}}"#);
    let first = fs::metadata(test.file("")).unwrap().len();
    for n in 0..240 {
        let mutation = Mutation::read(&json(&payload)).unwrap();
        test.run(Job::Mutate { unit: None, owner: String::new(), mutation, key: None }).unwrap();
        if n % 100 == 0 {
            let tools = test.layer1().tools();
            tools.backup(&test.folder.0.join(format!("{n}.db")), &mut |_| ControlFlow::Continue(())).unwrap();
            tools.check(&mut |_| ControlFlow::Continue(())).unwrap();
            read_elsewhere(&test.file(""));
        }
        test.layer1().look();
    }
    assert!(fs::metadata(test.file("")).unwrap().len() > first, "the log was carried over");
    assert_eq!((test.count().unwrap(), test.layer1().broken()), (240, None));
}

#[test]
fn a_database_of_which_only_the_time_was_set_is_as_it_was() {
    let mut test = Test::new();
    for seconds in 1..4 {
        test.create().unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::options().write(true).open(test.file("")).unwrap().set_modified(time).unwrap();
        let until = Instant::now() + Duration::from_millis(120);
        while Instant::now() < until {
            test.create().unwrap();
        }
        assert_eq!((test.layer1().broken(), test.layer1().is_readable()), (None, true));
    }
    let made = test.count().unwrap();
    test.close();
    test.open();
    assert_eq!(test.count().unwrap(), made);
}

/// Reads with a connection that could write, as `sqlite3` does.
fn read_elsewhere(path: &Path) {
    let reader = Connection::open(path).unwrap();
    reader.query_row("SELECT count(*) FROM entities", [], |_| Ok(())).unwrap();
}

#[test]
fn a_link_or_a_folder_in_the_place_of_the_database_is_refused() {
    let mut test = Test::new();
    test.create().unwrap();
    test.close();
    move_and_link(&test);
    let refused = |test: &Test| match Layer1::open(Settings::new(test.file("")), || {}) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("it was opened"),
    };
    assert!(refused(&test).contains("is a symbolic link and no file"), "{}", refused(&test));
    assert!(bulkhead_layer1::Tools::of(test.file("")).unwrap_err().to_string().contains("is a symbolic link"));
    test.remove(&[""]);
    fs::create_dir(test.file("")).unwrap();
    assert!(refused(&test).contains("is a folder and no file"), "{}", refused(&test));
    fs::remove_dir(test.file("")).unwrap();
    fs::rename(test.folder.0.join("elsewhere.db"), test.file("")).unwrap();
    test.open();
    assert_eq!(test.count().unwrap(), 1);
}
