//! Strings that a module passes to a function of the host, and those that it gets back. A wild pointer stops the
//! module; a string that is too long, not UTF-8 or not JSON gets an error as answer, as from the host itself.

use crate::exports::Exports;
use crate::instance::{self, State};
use crate::memory;
use crate::stop::Violation;
use bulkhead_child::Error;
use bulkhead_protocol::Json;
use wasmtime::Caller;

/// The module that called a function of the host.
pub(super) type Called<'a> = Caller<'a, State>;

/// Why a function of the host did not do what it was asked.
pub(super) enum Refusal {
    /// The module gets an error.
    Answer(Error),
    /// The module is stopped.
    Stop(wasmtime::Error),
}

impl From<wasmtime::Error> for Refusal {
    fn from(error: wasmtime::Error) -> Refusal {
        Refusal::Stop(error)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Answer(error)
    }
}

/// Passes a string to the module, in memory that the module allocates for it.
pub(super) fn deliver(caller: &mut Called<'_>, text: &str) -> wasmtime::Result<u32> {
    let exports = exports(caller)?.clone();
    match instance::give(caller, &exports, text)? {
        Some(pointer) => Ok(pointer),
        None => Err(Violation(format!(
            "it has no memory for {} bytes that the host answered: alloc_string answered a null pointer",
            text.len()
        ))
        .into()),
    }
}

pub(super) fn exports<'a>(caller: &'a Called<'_>) -> wasmtime::Result<&'a Exports> {
    let exports = caller.data().exports.as_ref();
    exports
        .ok_or_else(|| Violation("it called the host in its start function, where it has no memory yet".into()).into())
}

/// The string that the module passed as `what`.
pub(super) fn text(caller: &Called<'_>, what: &str, pointer: u32) -> Result<String, Refusal> {
    read(caller, what, pointer, |text| Ok(text.to_owned()))
}

/// The JSON that the module passed as `what`; a null pointer is the JSON null.
pub(super) fn json(caller: &Called<'_>, what: &str, pointer: u32) -> Result<Json, Refusal> {
    if pointer == 0 {
        return Ok(Json::null());
    }
    read(caller, what, pointer, |text| {
        Json::parse(text).map_err(|error| Error::bad_request(format!("{what} is no JSON: {error}")))
    })
}

fn read<T>(
    caller: &Called<'_>,
    what: &str,
    pointer: u32,
    parse: impl FnOnce(&str) -> Result<T, Error>,
) -> Result<T, Refusal> {
    let exports = exports(caller)?;
    match memory::text(exports.memory.data(caller), pointer, caller.data().string_bytes_max) {
        Ok(text) => Ok(parse(text)?),
        Err(fault) if fault.is_wild() => Err(Refusal::Stop(wild(what, &fault))),
        Err(fault @ memory::Fault::TooLong { .. }) => {
            Err(Error::frame_too_large(format!("the module passed as {what} {fault}")).into())
        }
        Err(fault) => Err(Error::bad_request(format!("the module passed as {what} {fault}")).into()),
    }
}

/// A string for people: bytes that are no text are replaced, and a very long one is cut.
pub(super) fn lossy(caller: &Called<'_>, what: &str, pointer: u32) -> wasmtime::Result<String> {
    let exports = exports(caller)?;
    let (memory, most) = (exports.memory.data(caller), caller.data().string_bytes_max);
    match memory::string(memory, pointer, most) {
        Ok(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        Err(memory::Fault::TooLong { .. }) => {
            let start = pointer as usize;
            Ok(String::from_utf8_lossy(&memory[start..start + most]).into_owned())
        }
        Err(fault) => Err(wild(what, &fault)),
    }
}

fn wild(what: &str, fault: &memory::Fault) -> wasmtime::Error {
    Violation(format!("it passed as {what} {fault}")).into()
}
