//! What bounds the file: each owner's events and keys have quotas, all events together a number and bytes, and what is
//! counted is what is there, whatever happened.

mod common;

use bulkhead_layer1::{
    Job, JobId, Outcome, UnitId,
    job::{Also, Cursor, Existing},
    limits::{EVENT_OVERHEAD_BYTES, KEY_OVERHEAD_BYTES},
    outcome::{EventPage, KeyState, More, Usage},
};
use bulkhead_protocol::{ErrorCode, Pattern, layer1::Query};
use common::*;
use proptest::prelude::*;
use serde_json::Value;
use std::{
    io::BufReader,
    ops::ControlFlow,
    time::{Duration, Instant},
};

const MIB: u64 = 1024 * 1024;

fn emit_as(store: &Store, source: &str, unit: Option<u64>, event: &str, bytes: usize) -> Outcome {
    let data = json(&format!("\"{}\"", "x".repeat(bytes)));
    store.run(Job::Emit { unit: unit.map(UnitId), source: source.into(), event: event.into(), data })
}

/// What an event of [`emit_as`] counts with.
fn counted(source: &str, event: &str, bytes: usize) -> u64 {
    (source.len() + event.len() + bytes + 2) as u64 + EVENT_OVERHEAD_BYTES as u64
}

fn read(store: &Store, after: u64) -> EventPage {
    let patterns = vec![Pattern::new("*").unwrap()];
    match store.run(Job::ReadEvents { after: Cursor(after), patterns, limit: usize::MAX, bytes_max: usize::MAX }) {
        Outcome::Events(page) => page,
        other => panic!("{other:?}"),
    }
}

fn cursors(page: &EventPage) -> Vec<u64> {
    page.events.iter().map(|event| event.cursor.0).collect()
}

fn usage(store: &Store) -> Vec<Usage> {
    match store.run(Job::Usage) {
        Outcome::Usage(usage) => usage,
        other => panic!("{other:?}"),
    }
}

fn usage_of(store: &Store, owner: &str) -> Usage {
    usage(store).into_iter().find(|usage| usage.owner == owner).unwrap()
}

/// Every account is what a recount finds.
fn check(store: &Store) {
    assert_eq!(store.layer1.tools().check(&mut |_| ControlFlow::Continue(())).unwrap(), Vec::<String>::new());
}

