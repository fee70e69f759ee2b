//! Modules of the type `filter` in a real host: the two samples, and what callers get when the program of a filter
//! ends, is silent or is slow.

use bulkhead_protocol::{Delivery, ErrorCode, Request, RequestType};
use bulkhead_tests::{Caller, World, is_alive, until};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A world with a sample of this repository, unchanged.
fn with_sample(name: &str) -> World {
    let world = World::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../modules").join(name);
    let to = world.path("modules").join(name);
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    world
}

/// A world with a filter named `filter` that is a shell script, with more keys of its manifest.
fn with_script(script: &str, keys: &str) -> World {
    let world = World::new();
    world.manifest(
        "filter",
        &format!("name = \"filter\"\nversion = \"1\"\ntype = \"filter\"\ncommand = [\"sh\", \"filter.sh\"]\n{keys}"),
    );
    fs::write(world.path("modules/filter/filter.sh"), script).unwrap();
    world
}

fn has_jq() -> bool {
    let found = Command::new("jq").arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: the filter in jq, because jq cannot be run");
    }
    found
}

/// Sends lines through `bulkhead pipe` and returns the lines that come out.
fn pipe(world: &World, words: &[&str], input: &str) -> Vec<Value> {
    let mut command = world.command(&[&["pipe"], words].concat());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input.as_bytes()).unwrap());
        child.wait_with_output().unwrap()
    });
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn ten_thousand_lines_go_through_jq_and_come_out_in_order() {
    if !has_jq() {
        return;
    }
    let mut world = with_sample("jq-filter");
    let mut client = world.start().client();
    client.wait_ready("jq-filter");
    let bad = client.call("jq-filter", "total", json!([1])).unwrap();
    assert_eq!(bad, json!({"problem": "Cannot index array with string \"items\""}));

    let input: String =
        (0..10_000).map(|n| format!("{{\"items\":[{{\"name\":\"nut {n}\",\"price\":2,\"count\":{n}}}]}}\n")).collect();
    let output = pipe(&world, &["jq-filter", "--command", "total"], &input);
    assert_eq!(output.len(), 10_000);
    for (n, line) in output.into_iter().enumerate() {
        assert_eq!(line, json!({"count": n, "total": 2 * n, "most": format!("nut {n}")}));
    }
    assert_eq!(client.status("jq-filter")["restarts"], 0);
    world.stop();
}

#[test]
fn the_memory_of_a_filter_is_that_of_its_command_as_well() {
    const HELD_BYTES: u64 = 30_000_000;
    let script = format!(
        "held=$(head -c {HELD_BYTES} /dev/zero | tr '\\0' x)\nwhile read -r line; do printf '%s\\n' \"${{#held}}\"; done\n"
    );
    let mut world = with_script(&script, "");
    // With so many modules all processes are read in one round, instead of those of one alone.
    for number in 0..6 {
        world.module(&format!("other-{number}"), "test-minimal", "");
    }
    let mut client = world.start().client();
    client.wait_ready("filter");
    assert_eq!(client.call("filter", "any", json!({})), Ok(json!(HELD_BYTES)));
    let one = client.status("filter")["memory_bytes"].as_u64().unwrap();
    assert!(one > HELD_BYTES, "{one}");
    let all = client.supervisor("status", json!({}));
    let modules = all["modules"].as_array().unwrap();
    for module in modules {
        let bytes = module["memory_bytes"].as_u64().unwrap();
        assert_eq!(bytes > HELD_BYTES, module["name"] == "filter", "{module:#}");
        assert_eq!(module["instances"][0]["memory_bytes"], bytes);
    }
    assert!(all["host"]["memory_bytes"].as_u64().unwrap() > 0, "{all:#}");
    world.stop();
}

#[test]
fn a_module_in_shell_script_greets_echoes_and_fails() {
    let mut world = with_sample("shell-greeter");
    let mut client = world.start().client();
    client.wait_ready("shell-greeter");
    let mut call = |name: &str, args: Value| client.call("shell-greeter", name, args);
    assert_eq!(call("greet", json!({"who": "W\u{f6}rld \"\\\n"})), Ok(json!({"hello": "W\u{f6}rld \"\\\n"})));
    let args = json!({"a": [1, {"b": {}}]});
    assert_eq!(call("echo", args.clone()), Ok(args));
    let failure = call("fail", json!({})).unwrap_err();
    assert_eq!(failure.module_code.as_deref(), Some("out_of_greetings"));
    assert_eq!(failure.error, "there are no greetings left");
    assert_eq!(call("greet", json!({})).unwrap_err().code, ErrorCode::BadRequest);
    assert_eq!(call("sing", json!({})).unwrap_err().code, ErrorCode::UnknownCommand);
    let query = client.ask(&Request::new(None, RequestType::Query, json!(1).into()).to("shell-greeter"));
    assert_eq!(query.unwrap_err().code, ErrorCode::UnknownType);
    client.until_status("shell-greeter", "its log has what it said", |status| {
        status["log_tail"].to_string().contains("about to fail, as ordered")
    });
    world.stop();
}

/// Answers each line with itself, and dies of a line that requests it, once.
const MORTAL: &str = r#"
    while IFS= read -r line; do
        case $line in
            *die*) if [ ! -e died ]; then : >died; kill -s SEGV $$; fi ;;
        esac
        printf '%s\n' "$line"
    done"#;

