//! How a call into a module ends early: a trap, a limit, `proc_exit`; and what the caller of the message gets.
//! [`crate::guest`] decides what follows for the process.

use crate::limits::Limit;
use bulkhead_child::{Error, frames};
use serde_json::json;
use std::fmt;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// Longest name of a function or a file in a backtrace. They are the module's, and may have any length.
const NAME_BYTES_MAX: usize = 300;

/// A call that ended early. The instance is never entered again.
#[derive(Debug)]
pub(crate) struct Stopped {
    /// What the caller gets.
    pub(crate) error: Error,
    /// Which way it ended.
    pub(crate) ending: Ending,
    /// Where in the module's own code it was, the innermost first; for the log.
    pub(crate) frames: Vec<String>,
}

/// Which way a call ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Trap,
    Limit,
    /// The module called `proc_exit`, and this is the code to end with; never 0.
    Exit(u8),
}

/// The module broke a rule of the border, so that its memory is in doubt; raised as a trap.
#[derive(Debug)]
pub(crate) struct Violation(pub(crate) String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Converts what wasmtime reports about a call into what the caller gets. `doing` is what was called, and `panic` the
/// sentence that the module gave before it trapped.
pub(crate) fn stopped(doing: &str, error: &wasmtime::Error, panic: Option<String>) -> Stopped {
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let frames = own_frames(backtrace);
    if let Some(I32Exit(code)) = error.downcast_ref() {
        let sentence = format!("the module called proc_exit({code}) in {doing}");
        let error = with_details(Error::custom("proc_exit", sentence), "proc_exit", backtrace);
        // A module that exits during a message did not end well, even with code 0.
        let code = u8::try_from(*code).ok().filter(|code| *code != 0).unwrap_or(1);
        return Stopped { error, ending: Ending::Exit(code), frames };
    }
    if let Some(limit) = error.downcast_ref::<Limit>() {
        let error = with_details(Error::custom(limit.name(), limit.to_string()), limit.name(), backtrace);
        return Stopped { error, ending: Ending::Limit, frames };
    }
    let kind = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string().trim_start_matches("wasm trap: ").to_owned(),
        None if error.is::<Violation>() => "violation of the border".into(),
        None => "failure of the runtime".into(),
    };
    let sentence = match (panic, error.downcast_ref::<Trap>()) {
        (Some(text), _) => format!("the module panicked: {text}"),
        (None, Some(_)) => {
            let place = backtrace.and_then(|backtrace| backtrace.frames().first()).map(place);
            let place = place.map(|place| format!(", at {place}")).unwrap_or_default();
            format!("the module trapped in {doing}: {kind}{place}")
        }
        (None, None) => format!("the module was stopped in {doing}: {}", error.root_cause()),
    };
    Stopped { error: with_details(Error::custom("trap", sentence), &kind, backtrace), ending: Ending::Trap, frames }
}

/// The data beside the sentence: the kind, and where in the module it happened, innermost first.
fn with_details(error: Error, kind: &str, backtrace: Option<&WasmBacktrace>) -> Error {
    let frames: Vec<_> = backtrace
        .iter()
        .flat_map(|backtrace| backtrace.frames())
        .map(|frame| {
            let mut entry = json!({ "index": frame.func_index() });
            if let Some(name) = frame.func_name() {
                entry["function"] = demangled(name).into();
            }
            if let Some(offset) = frame.module_offset() {
                entry["offset"] = offset.into();
            }
            if let Some(symbol) = frame.symbols().first() {
                entry["file"] = symbol.file().map(cut).into();
                entry["line"] = symbol.line().into();
            }
            entry
        })
        .collect();
    error.with_data(json!({ "kind": kind, "backtrace": frames }).into())
}

/// The frames of the module's own code: those of the standard library that it was built with are left out.
fn own_frames(backtrace: Option<&WasmBacktrace>) -> Vec<String> {
    let own = backtrace
        .iter()
        .flat_map(|backtrace| backtrace.frames())
        .filter(|frame| frame.func_name().is_none_or(|name| frames::is_own(&demangled(name))));
    // A name may contain a line end, and must stay on one line.
    let line = |frame| format!("at {}", place(frame)).replace(char::is_control, "?");
    own.take(frames::FRAMES_MAX).map(line).collect()
}

/// Where a frame is, for a person.
fn place(frame: &wasmtime::FrameInfo) -> String {
    let function = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), demangled);
    let line = frame.symbols().first().and_then(|symbol| Some((symbol.file()?, symbol.line()?)));
    match (line, frame.module_offset()) {
        (Some((file, line)), _) => format!("{function} ({}:{line})", cut(file)),
        (None, Some(offset)) => format!("{function} (offset {offset:#x})"),
        (None, None) => function,
    }
}

/// A name as its author wrote it, cut where it is too long to read.
fn demangled(name: &str) -> String {
    let name = cut(name);
    rustc_demangle::try_demangle(name).map_or_else(|_| name.to_owned(), |name| cut(&format!("{name:#}")).to_owned())
}

fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}
