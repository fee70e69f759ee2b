//! What the core asks of the store and is told by it, in the store's terms and back. Nothing is decided
//! here, and nothing of the store's queue or threads is known.

use bulkhead_core::{
    Cursor, KeyState, KeyUse, NewEvent, RequestId, StoreOp, StoreOutcome, StoredEvent, UnitId as CoreUnit,
};
use bulkhead_layer1::{
    Job, Outcome, Ticket, UnitId,
    job::{self, Also, Fingerprint, Keyed},
    outcome,
};
use bulkhead_protocol::{ErrorCode, Failure, Json, ModuleName, Named};

/// Whose job it is, in the two lowest bits of its ticket; the rest is the owner's number.
const OWNERS: u64 = 0b11;

/// Whose job it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The core's.
    Core(RequestId),
    /// The core's, which stores an event only.
    CoreEvent(RequestId),
    /// The host's own.
    Host(u64),
}

impl Whose {
    /// Whose outcome it is.
    pub(crate) fn of(ticket: Ticket) -> Whose {
        let number = ticket.0 / (OWNERS + 1);
        match ticket.0 & OWNERS {
            0 => Whose::Core(RequestId(number)),
            1 => Whose::CoreEvent(RequestId(number)),
            _ => Whose::Host(number),
        }
    }

    /// The ticket of the job.
    pub(crate) fn ticket(self) -> Ticket {
        let (number, owner) = match self {
            Whose::Core(request) => (request.0, 0),
            Whose::CoreEvent(request) => (request.0, 1),
            Whose::Host(number) => (number, 2),
        };
        Ticket(number * (OWNERS + 1) + owner)
    }
}

/// What is to be done with the store.
#[derive(Debug)]
pub(crate) enum Order {
    /// Hand it a job.
    Submit(Ticket, Job),
    /// Tell it how many bytes a module may have, and hand it a job.
    SubmitWithin {
        /// Whose.
        owner: ModuleName,
        /// How many.
        quota: Option<u64>,
        /// The job's number.
        ticket: Ticket,
        /// The job.
        job: Job,
    },
    /// Nobody wants the outcome of this job any more.
    Cancel(Ticket),
}

/// What the core asks, in the store's terms.
pub(crate) fn order(request: RequestId, op: StoreOp) -> Order {
    let ticket = Whose::Core(request).ticket();
    let job = match op {
        StoreOp::Query { unit, query } => Job::Query { unit: unit.map(unit_id), query: *query },
        StoreOp::Mutate { unit, owner, quota, mutation, key } => {
            let job = Job::Mutate {
                unit: unit.map(unit_id),
                owner: name(owner.as_ref()),
                mutation: *mutation,
                key: key.map(keyed),
            };
            match owner {
                Some(owner) => return Order::SubmitWithin { owner, quota, ticket, job },
                None => job,
            }
        }
        StoreOp::Emit(new) => {
            let job::NewEvent { source, event, data } = event(new);
            let job = Job::Emit { unit: None, source, event, data };
            return Order::Submit(Whose::CoreEvent(request).ticket(), job);
        }
        StoreOp::LookUpKey(key) => Job::LookUpKey(keyed(key)),
        StoreOp::Commit { unit, events, key, advance } => Job::Commit {
            unit: unit_id(unit),
            key: key.map(|(key, reply)| (keyed(key), reply)),
            events: events.into_iter().map(event).collect(),
            also: advance.map(|(module, cursor)| self::advance(&module, cursor)).into_iter().collect(),
        },
        StoreOp::Discard(unit) => Job::Discard { unit: unit_id(unit) },
        StoreOp::Subscription(module) => Job::Subscribe { module: module.to_string() },
        StoreOp::ReadEvents { module: _, after, patterns, limit, bytes_max } => {
            Job::ReadEvents { after: after.0, patterns, limit, bytes_max }
        }
        StoreOp::Advance { module, cursor, missed } => {
            let missed = (missed > 0).then(|| Also::Missed { module: module.to_string(), events: missed });
            Job::Also(std::iter::once(advance(&module, cursor)).chain(missed).collect())
        }
        StoreOp::SetAside { module, cursor, attempts, error } => {
            Job::Also(vec![Also::SetAside { module: module.to_string(), cursor: cursor.0, attempts, error }])
        }
        StoreOp::Interrupt => return Order::Cancel(ticket),
    };
    Order::Submit(ticket, job)
}

