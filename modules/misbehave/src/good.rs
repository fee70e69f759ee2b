//! Good behaviour, for comparison with the faults.

use crate::module::Misbehave;
use bulkhead_module::{Context, Error, Json, arguments, json};
use serde::Deserialize;
use std::time::{Duration, Instant};

pub(crate) fn echo(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    Ok(args.clone())
}

pub(crate) fn count(state: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    state.count += 1;
    Ok(json!({ "count": state.count }))
}

pub(crate) fn read(state: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    Ok(json!({ "count": state.count }))
}

pub(crate) fn whoami(state: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    Ok(json!({ "pid": std::process::id(), "instance": state.instance, "config": state.config }))
}

/// How long something takes.
#[derive(Deserialize)]
pub(crate) struct Time {
    pub(crate) ms: u64,
}

pub(crate) fn sleep(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let Time { ms } = arguments(args)?;
    ctx.wait(Duration::from_millis(ms))?;
    Ok(json!({ "slept_ms": ms }))
}

pub(crate) fn work(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let Time { ms } = arguments(args)?;
    let end = Instant::now() + Duration::from_millis(ms);
    let mut rounds = 0u64;
    while Instant::now() < end {
        ctx.check()?;
        rounds += u64::from(std::hint::black_box((0..10_000u32).fold(0, u32::wrapping_add)) > 0);
    }
    Ok(json!({ "rounds": rounds }))
}

pub(crate) fn slow_progress(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        steps: u64,
        ms: u64,
    }
    let Args { steps, ms } = arguments(args)?;
    for done in 1..=steps {
        ctx.wait(Duration::from_millis(ms))?;
        ctx.progress(json!({ "done": done, "total": steps }))?;
    }
    Ok(json!({ "steps": steps }))
}

pub(crate) fn emit(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        event: String,
        #[serde(default)]
        data: Json,
        times: Option<u64>,
    }
    let Args { event, data, times } = arguments(args)?;
    let times = times.unwrap_or(1);
    for _ in 0..times {
        ctx.emit(&event, data.clone())?;
    }
    Ok(json!({ "emitted": times }))
}

pub(crate) fn events_seen(state: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    Ok(json!({ "events": state.events }))
}

pub(crate) fn call(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        to: String,
        command: String,
        #[serde(default)]
        args: Json,
        ms: Option<u64>,
    }
    let Args { to, command, args, ms } = arguments(args)?;
    match ms {
        Some(ms) => ctx.call_within(Duration::from_millis(ms), &to, &command, args),
        None => ctx.call(&to, &command, args),
    }
}

pub(crate) fn error(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        code: String,
        sentence: String,
    }
    let Args { code, sentence } = arguments(args)?;
    Err(Error::custom(&code, sentence))
}
