//! Time: what is kept for a time is measured by the time that the store has seen pass. A wall clock that is set,
//! forward or back, ends nothing early or late, reverses no order and makes no two things equal.

mod common;

use bulkhead_layer1::{
    Job, Outcome,
    job::{Also, Cursor, Existing},
    outcome::KeyState,
};
use common::*;
use std::{
    ops::ControlFlow,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 3600 * SECOND;
const YEAR: i64 = 365 * DAY;

/// A clock that shows a day in 2026.
fn clock() -> TestClock {
    let time = TestClock::default();
    time.step(56 * YEAR);
    time.pass(3 * DAY);
    time
}

fn store(time: &TestClock) -> Store {
    Store::with(|settings| settings.clock = time.clock())
}

fn reopened(store: Store, time: &TestClock) -> Store {
    store.reopened(|settings| settings.clock = time.clock())
}

fn keep(store: &Store, key: &str) {
    let outcome = store.commit_with_key(1, key, "x", "7");
    assert!(matches!(outcome, Outcome::Committed { .. }), "{key}: {outcome:?}");
}

fn state(store: &Store, key: &str) -> KeyState {
    match store.run(Job::LookUpKey(keyed(key, "x"))) {
        Outcome::Key(state) => state,
        other => panic!("{other:?}"),
    }
}

fn kept() -> KeyState {
    KeyState::Stored(json("7"))
}

fn oldest(store: &Store) -> u64 {
    match store.run(Job::EventEnds) {
        Outcome::Ends { oldest, .. } => oldest.0,
        other => panic!("{other:?}"),
    }
}

/// The store as it would be found if its host were killed now: its files as they are.
fn after_a_kill(store: &Store, time: &TestClock) -> Store {
    let folder = Folder::new();
    for ending in ["", "-wal"] {
        let name = |folder: &Folder| folder.0.join(format!("layer1.db{ending}"));
        std::fs::copy(name(&store.folder), name(&folder)).unwrap();
    }
    Store::in_folder(folder, |settings| settings.clock = time.clock())
}

#[test]
fn a_wall_clock_that_is_set_ends_no_key_and_time_that_passes_does() {
    let time = clock();
    let store = store(&time);
    keep(&store, "k");
    for step in [30 * DAY, YEAR, -40 * YEAR, -10 * YEAR, 1, -1, 200 * YEAR] {
        time.step(step);
        assert_eq!(state(&store, "k"), kept(), "after a step of {} days", step / DAY);
        // In the commit that would take it, too.
        assert!(matches!(store.commit_with_key(2, "k", "x", "8"), Outcome::Key(KeyState::Stored(_))));
    }
    time.pass(7 * DAY - 1);
    assert_eq!(state(&store, "k"), kept());
    time.pass(1);
    assert_eq!(state(&store, "k"), KeyState::Vacant);
    // A key that was kept while the clock was far ahead ends no later.
    keep(&store, "k");
    time.step(-100 * YEAR);
    time.pass(7 * DAY);
    assert_eq!(state(&store, "k"), KeyState::Vacant);
}

#[test]
fn a_wall_clock_that_is_set_clears_no_event_away_and_time_that_passes_does() {
    let time = clock();
    let mut store = store(&time);
    for step in [2 * YEAR, -YEAR, -30 * YEAR, 100 * YEAR] {
        store.create("A", "{}");
        time.step(step);
        // It clears as soon as it is opened; what comes after a key comes after that.
        store = reopened(store, &time);
        keep(&store, &step.to_string());
        store.create("A", "{}");
        assert_eq!(oldest(&store), 1, "after a step of {} days", step / DAY);
    }
    time.pass(31 * DAY);
    store = reopened(store, &time);
    let begun = Instant::now();
    // All but the newest, which always stays.
    while oldest(&store) < 8 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} is still there", oldest(&store));
        std::thread::yield_now();
    }
    assert_eq!(oldest(&store), 8);
}

#[test]
fn time_without_a_host_does_not_count_and_time_with_one_is_not_forgotten() {
    let time = clock();
    let mut store = store(&time);
    keep(&store, "k");
    for _ in 0..6 {
        time.pass(DAY);
        store.close();
        // Another boot, a year later.
        time.step(YEAR);
        time.since_boot.store(17, Ordering::Relaxed);
        store = reopened(store, &time);
        assert_eq!(state(&store, "k"), kept());
    }
    time.pass(DAY - 1);
    assert_eq!(state(&store, "k"), kept());
    time.pass(1);
    assert_eq!(state(&store, "k"), KeyState::Vacant);
}

