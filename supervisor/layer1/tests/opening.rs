//! Opening: what is refused, with which messages, and that a refused file stays as it was.

mod common;

use bulkhead_layer1::{Layer1, OpenError, SCHEMA_VERSION, Settings, job::Cursor, outcome::KeyState};
use common::*;
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs,
    io::{Seek, Write},
    path::{Path, PathBuf},
};

fn refused(path: &Path) -> OpenError {
    match Layer1::open(Settings::new(path), || {}) {
        Err(error) => error,
        Ok(_) => panic!("expected a refusal of {}", path.display()),
    }
}

/// The files of a folder, but for the lock.
fn files(folder: &Folder) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path());
    let kept = entries.filter(|path| {
        path.extension().is_none_or(|ending| ending != "lock" && !ending.to_string_lossy().ends_with("-shm"))
    });
    kept.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// A closed store with a few entities in it.
fn filled() -> Folder {
    let store = Store::new();
    for n in 0..200 {
        store.create("A", &format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(500)));
    }
    store.close();
    let Store { layer1, folder, .. } = store;
    drop(layer1);
    folder
}

#[test]
fn a_store_that_is_open_is_not_opened_again() {
    let store = Store::new();
    let error = refused(&store.folder.database());
    assert!(matches!(error, OpenError::InUse { .. }));
    let sentence = error.to_string();
    assert!(sentence.contains(&format!("in use by another host (process {})", std::process::id())), "{sentence}");
    store.create("A", "{}");
}

#[test]
fn what_another_user_could_have_put_there_is_neither_followed_nor_written() {
    let other = filled();
    let victim = other.database();
    let before = fs::read(&victim).unwrap();
    for ending in ["", "-wal", "-shm", "-journal", ".lock"] {
        let folder = filled();
        let file = PathBuf::from(format!("{}{ending}", folder.database().display()));
        let put = |what: &dyn Fn()| {
            let _ = fs::remove_file(&file);
            what();
            refused(&folder.database()).to_string()
        };
        let (link, socket) = match ending {
            "" => ("is a symbolic link and no file", "is a device, a pipe or a socket and no file"),
            _ => ("may not be used: it is a link", "may not be used: it is no regular file"),
        };
        for (sentence, expected) in [
            (put(&|| std::os::unix::fs::symlink(&victim, &file).unwrap()), link),
            (put(&|| std::os::unix::fs::symlink("nowhere", &file).unwrap()), link),
            (put(&|| fs::hard_link(&victim, &file).unwrap()), "may not be used: it has another name elsewhere"),
            (put(&|| drop(std::os::unix::net::UnixListener::bind(&file).unwrap())), socket),
            (
                put(&|| {
                    fs::write(&file, "").unwrap();
                    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
                }),
                "(mode 0666); chmod 664",
            ),
        ] {
            assert!(sentence.starts_with(&*file.to_string_lossy()) && sentence.contains(expected), "{sentence}");
        }
        assert!(!folder.0.join("nowhere").exists());
    }
    assert!(fs::read(&victim).unwrap() == before);
}

#[test]
fn a_newer_file_is_refused_and_stays_as_it_was() {
    let folder = filled();
    Connection::open(folder.database()).unwrap().pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    let before = files(&folder);
    let error = refused(&folder.database());
    let sentence = error.to_string();
    assert!(matches!(error, OpenError::Newer { .. }), "{sentence}");
    assert!(
        sentence.contains(&format!("of version {}, this program knows {SCHEMA_VERSION}", SCHEMA_VERSION + 1)),
        "{sentence}"
    );
    assert!(files(&folder) == before, "{sentence}");
}

#[test]
fn what_is_no_database_of_this_store_is_refused_and_stays_as_it_was() {
    let folder = Folder::new();
    fs::write(folder.database(), "a text of more than a hundred bytes ".repeat(100)).unwrap();
    let before = files(&folder);
    let sentence = refused(&folder.database()).to_string();
    assert!(sentence.contains("is no database of Bulkhead: it is not a SQLite database"), "{sentence}");
    assert!(files(&folder) == before, "{sentence}");

    let folder = Folder::new();
    let other = Connection::open(folder.database()).unwrap();
    other.execute_batch("CREATE TABLE foreign_table (x); PRAGMA application_id = 7").unwrap();
    drop(other);
    let before = files(&folder);
    let sentence = refused(&folder.database()).to_string();
    assert!(sentence.contains("of another program, with the application id 7"), "{sentence}");
    assert!(files(&folder) == before, "{sentence}");
}

#[test]
fn an_empty_file_becomes_a_store() {
    let folder = Folder::new();
    fs::write(folder.database(), "").unwrap();
    let store = Store::in_folder(folder, |_| {});
    store.create("A", "{}");
}

