//! The functions of the host for the C border, and the host that they reach: that of the message in progress, on the
//! thread that handles it. Anywhere else they answer an error.

use bulkhead_child::border::{self, timeout};
use bulkhead_child::log::{self, Level};
use bulkhead_child::{Ask, Error, Host, RequestBody, answer};
use bulkhead_protocol::Json;
use std::cell::Cell;
use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// `struct bulkhead_host` of `module.h`.
#[repr(C)]
pub(super) struct HostTable {
    size: u32,
    version: u32,
    query: extern "C" fn(*const c_char, *const c_char, i64) -> *mut c_char,
    mutation: extern "C" fn(*const c_char, *const c_char, i64) -> *mut c_char,
    command: extern "C" fn(*const c_char, *const c_char, *const c_char, i64) -> *mut c_char,
    event: extern "C" fn(*const c_char, *const c_char) -> *mut c_char,
    progress: extern "C" fn(*const c_char) -> *mut c_char,
    wait: extern "C" fn(i64) -> i32,
    deadline_ms: extern "C" fn() -> i64,
    request_id: extern "C" fn() -> i64,
    key: extern "C" fn() -> *mut c_char,
    log: extern "C" fn(*const c_char, *const c_char),
    time: extern "C" fn(i32) -> i64,
    random: extern "C" fn(*mut c_void, u32) -> i32,
    free_string: extern "C" fn(*mut c_char),
}

/// The one table of the process. Its functions are `extern "C"`: a panic in one ends the process, and
/// never unwinds into the library.
pub(super) static TABLE: HostTable = HostTable {
    size: size_of::<HostTable>() as u32,
    version: 1,
    query,
    mutation,
    command,
    event,
    progress,
    wait,
    deadline_ms,
    request_id,
    key,
    log: write_log,
    time,
    random,
    free_string,
};

/// The host during its scope: on the stack of [`scoped`].
struct Scoped<'a>(&'a mut dyn Host);

thread_local! {
    /// The scoped host of this thread, while not in use: a function of the host that waits has taken it, so that
    /// nothing called meanwhile finds it.
    static SCOPED: Cell<Option<NonNull<Scoped<'static>>>> = const { Cell::new(None) };
}

/// Restores what was there before, however the scope ends.
struct Restore(Option<NonNull<Scoped<'static>>>);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPED.set(self.0);
    }
}

/// Does `what`, during which the functions of the host reach `host` on this thread.
pub(super) fn scoped<T>(host: &mut dyn Host, what: impl FnOnce() -> T) -> T {
    let mut host_in_scope = Scoped(host);
    let _back = Restore(SCOPED.replace(Some(NonNull::from(&mut host_in_scope).cast())));
    what()
}

/// Does something with the scoped host.
fn with_host<T>(what: impl FnOnce(&mut dyn Host) -> T) -> Option<T> {
    let mut host_in_scope = SCOPED.take()?;
    let _back = Restore(Some(host_in_scope));
    // SAFETY: the pointer is in the cell only while `scoped` runs on this thread, which keeps what it points to alive
    // and does not touch it; out of the cell, it is ours alone. The longer lifetime in its type does not leave this
    // function.
    Some(what(unsafe { host_in_scope.as_mut() }.0))
}

fn out_of_scope() -> Error {
    Error::bad_request(
        "this function of the host was called outside of handle_message, or on another thread than it runs on",
    )
}

/// What was asked for, as the answer that goes over the border.
fn asked(what: impl FnOnce(&mut dyn Host) -> Result<Json, Error>) -> *mut c_char {
    let result = with_host(what).unwrap_or_else(|| Err(out_of_scope()));
    to_c(&answer::write_host(result))
}

extern "C" fn query(to: *const c_char, payload: *const c_char, timeout_ms: i64) -> *mut c_char {
    asked(|host| {
        host.ask(Ask {
            to: text(&to, "to")?,
            what: RequestBody::Query(&json(&payload, "payload")?),
            timeout: timeout(timeout_ms),
        })
    })
}

extern "C" fn mutation(to: *const c_char, payload: *const c_char, timeout_ms: i64) -> *mut c_char {
    asked(|host| {
        host.ask(Ask {
            to: text(&to, "to")?,
            what: RequestBody::Mutation(&json(&payload, "payload")?),
            timeout: timeout(timeout_ms),
        })
    })
}

