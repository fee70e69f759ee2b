//! Openings that continue what the last one has left, and those that do not: after these another epoch is in
//! force, and the cursors of those before it hold up to where it began.

mod common;

use bulkhead_layer1::{Epoch, Job, Layer1, OpenError, Outcome, Settings};
use common::*;
use rusqlite::Connection;
use std::{fs, ops::ControlFlow, path::PathBuf};

/// A store in a folder that is opened again and again.
struct Test {
    store: Option<Store>,
    folder: Folder,
}

impl Test {
    fn new() -> Test {
        let mut test = Test { store: None, folder: Folder::new() };
        test.open();
        test
    }

    fn file(&self, ending: &str) -> PathBuf {
        let mut name = self.folder.database().into_os_string();
        name.push(ending);
        name.into()
    }

    fn open(&mut self) -> Vec<Epoch> {
        let path = self.folder.database();
        let store = Store::in_folder(Folder::new(), |settings| settings.path = path);
        let epochs = store.layer1.epochs().to_vec();
        self.store = Some(store);
        epochs
    }

    fn close(&mut self) {
        self.store.take().unwrap().close();
    }

    fn reopen(&mut self) -> Vec<Epoch> {
        self.close();
        self.open()
    }

    fn epochs(&self) -> Vec<Epoch> {
        self.store.as_ref().unwrap().layer1.epochs().to_vec()
    }

    /// Stores so many events; gives the cursor of the last one.
    fn emit(&self, events: u64) -> u64 {
        let mut last = 0;
        for _ in 0..events {
            let job = Job::Emit { unit: None, source: String::new(), event: "a.b".into(), data: json("1") };
            let Outcome::Committed { events } = self.store.as_ref().unwrap().run(job) else { panic!("it is stored") };
            last = events[0].cursor.0;
        }
        last
    }

    fn backup(&self, name: &str) -> PathBuf {
        let to = self.folder.0.join(name);
        let tools = self.store.as_ref().unwrap().layer1.tools();
        tools.backup(&to, &mut |_| ControlFlow::Continue(())).unwrap();
        to
    }
}

/// The first epochs stay as they are, and one more begins after this event.
#[track_caller]
fn assert_one_more(before: &[Epoch], after: &[Epoch], since: u64) {
    let (last, known) = after.split_last().unwrap();
    assert_eq!((known, last.since), (before, since), "{after:?}");
    assert!(before.iter().all(|epoch| epoch.name != last.name) && last.name.len() == 8, "{after:?}");
}

#[test]
fn an_opening_after_a_close_or_a_kill_goes_on() {
    let mut test = Test::new();
    let first = test.epochs();
    assert_eq!((first.len(), first[0].since), (1, 0));
    test.emit(3);
    assert_eq!(test.reopen(), first);
    test.emit(3);
    // What a killed host leaves: the files as they are, while nothing has closed them.
    let other = Folder::new();
    for ending in ["", "-wal", ".opened"] {
        fs::rename(test.file(ending), other.0.join(format!("kept{ending}"))).unwrap();
    }
    drop(test.store.take());
    for ending in ["", "-wal", ".opened"] {
        let _ = fs::remove_file(test.file(ending));
        fs::rename(other.0.join(format!("kept{ending}")), test.file(ending)).unwrap();
    }
    assert_eq!(test.open(), first);
    assert_eq!(test.emit(1), 7);
    for _ in 0..3 {
        assert_eq!(test.reopen(), first);
    }
}

#[test]
fn a_restored_backup_begins_an_epoch_however_it_was_put_there() {
    for in_place in [false, true] {
        let mut test = Test::new();
        test.emit(3);
        let backup = test.backup("b.db");
        test.emit(3);
        let first = test.epochs();
        test.close();
        match in_place {
            true => drop(fs::copy(&backup, test.file("")).unwrap()),
            false => {
                fs::remove_file(test.file("")).unwrap();
                fs::copy(&backup, test.file("")).unwrap();
            }
        }
        let second = test.open();
        assert_one_more(&first, &second, 3);
        assert_eq!(test.emit(2), 5);
        assert_eq!(test.reopen(), second, "what follows goes on");
        // The same backup once more: the earlier epoch is not in it.
        test.close();
        fs::copy(&backup, test.file("")).unwrap();
        let third = test.open();
        assert_one_more(&first, &third, 3);
        assert_ne!(third[1].name, second[1].name);
    }
}

#[test]
fn a_backup_of_the_last_moment_begins_an_epoch_too() {
    let mut test = Test::new();
    test.emit(3);
    let backup = test.backup("b.db");
    let first = test.epochs();
    test.close();
    fs::copy(&backup, test.file("")).unwrap();
    assert_one_more(&first, &test.open(), 3);
}

/// Copies that no tool of this program made carry the mark of the opening that they were made under.
#[test]
fn a_copy_of_the_same_opening_that_lacks_the_newest_events_begins_an_epoch() {
    let mut test = Test::new();
    let first = test.epochs();
    test.emit(3);
    let copy = test.folder.0.join("copy.db");
    Connection::open(test.file("")).unwrap().execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    test.emit(3);
    test.close();
    fs::write(test.file(""), fs::read(&copy).unwrap()).unwrap();
    assert_one_more(&first, &test.open(), 3);
}

