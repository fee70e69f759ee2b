//! The stream of events: what is stored, how it is read, how far modules are, and what is set aside.

mod common;

use bulkhead_layer1::{
    Job, Outcome, UnitId,
    job::{Also, Cursor, NewEvent},
    limits::{EVENTS_SCANNED_MAX, SET_ASIDE_LISTED_BYTES_MAX},
    outcome::{EventPage, More, Subscription},
};
use bulkhead_protocol::{ErrorCode, Json, Pattern};
use common::*;
use std::time::{Duration, Instant};

fn read(store: &Store, after: u64, patterns: &[&str], limit: usize, bytes_max: usize) -> EventPage {
    let patterns = patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect();
    match store.run(Job::ReadEvents { after: Cursor(after), patterns, limit, bytes_max }) {
        Outcome::Events(page) => page,
        other => panic!("{other:?}"),
    }
}

fn emit(store: &Store, unit: Option<u64>, event: &str, data: &str) -> Outcome {
    store.run(Job::Emit { unit: unit.map(UnitId), source: "m".into(), event: event.into(), data: json(data) })
}

fn names(page: &EventPage) -> Vec<String> {
    page.events.iter().map(|event| event.event.clone()).collect()
}

fn subscription(store: &Store, module: &str) -> Subscription {
    match store.run(Job::Subscribe { module: module.into() }) {
        Outcome::Subscription(subscription) => subscription,
        other => panic!("{other:?}"),
    }
}