/// What came of a job of the core, in its terms.
pub(crate) fn told(whose: Whose, outcome: Outcome) -> StoreOutcome {
    match outcome {
        Outcome::Rows(rows) => StoreOutcome::Rows(rows),
        Outcome::Mutated { reply, events } => StoreOutcome::Mutated { data: reply, events: stored(events) },
        Outcome::Emitted => StoreOutcome::Emitted { events: Vec::new() },
        Outcome::Committed { events } => match whose {
            Whose::CoreEvent(_) => StoreOutcome::Emitted { events: stored(events) },
            Whose::Core(_) | Whose::Host(_) => StoreOutcome::Committed { events: stored(events) },
        },
        Outcome::Conflict(failure) => StoreOutcome::Conflict(failure),
        Outcome::Key(state) => StoreOutcome::Key(match state {
            outcome::KeyState::Vacant => KeyState::Vacant,
            outcome::KeyState::Stored(reply) => KeyState::Stored(reply),
            outcome::KeyState::OtherPayload => KeyState::OtherPayload,
        }),
        Outcome::Subscription(subscription) => StoreOutcome::Subscribed { cursor: Cursor(subscription.cursor) },
        Outcome::Events(page) => {
            StoreOutcome::Events { events: stored(page.events), upto: Cursor(page.cursor), lost: page.lost }
        }
        Outcome::Done => StoreOutcome::Done,
        Outcome::Failed(failure) => StoreOutcome::Failed(failure),
        Outcome::Ends { .. }
        | Outcome::Subscriptions(_)
        | Outcome::Forgotten(_)
        | Outcome::SetAsideCount(_)
        | Outcome::SetAside(_)
        | Outcome::Usage(_)
        | Outcome::Imported(_) => {
            StoreOutcome::Failed(Failure::new(ErrorCode::Internal, "the store answered what the core never asks"))
        }
    }
}

/// An event as the core knows it.
pub(crate) fn stored_event(event: outcome::StoredEvent) -> StoredEvent {
    let outcome::StoredEvent { cursor, time, event, source, data } = event;
    StoredEvent { cursor: Cursor(cursor), time, event, source, data }
}

fn stored(events: Vec<outcome::StoredEvent>) -> Vec<StoredEvent> {
    events.into_iter().map(stored_event).collect()
}

fn unit_id(unit: CoreUnit) -> UnitId {
    UnitId(unit.0)
}

/// An owner's or a source's name; a client has none.
fn name(module: Option<&ModuleName>) -> String {
    module.map(ToString::to_string).unwrap_or_default()
}

fn keyed(key: KeyUse) -> Keyed {
    let fingerprint = Fingerprint::of(&key.to, key.kind.name(), &key.payload);
    Keyed { caller: name(key.caller.as_ref()), target: key.to, key: key.key, fingerprint }
}

fn advance(module: &ModuleName, cursor: Cursor) -> Also {
    Also::Advance { module: module.to_string(), cursor: cursor.0 }
}

