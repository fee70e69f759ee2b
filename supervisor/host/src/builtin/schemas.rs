//! What the host's own addresses say of themselves: for each command of `supervisor`, and for the command and the other
//! requests that `layer1` takes, the JSON Schema of what goes in, and examples. Arguments are read, and refused, elsewhere: the
//! tests hold both together.

/// What is said of one of the host's own.
pub(crate) struct Own {
    /// The command, or the type of the request.
    pub(crate) name: &'static str,
    /// What a request of `layer1` is for; a command has its description where it is handled.
    pub(crate) description: &'static str,
    /// The JSON Schema of its arguments, or of its payload.
    pub(crate) args: &'static str,
    /// A list of examples.
    pub(crate) examples: &'static str,
}

/// What `supervisor` is for.
pub(crate) const SUPERVISOR: &str = "the host: its modules, their lives, their logs and events";

/// What `layer1` is for.
pub(crate) const LAYER1: &str = "the host's data store, which takes queries, mutations and the command flush";

/// The schema of an object with these members, of which some are required.
macro_rules! object {
    ([$($required:literal),*], $($members:literal),* $(,)?) => {
        concat!(
            r#"{"type":"object","properties":{"#, object!(@list $($members),*), r#"},"required":["#,
            object!(@list $($required),*), r#"],"additionalProperties":false}"#
        )
    };
    (@list) => { "" };
    (@list $first:literal $(, $rest:literal)*) => { concat!($first $(, ",", $rest)*) };
}

/// Modules to do something to.
const WHICH: &str = concat!(
    r#"{"type":"object","properties":{"name":{"type":"string","description":"one module"},"#,
    r#""names":{"type":"array","items":{"type":"string"},"description":"several modules"},"#,
    r#""all":{"type":"boolean","default":false,"description":"all modules"}},"additionalProperties":false,"#,
    r#""oneOf":[{"required":["name"]},{"required":["names"]},{"required":["all"],"properties":{"all":{"const":true}}}]}"#
);

const OF_WHICH: &str = r#"[{"args":{"name":"research-log"}},{"args":{"all":true}}]"#;

