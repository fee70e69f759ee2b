//! Events of entities hold nothing of what their entities still have. Whatever is done to the entities afterwards, each
//! event that is kept reads, byte for byte, as it was when it was made: random histories are compared with a model
//! that has a copy of each event.

mod common;

use bulkhead_layer1::{
    Job, JobId, Outcome, UnitId,
    job::{Also, Cursor, Existing},
    outcome::StoredEvent,
};
use bulkhead_protocol::Pattern;
use common::*;
use proptest::prelude::*;
use std::{collections::BTreeMap, ops::ControlFlow};

#[derive(Clone, Debug)]
enum Step {
    Create {
        unit: Option<u64>,
        id: u64,
        bytes: usize,
    },
    Update {
        unit: Option<u64>,
        id: u64,
        bytes: usize,
    },
    Delete {
        unit: Option<u64>,
        id: u64,
    },
    Emit {
        unit: Option<u64>,
    },
    Commit {
        unit: u64,
    },
    Discard {
        unit: u64,
    },
    /// Brings an entity of any version, without an event.
    Import {
        id: u64,
        version: u64,
    },
    /// Gives the source room for a few events only, or for all.
    Quota {
        is_low: bool,
    },
    SetAside,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let unit = || prop_oneof![2 => Just(None), 2 => (0..2_u64).prop_map(Some)];
    let id = || 0..4_u64;
    // Of more than 4 KiB, an event has no data.
    let bytes = || prop_oneof![4 => 0..200_usize, 1 => 4050..4120_usize];
    prop_oneof![
        6 => (unit(), id(), bytes()).prop_map(|(unit, id, bytes)| Step::Create { unit, id, bytes }),
        6 => (unit(), id(), bytes()).prop_map(|(unit, id, bytes)| Step::Update { unit, id, bytes }),
        4 => (unit(), id()).prop_map(|(unit, id)| Step::Delete { unit, id }),
        1 => unit().prop_map(|unit| Step::Emit { unit }),
        4 => (0..2_u64).prop_map(|unit| Step::Commit { unit }),
        1 => (0..2_u64).prop_map(|unit| Step::Discard { unit }),
        2 => (id(), 1..6_u64).prop_map(|(id, version)| Step::Import { id, version }),
        1 => any::<bool>().prop_map(|is_low| Step::Quota { is_low }),
        1 => Just(Step::SetAside),
        1 => Just(Step::Reopen),
    ]
}

fn id(number: u64) -> String {
    format!("0198{number:04x}-2c1a-7e3b-9f00-5d2c8a4b6e7f")
}

/// What is known of the events that were made.
#[derive(Default)]
struct Made {
    events: BTreeMap<u64, StoredEvent>,
    set_aside: Vec<u64>,
    times: usize,
}

impl Made {
    /// Something else each time.
    fn data(&mut self, bytes: usize) -> String {
        self.times += 1;
        format!(r#"{{"n":{},"text":"{}"}}"#, self.times, "\u{e9}".repeat(bytes / 2))
    }

    /// Changes something, if that can be done.
    fn mutate(&mut self, store: &Store, unit: Option<u64>, payload: &str) {
        if let Ok((_, events)) = store.mutate_as(unit, "m", payload) {
            self.note(events);
        }
    }

    fn note(&mut self, events: Vec<StoredEvent>) {
        self.events.extend(events.into_iter().map(|event| (event.cursor.0, event)));
    }
}

fn play(store: &Store, made: &mut Made, step: &Step) {
    match step {
        Step::Create { unit, id: number, bytes } => {
            let (id, data) = (id(*number), made.data(*bytes));
            let payload = format!(r#"{{"entity":"E","operation":"create","id":"{id}","data":{data}}}"#);
            made.mutate(store, *unit, &payload);
        }
        Step::Update { unit, id: number, bytes } => {
            let (id, data) = (id(*number), made.data(*bytes));
            let payload = format!(r#"{{"entity":"E","operation":"update","id":"{id}","data":{data}}}"#);
            made.mutate(store, *unit, &payload);
        }
        Step::Delete { unit, id: number } => {
            let payload = format!(r#"{{"entity":"E","operation":"delete","id":"{}"}}"#, id(*number));
            made.mutate(store, *unit, &payload);
        }
        Step::Emit { unit } => {
            // With the name of an event of an entity, which a host would not let a module take.
            let data = json(&made.data(9));
            let job = Job::Emit { unit: unit.map(UnitId), source: "m".into(), event: "E.created".into(), data };
            if let Outcome::Committed { events } = store.run(job) {
                made.note(events);
            }
        }
        Step::Commit { unit } => {
            if let Outcome::Committed { events } = store.commit(*unit) {
                made.note(events);
            }
        }
        Step::Discard { unit } => {
            store.layer1.submit(JobId(u64::MAX), Job::Discard { unit: UnitId(*unit) }, None).unwrap();
        }
        Step::Import { id: number, version } => {
            let (id, data) = (id(*number), made.data(3));
            let line = format!(
                r#"{{"entity":"E","id":"{id}","version":{version},"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","owner":"m","data":{data}}}"#
            );
            let import = Job::Import { lines: vec![line], first: 2, existing: Existing::Replace };
            assert!(matches!(store.run(import), Outcome::Imported(_)));
        }
        Step::Quota { is_low } => store.layer1.set_events_quota("m", is_low.then_some(2000)),
        Step::SetAside => {
            if let Some((cursor, _)) = made.events.last_key_value() {
                let (module, error) = ("m".into(), String::new());
                let aside = Also::SetAside { module, cursor: Cursor(*cursor), attempts: 1, error };
                assert!(matches!(store.run(Job::Also(vec![aside])), Outcome::Done));
                made.set_aside.push(*cursor);
            }
        }
        Step::Reopen => unreachable!("the caller does this"),
    }
}

/// Each event that is there is as it was made. Those that are not there were beyond a quota, if there was one.
fn check(store: &Store, made: &Made, was_low: bool) {
    let patterns = vec![Pattern::new("*").unwrap()];
    let job = Job::ReadEvents { after: Cursor(0), patterns, limit: 1000, bytes_max: usize::MAX };
    let Outcome::Events(page) = store.run(job) else { panic!("they can be read") };
    for event in &page.events {
        assert_eq!(made.events.get(&event.cursor.0), Some(event));
    }
    assert!(was_low || page.events.len() == made.events.len());
    assert_eq!(page.events.last().map(|event| event.cursor.0), made.events.keys().last().copied());
    let Outcome::SetAside(listed) = store.run(Job::ListSetAside { module: None, after: 0, limit: 100 }) else {
        panic!("they can be listed")
    };
    let listed: Vec<_> = listed.iter().map(|aside| &aside.event).collect();
    let expected: Vec<_> = made.set_aside.iter().map(|cursor| &made.events[cursor]).collect();
    assert_eq!(listed, expected);
    let problems = store.layer1.tools().check(&mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(problems, Vec::<String>::new());
}

fn cases() -> u32 {
    std::env::var("BULKHEAD_PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_event_reads_as_it_was_made_whatever_became_of_its_entity(steps in prop::collection::vec(step(), 1..80)) {
        let mut store = Store::new();
        let mut made = Made::default();
        let mut was_low = false;
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Reopen => store = store.reopened(|_| {}),
                step => play(&store, &mut made, step),
            }
            was_low |= matches!(step, Step::Quota { is_low: true });
            if number % 10 == 9 {
                check(&store, &made, was_low);
            }
        }
        check(&store, &made, was_low);
        store = store.reopened(|_| {});
        check(&store, &made, was_low);
    }
}
