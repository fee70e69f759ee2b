//! `bulkhead dev` with real modules, saves, builds, signals and a daemon.

mod builds;
mod debug;
mod ends;
mod files;
mod messages;
mod reloads;
mod support;