#[test]
fn a_host_that_is_killed_again_and_again_ages_all_the_same() {
    let time = clock();
    let mut store = store(&time);
    keep(&store, "k");
    for number in 0..7 {
        assert_eq!(state(&store, "k"), kept());
        time.pass(DAY);
        // Every commit writes how old the store is.
        keep(&store, &format!("other {number}"));
        let time_without_a_host = 3 * YEAR;
        time.step(time_without_a_host);
        store = after_a_kill(&store, &time);
    }
    assert_eq!(state(&store, "k"), KeyState::Vacant);
}

#[test]
fn new_ids_are_greater_than_the_greatest_stored_whatever_the_clock_says() {
    let time = clock();
    let mut store = store(&time);
    let mut ids = vec![store.create("A", "{}")];
    let check = |ids: &[String]| assert!(ids.is_sorted() && ids[ids.len() - 2] < ids[ids.len() - 1], "{ids:?}");
    for step in [YEAR, -YEAR, -20 * YEAR, 60 * YEAR, 0, -90 * YEAR, SECOND] {
        time.step(step);
        ids.push(store.create("A", "{}"));
        check(&ids);
        let made = store.mutate_as(Some(1), "m", r#"{"entity":"A","operation":"create","data":{}}"#).unwrap().0;
        ids.push(made["id"].as_str().unwrap().to_owned());
        assert!(matches!(store.commit(1), Outcome::Committed { .. }));
        check(&ids);
        time.step(-step / 2);
        store = if step > 0 { after_a_kill(&store, &time) } else { reopened(store, &time) };
        ids.push(store.create("A", "{}"));
        check(&ids);
    }
    // The order by id is that of creation, so a page misses nothing that came after it.
    let found = store.query(r#"{"entity":"A","limit":100}"#);
    let listed: Vec<_> = found["entities"].as_array().unwrap().iter().map(|entity| entity["id"].clone()).collect();
    assert_eq!(listed, ids);
}

#[test]
fn an_id_of_a_callers_own_moves_those_of_the_store_nowhere() {
    let time = clock();
    let mut store = store(&time);
    let first = store.create("A", "{}");
    for own in ["ffffffff-ffff-7fff-bfff-ffffffffffff", "02000000-0000-7000-8000-000000000000"] {
        store.mutate(&format!(r#"{{"entity":"A","operation":"create","id":"{own}","data":{{}}}}"#));
        store = reopened(store, &time);
        let next = store.create("A", "{}");
        assert!(next > first && next[..8] == first[..8], "{next} is made of the clock's time, like {first}");
    }
}

#[test]
fn ids_are_greater_than_those_of_an_import_and_of_a_backup_that_was_put_back() {
    let go = &mut |_| ControlFlow::Continue(());
    let time = clock();
    time.step(30 * YEAR);
    let ahead = store(&time);
    let last = ahead.create("A", "{}");
    let mut lines = Vec::new();
    ahead.layer1.tools().export(None, &mut lines, go).unwrap();
    let folder = Folder::new();
    ahead.layer1.tools().backup(&folder.database(), go).unwrap();
    time.step(-30 * YEAR);
    // The store into which it is imported has never seen that time.
    let mut other = store(&time);
    assert!(other.create("A", "{}") < last);
    other.layer1.import(&lines[..], Existing::Refuse, go).unwrap();
    let next = other.create("A", "{}");
    assert!(next > last, "{next} is before {last}");
    other = after_a_kill(&other, &time);
    let again = other.create("A", "{}");
    assert!(again > next, "{again} is before {next}");
    let restored = Store::in_folder(folder, |settings| settings.clock = time.clock());
    let next = restored.create("A", "{}");
    assert!(next > last, "{next} is before {last}");
}

#[test]
fn nothing_was_changed_before_it_was_made_or_before_its_last_change() {
    let time = clock();
    let store = store(&time);
    let id = store.create("A", "{}");
    let made = store.query(r#"{"entity":"A"}"#)["entities"][0]["created_at"].as_str().unwrap().to_owned();
    let mut last = made.clone();
    for step in [-YEAR, 5 * YEAR, -SECOND, -20 * YEAR, 1] {
        time.step(step);
        let update = format!(r#"{{"entity":"A","operation":"update","id":"{id}","data":{{"n":{step}}}}}"#);
        let unit = (step % 2 == 0).then_some(1);
        store.mutate_as(unit, "", &update).unwrap();
        if unit.is_some() {
            assert!(matches!(store.commit(1), Outcome::Committed { .. }));
        }
        let found = store.query(r#"{"entity":"A"}"#)["entities"][0].clone();
        let updated = found["updated_at"].as_str().unwrap().to_owned();
        assert!(found["created_at"] == made.as_str() && updated >= last, "{found}, and before that {last}");
        last = updated;
    }
    // A change before the creation, as a clock that was set back had noted it, is read as of the creation.
    let line = r#"{"entity":"B","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f","version":2,"created_at":"2026-11-22T10:00:00.000000Z","updated_at":"2025-11-22T10:00:00.000000Z","owner":"","data":{}}"#;
    let lines = format!("{{\"bulkhead\":\"layer1\",\"format\":1,\"entities\":1}}\n{line}\n");
    let go = &mut |_| ControlFlow::Continue(());
    store.layer1.import(lines.as_bytes(), Existing::Refuse, go).unwrap();
    assert_eq!(store.query(r#"{"entity":"B"}"#)["entities"][0]["updated_at"], "2026-11-22T10:00:00.000000Z");
    assert_eq!(store.layer1.import(lines.as_bytes(), Existing::Refuse, go).unwrap().kept, 1);
}

/// The wall clock stands still here: by its time, the old one and the new one are the same.
#[test]
fn an_entity_made_anew_at_the_very_same_time_is_another_one() {
    const ID: &str = "01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f";
    let create = format!(r#"{{"entity":"A","operation":"create","id":"{ID}","data":{{"n":1}}}}"#);
    let delete = format!(r#"{{"entity":"A","operation":"delete","id":"{ID}"}}"#);
    let update = format!(r#"{{"entity":"A","operation":"update","id":"{ID}","data":{{"n":2}}}}"#);
    let anew = format!(
        r#"{{"operations":[{{"entity":"A","operation":"delete","id":"{ID}"}},{{"entity":"A","operation":"create","id":"{ID}","data":{{"n":1}}}}]}}"#
    );
    let time = clock();
    let store = store(&time);
    store.create("A", "{}");
    store.mutate(&create);
    let replacements: [&[&str]; 3] = [&[&delete, &create], &[&anew], &[&anew, &anew]];
    for (unit, replacement) in replacements.into_iter().enumerate() {
        // One unit has read it, another has changed it.
        let (reads, changes) = (unit as u64 * 2, unit as u64 * 2 + 1);
        store.query_in(Some(reads), &format!(r#"{{"entity":"A","id":"{ID}"}}"#)).unwrap();
        store.mutate_as(Some(changes), "m", &update).unwrap();
        replacement.iter().for_each(|payload| drop(store.mutate(payload)));
        store.mutate_as(Some(reads), "m", &update).unwrap();
        for unit in [reads, changes] {
            let outcome = store.commit(unit);
            assert!(matches!(outcome, Outcome::Conflict(_)), "{replacement:?}: {outcome:?}");
        }
        assert_eq!(store.query(&format!(r#"{{"entity":"A","id":"{ID}"}}"#))["entities"][0]["data"]["n"], 1);
    }
    assert_eq!(store.layer1.tools().check(&mut |_| ControlFlow::Continue(())).unwrap(), Vec::<String>::new());
}

#[test]
fn of_what_was_set_aside_the_first_goes_first_and_never_what_was_just_set_aside() {
    let time = clock();
    let set = |settings: &mut bulkhead_layer1::Settings| {
        settings.set_aside_max = 2;
        settings.clock = time.clock();
    };
    let mut store = Store::with(set);
    for (cursor, step) in [(1, YEAR), (2, -3 * YEAR), (3, -SECOND), (4, 10 * YEAR), (5, -20 * YEAR)] {
        store.create("A", "{}");
        let error = cursor.to_string();
        let also = Also::SetAside { module: "m".into(), cursor: Cursor(cursor), attempts: 5, error };
        assert!(matches!(store.run(Job::Also(vec![also])), Outcome::Done));
        time.step(step);
        store = store.reopened(set);
        let begun = Instant::now();
        let listed = loop {
            let Outcome::SetAside(list) = store.run(Job::ListSetAside { module: None, after: 0, limit: 10 }) else {
                panic!("it can be listed")
            };
            if list.len() <= 2 {
                break list.into_iter().map(|aside| aside.event.cursor.0).collect::<Vec<_>>();
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{list:?}");
            std::thread::yield_now();
        };
        assert_eq!(listed, (cursor.max(2) - 1..=cursor).collect::<Vec<_>>());
    }
}
