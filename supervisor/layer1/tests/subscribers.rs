//! Modules that lag, keep failing, or are gone for good: what waits for them is counted, what is too
//! much is removed, and what is no longer wanted is forgotten.

mod common;

use bulkhead_layer1::{
    Job, Outcome,
    job::{Also, Cursor, Subscriber},
    limits::{EVENTS_SCANNED_MAX, SET_ASIDE_ERROR_BYTES_MAX},
    outcome::{Forgotten, More, SetAsideEvent, Subscription, Waiting},
};
use bulkhead_protocol::Pattern;
use common::*;
use std::time::{Duration, Instant};

fn subscribe(store: &Store, module: &str) {
    assert!(matches!(store.run(Job::Subscribe { module: module.into() }), Outcome::Subscription(_)));
}

fn emit(store: &Store, event: &str) {
    let job = Job::Emit { unit: None, source: String::new(), event: event.into(), data: json("1") };
    assert!(matches!(store.run(job), Outcome::Committed { .. }));
}

/// What waits for a module that subscribes to these patterns.
fn waiting(store: &Store, module: &str, patterns: &[&str]) -> Option<Waiting> {
    let patterns = patterns.iter().map(|text| Pattern::new(text).unwrap()).collect();
    let known = vec![Subscriber { module: module.into(), patterns }];
    let Outcome::Subscriptions(all) = store.run(Job::Subscriptions { known }) else { panic!("they can be read") };
    all.into_iter().find(|status| status.subscription.module == "m").unwrap().waiting
}

fn exactly(events: u64) -> Option<Waiting> {
    Some(Waiting { events, more: More::No })
}

fn set_aside(store: &Store, module: &str, cursor: u64, error: &str) {
    let also = Also::SetAside { module: module.into(), cursor: Cursor(cursor), attempts: 5, error: error.into() };
    assert!(matches!(store.run(Job::Also(vec![also])), Outcome::Done));
}

fn listed(store: &Store) -> Vec<SetAsideEvent> {
    match store.run(Job::ListSetAside { module: None, after: 0, limit: 1000 }) {
        Outcome::SetAside(list) => list,
        other => panic!("{other:?}"),
    }
}

/// Waits until the store has reported that so many set-aside events were dropped, and lists those that it keeps.
fn listed_after_drop_of(store: &Store, expected: u64) -> Vec<u64> {
    let begun = Instant::now();
    while store.layer1.set_aside_dropped() != expected {
        let found = store.layer1.set_aside_dropped();
        assert!(begun.elapsed() < Duration::from_secs(20), "expected {expected}, found {found}");
        std::thread::yield_now();
    }
    listed(store).iter().map(|one| one.event.cursor.0).collect()
}

#[test]
fn what_waits_for_a_module_is_what_it_subscribes_to() {
    let store = Store::new();
    emit(&store, "day.begun");
    subscribe(&store, "m");
    assert_eq!(waiting(&store, "m", &["day.*"]), exactly(0));
    ["day.begun", "night.begun", "day.ended"].into_iter().for_each(|event| emit(&store, event));
    assert_eq!(waiting(&store, "m", &["day.*"]), exactly(2));
    assert_eq!(waiting(&store, "m", &["night.begun", "day.ended"]), exactly(2));
    assert_eq!(waiting(&store, "m", &["night.*", "*"]), exactly(3));
    assert_eq!(waiting(&store, "m", &[]), exactly(0));
    assert_eq!(waiting(&store, "other", &["*"]), None, "nothing says what it subscribes to");
    store.run(Job::Also(vec![Also::Advance { module: "m".into(), cursor: Cursor(3), after: Cursor(0) }]));
    assert_eq!(waiting(&store, "m", &["day.*"]), exactly(1));
}

#[test]
fn what_waits_is_counted_up_to_a_bound_and_says_so() {
    let store = Store::new();
    subscribe(&store, "m");
    let unit = |unit, events: usize| {
        let event =
            bulkhead_layer1::job::NewEvent { source: String::new(), event: "day.begun".into(), data: json("1") };
        let events = vec![event; events];
        let job = Job::Commit { unit: bulkhead_layer1::UnitId(unit), key: None, events, also: vec![] };
        assert!(matches!(store.run(job), Outcome::Committed { .. }));
    };
    (1..=4).for_each(|n| unit(n, EVENTS_SCANNED_MAX / 4));
    let all = EVENTS_SCANNED_MAX as u64;
    assert_eq!(waiting(&store, "m", &["day.*"]), exactly(all));
    unit(5, 1);
    assert_eq!(waiting(&store, "m", &["day.*"]), Some(Waiting { events: all, more: More::Yes }));
    assert_eq!(waiting(&store, "m", &["*"]), exactly(all + 1));
}

#[test]
fn of_too_many_set_aside_events_the_oldest_go_and_that_is_reported() {
    let store = Store::with(|settings| settings.set_aside_max = 3);
    subscribe(&store, "m");
    for n in 1..=5 {
        emit(&store, "day.begun");
        set_aside(&store, "m", n, "no ink");
    }
    assert_eq!(listed_after_drop_of(&store, 2), [3, 4, 5]);
    assert!(matches!(store.run(Job::CountSetAside), Outcome::SetAsideCount(3)));
    // A lower bound holds from the next start on.
    let store = store.reopened(|settings| settings.set_aside_max = 1);
    assert_eq!(listed_after_drop_of(&store, 2), [5]);
}

#[test]
fn the_error_of_a_set_aside_event_is_cut_to_a_bound_between_two_characters() {
    let store = Store::new();
    emit(&store, "day.begun");
    set_aside(&store, "m", 1, &format!("x{}", "\u{1F980}".repeat(SET_ASIDE_ERROR_BYTES_MAX)));
    let error = &listed(&store)[0].error;
    assert!((SET_ASIDE_ERROR_BYTES_MAX - 3..=SET_ASIDE_ERROR_BYTES_MAX).contains(&error.len()), "{}", error.len());
}

#[test]
fn a_module_that_is_forgotten_leaves_neither_place_nor_set_aside_event() {
    let store = Store::new();
    for module in ["m", "other"] {
        subscribe(&store, module);
    }
    emit(&store, "day.begun");
    emit(&store, "day.ended");
    for module in ["m", "other"] {
        set_aside(&store, module, 1, "no ink");
    }
    let forget = |module: &str| match store.run(Job::Forget { module: module.into() }) {
        Outcome::Forgotten(forgotten) => forgotten,
        other => panic!("{other:?}"),
    };
    let subscription = Some(Subscription { module: "m".into(), cursor: Cursor(1), missed: 0 });
    assert_eq!(forget("m"), Forgotten { subscription, set_aside: 1 });
    assert_eq!(forget("m"), Forgotten { subscription: None, set_aside: 0 });
    assert_eq!(listed(&store).iter().map(|one| &*one.module).collect::<Vec<_>>(), ["other"]);
    // What it reports late makes no new subscription for it.
    store.run(Job::Also(vec![Also::Advance { module: "m".into(), cursor: Cursor(2), after: Cursor(0) }]));
    assert_eq!(forget("m").subscription, None);
}