#[test]
fn when_a_filter_ends_each_caller_learns_what_is_true_of_its_own_message() {
    let mut world = with_script(MORTAL, "");
    let mut client = world.start().client();
    client.wait_ready("filter");
    let first = client.call("filter", "any", json!(1));
    assert_eq!(first, Ok(json!(1)));
    let send = |client: &mut Caller, kind: RequestType, payload: Value| {
        client.send(&Request::new(None, kind, payload.into()).to("filter")).unwrap()
    };
    // Sent in one write after the one that kills, so that all are ahead of its answer.
    let dies = send(&mut client, RequestType::Query, json!("die"));
    let query = send(&mut client, RequestType::Query, json!("query"));
    let command = send(&mut client, RequestType::Command, json!({"name": "any", "args": "command"}));
    let failure = client.answer(dies).unwrap_err();
    assert_eq!(failure.code, ErrorCode::ModuleError);
    assert_eq!(failure.error, "the filter ended with SIGSEGV before it answered this message, after 1 answer");
    // A query is safe to do twice; whether a command was begun is unknown, or it came too late to be sent to the
    // process that died.
    assert_eq!(client.answer(query), Ok(json!("query")));
    match client.answer(command) {
        Ok(data) => assert_eq!(data, "command"),
        Err(failure) => {
            assert_eq!((failure.code, failure.delivery), (ErrorCode::ModuleCrashed, Some(Delivery::Unknown)));
        }
    }
    client.wait_ready("filter");
    assert_eq!(client.status("filter")["restarts"], 1);
    assert_eq!(client.call("filter", "any", json!("again")), Ok(json!("again")));
    world.stop();
}

#[test]
fn a_pipe_goes_on_after_a_filter_that_ended_in_mid_stream() {
    let mut world = with_script(MORTAL, "");
    world.start().client().wait_ready("filter");
    let input: String = (0..2000).map(|n| if n == 1000 { "\"die\"\n".into() } else { format!("{n}\n") }).collect();
    let output = pipe(&world, &["filter", "--command", "any"], &input);
    assert_eq!(output.len(), 2000);
    let failed: Vec<usize> = (0..2000).filter(|n| output[*n] != json!(n)).collect();
    assert_eq!(failed[0], 1000);
    assert!(output[1000]["error"].as_str().unwrap().contains("ended with SIGSEGV"), "{}", output[1000]);
    // No more than was ahead at the time, and one for which the first error made room; and all of them are `unknown`.
    assert!(failed.iter().all(|n| *n <= 1000 + 64), "{failed:?}");
    for n in &failed[1..] {
        assert_eq!((&output[*n]["code"], &output[*n]["delivery"]), (&json!("module_crashed"), &json!("unknown")));
    }
    world.stop();
}

#[test]
fn a_filter_that_never_answers_is_hinted_at_then_taken_for_hung_and_restarted() {
    let mut world = with_script("while IFS= read -r line; do :; done", "[limits]\ncancel_grace = \"200ms\"");
    let mut client = world.start().client();
    client.wait_ready("filter");
    let following = client.follow("module.crashed");
    let failure = client.call_within(50, "filter", "any", json!({})).unwrap_err();
    assert_eq!(failure.code, ErrorCode::DeadlineExceeded);
    let crashed = client.event(following, "module.crashed");
    assert!(crashed["data"]["detail"].as_str().unwrap().contains("hung"), "{crashed}");
    client
        .until_status("filter", "its log has the hint", |status| status["log_tail"].to_string().contains("stdbuf -oL"));
    world.stop();
}

#[test]
fn a_process_for_each_message_is_ended_at_the_deadline_and_the_module_lives_on() {
    let script = r#"
        IFS= read -r line
        case $line in
            *slow*) echo $$ >pid.new; mv pid.new pid; sleep 60 ;;
            *fail*) echo 'no ink' >&2; exit 3 ;;
            *) printf '[%s,%s]\n' $$ "$line" ;;
        esac"#;
    let mut world = with_script(script, "per_message = true");
    let mut client = world.start().client();
    client.wait_ready("filter");
    let one = client.call("filter", "any", json!("a")).unwrap();
    let two = client.call("filter", "any", json!("b")).unwrap();
    assert_eq!((&one[1], &two[1]), (&json!("a"), &json!("b")));
    assert_ne!(one[0], two[0]);

    let failure = client.call("filter", "any", json!("fail")).unwrap_err();
    assert_eq!(
        (failure.code, failure.error.as_str()),
        (ErrorCode::ModuleError, "the filter ended with exit code 3: no ink")
    );

    let mut slow = Request::new(None, RequestType::Query, json!("slow").into()).to("filter");
    slow.deadline_ms = Some(300);
    assert_eq!(client.ask(&slow).unwrap_err().code, ErrorCode::DeadlineExceeded);
    // Where the machine was too busy for a start within the deadline there is no process to end.
    if let Ok(pid) = fs::read_to_string(world.path("modules/filter/pid")) {
        let pid: i64 = pid.trim().parse().unwrap();
        until("the end of the slow process", || (!is_alive(pid)).then_some(()));
    }
    assert_eq!(client.call("filter", "any", json!("c")).unwrap()[1], "c");
    assert_eq!(client.status("filter")["restarts"], 0);
    world.stop();
}

#[test]
fn stopping_a_filter_waits_for_what_it_still_owes() {
    // It holds back all answers until its input ends.
    let mut world = with_script("lines=$(cat); printf '%s\\n' \"$lines\"", "");
    let mut client = world.start().client();
    client.wait_ready("filter");
    let ids: Vec<u64> = (0..10).map(|n| client.send_command("filter", "any", json!(n))).collect();
    client.until_status("filter", "it has them all", |status| status["in_flight"] == 10);
    client.supervisor("stop", json!({"name": "filter"}));
    for (id, n) in ids.into_iter().zip(0..) {
        assert_eq!(client.answer(id), Ok(json!(n)));
    }
    world.stop();
}
