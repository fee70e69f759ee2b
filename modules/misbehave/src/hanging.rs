//! Ways not to answer, not to read and not to end. One of the files with unsafe code, for the actions of signals.

use crate::good::Time;
use crate::module::Misbehave;
use crate::raw;
use bulkhead_module::{Context, Error, Json, arguments, json};
use nix::sys::signal::{self, SigHandler, Signal};
use nix::unistd::getpid;
use serde::Deserialize;
use std::time::Duration;

/// Sleeps until the process is killed.
pub(crate) fn sleep_for_ever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

pub(crate) fn hang(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    sleep_for_ever()
}

pub(crate) fn spin(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    let mut n = 0u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

pub(crate) fn nap(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let Time { ms } = arguments(args)?;
    std::thread::sleep(Duration::from_millis(ms));
    Ok(json!({ "slept_ms": ms }))
}

pub(crate) fn allocate(state: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        mib: usize,
    }
    let Args { mib } = arguments(args)?;
    for _ in 0..mib {
        // Bytes other than zero, so that every page is really allocated.
        state.hoard.push(vec![0x5a; 1024 * 1024]);
    }
    Ok(json!({ "held_mib": state.hoard.len() }))
}

pub(crate) fn stop_self(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    let _ = signal::kill(getpid(), Signal::SIGSTOP);
    Ok(json!({ "continued": true }))
}

pub(crate) fn never_read(_: &mut Misbehave, ctx: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    raw::send_frame(crate::wire::success(ctx, "true").as_bytes());
    sleep_for_ever()
}

pub(crate) fn close_channel(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    raw::close_all();
    sleep_for_ever()
}

pub(crate) fn ignore_sigterm(state: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    // SAFETY: ignoring runs no code of this process.
    unsafe { signal::signal(Signal::SIGTERM, SigHandler::SigIgn) }.map_err(std::io::Error::from)?;
    state.ignores_shutdown = true;
    Ok(json!({ "ignores": "SIGTERM" }))
}

pub(crate) fn ignore_shutdown(state: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    state.ignores_shutdown = true;
    Ok(json!({ "ignores": "shutdown" }))
}
