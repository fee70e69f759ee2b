//! The answer rules: what the bytes that came over a C border mean, and the same the other way round.
//!
//! Libraries exist that answer in other forms than the wire's, so nearly everything is an answer; the
//! table is the documentation of [`read`]. It only reads and writes texts: who owns them, and what
//! follows a panic, is not decided here. Nothing that comes is able to make it panic.

mod greeting;
mod members;
mod write;

pub use greeting::{Readiness, read_greeting};
pub use write::{write, write_host};

use self::members::Members;
use crate::Error;
use bulkhead_protocol::limits::ERROR_TEXT_BYTES_MAX;
use bulkhead_protocol::{ErrorCode, Failure, Json, Message, RequestType, Response, Status};

/// How much of what is not JSON is quoted, in characters.
const QUOTE_CHARACTERS_MAX: usize = 200;

/// What a module answered over a C border.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The answer as its caller gets it.
    pub result: Result<Json, Error>,
    /// Whether the module says that its handler panicked: its state is in doubt.
    pub panicked: bool,
}

/// Reads what `handle_message` returned for a request of this type; `None` is a null pointer.
///
/// | answer | means |
/// |---|---|
/// | a null pointer, not UTF-8, not JSON | the error `module_error` that says which |
/// | more bytes than a frame may have | the error `frame_too_large` |
/// | an object whose `status` is `error` | that error: its sentence is `error`, else `message`; where it has no `data`, members without a meaning are its data |
/// | an object with `data` | success with that data |
/// | an object with a text as `status`, and no `data` | success; the other members are the data |
/// | any other JSON | success; all of it is the data |
///
/// An event is handled unless the answer is an error or a null pointer, whatever its other members. A
/// shutdown failed only where the answer is an error that has a code, and another than
/// `unknown_type`: a module need not know `shutdown`. What the answer to `init` says beyond an error
/// is read by [`read_greeting`].
pub fn read(kind: &RequestType, answer: Option<&[u8]>, frame_bytes_max: usize) -> Answer {
    let name = kind.name();
    let result = match answer {
        None if *kind == RequestType::Shutdown => Ok(Json::null()),
        None => Err(Error::failed(format!("the module answered {name:?} with a null pointer"))),
        Some(bytes) => match read_text(name, bytes, frame_bytes_max) {
            Ok(Said::Error { error, panicked, has_code }) => {
                let unknown = !has_code || error.code() == ErrorCode::UnknownType;
                let result = match kind {
                    RequestType::Shutdown if unknown && !panicked => Ok(Json::null()),
                    _ => Err(error),
                };
                return Answer { result, panicked };
            }
            Ok(Said::Data(_)) | Err(_) if matches!(kind, RequestType::Event | RequestType::Shutdown) => {
                Ok(Json::null())
            }
            Ok(Said::Data(data)) => Ok(data),
            Err(error) => Err(error),
        },
    };
    Answer { result, panicked: false }
}

/// Reads what `before_answers` returned where it was no null pointer: why the answers cannot leave.
pub fn read_barrier(answer: &[u8]) -> Error {
    match read_text("before_answers", answer, usize::MAX) {
        Ok(Said::Error { error, .. }) => error,
        _ => Error::failed(cut(&String::from_utf8_lossy(answer), QUOTE_CHARACTERS_MAX)),
    }
}

/// Reads what a function of the host answered to a module: the wire's response without its id.
///
/// # Errors
/// What the host answered, or that it is none of its answers.
pub fn read_host(answer: &[u8]) -> Result<Json, Error> {
    match Message::decode(answer) {
        Ok(Message::Response(Response { status: Status::Success(data), .. })) => Ok(data),
        Ok(Message::Response(Response { status: Status::Error(failure), .. })) => Err(Error::from(*failure)),
        Ok(_) => Err(Error::failed("the host's answer is neither a success nor an error")),
        Err(error) => Err(Error::failed(format!("the host's answer cannot be read: {error}"))),
    }
}

