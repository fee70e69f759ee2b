//! What the attribute [`module`](macro@crate::module) is made of: the schemas of what methods take and return, the
//! reading of what came by them, and the sentences in which it is refused. Only the macro's code uses it.

mod answer;
mod arguments;
mod check;
mod command;
mod declared;
mod fits;
mod number;
mod quote;
mod refusal;
mod rewrite;
mod schema;
mod shape;
mod value;

pub use answer::{Answer, Done, Made, Outcome};
pub use arguments::{Arguments, whole};
pub use command::{Command, Example, Parameter, Presence, Source, TakesSource, Whole};
pub use declared::{Declared, Payload};
pub use schema::SchemaOf;
pub use value::{Argument, AsSent, Described};

#[cfg(test)]
mod tests;
