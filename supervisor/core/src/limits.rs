//! Every bound of the core, and the defaults of what can be set. What a manifest or `bulkhead.toml` can
//! set is a field of [`HostSettings`], [`ModuleRules`] or [`RestartRules`]; everything else is a constant.

use crate::{
    core::HostSettings,
    restart::{Policy, RestartRules},
    spec::ModuleRules,
};
use bulkhead_protocol::limits;
use std::time::Duration;

impl Default for HostSettings {
    fn default() -> HostSettings {
        HostSettings {
            restarts_per_second: 20,
            restarts_burst: 50,
            starts_at_once: 16,
            client_requests_max: 4096,
            clients_bytes_max: 192 * 1024 * 1024,
        }
    }
}

/// The defaults of the manifest's `[limits]`; they are defined only here.
impl Default for ModuleRules {
    fn default() -> ModuleRules {
        ModuleRules {
            queue_max: 1024,
            queue_bytes_max: 64_000_000,
            window: 64,
            window_bytes_max: 4_000_000,
            requests_max: 64,
            start_timeout: Duration::from_secs(10),
            compile_timeout: None,
            drain_timeout: Duration::from_secs(5),
            term_timeout: Duration::from_secs(2),
            ping_interval: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(1),
            ping_misses: 3,
            deadline_default: Duration::from_secs(30),
            cancel_grace: Duration::from_secs(5),
            close_grace: Duration::from_millis(500),
            last_grace: Duration::from_secs(2),
            cpu_time_max: None,
        }
    }
}

/// The defaults of the manifest's `[restart]`; they are defined only here.
impl Default for RestartRules {
    fn default() -> RestartRules {
        RestartRules {
            policy: Policy::OnFailure,
            at_once_after: Duration::from_secs(1),
            delay_initial: Duration::from_millis(100),
            delay_max: Duration::from_secs(30),
            reset_after: Duration::from_secs(10),
            breaker_failures: 10,
            breaker_window: Duration::from_secs(5 * 60),
            breaker_retry: Duration::from_secs(60),
            give_up: None,
        }
    }
}

// Starts.

/// Grants in a row to prioritized waiters while others wait; then the oldest waiter is served.
pub(crate) const PRIORITIZED_MAX: u32 = 8;

/// How long a start that compiles keeps its start permit. Small modules are done by then, so few of them
/// compile at once; the few large ones compile beside the starts of others.
pub(crate) const COMPILE_PERMIT_MAX: Duration = Duration::from_secs(1);

/// Earliest start of the next spare after one was promoted. A start takes more processor time than the
/// requests that wait for the promoted process.
pub(crate) const NEXT_SPARE_DELAY: Duration = Duration::from_millis(2);

/// Time that a module which refused `init` has to exit by itself, so that its exit code is its own.
pub(crate) const INIT_REFUSED_GRACE: Duration = Duration::from_secs(1);

/// Failures that a slot remembers beyond those that open the breaker, since some may be pardoned.
pub(crate) const PARDONED_MAX: usize = 64;

// Health.

/// Delay before a CPU time that could not be measured is asked for again.
pub(crate) const SAMPLE_RETRY: Duration = Duration::from_millis(10);

/// How long a verdict waits for the look-up of a tracer. Without an answer by then there is none.
pub(crate) const TRACER_LOOKUP_MAX: Duration = Duration::from_secs(1);

/// Least time between two look-ups of a tracer of one process.
pub(crate) const TRACER_ROUND_MIN: Duration = Duration::from_secs(1);

/// Unanswered requests of the host that are remembered for each process; the answer to an older one counts
/// as strange.
pub(crate) const CONTROLS_MAX: usize = 256;

// Exits and crashes.

/// Crashes with one request in flight before it is quarantined.
pub(crate) const CRASHES_MAX: u32 = 2;

/// The same for a request with a key: a crash undoes it, so another attempt costs time only.
pub(crate) const KEYED_CRASHES_MAX: u32 = 5;

/// Requests in a crash record, with their payloads.
pub(crate) const RECORDED_REQUESTS_MAX: usize = 8;

/// Lines of a last answer's message that begin the crash record.
pub(crate) const SENTENCE_LINES_MAX: usize = 20;

/// Stops of one module with an escalation that are reported to the caller of the stop.
pub(crate) const STOP_NOTICES_MAX: usize = 16;

/// Entries of a module's chronicle.
pub(crate) const CHRONICLE_ENTRIES_MAX: usize = 32;

/// Bytes of a module's chronicle, as it lies in memory: 8 KiB.
pub(crate) const CHRONICLE_BYTES_MAX: usize = 8 * 1024;

/// Longest reason that a chronicle keeps, in bytes; a longer one is cut.
pub(crate) const CHRONICLE_REASON_BYTES_MAX: usize = 512;

/// Requests of one module that are listed for people who ask why it is in its state.
pub(crate) const WHY_REQUESTS_MAX: usize = 32;

/// Longest description of an uncaught exception, in bytes. Its text may be as long as a log line.
pub(crate) const UNCAUGHT_BYTES_MAX: usize = 512;

// What a module declares of itself. The protocol bounds what its commands say of themselves.

/// Longest version that is kept, in bytes; a longer one is cut.
pub(crate) const DECLARED_VERSION_BYTES_MAX: usize = 256;

/// Longest description of a module that is kept, in bytes; a longer one is cut.
pub(crate) const DECLARED_DESCRIPTION_BYTES_MAX: usize = 4096;

/// Members of one module's commands that are not kept and have a line of their own in its log.
pub(crate) const DROPPED_TOLD_MAX: usize = 16;

// Memory of requests: rounded up, never below what the tables take after they have doubled.

/// Memory of a request to a module beside its texts.
pub(crate) const REQUEST_BYTES: usize = 1024;

