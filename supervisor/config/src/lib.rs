//! The files of Bulkhead: `module.toml` of each module and `bulkhead.toml` of the host, read,
//! checked whole, and explained value by value.
//!
//! [`HostConfig::load`] reads everything and either returns a [`Loaded`], in which each value is in its bounds and
//! knows where it came from, or [`Problems`], which names every fault at once with file, line and column. A module with
//! a fault does not hinder the others: it is in [`Loaded::faulty`] instead of [`Loaded::modules`]. A program that
//! embeds the host builds the same types without files: [`ModuleConfig::process`] and its like, and
//! [`HostConfig::new`].
//!
//! This crate deliberately starts no process, creates no file and keeps nothing between two calls:
//! to reload is to load again and to compare. `docs/configuration.md` is the same for people.

#![forbid(unsafe_code)]

mod candidate;
mod cross_checks;
mod dev;
mod document;
mod embed;
mod environment;
mod faulty;
mod file_type;
mod files;
mod fill;
mod folders;
mod host;
mod index;
mod keys;
mod kind;
mod layer1;
mod length;
mod load;
mod manifest;
mod meanings;
mod module;
mod origin;
mod problem;
mod program;
mod read;
mod rules;
mod schema;
mod setting;
mod show;
mod suggestions;
mod trust;
mod units;

pub use bulkhead_core::Policy as RestartPolicy;
pub use bulkhead_protocol::OnPanic;
pub use dev::Dev;
pub use environment::{Environment, Paths};
pub use faulty::{Faulty, PassedOver};
pub use files::InProgress;
pub use host::{Flags, HostConfig, Loaded, LogLevel, Logs, Restarts};
pub use index::Index;
pub use kind::{Folder, Line, ModuleKind, OnLimit, Transport, Wasi};
pub use layer1::{Declarations, Declared, Layer1};
pub use module::{Capabilities, Debugger, INHERITED_ENVIRONMENT, Limits, ModuleConfig, Resources, Restart};
pub use origin::{Origin, Origins};
pub use problem::{Problem, Problems};
pub use schema::{SchemaOf, schema};
pub use show::show;
pub use suggestions::nearest;
pub use trust::{TrustError, Use, Writers, check_own, check_trust};
pub use units::{format_duration, parse_duration};
