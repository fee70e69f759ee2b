//! The store as a script sees it: what the core asks of it gets a label, and a line of the script
//! gives the outcome.

use crate::line::Line;
use bulkhead_core::{
    Advance, Cursor, KeyState, KeyUse, NewEvent, RequestId, StoreOp, StoreOutcome, StoredEvent, UnitId,
};
use bulkhead_protocol::{Delivery, ErrorCode, Failure, Json, layer1::Change};
use std::{collections::HashMap, fmt::Write};

/// What the store has in progress, by label, and how many events it has stored.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    labels: HashMap<RequestId, String>,
    open: HashMap<String, (RequestId, StoreOp)>,
    events: u64,
}

impl Jobs {
    pub(crate) fn note(&mut self, job: RequestId, op: &StoreOp) {
        if matches!(op, StoreOp::Discard(_) | StoreOp::Interrupt) {
            return;
        }
        // Reads have numbers of their own: how many there are does not matter to most stories.
        let letter = if matches!(op, StoreOp::ReadEvents { .. }) { 'r' } else { 's' };
        let count = self.labels.values().filter(|label| label.starts_with(letter)).count();
        let label = format!("{letter}{}", count + 1);
        self.labels.insert(job, label.clone());
        self.open.insert(label, (job, op.clone()));
    }

    pub(crate) fn label(&self, job: RequestId) -> &str {
        self.labels.get(&job).map_or("", String::as_str)
    }

    /// Reads `store s1 ok events=Log.created`, `store s2 conflict`, `store s3 failed internal "full"`,
    /// `store s4 vacant`, `store s5 has 1`, `store s6 other`, `store s7 at 3`,
    /// `store s8 read e.1@3,e.2@4 upto=5 lost=1`.
    pub(crate) fn outcome(&mut self, line: &Line) -> (RequestId, StoreOutcome) {
        let (job, op) = self.open.remove(line.word(1)).unwrap_or_else(|| panic!("not open: {line:?}"));
        let number = |at: usize| line.word(at).parse().unwrap_or_else(|_| panic!("no number: {line:?}"));
        let outcome = match line.word(2) {
            "ok" => self.success(&op, line),
            "conflict" => {
                StoreOutcome::Conflict(Failure::new(ErrorCode::Conflict, "expected version 1, found version 2"))
            }
            "failed" => {
                let code = ErrorCode::from_name(line.word(3)).unwrap_or_else(|| panic!("no code: {line:?}"));
                let mut failure = Failure::new(code, line.word(4));
                failure.delivery = match line.option("delivery") {
                    Some("unknown") => Some(Delivery::Unknown),
                    Some(other) => panic!("no delivery: {other:?}"),
                    None => None,
                };
                StoreOutcome::Failed(failure)
            }
            "vacant" => StoreOutcome::Key(KeyState::Vacant),
            "has" => StoreOutcome::Key(KeyState::Stored(Json::parse(line.word(3)).unwrap())),
            "other" => StoreOutcome::Key(KeyState::OtherPayload),
            "at" => StoreOutcome::Subscribed { cursor: Cursor(number(3)) },
            "read" => {
                let list = line.words.get(3).map_or("", String::as_str);
                let events: Vec<StoredEvent> = list.split(',').filter(|event| !event.is_empty()).map(read).collect();
                let upto = line.number("upto").map_or_else(|| events.last().expect("upto=…").cursor, Cursor);
                StoreOutcome::Events { events, upto, lost: line.number("lost").unwrap_or(0) }
            }
            other => panic!("no outcome: {other:?}"),
        };
        (job, outcome)
    }

    fn success(&mut self, op: &StoreOp, line: &Line) -> StoreOutcome {
        let json = |text| Json::parse(text).unwrap();
        match op {
            StoreOp::Query { .. } => StoreOutcome::Rows(json("[]")),
            StoreOp::Mutate { unit: Some(_), .. } => StoreOutcome::Mutated { data: json("2"), events: Vec::new() },
            StoreOp::Mutate { .. } => StoreOutcome::Mutated { data: json("2"), events: self.store(&[], line) },
            StoreOp::Emit(event) => StoreOutcome::Emitted { events: self.store(std::slice::from_ref(event), line) },
            StoreOp::Commit { events, .. } => StoreOutcome::Committed { events: self.store(events, line) },
            StoreOp::Advance { .. } | StoreOp::SetAside { .. } => StoreOutcome::Done,
            StoreOp::LookUpKey(_)
            | StoreOp::Discard(_)
            | StoreOp::Subscription(_)
            | StoreOp::ReadEvents { .. }
            | StoreOp::Interrupt => panic!("what is ok? {line:?}"),
        }
    }

