//! Random mutations, units and queries, compared with a model that knows nothing of SQL: a list of
//! entities in memory, filtered and ordered in plain Rust over `serde_json`. Between them time passes, the
//! wall clock is set forward and back by seconds to years, and the store is closed, killed and opened in
//! another boot: what is kept, for how long and in which order is what the model says, which has no wall
//! clock. `LAYER1_MODEL_CASES` sets how many sequences are played (40).

mod common;

use bulkhead_layer1::{Index, Job, Outcome, Settings, UnitId, outcome::KeyState};
use bulkhead_protocol::ErrorCode;
use common::*;
use proptest::prelude::*;
use serde_json::{Value, json as value};
use std::{
    cmp::Ordering,
    collections::BTreeMap,
    sync::atomic,
    time::{Duration, Instant},
};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const YEAR: i64 = 365 * 24 * HOUR;

const KEY_TTL: i64 = 5 * HOUR;
const EVENT_TTL: i64 = 20 * HOUR;

/// An entity as the model has it.
#[derive(Clone, Debug, PartialEq)]
struct Entity {
    version: u64,
    data: Value,
}

type State = BTreeMap<String, Entity>;

/// A committed state of an entity: its version, and how many of its id there were before it.
type Base = (u64, usize);

/// What a unit has made of an entity.
#[derive(Clone, Debug)]
struct Changed {
    /// The state that it builds on, if the entity was there.
    base: Option<Base>,
    now: Option<Entity>,
    created: bool,
}

/// What the first change of an entity by a unit builds on: the committed state, or else the one that the unit
/// has read first, if it has.
#[derive(Clone, Copy, PartialEq)]
enum Basis {
    SubscriptionStatus,
    Read,
}

/// What the model has: what is committed, and what each unit has made of it.
#[derive(Default)]
struct Model {
    committed: State,
    /// The state as the unit sees it, by the changes that it made: `None` is deleted.
    units: BTreeMap<u64, BTreeMap<String, Changed>>,
    /// What each unit has read before it changed it.
    seen: BTreeMap<u64, BTreeMap<String, Base>>,
    /// How often each id was created.
    created: BTreeMap<String, usize>,
    /// The greatest id that the store has made.
    last_id: String,
    /// How much time the store has seen pass.
    age: i64,
    /// How much work with keys was asked for.
    asked: u64,
    /// Each key: what the request was, its reply, and the age of the store at which it may end.
    keys: BTreeMap<(usize, usize), (usize, u64, i64)>,
    /// The age at which each event was stored, first event first.
    events: Vec<i64>,
    /// The last version that was seen of each creation of an entity, and when it was made and changed.
    times: BTreeMap<(String, usize), (u64, String, String)>,
}

#[derive(Clone, Debug)]
enum Step {
    Create {
        unit: Option<u64>,
        id: usize,
        data: Value,
    },
    Update {
        unit: Option<u64>,
        id: usize,
        patch: Value,
        expected: Option<u64>,
    },
    Delete {
        unit: Option<u64>,
        id: usize,
    },
    Commit {
        unit: u64,
    },
    Discard {
        unit: u64,
    },
    Query {
        unit: Option<u64>,
        filters: Value,
        order: Vec<(String, bool)>,
        limit: usize,
    },
    /// One whose id the store makes.
    New {
        unit: Option<u64>,
        data: Value,
    },
    /// Work with a key: its caller, the key, and the request.
    Keyed {
        caller: usize,
        key: usize,
        request: usize,
    },
    /// The wall clock is set.
    SetClock {
        micros: i64,
    },
    /// Time passes, on every clock.
    Pass {
        micros: i64,
    },
    /// The store is closed and opened, perhaps in another boot.
    Reopen {
        boots: bool,
    },
    /// The same after a kill.
    Kill,
}

fn id(number: usize) -> String {
    if number == 0 {
        return "ffffffff-ffff-7fff-bfff-ffffffffffff".into();
    }
    format!("{number:08x}-2c1a-7e3b-9f00-5d2c8a4b6e7f")
}

const PATHS: [&str; 4] = ["a", "b", "c.d", "c.0"];

