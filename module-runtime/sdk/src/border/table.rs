//! The host's functions in a shared library: the table that `set_host` is given. Without one, as in a test that loads
//! the library by itself, nothing is answered and nothing is cancelled.
#![expect(unsafe_code, reason = "a C border is made of pointers")]

use super::host::pointer;
use super::strings;
use crate::log::{self, Level};
use crate::panics;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

static TABLE: AtomicPtr<HostTable> = AtomicPtr::new(std::ptr::null_mut());

type Ask = unsafe extern "C" fn(*const c_char, *const c_char, i64) -> *mut c_char;

/// `struct bulkhead_host` of `module.h`, version 1.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header documents them")]
pub struct HostTable {
    pub size: u32,
    pub version: u32,
    pub query: Ask,
    pub mutation: Ask,
    pub command: unsafe extern "C" fn(*const c_char, *const c_char, *const c_char, i64) -> *mut c_char,
    pub event: unsafe extern "C" fn(*const c_char, *const c_char) -> *mut c_char,
    pub progress: unsafe extern "C" fn(*const c_char) -> *mut c_char,
    pub wait: unsafe extern "C" fn(i64) -> i32,
    pub deadline_ms: unsafe extern "C" fn() -> i64,
    pub request_id: unsafe extern "C" fn() -> i64,
    pub key: unsafe extern "C" fn() -> *mut c_char,
    pub log: unsafe extern "C" fn(*const c_char, *const c_char),
    pub time: unsafe extern "C" fn(i32) -> i64,
    pub random: unsafe extern "C" fn(*mut c_void, u32) -> i32,
    pub free_string: unsafe extern "C" fn(*mut c_char),
}

/// `set_host`. A table that is shorter than version 1 is not used.
///
/// # Safety
/// `host` is null, or a table as `module.h` describes it, which lives as long as the process and
/// never changes.
pub unsafe fn set_host(host: *const HostTable) {
    let fits = host.is_null() || {
        // SAFETY: every table begins with these two, and the pointer is not null.
        let (size, version) = unsafe { ((*host).size, (*host).version) };
        version >= 1 && size as usize >= size_of::<HostTable>()
    };
    if fits {
        TABLE.store(host.cast_mut(), Ordering::Release);
        log::redirect(write_line);
    } else {
        log::line(Level::Error, format_args!("the host's table is older than version 1, and is not used"));
    }
}

/// What `create_module` does first.
pub(super) fn prepare() {
    panics::install_hook();
}

fn table() -> Option<&'static HostTable> {
    // SAFETY: it is null, or `set_host` was promised that it lives as long as the process and never changes.
    unsafe { TABLE.load(Ordering::Acquire).as_ref() }
}

/// Copies what the host returned, and gives it back.
fn take(table: &HostTable, string: *mut c_char) -> Option<Vec<u8>> {
    // SAFETY: it is null or the host's string, which is ours until it is freed, and it is freed once.
    unsafe {
        let bytes = strings::read(string)?.to_vec();
        (table.free_string)(string);
        Some(bytes)
    }
}

pub(super) fn query(to: Option<&CStr>, payload: &CStr, timeout_ms: i64) -> Option<Vec<u8>> {
    let table = table()?;
    // SAFETY: both are strings that live during the call, or null where that is allowed.
    take(table, unsafe { (table.query)(pointer(to), payload.as_ptr(), timeout_ms) })
}

pub(super) fn mutation(to: Option<&CStr>, payload: &CStr, timeout_ms: i64) -> Option<Vec<u8>> {
    let table = table()?;
    // SAFETY: as in `query`.
    take(table, unsafe { (table.mutation)(pointer(to), payload.as_ptr(), timeout_ms) })
}

pub(super) fn command(to: Option<&CStr>, name: &CStr, args: &CStr, timeout_ms: i64) -> Option<Vec<u8>> {
    let table = table()?;
    // SAFETY: as in `query`.
    take(table, unsafe { (table.command)(pointer(to), name.as_ptr(), args.as_ptr(), timeout_ms) })
}

pub(super) fn event(name: &CStr, data: &CStr) -> Option<Vec<u8>> {
    let table = table()?;
    // SAFETY: both are strings that live during the call.
    take(table, unsafe { (table.event)(name.as_ptr(), data.as_ptr()) })
}

pub(super) fn progress(data: &CStr) -> Option<Vec<u8>> {
    let table = table()?;
    // SAFETY: it is a string that lives during the call.
    take(table, unsafe { (table.progress)(data.as_ptr()) })
}

pub(super) fn wait(milliseconds: i64) -> i32 {
    let Some(table) = table() else {
        std::thread::sleep(Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0)));
        return 0;
    };
    // SAFETY: it takes and gives numbers.
    unsafe { (table.wait)(milliseconds) }
}

pub(super) fn deadline_ms() -> i64 {
    // SAFETY: it gives a number.
    table().map_or(-1, |table| unsafe { (table.deadline_ms)() })
}

pub(super) fn request_id() -> i64 {
    // SAFETY: it gives a number.
    table().map_or(-1, |table| unsafe { (table.request_id)() })
}

pub(super) fn key() -> Option<Vec<u8>> {
    let table = table()?;
    // SAFETY: it gives a string of the host's, or null.
    take(table, unsafe { (table.key)() })
}

fn write_line(level: Level, message: &str) {
    let Some(table) = table() else { return log::to_standard_error(level, message) };
    let text = |text: &str| CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
    let (level, message) = (text(level.name()), text(message));
    // SAFETY: both are strings that live during the call, which may come from any thread.
    unsafe { (table.log)(level.as_ptr(), message.as_ptr()) }
}
