//! What each key means, in the words of `docs/configuration.md`, for editors: the schemas have these texts. A test
//! compares them with the rows of the page.

/// Of the keys of `module.toml`.
pub(crate) const MODULE_MEANINGS: &[(&str, &str)] = &[
    ("module.name", "The module's name in the host, and its address."),
    ("module.version", "The author's version, for people."),
    ("module.type", "The kind of the module."),
    (
        "module.requires",
        "Names of modules that must be ready before this one is started. Each must exist, and no circle is \
         allowed.",
    ),
    (
        "module.spares",
        "Started, initialised copies that wait to take over after a crash. After a takeover a new spare is \
         started, 2 ms later at the earliest, so that the one that took over answers first.",
    ),
    ("module.instances", "Copies that share the work behind the one name."),
    ("module.autostart", "Whether the host starts it automatically."),
    (
        "module.env",
        "A table of variables for its environment. Names that begin with `BULKHEAD_` are reserved for the host.",
    ),
    (
        "module.inherit_env",
        "Names of variables that it inherits from the host's environment, beside `PATH`, `HOME`, `LANG`, `LC_ALL`, `TZ`, `TMPDIR` and `USER`.",
    ),
    ("module.command", "The program and its arguments, a list of texts."),
    (
        "module.transport",
        "The channel for messages: a socket on the descriptor that `BULKHEAD_FD` names, or standard input and \
         output.",
    ),
    ("module.library", "The path of the shared library."),
    ("module.wasm", "The path of the WebAssembly module."),
    ("module.per_message", "Whether each message gets a process of its own."),
    ("module.line", "The content of a line."),
    (
        "restart.policy",
        "After which exits the module is started again. A failure is a non-zero exit, a signal that the host did \
         not send, a start that took too long, a hang, and a broken protocol. A stop by command never counts.",
    ),
    ("restart.at_once_after", "A module that was ready for at least this time is restarted at once the first time."),
    (
        "restart.delay_initial",
        "The first delay. Each further one is twice as long, times a factor between 0.75 and 1.25.",
    ),
    ("restart.delay_max", "The longest delay; at least `delay_initial`."),
    (
        "restart.reset_after",
        "Continuous readiness after which the failures are forgotten; at least twice the last delay.",
    ),
    (
        "restart.breaker_failures",
        "This number of failures within `breaker_window` opens the circuit breaker: the module is in a \
         `crash_loop`. A crash does not count if the message in progress is quarantined, or the event is set \
         aside.",
    ),
    ("restart.breaker_window", "See `breaker_failures`."),
    ("restart.breaker_retry", "The time between two tries while the breaker is open."),
    ("restart.give_up", "After this number of failed tries with an open breaker the host stops trying."),
    (
        "restart.on_panic",
        "What follows a panic in a handler, or a trap in WebAssembly, after it was answered: the process ends \
         with a failure, or the module continues. An executable gets the value in `init`; those that use the Rust \
         SDK apply it.",
    ),
    ("limits.queue", "Requests that wait in the host; one more is answered with `overloaded`."),
    (
        "limits.queue_bytes_max",
        "Bytes of the requests that wait in the host, as they lie in memory: about a kilobyte for each beside its \
         payload.",
    ),
    ("limits.window", "Requests that are sent ahead of the answers."),
    ("limits.window_bytes", "Bytes of the requests that are sent ahead; one larger request still goes alone."),
    ("limits.requests", "Requests of its own that the module may have unanswered."),
    ("limits.start_timeout", "From the start of the process to its readiness."),
    ("limits.stop_timeout", "From `shutdown` to SIGTERM: the time to finish its requests."),
    ("limits.term_timeout", "From SIGTERM to SIGKILL."),
    ("limits.ping_interval", "Silence, with nothing in flight, after which the module is pinged."),
    ("limits.ping_timeout", "Time to answer a ping."),
    ("limits.ping_misses", "Unanswered pings in a row after which it counts as dead."),
    ("limits.deadline_default", "The deadline of a request without one."),
    ("limits.cancel_grace", "From `cancel` to the kill of a module that does not stop working on the request."),
    (
        "limits.compile_timeout",
        "How long a start may take in addition to `start_timeout` where the module has to be compiled first. The \
         compiled code is kept for the next start.",
    ),
    (
        "resources.memory_limit",
        "Bytes of data that each of its processes may have (RLIMIT_DATA). For WebAssembly: bytes of the module's \
         own memory, not of its runtime's process.",
    ),
    (
        "resources.core_limit",
        "Longest core file of each of its processes (RLIMIT_CORE), as far as the hard limit of the daemon allows. \
         With the default there is none. `kernel.core_pattern` decides where it is written; see debugging.",
    ),
    (
        "resources.oom_score",
        "By how much `oom_score_adj` of its processes is above that of the host and the guardian: when memory \
         runs out, the kernel's memory killer takes them first. 1000 stands for all of the memory. With the \
         default they are killed before a host that holds up to half of it; see when memory runs out.",
    ),
    (
        "resources.storage_quota",
        "Bytes of the entities in the data store that the module created, including those that others change; \
         each counts with its data and 256 bytes. A change that would exceed the quota is refused with \
         `permission_denied`; a change that makes them smaller never is.",
    ),
    (
        "resources.events_quota",
        "Bytes of the module's stored events, those of its changes included; each counts with its texts and 64 \
         bytes. Over the quota its own oldest events are removed, also those that have not been read yet, and \
         readers are informed of the loss. With a `storage_quota` the default is the same value, but at least \
         4MiB and at most 64MiB.",
    ),
    (
        "resources.keys_quota",
        "Bytes of the kept answers to the module's requests with keys; each counts with the key, twice, and 192 \
         bytes. The length of an answer is known only when it exists, so the last one may exceed the quota. When \
         it is full, a request with a new key is refused with `permission_denied` before anything is done for it, \
         until some have expired (`key_ttl`). With a `storage_quota` the default is the same value, but at least \
         1MiB and at most 16MiB.",
    ),
    (
        "resources.cpu_time_limit",
        "Processor time for one message. A process that takes longer is killed. WebAssembly is stopped by its \
         runtime, which answers; a runtime that does not is killed at twice the limit and 100 ms.",
    ),
    (
        "resources.on_limit",
        "What follows a message that exceeded `memory_limit` or `cpu_time_limit`, after it was answered: the \
         process ends with a failure, or only that message fails, and the module continues in a fresh instance \
         that is initialised again.",
    ),
    ("wasi.data_dir", "Whether it sees its own data folder, as `/data`."),
    ("wasi.read", "Folders that it may read."),
    ("wasi.write", "Folders that it may read and write."),
    (
        "capabilities.entity_read",
        "Types of entities in the data store that it may query: names, or patterns with a `*` at the end.",
    ),
    ("capabilities.entity_create", "Types of entities that it may create, likewise."),
    ("capabilities.entity_write", "Types of entities that it may update."),
    ("capabilities.entity_delete", "Types of entities that it may delete."),
    ("capabilities.event_subscribe", "Events that it receives: names, or patterns with a `*` at the end."),
    ("capabilities.event_emit", "Events that it may send, likewise."),
    (
        "capabilities.call",
        "Modules that it may call, or `\"supervisor\"`. A module that does not exist here may be named. The data \
         store is not listed here: the keys above grant it.",
    ),
    (
        "layer1.index",
        "A table: for each type of entity, the paths that it is filtered, ordered or included by. An index makes \
         these queries fast and every change of such an entity a little slower.",
    ),
    (
        "layer1.search",
        "A table: for each type of entity, the members whose words `search` looks through. Without it, `search` \
         on that type is refused.",
    ),
    (
        "dev.build",
        "The command that builds the module, a list of texts, run in the module's folder. Empty: what its language \
         needs.",
    ),
    ("dev.build_timeout", "How long the command may take; then it is killed, and the module stays as it is."),
    (
        "dev.debug",
        "The debugger of `bulkhead dev --debug`, a list of texts that go before the command line of the module: \
         `[\"rr\", \"record\"]`. Empty: what its language has.",
    ),
    (
        "dev.watch",
        "Files and folders whose changes build the module again, with all that is in the folders. Empty: the \
         module's folder.",
    ),
    (
        "config",
        "The module's own table; it gets it in `init` as a JSON object. Dates become texts; `inf`, `nan` and \
         numbers beyond 64 bits are refused.",
    ),
];

