//! The commands that change something, and the event that does. All changes of one of them are committed together with
//! its answer, or not at all.

use crate::logs::{Book, Known};
use crate::record::{ENTRY, Entry, EntryType, LOG, Log, ShownLog, Template};
use crate::{Config, limits, logs, select};
use bulkhead_module::layer1::{Entity, Query};
use bulkhead_module::{Context, Error, Json, arguments, json};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
struct CreateLog {
    title: String,
    description: Option<String>,
    researcher: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    template: Option<Template>,
    /// Whether entries that name no log go here from now on; by default they do.
    activate: Option<bool>,
}

pub(crate) fn create_log(config: &Config, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    create(config, ctx, arguments(args)?, None)
}

fn create(config: &Config, ctx: &mut Context<'_>, wanted: CreateLog, session: Option<String>) -> Result<Json, Error> {
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
    #[derive(Serialize)]
    struct Created<'a> {
        log: ShownLog<'a>,
        active: bool,
    }
    Ok(Json::of(&Created { log: ShownLog { id: &id, log: &log }, active: activate }))
}

#[derive(Deserialize)]
struct AddEntry {
    text: String,
    #[serde(default, rename = "type")]
    kind: EntryType,
    log: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
    researcher: Option<String>,
    time: Option<String>,
}

pub(crate) fn add_entry(known: &mut Known, config: &Config, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let wanted: AddEntry = arguments(args)?;
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
    let said = json!({ "id": id, "log": entry.log, "type": entry.kind, "time": entry.time });
    ctx.emit("research_log.entry_added", said.clone())?;
    Ok(said)
}

pub(crate) fn set_active_log(ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct SetActive {
        log: String,
    }
    let SetActive { log } = arguments(args)?;
    let Entity { id, data, .. } = logs::named(ctx, &log)?;
    logs::activate(ctx, &id)?;
    Ok(json!({ "active": { "id": id, "title": data.title } }))
}

/// Opens a log for a research session and makes it the active one. Another event may name the same
/// session: its log is opened once.
pub(crate) fn open_session(config: &Config, ctx: &mut Context<'_>, data: &Json) -> Result<(), Error> {
    // The event is another module's: its other members are ignored.
    #[derive(Deserialize)]
    struct Started {
        #[serde(alias = "session_id", alias = "id")]
        session: Value,
        title: Option<String>,
        researcher: Option<String>,
    }
    let Started { session, title, researcher } = data.read().map_err(|error| {
        Error::bad_request(format!("expected research_session.started with a \"session\": {error}"))
    })?;
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
