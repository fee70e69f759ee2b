//! How many bytes a value makes the process hold: what its pointers refer to, as it lies in memory.
//! Every bound on what waits counts these, and not the length of the text that something came as: a
//! number of two characters is a value of 32 bytes once it was read.
//!
//! What is shared is counted by each that holds it, since either may be the last. What is too much is not
//! decided here.

use crate::{
    Command, Failure, Json, Pattern, Request, RequestType, Response, Status,
    layer1::{
        Change, Condition, EntityId, EntityName, Filter, Include, Many, MemberPath, Mutation, Operation, Order, Path,
        Search, Selection, Term, Value,
    },
    message::Exit,
};
use std::sync::Arc;

/// What the allocator adds to each allocation.
const ALLOCATION_OVERHEAD_BYTES: usize = 8;

/// To a multiple of what an allocation's size is rounded up.
const ALLOCATION_ROUNDED_BYTES: usize = 16;

/// The least that an allocation takes.
const ALLOCATION_BYTES_MIN: usize = 32;

/// The two counts that an [`Arc`] stores before what it shares.
const COUNTS_BYTES: usize = 2 * size_of::<usize>();

/// What an allocation of so many bytes takes; nothing is allocated for none.
pub const fn allocation(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let rounded = bytes.saturating_add(ALLOCATION_OVERHEAD_BYTES).next_multiple_of(ALLOCATION_ROUNDED_BYTES);
    if rounded < ALLOCATION_BYTES_MIN { ALLOCATION_BYTES_MIN } else { rounded }
}

/// A value that knows what it makes the process hold.
pub trait HeldBytes {
    /// The bytes that its pointers refer to. Those of the value itself are counted by its holder.
    fn held_bytes(&self) -> usize;
}

impl HeldBytes for String {
    fn held_bytes(&self) -> usize {
        allocation(self.capacity())
    }
}

impl HeldBytes for Box<str> {
    fn held_bytes(&self) -> usize {
        allocation(self.len())
    }
}

impl HeldBytes for Arc<str> {
    fn held_bytes(&self) -> usize {
        allocation(COUNTS_BYTES + self.len())
    }
}

impl HeldBytes for Arc<String> {
    fn held_bytes(&self) -> usize {
        allocation(COUNTS_BYTES + size_of::<String>()) + allocation(self.capacity())
    }
}

impl<T: HeldBytes> HeldBytes for Vec<T> {
    fn held_bytes(&self) -> usize {
        allocation(self.capacity() * size_of::<T>()) + self.iter().map(T::held_bytes).sum::<usize>()
    }
}

impl<T: HeldBytes> HeldBytes for Option<T> {
    fn held_bytes(&self) -> usize {
        self.as_ref().map_or(0, T::held_bytes)
    }
}

impl<T: HeldBytes> HeldBytes for Box<T> {
    fn held_bytes(&self) -> usize {
        allocation(size_of::<T>()) + T::held_bytes(self)
    }
}

impl<A: HeldBytes, B: HeldBytes> HeldBytes for (A, B) {
    fn held_bytes(&self) -> usize {
        self.0.held_bytes() + self.1.held_bytes()
    }
}

impl HeldBytes for Pattern {
    fn held_bytes(&self) -> usize {
        allocation(self.as_str().len())
    }
}

impl HeldBytes for RequestType {
    fn held_bytes(&self) -> usize {
        match self {
            RequestType::Unknown(name) => name.held_bytes(),
            RequestType::Init
            | RequestType::Command
            | RequestType::Query
            | RequestType::Mutation
            | RequestType::Event
            | RequestType::Ping
            | RequestType::Cancel
            | RequestType::Shutdown => 0,
        }
    }
}

impl HeldBytes for Command {
    fn held_bytes(&self) -> usize {
        self.name.held_bytes() + self.description.held_bytes() + self.details.held_bytes()
    }
}

impl HeldBytes for Request {
    fn held_bytes(&self) -> usize {
        self.payload.held_bytes() + self.kind.held_bytes() + self.to.held_bytes() + self.key.held_bytes()
    }
}

impl HeldBytes for Exit {
    fn held_bytes(&self) -> usize {
        match self {
            Exit::Code(_) => 0,
            Exit::Signal(name) => name.held_bytes(),
        }
    }
}