/// Of the keys of `bulkhead.toml`, beside `[module.NAME]`.
pub(crate) const HOST_MEANINGS: &[(&str, &str)] = &[
    (
        "host.state_dir",
        "The folder for everything that the host keeps over restarts. It is created. `--state DIR` overrides it.",
    ),
    ("host.socket", "The control socket, at most 107 bytes long. `--socket PATH` and `$BULKHEAD_SOCKET` override it."),
    (
        "host.modules",
        "Folders of modules. A folder with a `module.toml` is a module; in any other, each folder with a \
         `module.toml` is one. `--modules DIR` replaces the list, and `[]` means no modules.",
    ),
    ("host.frame_bytes_max", "Longest message."),
    (
        "host.clients_max",
        "Clients of the control socket at one time. When one more connects, the connection that has been idle for \
         longest is closed.",
    ),
    (
        "host.clients_bytes_max",
        "Bytes that all clients together may make the host hold, as they lie in memory. It is divided among \
         requests, answers and followers: see what clients may take.",
    ),
    (
        "host.log_level",
        "The level of the host's own log on standard error. A reader that stops does not delay the host.",
    ),
    ("restarts.per_second", "Restarts that are added to the bucket each second."),
    ("restarts.burst", "The size of the bucket: restarts that can happen at once."),
    (
        "restarts.starts_at_once",
        "Starts that may be in progress: a start is in progress from the order until its process is ready or \
         ends. A start over this limit waits for a start permit.",
    ),
    (
        "logs.file_bytes_max",
        "Size at which a log file is rotated, give or take the 64 KiB that are written at once; at least \
         `line_bytes_max`. A file that cannot be rotated grows no further.",
    ),
    ("logs.files", "Files that are kept for each module, the current one included."),
    (
        "logs.lines_per_second",
        "Lines a second that a process may write over a long time. The others are dropped and counted; the last \
         16 before its end are kept in any case.",
    ),
    ("logs.burst", "Lines that it may write at once."),
    (
        "logs.line_bytes_max",
        "Length beyond which a line is cut in its middle: both ends are kept, with `[…N bytes cut…]` between \
         them.",
    ),
    ("logs.tail", "How much of the end is kept for the crash report."),
    (
        "layer1.key_ttl",
        "How long the answer to a request with a key is kept, at least. After that, the same key is new work.",
    ),
    ("layer1.event_ttl", "How long events are kept, at least, and longer for a module that has not seen them."),
    (
        "layer1.events_max",
        "Events that are kept. For a module that has not seen them, there may be twice as many; then the oldest \
         are removed in any case, and the event `module.events_lost` names the module.",
    ),
    (
        "layer1.events_bytes_max",
        "Bytes of the events that are kept, of all modules and clients together; as with `events_max`, there may \
         be twice as many for a module that has not seen them.",
    ),
    ("layer1.clients_events_quota", "As `events_quota` of a module, for all clients together."),
    ("layer1.clients_keys_quota", "As `keys_quota` of a module, for all clients together."),
    (
        "layer1.set_aside_max",
        "Set-aside events that are kept. If there are more, the oldest are removed; the log and `bulkhead layer1 \
         status` say how many.",
    ),
    (
        "layer1.set_aside_bytes_max",
        "Bytes of these events; over that the oldest are removed, too, but never the last one.",
    ),
    (
        "layer1.readers",
        "Threads that answer queries; if there are several, one is kept free of long queries. Another thread \
         makes changes.",
    ),
    ("layer1.query_time_max", "The longest time for a query, regardless of its deadline."),
    (
        "layer1.queue_bytes_max",
        "Bytes of the requests that wait for the store and of the store's answers that are not delivered yet. \
         They are counted as they lie in memory, which for a query may be many times its text. One more request \
         is answered with `overloaded`.",
    ),
    ("layer1.index", "As in a manifest, for any type of entity."),
    ("layer1.search", "As in a manifest, for any type of entity. It overrides the manifests for that type."),
];

/// What the key at `path` means.
pub(crate) fn meaning(table: &[(&str, &'static str)], path: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == path).map(|(_, text)| *text)
}
