//! The closed list of error codes, and how far a request got. The wording of single errors is not here.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! error_codes {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal, retryable: $retryable:literal, module: $module:literal; )*) => {
        /// Why a request failed. The list is closed: a new code is a new version of the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $( $(#[$doc])* $variant, )* }

        impl ErrorCode {
            /// Every code, in the order of `PROTOCOL.md`.
            pub const ALL: &[ErrorCode] = &[ $( ErrorCode::$variant, )* ];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $( ErrorCode::$variant => $name, )* }
            }

            /// Whether the same request may succeed when it is sent again later, unless the answer says otherwise.
            pub const fn retryable(self) -> bool {
                match self { $( ErrorCode::$variant => $retryable, )* }
            }

            /// Whether a module may answer with this code. Only the host says `module_crashed`, for
            /// example; the answer of a module that says it becomes `module_error`.
            pub const fn allowed_from_module(self) -> bool {
                match self { $( ErrorCode::$variant => $module, )* }
            }

            /// The code with this name.
            pub fn from_name(name: &str) -> Option<ErrorCode> {
                match name { $( $name => Some(ErrorCode::$variant), )* _ => None }
            }
        }
    };
}

error_codes! {
    /// The request cannot be understood: not JSON, a member missing or of the wrong type.
    BadRequest = "bad_request", retryable: false, module: true;
    /// No module of that name is known to this host.
    UnknownModule = "unknown_module", retryable: false, module: false;
    /// The receiver does not handle requests of this type.
    UnknownType = "unknown_type", retryable: false, module: true;
    /// The receiver has no command of this name.
    UnknownCommand = "unknown_command", retryable: false, module: true;
    /// The module handled the request and answered that it failed.
    ModuleError = "module_error", retryable: false, module: true;
    /// The module's process ended before it answered; `delivery` says how far the request got.
    ModuleCrashed = "module_crashed", retryable: true, module: false;
    /// The module is not running and will not start by itself now.
    ModuleUnavailable = "module_unavailable", retryable: true, module: false;
    /// The deadline passed before there was an answer.
    DeadlineExceeded = "deadline_exceeded", retryable: true, module: true;
    /// The caller cancelled the request.
    Cancelled = "cancelled", retryable: false, module: true;
    /// A bounded queue is full; nothing was done.
    Overloaded = "overloaded", retryable: true, module: true;
    /// The message is longer than a frame may be.
    FrameTooLarge = "frame_too_large", retryable: false, module: true;
    /// The bytes that came are not the protocol.
    ProtocolError = "protocol_error", retryable: false, module: false;
    /// The sender may not do this.
    PermissionDenied = "permission_denied", retryable: false, module: true;
    /// What the request names does not exist.
    NotFound = "not_found", retryable: false, module: true;
    /// Something else changed in the meantime, or the same thing exists already.
    Conflict = "conflict", retryable: false, module: true;
    /// The request was in flight at too many crashes and is not tried again.
    Quarantined = "quarantined", retryable: false, module: false;
    /// A fault of the host itself.
    Internal = "internal", retryable: true, module: false;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a failed request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// The module has not begun with it: sending it again does nothing twice.
    NotStarted,
    /// The module had it and was next to handle it, or was handling it: it may have had effects.
    Started,
    /// The module had it among others that it handles at once: it may have had effects or not.
    Unknown,
}

impl Delivery {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Delivery::NotStarted => "not_started",
            Delivery::Started => "started",
            Delivery::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_own_name() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_name(code.name()), Some(code));
        }
        assert_eq!(ErrorCode::from_name("no_such_code"), None);
    }
}