/// A command that needs the name of a module.
const NAMED: &str = object!([r#""name""#], r#""name":{"type":"string","description":"the module"}"#);

/// A command that needs the id of a quarantined message.
const QUARANTINED: &str =
    object!([r#""id""#], r#""id":{"type":"string","description":"the message, as quarantine lists it"}"#);

const OF_QUARANTINED: &str = r#"[{"args":{"id":"research-log-20261130T221536.088Z-000000000001"}}]"#;

const fn command(name: &'static str, args: &'static str, examples: &'static str) -> Own {
    Own { name, description: "", args, examples }
}

/// The commands of `supervisor`, in the order in which callers get them.
pub(crate) static COMMANDS: [Own; 22] = [
    command(
        "status",
        object!([], r#""name":{"type":"string","description":"only this module, in full"}"#),
        r#"[{},{"args":{"name":"research-log"}}]"#,
    ),
    command(
        "commands",
        object!([r#""name""#], r#""name":{"type":"string","description":"the module, or supervisor"}"#),
        r#"[{"args":{"name":"research-log"}}]"#,
    ),
    command(
        "describe",
        object!(
            [r#""name""#],
            r#""name":{"type":"string","description":"the module, supervisor, or layer1"}"#,
            r#""command":{"type":"string","description":"only this command of it"}"#,
        ),
        r#"[{"args":{"name":"research-log"}},{"args":{"name":"supervisor","command":"wait"}}]"#,
    ),
    command(
        "why",
        object!(
            [r#""name""#],
            r#""name":{"type":"string","description":"the module"}"#,
            r#""request":{"type":"integer","minimum":0,"description":"only this request to it, by the number that why lists"}"#,
        ),
        r#"[{"args":{"name":"research-log"}}]"#,
    ),
    command("start", WHICH, OF_WHICH),
    command("stop", WHICH, OF_WHICH),
    command("restart", WHICH, OF_WHICH),
    command("reload", WHICH, OF_WHICH),
    command(
        "wait",
        object!(
            [r#""name""#, r#""for""#],
            r#""name":{"type":"string","description":"the module"}"#,
            r#""for":{"enum":["ready","stopped"],"description":"the state that is waited for"}"#,
        ),
        r#"[{"args":{"name":"research-log","for":"ready"}}]"#,
    ),
    command(
        "events",
        object!(
            [],
            r#""pattern":{"type":"string","maxLength":256,"default":"*","description":"a name, or its beginning and a star"}"#,
            r#""after":{"type":"integer","minimum":0,"description":"a cursor: events after it come first"}"#,
            r#""epoch":{"type":"string","minLength":1,"maxLength":64,"description":"the history that after belongs to"}"#,
        ),
        r#"[{},{"args":{"pattern":"Log.*","after":0}}]"#,
    ),
    command(
        "logs",
        object!(
            [r#""name""#],
            r#""name":{"type":"string","description":"the module"}"#,
            r#""lines":{"type":"integer","minimum":0,"maximum":10000,"default":100,"description":"how many of the last"}"#,
            r#""follow":{"type":"boolean","default":false,"description":"goes on with each new line"}"#,
        ),
        r#"[{"args":{"name":"research-log","lines":20}}]"#,
    ),
    command(
        "inspect",
        object!(
            [],
            r#""names":{"type":"array","items":{"type":"string"},"maxItems":64,"description":"only these modules"}"#,
            r#""types":{"type":"array","items":{"enum":["init","command","query","mutation","event","ping","cancel","shutdown"]},"description":"only requests of these types, and their answers"}"#,
            r#""payloads":{"type":"boolean","default":false,"description":"with what is in them"}"#,
        ),
        r#"[{},{"args":{"names":["research-log"],"types":["command"]}}]"#,
    ),
    command(
        "crashes",
        object!(
            [],
            r#""name":{"type":"string","description":"only this module's"}"#,
            r#""limit":{"type":"integer","minimum":1,"maximum":1000,"default":200,"description":"how many of the newest"}"#,
        ),
        r#"[{"args":{"name":"research-log","limit":1}}]"#,
    ),
    command(
        "quarantine",
        object!(
            [],
            r#""name":{"type":"string","description":"only this module's"}"#,
            r#""after":{"type":"string","maxLength":250,"description":"the next of an earlier answer"}"#,
            r#""limit":{"type":"integer","minimum":1,"maximum":1000,"default":100,"description":"how many at most"}"#,
        ),
        r#"[{},{"args":{"name":"research-log"}}]"#,
    ),
    command("quarantine_show", QUARANTINED, OF_QUARANTINED),
    command("quarantine_drop", QUARANTINED, OF_QUARANTINED),
    command("layer1", object!([],), "[{}]"),
    command(
        "set_aside",
        object!(
            [],
            r#""name":{"type":"string","description":"only this module's"}"#,
            r#""after":{"type":"integer","description":"the next of an earlier answer"}"#,
            r#""limit":{"type":"integer","minimum":1,"maximum":1000,"default":100,"description":"how many at most"}"#,
        ),
        r#"[{},{"args":{"name":"research-log"}}]"#,
    ),
    command(
        "replay",
        object!([r#""id""#], r#""id":{"type":"integer","description":"the event, as set_aside lists it"}"#),
        r#"[{"args":{"id":17}}]"#,
    ),
    command(
        "drop",
        object!([r#""id""#], r#""id":{"type":"integer","description":"the event, as set_aside lists it"}"#),
        r#"[{"args":{"id":17}}]"#,
    ),
    command("forget", NAMED, r#"[{"args":{"name":"old-module"}}]"#),
    command(
        "import",
        object!(
            [r#""lines""#, r#""first""#],
            r#""lines":{"type":"array","items":{"type":"string"},"maxItems":10000,"description":"lines of an export, without its first"}"#,
            r#""first":{"type":"integer","minimum":0,"description":"the number of the first of them in its file"}"#,
            r#""existing":{"enum":["refuse","keep","replace"],"default":"refuse","description":"what is done with an entity that is there and differs"}"#,
        ),
        "[]",
    ),
];

/// How many of [`REQUESTS`] are commands: the first ones.
pub(crate) const COMMANDS_OF_LAYER1: usize = 1;

/// What `layer1` takes: its commands by name, other requests by type.
pub(crate) static REQUESTS: [Own; 3] = [
    Own {
        name: "flush",
        description: "answers when everything that was committed before it is on the disk",
        args: object!([],),
        examples: "[{}]",
    },
    Own {
        name: "query",
        description: "finds entities: one by its id, or those that match",
        args: object!(
            [r#""entity""#],
            r#""entity":{"type":"string","maxLength":64,"description":"the type"}"#,
            r#""id":{"type":"string","format":"uuid","description":"the one with this id; only include may stand beside it"}"#,
            r#""filters":{"type":"object","maxProperties":32,"description":"for each path a value, or eq, ne, gt, gte, lt, lte, in, contains, exists"}"#,
            r#""search":{"type":"string","description":"words that must all be there"}"#,
            r#""order":{"type":["string","object","array"],"maxItems":8,"description":"a path, with a - before it for the greatest first, or a list"}"#,
            r#""limit":{"type":"integer","minimum":0,"maximum":1000,"default":100,"description":"how many at most; 0 only counts"}"#,
            r#""after":{"type":"string","description":"the next of an earlier answer"}"#,
            r#""count":{"type":"boolean","default":false,"description":"also how many there are in all"}"#,
            r#""include":{"type":"array","maxItems":8,"items":{"type":"object"},"description":"entities that refer to those of the answer: entity, field, as, limit"}"#,
        ),
        examples: r#"[{"args":{"entity":"Log","filters":{"n":{"gte":5}},"order":"-$created_at","limit":10}}]"#,
    },
    Own {
        name: "mutation",
        description: "changes entities: one, or several of which all change or none",
        args: object!(
            [],
            r#""entity":{"type":"string","maxLength":64,"description":"the type"}"#,
            r#""operation":{"enum":["create","update","delete"],"description":"what is done"}"#,
            r#""id":{"type":"string","format":"uuid","description":"which; a create may leave it to the store"}"#,
            r#""data":{"type":"object","description":"what is in it; for an update a merge patch"}"#,
            r#""expected_version":{"type":"integer","minimum":1,"description":"a conflict, if it has another one"}"#,
            r#""operations":{"type":"array","minItems":1,"maxItems":1000,"items":{"type":"object"},"description":"several of them, in the place of all else"}"#,
        ),
        examples: r#"[{"args":{"entity":"Log","operation":"create","data":{"text":"hi"}}}]"#,
    },
];
