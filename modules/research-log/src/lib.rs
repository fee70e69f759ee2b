//! The research log: logs of typed, tagged entries, kept in a journal that survives any crash.
//!
//! A change that was answered is on the disk. A request with a key is done once, however often it
//! comes. It deliberately has no updates and no deletions: a log book is written forward.
//!
//! The same code is a program, by `main.rs`, and a shared library, by [`bulkhead_module::export!`].

#![forbid(unsafe_code)]

mod analyze;
mod changes;
mod export;
mod index;
mod journal;
mod limits;
mod record;
mod select;
mod store;

use crate::store::Store;
use bulkhead_module::{Barrier, Context, Description, Error, Init, Json, Module, arguments, configuration, log};
use serde::Deserialize;
use std::path::Path;

/// The module's value: the journal and what is known of it.
pub struct ResearchLog {
    store: Store,
    config: Config,
    frame_bytes_max: usize,
}

/// The `[config]` of the manifest.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// The template of logs that name none.
    default_template: record::Template,
    /// Who writes where nobody says so.
    default_researcher: Option<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config { default_template: record::Template::Standard, default_researcher: None }
    }
}

impl Module for ResearchLog {
    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .command("create_log", "{title, researcher?, tags?, description?, template?, activate?}")
            .command("add_entry", "{text, type?, log?, tags?, references?, researcher?, time?}")
            .idempotent("set_active_log", "{log}: where entries go that name no log")
            .idempotent("query_logs", "{log?, type?, tag?, researcher?, text?, since?, until?, order?, limit?, after?}")
            .idempotent("analyze_activity", "the same filters: counts by type, tag, researcher, log and day")
            .idempotent("export_data", "{format: json|csv|markdown, spreadsheet_safe?} and the same filters")
            .keys()
            .batch_answers()
    }

    fn init(init: &Init) -> Result<Self, Error> {
        let config: Config = configuration(init)?;
        if let Some(name) = &config.default_researcher {
            limits::researcher(name).map_err(Error::permanent)?;
        }
        let store = Store::open(Path::new(&init.data_dir))?;
        log!(info, "{} logs with {} entries", store.index.logs.len(), store.index.entries.len());
        Ok(ResearchLog { store, config, frame_bytes_max: init.limits.frame_bytes_max })
    }

    fn command(&mut self, ctx: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
        // What an answer may have, with room for what is around it.
        let bytes_max = self.frame_bytes_max - 4096;
        match name {
            "create_log" => changes::create_log(&mut self.store, &self.config, ctx, args),
            "add_entry" => changes::add_entry(&mut self.store, &self.config, ctx, args),
            "set_active_log" => changes::set_active_log(&mut self.store, ctx, args),
            "query_logs" => select::query(self.store.read()?, arguments(args)?, bytes_max),
            "analyze_activity" => analyze::analyze(self.store.read()?, arguments(args)?),
            "export_data" => export::export(self.store.read()?, arguments(args)?, bytes_max),
            other => Err(Error::unknown_command(other)),
        }
    }

    fn event(&mut self, ctx: &mut Context<'_>, event: &str, data: &Json) -> Result<(), Error> {
        match event {
            "research_session.started" => changes::open_session(&mut self.store, &self.config, ctx, data),
            _ => Ok(()),
        }
    }

    fn barrier(&self) -> Option<Barrier> {
        Some(self.store.barrier())
    }
}

bulkhead_module::export!(ResearchLog);

#[cfg(test)]
mod tests;
