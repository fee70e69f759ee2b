//! One file for each group of tables: the statements that read and write them, and nothing that decides
//! when.

pub(crate) mod clock;
pub(crate) mod entities;
pub(crate) mod epochs;
pub(crate) mod event_quota;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod names;
pub(crate) mod set_aside;
pub(crate) mod subscriptions;
pub(crate) mod usage;
