//! What messages, queries and mutations say that they hold is what the allocator has given out for them.

mod counting;

use bulkhead_protocol::{
    Delivery, ErrorCode, Exit, Failure, HeldBytes, Json, Output, Pattern, Ready, Request, RequestType, Response,
    layer1::{Mutation, Query},
};
use counting::{Counting, check, counted};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[track_caller]
fn agrees<T: HeldBytes>(what: &str, make: impl FnOnce() -> T) -> usize {
    let (made, held, pieces) = counted(make);
    check(what, made.held_bytes(), held, pieces);
    made.held_bytes()
}

fn query(text: &str) -> usize {
    let payload = Json::parse(text).unwrap();
    agrees(text.get(..60).unwrap_or(text), || Query::read(&payload).unwrap())
}

#[test]
fn a_query_holds_what_its_values_take_and_not_what_their_text_takes() {
    query(r#"{"entity":"A"}"#);
    query(r#"{"entity":"A","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f"}"#);
    query(r#"{"entity":"A","search":"one \"two three\" -four* five","order":["a.b","-c"],"after":"xyz","limit":7}"#);
    query(r#"{"entity":"A","include":[{"entity":"B","field":"a.b","as":"bs"},{"entity":"C","field":"x"}]}"#);
    query(&format!(r#"{{"entity":"A","filters":{{"t":{{"contains":"{}"}}}}}}"#, "x".repeat(60_000)));
    query(&format!(r#"{{"entity":"A","filters":{{"t":{{"in":[{}]}}}}}}"#, vec!["\"some text\""; 1000].join(",")));
    query(&format!(r#"{{"entity":"A","filters":{{"t":{{"in":[{}]}}}}}}"#, vec![r#"{"b":1,"a":[]}"#; 1000].join(",")));
    let numbers = format!("[{}]", vec!["1"; 1000].join(","));
    let filters: Vec<String> = (0..32).map(|n| format!(r#""t{n}":{{"in":{numbers},"ne":"z"}}"#)).collect();
    let text = format!(r#"{{"entity":"A","filters":{{{}}}}}"#, filters.join(","));
    let held = query(&text);
    assert!(held > 10 * text.len(), "{held} bytes of a text of {}", text.len());
}

#[test]
fn a_mutation_holds_its_operations_and_their_data() {
    let mutation = |text: &str| {
        let payload = Json::parse(text).unwrap();
        agrees(text.get(..60).unwrap_or(text), || Mutation::read(&payload).unwrap())
    };
    mutation(r#"{"entity":"A","operation":"create","data":{ "n": 1 }}"#);
    mutation(r#"{"entity":"A","operation":"delete","id":"01981f6e-2c1a-7e3b-9f00-5d2c8a4b6e7f"}"#);
    let one = r#"{"entity":"A","operation":"create","data":{}}"#;
    mutation(&format!(r#"{{"operations":[{}]}}"#, vec![one; 1000].join(",")));
    let long = format!(r#"{{"entity":"A","operation":"create","data":{{"t":"{}"}}}}"#, "x".repeat(100_000));
    mutation(&format!(r#"{{"operations":[{}]}}"#, vec![long; 20].join(",")));
}

#[test]
fn what_commands_say_of_themselves_is_counted_and_what_is_dropped_is_never_copied() {
    let commands = |entries: &[String]| {
        let text = format!(r#"{{"name":"m","version":"1","protocol":1,"commands":[{}]}}"#, entries.join(","));
        let data = Json::parse(&text).unwrap();
        agrees("the commands", || Ready::read_bounded(&data).unwrap().commands.into_boxed_slice().into_vec())
    };
    let entry = |name: usize, args: &str| format!(r#"{{"name":"command {name}","description":"d","args":{args}}}"#);
    let long = |bytes: usize| format!("{{\"title\":\"{}\"}}", "x".repeat(bytes));
    commands(&[entry(1, "{}"), entry(2, &long(60_000)), r#""bare""#.to_owned()]);
    commands(&(0..10_000).map(|name| entry(name, "true")).collect::<Vec<_>>());
    let bad: Vec<String> = (0..100).map(|name| entry(name, &long(100_000))).collect();
    let held = commands(&bad);
    assert!(held < 100 * 1000, "{held} bytes for what is not kept");
    let many: Vec<String> = (0..100).map(|name| entry(name, &long(60_000))).collect();
    let held = commands(&many);
    assert!(held < 300 * 1024 + 100 * 1000, "{held} bytes of descriptions");
}

#[test]
fn requests_and_responses_hold_their_texts() {
    for length in [0, 1, 100, 1 << 20] {
        let text = "x".repeat(length);
        agrees("a request", || Request {
            to: Some("module".to_owned()),
            key: Some("key".repeat(9)),
            ..Request::new(7, RequestType::Unknown("odd".to_owned()), Json::of(&text))
        });
        agrees("a success", || Response::success(7, Json::of(&text)));
        agrees("a failure", || Response {
            id: Some(7),
            last: false,
            status: Failure {
                exit: Some(Exit::Signal("SIGSEGV".to_owned())),
                stderr: vec![text.clone(); 20],
                module_code: Some("odd".to_owned()),
                data: Some(Json::of(&text)),
                ..Failure::new(ErrorCode::ModuleCrashed, text.clone()).delivery(Delivery::Started)
            }
            .into(),
        });
    }
    agrees("patterns", || vec![Pattern::new("module.*").unwrap(), Pattern::new("a").unwrap()]);
}

#[test]
fn answers_that_wait_are_counted_with_their_room_and_with_what_they_share() {
    const MOST: usize = 16 * 1024 * 1024;
    // The text is made once for the whole program.
    assert_eq!(Json::null().held_bytes(), 0);
    for (length, number) in [(10, 1), (10, 3000), (10_000, 3), (1 << 20, 1), (1 << 20, 20)] {
        let (mut output, held, pieces) = counted(|| {
            let mut output = Output::default();
            for id in 0..number {
                output.push_response(&Response::success(id, Json::of(&"x".repeat(length))), MOST).unwrap();
            }
            output
        });
        check("an output", output.held_bytes(), held, pieces);
        while output.pending_bytes() > 0 {
            let write = |pieces: &[std::io::IoSlice<'_>]| Ok::<usize, ()>(pieces.iter().map(|piece| piece.len()).sum());
            output.write_with(write).unwrap();
        }
        output.shrink();
        assert_eq!(output.held_bytes(), 0);
    }
}
