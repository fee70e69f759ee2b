//! Every limit of the wire, units last. The default of what is configurable is only here.

/// Bytes of the length prefix in front of every frame.
pub const LENGTH_PREFIX_BYTES: usize = 4;

/// Largest frame that is accepted unless the host's file says otherwise: 16 MiB.
pub const FRAME_BYTES_MAX_DEFAULT: usize = 16 * 1024 * 1024;

/// Smallest value that `frame_bytes_max` may be configured to: an error with its last lines of
/// standard error must always fit.
pub const FRAME_BYTES_MAX_LOWEST: usize = 64 * 1024;

/// Largest value that `frame_bytes_max` may be configured to: 256 MiB. It stays below the smallest
/// length that four printable ASCII characters spell, so that text is always recognised as text.
pub const FRAME_BYTES_MAX_HIGHEST: usize = 256 * 1024 * 1024;

/// Bytes by which a message grows at most when the host passes it on: its own number for it and the
/// deadline that is left may have more digits than what the sender wrote. Receivers of the host's
/// frames allow for it; the host does not.
pub const REWRITE_BYTES_MAX: usize = 64;

/// Longest name of a module, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 128;

/// Longest name of an event or of a pattern of events, in bytes.
pub const EVENT_NAME_BYTES_MAX: usize = 256;

/// Longest text of an `error` that a module's answer may carry through the host; a longer one is cut.
pub const ERROR_TEXT_BYTES_MAX: usize = 16 * 1024;

/// Longest `args`, `returns` or `examples` of one command that the host keeps, in bytes of its text.
pub const DETAIL_BYTES_MAX: usize = 64 * 1024;

/// How many bytes the `args`, `returns` and `examples` of all commands of one module have together at most, of those
/// that the host keeps.
pub const DETAILS_BYTES_MAX: usize = 256 * 1024;

/// Highest request id: 2⁵³ − 1, the largest integer that every JSON implementation reads exactly
/// (RFC 8259, section 6).
pub const REQUEST_ID_MAX: u64 = (1 << 53) - 1;

/// Longest deadline, in milliseconds: one day.
pub const DEADLINE_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// How many bytes of an offending frame are quoted in an error.
pub const QUOTE_BYTES_MAX: usize = 64;

const _: () = assert!(FRAME_BYTES_MAX_LOWEST <= FRAME_BYTES_MAX_DEFAULT);
const _: () = assert!(FRAME_BYTES_MAX_DEFAULT <= FRAME_BYTES_MAX_HIGHEST);
// Four spaces, 0x20202020, is the smallest printable text read as a length.
const _: () = assert!(FRAME_BYTES_MAX_HIGHEST + REWRITE_BYTES_MAX < 0x2020_2020);
const _: () = assert!(DETAIL_BYTES_MAX <= DETAILS_BYTES_MAX);
const _: () = assert!(ERROR_TEXT_BYTES_MAX * 2 < FRAME_BYTES_MAX_LOWEST);