/// Memory of a request to the store beside its payload, here and at the store.
pub(crate) const STORE_REQUEST_BYTES: usize = 1024;

/// Memory of a wait for a module.
pub(crate) const WAITER_BYTES: usize = 512;

/// One client may hold this part of what all clients may hold: a quarter.
pub(crate) const CLIENT_SHARE: usize = 4;

// What the host lacks.

/// First delay before a start tries whether what was lacking has returned.
pub(crate) const LACK_RETRY_FIRST: Duration = Duration::from_millis(20);

/// Longest such delay.
pub(crate) const LACK_RETRY_MAX: Duration = Duration::from_millis(500);

/// Longest such delay for each module, where many modules each lack something of their own: their attempts
/// must not keep the host busy.
pub(crate) const LACK_RETRY_EACH: Duration = Duration::from_millis(5);

/// Attempts that are made at once when something of one module has returned, since the cause may be the same.
pub(crate) const LACK_HASTENED: usize = 4;

/// Length of a queue from which slots that no longer wait are removed.
pub(crate) const LACK_PURGE_MIN: usize = 64;

/// Longest reason that is kept, in bytes.
pub(crate) const LACK_REASON_BYTES_MAX: usize = 4096;

/// Exits of the guardian in a row after which its next start is delayed.
pub(crate) const GUARDIANS_AT_ONCE: u32 = 10;

/// First delay of the guardian's start, for which everything waits.
pub(crate) const GUARDIAN_DELAY_FIRST: Duration = Duration::from_millis(50);

/// Longest delay of the guardian's start.
pub(crate) const GUARDIAN_DELAY_MAX: Duration = Duration::from_millis(500);

/// Life of a guardian that ends the row.
pub(crate) const GUARDIAN_HELD: Duration = Duration::from_secs(10);

// Fairness between connections.

/// Cost of one portion of a connection's messages, in nanoseconds; then others are served.
pub const PORTION_NANOS_MAX: u64 = 100_000;

/// Debt from which a connection is served after the others, in nanoseconds.
pub(crate) const SHARE_NANOS: u64 = 250_000;

/// Nanoseconds of debt that are forgiven each microsecond: two milliseconds of the host's time in each second.
pub(crate) const PAID_BACK_NANOS: u64 = 2;

/// Greatest debt, so that a flood is forgiven within seconds of its end, in nanoseconds.
pub(crate) const DEBT_NANOS_MAX: u64 = 5_000_000;

/// Connections that are kept for the newest; a quarter of all where there are few.
pub const NEWEST_MAX: usize = 16;

/// How long a connection may keep a message half sent before it counts as idle.
pub const HALF_SENT_MAX: Duration = Duration::from_secs(10);

/// Idle connections that one search over all of them remembers.
pub(crate) const REMEMBERED_MAX: usize = 64;

// The store.

/// Deadline of a request to the store that names none.
pub(crate) const STORE_DEADLINE_DEFAULT: Duration = Duration::from_secs(30);

/// Requests that may join the work of one key.
pub(crate) const JOINED_MAX: usize = 256;

/// Conflicts of one request before it takes precedence. Fewer would delay unrelated requests.
pub(crate) const CONFLICTS_BEFORE_PRECEDENCE: u32 = 3;

/// Longest precedence. A request that answers within it loses against no other of its module.
pub(crate) const PRECEDENCE_MAX: Duration = Duration::from_secs(1);

/// Conflicts of one request before its caller is answered. Requests of its own module cause only a few
/// (see [`crate::layer1`]); this bounds conflicts with others.
pub(crate) const CONFLICTS_MAX: u32 = 100;

/// Events that one unit may publish.
pub(crate) const UNIT_EVENTS_MAX: usize = 10_000;

/// Bytes of the events that one unit may publish.
pub(crate) const UNIT_EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Events without an id that one caller may have at the store.
pub(crate) const UNNUMBERED_MAX: usize = 4096;

/// Bytes of the entities that are kept in memory: 16 MiB.
pub(crate) const ENTITIES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest entity that is kept in memory: 64 KiB.
pub(crate) const ENTITY_BYTES_MAX: usize = 64 * 1024;

/// Entities that a unit may have been shown from memory before the store was informed of these states.
pub(crate) const UNIT_SHOWN_MAX: usize = 1000;

/// What an answer, or an event for followers, that waits for the disk counts with beside its payload.
pub(crate) const HELD_ANSWER_BYTES: usize = 256;

/// Bytes of all that waits for the disk, above which requests of clients are refused until a flush is done: 64 MiB.
pub(crate) const HELD_ANSWERS_BYTES_MAX: usize = 64 * 1024 * 1024;

// Streams of events.

/// Deadline of an event in the queue; from delivery on, the module's own deadline counts.
pub(crate) const EVENT_TIMEOUT: Duration = Duration::from_millis(limits::DEADLINE_MS_MAX);

/// Events that are kept in memory for each module; the rest stays in the store.
pub(crate) const FETCHED_MAX: usize = 64;

/// Bytes of these events; one may always be kept.
pub(crate) const FETCHED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Events of a module that it has answered and that are being committed, while it has the next one.
pub(crate) const EVENTS_COMMITTING_MAX: usize = 64;

/// Attempts at one event before it is set aside.
pub(crate) const EVENT_ATTEMPTS_MAX: u32 = 5;

/// Delay after the first failure of an event; it doubles with each further one.
pub(crate) const EVENT_RETRY_FIRST: Duration = Duration::from_secs(1);

/// Longest such delay.
pub(crate) const EVENT_RETRY_MAX: Duration = Duration::from_secs(60);

/// Events that match no pattern of a module before the store is informed of its position again.
pub(crate) const PASSED_BY_MAX: u64 = 1000;
