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

use analyze::Activity;
use bulkhead_module::{Context, Error, Init, log, module};
use changes::{Activated, Added, CreateLog, Created, NewEntry, Started};
use export::{Export, Exported};
use schemars::JsonSchema;
use select::{Filter, Page};
use serde::Deserialize;
use std::path::Path;

/// The module's value.
pub struct ResearchLog {
    config: Config,
    logs: logs::Known,
    frame_bytes_max: usize,
}

/// The `[config]` of the manifest.
#[derive(Debug, Deserialize, JsonSchema)]
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

/// A research diary: logs of typed, tagged entries.
#[module]
impl ResearchLog {
    #[init]
    fn start(init: &Init, config: Config) -> Result<ResearchLog, Error> {
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

    /// Begins a log.
    #[command]
    fn create_log(&self, ctx: &mut Context<'_>, #[arguments] wanted: CreateLog) -> Result<Created, Error> {
        changes::create_log(&self.config, ctx, wanted)
    }

    /// Writes an entry.
    #[command]
    #[example(args = {"text": "more sugar, more foam", "type": "observation", "tags": ["sugar"]})]
    fn add_entry(&mut self, ctx: &mut Context<'_>, #[arguments] wanted: NewEntry) -> Result<Added, Error> {
        changes::add_entry(&mut self.logs, &self.config, ctx, wanted)
    }

    /// Chooses where entries go that name no log.
    #[command(idempotent)]
    fn set_active_log(
        ctx: &mut Context<'_>,
        /// The id of the log, or its title.
        log: &str,
    ) -> Result<Activated, Error> {
        changes::set_active_log(ctx, log)
    }

    /// Reads entries, page by page.
    #[command(idempotent)]
    #[example(args = {"type": ["question", "hypothesis"], "since": "2026-03-01", "order": "newest"})]
    fn query_logs(&self, ctx: &mut Context<'_>, #[arguments] filter: Filter) -> Result<Page, Error> {
        select::query(ctx, filter, self.answer_bytes_max())
    }

    /// Counts entries by type, tag, researcher, log and day.
    #[command(idempotent)]
    fn analyze_activity(ctx: &mut Context<'_>, #[arguments] filter: Filter) -> Result<Activity, Error> {
        analyze::analyze(ctx, filter)
    }

    /// Gives entries as JSON, CSV or Markdown.
    #[command(idempotent)]
    #[example(args = {"format": "csv", "limit": 1})]
    fn export_data(&self, ctx: &mut Context<'_>, #[arguments] wanted: Export) -> Result<Exported, Error> {
        export::export(ctx, wanted, self.answer_bytes_max())
    }

    #[event("research_session.started")]
    fn open_session(&self, ctx: &mut Context<'_>, session: Started) -> Result<(), Error> {
        changes::open_session(&self.config, ctx, session)
    }

    /// What an answer may have, with room for what is around it.
    fn answer_bytes_max(&self) -> usize {
        self.frame_bytes_max - 4096
    }
}

bulkhead_module::export!(ResearchLog);

#[cfg(test)]
mod tests;
