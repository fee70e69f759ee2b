//! The cases that run with each sample. A case is a function that takes the sample and panics where the module does not
//! do what every module must; the table in [`crate`] says what it needs.

pub(crate) mod calls;
pub(crate) mod endings;
pub(crate) mod environment;
pub(crate) mod errors;
pub(crate) mod lifecycle;
pub(crate) mod many;
pub(crate) mod messages;
pub(crate) mod size;
pub(crate) mod values;
pub(crate) mod waiting;