impl HeldBytes for Failure {
    fn held_bytes(&self) -> usize {
        let texts = self.error.held_bytes() + self.stderr.held_bytes() + self.module_code.held_bytes();
        texts + self.exit.held_bytes() + self.data.held_bytes()
    }
}

impl HeldBytes for Status {
    fn held_bytes(&self) -> usize {
        match self {
            Status::Progress(data) | Status::Success(data) => data.held_bytes(),
            Status::Error(failure) => failure.held_bytes(),
        }
    }
}

impl HeldBytes for Response {
    fn held_bytes(&self) -> usize {
        self.status.held_bytes()
    }
}

impl HeldBytes for EntityName {
    fn held_bytes(&self) -> usize {
        allocation(COUNTS_BYTES + self.as_str().len())
    }
}

impl HeldBytes for EntityId {
    fn held_bytes(&self) -> usize {
        0
    }
}

impl HeldBytes for crate::layer1::Data {
    fn held_bytes(&self) -> usize {
        allocation(COUNTS_BYTES + self.as_str().len())
    }
}

impl HeldBytes for MemberPath {
    fn held_bytes(&self) -> usize {
        self.held()
    }
}

impl HeldBytes for Path {
    fn held_bytes(&self) -> usize {
        match self {
            Path::Column(_) => 0,
            Path::Member(path) => path.held_bytes(),
        }
    }
}

impl HeldBytes for Value {
    fn held_bytes(&self) -> usize {
        match self {
            Value::Null | Value::Integer(_) | Value::Real(_) | Value::Boolean(_) => 0,
            Value::Text(text) | Value::Composite(text) => text.held_bytes(),
        }
    }
}

impl HeldBytes for Condition {
    fn held_bytes(&self) -> usize {
        match self {
            Condition::Equal(value)
            | Condition::NotEqual(value)
            | Condition::Compare(_, value)
            | Condition::Contains(value) => value.held_bytes(),
            Condition::In(values) => values.held_bytes(),
            Condition::Exists | Condition::Missing => 0,
        }
    }
}

impl HeldBytes for Filter {
    fn held_bytes(&self) -> usize {
        self.path.held_bytes() + self.conditions.held_bytes()
    }
}

impl HeldBytes for Term {
    fn held_bytes(&self) -> usize {
        self.text.held_bytes()
    }
}

impl HeldBytes for Search {
    fn held_bytes(&self) -> usize {
        self.wanted.held_bytes() + self.unwanted.held_bytes()
    }
}

impl HeldBytes for Order {
    fn held_bytes(&self) -> usize {
        self.by.held_bytes()
    }
}

impl HeldBytes for Include {
    fn held_bytes(&self) -> usize {
        self.entity.held_bytes() + self.field.held_bytes() + self.name.held_bytes()
    }
}

impl HeldBytes for Many {
    fn held_bytes(&self) -> usize {
        let chosen = self.filters.held_bytes() + self.search.held_bytes();
        chosen + self.order.held_bytes() + self.after.held_bytes()
    }
}

impl HeldBytes for Selection {
    fn held_bytes(&self) -> usize {
        match self {
            Selection::One(_) => 0,
            Selection::Many(many) => many.held_bytes(),
        }
    }
}

impl HeldBytes for Change {
    fn held_bytes(&self) -> usize {
        match self {
            Change::Create { data, .. } | Change::Update { patch: data, .. } => data.held_bytes(),
            Change::Delete { .. } => 0,
        }
    }
}

impl HeldBytes for Operation {
    fn held_bytes(&self) -> usize {
        self.entity.held_bytes() + self.change.held_bytes()
    }
}

impl HeldBytes for Mutation {
    fn held_bytes(&self) -> usize {
        self.operations.held_bytes()
    }
}

impl HeldBytes for Json {
    fn held_bytes(&self) -> usize {
        self.held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_takes_what_the_allocator_makes_of_it() {
        for (asked, taken) in [(0, 0), (1, 32), (24, 32), (25, 48), (40, 48), (41, 64), (1000, 1008)] {
            assert_eq!(allocation(asked), taken, "{asked}");
        }
        assert!(allocation(usize::MAX - 64) >= usize::MAX - 64);
    }
}
