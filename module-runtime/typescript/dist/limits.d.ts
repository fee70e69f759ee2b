/** Every limit of this package, units last. Those of the wire are the ones of PROTOCOL.md. */
export declare const PROTOCOL_VERSION = 1;
export declare const LENGTH_PREFIX_BYTES = 4;
export declare const FRAME_BYTES_MIN = 2;
export declare const FRAME_BYTES_MAX_DEFAULT: number;
export declare const FRAME_BYTES_MAX_HIGHEST: number;
/** By so much the host may lengthen a message that it passes on. */
export declare const REWRITE_BYTES_MAX = 64;
export declare const DEADLINE_MS_MAX: number;
export declare const KEY_BYTES_MAX = 128;
export declare const EVENT_NAME_BYTES_MAX = 256;
export declare const ERROR_TEXT_BYTES_MAX: number;
export declare const QUOTE_BYTES_MAX = 64;
/** One read takes up to this many bytes, and so many frames where they are small. */
export declare const READ_BYTES: number;
/** Frames up to this length are written from one buffer that is used again. */
export declare const WRITE_BYTES: number;
/** How long after the deadline of an own request the host's word on it is still waited for: it says more than ours. */
export declare const ANSWER_GRACE_MS = 250;
/** How long handlers have to come to their end after the host is gone. */
export declare const FAREWELL_MS = 1000;
/** Members of `traceparent` and `tracestate` that are longer are not carried along. */
export declare const TRACE_CHARACTERS_MAX = 8192;
/** Lists and objects within each other, in arguments and payloads that are read into values. */
export declare const LEVELS_MAX = 128;
/** Lists and objects within each other in what is sent, where one of its parts is not plain JSON. */
export declare const LEVELS_SENT_MAX = 1024;
/** Of one of `args`, `returns` and `examples` of a command, as JSON; and of all of them together. */
export declare const SCHEMA_BYTES_MAX: number;
export declare const SCHEMAS_BYTES_MAX: number;
/** A refusal quotes so much of a value or a name, names so many alternatives, and compares so much of names. */
export declare const QUOTE_CHARACTERS_MAX = 60;
export declare const NAMES_MAX = 20;
export declare const COMPARED_CHARACTERS_MAX = 100;
/** Digits of a whole number that becomes a `bigint`. */
export declare const BIGINT_DIGITS_MAX = 4300;
/** Handlers of commands that are declared concurrent, at one time. */
export declare const CONCURRENT_DEFAULT = 64;
export declare const CONCURRENT_MAX = 1024;
/** The exit codes by which a module's process says how it ended. */
export declare const EXIT_OK = 0;
export declare const EXIT_FAILURE = 1;
export declare const EXIT_USAGE = 2;
export declare const EXIT_PANICKED = 101;
export declare const EXIT_PERMANENT = 125;