/// Values whose order and equality are easy to get wrong.
fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(value!(null)),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![0_i64, 1, -1, 2, i64::MAX, i64::MIN, (1 << 53) + 1]).prop_map(Value::from),
        prop::sample::select(vec![1_u64 << 63, (1 << 63) + 1, (1 << 63) + 1025, u64::MAX - 1, u64::MAX])
            .prop_map(Value::from),
        prop::sample::select(vec![
            9_223_372_036_854_775_808.0,
            -9_223_372_036_854_777_856.0,
            18_446_744_073_709_551_616.0,
            1e19
        ])
        .prop_map(Value::from),
        prop::sample::select(vec![0.0, -0.0, 1.0, 1.5, -1e300, 9_007_199_254_740_992.0, 9.3e18]).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "A", "ab", "\0", "a\0", "é", "😀", "1", "\u{ffff}"]).prop_map(Value::from),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => scalar(),
        1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::from),
        1 => scalar().prop_map(|inner| value!({"d": inner})),
        1 => (scalar(), scalar()).prop_map(|(x, y)| value!({"x": x, "d": [y]})),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(vec!["a", "b", "c"]), any_value(), 0..4)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn condition() -> impl Strategy<Value = Value> {
    let comparable = || scalar().prop_filter("a number or a text", |value| value.is_number() || value.is_string());
    prop_oneof![
        scalar(),
        any_value().prop_map(|value| value!({"eq": value})),
        any_value().prop_map(|value| value!({"ne": value})),
        (prop::sample::select(vec!["gt", "gte", "lt", "lte"]), comparable())
            .prop_map(|(name, value)| value!({name: value})),
        (comparable(), comparable()).prop_map(|(low, high)| value!({"gte": low, "lt": high})),
        prop::collection::vec(any_value(), 0..4).prop_map(|values| value!({"in": values})),
        scalar().prop_map(|value| value!({"contains": value})),
        any::<bool>().prop_map(|value| value!({"exists": value})),
    ]
}

fn filters() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(PATHS.to_vec()), condition(), 0..3)
        .prop_map(|filters| filters.into_iter().map(|(path, condition)| (path.to_owned(), condition)).collect())
}

/// From seconds to years, back or forward.
fn clock_step() -> impl Strategy<Value = i64> {
    let size = prop::sample::select(vec![SECOND, 60 * SECOND, HOUR, 24 * HOUR, 30 * 24 * HOUR, YEAR, 20 * YEAR]);
    (size, -9..10_i64).prop_map(|(size, times)| size * times)
}

fn step() -> impl Strategy<Value = Step> {
    let unit = || prop_oneof![2 => Just(None), 3 => (0..3_u64).prop_map(Some)];
    let number = || 0..12_usize;
    let order = prop::collection::vec((prop::sample::select(PATHS.to_vec()), any::<bool>()), 0..3).prop_map(|order| {
        let mut distinct: Vec<(String, bool)> = Vec::new();
        for (path, descending) in order {
            if distinct.iter().all(|(other, _)| other != path) {
                distinct.push((path.to_owned(), descending));
            }
        }
        distinct
    });
    prop_oneof![
        6 => (unit(), number(), object()).prop_map(|(unit, id, data)| Step::Create { unit, id, data }),
        4 => (unit(), number(), object(), prop::option::weighted(0.3, 1..4_u64))
            .prop_map(|(unit, id, patch, expected)| Step::Update { unit, id, patch, expected }),
        2 => (unit(), number()).prop_map(|(unit, id)| Step::Delete { unit, id }),
        2 => (0..3_u64).prop_map(|unit| Step::Commit { unit }),
        1 => (0..3_u64).prop_map(|unit| Step::Discard { unit }),
        8 => (unit(), filters(), order, 1..5_usize)
            .prop_map(|(unit, filters, order, limit)| Step::Query { unit, filters, order, limit }),
        3 => (unit(), object()).prop_map(|(unit, data)| Step::New { unit, data }),
        3 => (0..2_usize, 0..3_usize, 0..2_usize).prop_map(|(caller, key, request)| Step::Keyed { caller, key, request }),
        4 => clock_step().prop_map(|micros| Step::SetClock { micros }),
        2 => prop::sample::select(vec![SECOND, HOUR, KEY_TTL, EVENT_TTL]).prop_map(|micros| Step::Pass { micros }),
        1 => any::<bool>().prop_map(|boots| Step::Reopen { boots }),
        1 => Just(Step::Kill),
    ]
}