#[test]
fn changes_and_emitted_events_stand_in_the_stream_in_their_order() {
    let store = Store::new();
    let id = store.create("A", r#"{"n":1.0}"#);
    emit(&store, Some(1), "m.before", "1");
    store
        .mutate_as(Some(1), "m", &format!(r#"{{"entity":"A","operation":"update","id":"{id}","data":{{"n":2}}}}"#))
        .unwrap();
    emit(&store, Some(1), "m.after", "null");
    assert_eq!(read(&store, 1, &["*"], 10, 1000).events, []);
    emit(&store, None, "client.said", "{}");
    store.commit(1);
    store.mutate(&format!(r#"{{"entity":"A","operation":"delete","id":"{id}"}}"#));
    let page = read(&store, 0, &["*"], 10, 100_000);
    assert_eq!(names(&page), ["A.created", "client.said", "m.before", "A.updated", "m.after", "A.deleted"]);
    assert_eq!(page.events.iter().map(|event| event.cursor.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(page.events[0].data.as_str(), format!(r#"{{"id":"{id}","version":1,"data":{{"n":1.0}}}}"#));
    assert_eq!(page.events[5].data.as_str(), format!(r#"{{"id":"{id}","version":3}}"#));
    assert_eq!((page.cursor.0, page.more, page.lost), (6, More::No, 0));
    // What is long is not carried along.
    store.create("A", &format!(r#"{{"text":"{}"}}"#, "x".repeat(5000)));
    assert!(!read(&store, 6, &["A.*"], 1, 1000).events[0].data.as_str().contains("data"));
    let bad = emit(&store, Some(2), "no such name", "1");
    let Outcome::Failed(failure) = bad else { panic!("{bad:?}") };
    assert_code(&failure, ErrorCode::BadRequest, "white space");
}

#[test]
fn reading_is_bounded_and_goes_on_at_its_cursor() {
    let store = Store::new();
    for n in 0..10 {
        emit(&store, None, if n % 2 == 0 { "a.x" } else { "b.x" }, &format!("\"{}\"", "x".repeat(100)));
    }
    let page = read(&store, 0, &["a.*"], 2, 10_000);
    assert_eq!((names(&page).len(), page.cursor.0, page.more), (2, 4, More::Yes));
    let page = read(&store, page.cursor.0, &["a.*"], 100, 10_000);
    assert_eq!((names(&page).len(), page.cursor.0, page.more), (3, 10, More::No));
    let page = read(&store, 0, &["b.x", "a.x"], 100, 250);
    assert_eq!((names(&page).len(), page.more), (2, More::Yes));
    assert_eq!(names(&read(&store, 0, &["*"], 100, 1)).len(), 1);
    assert_eq!(read(&store, 0, &[], 100, 1000).cursor.0, 10);
    assert_eq!(read(&store, 1000, &["*"], 100, 1000).cursor.0, 10);
    assert!(matches!(store.run(Job::EventEnds), Outcome::Ends { oldest: Cursor(1), newest: Cursor(10) }));
}

#[test]
fn a_long_stream_is_read_in_pieces_each_event_once() {
    let store = Store::new();
    let total = 2 * EVENTS_SCANNED_MAX + 5;
    for first in (0..total).step_by(10_000) {
        for n in first..(first + 10_000).min(total) {
            let job = Job::Emit {
                unit: Some(UnitId(first as u64)),
                source: "m".into(),
                event: "a".into(),
                data: json(&n.to_string()),
            };
            assert!(matches!(store.run(job), Outcome::Emitted));
        }
        assert!(matches!(store.commit(first as u64), Outcome::Committed { .. }));
    }
    let (mut after, mut found, mut pieces) = (0, Vec::new(), 0);
    loop {
        let page = read(&store, after, &["*"], usize::MAX, usize::MAX);
        found.extend(page.events.iter().map(|event| event.data.read::<usize>().unwrap()));
        (after, pieces) = (page.cursor.0, pieces + 1);
        if page.more == More::No {
            break;
        }
    }
    assert_eq!(pieces, 3);
    assert!(found.iter().copied().eq(0..total), "{} events were read of {total}", found.len());
    // Where nothing matches, the cursor still moves on.
    let page = read(&store, 0, &["b"], 10, 10);
    assert_eq!((page.cursor.0, page.more), (EVENTS_SCANNED_MAX as u64, More::Yes));
}

#[test]
fn a_commit_brings_events_after_those_of_its_unit_or_fails_with_them() {
    let store = Store::new();
    emit(&store, Some(1), "first", "1");
    let event = |name: &str| NewEvent { source: "m".into(), event: name.into(), data: json("2") };
    let events = vec![event("second"), event("not a name")];
    let failed = store.run(Job::Commit { unit: UnitId(1), key: None, events, also: vec![] });
    assert!(matches!(&failed, Outcome::Failed(failure) if failure.code == ErrorCode::BadRequest), "{failed:?}");
    emit(&store, Some(2), "first", "1");
    let committed = store.run(Job::Commit { unit: UnitId(2), key: None, events: vec![event("second")], also: vec![] });
    assert_eq!(committed.events_cursor(), 2);
    assert_eq!(names(&read(&store, 0, &["*"], 10, 1000)), ["first", "second"]);
}

#[test]
fn a_subscription_begins_at_the_end_advances_with_commits_and_outlives_the_store() {
    let store = Store::new();
    emit(&store, None, "a", "1");
    assert_eq!(subscription(&store, "m"), Subscription { module: "m".into(), cursor: Cursor(1), missed: 0 });
    emit(&store, None, "a", "2");
    let also = vec![Also::Advance { module: "m".into(), cursor: Cursor(2), after: Cursor(0) }];
    assert!(matches!(
        store.run(Job::Commit { unit: UnitId(1), key: None, events: vec![], also }),
        Outcome::Committed { .. }
    ));
    assert!(matches!(
        store.run(Job::Also(vec![Also::Advance { module: "m".into(), cursor: Cursor(1), after: Cursor(0) }])),
        Outcome::Done
    ));
    let store = store.reopened(|_| {});
    assert_eq!(subscription(&store, "m").cursor.0, 2);
    let Outcome::Subscriptions(all) = store.run(Job::Subscriptions { known: vec![] }) else {
        panic!("they can be read")
    };
    assert_eq!(all.len(), 1);
    let Outcome::Forgotten(forgotten) = store.run(Job::Forget { module: "m".into() }) else { panic!("it can be") };
    assert_eq!((forgotten.subscription.map(|it| it.cursor.0), forgotten.set_aside), (Some(2), 0));
    assert_eq!(emit(&store, None, "a", "3").events_cursor(), 3);
    assert_eq!(subscription(&store, "m").cursor.0, 3);
}

#[test]
fn an_event_is_committed_only_when_the_one_before_it_is() {
    let store = Store::new();
    assert_eq!(subscription(&store, "m").cursor.0, 0);
    (1..=3).for_each(|n| drop(emit(&store, None, "a", &n.to_string())));
    let commit = |unit, cursor, after| {
        let also = vec![Also::Advance { module: "m".into(), cursor: Cursor(cursor), after: Cursor(after) }];
        let done = NewEvent { source: String::new(), event: "done".into(), data: json("1") };
        store.run(Job::Commit { unit: UnitId(unit), key: None, events: vec![done], also })
    };
    let Outcome::Conflict(failure) = commit(1, 2, 1) else { panic!("its event follows one that is not committed") };
    assert_eq!(failure.error, "m's event 2 follows 1, which is not committed: it has got to 0");
    assert_eq!(names(&read(&store, 3, &["*"], 10, 1000)), [""; 0], "nothing of it is stored");
    for (unit, cursor) in [(2, 1), (3, 2), (4, 3)] {
        assert!(matches!(commit(unit, cursor, cursor - 1), Outcome::Committed { .. }));
    }
    assert_eq!(subscription(&store, "m").cursor.0, 3);
    assert_eq!(names(&read(&store, 3, &["*"], 10, 1000)), ["done", "done", "done"]);
}

trait LastCursor {
    fn events_cursor(&self) -> u64;
}

impl LastCursor for Outcome {
    fn events_cursor(&self) -> u64 {
        match self {
            Outcome::Committed { events } => events.last().map_or(0, |event| event.cursor.0),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_event_that_is_set_aside_is_kept_and_the_module_goes_on() {
    let store = Store::new();
    subscription(&store, "m");
    emit(&store, None, "a", r#"{"poison":true}"#);
    let also = vec![Also::SetAside { module: "m".into(), cursor: Cursor(1), attempts: 5, error: "it crashed".into() }];
    assert!(matches!(store.run(Job::Also(also)), Outcome::Done));
    assert_eq!(subscription(&store, "m").cursor.0, 1);
    let list = |module: Option<&str>| match store.run(Job::ListSetAside {
        module: module.map(Into::into),
        after: 0,
        limit: 10,
    }) {
        Outcome::SetAside(list) => list,
        other => panic!("{other:?}"),
    };
    assert_eq!(list(Some("other")), []);
    let listed = list(None);
    let [one] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((one.module.as_str(), one.attempts, one.error.as_str()), ("m", 5, "it crashed"));
    assert_eq!((one.event.cursor.0, one.event.data.as_str()), (1, r#"{"poison":true}"#));
    let also = vec![Also::RemoveSetAside { id: one.id }];
    assert!(matches!(
        store.run(Job::Commit { unit: UnitId(1), key: None, events: vec![], also }),
        Outcome::Committed { .. }
    ));
    assert_eq!(list(Some("m")), []);
}

/// Waits until the oldest event is the one that is expected.
fn wait_for_oldest(store: &Store, expected: u64) {
    let begun = Instant::now();
    loop {
        let Outcome::Ends { oldest, .. } = store.run(Job::EventEnds) else { panic!("they can be read") };
        assert!(oldest.0 <= expected, "expected {expected}, found {oldest}");
        if oldest.0 == expected {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "expected {expected}, found {oldest}");
        std::thread::yield_now();
    }
}

#[test]
fn events_are_cleared_by_age_but_the_newest_and_what_is_still_to_be_read_stay() {
    let time = TestClock::default();
    let store = Store::with(|settings| {
        settings.event_ttl = Duration::from_secs(10);
        settings.clock = time.clock();
    });
    for n in 0..10 {
        if n == 5 {
            subscription(&store, "slow");
        }
        emit(&store, None, "a", "1");
    }
    time.pass(20_000_000);
    wait_for_oldest(&store, 6);
    assert_eq!((read(&store, 2, &["*"], 100, 1000).lost, read(&store, 5, &["*"], 100, 1000).lost), (3, 0));
    store.run(Job::Also(vec![Also::Advance { module: "slow".into(), cursor: Cursor(10), after: Cursor(0) }]));
    wait_for_oldest(&store, 10);
    let store = store.reopened(|_| {});
    assert_eq!(emit(&store, None, "a", "1").events_cursor(), 11);
}

#[test]
fn a_subscriber_that_stays_away_too_long_learns_what_it_missed() {
    let store = Store::with(|settings| settings.events_max = 10);
    subscription(&store, "gone");
    for _ in 0..15 {
        emit(&store, None, "a", "1");
    }
    wait_for_oldest(&store, 1);
    for _ in 0..15 {
        emit(&store, None, "a", "1");
    }
    wait_for_oldest(&store, 11);
    let Outcome::Subscriptions(all) = store.run(Job::Subscriptions { known: vec![] }) else { panic!("they can be") };
    assert_eq!((all[0].subscription.cursor.0, all[0].subscription.missed), (0, 10));
    // When it is back, its reading passes them by, and that is kept in its account.
    assert_eq!(subscription(&store, "gone"), Subscription { module: "gone".into(), cursor: Cursor(0), missed: 0 });
    let page = read(&store, 0, &["a"], 5, 1000);
    assert_eq!((page.lost, page.cursor.0), (10, 15));
    let missed = Also::Missed { module: "gone".into(), events: page.lost };
    store.run(Job::Also(vec![Also::Advance { module: "gone".into(), cursor: page.cursor, after: Cursor(0) }, missed]));
    assert_eq!(subscription(&store, "gone"), Subscription { module: "gone".into(), cursor: Cursor(15), missed: 10 });
    store.run(Job::Forget { module: "gone".into() });
    wait_for_oldest(&store, 21);
}

#[test]
fn a_list_of_large_events_that_were_set_aside_is_read_piece_by_piece() {
    let store = Store::new();
    let data = Json::parse(&format!("\"{}\"", "x".repeat(SET_ASIDE_LISTED_BYTES_MAX / 4 - 2))).unwrap();
    for cursor in 1..=10 {
        let emitted = store.run(Job::Emit { unit: None, source: "m".into(), event: "a.b".into(), data: data.clone() });
        assert!(matches!(emitted, Outcome::Committed { .. }), "{emitted:?}");
        let also = vec![Also::SetAside {
            module: "m".into(),
            cursor: Cursor(cursor),
            attempts: 5,
            error: "it crashed".into(),
        }];
        assert!(matches!(store.run(Job::Also(also)), Outcome::Done));
    }
    let mut ids: Vec<i64> = Vec::new();
    loop {
        let after = ids.last().copied().unwrap_or(0);
        let Outcome::SetAside(list) = store.run(Job::ListSetAside { module: None, after, limit: 1000 }) else {
            panic!("expected a list")
        };
        if list.is_empty() {
            break;
        }
        assert!(list.len() <= 4, "{} at once", list.len());
        ids.extend(list.iter().map(|aside| aside.id));
    }
    assert_eq!(ids, (1..=10).collect::<Vec<i64>>());
}
