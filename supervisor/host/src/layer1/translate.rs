//! Translates what the core asks of the store into the store's terms, and the outcomes back. Nothing is decided
//! here, and nothing of the store's queue or threads is known.

use bulkhead_core::{Cursor, EntityState, KeyUse, NewEvent, RequestId, StoreOp, StoreOutcome};
use bulkhead_layer1::{
    Job, JobId, Outcome,
    job::{Also, Fingerprint, Keyed},
};
use bulkhead_protocol::{ErrorCode, Failure, ModuleName};

/// The owner of a job, in the two lowest bits of its id; the rest is the owner's number.
const OWNERS: u64 = 0b11;

/// The owner of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobOwner {
    /// The core's.
    Core(RequestId),
    /// The core's, which stores an event only.
    CoreEvent(RequestId),
    /// The host's own.
    Host(u64),
}

impl JobOwner {
    /// The owner of the job with this id.
    pub(crate) fn from_id(job_id: JobId) -> JobOwner {
        let number = job_id.0 / (OWNERS + 1);
        match job_id.0 & OWNERS {
            0 => JobOwner::Core(RequestId(number)),
            1 => JobOwner::CoreEvent(RequestId(number)),
            _ => JobOwner::Host(number),
        }
    }

    /// The id of the job.
    pub(crate) fn job_id(self) -> JobId {
        let (number, owner) = match self {
            JobOwner::Core(request) => (request.0, 0),
            JobOwner::CoreEvent(request) => (request.0, 1),
            JobOwner::Host(number) => (number, 2),
        };
        JobId(number * (OWNERS + 1) + owner)
    }
}

/// What is to be done with the store.
#[derive(Debug)]
pub(crate) enum Order {
    /// Submit a job.
    Submit(JobId, Job),
    /// Set how many bytes a module may have, and submit a job.
    SubmitWithin {
        /// The module.
        owner: ModuleName,
        /// How many.
        quota: Option<u64>,
        /// The job's number.
        job_id: JobId,
        /// The job.
        job: Job,
    },
    /// The outcome of this job is no longer wanted.
    Cancel(JobId),
}

/// What the core asks, in the store's terms.
pub(crate) fn order(request: RequestId, op: StoreOp) -> Order {
    let job_id = JobOwner::Core(request).job_id();
    let job = match op {
        StoreOp::Query { unit, query } => Job::Query { unit, query: *query },
        StoreOp::Mutate { unit, owner, quota, mutation, key, shown: _ } => {
            let job = Job::Mutate { unit, owner: name(owner.as_ref()), mutation: *mutation, key: key.map(keyed) };
            match owner {
                Some(owner) => return Order::SubmitWithin { owner, quota, job_id, job },
                None => job,
            }
        }
        StoreOp::Emit(new) => {
            let NewEvent { source, event, data } = new;
            let job = Job::Emit { unit: None, source, event, data };
            return Order::Submit(JobOwner::CoreEvent(request).job_id(), job);
        }
        StoreOp::LookUpKey(key) => Job::LookUpKey(keyed(key)),
        StoreOp::Commit { unit, events, key, advance } => Job::Commit {
            unit,
            key: key.map(|(key, reply)| (keyed(key), reply)),
            events,
            also: advance.map(|it| self::advance(&it.module, it.cursor, it.after)).into_iter().collect(),
        },
        StoreOp::Discard(unit) => Job::Discard { unit },
        StoreOp::Subscription(module) => Job::Subscribe { module: module.to_string() },
        StoreOp::ReadEvents { module: _, after, patterns, limit, bytes_max } => {
            Job::ReadEvents { after, patterns, limit, bytes_max }
        }
        StoreOp::Advance { module, cursor, missed } => {
            let missed = (missed > 0).then(|| Also::Missed { module: module.to_string(), events: missed });
            Job::Also(std::iter::once(advance(&module, cursor, Cursor(0))).chain(missed).collect())
        }
        StoreOp::SetAside { module, cursor, attempts, error } => {
            Job::Also(vec![Also::SetAside { module: module.to_string(), cursor, attempts, error }])
        }
        StoreOp::Interrupt => return Order::Cancel(job_id),
    };
    Order::Submit(job_id, job)
}

