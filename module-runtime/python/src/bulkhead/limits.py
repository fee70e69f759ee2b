"""Every limit of this package, units last. Those of the wire are the ones of PROTOCOL.md."""

PROTOCOL_VERSION = 1

LENGTH_PREFIX_BYTES = 4
FRAME_BYTES_MAX_DEFAULT = 16 * 1024 * 1024
# By so much the host may lengthen a message that it passes on.
REWRITE_BYTES_MAX = 64
REQUEST_ID_MAX = 2**53 - 1
DEADLINE_MS_MAX = 24 * 60 * 60 * 1000
KEY_BYTES_MAX = 128
EVENT_NAME_BYTES_MAX = 256
ERROR_TEXT_BYTES_MAX = 16 * 1024
QUOTE_BYTES_MAX = 64

# One read takes up to this many bytes, and so many frames where they are small.
READ_BYTES = 64 * 1024
# One read of a long frame takes up to this many.
LONG_READ_BYTES_MAX = 1024 * 1024
# One wait, in seconds; a longer one is several.
WAIT_SECONDS_MAX = DEADLINE_MS_MAX / 1000
# How long after the deadline of a request of our own the host's word on it is still waited for: it says
# more than ours, as the host knows how far the request got.
ANSWER_GRACE_SECONDS = 0.25

# Lists and objects within each other, in arguments and payloads that are read into values.
LEVELS_MAX = 128
# Whole numbers with more digits are refused by Python itself from 3.11 on.
INTEGER_DIGITS_MAX = 4300
# Of one of `args`, `returns` and `examples` of a command, as JSON; and of all of them together.
SCHEMA_BYTES_MAX = 64 * 1024
SCHEMAS_BYTES_MAX = 256 * 1024
# A refusal quotes so much of a value or a name, names so many alternatives, and compares so much of names.
QUOTE_CHARACTERS_MAX = 60
NAMES_MAX = 20
PATH_CHARACTERS_MAX = 1024
COMPARED_CHARACTERS_MAX = 100

# Threads for the handlers that are declared concurrent.
THREADS_DEFAULT = 8
THREADS_MAX = 1024

# The exit codes by which a module's process says how it ended.
EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_PANICKED = 101
EXIT_PERMANENT = 125