#[test]
fn a_damaged_file_is_refused_and_stays_as_it_was() {
    for (name, damage) in [
        ("a page of noise", (|bytes: &mut Vec<u8>| bytes[3 * 4096..4 * 4096].fill(0x5a)) as fn(&mut Vec<u8>)),
        ("pages of nothing", |bytes| bytes[4096..20 * 4096].fill(0)),
        ("cut short", |bytes| bytes.truncate(bytes.len() / 2)),
        ("a header of noise after its name", |bytes| bytes[16..100].fill(0xff)),
    ] {
        let folder = filled();
        let mut bytes = fs::read(folder.database()).unwrap();
        damage(&mut bytes);
        fs::write(folder.database(), bytes).unwrap();
        let before = files(&folder);
        let error = refused(&folder.database());
        assert!(matches!(error, OpenError::Damaged { .. } | OpenError::Foreign { .. }), "{name}: {error}");
        assert!(files(&folder) == before, "{name}");
    }
}

#[test]
fn a_page_that_is_damaged_while_the_store_runs_is_reported_and_nothing_more_is_written() {
    let folder = filled();
    let mut settings = Settings::new(folder.database());
    settings.readers = 1;
    let layer1 = Layer1::open(settings, || {}).unwrap();
    // When the second of these is done, the thread that writes has looked at its files, and does so again in a second.
    for _ in 0..2 {
        layer1.submit(bulkhead_layer1::JobId(0), bulkhead_layer1::Job::Also(Vec::new()), None).unwrap();
        layer1.wait();
    }
    // Everything after the first page, before any of it is in a cache of the thread that reads. A disk that does
    // this notes no time.
    let mut file = fs::File::options().write(true).open(folder.database()).unwrap();
    let metadata = file.metadata().unwrap();
    file.seek(std::io::SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0xa5; metadata.len() as usize - 4096]).unwrap();
    file.set_modified(metadata.modified().unwrap()).unwrap();
    let job = |payload: &str| bulkhead_layer1::Job::Query {
        unit: None,
        query: bulkhead_protocol::layer1::Query::read(&json(payload)).unwrap(),
    };
    layer1.submit(bulkhead_layer1::JobId(1), job(r#"{"entity":"A","count":true}"#), None).unwrap();
    let (_, outcome) = layer1.wait();
    let bulkhead_layer1::Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert!(failure.error.contains("the database is damaged"), "{failure:?}");
}

#[test]
fn a_folder_that_is_not_there_or_is_a_file_is_said_so() {
    let folder = Folder::new();
    let sentence = refused(&folder.0.join("missing/layer1.db")).to_string();
    assert!(sentence.contains("missing/layer1.db.lock cannot be opened: No such file"), "{sentence}");
}

/// The file was made by the first version, and is never made anew: every later version must open it.
#[test]
fn a_file_of_the_first_version_is_opened_with_everything_in_it() {
    let folder = Folder::new();
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/version_1.db"), folder.database()).unwrap();
    {
        // The work of its key is no longer known: here is another one.
        let file = Connection::open(folder.database()).unwrap();
        let fingerprint = keyed("kept", "x").fingerprint.bytes();
        file.execute("INSERT INTO keys VALUES ('made', ?1, '7', 1000, 600001000)", [&fingerprint[..]]).unwrap();
    }
    let store = Store::in_folder(folder, |settings| {
        settings.indexes = vec![index("Theory", "status")];
        settings.searches = vec![searched("Theory", &["title"])];
    });
    let found = store.query(r#"{"entity":"Theory","filters":{"status":"open"},"search":"bulkheads"}"#);
    assert_eq!(column(&found, "title"), ["On bulkheads"]);
    let bulkhead_layer1::Outcome::Ends { oldest: Cursor(1), newest } = store.run(bulkhead_layer1::Job::EventEnds)
    else {
        panic!("it has events")
    };
    assert!(newest >= Cursor(3));
    // Its keys are the clients', whatever the target was; the fingerprint shows what the request was.
    let state = |key| match store.run(bulkhead_layer1::Job::LookUpKey(key)) {
        bulkhead_layer1::Outcome::Key(state) => state,
        other => panic!("{other:?}"),
    };
    assert_eq!(state(keyed("made", "x")), KeyState::Stored(json("7")));
    assert_eq!(state(keyed("made", "y")), KeyState::OtherPayload);
    assert_eq!(state(keyed_for("", "other", "made", "x")), KeyState::OtherPayload);
    assert_eq!(state(keyed_for("counter", "counter", "made", "x")), KeyState::Vacant);
    assert_eq!(state(keyed("kept", "x")), KeyState::OtherPayload);
    let problems = store.layer1.tools().check(&mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(problems, Vec::<String>::new());
    store.close();
    let version: i32 = Connection::open(store.folder.database())
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, SCHEMA_VERSION);
}

/// The layout is for people too: another program can read the tables.
#[test]
fn another_program_reads_the_tables_while_the_store_runs() {
    let store = Store::with(|settings| settings.indexes = vec![index("A", "n")]);
    store.create("A", r#"{"n":5}"#);
    let reader = Connection::open(store.folder.database()).unwrap();
    let found: (String, i64) = reader
        .query_row("SELECT entity, json_extract(data, '$.n') FROM entities", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(found, ("A".into(), 5));
}
