//! A panic in a handler: where it was and what it said, kept for the answer. Standard error still
//! gets the usual message and, where asked for, the backtrace.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on every panic of this process also remembers its place.
pub(crate) fn install_hook() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        let what = text.unwrap_or("a value that is no text");
        LAST.set(Some(format!("the handler panicked{place}: {what}")));
        before(info);
    }));
}

/// Calls `handler`; a panic becomes its sentence.
pub(crate) fn catch<T>(handler: impl FnOnce() -> T) -> Result<T, String> {
    // Unwind safety: after a panic the module's value is never used again; the process ends.
    panic::catch_unwind(AssertUnwindSafe(handler))
        .map_err(|_| LAST.take().unwrap_or_else(|| "the handler panicked".to_owned()))
}