/// The value at a path.
fn at<'a>(data: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(data, |value, step| match value {
        Value::Object(members) => members.get(step),
        Value::Array(elements) => elements.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Number(_) => 1,
        Value::String(_) => 2,
        Value::Bool(false) => 3,
        Value::Bool(true) => 4,
        Value::Array(_) | Value::Object(_) => 5,
    }
}

/// Compares numbers exactly: an i64 and an f64 that lie beside each other are different.
fn numbers(a: &serde_json::Number, b: &serde_json::Number) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        (None, None) => a.as_f64().unwrap().partial_cmp(&b.as_f64().unwrap()).unwrap(),
        (None, Some(_)) => numbers(b, a).reverse(),
        (Some(integer), None) => {
            let real = b.as_f64().unwrap();
            // The model keeps to 128 bits, in which every double of interest has its floor.
            let floor = i128::from(integer).cmp(&(real.floor().clamp(-1e30, 1e30) as i128));
            if floor == Ordering::Equal && real.fract() != 0.0 { Ordering::Less } else { floor }
        }
    }
}

/// The text by which lists and objects are compared; see `Value::Composite` in the protocol.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => integer.to_string(),
            (None, Some(real)) if real.fract() == 0.0 && real.abs() < 9e18 => format!("{}", real as i64),
            (None, Some(real)) => format!("{real:e}"),
            _ => unreachable!("a number is an i64 or an f64"),
        },
        Value::Array(elements) => format!("[{}]", elements.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        other => other.to_string(),
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
        (Value::Number(a), Value::Number(b)) => numbers(a, b),
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Array(_) | Value::Object(_), _) => {
            // A number in a list that is written as a text differently may still be worth the same.
            canonical(a).cmp(&canonical(b))
        }
        _ => Ordering::Equal,
    })
}