    /// Numbers the events of a commit: first those of its changes, which the line names.
    fn store(&mut self, published: &[NewEvent], line: &Line) -> Vec<StoredEvent> {
        let names = line.list("events").into_iter().chain(published.iter().map(|event| event.event.clone()));
        let names: Vec<String> = names.collect();
        names.iter().map(|name| self.next(name)).collect()
    }

    fn next(&mut self, name: &str) -> StoredEvent {
        self.events += 1;
        stored(name, self.events)
    }
}

fn read(text: &str) -> StoredEvent {
    let (name, cursor) = text.split_once('@').unwrap_or_else(|| panic!("no event: {text:?}"));
    stored(name, cursor.parse().unwrap_or_else(|_| panic!("no cursor: {text:?}")))
}

pub(crate) fn stored(name: &str, cursor: u64) -> StoredEvent {
    StoredEvent { cursor: Cursor(cursor), time: 0, event: name.to_owned(), source: String::new(), data: Json::null() }
}

/// The caller of a key, unless it is the clients'.
fn whose(key: &KeyUse) -> String {
    key.caller.as_ref().map(|caller| format!(" of={caller}")).unwrap_or_default()
}

/// One line for an order to the store.
pub(crate) fn show(label: &str, op: &StoreOp) -> String {
    let unit = |unit: &Option<UnitId>| unit.map(|unit| format!(" unit={}", unit.0)).unwrap_or_default();
    let names = |events: &[NewEvent]| events.iter().map(|it| it.event.clone()).collect::<Vec<_>>().join(",");
    match op {
        StoreOp::Query { unit: of, query } => {
            let what: Vec<String> = query.needs().iter().map(|need| need.entity.to_string()).collect();
            format!("store {label} query{} {}", unit(of), what.join(","))
        }
        StoreOp::Mutate { unit: of, owner, quota, mutation, key, .. } => {
            let mut text = format!("store {label} mutate{}", unit(of));
            for one in &mutation.operations {
                let verb = match one.change {
                    Change::Create { .. } => "create",
                    Change::Update { .. } => "update",
                    Change::Delete { .. } => "delete",
                };
                write!(text, " {verb} {}", one.entity).unwrap();
            }
            owner.iter().for_each(|owner| write!(text, " owner={owner}").unwrap());
            quota.iter().for_each(|quota| write!(text, " quota={quota}").unwrap());
            key.iter().for_each(|key| write!(text, " key={}{}", key.key, whose(key)).unwrap());
            text
        }
        StoreOp::Emit(event) => {
            let from = match event.source.as_str() {
                "" => String::new(),
                source => format!(" from={source}"),
            };
            format!("store {label} emit {}{from}", event.event)
        }
        StoreOp::LookUpKey(key) => format!("store {label} look-up {} to={}{}", key.key, key.to, whose(key)),
        StoreOp::Commit { unit: of, events, key, advance } => {
            let mut text = format!("store {label} commit unit={}", of.0);
            if !events.is_empty() {
                write!(text, " events={}", names(events)).unwrap();
            }
            if let Some((key, reply)) = key {
                write!(text, " key={}{} reply={}", key.key, whose(key), reply.as_str()).unwrap();
            }
            if let Some(Advance { module, cursor, after }) = advance {
                write!(text, " advance={module}@{cursor}").unwrap();
                if *after > Cursor(0) {
                    write!(text, " after={after}").unwrap();
                }
            }
            text
        }
        StoreOp::Discard(unit) => format!("store discard unit={}", unit.0),
        StoreOp::Subscription(name) => format!("store {label} subscription {name}"),
        StoreOp::ReadEvents { module, after, patterns, limit, bytes_max: _ } => {
            let patterns: Vec<&str> = patterns.iter().map(|pattern| pattern.as_str()).collect();
            format!("store {label} read {module} after={after} patterns={} limit={limit}", patterns.join(","))
        }
        StoreOp::Advance { module, cursor, missed: 0 } => format!("store {label} advance {module}@{cursor}"),
        StoreOp::Advance { module, cursor, missed } => {
            format!("store {label} advance {module}@{cursor} missed={missed}")
        }
        StoreOp::SetAside { module, cursor, attempts, error } => {
            format!("store {label} set-aside {module}@{cursor} attempts={attempts} {error:?}")
        }
        StoreOp::Interrupt => format!("store {label} interrupt"),
    }
}
