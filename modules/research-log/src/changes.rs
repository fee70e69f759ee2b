//! The commands that change something, and the event that does.

use crate::index::{Index, entry_id, log_id};
use crate::limits;
use crate::record::{Change, Entry, EntryType, Log, Template};
use crate::store::Store;
use crate::{Config, select};
use bulkhead_module::{Context, Error, Json, arguments, json};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct CreateLog {
    title: String,
    description: Option<String>,
    researcher: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    template: Option<Template>,
    /// Whether entries that name no log go here from now on; they do unless said otherwise.
    activate: Option<bool>,
}

pub(crate) fn create_log(
    store: &mut Store,
    config: &Config,
    ctx: &mut Context<'_>,
    args: &Json,
) -> Result<Json, Error> {
    let asked = digest("create_log", args)?;
    let wanted: CreateLog = arguments(args)?;
    create(store, config, ctx, asked, wanted, None)
}

fn create(
    store: &mut Store,
    config: &Config,
    ctx: &mut Context<'_>,
    asked: u128,
    wanted: CreateLog,
    session: Option<String>,
) -> Result<Json, Error> {
    limits::title(&wanted.title)?;
    wanted.description.as_deref().map_or(Ok(()), limits::description)?;
    wanted.researcher.as_deref().map_or(Ok(()), limits::researcher)?;
    let tags = limits::tags(wanted.tags)?;
    let template = wanted.template.unwrap_or(config.default_template);
    let change = store.change(ctx.key(), asked, |index| {
        if index.logs.len() >= limits::LOGS_MAX {
            return Err(Error::failed(format!("there are {} logs already, which is the limit", index.logs.len())));
        }
        if let Some(log) = index.logs.iter().find(|log| log.title == wanted.title) {
            let sentence = format!("{} has the title {:?} already", log.id, log.title);
            return Err(Error::conflict(sentence).with_data(json!({ "log": log.id })));
        }
        let id = log_id(index.logs.len());
        let active = wanted.activate.unwrap_or(true).then(|| id.clone());
        let log = Log {
            id,
            title: wanted.title,
            description: wanted.description,
            researcher: wanted.researcher.or_else(|| config.default_researcher.clone()),
            tags,
            template,
            sections: template.sections(),
            session,
            created: Timestamp::now(),
        };
        Ok(Change { log: Some(log), active, ..Change::default() })
    })?;
    let Change { log: Some(log), active, .. } = change else { return Err(other_change()) };
    // Also when the key was known: the process may have died between the journal and the event.
    ctx.emit("research_log.created", json!({ "log": log.id, "title": log.title, "researcher": log.researcher }))?;
    Ok(json!({ "log": log, "active": active.is_some() }))
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

pub(crate) fn add_entry(store: &mut Store, config: &Config, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let asked = digest("add_entry", args)?;
    let wanted: AddEntry = arguments(args)?;
    limits::text(&wanted.text)?;
    wanted.researcher.as_deref().map_or(Ok(()), limits::researcher)?;
    let tags = limits::tags(wanted.tags)?;
    let references = limits::references(wanted.references)?;
    let time = wanted.time.as_deref().map(|time| select::moment("time", time)).transpose()?;
    let change = store.change(ctx.key(), asked, |index| {
        let at = match &wanted.log {
            Some(name) => select::log_named(index, name)?,
            None => index.active.ok_or_else(|| {
                Error::not_found(
                    "no log is active; name one, choose one with set_active_log, or begin one with create_log",
                )
            })?,
        };
        let log = &index.logs[at];
        let researcher =
            wanted.researcher.or_else(|| log.researcher.clone()).or_else(|| config.default_researcher.clone());
        let entry = Entry {
            id: entry_id(index.entries.len()),
            log: log.id.clone(),
            kind: wanted.kind,
            time: time.unwrap_or_else(Timestamp::now),
            researcher,
            tags,
            references,
            text: wanted.text,
        };
        Ok(Change { entry: Some(entry), ..Change::default() })
    })?;
    let Some(entry) = change.entry else { return Err(other_change()) };
    let said = json!({ "id": entry.id, "log": entry.log, "type": entry.kind, "time": entry.time });
    ctx.emit("research_log.entry_added", said.clone())?;
    Ok(said)
}

pub(crate) fn set_active_log(store: &mut Store, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct SetActive {
        log: String,
    }
    let asked = digest("set_active_log", args)?;
    let SetActive { log } = arguments(args)?;
    let change = store.change(ctx.key(), asked, |index| activation(index, select::log_named(index, &log)?))?;
    let at = change.active.and_then(|id| store.index.log_by_id(&id)).ok_or_else(other_change)?;
    let log = &store.index.logs[at];
    Ok(json!({ "active": { "id": log.id, "title": log.title } }))
}

fn activation(index: &Index, at: usize) -> Result<Change, Error> {
    Ok(Change { active: Some(index.logs[at].id.clone()), ..Change::default() })
}

/// Opens a log for a research session and makes it the active one. An event may come twice: the
/// log of a session is opened once.
pub(crate) fn open_session(
    store: &mut Store,
    config: &Config,
    ctx: &mut Context<'_>,
    data: &Json,
) -> Result<(), Error> {
    // The event is another module's: what it says beyond this is not our business.
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
    let index = &store.read()?.index;
    if let Some(at) = index.logs.iter().position(|log| log.session.as_ref() == Some(&session)) {
        return store.change(None, 0, |index| activation(index, at)).map(drop);
    }
    let mut title = title.unwrap_or_else(|| format!("Session {session}"));
    if index.logs.iter().any(|log| log.title == title) {
        title = format!("{title} ({session})");
    }
    let wanted =
        CreateLog { title, description: None, researcher, tags: Vec::new(), template: None, activate: Some(true) };
    create(store, config, ctx, 0, wanted, Some(session)).map(drop)
}

/// Tells one request from another under the same key. It guards against mistakes, not against
/// people who look for collisions: FNV-1a with 128 bits over the arguments in a fixed order.
fn digest(command: &str, args: &Json) -> Result<u128, Error> {
    let value: Value = args.read()?;
    let mut text = format!("{command} ");
    canonical(&value, &mut text);
    Ok(text.bytes().fold(0x6c62272e07bb014262b821756295c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000000001000000000000000000013b)
    }))
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            out.push('{');
            for name in names {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(&members[name], out);
                out.push(',');
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn other_change() -> Error {
    Error::conflict("another request was done under this key already")
}
