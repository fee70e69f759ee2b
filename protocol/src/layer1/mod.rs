//! The grammar of Layer 1: what the payloads of a `query`, a `mutation` and a `command` to `layer1` may say.
//!
//! A payload is read here once, whole, and becomes a [`Query`] or a [`Mutation`], or a [`Fault`] that
//! names the path inside the payload, what was expected there and what was found. What an entity
//! holds stays the text that it came as: [`Data`] is checked and freed of white space, no more, so
//! numbers keep their digits and members their order.
//!
//! Nothing here knows SQL, files or permissions. [`Query::needs`] and [`Mutation::needs`] say what a
//! payload touches; the permissions are checked elsewhere.

mod command;
mod data;
mod fault;
mod fields;
mod filter;
mod id;
mod include;
pub mod limits;
mod mutation;
mod need;
mod order;
mod patch;
mod path;
mod query;
mod search;
mod store;
#[cfg(test)]
mod tests;
mod value;

pub use command::Command;
pub use data::Data;
pub use fault::Fault;
pub use filter::{Comparison, Condition, Filter};
pub use id::{EntityId, EntityName};
pub use include::Include;
pub use mutation::{Change, Form, Mutation, Operation};
pub use need::{Action, Need};
pub use order::{Direction, Order};
pub use path::{Column, MemberPath, Path};
pub use query::{Count, Many, Query, Selection};
pub use search::{Ending, Search, Term};
pub use store::{CommitNumber, Cursor, EntityState, KeyState, NewEvent, StoredEvent, UnitId};
pub use value::Value;
