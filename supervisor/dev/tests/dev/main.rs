//! `bulkhead dev` with real modules, saves, builds, signals and a daemon.

mod builds;
mod ends;
mod files;
mod reloads;
mod support;
