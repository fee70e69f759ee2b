//! The error a handler answers with: a code from the wire's closed list and a sentence for a person.

use bulkhead_protocol::{Delivery, ErrorCode, Failure, Json};
use std::fmt;

/// Why a request failed, as its caller will read it.
#[derive(Clone, Debug)]
pub struct Error {
    failure: Box<Failure>,
    permanent: bool,
}

macro_rules! constructors {
    ($( $(#[$doc:meta])* $name:ident = $code:ident; )*) => {
        $( $(#[$doc])* pub fn $name(sentence: impl Into<String>) -> Error { Error::with_code(ErrorCode::$code, sentence) } )*
    };
}

impl Error {
    constructors! {
        /// The request cannot be understood.
        bad_request = BadRequest;
        /// What the request names does not exist.
        not_found = NotFound;
        /// Something else changed in the meantime, or the same thing exists already.
        conflict = Conflict;
        /// The caller may not do this.
        permission_denied = PermissionDenied;
        /// There is too much to do already; nothing was done.
        overloaded = Overloaded;
        /// The module tried and failed.
        failed = ModuleError;
        /// The answer, or what the request asks to send, is longer than a frame may be.
        frame_too_large = FrameTooLarge;
        /// The module does not handle requests of this type.
        unknown_type = UnknownType;
        /// The handler stopped because its caller cancelled.
        cancelled = Cancelled;
        /// The handler stopped because the deadline passed.
        deadline_exceeded = DeadlineExceeded;
    }

    /// The module has no command of this name.
    pub fn unknown_command(name: &str) -> Error {
        Error::with_code(ErrorCode::UnknownCommand, format!("there is no command {name:?}"))
    }

    /// An error with a code of the module's own, like `out_of_ink`. On the wire it is a
    /// `module_error` with this `module_code`; a code of the wire's list is taken as that.
    pub fn custom(code: &str, sentence: impl Into<String>) -> Error {
        match ErrorCode::from_name(code).filter(|code| code.allowed_from_module()) {
            Some(code) => Error::with_code(code, sentence),
            None => {
                let mut error = Error::failed(sentence);
                error.failure.module_code = Some(code.to_owned());
                error
            }
        }
    }

    /// The same error with data for programs beside the sentence.
    pub fn with_data(mut self, data: Json) -> Error {
        self.failure.data = Some(data);
        self
    }

    /// The same error, which the caller may try again later.
    pub fn retryable(mut self) -> Error {
        self.failure.retryable = true;
        self
    }

    /// From `init` only: starting again would not help until an operator has changed something.
    pub fn permanent(mut self) -> Error {
        self.permanent = true;
        self
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.failure.code
    }

    /// The module's own code, where it gave one.
    pub fn module_code(&self) -> Option<&str> {
        self.failure.module_code.as_deref()
    }

    /// How far the request got, where the host reported it.
    pub fn delivery(&self) -> Option<Delivery> {
        self.failure.delivery
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.failure.retryable
    }

    /// All of it, as it came.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// The data beside the sentence.
    pub fn data(&self) -> Option<&Json> {
        self.failure.data.as_ref()
    }

    /// An error with this code of the wire's list.
    pub fn with_code(code: ErrorCode, sentence: impl Into<String>) -> Error {
        Error { failure: Box::new(Failure::new(code, sentence)), permanent: false }
    }

    /// The same error, of a request that has not begun: sending it again does nothing twice.
    pub fn not_started(mut self) -> Error {
        self.failure.delivery = Some(Delivery::NotStarted);
        self
    }

    /// Whether it was marked as [permanent](Error::permanent).
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// What a module may report about itself: an error that it passes on from another module's answer keeps its
    /// sentence, but not a code or a crash that is not its own.
    pub fn into_failure(self) -> Failure {
        let mut failure = *self.failure;
        if !failure.code.allowed_from_module() {
            failure.module_code.get_or_insert_with(|| failure.code.name().to_owned());
            failure.code = ErrorCode::ModuleError;
            failure.exit = None;
            failure.stderr = Vec::new();
            failure.delivery = None;
        }
        failure
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error { failure: Box::new(failure), permanent: false }
    }
}

/// JSON that is not what was expected came from the caller.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Error {
        Error::bad_request(error.to_string())
    }
}

/// Files and sockets that fail are faults of the module.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::failed(error.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.failure.error)
    }
}

impl std::error::Error for Error {}
