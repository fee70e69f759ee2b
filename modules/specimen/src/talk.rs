//! The commands that speak with the host while they work, or answer what it reported about the request.

use crate::{Event, Specimen};
use bulkhead_module::{Context, Error, Json, arguments, json, log};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub(crate) fn key(_: &mut Specimen, ctx: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    Ok(json!({ "key": ctx.key() }))
}

pub(crate) fn deadline(_: &mut Specimen, ctx: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    Ok(json!({ "deadline_ms": ctx.deadline().map(|left| left.as_millis() as u64) }))
}

pub(crate) fn fail(_: &mut Specimen, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Fail {
        code: String,
        message: String,
        #[serde(default)]
        retryable: bool,
        data: Option<Json>,
    }
    let Fail { code, message, retryable, data } = arguments(args)?;
    let mut error = Error::custom(&code, message);
    if retryable {
        error = error.retryable();
    }
    Err(match data {
        Some(data) => error.with_data(data),
        None => error,
    })
}

pub(crate) fn ask(_: &mut Specimen, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Ask {
        to: String,
        name: String,
        #[serde(default)]
        args: Json,
    }
    let Ask { to, name, args } = arguments(args)?;
    Ok(as_data(ctx.call(&to, &name, args)))
}

/// A request for data, to a module or to the data store.
#[derive(Deserialize)]
struct Data {
    to: Option<String>,
    #[serde(default)]
    payload: Json,
}

pub(crate) fn ask_query(_: &mut Specimen, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let Data { to, payload } = arguments(args)?;
    Ok(as_data(match to {
        Some(to) => ctx.query_at(&to, payload),
        None => ctx.query(payload),
    }))
}

pub(crate) fn ask_mutation(_: &mut Specimen, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let Data { to, payload } = arguments(args)?;
    Ok(as_data(match to {
        Some(to) => ctx.mutate_at(&to, payload),
        None => ctx.mutate(payload),
    }))
}

/// The host's answer as data, so that the suite sees errors as the module saw them.
fn as_data(answer: Result<Json, Error>) -> Json {
    #[derive(Serialize)]
    struct Answer {
        data: Json,
    }
    match answer {
        Ok(data) => Json::of(&Answer { data }),
        Err(error) => json!({ "code": error.code().name(), "error": error.to_string() }),
    }
}

pub(crate) fn emit(_: &mut Specimen, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let Event { event, data } = arguments(args)?;
    ctx.emit(&event, data)?;
    Ok(json!({}))
}

pub(crate) fn progress(_: &mut Specimen, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Progress {
        steps: u64,
    }
    let Progress { steps } = arguments(args)?;
    for step in 1..=steps {
        ctx.check()?;
        ctx.progress(json!({ "step": step }))?;
    }
    Ok(json!({ "steps": steps }))
}

pub(crate) fn wait(_: &mut Specimen, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Wait {
        ms: u64,
    }
    let Wait { ms } = arguments(args)?;
    ctx.wait(Duration::from_millis(ms.min(WAIT_MS_MAX)))?;
    Ok(json!({ "waited": ms }))
}

/// No test waits for an hour; a longer time could not be added to a clock.
const WAIT_MS_MAX: u64 = 3_600_000;

pub(crate) fn log(_: &mut Specimen, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Log {
        level: String,
        message: String,
    }
    let Log { level, message } = arguments(args)?;
    match level.as_str() {
        "debug" => log!(debug, "{message}"),
        "info" => log!(info, "{message}"),
        "warn" => log!(warn, "{message}"),
        "error" => log!(error, "{message}"),
        other => {
            return Err(Error::bad_request(format!("unknown level {other:?}, expected debug, info, warn or error")));
        }
    }
    Ok(json!({}))
}