/// How many bytes the database and its log have.
fn size(store: &Store) -> u64 {
    let file = store.folder.database();
    let log = file.with_extension("db-wal");
    [file, log].into_iter().map(|file| std::fs::metadata(file).map_or(0, |metadata| metadata.len())).sum()
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn of_a_sources_events_beyond_its_quota_its_own_oldest_go_and_a_reader_is_informed() {
    let store = Store::new();
    let each = counted("loud", "e", 100);
    store.layer1.set_events_quota("loud", Some(3 * each));
    for n in 0..5 {
        emit_as(&store, "loud", None, "e", 100);
        emit_as(&store, "still", None, "e", n);
    }
    // Those of the loud one are 1, 3, 5, 7 and 9.
    let page = read(&store, 0);
    assert_eq!(cursors(&page), [2, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!((page.lost, page.cursor.0, page.more), (2, 10, More::No));
    assert_eq!((read(&store, 2).lost, read(&store, 3).lost, read(&store, 4).lost), (1, 0, 0));
    let held = usage_of(&store, "loud");
    assert_eq!((held.event_bytes, held.events), (3 * each, 3));
    assert_eq!(usage_of(&store, "still").events, 5);
    check(&store);
    // A page that ends before a gap reports what it passed by, and the next one the rest.
    let patterns = vec![Pattern::new("*").unwrap()];
    let Outcome::Events(page) =
        store.run(Job::ReadEvents { after: Cursor(0), patterns, limit: 1, bytes_max: usize::MAX })
    else {
        panic!("they can be read")
    };
    assert_eq!((cursors(&page), page.lost, page.cursor.0), (vec![2], 1, 2));
}

#[test]
fn a_subscriber_that_lags_holds_no_event_beyond_the_quota() {
    let store = Store::new();
    store.run(Job::Subscribe { module: "slow".into() });
    store.layer1.set_events_quota("loud", Some(10 * counted("loud", "e", 100)));
    (0..50).for_each(|_| drop(emit_as(&store, "loud", None, "e", 100)));
    assert_eq!(usage_of(&store, "loud").events, 10);
    assert_eq!(read(&store, 0).lost, 40);
    check(&store);
}

#[test]
fn a_burst_in_one_unit_is_stored_up_to_the_quota_and_sent_whole_to_followers() {
    let store = Store::new();
    store.layer1.set_events_quota("loud", Some(4 * MIB));
    for unit in 1..=2 {
        for _ in 0..50 {
            assert!(matches!(emit_as(&store, "loud", Some(unit), "e", 1_000_000), Outcome::Emitted));
        }
        let Outcome::Committed { events } = store.commit(unit) else { panic!("nothing refuses it") };
        assert_eq!(
            events.iter().map(|event| event.cursor.0).collect::<Vec<_>>(),
            (50 * unit - 49..=50 * unit).collect::<Vec<_>>()
        );
        assert!(size(&store) < 14 * MIB, "{} bytes", size(&store));
    }
    let page = read(&store, 0);
    assert_eq!((cursors(&page), page.lost), (vec![97, 98, 99, 100], 96));
    check(&store);
}

#[test]
fn events_that_come_one_by_one_keep_the_files_bounded_too() {
    let store = Store::new();
    store.layer1.set_events_quota("loud", Some(4 * MIB));
    for _ in 0..100 {
        emit_as(&store, "loud", None, "e", 1_000_000);
        assert!(size(&store) < 20 * MIB, "{} bytes", size(&store));
    }
    check(&store);
}

#[test]
fn events_that_are_committed_together_keep_the_files_bounded_too() {
    let store = Store::new();
    for source in ["a", "b"] {
        store.layer1.set_events_quota(source, Some(2 * MIB));
    }
    for round in 0..5 {
        for n in 0..20 {
            let source = if n % 2 == 0 { "a" } else { "b" };
            let data = json(&format!("\"{}\"", "x".repeat(500_000)));
            store.submit(Job::Emit { unit: None, source: source.into(), event: "e".into(), data });
        }
        for _ in 0..20 {
            assert!(matches!(store.layer1.wait().1, Outcome::Committed { .. }));
        }
        assert!(size(&store) < 20 * MIB, "{} bytes after round {round}", size(&store));
    }
    assert_eq!((usage_of(&store, "a").events, usage_of(&store, "b").events), (4, 4));
    check(&store);
}

#[test]
fn queries_that_never_end_together_do_not_keep_the_log_from_beginning_anew() {
    let store = Store::new();
    store.layer1.set_events_quota("loud", Some(MIB));
    let list =
        vec![format!(r#"{{"entity":"A","operation":"create","data":{{"t":"{}"}}}}"#, "x".repeat(200)); 1000].join(",");
    (0..10).for_each(|_| drop(store.mutate(&format!(r#"{{"operations":[{list}]}}"#))));
    // Each entity of the answer looks at every entity, which takes many seconds.
    let slow = r#"{"entity":"A","limit":1000,"include":{"entity":"A","field":"t"}}"#;
    let slow = Query::read(&json(slow)).unwrap_or_else(|fault| panic!("{fault}"));
    let ask = |job_id| {
        let job = Job::Query { unit: None, query: slow.clone() };
        store.layer1.submit(JobId(job_id), job, None).unwrap();
    };
    const SLOW: u64 = 1_000_000;
    let data = json(&format!("\"{}\"", "x".repeat(1_000_000)));
    let emit = |job_id| {
        let job = Job::Emit { unit: None, source: "loud".into(), event: "e".into(), data: data.clone() };
        store.layer1.submit(JobId(job_id), job, None).unwrap();
    };
    // One begins whenever another ends, and they never end together.
    (SLOW..SLOW + 2).for_each(ask);
    emit(0);
    let (mut emitted, mut ended, mut most) = (0, 0, 0);
    while emitted < 200 {
        let (job_id, outcome) = store.layer1.wait();
        if job_id.0 >= SLOW {
            if let Outcome::Failed(failure) = &outcome {
                assert_code(failure, ErrorCode::Overloaded, "ask again");
                ended += 1;
            }
            ask(job_id.0 + 2);
        } else {
            assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
            emitted += 1;
            most = most.max(size(&store));
            emit(emitted);
        }
    }
    assert!(ended > 0 && most < 64 * MIB, "{ended} were ended, and there were {most} bytes");
    store.close();
}

#[test]
fn of_set_aside_events_that_take_too_many_bytes_the_oldest_go() {
    let store = Store::with(|settings| settings.set_aside_bytes_max = 300_000);
    for cursor in 1..=5 {
        emit_as(&store, "m", None, "e", 100_000);
        let also = Also::SetAside { module: "m".into(), cursor: Cursor(cursor), attempts: 5, error: "no".into() };
        assert!(matches!(store.run(Job::Also(vec![also])), Outcome::Done));
    }
    wait_until("the oldest go", || store.layer1.set_aside_dropped() == 3);
    let Outcome::SetAside(list) = store.run(Job::ListSetAside { module: None, after: 0, limit: 10 }) else {
        panic!("they can be read")
    };
    assert_eq!(list.iter().map(|one| one.event.cursor.0).collect::<Vec<_>>(), [4, 5]);
    // One alone is kept whatever it takes.
    let store = store.reopened(|settings| settings.set_aside_bytes_max = 1);
    wait_until("all but the last go", || matches!(store.run(Job::CountSetAside), Outcome::SetAsideCount(1)));
}

#[test]
fn tiny_entities_count_with_what_they_take_beside_their_data() {
    let store = Store::new();
    store.layer1.set_quota("m", Some(MIB));
    let list = vec![r#"{"entity":"A","operation":"create","data":{}}"#; 1000].join(",");
    let mutation = format!(r#"{{"operations":[{list}]}}"#);
    let made = (0..100).take_while(|_| store.mutate_as(None, "m", &mutation).is_ok()).count();
    assert_eq!(made, 4);
}

#[test]
fn a_multitude_of_tiny_events_is_bounded_by_what_they_take_and_not_by_their_texts() {
    let store = Store::new();
    store.layer1.set_events_quota("loud", Some(MIB));
    for unit in 0..10 {
        (0..10_000).for_each(|_| drop(emit_as(&store, "loud", Some(unit), "e", 0)));
        assert!(matches!(store.commit(unit), Outcome::Committed { .. }));
    }
    let held = usage_of(&store, "loud");
    assert!(held.events < 20_000 && held.event_bytes <= MIB, "{held:?}");
    assert!(size(&store) < 14 * MIB, "{} bytes", size(&store));
    check(&store);
}

#[test]
fn the_newest_event_is_kept_whatever_it_takes_so_that_no_cursor_comes_twice() {
    let store = Store::new();
    store.layer1.set_events_quota("loud", Some(1024));
    for n in 1..=3 {
        let Outcome::Committed { events } = emit_as(&store, "loud", None, "e", 5000) else { panic!("it is stored") };
        assert_eq!(events[0].cursor.0, n);
        assert_eq!(cursors(&read(&store, 0)), [n]);
    }
    let store = store.reopened(|_| {});
    store.layer1.set_events_quota("loud", Some(1024));
    emit_as(&store, "still", None, "e", 1);
    wait_until("what is over its quota goes when it is not the newest any more", || cursors(&read(&store, 0)) == [4]);
    check(&store);
}

#[test]
fn a_quota_that_is_lowered_is_come_to_piece_by_piece() {
    let store = Store::new();
    for unit in 0..2 {
        (0..5000).for_each(|_| drop(emit_as(&store, "m", Some(unit), "e", 0)));
        store.commit(unit);
    }
    store.layer1.set_events_quota("m", Some(100 * counted("m", "e", 0)));
    wait_until("100 are left", || usage_of(&store, "m").events == 100);
    assert_eq!(cursors(&read(&store, 0)), (9901..=10_000).collect::<Vec<_>>());
    check(&store);
}

#[test]
fn all_events_together_have_a_bound_in_bytes_and_twice_that_for_subscribers_that_lag() {
    let each = counted("m", "e", 1000);
    let store = Store::with(|settings| settings.events_bytes_max = 10 * each);
    (0..30).for_each(|_| drop(emit_as(&store, "m", None, "e", 1000)));
    wait_until("10 are left", || usage_of(&store, "m").events == 10);
    assert_eq!(read(&store, 0).lost, 20);
    store.run(Job::Subscribe { module: "slow".into() });
    (0..30).for_each(|_| drop(emit_as(&store, "m", None, "e", 1000)));
    wait_until("20 are left", || usage_of(&store, "m").events == 20);
    store.run(Job::Also(vec![Also::Advance { module: "slow".into(), cursor: Cursor(60), after: Cursor(0) }]));
    wait_until("10 are left", || usage_of(&store, "m").events == 10);
    check(&store);
}

#[test]
fn events_max_counts_events_and_not_the_cursors_of_those_that_are_gone() {
    let store = Store::with(|settings| settings.events_max = 100);
    store.layer1.set_events_quota("loud", Some(10 * counted("loud", "e", 0)));
    (0..20).for_each(|_| drop(emit_as(&store, "still", None, "e", 0)));
    (0..500).for_each(|_| drop(emit_as(&store, "loud", None, "e", 0)));
    let store = store.reopened(|settings| settings.events_max = 100);
    // The first step of clearing is done before this is answered.
    wait_until("it was looked", || usage_of(&store, "loud").events == 10);
    std::thread::yield_now();
    assert_eq!(usage_of(&store, "still").events, 20);
}

#[test]
fn a_new_key_is_refused_when_its_callers_keys_are_full_and_a_known_one_is_answered() {
    let store = Store::new();
    let one = 2 * ("m".len() + "counter".len() + "k1".len()) as u64 + 1000 + KEY_OVERHEAD_BYTES as u64;
    store.layer1.set_keys_quota("m", Some(2 * one));
    let key = |caller: &str, name: &str| keyed_for(caller, "counter", name, "x");
    let reply = || json(&format!("\"{}\"", "x".repeat(998)));
    let commit = |caller: &str, unit, name: &str| {
        let key = Some((key(caller, name), reply()));
        store.run(Job::Commit { unit: UnitId(unit), key, events: vec![], also: vec![] })
    };
    for n in 1..=2 {
        let name = format!("k{n}");
        assert!(matches!(store.run(Job::LookUpKey(key("m", &name))), Outcome::Key(KeyState::Vacant)));
        assert!(matches!(commit("m", n, &name), Outcome::Committed { .. }));
    }
    assert_eq!((usage_of(&store, "m").key_bytes, usage_of(&store, "m").keys), (2 * one, 2));
    let full = |outcome: Outcome| {
        let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
        assert_code(&failure, ErrorCode::PermissionDenied, "raise keys_quota");
        let data = failure.data.unwrap().read::<Value>().unwrap();
        assert_eq!(
            (&data["reason"], &data["owner"], &data["used"]),
            (&"keys_quota".into(), &"m".into(), &(2 * one).into())
        );
    };
    full(store.run(Job::LookUpKey(key("m", "k3"))));
    // What a caller that had looked before has done meanwhile is kept.
    emit_as(&store, "m", Some(3), "e", 1);
    assert!(matches!(commit("m", 3, "k4"), Outcome::Committed { .. }));
    assert_eq!(read(&store, 0).events.len(), 1);
    assert!(matches!(store.run(Job::LookUpKey(key("m", "k1"))), Outcome::Key(KeyState::Stored(_))));
    // Others have their own.
    assert!(matches!(commit("other", 4, "k3"), Outcome::Committed { .. }));
    assert!(matches!(commit("", 5, "k3"), Outcome::Committed { .. }));
    store.layer1.set_keys_quota("", Some(1000));
    let Outcome::Failed(failure) = store.run(Job::LookUpKey(key("", "k4"))) else { panic!("clients are one owner") };
    assert_code(&failure, ErrorCode::PermissionDenied, "the quota of all clients");
    check(&store);
}

#[test]
fn keys_that_have_expired_make_room() {
    let time = TestClock::default();
    let store = Store::with(|settings| {
        settings.key_ttl = Duration::from_secs(10);
        settings.clock = time.clock();
    });
    store.layer1.set_keys_quota("m", Some(1));
    let key = |name: &str| keyed_for("m", "counter", name, "x");
    let commit = |unit, name: &str| {
        store.run(Job::Commit { unit: UnitId(unit), key: Some((key(name), json("1"))), events: vec![], also: vec![] })
    };
    assert!(matches!(commit(1, "a"), Outcome::Committed { .. }));
    assert!(matches!(store.run(Job::LookUpKey(key("b"))), Outcome::Failed(_)));
    time.pass(20_000_000);
    wait_until("it has gone", || usage_of(&store, "m").keys == 0);
    assert!(matches!(store.run(Job::LookUpKey(key("b"))), Outcome::Key(KeyState::Vacant)));
    check(&store);
}

/// What is done at random, and what of it changes accounts.
#[derive(Clone, Debug)]
enum Step {
    Emit { source: usize, bytes: usize },
    Burst { source: usize, events: usize, bytes: usize },
    Create { owner: usize, bytes: usize },
    Key { caller: usize, name: u8, bytes: usize },
    Lower { owner: usize, quota: u64 },
    Refused { owner: usize },
    Import,
    Forget { module: usize },
    Pass { seconds: u64 },
    Reopen,
}

const OWNERS: [&str; 3] = ["", "a", "b"];

fn step() -> impl Strategy<Value = Step> {
    let owner = || 0..OWNERS.len();
    prop_oneof![
        6 => (owner(), 0..3000_usize).prop_map(|(source, bytes)| Step::Emit { source, bytes }),
        2 => (owner(), 1..30_usize, 0..1000_usize).prop_map(|(source, events, bytes)| Step::Burst { source, events, bytes }),
        3 => (owner(), 0..5000_usize).prop_map(|(owner, bytes)| Step::Create { owner, bytes }),
        4 => (owner(), 0..6_u8, 0..2000_usize).prop_map(|(caller, name, bytes)| Step::Key { caller, name, bytes }),
        1 => (owner(), 0..20_000_u64).prop_map(|(owner, quota)| Step::Lower { owner, quota }),
        1 => owner().prop_map(|owner| Step::Refused { owner }),
        1 => Just(Step::Import),
        1 => owner().prop_map(|module| Step::Forget { module }),
        2 => (0..8_u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Also: what is read is what was stored, less the events that are reported as lost, and no more than the quotas
    /// is kept.
    #[test]
    fn accounts_are_what_a_recount_finds_after_whatever_happened(steps in prop::collection::vec(step(), 1..50)) {
        let time = TestClock::default();
        let mut quotas = [10_000_u64, 20_000, 5000];
        let set = |store: &Store, quotas: &[u64; 3]| {
            for (owner, quota) in OWNERS.iter().zip(quotas) {
                store.layer1.set_events_quota(owner, Some(*quota));
                store.layer1.set_keys_quota(owner, Some(*quota));
            }
        };
        let settings = |settings: &mut bulkhead_layer1::Settings| {
            settings.clock = time.clock();
            settings.key_ttl = Duration::from_secs(5);
            settings.events_bytes_max = 25_000;
        };
        let mut store = Store::with(settings);
        set(&store, &quotas);
        let (mut unit, mut stored) = (0, 0);
        for step in steps {
            unit += 1;
            match step {
                Step::Emit { source, bytes } => {
                    let Outcome::Committed { events } = emit_as(&store, OWNERS[source], None, "e", bytes) else {
                        panic!("it is never refused")
                    };
                    stored += 1;
                    prop_assert_eq!(events[0].cursor.0, stored);
                    let held = usage_of(&store, OWNERS[source]).event_bytes;
                    let most = quotas[source].max(counted(OWNERS[source], "e", bytes));
                    prop_assert!(held <= most || step_is_lowered(&quotas), "{} of {}", held, most);
                }
                Step::Burst { source, events, bytes } => {
                    for n in 0..events {
                        emit_as(&store, OWNERS[(source + n % 2) % 3], Some(unit), "e", bytes);
                    }
                    let done = store.commit(unit);
                    assert!(matches!(done, Outcome::Committed { .. }), "{done:?}");
                    stored += events as u64;
                }
                Step::Create { owner, bytes } => {
                    let payload = format!(r#"{{"entity":"A","operation":"create","data":{{"t":"{}"}}}}"#, "x".repeat(bytes));
                    store.mutate_as(None, OWNERS[owner], &payload).unwrap();
                    stored += 1;
                }
                Step::Key { caller, name, bytes } => {
                    let key = keyed_for(OWNERS[caller], "counter", &format!("k{name}"), "x");
                    let key = Some((key, json(&format!("\"{}\"", "x".repeat(bytes)))));
                    store.run(Job::Commit { unit: UnitId(unit), key, events: vec![], also: vec![] });
                }
                Step::Lower { owner, quota } => {
                    quotas[owner] = quota;
                    set(&store, &quotas);
                }
                Step::Refused { owner } => {
                    // One operation of a list that cannot be done undoes what the others have counted.
                    let refused = r#"{"operations":[{"entity":"A","operation":"create","data":{}},
                        {"entity":"A","operation":"delete","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f"}]}"#;
                    prop_assert!(store.mutate_as(None, OWNERS[owner], refused).is_err());
                }
                Step::Import => {
                    let mut export = Vec::new();
                    store.layer1.tools().export(None, &mut export, &mut |_| ControlFlow::Continue(())).unwrap();
                    store.layer1.import(BufReader::new(&export[..]), Existing::Keep, &mut |_| ControlFlow::Continue(())).unwrap();
                }
                Step::Forget { module } => drop(store.run(Job::Forget { module: OWNERS[module].into() })),
                Step::Pass { seconds } => time.pass(seconds.cast_signed() * 1_000_000),
                Step::Reopen => {
                    store = store.reopened(settings);
                    set(&store, &quotas);
                }
            }
        }
        check(&store);
        let page = read(&store, 0);
        prop_assert_eq!(page.events.len() as u64 + page.lost, stored);
        prop_assert_eq!(page.cursor.0, stored);
    }
}

/// Whether a quota may be below what there is, which goes piece by piece then.
fn step_is_lowered(quotas: &[u64; 3]) -> bool {
    *quotas != [10_000, 20_000, 5000]
}
