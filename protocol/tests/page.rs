//! `PROTOCOL.md` against the code: every limit and every error code is there with its value, and
//! the worked example is, byte for byte, what the library writes. The prose is not checked.

use bulkhead_protocol::{
    Capabilities, Command, Decoder, ErrorCode, Init, Json, Limits, Message, Ready, Request, RequestType, Response,
    Status, limits,
};
use std::fmt::Write;

const PAGE: &str = include_str!("../../PROTOCOL.md");

/// The cells of the table row whose first cell is `name`, in backquotes.
fn row(name: &str) -> Vec<&'static str> {
    let begin = format!("| `{name}` |");
    let rows: Vec<&str> = PAGE.lines().filter(|line| line.starts_with(&begin)).collect();
    assert_eq!(rows.len(), 1, "expected one row of a table for `{name}`, found {rows:?}");
    rows[0].trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn the_page_has_every_error_code_and_what_it_means_for_programs() {
    let yes_or_no = |yes| if yes { "yes" } else { "no" };
    for code in ErrorCode::ALL {
        let cells = row(code.name());
        assert_eq!(cells[1], yes_or_no(code.retryable()), "{code}: retryable");
        assert_eq!(cells[2], yes_or_no(code.allowed_from_module()), "{code}: whether a module may say it");
    }
}

#[test]
fn the_page_has_every_limit_with_its_value() {
    macro_rules! check {
        ($($limit:ident),*) => { [$((stringify!($limit), limits::$limit.to_string())),*] };
    }
    let checked = check![
        LENGTH_PREFIX_BYTES,
        FRAME_BYTES_MAX_DEFAULT,
        FRAME_BYTES_MAX_LOWEST,
        FRAME_BYTES_MAX_HIGHEST,
        REWRITE_BYTES_MAX,
        REQUEST_ID_MAX,
        DEADLINE_MS_MAX,
        KEY_BYTES_MAX,
        NAME_BYTES_MAX,
        EVENT_NAME_BYTES_MAX,
        ERROR_TEXT_BYTES_MAX,
        DETAIL_BYTES_MAX,
        DETAILS_BYTES_MAX,
        QUOTE_BYTES_MAX
    ];
    for (name, value) in &checked {
        assert_eq!(row(name)[1], value, "{name}");
    }
    let source = include_str!("../src/limits.rs");
    assert_eq!(source.matches("\npub const ").count(), checked.len(), "a limit is not on the page");
}

#[test]
fn the_page_has_every_type_of_request() {
    for kind in ["init", "command", "query", "mutation", "event", "ping", "cancel", "shutdown"] {
        assert!(!matches!(RequestType::from_name(kind), RequestType::Unknown(_)), "{kind}");
        row(kind);
    }
}