/// The outcome of a job of the core, in its terms.
pub(crate) fn outcome(owner: JobOwner, outcome: Outcome, entity: Option<EntityState>) -> StoreOutcome {
    match outcome {
        Outcome::Rows(data) => match entity {
            Some(state) => StoreOutcome::Entity { data, state },
            None => StoreOutcome::Rows(data),
        },
        Outcome::Mutated { reply, events } => StoreOutcome::Mutated { data: reply, events },
        Outcome::Emitted => StoreOutcome::Emitted { events: Vec::new() },
        Outcome::Committed { events } => match owner {
            JobOwner::CoreEvent(_) => StoreOutcome::Emitted { events },
            JobOwner::Core(_) | JobOwner::Host(_) => StoreOutcome::Committed { events },
        },
        Outcome::Conflict(failure) => StoreOutcome::Conflict(failure),
        Outcome::Key(state) => StoreOutcome::Key(state),
        Outcome::Subscription(subscription) => StoreOutcome::Subscribed { cursor: subscription.cursor },
        Outcome::Events(page) => StoreOutcome::Events { events: page.events, upto: page.cursor, lost: page.lost },
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

/// An owner's or a source's name; a client has none.
fn name(module: Option<&ModuleName>) -> String {
    module.map(ToString::to_string).unwrap_or_default()
}

fn keyed(key: KeyUse) -> Keyed {
    let fingerprint = Fingerprint::of(&key.to, key.kind.name(), &key.payload);
    Keyed { caller: name(key.caller.as_ref()), target: key.to, key: key.key, fingerprint }
}

fn advance(module: &ModuleName, cursor: Cursor, after: Cursor) -> Also {
    Also::Advance { module: module.to_string(), cursor, after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_core::{Advance, KeyState, StoredEvent, UnitId};
    use bulkhead_layer1::outcome::{EventPage, More, Subscription};
    use bulkhead_protocol::{
        Json, Pattern, RequestType,
        event::event_data,
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
        let data = event_data(&json(payload));
        NewEvent { source: source.unwrap_or_default().to_owned(), event: "a.b".into(), data }
    }

    /// The job that the core's operation becomes, with its id.
    fn submitted(op: StoreOp) -> (JobOwner, Job) {
        match order(REQUEST, op) {
            Order::Submit(job_id, job) => (JobOwner::from_id(job_id), job),
            other => panic!("expected a job, found {other:?}"),
        }
    }

    #[test]
    fn a_job_id_says_whose_it_is() {
        for owner in [JobOwner::Core(REQUEST), JobOwner::CoreEvent(REQUEST), JobOwner::Host(7), JobOwner::Host(0)] {
            assert_eq!(JobOwner::from_id(owner.job_id()), owner);
        }
    }

    #[test]
    fn queries_and_mutations_keep_their_unit_and_their_owner() {
        let query = Query::read(&json(r#"{"entity":"A"}"#)).unwrap();
        let (owner, job) = submitted(StoreOp::Query { unit: Some(UnitId(3)), query: Box::new(query) });
        assert!(matches!((owner, job), (JobOwner::Core(REQUEST), Job::Query { unit: Some(UnitId(3)), .. })));
        let mutation = Mutation::read(&json(r#"{"entity":"A","operation":"create","data":{}}"#)).unwrap();
        let mutate = |owner: Option<&str>| StoreOp::Mutate {
            unit: None,
            owner: owner.map(module),
            quota: Some(10),
            mutation: Box::new(mutation.clone()),
            key: Some(key("1")),
            shown: Vec::new(),
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
    fn an_event_is_stored_by_a_commit_of_its_own_and_reported_as_emitted() {
        let new = |source, payload| submitted(StoreOp::Emit(new_event(source, payload)));
        let (owner, job) = new(Some("m"), r#"{"event":"a.b","data":{"n":1}}"#);
        let Job::Emit { unit: None, source, event, data } = job else { panic!("expected an event, found {job:?}") };
        assert_eq!((&*source, &*event, data.as_str()), ("m", "a.b", r#"{"n":1}"#));
        let (_, job) = new(None, r#"{"event":"a.b"}"#);
        assert!(matches!(job, Job::Emit { source, data, .. } if source.is_empty() && data == Json::null()));
        let translated = super::outcome(owner, Outcome::Committed { events: Vec::new() }, None);
        assert_eq!(translated, StoreOutcome::Emitted { events: Vec::new() });
    }

    #[test]
    fn a_commit_carries_key_reply_events_and_how_far_a_stream_has_got() {
        let (owner, job) = submitted(StoreOp::Commit {
            unit: UnitId(3),
            events: vec![new_event(None, r#"{"event":"a.b","data":2}"#)],
            key: Some((key("1"), json("5"))),
            advance: Some(Advance { module: module("m"), cursor: Cursor(9), after: Cursor(7) }),
        });
        let Job::Commit { unit: UnitId(3), key: Some((keyed, reply)), events, also } = job else {
            panic!("expected a commit, found {job:?}")
        };
        assert_eq!((owner, keyed.key.as_str(), reply.as_str(), events.len()), (JobOwner::Core(REQUEST), "k", "5", 1));
        assert_eq!(also, [Also::Advance { module: "m".into(), cursor: Cursor(9), after: Cursor(7) }]);
        let translated = super::outcome(owner, Outcome::Committed { events: Vec::new() }, None);
        assert_eq!(translated, StoreOutcome::Committed { events: Vec::new() });
    }

    #[test]
    fn the_same_work_has_the_same_fingerprint_and_no_other() {
        let of = |use_: KeyUse| keyed(use_).fingerprint;
        assert_eq!(of(key("1")), of(key("1")));
        assert_ne!(of(key("1")), of(key("2")));
        assert_ne!(of(key("1")), of(KeyUse { to: "n".into(), ..key("1") }));
        assert_ne!(of(key("1")), of(KeyUse { kind: RequestType::Query, ..key("1") }));
        // The fingerprint of a long payload is made later, and is the same.
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
        assert!(matches!(submitted(StoreOp::Discard(UnitId(3))).1, Job::Discard { unit: UnitId(3) }));
        let job = submitted(StoreOp::Subscription(module("m"))).1;
        assert!(matches!(job, Job::Subscribe { module } if module == "m"));
        let patterns = vec![Pattern::new("a.*").unwrap()];
        let read = StoreOp::ReadEvents { module: module("m"), after: Cursor(4), patterns, limit: 5, bytes_max: 6 };
        assert!(matches!(submitted(read).1, Job::ReadEvents { after: Cursor(4), limit: 5, bytes_max: 6, .. }));
        let job = submitted(StoreOp::Advance { module: module("m"), cursor: Cursor(4), missed: 0 }).1;
        assert!(
            matches!(job, Job::Also(also) if also == [Also::Advance { module: "m".into(), cursor: Cursor(4), after: Cursor(0) }])
        );
        let aside = StoreOp::SetAside { module: module("m"), cursor: Cursor(4), attempts: 5, error: "e".into() };
        let expected = Also::SetAside { module: "m".into(), cursor: Cursor(4), attempts: 5, error: "e".into() };
        assert!(matches!(submitted(aside).1, Job::Also(also) if also == [expected]));
        let interrupt = order(REQUEST, StoreOp::Interrupt);
        assert!(matches!(interrupt, Order::Cancel(job_id) if JobOwner::from_id(job_id) == JobOwner::Core(REQUEST)));
    }

    #[test]
    fn outcomes_of_the_store_are_translated_into_the_cores_terms() {
        let translated = |it| super::outcome(JobOwner::Core(REQUEST), it, None);
        let stored =
            StoredEvent { cursor: Cursor(8), time: 1, event: "a.b".into(), source: "m".into(), data: json("1") };
        let event = stored.clone();
        assert_eq!(translated(Outcome::Rows(json("1"))), StoreOutcome::Rows(json("1")));
        assert_eq!(
            translated(Outcome::Mutated { reply: json("1"), events: vec![event.clone()] }),
            StoreOutcome::Mutated { data: json("1"), events: vec![stored.clone()] }
        );
        let page = EventPage { events: vec![event], cursor: Cursor(9), more: More::No, lost: 2 };
        let read = StoreOutcome::Events { events: vec![stored], upto: Cursor(9), lost: 2 };
        assert_eq!(translated(Outcome::Events(page)), read);
        let subscription = Subscription { module: "m".into(), cursor: Cursor(3), missed: 0 };
        assert_eq!(translated(Outcome::Subscription(subscription)), StoreOutcome::Subscribed { cursor: Cursor(3) });
        assert_eq!(translated(Outcome::Key(KeyState::Vacant)), StoreOutcome::Key(KeyState::Vacant));
        assert_eq!(
            translated(Outcome::Key(KeyState::Stored(json("1")))),
            StoreOutcome::Key(KeyState::Stored(json("1")))
        );
        assert_eq!(translated(Outcome::Key(KeyState::OtherPayload)), StoreOutcome::Key(KeyState::OtherPayload));
        assert_eq!(translated(Outcome::Done), StoreOutcome::Done);
        let failure = Failure::new(ErrorCode::Conflict, "e");
        assert_eq!(translated(Outcome::Conflict(failure.clone())), StoreOutcome::Conflict(failure.clone()));
        assert_eq!(translated(Outcome::Failed(failure.clone())), StoreOutcome::Failed(failure));
        assert!(matches!(translated(Outcome::Usage(Vec::new())), StoreOutcome::Failed(_)));
    }
}
