//! Ways to end without a request to end. One of the files with unsafe code, which a crash needs.

use crate::module::Misbehave;
use crate::raw;
use bulkhead_module::{Context, Error, Json, arguments, json};
use nix::sys::signal::{self, SigHandler, SigSet, Signal};
use nix::unistd::{Pid, getpid};
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    code: i32,
}

fn signal_named(name: &str) -> Result<Signal, Error> {
    name.parse().map_err(|_| Error::bad_request(format!("expected the name of a signal like SIGSEGV, found {name:?}")))
}

/// Sends this process a signal as if it had no handler.
fn raise(signal: Signal) {
    if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
        // SAFETY: the default action runs no code of this process.
        let _ = unsafe { signal::signal(signal, SigHandler::SigDfl) };
    }
    let _ = SigSet::from(signal).thread_unblock();
    let _ = signal::kill(getpid(), signal);
}

/// Ends this process by a signal.
pub(crate) fn die_by(signal: Signal) -> ! {
    raise(signal);
    // The signal of a process may be handled by another thread a moment later.
    crate::hanging::sleep_for_ever()
}

pub(crate) fn signal(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        name: String,
    }
    let Args { name } = arguments(args)?;
    raise(signal_named(&name)?);
    // Only some signals end a process by default; after the others the process continues.
    std::thread::sleep(Duration::from_millis(20));
    Ok(json!({ "survived": name }))
}

pub(crate) fn segfault(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    let nowhere = std::hint::black_box(std::ptr::without_provenance_mut::<u64>(16));
    // SAFETY: none; the first page is never mapped, and the fault is intended.
    unsafe { nowhere.write_volatile(1) };
    Ok(json!("the first page is mapped"))
}

pub(crate) fn stack_overflow(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    fn deeper(depth: u64) -> u64 {
        let room = std::hint::black_box([depth; 512]);
        if std::hint::black_box(depth) == u64::MAX { 0 } else { deeper(depth + 1) + room[7] }
    }
    Ok(json!(deeper(0)))
}

pub(crate) fn abort(_: &mut Misbehave, _: &mut Context<'_>, _: &Json) -> Result<Json, Error> {
    std::process::abort()
}

pub(crate) fn panic(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        message: Option<String>,
    }
    let Args { message } = arguments(args)?;
    panic!("{}", message.as_deref().unwrap_or("as asked"))
}

pub(crate) fn exit(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    let Code { code } = arguments(args)?;
    std::process::exit(code)
}

pub(crate) fn answer_then_exit(_: &mut Misbehave, ctx: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        #[serde(default)]
        code: i32,
        #[serde(default)]
        last: bool,
        #[serde(default)]
        linger_ms: u64,
    }
    let Args { code, last, linger_ms } = arguments(args)?;
    let data = if last { r#"true,"last":true"# } else { "true" };
    raw::send_frame(crate::wire::success(ctx, data).as_bytes());
    std::thread::sleep(Duration::from_millis(linger_ms));
    std::process::exit(code)
}

pub(crate) fn exit_later(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        ms: u64,
        code: i32,
    }
    let Args { ms, code } = arguments(args)?;
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(ms));
        std::process::exit(code)
    });
    Ok(json!({ "exits_in_ms": ms }))
}

pub(crate) fn signal_later(_: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        ms: u64,
        name: String,
    }
    let Args { ms, name } = arguments(args)?;
    let signal = signal_named(&name)?;
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(ms));
        raise(signal);
    });
    Ok(json!({ "signal_in_ms": ms }))
}

pub(crate) fn crash_on(state: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        nth: u64,
    }
    let Args { nth } = arguments(args)?;
    state.commands_until_crash = Some(nth.max(1));
    Ok(json!({ "crash_on": nth }))
}

pub(crate) fn crash_once(state: &mut Misbehave, _: &mut Context<'_>, args: &Json) -> Result<Json, Error> {
    #[derive(Deserialize)]
    struct Args {
        marker: String,
    }
    let Args { marker } = arguments(args)?;
    if marker.is_empty() || !marker.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(Error::bad_request(format!("expected a marker of letters and digits, found {marker:?}")));
    }
    let path = state.data_dir.join(format!("crashed-{marker}"));
    if path.exists() {
        return Ok(json!({ "crashed_before": true }));
    }
    std::fs::write(&path, b"")?;
    let _ = signal::kill(Pid::this(), Signal::SIGKILL);
    crate::hanging::sleep_for_ever()
}
