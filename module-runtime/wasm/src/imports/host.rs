//! The functions of the host. Those that need a request in progress answer an error where there is none;
//! [`super::strings`] reads their arguments.

use super::strings::{Called, Refusal, deliver, exports, json, lossy, text};
use crate::instance::{self, Inner, State};
use crate::memory;
use crate::scoped_host;
use crate::stop::{self, Violation};
use bulkhead_child::log::Level;
use bulkhead_child::{Ask, Error, Host, RequestBody, answer, border, log};
use bulkhead_protocol::Json;
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;
use wasmtime::Linker;

/// The name under which the host's functions are imported.
pub(super) const HOST: &str = "bulkhead";

/// Random bytes are made in steps of so many, and the module's budget is checked in between.
const RANDOM_STEP_BYTES: usize = 64 * 1024;

/// How much of a panic's sentence is kept.
const PANIC_BYTES_MAX: usize = 4096;

/// Defines every function of the host.
pub(super) fn define(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    define_asking(linker)?;
    define_reporting(linker)?;
    define_request_in_progress(linker)?;
    define_for_any_time(linker)
}

/// Requests of the module's own.
fn define_asking(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(HOST, "query", |mut caller: Called<'_>, to: u32, payload: u32, timeout: i64| {
        respond(&mut caller, "query", |caller, host| {
            let payload = json(caller, "the payload of the query", payload)?;
            ask(caller, host, to, RequestBody::Query(&payload), timeout)
        })
    })?;
    linker.func_wrap(HOST, "mutation", |mut caller: Called<'_>, to: u32, payload: u32, timeout: i64| {
        respond(&mut caller, "mutation", |caller, host| {
            let payload = json(caller, "the payload of the mutation", payload)?;
            ask(caller, host, to, RequestBody::Mutation(&payload), timeout)
        })
    })?;
    linker.func_wrap(HOST, "command", |mut caller: Called<'_>, to: u32, name: u32, args: u32, timeout: i64| {
        respond(&mut caller, "command", |caller, host| {
            let name = text(caller, "the name of the command", name)?;
            let args = json(caller, "the arguments of the command", args)?;
            ask(caller, host, to, RequestBody::Command { name: &name, args: &args }, timeout)
        })
    })?;
    Ok(())
}

/// Messages that are sent without waiting for an answer.
fn define_reporting(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(HOST, "event", |mut caller: Called<'_>, name: u32, data: u32| {
        respond(&mut caller, "event", |caller, host| {
            let name = text(caller, "the name of the event", name)?;
            let data = json(caller, "the data of the event", data)?;
            within(caller, || host.emit(&name, &data))??;
            Ok(Json::null())
        })
    })?;
    linker.func_wrap(HOST, "progress", |mut caller: Called<'_>, data: u32| {
        respond(&mut caller, "progress", |caller, host| {
            let data = json(caller, "the data of the progress", data)?;
            within(caller, || host.progress(&data))??;
            Ok(Json::null())
        })
    })?;
    Ok(())
}

/// What a module can learn about the request in progress.
fn define_request_in_progress(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(HOST, "wait", |mut caller: Called<'_>, milliseconds: i64| -> wasmtime::Result<i32> {
        scoped_host::with_host(|host| within(&mut caller, || border::wait(host, milliseconds))).unwrap_or(Ok(1))
    })?;
    linker.func_wrap(HOST, "deadline_ms", || -> i64 {
        scoped_host::with_host(|host| border::deadline_ms(host)).unwrap_or(-1)
    })?;
    linker.func_wrap(HOST, "request_id", || -> i64 {
        scoped_host::with_host(|host| border::request_id(host)).unwrap_or(-1)
    })?;
    linker.func_wrap(HOST, "key", |mut caller: Called<'_>| -> wasmtime::Result<u32> {
        match scoped_host::with_host(|host| host.key().map(str::to_owned)).flatten() {
            Some(key) => deliver(&mut caller, &key),
            None => Ok(0),
        }
    })?;
    Ok(())
}

