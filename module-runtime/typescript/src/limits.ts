/** Every limit of this package, units last. Those of the wire are the ones of PROTOCOL.md. */

export const PROTOCOL_VERSION = 1;

export const LENGTH_PREFIX_BYTES = 4;
export const FRAME_BYTES_MIN = 2;
export const FRAME_BYTES_MAX_DEFAULT = 16 * 1024 * 1024;
export const FRAME_BYTES_MAX_HIGHEST = 256 * 1024 * 1024;
/** By so much the host may lengthen a message that it passes on. */
export const REWRITE_BYTES_MAX = 64;
export const DEADLINE_MS_MAX = 24 * 60 * 60 * 1000;
export const KEY_BYTES_MAX = 128;
export const EVENT_NAME_BYTES_MAX = 256;
export const ERROR_TEXT_BYTES_MAX = 16 * 1024;
export const QUOTE_BYTES_MAX = 64;

/** One read takes up to this many bytes, and so many frames where they are small. */
export const READ_BYTES = 64 * 1024;
/** Frames up to this length are written from one buffer that is used again. */
export const WRITE_BYTES = 64 * 1024;
/** How long after the deadline of an own request the host's word on it is still waited for: it says more than ours. */
export const ANSWER_GRACE_MS = 250;
/** How long handlers have to come to their end after the host is gone. */
export const FAREWELL_MS = 1000;
/** Members of `traceparent` and `tracestate` that are longer are not carried along. */
export const TRACE_CHARACTERS_MAX = 8192;

/** Lists and objects within each other, in arguments and payloads that are read into values. */
export const LEVELS_MAX = 128;
/** Lists and objects within each other in what is sent, where one of its parts is not plain JSON. */
export const LEVELS_SENT_MAX = 1024;
/** Of one of `args`, `returns` and `examples` of a command, as JSON; and of all of them together. */
export const SCHEMA_BYTES_MAX = 64 * 1024;
export const SCHEMAS_BYTES_MAX = 256 * 1024;
/** A refusal quotes so much of a value or a name, names so many alternatives, and compares so much of names. */
export const QUOTE_CHARACTERS_MAX = 60;
export const NAMES_MAX = 20;
export const COMPARED_CHARACTERS_MAX = 100;

/** Digits of a whole number that becomes a `bigint`. */
export const BIGINT_DIGITS_MAX = 4300;

/** Handlers of commands that are declared concurrent, at one time. */
export const CONCURRENT_DEFAULT = 64;
export const CONCURRENT_MAX = 1024;

/** The exit codes by which a module's process says how it ended. */
export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
export const EXIT_PANICKED = 101;
export const EXIT_PERMANENT = 125;
