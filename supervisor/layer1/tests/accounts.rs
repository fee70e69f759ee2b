//! What waits for the store is bounded by what it takes in memory: the account of each kind of job and of
//! outcome is held against what the allocator has given out, and the queue against its bound.

mod common;
#[path = "../../../protocol/tests/counting/mod.rs"]
mod counting;

use bulkhead_layer1::{
    Job, JobId, Outcome, UnitId,
    job::{Also, Existing, Fingerprint, Keyed, NewEvent, Subscriber},
    outcome::{EventPage, KeyState, More, SetAsideEvent, StoredEvent, Subscription, SubscriptionStatus, Usage},
};
use bulkhead_protocol::{
    ErrorCode, Failure, HeldBytes, Json, Pattern,
    layer1::{Cursor, Mutation, Query},
};
use common::Store;
use counting::{Counting, check, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Values of each kind, each made where it is counted.
type Makers<'a, T> = Vec<(&'static str, Box<dyn Fn() -> T + 'a>)>;

fn keyed() -> Keyed {
    let (caller, target) = ("c".repeat(60), "t".repeat(60));
    Keyed {
        caller,
        target,
        key: "k".repeat(100),
        fingerprint: Fingerprint::of("m", "command", &Json::of(&"x".repeat(20_000))),
    }
}

/// A valid query whose text is a thirtieth of what it takes once it is read.
fn wide_query() -> Query {
    let numbers = format!("[{}]", vec!["1"; 1000].join(","));
    let filters: Vec<String> = (0..32).map(|n| format!(r#""t{n}":{{"in":{numbers}}}"#)).collect();
    Query::read(&Json::parse(&format!(r#"{{"entity":"A","filters":{{{}}}}}"#, filters.join(","))).unwrap()).unwrap()
}

fn long() -> Json {
    Json::of(&"x".repeat(5000))
}

fn mutation() -> Mutation {
    let one = format!(r#"{{"entity":"A","operation":"create","data":{{"t":{}}}}}"#, long().as_str());
    Mutation::read(&Json::parse(&format!(r#"{{"operations":[{}]}}"#, vec![one; 50].join(","))).unwrap()).unwrap()
}

fn stored() -> StoredEvent {
    StoredEvent { cursor: Cursor(1), time: 2, event: "a.b".to_owned(), source: "module".to_owned(), data: long() }
}

fn subscription() -> Subscription {
    Subscription { module: "module".to_owned(), cursor: Cursor(1), missed: 0 }
}

#[test]
fn every_kind_of_job_is_counted_with_what_it_holds() {
    let unit = Some(UnitId(1));
    let new_event = || NewEvent { source: "module".to_owned(), event: "a.b".to_owned(), data: long() };
    let patterns = || vec![Pattern::new("a.*").unwrap(); 9];
    let subscribers = || vec![Subscriber { module: "module".to_owned(), patterns: patterns() }; 20];
    let set_aside =
        || Also::SetAside { module: "m".to_owned(), cursor: Cursor(1), attempts: 5, error: "e".repeat(900) };
    let missed = || Also::Missed { module: "module".to_owned(), events: 1 };
    let also = || {
        vec![missed(), Also::Advance { module: "module".to_owned(), cursor: Cursor(1), after: Cursor(0) }, set_aside()]
    };
    let makers: Makers<'_, Job> = vec![
        ("query", Box::new(move || Job::Query { unit, query: wide_query() })),
        (
            "mutate",
            Box::new(|| Job::Mutate {
                unit: None,
                owner: "module".to_owned(),
                mutation: mutation(),
                key: Some(keyed()),
            }),
        ),
        ("emit", Box::new(|| Job::Emit { unit: None, source: "m".to_owned(), event: "a.b".to_owned(), data: long() })),
        (
            "commit",
            Box::new(move || Job::Commit {
                unit: UnitId(1),
                key: Some((keyed(), long())),
                events: (0..20).map(|_| new_event()).collect(),
                also: also(),
            }),
        ),
        ("discard", Box::new(|| Job::Discard { unit: UnitId(1) })),
        ("look up", Box::new(|| Job::LookUpKey(keyed()))),
        ("read", Box::new(move || Job::ReadEvents { after: Cursor(1), patterns: patterns(), limit: 5, bytes_max: 6 })),
        ("ends", Box::new(|| Job::EventEnds)),
        ("subscribe", Box::new(|| Job::Subscribe { module: "module".to_owned() })),
        ("forget", Box::new(|| Job::Forget { module: "module".to_owned() })),
        ("subscriptions", Box::new(move || Job::Subscriptions { known: subscribers() })),
        ("also", Box::new(move || Job::Also(vec![set_aside()]))),
        ("list", Box::new(|| Job::ListSetAside { module: Some("module".to_owned()), after: 0, limit: 1 })),
        ("count", Box::new(|| Job::CountSetAside)),
        ("usage", Box::new(|| Job::Usage)),
        (
            "import",
            Box::new(|| Job::Import {
                lines: (0..100).map(|n| "x".repeat(n)).collect(),
                first: 1,
                existing: Existing::Keep,
            }),
        ),
    ];
    for (what, make) in makers {
        let (job, held, pieces) = counted(make);
        check(what, job.held_bytes(), held, pieces);
    }
}

#[test]
fn every_kind_of_outcome_is_counted_with_what_it_holds() {
    let aside = || SetAsideEvent {
        id: 1,
        module: "module".to_owned(),
        event: stored(),
        attempts: 5,
        error: "e".repeat(300),
        set_aside_at: 2,
    };
    let events = || (0..20).map(|_| stored()).collect::<Vec<_>>();
    let makers: Makers<'_, Outcome> = vec![
        ("rows", Box::new(|| Outcome::Rows(long()))),
        ("mutated", Box::new(move || Outcome::Mutated { reply: long(), events: events() })),
        ("committed", Box::new(move || Outcome::Committed { events: events() })),
        ("conflict", Box::new(|| Outcome::Conflict(Failure::new(ErrorCode::Conflict, "x".repeat(500))))),
        ("failed", Box::new(|| Outcome::Failed(Failure::new(ErrorCode::Internal, "x")))),
        ("key", Box::new(|| Outcome::Key(KeyState::Stored(long())))),
        (
            "events",
            Box::new(move || {
                Outcome::Events(EventPage { events: events(), cursor: Cursor(9), more: More::No, lost: 0 })
            }),
        ),
        ("subscription", Box::new(|| Outcome::Subscription(subscription()))),
        (
            "subscriptions",
            Box::new(|| {
                Outcome::Subscriptions(vec![SubscriptionStatus { subscription: subscription(), waiting: None }])
            }),
        ),
        ("set aside", Box::new(move || Outcome::SetAside((0..20).map(|_| aside()).collect()))),
        (
            "usage",
            Box::new(|| {
                Outcome::Usage(vec![Usage {
                    owner: "module".to_owned(),
                    bytes: 1,
                    entities: 1,
                    event_bytes: 1,
                    events: 1,
                    key_bytes: 1,
                    keys: 1,
                }])
            }),
        ),
        ("done", Box::new(|| Outcome::Done)),
    ];
    for (what, make) in makers {
        let (outcome, held, pieces) = counted(make);
        check(what, outcome.held_bytes(), held, pieces);
    }
}

#[test]
fn queries_that_are_short_to_write_and_large_to_keep_fill_the_queue() {
    const MOST: usize = 8 * 1024 * 1024;
    let store = Store::with(|settings| settings.queue_bytes_max = MOST);
    let query = wide_query();
    let each = query.held_bytes();
    assert!(each > 1024 * 1024, "{each}");
    let mut taken = 0;
    // Outcomes are not taken, so nothing leaves the account, however fast the readers are.
    while taken < 1000 {
        let job = Job::Query { unit: None, query: query.clone() };
        if store.layer1.submit(JobId(taken), job, None).is_err() {
            break;
        }
        taken += 1;
        let (jobs, bytes) = store.layer1.holds();
        assert_eq!(jobs as u64, taken);
        assert!(bytes >= taken as usize * each, "{bytes} bytes are counted of {taken} jobs of {each}");
    }
    assert_eq!(taken as usize, MOST / each, "as many as have room and no more");
    for _ in 0..taken {
        store.layer1.wait();
    }
    assert_eq!(store.layer1.holds(), (0, 0), "what was taken is counted no more");
}
