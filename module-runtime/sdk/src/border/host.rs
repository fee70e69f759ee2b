//! The host as a handler behind the border sees it: everything is requested when it is needed, and only what the host
//! answered for the request in progress is remembered.

use super::calls;
use bulkhead_child::{Ask, Error, Host, RequestBody, answer};
use bulkhead_protocol::Json;
use std::cell::OnceCell;
use std::ffi::{CStr, CString};
use std::time::Duration;

/// What `wait` answers when the caller has cancelled, or the host is gone.
const CANCELLED: i32 = 1;

/// What `wait` answers when the deadline has passed.
const TOO_LATE: i32 = 2;

#[derive(Default)]
pub(super) struct BorderHost {
    key: OnceCell<Option<String>>,
    is_late: bool,
}

impl Host for BorderHost {
    fn ask(&mut self, ask: Ask<'_>) -> Result<Json, Error> {
        let to = ask.to.map(text).transpose()?;
        let to = to.as_deref();
        let timeout_ms = ask.timeout.map_or(-1, milliseconds);
        read(match ask.what {
            RequestBody::Command { name, args } => calls::command(to, &text(name)?, &json(args), timeout_ms),
            RequestBody::Query(payload) => calls::query(to, &json(payload), timeout_ms),
            RequestBody::Mutation(payload) => calls::mutation(to, &json(payload), timeout_ms),
        })
    }

    fn emit(&mut self, event: &str, data: &Json) -> Result<(), Error> {
        read(calls::event(&text(event)?, &json(data))).map(drop)
    }

    fn progress(&mut self, data: &Json) -> Result<(), Error> {
        read(calls::progress(&json(data))).map(drop)
    }

    fn wait(&mut self, duration: Duration) -> bool {
        let word = calls::wait(milliseconds(duration));
        self.is_late |= word == TOO_LATE;
        word == CANCELLED
    }

    fn deadline(&self) -> Option<Duration> {
        if self.is_late {
            // Less than a millisecond may be left.
            return Some(Duration::ZERO);
        }
        u64::try_from(calls::deadline_ms()).ok().map(Duration::from_millis)
    }

    fn id(&self) -> Option<u64> {
        u64::try_from(calls::request_id()).ok()
    }

    fn key(&self) -> Option<&str> {
        let key = || calls::key().and_then(|key| String::from_utf8(key).ok());
        self.key.get_or_init(key).as_deref()
    }
}

/// Rounded up: a time that is not over is not over.
fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

fn text(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::bad_request(format!("expected a text without NUL, found {text:?}")))
}

fn json(json: &Json) -> CString {
    CString::new(json.as_str()).expect("JSON has no NUL")
}

fn read(answer: Option<Vec<u8>>) -> Result<Json, Error> {
    let answer = answer.ok_or_else(|| Error::failed("there is no host to ask: the library was given none"))?;
    answer::read_host(&answer)
}

/// For the files below: a null pointer for what is absent.
pub(super) fn pointer(text: Option<&CStr>) -> *const std::ffi::c_char {
    text.map_or(std::ptr::null(), CStr::as_ptr)
}
