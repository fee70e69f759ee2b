//! The research log: logs of typed, tagged entries, kept in the host's data store.
//!
//! The module keeps nothing itself, neither a file nor, but for the names of logs that were just used, anything in
//! memory: what it acknowledged is in the store, and what was in progress when it crashed is undone. The host does a
//! request with a key once. It deliberately has no updates and no deletions.
//!
//! Layer 1 has three types of it: `ResearchLog`, `ResearchEntry`, whose `log` is the id of its log,
//! and one `ResearchBook`, which says which log is the active one. Ids are the store's.
//!
//! The same code is a program, by `main.rs`, and a shared library, by [`bulkhead_module::export!`].

#![forbid(unsafe_code)]

mod analyze;
mod changes;
mod export;
mod limits;
mod logs;
mod record;
mod select;

use bulkhead_module::{Context, Description, Error, Init, Json, Module, arguments, configuration, log};
use serde::Deserialize;
use std::path::Path;

/// The module's value.
pub struct ResearchLog {
    config: Config,
    logs: logs::Known,
    frame_bytes_max: usize,
}

/// The `[config]` of the manifest.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// The template of logs that name none.
    default_template: record::Template,
    /// The default researcher.
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
            .idempotent(
                "query_logs",
                "{log?, type?, tag?, researcher?, search?, text?, since?, until?, order?, limit?, after?}",
            )
            .idempotent("analyze_activity", "the same filters: counts by type, tag, researcher, log and day")
            .idempotent("export_data", "{format: json|csv|markdown, spreadsheet_safe?} and the same filters")
    }

    fn init(init: &Init) -> Result<Self, Error> {
        let config: Config = configuration(init)?;
        if let Some(name) = &config.default_researcher {
            limits::researcher(name).map_err(Error::permanent)?;
        }
        let journal = Path::new(&init.data_dir).join("journal.jsonl");
        if !init.data_dir.is_empty() && journal.exists() {
            let journal = journal.display();
            log!(warn, "{journal} is of an earlier form of this module and is not read; entries are in layer1 now");
        }
        Ok(ResearchLog { config, logs: logs::Known::default(), frame_bytes_max: init.limits.frame_bytes_max })
    }

    fn command(&mut self, ctx: &mut Context<'_>, name: &str, args: &Json) -> Result<Json, Error> {
        // What an answer may have, with room for what is around it.
        let bytes_max = self.frame_bytes_max - 4096;
        match name {
            "create_log" => changes::create_log(&self.config, ctx, args),
            "add_entry" => changes::add_entry(&mut self.logs, &self.config, ctx, args),
            "set_active_log" => changes::set_active_log(ctx, args),
            "query_logs" => select::query(ctx, arguments(args)?, bytes_max),
            "analyze_activity" => analyze::analyze(ctx, arguments(args)?),
            "export_data" => export::export(ctx, arguments(args)?, bytes_max),
            other => Err(Error::unknown_command(other)),
        }
    }

    fn event(&mut self, ctx: &mut Context<'_>, event: &str, data: &Json) -> Result<(), Error> {
        match event {
            "research_session.started" => changes::open_session(&self.config, ctx, data),
            _ => Ok(()),
        }
    }
}

bulkhead_module::export!(ResearchLog);

#[cfg(test)]
mod tests;