/// What an answer says, whatever it is an answer to.
enum Said {
    Data(Json),
    Error { error: Error, panicked: bool, has_code: bool },
}

fn read_text(to: &str, bytes: &[u8], bytes_max: usize) -> Result<Said, Error> {
    if bytes.len() > bytes_max {
        return Err(Error::frame_too_large(format!(
            "the module's answer to {to:?} is {} bytes long, and a frame has at most {bytes_max}",
            bytes.len()
        )));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Error::failed(format!(
            "expected UTF-8 as the module's answer to {to:?}, found the byte 0x{:02x} at offset {at}",
            bytes.get(at).copied().unwrap_or_default()
        ))
    })?;
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let no_json = |error: serde_json::Error| {
        let found = format!("{:?}", cut(text, QUOTE_CHARACTERS_MAX));
        Error::failed(format!("expected JSON as the module's answer to {to:?}, found {found}: {error}"))
    };
    if !text.starts_with('{') {
        return Json::parse(text).map(Said::Data).map_err(no_json);
    }
    let members = Members::parse(text).map_err(no_json)?;
    if members.text("status").as_deref() == Some("error") {
        let (has_code, panicked) = (members.text("code").is_some(), members.read("panicked") == Some(true));
        return Ok(Said::Error { error: read_error(to, &members), panicked, has_code });
    }
    Ok(Said::Data(if let Some(data) = members.json("data") {
        data
    } else if members.text("status").is_some() {
        members.without(&["status"])
    } else {
        Json::parse(text).map_err(no_json)?
    }))
}

/// The error in an object. A member of another form than expected is left among the data.
fn read_error(to: &str, members: &Members<'_>) -> Error {
    let mut understood = vec!["status"];
    let mut sentence = None;
    for name in ["error", "message"] {
        if sentence.is_none() {
            sentence = members.text(name).inspect(|_| understood.push(name));
        }
    }
    let sentence = sentence.unwrap_or_else(|| format!("the module answered {to:?} with an error without a sentence"));
    let code = members.text("code").inspect(|_| understood.push("code"));
    // A code that only the host may use becomes one of the module's own, and says nothing of retries.
    let allowed = |code: &str| ErrorCode::from_name(code).filter(|code| code.allowed_from_module());
    let known = code.as_deref().map_or(Some(ErrorCode::ModuleError), allowed);
    let mut failure = Failure::new(known.unwrap_or(ErrorCode::ModuleError), shortened(sentence));
    failure.module_code = match known {
        Some(_) => members.text("module_code").inspect(|_| understood.push("module_code")),
        None => code,
    };
    if let Some(retryable) = members.read("retryable") {
        failure.retryable = retryable;
        understood.push("retryable");
    }
    failure.delivery = members.read("delivery").inspect(|_| understood.push("delivery"));
    failure.exit = members.read("exit").inspect(|_| understood.push("exit"));
    failure.stderr = members.read("stderr").inspect(|_: &Vec<_>| understood.push("stderr")).unwrap_or_default();
    if known.is_none() {
        // What came with such a code was said of another process.
        (failure.delivery, failure.exit, failure.stderr) = (None, None, Vec::new());
    }
    let permanent = members.read("permanent").inspect(|_: &bool| understood.push("permanent"));
    let _ = members.read("panicked").inspect(|_: &bool| understood.push("panicked"));
    failure.data = members.json("data").or_else(|| {
        let others = members.without(&understood);
        (others.as_str() != "{}").then_some(others)
    });
    let error = Error::from(failure);
    if permanent == Some(true) { error.permanent() } else { error }
}

/// A sentence that is no longer than the host passes on.
fn shortened(mut sentence: String) -> String {
    if sentence.len() > ERROR_TEXT_BYTES_MAX {
        sentence.truncate(sentence.floor_char_boundary(ERROR_TEXT_BYTES_MAX));
        sentence.push('…');
    }
    sentence
}

/// The beginning of a text, so many characters long.
fn cut(text: &str, characters_max: usize) -> String {
    match text.char_indices().nth(characters_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