/// The core has checked that the payload is an object with an event's name.
fn event(event: NewEvent) -> job::NewEvent {
    #[derive(serde::Deserialize)]
    struct Payload {
        #[serde(default)]
        data: Json,
    }
    let data = match Named::event(&event.payload) {
        // It is a part of the payload as it came, and shared with it where it is most of it.
        Some(plain) => plain.value.map_or_else(Json::null, |text| event.payload.part(text)),
        None => event.payload.read::<Payload>().map(|payload| payload.data).unwrap_or_default(),
    };
    job::NewEvent { source: name(event.source.as_ref()), event: event.event, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_layer1::outcome::{EventPage, More, Subscription};
    use bulkhead_protocol::{
        Pattern, RequestType,
        layer1::{Mutation, Query},
    };

    const REQUEST: RequestId = RequestId(7);

    fn json(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    fn module(name: &str) -> ModuleName {
        ModuleName::new(name).unwrap()
    }

    fn key(payload: &str) -> KeyUse {
        KeyUse { caller: None, key: "k".into(), to: "m".into(), kind: RequestType::Command, payload: json(payload) }
    }

    fn new_event(source: Option<&str>, payload: &str) -> NewEvent {
        NewEvent { source: source.map(module), event: "a.b".into(), payload: json(payload) }
    }

    /// The job that the core's operation becomes, with its ticket.
    fn submitted(op: StoreOp) -> (Whose, Job) {
        match order(REQUEST, op) {
            Order::Submit(ticket, job) => (Whose::of(ticket), job),
            other => panic!("expected a job, found {other:?}"),
        }
    }

    #[test]
    fn a_ticket_says_whose_it_is() {
        for whose in [Whose::Core(REQUEST), Whose::CoreEvent(REQUEST), Whose::Host(7), Whose::Host(0)] {
            assert_eq!(Whose::of(whose.ticket()), whose);
        }
    }

    #[test]
    fn queries_and_mutations_keep_their_unit_and_their_owner() {
        let query = Query::read(&json(r#"{"entity":"A"}"#)).unwrap();
        let (whose, job) = submitted(StoreOp::Query { unit: Some(CoreUnit(3)), query: Box::new(query) });
        assert!(matches!((whose, job), (Whose::Core(REQUEST), Job::Query { unit: Some(UnitId(3)), .. })));
        let mutation = Mutation::read(&json(r#"{"entity":"A","operation":"create","data":{}}"#)).unwrap();
        let mutate = |owner: Option<&str>| StoreOp::Mutate {
            unit: None,
            owner: owner.map(module),
            quota: Some(10),
            mutation: Box::new(mutation.clone()),
            key: Some(key("1")),
        };
        let (_, job) = submitted(mutate(None));
        assert!(matches!(job, Job::Mutate { unit: None, owner, key: Some(_), .. } if owner.is_empty()));
        let Order::SubmitWithin { owner, quota, job, .. } = order(REQUEST, mutate(Some("m"))) else {
            panic!("a module has a quota")
        };
        assert_eq!((owner.as_str(), quota), ("m", Some(10)));
        assert!(matches!(job, Job::Mutate { owner, .. } if owner == "m"));
    }

    #[test]
    fn an_event_is_stored_by_a_commit_of_its_own_and_told_as_emitted() {
        let new = |source, payload| submitted(StoreOp::Emit(new_event(source, payload)));
        let (whose, job) = new(Some("m"), r#"{"event":"a.b","data":{"n":1}}"#);
        let Job::Emit { unit: None, source, event, data } = job else { panic!("expected an event, found {job:?}") };
        assert_eq!((&*source, &*event, data.as_str()), ("m", "a.b", r#"{"n":1}"#));
        let (_, job) = new(None, r#"{"event":"a.b"}"#);
        assert!(matches!(job, Job::Emit { source, data, .. } if source.is_empty() && data == Json::null()));
        let told = super::told(whose, Outcome::Committed { events: Vec::new() });
        assert_eq!(told, StoreOutcome::Emitted { events: Vec::new() });
    }

    #[test]
    fn a_commit_carries_key_reply_events_and_how_far_a_stream_has_got() {
        let (whose, job) = submitted(StoreOp::Commit {
            unit: CoreUnit(3),
            events: vec![new_event(None, r#"{"event":"a.b","data":2}"#)],
            key: Some((key("1"), json("5"))),
            advance: Some((module("m"), Cursor(9))),
        });
        let Job::Commit { unit: UnitId(3), key: Some((keyed, reply)), events, also } = job else {
            panic!("expected a commit, found {job:?}")
        };
        assert_eq!((whose, keyed.key.as_str(), reply.as_str(), events.len()), (Whose::Core(REQUEST), "k", "5", 1));
        assert_eq!(also, [Also::Advance { module: "m".into(), cursor: 9 }]);
        let told = super::told(whose, Outcome::Committed { events: Vec::new() });
        assert_eq!(told, StoreOutcome::Committed { events: Vec::new() });
    }

    #[test]
    fn the_same_work_has_the_same_fingerprint_and_no_other() {
        let of = |use_: KeyUse| keyed(use_).fingerprint;
        assert_eq!(of(key("1")), of(key("1")));
        assert_ne!(of(key("1")), of(key("2")));
        assert_ne!(of(key("1")), of(KeyUse { to: "n".into(), ..key("1") }));
        assert_ne!(of(key("1")), of(KeyUse { kind: RequestType::Query, ..key("1") }));
        // A long one is made later, and is the same all the same.
        let long = |last: &str| key(&format!("\"{}{last}\"", "x".repeat(100_000)));
        assert_eq!(of(long("")), of(long("")));
        assert_ne!(of(long("")), of(long("y")));
        assert_ne!(of(long("")), of(KeyUse { to: "n".into(), ..long("") }));
    }

    #[test]
    fn a_key_is_its_callers_and_for_one_target() {
        let kept = |caller: Option<&str>, to: &str| {
            let caller = caller.map(|name| ModuleName::new(name).unwrap());
            let Keyed { caller, target, key, .. } = keyed(KeyUse { caller, to: to.into(), ..key("1") });
            [caller, target, key]
        };
        assert_eq!(kept(None, "m"), ["", "m", "k"]);
        assert_eq!(kept(Some("b"), "layer1"), ["b", "layer1", "k"]);
    }

    #[test]
    fn streams_are_read_and_moved() {
        assert!(matches!(submitted(StoreOp::LookUpKey(key("1"))).1, Job::LookUpKey(_)));
        assert!(matches!(submitted(StoreOp::Discard(CoreUnit(3))).1, Job::Discard { unit: UnitId(3) }));
        let job = submitted(StoreOp::Subscription(module("m"))).1;
        assert!(matches!(job, Job::Subscribe { module } if module == "m"));
        let patterns = vec![Pattern::new("a.*").unwrap()];
        let read = StoreOp::ReadEvents { module: module("m"), after: Cursor(4), patterns, limit: 5, bytes_max: 6 };
        assert!(matches!(submitted(read).1, Job::ReadEvents { after: 4, limit: 5, bytes_max: 6, .. }));
        let job = submitted(StoreOp::Advance { module: module("m"), cursor: Cursor(4), missed: 0 }).1;
        assert!(matches!(job, Job::Also(also) if also == [Also::Advance { module: "m".into(), cursor: 4 }]));
        let aside = StoreOp::SetAside { module: module("m"), cursor: Cursor(4), attempts: 5, error: "e".into() };
        let expected = Also::SetAside { module: "m".into(), cursor: 4, attempts: 5, error: "e".into() };
        assert!(matches!(submitted(aside).1, Job::Also(also) if also == [expected]));
        let interrupt = order(REQUEST, StoreOp::Interrupt);
        assert!(matches!(interrupt, Order::Cancel(ticket) if Whose::of(ticket) == Whose::Core(REQUEST)));
    }

    #[test]
    fn what_the_store_says_is_told_in_the_cores_terms() {
        let told = |it| super::told(Whose::Core(REQUEST), it);
        let event =
            outcome::StoredEvent { cursor: 8, time: 1, event: "a.b".into(), source: "m".into(), data: json("1") };
        let stored =
            StoredEvent { cursor: Cursor(8), time: 1, event: "a.b".into(), source: "m".into(), data: json("1") };
        assert_eq!(told(Outcome::Rows(json("1"))), StoreOutcome::Rows(json("1")));
        assert_eq!(
            told(Outcome::Mutated { reply: json("1"), events: vec![event.clone()] }),
            StoreOutcome::Mutated { data: json("1"), events: vec![stored.clone()] }
        );
        let page = EventPage { events: vec![event], cursor: 9, more: More::No, lost: 2 };
        let read = StoreOutcome::Events { events: vec![stored], upto: Cursor(9), lost: 2 };
        assert_eq!(told(Outcome::Events(page)), read);
        let subscription = Subscription { module: "m".into(), cursor: 3, missed: 0 };
        assert_eq!(told(Outcome::Subscription(subscription)), StoreOutcome::Subscribed { cursor: Cursor(3) });
        assert_eq!(told(Outcome::Key(outcome::KeyState::Vacant)), StoreOutcome::Key(KeyState::Vacant));
        assert_eq!(
            told(Outcome::Key(outcome::KeyState::Stored(json("1")))),
            StoreOutcome::Key(KeyState::Stored(json("1")))
        );
        assert_eq!(told(Outcome::Key(outcome::KeyState::OtherPayload)), StoreOutcome::Key(KeyState::OtherPayload));
        assert_eq!(told(Outcome::Done), StoreOutcome::Done);
        let failure = Failure::new(ErrorCode::Conflict, "e");
        assert_eq!(told(Outcome::Conflict(failure.clone())), StoreOutcome::Conflict(failure.clone()));
        assert_eq!(told(Outcome::Failed(failure.clone())), StoreOutcome::Failed(failure));
        assert!(matches!(told(Outcome::Usage(Vec::new())), StoreOutcome::Failed(_)));
    }
}