/// What may be called also where no message is handled.
fn define_for_any_time(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.func_wrap(HOST, "log", |caller: Called<'_>, level: u32, message: u32| -> wasmtime::Result<()> {
        let level = Level::from_name(&lossy(&caller, "the level of a log line", level)?);
        log::line(level, format_args!("{}", lossy(&caller, "a log line", message)?));
        Ok(())
    })?;
    linker.func_wrap(HOST, "panic", |mut caller: Called<'_>, message: u32| -> wasmtime::Result<()> {
        let mut message = lossy(&caller, "the sentence of a panic", message)?;
        message.truncate(message.floor_char_boundary(PANIC_BYTES_MAX));
        caller.data_mut().panic = Some(message);
        Ok(())
    })?;
    linker.func_wrap(HOST, "time", |clock: i32| -> i64 {
        let clock = match clock {
            0 => ClockId::CLOCK_REALTIME,
            1 => ClockId::CLOCK_MONOTONIC,
            _ => return -1,
        };
        let now = clock_gettime(clock).ok().map(Duration::from);
        now.and_then(|now| i64::try_from(now.as_nanos()).ok()).unwrap_or(-1)
    })?;
    linker.func_wrap(HOST, "random", random)?;
    Ok(())
}

/// Sends a request and waits for its answer. A null pointer as recipient is the host's data store, and a negative
/// timeout is none.
fn ask(
    caller: &mut Called<'_>,
    host: &mut dyn Host,
    to: u32,
    what: RequestBody<'_>,
    timeout: i64,
) -> Result<Json, Refusal> {
    let to = if to == 0 { None } else { Some(text(caller, "the name of a module", to)?) };
    let timeout = border::timeout(timeout);
    Ok(within(caller, || host.ask(Ask { to: to.as_deref(), what, timeout }))??)
}

/// Runs a function of the host, and answers as the host would.
fn respond(
    caller: &mut Called<'_>,
    name: &str,
    work: impl FnOnce(&mut Called<'_>, &mut dyn Host) -> Result<Json, Refusal>,
) -> wasmtime::Result<u32> {
    let result = match scoped_host::with_host(|host| work(&mut *caller, host)) {
        Some(Ok(data)) => Ok(data),
        Some(Err(Refusal::Answer(error))) => Err(error),
        Some(Err(Refusal::Stop(error))) => return Err(error),
        None => Err(Error::bad_request(format!(
            "{name} was called outside of handle_message; only log, time and random may be called there"
        ))),
    };
    deliver(caller, &answer::write_host(result))
}

/// Lets the module be entered again for its `before_answers`.
fn within<R>(caller: &mut Called<'_>, work: impl FnOnce() -> R) -> wasmtime::Result<R> {
    struct Waiting<'a, 'b>(&'a mut Called<'b>);
    impl scoped_host::Inside for Waiting<'_, '_> {
        fn before_answers(&mut self) -> Result<(), Error> {
            let State { exports: Some(exports), module: Some(module), inner: Inner::Good, .. } = self.0.data() else {
                return Ok(());
            };
            let (exports, module) = (exports.clone(), *module);
            instance::before_answers(&mut *self.0, &exports, module).unwrap_or_else(|error| {
                self.0.data_mut().inner = Inner::Stopped;
                Err(stop::stopped("before_answers", &error, None).error)
            })
        }
    }
    let result = scoped_host::scoped_inside(&mut Waiting(&mut *caller), work);
    match caller.data().inner {
        Inner::Good => Ok(result),
        Inner::Stopped => Err(Violation("its before_answers was stopped meanwhile".into()).into()),
    }
}

fn random(mut caller: Called<'_>, buffer: u32, length: u32) -> wasmtime::Result<i32> {
    let memory = exports(&caller)?.memory;
    let budget = caller.data().budget.clone();
    let place = memory::range(memory.data(&caller), buffer, length)
        .map_err(|fault| Violation(format!("it asked for random bytes into {fault}")))?;
    for step in memory.data_mut(&mut caller)[place].chunks_mut(RANDOM_STEP_BYTES) {
        if let Some(budget) = &budget {
            budget.check()?;
        }
        if getrandom::fill(step).is_err() {
            return Ok(-1);
        }
    }
    Ok(0)
}
