//! A panic in a handler: where it was and what it said, kept for the answer. Standard error still
//! gets the usual message and, where asked for, the backtrace.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on every panic of this process also remembers its place.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn install_hook() {
    install(|place, what| LAST.set(Some(format!("the handler panicked{place}: {what}"))));
}

/// From now on every panic tells `tell` what it says and where it was, as nothing comes after it.
#[cfg(target_family = "wasm")]
pub(crate) fn install_hook(tell: fn(&str)) {
    install(move |place, what| tell(&format!("{what}{place}")));
}

fn install(keep: impl Fn(&str, &str) + Send + Sync + 'static) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            before(info);
            let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
            keep(&place, info.payload_as_str().unwrap_or("a value that is no text"));
        }));
    });
}

/// Calls `handler`; a panic becomes its sentence.
pub(crate) fn catch<T>(handler: impl FnOnce() -> T) -> Result<T, String> {
    // Unwind safety: after a panic the module's value is not used again, unless the manifest says
    // that it can be; its destructors never run.
    panic::catch_unwind(AssertUnwindSafe(handler)).map_err(|payload| {
        let sentence = LAST.take().unwrap_or_else(|| "the handler panicked".to_owned());
        // What it panicked with may itself panic when it is dropped.
        if let Err(again) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(again);
        }
        sentence
    })
}
