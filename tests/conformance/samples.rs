//! The samples: each kind of module in each form, and what it cannot do for which reason. Where their
//! files come from is in [`crate::found`].

use crate::found::From;

/// What a case may require of a sample. All but the first few are commands of the specimen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ability {
    /// It answers a command that it does not have with `unknown_command`.
    KnowsItsCommands,
    /// It answers queries and mutations with their payload.
    Query,
    /// It answers queries and mutations with `unknown_type`.
    NoQuery,
    /// It gets a message when the one before is answered.
    OneAtATime,
    /// It lives on after an answer that is longer than a frame.
    OutlivesLongAnswers,
    /// It answers a command with its arguments.
    Echo,
    /// It does so to the last digit.
    ExactEcho,
    /// It does so however deeply they are nested, or refuses them.
    Deep,
    Ask,
    AskQuery,
    Count,
    Crash,
    Emit,
    Events,
    Fail,
    Grow,
    Key,
    Log,
    Panic,
    /// Its panic reports the line of the source.
    PanicPlace,
    Progress,
    Random,
    Spin,
    Time,
    /// Its crash is a trap of WebAssembly.
    Trap,
    Wait,
}

/// One sample.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    /// The `type` of its manifest.
    pub(crate) kind: &'static str,
    /// Its files, which come into the folder `bin` of the module.
    pub(crate) files: &'static [From],
    /// The keys of its manifest that define it.
    pub(crate) keys: &'static str,
    /// What its `[capabilities]` grant in any case.
    pub(crate) grants: &'static str,
    pub(crate) probe: Probe,
    /// How many messages are many for it.
    pub(crate) many: usize,
    /// Why it cannot do this; `None` where it can.
    pub(crate) cannot: fn(Ability) -> Option<&'static str>,
}

/// A command that every sample answers.
pub(crate) struct Probe {
    pub(crate) command: &'static str,
    pub(crate) args: &'static str,
    pub(crate) answer: Answer,
}

