//! What the serving loop requires of a guest, the handler of the requests. How a guest is loaded and what it is made of
//! is up to its implementation.

use crate::{Error, Host};
use bulkhead_protocol::{Init, Json, PROTOCOL_VERSION, Ready, RequestType};

/// The handler of the requests. Its functions are called one at a time, in the order in which the
/// requests came.
pub trait Guest {
    /// What it is called in the log and towards a person who starts it without a host.
    fn name(&self) -> String;

    /// Does the long part of a start, before [`Guest::init`] and with a way to report to the host by
    /// progress. Most guests have nothing of the kind.
    ///
    /// # Errors
    /// As those of [`Guest::init`], which is not called then.
    fn prepare(&mut self, _host: &mut dyn Host, _init: &Init) -> Result<(), Error> {
        Ok(())
    }

    /// Gets ready to handle requests; called once, before anything else but `name`. `payload` is
    /// what `init` was read from, with members that [`Init`] does not know.
    ///
    /// # Errors
    /// The error is answered and the process ends with 1, or with
    /// [`EXIT_PERMANENT`](crate::EXIT_PERMANENT) where it is [permanent](Error::permanent).
    fn init(&mut self, init: &Init, payload: &Json) -> Result<Greeting, Error>;

    /// Handles one request: a command, a query, a mutation, an event or `shutdown`. Other types never get here.
    fn handle(&mut self, host: &mut dyn Host, kind: &RequestType, payload: &Json) -> Outcome;
}

/// What a guest reports when it is ready.
pub struct Greeting {
    /// What the host gets.
    pub ready: Ready,
    /// Whether the answers to requests that are safe to repeat may be written together.
    pub batch_answers: bool,
    /// What must be done before answers leave.
    pub barrier: Option<Barrier>,
}

/// Work that is done once for all answers that leave together, before the first byte of them does. It is cheap when
/// there is nothing to do. When it fails, the answers are not sent and the process ends: the host then informs each
/// caller how far its request got.
pub type Barrier = Box<dyn FnMut() -> Result<(), Error>>;

/// How handling a request ended.
#[derive(Debug)]
pub enum Outcome {
    /// With an answer.
    Answer(Result<Json, Error>),
    /// With an answer, after which the process ends with this code. The answer says so to the host, and that nothing
    /// else has begun.
    Last(Result<Json, Error>, u8),
}

/// Reads the payload of `init`, for any channel.
///
/// # Errors
/// When it has another form, or the host speaks another version of the wire; that is permanent.
pub fn read_init_payload(payload: &Json) -> Result<Init, Error> {
    #[derive(serde::Deserialize)]
    struct Version {
        protocol: u32,
    }
    // The version first: another one may have another form in all other members.
    let Version { protocol } = payload.read()?;
    if protocol != PROTOCOL_VERSION {
        let sentence = format!("this module speaks version {PROTOCOL_VERSION} of the wire, the host speaks {protocol}");
        return Err(Error::bad_request(sentence).permanent());
    }
    Ok(payload.read()?)
}