/// The worked example: who sends, and what.
fn session() -> Vec<(&'static str, Message)> {
    let json = |text| Json::parse(text).unwrap();
    let init = Init {
        protocol: 1,
        module: "echo".into(),
        instance: "echo#1".into(),
        config: json("{}"),
        limits: Limits { frame_bytes_max: limits::FRAME_BYTES_MAX_DEFAULT, window: 64, requests_max: 64 },
        capabilities: Capabilities::default(),
        data_dir: "/var/lib/bulkhead/data/echo".into(),
        on_panic: bulkhead_protocol::OnPanic::Restart,
    };
    let echo = Command { name: "echo".into(), idempotent: true, ..Command::default() };
    let (name, version, description) = ("echo".into(), "1".into(), String::new());
    let ready = Ready { name, version, description, protocol: 1, commands: vec![echo], features: vec![] };
    let payload = json(r#"{"name":"echo","args":{"text":"hi"}}"#);
    let command = Request { deadline_ms: Some(30_000), ..Request::new(2, RequestType::Command, payload) };
    let progress = Response::new(2, Status::Progress(json(r#"{"done":1,"total":2}"#)));
    vec![
        ("host", Message::Request(Request::new(1, RequestType::Init, Json::of(&init)))),
        ("module", Message::Response(Response::success(1, Json::of(&ready)))),
        ("host", Message::Request(command)),
        ("module", Message::Response(progress)),
        ("module", Message::Response(Response::success(2, json(r#"{"text":"hi"}"#)))),
        ("host", Message::Request(Request::new(3, RequestType::Shutdown, Json::null()))),
        ("module", Message::Response(Response::success(3, Json::null()))),
    ]
}

/// The blocks of the page that are marked `hexdump`, each with its sender and its lines.
fn hexdumps() -> Vec<(&'static str, Vec<&'static str>)> {
    let blocks = PAGE.split("\n```hexdump ").skip(1);
    blocks
        .map(|block| {
            let (sender, rest) = block.split_once('\n').unwrap();
            (sender, rest.split_once("\n```").expect("the block ends").0.lines().collect())
        })
        .collect()
}

/// The bytes of a dump in the form of `hexdump -C`, without its offsets and its text column.
fn bytes(lines: &[&str]) -> Vec<u8> {
    let hex = lines.iter().flat_map(|line| line[10..58].split_whitespace());
    hex.map(|pair| u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{pair:?} is no byte"))).collect()
}

/// As `hexdump -C` prints it.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let hex: String = chunk.iter().map(|byte| format!("{byte:02x} ")).collect();
        let shown: String = chunk.iter().map(|&b| if matches!(b, b' '..=b'~') { char::from(b) } else { '.' }).collect();
        writeln!(text, "{:08x}  {hex:<48} |{shown}|", line * 16).unwrap();
    }
    text
}

#[test]
fn the_worked_example_is_what_the_library_writes_and_reads() {
    let mut expected_page = String::new();
    for (sender, message) in session() {
        let mut frame = Vec::new();
        message.encode(&mut frame, limits::FRAME_BYTES_MAX_DEFAULT).unwrap();
        write!(expected_page, "\n```hexdump {sender}\n{}```\n", dump(&frame)).unwrap();
    }
    let blocks = hexdumps();
    assert_eq!(blocks.len(), session().len(), "the session on the page should be\n{expected_page}");
    for ((sender, lines), (expected_sender, message)) in blocks.into_iter().zip(session()) {
        assert_eq!(sender, expected_sender);
        let found = bytes(&lines);
        assert_eq!(lines.join("\n") + "\n", dump(&found), "offsets and text agree with the bytes");
        let (mut decoder, mut input) = (Decoder::new(limits::FRAME_BYTES_MAX_DEFAULT), found.as_slice());
        let frame = decoder.next(&mut input).unwrap().expect("a block is one frame");
        assert_eq!(Message::decode(frame).unwrap(), message);
        let mut written = Vec::new();
        message.encode(&mut written, limits::FRAME_BYTES_MAX_DEFAULT).unwrap();
        assert_eq!(found, written, "the block should be\n{}", dump(&written));
    }
}

#[test]
fn reserved_members_are_ignored_where_they_mean_nothing_yet() {
    let (_, reserved) = PAGE.split_once("### Reserved members").expect("the page has them in one place");
    for name in ["last", "args", "returns", "examples", "traceparent", "tracestate"] {
        assert!(reserved.contains(&format!("\n| `{name}` |")), "{name} is reserved on the page");
    }
    let read = |text: &str| Message::decode(text.as_bytes()).unwrap();
    let plain = read(r#"{"id":1,"type":"command","payload":{"name":"a"}}"#);
    let traced =
        r#"{"id":1,"type":"command","payload":{"name":"a"},"traceparent":"00-0af7-b7ad-01","tracestate":"a=b"}"#;
    assert_eq!(read(traced), plain);
    let ready =
        r#"{"name":"a","version":"1","protocol":1,"commands":[{"name":"b","args":{"type":"object"},"returns":[1]}]}"#;
    let ready = Ready::read_bounded(&Json::parse(ready).unwrap()).unwrap();
    assert_eq!((ready.commands[0].name.as_str(), ready.commands[0].idempotent), ("b", false));
}

#[test]
fn the_answer_to_init_on_the_page_is_read_with_all_that_its_commands_say() {
    let (_, rest) = PAGE.split_once("is the module's readiness. Its `data`:\n\n```json\n").expect("the page has it");
    let (example, _) = rest.split_once("\n```\n").expect("it ends");
    let ready = Ready::read_bounded(&Json::parse(example).unwrap()).unwrap();
    let details = ready.commands[1].details.as_ref().expect("it is described");
    assert_eq!((details.kept().count(), details.dropped.len()), (3, 0));
    assert!(!ready.description.is_empty());
}

/// The rows of a table of the page, without its head: the cells of each, its code spans included.
fn table(head: &str) -> Vec<Vec<&'static str>> {
    let (_, rest) = PAGE.split_once(&format!("\n{head}\n")).expect("the page has the table");
    let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim_matches(['|'])).collect()).collect()
}

/// The text in backquotes, if there is one.
fn code(cell: &str) -> Option<&str> {
    cell.trim_matches(' ').strip_prefix('`')?.strip_suffix('`')
}

#[test]
fn what_may_differ_is_read_as_the_page_says() {
    let rows = table("| what differs | sent | read as |");
    assert!(rows.len() > 8, "{rows:?}");
    for row in rows {
        let [_, sent, meant] = row[..] else { panic!("{row:?}") };
        let (sent, meant) = (code(sent).unwrap(), code(meant).unwrap());
        let read = |text: &str| Message::decode(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(read(sent), read(meant), "{sent}");
        assert_eq!(read(&format!("\r\n{sent}\n")), read(meant), "{sent}, with line ends around it");
        // The meaning has only members that the library writes, with the same values.
        let mut written = Vec::new();
        read(sent).encode(&mut written, limits::FRAME_BYTES_MAX_DEFAULT).unwrap();
        let (written, meant) = (std::str::from_utf8(&written[4..]).unwrap(), Json::parse(meant).unwrap());
        let members = |json: &Json| json.read::<serde_json::Map<String, serde_json::Value>>().unwrap();
        for (name, value) in members(&meant) {
            assert_eq!(members(&Json::parse(written).unwrap()).get(&name), Some(&value), "{sent}: {name}");
        }
    }
}

#[test]
fn what_is_refused_is_refused_and_has_its_file() {
    let rows = table("| what is sent | for example | file |");
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let [_, example, file] = row[..] else { panic!("{row:?}") };
        let file = code(file).unwrap();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/bad/{file}.json"));
        let sent = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Those that cannot be printed have no example. All files of the folder are tried in `bad.rs`.
        assert!(code(example).is_none_or(|example| example.as_bytes() == sent), "{example} is not in {file}");
    }
}
