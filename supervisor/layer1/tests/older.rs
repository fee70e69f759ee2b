//! Stores that older versions of this program have made: everything in them reads as it did.
//!
//! `tests/fixtures/version-4.db` was made by the last program whose tables were of version 4, with
//! `BULKHEAD_TEST_WRITE=1`, and `version-4.json` is what that program read from it.

mod common;

use bulkhead_layer1::{
    CompactError, Job, Layer1, OpenError, Outcome, Progress, SCHEMA_VERSION, ToolError, UnitId, compact,
    job::{Also, Cursor, Existing, NewEvent},
    outcome::StoredEvent,
};
use bulkhead_protocol::{Pattern, layer1::Mutation};
use common::*;
use serde_json::{Value, json as value};
use std::{ops::ControlFlow, path::PathBuf};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Everything that can be read from a store.
fn all_of(store: &Store) -> Value {
    let Outcome::Ends { oldest, newest } = store.run(Job::EventEnds) else { panic!() };
    let patterns = vec![Pattern::new("*").unwrap()];
    let read = Job::ReadEvents { after: Cursor(0), patterns, limit: 10_000, bytes_max: 10_000_000 };
    let Outcome::Events(page) = store.run(read) else { panic!() };
    let event =
        |event: &StoredEvent| value!([event.cursor.0, event.time, event.event, event.source, event.data.as_str()]);
    let events: Vec<_> = page.events.iter().map(event).collect();
    let list = Job::ListSetAside { module: None, after: 0, limit: 1000 };
    let Outcome::SetAside(listed) = store.run(list) else { panic!() };
    let set_aside: Vec<_> = listed
        .iter()
        .map(|it| value!([it.id, it.module, event(&it.event), it.attempts, it.error, it.set_aside_at]))
        .collect();
    let Outcome::Subscriptions(standings) = store.run(Job::Subscriptions { known: vec![] }) else { panic!() };
    let subscriptions: Vec<_> =
        standings.iter().map(|it| &it.subscription).map(|it| value!([it.module, it.cursor.0, it.missed])).collect();
    let Outcome::Usage(usage) = store.run(Job::Usage) else { panic!() };
    let usage: Vec<_> = usage
        .iter()
        .map(|it| value!([it.owner, it.bytes, it.entities, it.event_bytes, it.events, it.key_bytes, it.keys]))
        .collect();
    let keys: Vec<_> = KEYS
        .iter()
        .map(|(caller, key, request)| {
            let Outcome::Key(state) = store.run(Job::LookUpKey(keyed_for(caller, "counter", key, request))) else {
                panic!()
            };
            value!(format!("{state:?}"))
        })
        .collect();
    let mut export = Vec::new();
    store.layer1.tools().export(None, &mut export, &mut |_| ControlFlow::Continue(())).unwrap();
    let found =
        store.query(r#"{"entity":"Log","search":"words","order":["-n"],"filters":{"n":{"gte":2}},"count":true}"#);
    value!({
        "ends": [oldest.0, newest.0], "lost": page.lost, "events": events, "set_aside": set_aside,
        "subscriptions": subscriptions, "usage": usage, "keys": keys, "found": found,
        "export": String::from_utf8(export).unwrap().lines().collect::<Vec<_>>(),
    })
}

/// Keys that the fixture has, one of another request, and one that it has not.
const KEYS: [(&str, &str, &str); 7] = [
    ("", "0198c0de-2c1a-7e3b-9f00-5d2c8a4b6e7f", "a"),
    ("", "0198C0DE-2c1a-7e3b-9f00-5d2c8a4b6e7f", "b"),
    ("m", "any text", "c"),
    ("m", "copy", "d"),
    ("", "direct", "e"),
    ("m", "any text", "other"),
    ("", "none", "f"),
];

fn declare(settings: &mut bulkhead_layer1::Settings) {
    settings.indexes = vec![index("Log", "n"), index("Log", "$updated_at")];
    settings.searches = vec![searched("Log", &["title"])];
}

/// Fills a store with each kind of thing that it can have.
fn fill(store: &Store) {
    let id = |number: u64| format!("0198{number:04x}-2c1a-7e3b-9f00-5d2c8a4b6e7f");
    let log = |number: u64| format!(r#"{{"n":{number},"title":"words of day {number}","é":"\u0000 \" 😀"}}"#);
    for number in 0..40 {
        let payload =
            format!(r#"{{"entity":"Log","operation":"create","id":"{}","data":{}}}"#, id(number), log(number));
        store.mutate_as(None, ["", "m", "other-module"][number as usize % 3], &payload).unwrap();
    }
    let Outcome::Subscription(_) = store.run(Job::Subscribe { module: "m".into() }) else { panic!() };
    for number in 10..20 {
        store.mutate(&format!(
            r#"{{"entity":"Log","operation":"update","id":"{}","data":{{"n":{number}5}}}}"#,
            id(number)
        ));
    }
    for number in 15..25 {
        store.mutate(&format!(r#"{{"entity":"Log","operation":"delete","id":"{}"}}"#, id(number)));
    }
    // Made anew, with the same data; of a longer one, events have no data.
    for number in 24..25 {
        let payload =
            format!(r#"{{"entity":"Log","operation":"create","id":"{}","data":{}}}"#, id(number), log(number));
        store.mutate(&payload);
    }
    store.mutate(&format!(r#"{{"entity":"Long","operation":"create","data":{{"text":"{}"}}}}"#, "x".repeat(5000)));
    // One unit with several changes of one entity, events, and a key.
    let unit = |payload: String| store.mutate_as(Some(7), "m", &payload).unwrap();
    unit(format!(r#"{{"entity":"Log","operation":"create","id":"{}","data":{}}}"#, id(100), log(100)));
    unit(format!(r#"{{"entity":"Log","operation":"update","id":"{}","data":{{"n":101}}}}"#, id(100)));
    unit(format!(r#"{{"entity":"Log","operation":"delete","id":"{}"}}"#, id(100)));
    unit(format!(r#"{{"entity":"Log","operation":"create","id":"{}","data":{}}}"#, id(100), log(102)));
    store.run(Job::Emit {
        unit: Some(UnitId(7)),
        source: "m".into(),
        event: "log.added".into(),
        data: json(&log(102)),
    });
    assert!(matches!(store.commit_with_key(7, KEYS[0].1, "a", &log(102)), Outcome::Committed { .. }));
    assert!(matches!(store.commit_with_key(8, KEYS[1].1, "b", "null"), Outcome::Committed { .. }));
    for (caller, key, request) in &KEYS[2..4] {
        let reply =
            json(r#"{"id":"0198c0de-2c1a-7e3b-9f00-5d2c8a4b6e7f","text":"0198C0DE-2c1a-7e3b-9f00-5d2c8a4b6e7f"}"#);
        let key = Some((keyed_for(caller, "counter", key, request), reply));
        let events = vec![NewEvent { source: "m".into(), event: "Log.created".into(), data: json("[1.50,2e3]") }];
        let done = store.run(Job::Commit { unit: UnitId(9), key, events, also: vec![] });
        assert!(matches!(done, Outcome::Committed { .. }));
    }
    let payload = format!(r#"{{"entity":"Log","operation":"update","id":"{}","data":{{"n":7}}}}"#, id(30));
    let mutation = Mutation::read(&json(&payload)).unwrap();
    let key = Some(keyed(KEYS[4].1, KEYS[4].2));
    assert!(matches!(
        store.run(Job::Mutate { unit: None, owner: String::new(), mutation, key }),
        Outcome::Mutated { .. }
    ));
    // Events that are set aside: one of an entity as it is, one of an earlier state, one of a module.
    let newest = |store: &Store| {
        let Outcome::Ends { newest, .. } = store.run(Job::EventEnds) else { panic!() };
        newest.0
    };
    for cursor in [41, 30, newest(store) - 1] {
        let aside =
            Also::SetAside { module: "m".into(), cursor: Cursor(cursor), attempts: 5, error: "it failed".into() };
        assert!(matches!(store.run(Job::Also(vec![aside])), Outcome::Done));
    }
    store.run(Job::Also(vec![Also::Missed { module: "m".into(), events: 3 }]));
    store.run(Job::Subscribe { module: "late".into() });
    let line = format!(
        r#"{{"entity":"Log","id":"{}","version":9,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-02T00:00:00Z","owner":"m","data":{}}}"#,
        id(200),
        log(200)
    );
    let import = Job::Import { lines: vec![line], first: 2, existing: Existing::Refuse };
    assert!(matches!(store.run(import), Outcome::Imported(_)));
    store.mutate(&format!(r#"{{"entity":"Log","operation":"create","id":"{}","data":{{"n":-1}}}}"#, id(300)));
}

#[test]
fn everything_in_a_store_of_version_4_reads_as_it_did() {
    if std::env::var_os("BULKHEAD_TEST_WRITE").is_some() {
        let store = Store::with(declare);
        fill(&store);
        let all = all_of(&store);
        store.close();
        std::fs::copy(store.folder.database(), fixture("version-4.db")).unwrap();
        std::fs::write(fixture("version-4.json"), serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    }
    let store = Store::in_folder(opened("version-4.db"), declare);
    assert_eq!(store.layer1.migrated(), Some(4));
    assert_eq!(all_of(&store), expected());
    let problems = store.layer1.tools().check(&mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(problems, Vec::<String>::new());
}

fn opened(version: &str) -> Folder {
    let folder = Folder::new();
    std::fs::copy(fixture(version), folder.database()).unwrap();
    folder
}

fn names(folder: &Folder) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(&folder.0).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn go(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("version-4.json")).unwrap()).unwrap()
}

#[test]
fn a_store_of_version_4_that_is_compacted_reads_as_it_did_and_keeps_its_declarations() {
    let folder = opened("version-4.db");
    let compacted = compact(&folder.database(), &mut go).unwrap();
    assert_eq!((compacted.version, compacted.before), (4, 131_072));
    let found = bulkhead_layer1::Settings::as_found(folder.database()).unwrap();
    assert_eq!((found.indexes.len(), found.searches.len()), (2, 1));
    let store = Store::in_folder(folder, declare);
    assert_eq!(store.layer1.migrated(), None);
    assert_eq!(all_of(&store), expected());
    assert_eq!(store.layer1.tools().check(&mut go).unwrap(), Vec::<String>::new());
}

#[test]
fn a_long_store_of_an_older_version_is_refused_at_the_start_and_opens_once_it_was_compacted() {
    let folder = opened("version-4.db");
    let open = |folder: &Folder| {
        let mut settings = settings(&folder.database());
        settings.migrated_bytes_max = 100_000;
        Layer1::open(settings, || {})
    };
    let before = std::fs::read(folder.database()).unwrap();
    let refused = open(&folder).err().unwrap();
    assert!(matches!(refused, OpenError::Long { found: 4, known: SCHEMA_VERSION, .. }));
    assert!(refused.to_string().contains("run `bulkhead layer1 compact --state DIR`"), "{refused}");
    assert!(std::fs::read(folder.database()).unwrap() == before, "a refusal has changed the file");
    compact(&folder.database(), &mut go).unwrap();
    open(&folder).unwrap().close().unwrap();
}

#[test]
fn compacting_gives_back_what_was_removed_and_keeps_the_epoch() {
    let store = Store::new();
    let ids: Vec<_> = (0..300).map(|_| store.create("E", &format!(r#"{{"text":"{}"}}"#, "x".repeat(3000)))).collect();
    for id in &ids[10..] {
        store.mutate(&format!(r#"{{"entity":"E","operation":"delete","id":"{id}"}}"#));
    }
    store.layer1.set_events_quota("", Some(10));
    store.create("E", "{}");
    while matches!(store.run(Job::EventEnds), Outcome::Ends { oldest, newest } if oldest != newest) {
        std::thread::yield_now();
    }
    let kept = store.query(r#"{"entity":"E"}"#);
    let epochs = store.layer1.epochs().to_vec();
    store.close();
    let Store { layer1, folder, .. } = store;
    drop(layer1);
    let compacted = compact(&folder.database(), &mut go).unwrap();
    assert!(compacted.after < 200_000 && compacted.before > 1_000_000, "{compacted:?}");
    assert_eq!(compacted.version, i64::from(SCHEMA_VERSION));
    assert_eq!(std::fs::metadata(folder.database()).unwrap().len(), compacted.after);
    assert_eq!(names(&folder), ["layer1.db", "layer1.db.lock", "layer1.db.opened"]);
    let store = Store::in_folder(folder, |_| {});
    assert_eq!(store.layer1.epochs(), epochs);
    assert_eq!(store.query(r#"{"entity":"E"}"#), kept);
}

#[test]
fn compacting_that_is_stopped_leaves_the_store_as_it_was_and_no_file() {
    for reports in 0..3 {
        let folder = opened("version-4.db");
        let before = std::fs::read(folder.database()).unwrap();
        let mut left = reports;
        let stop = &mut |_: Progress| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert!(matches!(compact(&folder.database(), stop), Err(CompactError::Tool(ToolError::Stopped))));
        assert!(std::fs::read(folder.database()).unwrap() == before);
        assert_eq!(names(&folder), ["layer1.db", "layer1.db.lock"]);
    }
}

#[test]
fn only_a_store_that_is_there_and_that_no_host_has_is_compacted() {
    let folder = Folder::new();
    assert!(matches!(compact(&folder.database(), &mut go), Err(CompactError::Open(OpenError::Missing { .. }))));
    assert_eq!(names(&folder), Vec::<String>::new());
    let store = Store::in_folder(folder, |_| {});
    let used = compact(&store.folder.database(), &mut go);
    assert!(matches!(used, Err(CompactError::Open(OpenError::InUse { .. }))), "{used:?}");
    store.create("E", "{}");
    store.close();
    let Store { layer1, folder, .. } = store;
    drop(layer1);
    let newer = rusqlite::Connection::open(folder.database()).unwrap();
    newer.pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
    drop(newer);
    assert!(matches!(compact(&folder.database(), &mut go), Err(CompactError::Open(OpenError::Newer { .. }))));
    std::fs::write(folder.database(), "no database".repeat(500)).unwrap();
    assert!(matches!(compact(&folder.database(), &mut go), Err(CompactError::Open(OpenError::Foreign { .. }))));
}

#[test]
fn a_store_that_another_program_reads_is_not_replaced_under_it() {
    let store = Store::new();
    store.create("E", "{}");
    store.close();
    let Store { layer1, folder, .. } = store;
    drop(layer1);
    let reader = rusqlite::Connection::open(folder.database()).unwrap();
    let read = || reader.query_row("SELECT count(*) FROM entities", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(read(), 1);
    let refused = compact(&folder.database(), &mut go).unwrap_err().to_string();
    assert!(refused.contains("is in use by another program; end that, and run this again"), "{refused}");
    assert!(!names(&folder).iter().any(|name| name.ends_with("ing")));
    assert_eq!(read(), 1);
    drop(reader);
    compact(&folder.database(), &mut go).unwrap();
}

#[test]
fn the_views_show_ids_names_and_events_as_texts_to_any_program() {
    let store = Store::in_folder(opened("version-4.db"), declare);
    let created = store.create("Log", r#"{"n":1}"#);
    store.mutate(&format!(r#"{{"entity":"Log","operation":"update","id":"{created}","data":{{"n":2}}}}"#));
    let mutation = Mutation::read(&json(r#"{"entity":"Log","operation":"create","data":{"n":3}}"#)).unwrap();
    let key = Some(keyed("0198c0de-2c1a-7e3b-9f00-000000000001", "x"));
    let Outcome::Mutated { reply, .. } = store.run(Job::Mutate { unit: None, owner: "m".into(), mutation, key }) else {
        panic!()
    };
    let all = all_of(&store);
    store.close();
    let other = rusqlite::Connection::open(store.folder.database()).unwrap();
    let rows = |sql: &str| -> Vec<Value> {
        let mut statement = other.prepare(sql).unwrap();
        let shown = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        shown.map(|row| serde_json::from_str(&row.unwrap()).unwrap()).collect()
    };
    let events = rows("SELECT json_array(cursor, time, event, source, data) FROM events_as_text ORDER BY cursor");
    assert_eq!(Value::from(events), all["events"]);
    let entities = rows("SELECT json_array(entity, id, version, owner, data) FROM entities_as_text ORDER BY rowid");
    let export: Vec<Value> = all["export"].as_array().unwrap()[1..]
        .iter()
        .map(|line| {
            let line = line.as_str().unwrap();
            let entity: Value = serde_json::from_str(line).unwrap();
            let data = line.split_once(",\"data\":").unwrap().1.strip_suffix('}').unwrap();
            value!([entity["entity"], entity["id"], entity["version"], entity["owner"], data])
        })
        .collect();
    assert_eq!(entities, export);
    let keys = rows("SELECT json_array(caller, target, key, reply) FROM keys_as_text ORDER BY key");
    assert!(
        keys.contains(&value!(["", "counter", "0198c0de-2c1a-7e3b-9f00-000000000001", reply.as_str()])),
        "{keys:?}"
    );
    assert!(keys.iter().any(|key| key[0] == "m" && key[2] == "any text"), "{keys:?}");
}
