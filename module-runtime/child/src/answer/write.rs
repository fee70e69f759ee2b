//! Writes an answer as the JSON that passes a C border: the wire's response without its id. Reading
//! it is the parent module's business.

use crate::Error;
use bulkhead_protocol::limits::{FRAME_BYTES_MAX_HIGHEST, LENGTH_PREFIX_BYTES};
use bulkhead_protocol::{Failure, Json, Response};

/// What a module answers, as text. `panicked` says that its handler did, and that its state is in doubt.
pub fn write(result: Result<Json, Error>, panicked: bool) -> String {
    match result {
        Ok(data) => success(&data),
        Err(error) => {
            let permanent = error.is_permanent();
            let mut text = failure(error.into_failure());
            for (said, name) in [(permanent, "permanent"), (panicked, "panicked")] {
                if said {
                    text.truncate(text.len() - 1);
                    text.push_str(&format!(",\"{name}\":true}}"));
                }
            }
            text
        }
    }
}

/// What a function of the host answers to a module, as text. What the host reported about a crash, for example, stays
/// as it was.
pub fn write_host(result: Result<Json, Error>) -> String {
    match result {
        Ok(data) => success(&data),
        Err(error) => failure(error.failure().clone()),
    }
}

fn success(data: &Json) -> String {
    let data = data.as_str();
    let mut text = String::with_capacity(data.len() + 32);
    text.push_str(r#"{"status":"success","data":"#);
    text.push_str(data);
    text.push('}');
    text
}

fn failure(failure: Failure) -> String {
    const BEFORE: usize = LENGTH_PREFIX_BYTES + r#"{"id":null,"#.len();
    let mut frame = Vec::new();
    let response = Response::new(None, failure);
    if response.encode(&mut frame, FRAME_BYTES_MAX_HIGHEST).is_err() {
        let short = Error::frame_too_large("the error is longer than any frame may be").into_failure();
        let response = Response::new(None, short);
        response.encode(&mut frame, FRAME_BYTES_MAX_HIGHEST).expect("a short error fits");
    }
    let mut text = String::from("{");
    text.push_str(std::str::from_utf8(&frame[BEFORE..]).expect("JSON is UTF-8"));
    text
}