fn holds(found: Option<&Value>, condition: &Value) -> bool {
    let worth = found.unwrap_or(&Value::Null);
    let equal = |other: &Value| compare(worth, other) == Ordering::Equal;
    let Value::Object(operators) = condition else { return equal(condition) };
    operators.iter().all(|(name, operand)| {
        let alike = rank(worth) == rank(operand);
        match name.as_str() {
            "eq" => equal(operand),
            "ne" => !equal(operand),
            "gt" => alike && compare(worth, operand).is_gt(),
            "gte" => alike && compare(worth, operand).is_ge(),
            "lt" => alike && compare(worth, operand).is_lt(),
            "lte" => alike && compare(worth, operand).is_le(),
            "in" => operand.as_array().unwrap().iter().any(equal),
            "contains" => match (worth, operand) {
                (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
                (Value::Array(elements), part) => elements.iter().any(|element| compare(element, part).is_eq()),
                _ => false,
            },
            "exists" => found.is_some() == operand.as_bool().unwrap(),
            other => panic!("{other}"),
        }
    })
}

/// RFC 7396.
fn patched(target: &Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut members = target.as_object().cloned().unwrap_or_default();
    for (name, change) in changes {
        match change {
            Value::Null => drop(members.remove(name)),
            change => {
                let old = members.get(name).unwrap_or(&Value::Null).clone();
                members.insert(name.clone(), patched(&old, change));
            }
        }
    }
    Value::Object(members)
}

impl Model {
    fn view(&self, unit: Option<u64>) -> State {
        let mut state = self.committed.clone();
        for (id, changed) in unit.and_then(|unit| self.units.get(&unit)).into_iter().flatten() {
            match &changed.now {
                Some(entity) => drop(state.insert(id.clone(), entity.clone())),
                None => drop(state.remove(id)),
            }
        }
        state
    }

    fn base(&self, id: &str) -> Option<Base> {
        let entity = self.committed.get(id)?;
        Some((entity.version, self.created.get(id).copied().unwrap_or_default()))
    }

    /// Takes a change. An entity of version 1 was created.
    fn put(&mut self, unit: Option<u64>, id: &str, now: Option<Entity>, basis: Basis) {
        let created = now.as_ref().is_some_and(|entity| entity.version == 1);
        let Some(unit) = unit else { return self.commit(id, now, created) };
        let status = self.base(id);
        let read = self.seen.get(&unit).and_then(|seen| seen.get(id)).copied().filter(|_| basis == Basis::Read);
        let base = status.map(|status| read.unwrap_or(status));
        let changes = self.units.entry(unit).or_default();
        let changed = changes.entry(id.into()).or_insert(Changed { base, now: None, created: false });
        (changed.now, changed.created) = (now, changed.created || created);
    }

    fn commit(&mut self, id: &str, now: Option<Entity>, created: bool) {
        if created {
            *self.created.entry(id.into()).or_default() += 1;
        }
        match now {
            Some(entity) => drop(self.committed.insert(id.into(), entity)),
            None => drop(self.committed.remove(id)),
        }
    }

    /// Notes what a query of the unit has returned.
    fn note(&mut self, unit: u64, ids: &[String]) {
        for id in ids {
            let changed = self.units.get(&unit).is_some_and(|changes| changes.contains_key(id));
            if let Some(base) = self.base(id).filter(|_| !changed) {
                self.seen.entry(unit).or_default().entry(id.clone()).or_insert(base);
            }
        }
    }

    fn forget(&mut self, unit: u64) -> BTreeMap<String, Changed> {
        self.seen.remove(&unit);
        self.units.remove(&unit).unwrap_or_default()
    }
}

/// Plays one step in both, and compares.
fn play(store: &Store, model: &mut Model, step: &Step) {
    match step {
        Step::Create { unit, id: number, data } => {
            let id = id(*number);
            let payload = value!({"entity": "E", "operation": "create", "id": id, "data": data});
            let done = store.mutate_as(*unit, "", &payload.to_string());
            if model.view(*unit).contains_key(&id) {
                assert_eq!(done.unwrap_err().code, ErrorCode::Conflict);
            } else {
                assert_eq!(done.unwrap().0["version"], 1);
                model.put(*unit, &id, Some(Entity { version: 1, data: data.clone() }), Basis::SubscriptionStatus);
            }
        }
        Step::Update { unit, id: number, patch, expected } => {
            let id = id(*number);
            let mut payload = value!({"entity": "E", "operation": "update", "id": id, "data": patch});
            if let Some(expected) = expected {
                payload["expected_version"] = value!(expected);
            }
            let done = store.mutate_as(*unit, "", &payload.to_string());
            match model.view(*unit).get(&id) {
                None => assert_eq!(done.unwrap_err().code, ErrorCode::NotFound),
                Some(old) if expected.is_some_and(|expected| expected != old.version) => {
                    assert_eq!(done.unwrap_err().code, ErrorCode::Conflict);
                }
                Some(old) => {
                    assert_eq!(done.unwrap().0["version"], old.version + 1);
                    let now = Entity { version: old.version + 1, data: patched(&old.data, patch) };
                    model.put(
                        *unit,
                        &id,
                        Some(now),
                        if expected.is_some() { Basis::SubscriptionStatus } else { Basis::Read },
                    );
                }
            }
        }
        Step::Delete { unit, id: number } => {
            let id = id(*number);
            let done =
                store.mutate_as(*unit, "", &value!({"entity": "E", "operation": "delete", "id": id}).to_string());
            match model.view(*unit).get(&id) {
                None => assert_eq!(done.unwrap_err().code, ErrorCode::NotFound),
                Some(old) => {
                    assert_eq!(done.unwrap().0["version"], old.version + 1);
                    model.put(*unit, &id, None, Basis::Read);
                }
            }
        }
        Step::Commit { unit } => commit(store, model, *unit),
        Step::Discard { unit } => {
            let job = bulkhead_layer1::Job::Discard { unit: bulkhead_layer1::UnitId(*unit) };
            store.layer1.submit(bulkhead_layer1::JobId(u64::MAX), job, None).unwrap();
            model.forget(*unit);
        }
        Step::Query { unit, filters, order, limit } => query(store, model, *unit, filters, order, *limit),
        Step::New { unit, data } => {
            let payload = value!({"entity": "E", "operation": "create", "data": data});
            let made = store.mutate_as(*unit, "", &payload.to_string()).unwrap().0["id"].as_str().unwrap().to_owned();
            assert!(made > model.last_id, "{made} is not greater than {}", model.last_id);
            assert!(made.as_str() < "80000000", "{made} is of no time that a clock has had");
            model.last_id.clone_from(&made);
            model.put(*unit, &made, Some(Entity { version: 1, data: data.clone() }), Basis::SubscriptionStatus);
        }
        Step::Keyed { caller, key, request } => work(store, model, *caller, *key, *request),
        Step::SetClock { .. } | Step::Pass { .. } | Step::Reopen { .. } | Step::Kill => {
            unreachable!("the caller does this")
        }
    }
}

/// Work with a key is done where the key is vacant, and only there.
fn work(store: &Store, model: &mut Model, caller: usize, key: usize, request: usize) {
    let keyed = keyed_for(["", "m"][caller], "counter", &key.to_string(), &request.to_string());
    model.asked += 1;
    let reply = model.asked;
    let found = store.run(Job::Commit {
        unit: UnitId(999),
        key: Some((keyed, json(&reply.to_string()))),
        events: vec![],
        also: vec![],
    });
    match (model.keys.get(&(caller, key)).filter(|(.., ends)| *ends > model.age), found) {
        (None, Outcome::Committed { .. }) => {
            model.keys.insert((caller, key), (request, reply, model.age + KEY_TTL));
        }
        (Some((known, reply, _)), Outcome::Key(KeyState::Stored(found))) if *known == request => {
            assert_eq!(found.as_str(), reply.to_string());
        }
        (Some((known, ..)), Outcome::Key(KeyState::OtherPayload)) if *known != request => {}
        (expected, found) => panic!("expected {expected:?} at {}, found {found:?}", model.age),
    }
}

fn commit(store: &Store, model: &mut Model, unit: u64) {
    let changes = model.forget(unit);
    let stale = changes.iter().any(|(id, changed)| model.base(id) != changed.base);
    match store.commit(unit) {
        Outcome::Conflict(failure) => {
            assert_eq!(failure.code, ErrorCode::Conflict);
            assert!(stale, "{failure:?}");
        }
        Outcome::Committed { .. } => {
            assert!(!stale);
            for (id, changed) in changes {
                model.commit(&id, changed.now, changed.created);
            }
        }
        other => panic!("{other:?}"),
    }
}

fn query(store: &Store, model: &mut Model, unit: Option<u64>, filters: &Value, order: &[(String, bool)], limit: usize) {
    let view = model.view(unit);
    let conditions = filters.as_object().unwrap();
    let mut expected: Vec<(&String, &Entity)> = view
        .iter()
        .filter(|(_, entity)| conditions.iter().all(|(path, condition)| holds(at(&entity.data, path), condition)))
        .collect();
    let last_descending = order.last().is_some_and(|(_, descending)| *descending);
    expected.sort_by(|(a_id, a), (b_id, b)| {
        let directed = |ordering: Ordering, descending: bool| if descending { ordering.reverse() } else { ordering };
        let by = |(path, descending): &(String, bool)| {
            let worth = |entity: &'_ Entity| at(&entity.data, path).cloned().unwrap_or(Value::Null);
            directed(compare(&worth(a), &worth(b)), *descending)
        };
        let ordered = order.iter().map(by).find(|ordering| ordering.is_ne());
        ordered.unwrap_or_else(|| directed(a_id.cmp(b_id), last_descending))
    });
    let by: Vec<_> = order
        .iter()
        .map(|(path, descending)| value!({"by": path, "direction": if *descending { "desc" } else { "asc" }}))
        .collect();
    let mut found: Vec<(String, Entity)> = Vec::new();
    let mut after = Value::Null;
    loop {
        let payload =
            value!({"entity": "E", "filters": filters, "order": by, "limit": limit, "after": after, "count": true});
        let answer =
            store.query_in(unit, &payload.to_string()).unwrap_or_else(|failure| panic!("{payload}: {failure:?}"));
        assert_eq!(answer["count"], expected.len(), "{payload}");
        let page = answer["entities"].as_array().unwrap();
        if unit.is_none() {
            page.iter().for_each(|entity| note_times(model, entity));
        }
        found.extend(page.iter().map(|entity| {
            let version = entity["version"].as_u64().unwrap();
            (entity["id"].as_str().unwrap().to_owned(), Entity { version, data: entity["data"].clone() })
        }));
        after = answer["next"].clone();
        if after.is_null() {
            break;
        }
        assert_eq!(page.len(), limit);
    }
    let expected: Vec<(String, Entity)> =
        expected.into_iter().map(|(id, entity)| (id.clone(), entity.clone())).collect();
    assert_eq!(found, expected, "{filters} {order:?}");
    if let Some(unit) = unit {
        model.note(unit, &found.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
    }
}

/// Nothing was changed before it was made, or before it was changed the last time.
fn note_times(model: &mut Model, entity: &Value) {
    let text = |name: &str| entity[name].as_str().unwrap().to_owned();
    let (id, created, updated) = (text("id"), text("created_at"), text("updated_at"));
    assert!(created <= updated, "{entity}");
    let version = entity["version"].as_u64().unwrap();
    let creation = model.created.get(&id).copied().unwrap_or_default();
    if let Some((last, made, changed)) = model.times.get(&(id.clone(), creation)) {
        assert!(
            *made == created && *last <= version && *changed <= updated,
            "{entity} was changed at {changed} before"
        );
    }
    model.times.insert((id, creation), (version, created, updated));
}

/// Notes the events that came, each with the age of the store.
fn note_events(store: &Store, model: &mut Model) {
    let Outcome::Ends { newest, .. } = store.run(Job::EventEnds) else { panic!("they can be read") };
    model.events.resize(newest.0 as usize, model.age);
}

/// Waits until every event is gone that has had its time, but for the newest: no other one may be.
fn check_events(store: &Store, model: &Model) {
    let keeps = |age: &&i64| **age >= model.age - EVENT_TTL;
    let gone = model.events.iter().take_while(|age| !keeps(age)).count();
    let expected = (gone + 1).min(model.events.len()) as u64;
    let begun = Instant::now();
    loop {
        let Outcome::Ends { oldest, .. } = store.run(Job::EventEnds) else { panic!("they can be read") };
        assert!(oldest.0 <= expected, "expected {expected} to be there, found {oldest}: {:?}", model.events);
        if oldest.0 == expected {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "expected {expected}, found {oldest}");
        std::thread::yield_now();
    }
}

/// The files of a store as they are, as a kill would leave them.
fn killed(store: &Store) -> Folder {
    let folder = Folder::new();
    for ending in ["", "-wal"] {
        let name = |folder: &Folder| folder.0.join(format!("layer1.db{ending}"));
        std::fs::copy(name(&store.folder), name(&folder)).unwrap();
    }
    folder
}

fn run(steps: Vec<Step>, indexes: Vec<Index>) {
    let clock = TestClock::default();
    clock.step(60 * YEAR);
    let set = |settings: &mut Settings| {
        settings.indexes = indexes.clone();
        settings.clock = clock.clock();
        settings.key_ttl = Duration::from_micros(KEY_TTL as u64);
        settings.event_ttl = Duration::from_micros(EVENT_TTL as u64);
    };
    let mut store = Store::with(set);
    let mut model = Model::default();
    for step in steps.iter().chain([&Step::Reopen { boots: true }]) {
        match step {
            Step::SetClock { micros } => {
                // No clock shows a time before 1970, and answers show no year beyond 9999.
                let wall = clock.wall.load(atomic::Ordering::Relaxed).saturating_add(*micros).clamp(0, 2000 * YEAR);
                clock.wall.store(wall, atomic::Ordering::Relaxed);
            }
            Step::Pass { micros } => {
                clock.pass(*micros);
                model.age += micros;
            }
            Step::Reopen { .. } | Step::Kill => {
                if let Step::Kill = step {
                    // Something is committed first, with which the age is written, and how far the ids went.
                    model.last_id = store.create("Other", "{}");
                    note_events(&store, &mut model);
                    store = Store::in_folder(killed(&store), set);
                } else {
                    store.close();
                    if let Step::Reopen { boots: true } = step {
                        clock.since_boot.store(0, atomic::Ordering::Relaxed);
                    }
                    store = store.reopened(set);
                }
                model.units.clear();
                model.seen.clear();
                check_events(&store, &model);
            }
            _ => play(&store, &mut model, step),
        }
        note_events(&store, &mut model);
    }
    query(&store, &mut model, None, &value!({}), &[], 3);
    assert_eq!(store.layer1.tools().check(&mut |_| std::ops::ControlFlow::Continue(())).unwrap(), Vec::<String>::new());
}

fn cases() -> u32 {
    std::env::var("LAYER1_MODEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_sequences_give_what_the_model_gives(steps in prop::collection::vec(step(), 1..60)) {
        run(steps, vec![]);
    }

    #[test]
    fn random_sequences_give_the_same_with_indexes(steps in prop::collection::vec(step(), 1..60)) {
        run(steps, vec![index("E", "a"), index("E", "c.d"), index("E", "c.0")]);
    }
}
