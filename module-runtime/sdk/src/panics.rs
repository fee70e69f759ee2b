//! A panic in a handler: its position and its message, kept for the answer. Standard error still gets the usual message
//! and, if enabled, the backtrace. The module's own frames are repeated after that, as the last lines are what the
//! record of a crash keeps.

#[cfg(not(target_family = "wasm"))]
use bulkhead_child::frames;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
    /// How many handlers run on this thread, nested.
    static HANDLERS: Cell<u32> = const { Cell::new(0) };
}

/// From now on every panic of this process also records its position.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn install_hook() {
    install(|position, what| {
        let sentence = format!("the handler panicked{position}: {what}");
        if HANDLERS.get() > 0 {
            write_frames(&sentence);
        }
        LAST.set(Some(sentence));
    });
}

/// Writes where in the module a panic came from, if a backtrace is enabled, as in the standard library.
#[cfg(not(target_family = "wasm"))]
fn write_frames(sentence: &str) {
    if std::env::var_os("RUST_BACKTRACE").is_none_or(|value| value == "0") {
        return;
    }
    let mut own = frames::own(&std::backtrace::Backtrace::force_capture().to_string());
    if own.is_empty() {
        own.push("at a place without a name: the module was built without symbols".into());
    }
    crate::log!(error, "{sentence}");
    // One call, so that lines of different threads do not mix. A write that fails is ignored.
    let lines: String = own.iter().map(|frame| format!("  {frame}\n")).collect();
    let _ = std::io::Write::write_all(&mut std::io::stderr(), lines.as_bytes());
}

/// From now on every panic passes its message and position to `report`, as nothing runs after it.
#[cfg(target_family = "wasm")]
pub(crate) fn install_hook(report: fn(&str)) {
    install(move |position, what| report(&format!("{what}{position}")));
}

fn install(keep: impl Fn(&str, &str) + Send + Sync + 'static) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            before(info);
            let position = info.location().map_or_else(String::new, |position| format!(" at {position}"));
            keep(&position, info.payload_as_str().unwrap_or("a value that is no text"));
        }));
    });
}

/// Calls `handler`; a panic becomes its sentence.
pub(crate) fn catch<T>(handler: impl FnOnce() -> T) -> Result<T, String> {
    // Unwind safety: after a panic the module's value is not used again, unless the manifest says
    // that it can be; its destructors never run.
    HANDLERS.set(HANDLERS.get() + 1);
    let result = panic::catch_unwind(AssertUnwindSafe(handler));
    HANDLERS.set(HANDLERS.get() - 1);
    result.map_err(|payload| {
        let sentence = LAST.take().unwrap_or_else(|| "the handler panicked".to_owned());
        // The payload of the panic may itself panic when it is dropped.
        if let Err(again) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(again);
        }
        sentence
    })
}