#[test]
fn a_copied_folder_is_another_past_and_the_original_goes_on() {
    let mut test = Test::new();
    let first = test.epochs();
    test.emit(3);
    test.close();
    let mut copy = Test { store: None, folder: Folder::new() };
    for ending in ["", ".opened"] {
        fs::copy(test.file(ending), copy.file(ending)).unwrap();
    }
    assert_one_more(&first, &copy.open(), 3);
    assert_eq!(test.open(), first);
    // Moved, and not copied, it is the same.
    test.close();
    let moved = Test { store: None, folder: Folder::new() };
    for ending in ["", ".opened"] {
        fs::rename(test.file(ending), moved.file(ending)).unwrap();
    }
    let mut moved = moved;
    assert_eq!(moved.open(), first);
}

#[test]
fn without_the_file_beside_it_or_with_a_broken_or_a_copied_one_an_epoch_begins() {
    let damages: [fn(&Test); 5] = [
        |test| fs::remove_file(test.file(".opened")).unwrap(),
        |test| fs::write(test.file(".opened"), "").unwrap(),
        |test| fs::write(test.file(".opened"), [0xff; 5000]).unwrap(),
        |test| {
            // A copy at its path has the same contents.
            let text = fs::read(test.file(".opened")).unwrap();
            fs::write(test.file(".other"), text).unwrap();
            fs::rename(test.file(".other"), test.file(".opened")).unwrap();
        },
        |test| {
            let text = fs::read_to_string(test.file(".opened")).unwrap();
            fs::write(test.file(".opened"), text.replace("newest 0", "newest x")).unwrap();
        },
    ];
    for damage in damages {
        let mut test = Test::new();
        test.emit(3);
        let first = test.epochs();
        test.close();
        damage(&test);
        assert_one_more(&first, &test.open(), 3);
    }
}

/// The database has the mark of the opening, and the file beside it not yet: at worst one epoch too many.
#[test]
fn a_crash_between_the_two_writings_of_an_opening_is_safe() {
    let mut test = Test::new();
    test.emit(3);
    let first = test.epochs();
    for round in 0..3 {
        test.close();
        let database = Connection::open(test.file("")).unwrap();
        let sql = "UPDATE opening SET previous = mark, mark = 'of the opening that was cut short'";
        database.execute(sql, []).unwrap();
        drop(database);
        let found = test.open();
        assert_eq!((&found[0], found.len(), found[round + 1].since), (&first[0], round + 2, 3));
    }
    test.close();
    test.open();
    assert_eq!(test.emit(1), 4);
}

#[test]
fn a_log_of_another_database_is_never_carried_over_into_a_backup() {
    let mut test = Test::new();
    test.emit(3);
    let backup = test.backup("b.db");
    test.emit(3);
    let (log, kept) = (test.file("-wal"), test.folder.0.join("kept-wal"));
    fs::copy(&log, &kept).unwrap();
    test.close();
    // As after a kill, where the backup replaced the database alone.
    fs::copy(&backup, test.file("")).unwrap();
    fs::copy(&kept, &log).unwrap();
    let before = fs::read(test.file("")).unwrap();
    let Err(refused) = Layer1::open(Settings::new(test.file("")), || {}) else { panic!("it was opened") };
    assert!(matches!(refused, OpenError::ForeignLog { .. }), "{refused}");
    assert!(refused.to_string().contains("layer1.db-wal is the log of another database than"), "{refused}");
    assert!(fs::read(test.file("")).unwrap() == before && fs::read(&log).unwrap() == fs::read(&kept).unwrap());
    fs::remove_file(&log).unwrap();
    test.open();
    assert_eq!(test.emit(1), 4);
}

#[test]
fn a_module_that_is_further_than_the_newest_event_is_brought_back_and_learns_what_it_missed() {
    let mut test = Test::new();
    test.emit(3);
    let subscribe = |test: &Test| match test.store.as_ref().unwrap().run(Job::Subscribe { module: "m".into() }) {
        Outcome::Subscription(subscription) => (subscription.cursor.0, subscription.missed),
        other => panic!("{other:?}"),
    };
    assert_eq!(subscribe(&test), (3, 0));
    test.close();
    Connection::open(test.file("")).unwrap().execute("UPDATE subscriptions SET cursor = 9", []).unwrap();
    test.open();
    assert_eq!(subscribe(&test), (3, 6));
}

#[test]
fn old_epochs_are_forgotten_when_there_are_many() {
    let mut test = Test::new();
    let first = test.epochs();
    test.close();
    let database = Connection::open(test.file("")).unwrap();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
               INSERT INTO epochs (epoch, since) SELECT 'e' || i, 0 FROM n";
    database.execute(sql, []).unwrap();
    drop(database);
    fs::remove_file(test.file(".opened")).unwrap();
    let epochs = test.open();
    assert_eq!((epochs.len(), epochs[998].name.as_str()), (1000, "e2000"));
    assert!(!epochs.contains(&first[0]));
}