/// What the answer to a probe is.
pub(crate) enum Answer {
    /// `{"count":N}` and perhaps more, where N counts the probes since the sample was created.
    Count,
    /// An object with this member.
    Has(&'static str),
}

const COUNT: Probe = Probe { command: "count", args: "{}", answer: Answer::Count };
const PING: Probe = Probe { command: "ping", args: "{}", answer: Answer::Count };
const QUERY_LOGS: Probe = Probe { command: "query_logs", args: "{}", answer: Answer::Has("entries") };
const COUNT_WORDS: Probe = Probe { command: "count", args: "{\"text\":\"one two\"}", answer: Answer::Has("words") };
const ECHO: Probe = Probe { command: "echo", args: "{\"echo\":1}", answer: Answer::Has("echo") };

/// Messages that are many for a module that handles each in microseconds.
const MANY: usize = 10_000;
/// Messages that are many for a module with a process for each.
const MANY_PROCESSES: usize = 300;

pub(crate) const SAMPLES: &[Sample] = &[
    Sample {
        name: "process_over_a_socket",
        kind: "process",
        files: &[From::Built("specimen")],
        keys: "command = [\"bin/specimen\"]",
        grants: "",
        probe: COUNT,
        many: MANY,
        cannot: specimen_in_rust,
    },
    Sample {
        name: "process_over_stdio",
        kind: "process",
        files: &[From::Built("specimen")],
        keys: "command = [\"bin/specimen\"]\ntransport = \"stdio\"",
        grants: "",
        probe: COUNT,
        many: MANY,
        cannot: specimen_in_rust,
    },
    Sample {
        name: "native_in_rust",
        kind: "native",
        files: &[From::Built("libspecimen.so")],
        keys: "library = \"bin/libspecimen.so\"",
        grants: "",
        probe: COUNT,
        many: MANY,
        cannot: specimen_in_rust,
    },
    Sample {
        name: "native_in_c",
        kind: "native",
        files: &[From::CompiledC("specimen_c.so")],
        keys: "library = \"bin/specimen_c.so\"",
        grants: "",
        probe: COUNT,
        many: MANY,
        cannot: specimen_in_c,
    },
    Sample {
        name: "process_in_python",
        kind: "process",
        files: &[
            From::Interpreter { name: "python3", least: (3, 9) },
            From::Kept("modules/specimen-python/specimen.py"),
            From::Kept("module-runtime/python/src/bulkhead"),
        ],
        // Where python3 is a script of a version manager, it needs its home folder.
        keys: "command = [\"python3\", \"bin/specimen.py\"]\nenv = { PYTHONPATH = \"bin\" }\n\
            inherit_env = [\"PYENV_ROOT\", \"PYENV_VERSION\", \"VIRTUAL_ENV\"]",
        grants: "",
        probe: COUNT,
        many: MANY,
        cannot: specimen_in_a_script,
    },
    Sample {
        name: "process_in_typescript",
        kind: "process",
        files: &[
            From::Interpreter { name: "node", least: (20, 0) },
            From::Kept("modules/specimen-typescript/specimen.js"),
        ],
        keys: "command = [\"node\", \"bin/specimen.js\"]",
        grants: "",
        probe: COUNT,
        many: MANY,
        cannot: specimen_in_a_script,
    },
    Sample {
        name: "wasm_in_rust",
        kind: "wasm",
        files: &[From::Kept("modules/specimen/wasm/specimen.wasm")],
        keys: "wasm = \"bin/specimen.wasm\"",
        grants: "",
        probe: COUNT,
        many: MANY,
        cannot: specimen_in_rust_as_wasm,
    },
    Sample {
        name: "wasm_in_c",
        kind: "wasm",
        files: &[From::Kept("modules/specimen-c/wasm/specimen_c.wasm")],
        keys: "wasm = \"bin/specimen_c.wasm\"",
        grants: "",
        probe: COUNT,
        many: MANY,
        cannot: specimen_in_c_as_wasm,
    },
    Sample {
        name: "filter_that_lives_on",
        kind: "filter",
        files: &[From::Tool("cat")],
        keys: "command = [\"cat\"]",
        grants: "",
        probe: ECHO,
        many: MANY,
        cannot: echoing_filter,
    },
    Sample {
        name: "filter_for_each_message",
        kind: "filter",
        files: &[From::Tool("cat")],
        keys: "command = [\"cat\"]\nper_message = true",
        grants: "",
        probe: ECHO,
        many: MANY_PROCESSES,
        cannot: echoing_filter_for_each_message,
    },
    Sample {
        name: "filter_in_jq",
        kind: "filter",
        files: &[From::Tool("jq")],
        keys: "command = [\"jq\", \"-c\", \"--unbuffered\", \".\"]",
        grants: "",
        probe: ECHO,
        many: MANY,
        cannot: jq,
    },
    Sample {
        name: "filter_of_whole_messages",
        kind: "filter",
        files: &[From::Tool("jq"), From::Kept("tests/conformance/messages.jq")],
        keys: "command = [\"jq\", \"-c\", \"--unbuffered\", \"-f\", \"bin/messages.jq\"]\nline = \"message\"",
        grants: "",
        probe: ECHO,
        many: MANY,
        cannot: jq_with_whole_messages,
    },
    Sample {
        name: "filter_in_shell",
        kind: "filter",
        files: &[From::Kept("modules/shell-greeter/greeter.sh")],
        keys: "command = [\"sh\", \"bin/greeter.sh\"]\nline = \"message\"",
        grants: "",
        probe: ECHO,
        many: MANY,
        cannot: greeter_in_shell,
    },
    Sample {
        name: "mcp_server",
        kind: "mcp",
        files: &[From::Built("fake-mcp")],
        keys: "command = [\"bin/fake-mcp\"]",
        grants: "",
        probe: Probe { command: "echo", args: "{}", answer: Answer::Has("content") },
        many: MANY,
        cannot: mcp_server,
    },
    Sample {
        name: "minimal_process",
        kind: "process",
        files: &[From::Built("test-minimal")],
        keys: "command = [\"bin/test-minimal\"]",
        grants: "",
        probe: PING,
        many: MANY,
        cannot: commands_of_its_own,
    },
    Sample {
        name: "minimal_library",
        kind: "native",
        files: &[From::Built("libtest_minimal.so")],
        keys: "library = \"bin/libtest_minimal.so\"",
        grants: "",
        probe: PING,
        many: MANY,
        cannot: commands_of_its_own,
    },
    Sample {
        name: "research_log_process",
        kind: "process",
        files: &[From::Built("research-log")],
        keys: "command = [\"bin/research-log\"]",
        grants: "entity_read = [\"ResearchEntry\"]",
        probe: QUERY_LOGS,
        many: MANY,
        cannot: commands_of_its_own,
    },
    Sample {
        name: "research_log_library",
        kind: "native",
        files: &[From::Built("libresearch_log.so")],
        keys: "library = \"bin/libresearch_log.so\"",
        grants: "entity_read = [\"ResearchEntry\"]",
        probe: QUERY_LOGS,
        many: MANY,
        cannot: commands_of_its_own,
    },
    Sample {
        name: "word_count_library",
        kind: "native",
        files: &[From::CompiledC("word_count.so")],
        keys: "library = \"bin/word_count.so\"",
        grants: "",
        probe: COUNT_WORDS,
        many: MANY,
        cannot: commands_of_its_own,
    },
    Sample {
        name: "word_count_wasm",
        kind: "wasm",
        files: &[From::Kept("modules/word-count/wasm/word_count.wasm")],
        keys: "wasm = \"bin/word_count.wasm\"",
        grants: "",
        probe: COUNT_WORDS,
        many: MANY,
        cannot: commands_of_its_own,
    },
];

fn specimen_in_rust(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::NoQuery => Some("it answers queries"),
        Ability::Trap => Some("machine code does not trap, it crashes"),
        _ => None,
    }
}