extern "C" fn command(to: *const c_char, name: *const c_char, args: *const c_char, timeout_ms: i64) -> *mut c_char {
    asked(|host| {
        let name = text(&name, "name")?.ok_or_else(|| missing("name"))?;
        let what = RequestBody::Command { name, args: &json(&args, "args")? };
        host.ask(Ask { to: text(&to, "to")?, what, timeout: timeout(timeout_ms) })
    })
}

extern "C" fn event(name: *const c_char, data: *const c_char) -> *mut c_char {
    asked(|host| {
        let name = text(&name, "name")?.ok_or_else(|| missing("name"))?;
        host.emit(name, &json(&data, "data")?).map(|()| Json::null())
    })
}

extern "C" fn progress(data: *const c_char) -> *mut c_char {
    asked(|host| host.progress(&json(&data, "data")?).map(|()| Json::null()))
}

extern "C" fn wait(milliseconds: i64) -> i32 {
    with_host(|host| border::wait(host, milliseconds)).unwrap_or(1)
}

extern "C" fn deadline_ms() -> i64 {
    with_host(|host| border::deadline_ms(host)).unwrap_or(-1)
}

extern "C" fn request_id() -> i64 {
    with_host(|host| border::request_id(host)).unwrap_or(-1)
}

extern "C" fn key() -> *mut c_char {
    let key = with_host(|host| host.key().map(str::to_owned)).flatten();
    key.map_or(ptr::null_mut(), |key| to_c(&key))
}

extern "C" fn write_log(level: *const c_char, message: *const c_char) {
    let level = Level::from_name(&String::from_utf8_lossy(bytes(&level).unwrap_or_default()));
    let message = String::from_utf8_lossy(bytes(&message).unwrap_or_default());
    log::line(level, format_args!("{message}"));
}

extern "C" fn time(clock: i32) -> i64 {
    let clock = match clock {
        0 => libc::CLOCK_REALTIME,
        1 => libc::CLOCK_MONOTONIC,
        _ => return -1,
    };
    let mut now = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointer is that of a timespec, for which zeros are valid.
    let now = unsafe {
        if libc::clock_gettime(clock, now.as_mut_ptr()) != 0 {
            return -1;
        }
        now.assume_init()
    };
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

extern "C" fn random(buffer: *mut c_void, length: u32) -> i32 {
    let mut done = 0;
    while done < length as usize {
        if buffer.is_null() {
            return -1;
        }
        // SAFETY: by `module.h` the caller's buffer has `length` bytes.
        let count = unsafe { libc::getrandom(buffer.byte_add(done), length as usize - done, 0) };
        match usize::try_from(count) {
            Ok(count) => done += count,
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return -1,
        }
    }
    0
}

extern "C" fn free_string(string: *mut c_char) {
    // SAFETY: by `module.h` it is null or a string of ours, all of which malloc gave, and is freed
    // once.
    unsafe { libc::free(string.cast()) };
}

/// A string of ours for the library. It is malloc's, so that freeing it depends on nothing that the
/// library may have written into it.
fn to_c(text: &str) -> *mut c_char {
    // JSON has no NUL in it; a key that has one never gets this far.
    let bytes = text.as_bytes();
    // SAFETY: one byte more than is copied; the copy and the NUL stay within.
    unsafe {
        let string = libc::malloc(bytes.len() + 1).cast::<u8>();
        if string.is_null() {
            std::process::abort();
        }
        ptr::copy_nonoverlapping(bytes.as_ptr(), string, bytes.len());
        string.add(bytes.len()).write(0);
        string.cast()
    }
}

/// The bytes of a string that was passed to a function of the host. They are borrowed from the argument itself, so that
/// they cannot be kept for longer than the call.
fn bytes(string: &*const c_char) -> Option<&[u8]> {
    // SAFETY: by `module.h` it is null or ends with a NUL, and stays as it is until the function
    // returns.
    (!string.is_null()).then(|| unsafe { CStr::from_ptr(*string) }.to_bytes())
}

fn text<'a>(string: &'a *const c_char, name: &str) -> Result<Option<&'a str>, Error> {
    let text = bytes(string).map(std::str::from_utf8).transpose();
    text.map_err(|error| Error::bad_request(format!("the argument '{name}' is not UTF-8: {error}")))
}

fn json(string: &*const c_char, name: &str) -> Result<Json, Error> {
    match text(string, name)? {
        None => Ok(Json::null()),
        Some(text) => {
            Json::parse(text).map_err(|error| Error::bad_request(format!("the argument '{name}' is not JSON: {error}")))
        }
    }
}

fn missing(name: &str) -> Error {
    Error::bad_request(format!("the argument '{name}' is a null pointer, expected a text"))
}
