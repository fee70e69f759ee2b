//! Modules that the test answers.

use crate::support::Place;
use bulkhead_module::Error;
use bulkhead_module::testing::{Request, RequestType, TestHost};
use bulkhead_protocol::{ErrorCode, Json};
use bulkhead_tests::program;
use serde_json::{Value, json};
use std::fs;
use std::sync::mpsc::channel;

fn call_of(command: &str, args: &Value) -> Value {
    json!({ "to": "mailer", "command": command, "args": args })
}

#[test]
fn a_fake_answers_what_the_module_asks_and_the_test_sees_it() {
    let place = Place::new();
    let host = place
        .misbehave(&[])
        .fake("mailer", |asked| match &*asked.name {
            "send" => Ok(json!({ "sent_to": asked.args["to"] })),
            "refuse" => Err(Error::custom("no_paper", "there is no paper").with_data(json!({ "left": 0 }).into())),
            other => Err(Error::unknown_command(other)),
        })
        .start()
        .unwrap();
    let sent = host.call("call", call_of("send", &json!({ "to": "ada" }))).unwrap();
    assert_eq!(sent, json!({ "sent_to": "ada" }));
    let refused = host.call("call", call_of("refuse", &json!({}))).unwrap_err();
    assert!(refused.to_string().contains("there is no paper"), "{refused}");
    host.call("call", call_of("sing", &json!({}))).unwrap_err();
    let asked: Vec<String> = host.asked("mailer").into_iter().map(|asked| asked.name).collect();
    assert_eq!(asked, ["send", "refuse", "sing"]);
    drop(host);
    place.wait_until_empty();
}

#[test]
fn a_fake_that_does_not_answer_in_time_is_not_hung() {
    let place = Place::new();
    let (release, held) = channel::<()>();
    let held = std::sync::Mutex::new(held);
    let host = place
        .misbehave(&[])
        .fake("mailer", move |asked| {
            if asked.name == "wait" {
                let _ = held.lock().unwrap().recv();
            }
            Ok(json!(asked.name))
        })
        .start()
        .unwrap();
    let payload = Json::of(&json!({ "name": "call", "args": call_of("wait", &json!({})) }));
    let mut request = Request::new(None, RequestType::Command, payload).to("misbehave");
    request.deadline_ms = Some(100);
    let error = host.send(request).unwrap().result().unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeadlineExceeded);
    let pid = |host: &TestHost| {
        let status = || host.call_to("supervisor", "status", json!({ "name": "mailer" })).unwrap();
        bulkhead_tests::until("the number of the fake's process", || status()["pid"].as_i64())
    };
    let before = pid(&host);
    assert_eq!(host.call("call", call_of("send", &json!({}))).unwrap(), "send");
    // The answer that comes too late is dropped, and nothing else is answered with it.
    drop(release);
    assert_eq!(host.call("call", call_of("again", &json!({}))).unwrap(), "again");
    assert_eq!(pid(&host), before, "the fake was killed");
}

#[test]
fn a_module_may_require_a_fake_and_ask_it_while_it_starts() {
    let place = Place::new();
    let folder = place.path().with_extension("requires");
    fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "[module]\nname = \"bad\"\ncommand = [{:?}]\nrequires = [\"mailer\"]\n[capabilities]\ncall = [\"mailer\"]\n",
        program("misbehave")
    );
    fs::write(folder.join("module.toml"), text).unwrap();
    let without = place.host(TestHost::of_folder(&folder)).start().err().unwrap().to_string();
    assert!(without.contains("mailer") && without.contains("--fake"), "{without}");
    let host = place.host(TestHost::of_folder(&folder)).fake("mailer", |_| Ok(json!(1))).start().unwrap();
    assert_eq!(host.call("call", call_of("send", &json!({}))).unwrap(), 1);
    drop(host);
    fs::remove_dir_all(folder).unwrap();
    place.wait_until_empty();
}

#[test]
fn a_fake_whose_process_is_killed_crashes_as_any_module_and_comes_back() {
    let place = Place::new();
    let (asked, was_asked) = channel();
    let asked = std::sync::Mutex::new(asked);
    let (release, held) = channel::<()>();
    let held = std::sync::Mutex::new(held);
    let host = place
        .misbehave(&[])
        .fake("mailer", move |request| {
            if request.name == "wait" {
                asked.lock().unwrap().send(()).unwrap();
                let _ = held.lock().unwrap().recv();
            }
            Ok(json!(request.name))
        })
        .start()
        .unwrap();
    let call = host.begin("call", call_of("wait", &json!({}))).unwrap();
    was_asked.recv_timeout(bulkhead_tests::timeout()).unwrap();
    let status = || host.call_to("supervisor", "status", json!({ "name": "mailer" })).unwrap();
    let pid = bulkhead_tests::until("the number of the fake's process", || status()["pid"].as_i64());
    bulkhead_tests::kill(pid, nix::sys::signal::Signal::SIGKILL);
    let error = call.result().unwrap_err();
    assert!(error.to_string().contains("mailer crashed"), "{error}");
    drop(release);
    assert_eq!(host.call("call", call_of("send", &json!({}))).unwrap(), "send");
}