fn specimen_in_a_script(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::Trap => Some("an interpreter does not trap, it crashes"),
        _ => specimen_in_rust(ability),
    }
}

fn specimen_in_rust_as_wasm(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::Trap => None,
        _ => specimen_in_rust(ability),
    }
}

fn specimen_in_c(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::PanicPlace => Some("C has no panics: it only says that its state is in doubt"),
        _ => specimen_in_rust(ability),
    }
}

fn specimen_in_c_as_wasm(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::Trap => None,
        _ => specimen_in_c(ability),
    }
}

fn commands_of_its_own(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::KnowsItsCommands | Ability::NoQuery | Ability::OneAtATime => None,
        Ability::Query => Some("it has no queries"),
        _ => Some("it has commands of its own, not those of the specimen"),
    }
}

/// A filter that answers every line with that line.
fn echoing_filter(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::Query | Ability::Echo | Ability::ExactEcho | Ability::Deep => None,
        Ability::OneAtATime => Some("it is given lines ahead of its answers"),
        Ability::OutlivesLongAnswers => {
            Some("a line that is longer than a frame ends the filter, after it was answered for")
        }
        Ability::KnowsItsCommands => Some("a filter is given the arguments, not the name of the command"),
        Ability::NoQuery => Some("it answers queries"),
        Ability::Ask | Ability::AskQuery | Ability::Emit | Ability::Progress | Ability::Log => {
            Some("a filter has no host calls: a line comes in, a line goes out")
        }
        Ability::Key | Ability::Wait => Some("a filter is given the message, and nothing that is about the message"),
        Ability::Panic | Ability::PanicPlace | Ability::Trap => Some("a filter has no panics: it exits"),
        Ability::Count
        | Ability::Crash
        | Ability::Events
        | Ability::Fail
        | Ability::Grow
        | Ability::Random
        | Ability::Spin
        | Ability::Time => Some("it does one thing, not those of the specimen"),
    }
}

fn echoing_filter_for_each_message(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::OneAtATime => None,
        _ => echoing_filter(ability),
    }
}

fn jq(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::ExactEcho => Some("jq reads numbers and texts, and writes them in its own way"),
        Ability::Deep => Some("jq ends where a value is nested more deeply than it reads"),
        _ => echoing_filter(ability),
    }
}

/// A filter that reads and writes whole messages, see `messages.jq`.
fn jq_with_whole_messages(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::KnowsItsCommands | Ability::Fail | Ability::Random => None,
        _ => jq(ability),
    }
}

/// A filter with commands of its own.
fn greeter_in_shell(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::OneAtATime => echoing_filter(ability),
        _ => commands_of_its_own(ability),
    }
}

/// A server with tools of its own.
fn mcp_server(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::OneAtATime => Some("an MCP server takes several calls at once"),
        _ => commands_of_its_own(ability),
    }
}

/// The sample of this name.
pub(crate) fn named(name: &str) -> &'static Sample {
    SAMPLES.iter().find(|sample| sample.name == name).unwrap_or_else(|| panic!("there is no sample {name}"))
}
