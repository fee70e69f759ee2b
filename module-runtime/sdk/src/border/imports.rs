//! The host's functions in WebAssembly: imports of the module "bulkhead". What the host returns is in memory that
//! `alloc_string` gave it, and is freed as our own.
#![expect(unsafe_code, reason = "a C border is made of pointers")]

use super::host::pointer;
use super::strings;
use crate::log::{self, Level};
use crate::panics;
use std::ffi::{CStr, CString, c_char};

/// `module.h` documents them.
mod bulkhead {
    use std::ffi::c_char;

    #[link(wasm_import_module = "bulkhead")]
    unsafe extern "C" {
        pub(super) fn query(to: *const c_char, payload: *const c_char, timeout_ms: i64) -> *mut c_char;
        pub(super) fn mutation(to: *const c_char, payload: *const c_char, timeout_ms: i64) -> *mut c_char;
        pub(super) fn command(
            to: *const c_char,
            name: *const c_char,
            args: *const c_char,
            timeout_ms: i64,
        ) -> *mut c_char;
        pub(super) fn event(name: *const c_char, data: *const c_char) -> *mut c_char;
        pub(super) fn progress(data: *const c_char) -> *mut c_char;
        pub(super) safe fn wait(milliseconds: i64) -> i32;
        pub(super) safe fn deadline_ms() -> i64;
        pub(super) safe fn request_id() -> i64;
        pub(super) safe fn key() -> *mut c_char;
        pub(super) fn log(level: *const c_char, message: *const c_char);
        pub(super) fn panic(message: *const c_char);
    }
}

/// What `create_module` does first. A panic is a trap here, so the host must get its sentence before.
pub(super) fn prepare() {
    log::redirect(write_line);
    panics::install_hook(|sentence| {
        let sentence = text(sentence);
        // SAFETY: it is a string that lives during the call.
        unsafe { bulkhead::panic(sentence.as_ptr()) }
    });
}

/// Copies what the host returned, and frees it.
fn take(string: *mut c_char) -> Option<Vec<u8>> {
    // SAFETY: it is null or a string in memory that `alloc_string` gave the host, and it is freed once.
    unsafe {
        let bytes = strings::read(string)?.to_vec();
        strings::take_back(string);
        Some(bytes)
    }
}

pub(super) fn query(to: Option<&CStr>, payload: &CStr, timeout_ms: i64) -> Option<Vec<u8>> {
    // SAFETY: both are strings that live during the call, or null where that is allowed.
    take(unsafe { bulkhead::query(pointer(to), payload.as_ptr(), timeout_ms) })
}

pub(super) fn mutation(to: Option<&CStr>, payload: &CStr, timeout_ms: i64) -> Option<Vec<u8>> {
    // SAFETY: as in `query`.
    take(unsafe { bulkhead::mutation(pointer(to), payload.as_ptr(), timeout_ms) })
}

pub(super) fn command(to: Option<&CStr>, name: &CStr, args: &CStr, timeout_ms: i64) -> Option<Vec<u8>> {
    // SAFETY: as in `query`.
    take(unsafe { bulkhead::command(pointer(to), name.as_ptr(), args.as_ptr(), timeout_ms) })
}

pub(super) fn event(name: &CStr, data: &CStr) -> Option<Vec<u8>> {
    // SAFETY: both are strings that live during the call.
    take(unsafe { bulkhead::event(name.as_ptr(), data.as_ptr()) })
}

pub(super) fn progress(data: &CStr) -> Option<Vec<u8>> {
    // SAFETY: it is a string that lives during the call.
    take(unsafe { bulkhead::progress(data.as_ptr()) })
}

pub(super) fn wait(milliseconds: i64) -> i32 {
    bulkhead::wait(milliseconds)
}

pub(super) fn deadline_ms() -> i64 {
    bulkhead::deadline_ms()
}

pub(super) fn request_id() -> i64 {
    bulkhead::request_id()
}

pub(super) fn key() -> Option<Vec<u8>> {
    take(bulkhead::key())
}

fn write_line(level: Level, message: &str) {
    let (level, message) = (text(level.name()), text(message));
    // SAFETY: both are strings that live during the call.
    unsafe { bulkhead::log(level.as_ptr(), message.as_ptr()) }
}

fn text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}
