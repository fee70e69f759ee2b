//! The commands that change something, and the event that does. All changes of one of them are committed together with
//! its answer, or not at all.

use crate::logs::{Book, Known};
use crate::record::{ENTRY, Entry, EntryType, LOG, Log, ShownLog, Template};
use crate::{Config, limits, logs, select};
use bulkhead_module::layer1::{Entity, Query};
use bulkhead_module::{Context, Error, Json, json};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct CreateLog {
    /// One line, which no other log has as its title.
    title: String,
    /// Who writes where an entry names no researcher; the configuration has a default.
    researcher: Option<String>,
    /// What the log is about, in words without `;`.
    #[serde(default)]
    tags: Vec<String>,
    /// What the log is about, in a text.
    description: Option<String>,
    /// Suggests sections; the configuration has a default.
    template: Option<Template>,
    /// Whether entries that name no log go here from now on; without it, they do.
    activate: Option<bool>,
}

/// The answer to `create_log`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Created {
    log: ShownLog,
    /// Whether entries that name no log go here.
    active: bool,
}

pub(crate) fn create_log(config: &Config, ctx: &mut Context<'_>, wanted: CreateLog) -> Result<Created, Error> {
    create(config, ctx, wanted, None)
}

fn create(
    config: &Config,
    ctx: &mut Context<'_>,
    wanted: CreateLog,
    session: Option<String>,
) -> Result<Created, Error> {
    limits::title(&wanted.title)?;
    wanted.description.as_deref().map_or(Ok(()), limits::description)?;
    wanted.researcher.as_deref().map_or(Ok(()), limits::researcher)?;
    let tags = limits::tags(wanted.tags)?;
    let template = wanted.template.unwrap_or(config.default_template);
    let book = logs::book(ctx)?;
    let Book { active, logs } = book.clone().unwrap_or_default();
    if logs >= limits::LOGS_MAX {
        return Err(Error::failed(format!("there are {logs} logs already, which is the limit")));
    }
    if let Some(Entity { id, data, .. }) = logs::titled(ctx, &wanted.title)? {
        let sentence = format!("{id} has the title {:?} already", data.title);
        return Err(Error::conflict(sentence).with_data(json!({ "log": id })));
    }
    let log = Log {
        title: wanted.title,
        description: wanted.description,
        researcher: wanted.researcher.or_else(|| config.default_researcher.clone()),
        tags,
        template,
        sections: template.sections(),
        session,
        created: Timestamp::now(),
    };
    let id = ctx.create(LOG, &log)?.id;
    let activate = wanted.activate.unwrap_or(true);
    let active = if activate { Some(id.clone()) } else { active };
    logs::write_book(ctx, book.as_ref(), &Book { active, logs: logs + 1 })?;
    ctx.emit("research_log.created", json!({ "log": id, "title": log.title, "researcher": log.researcher }))?;
    Ok(Created { log: ShownLog { id, log }, active: activate })
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct NewEntry {
    /// What the entry says.
    text: String,
    #[serde(default, rename = "type")]
    kind: EntryType,
    /// The id of the log, or its title; the active log without it.
    log: Option<String>,
    /// What the entry is about, in words without `;`.
    #[serde(default)]
    tags: Vec<String>,
    /// What the entry refers to, each one line.
    #[serde(default)]
    references: Vec<String>,
    /// Who writes; that of the log without it.
    researcher: Option<String>,
    /// When it was, as `2026-03-01T12:00:00Z` or `2026-03-01`; now without it.
    time: Option<String>,
}

/// The answer to `add_entry`, and the event.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Added {
    id: String,
    log: String,
    #[schemars(with = "String")]
    time: Timestamp,
    #[serde(rename = "type")]
    kind: EntryType,
}

pub(crate) fn add_entry(
    known: &mut Known,
    config: &Config,
    ctx: &mut Context<'_>,
    wanted: NewEntry,
) -> Result<Added, Error> {
    limits::text(&wanted.text)?;
    wanted.researcher.as_deref().map_or(Ok(()), limits::researcher)?;
    let tags = limits::tags(wanted.tags)?;
    let references = limits::references(wanted.references)?;
    let time = match &wanted.time {
        Some(time) => select::moment("time", time)?,
        None => select::kept(Timestamp::now()),
    };
    let log = match &wanted.log {
        Some(name) => known.named(ctx, name)?,
        None => known.active(ctx)?,
    };
    let entry = Entry {
        log: log.id,
        kind: wanted.kind,
        time,
        researcher: wanted.researcher.or(log.researcher).or_else(|| config.default_researcher.clone()),
        tags,
        references,
        text: wanted.text,
    };
    let id = ctx.create(ENTRY, &entry)?.id;
    let added = Added { id, log: entry.log, time: entry.time, kind: entry.kind };
    ctx.emit("research_log.entry_added", Json::of(&added))?;
    Ok(added)
}

/// The answer to `set_active_log`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Activated {
    active: ActiveLog,
}

#[derive(Serialize, JsonSchema)]
struct ActiveLog {
    id: String,
    title: String,
}

pub(crate) fn set_active_log(ctx: &mut Context<'_>, log: &str) -> Result<Activated, Error> {
    let Entity { id, data, .. } = logs::named(ctx, log)?;
    logs::activate(ctx, &id)?;
    Ok(Activated { active: ActiveLog { id, title: data.title } })
}

/// What is read of `research_session.started`. The event is another module's: its other members are ignored.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Started {
    #[serde(alias = "session_id", alias = "id")]
    session: Value,
    title: Option<String>,
    researcher: Option<String>,
}

/// Opens a log for a research session and makes it the active one. Another event may name the same
/// session: its log is opened once.
pub(crate) fn open_session(config: &Config, ctx: &mut Context<'_>, started: Started) -> Result<(), Error> {
    let Started { session, title, researcher } = started;
    let session = session.as_str().map_or_else(|| session.to_string(), str::to_owned);
    let opened = ctx.find::<Log>(&Query::of(LOG).eq("session", &session).limit(1))?;
    if let Some(log) = opened.entities.first() {
        return logs::activate(ctx, &log.id);
    }
    let mut title = title.unwrap_or_else(|| format!("Session {session}"));
    if logs::titled(ctx, &title)?.is_some() {
        title = format!("{title} ({session})");
    }
    let wanted =
        CreateLog { title, description: None, researcher, tags: Vec::new(), template: None, activate: Some(true) };
    create(config, ctx, wanted, Some(session)).map(drop)
}
