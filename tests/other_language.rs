//! A module that was written from `PROTOCOL.md` alone, in a language that has no SDK, over both transports. The page
//! has all that is needed.

use bulkhead_protocol::{ErrorCode, Exit};
use bulkhead_tests::{World, kill};
use nix::sys::signal::Signal;
use serde_json::json;
use std::{fs, process::Command};

const ECHO: &str = include_str!("../docs/examples/echo.py");

/// A world with the module, or `None` where there is no Python to run it.
fn world(transport: &str) -> Option<World> {
    // It is tried, as a `python3` may not be a working Python.
    let found = Command::new("python3").args(["-c", "import json, socket, struct"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: the module in Python over {transport}, because python3 cannot be run");
        return None;
    }
    let world = World::new();
    let command = r#"command = ["python3", "echo.py"]"#;
    // Where python3 is a script of a version manager, which needs its home folder.
    let rest = r#"inherit_env = ["PYENV_ROOT", "PYENV_VERSION", "VIRTUAL_ENV"]"#;
    let manifest = format!("name = \"echo\"\nversion = \"1\"\n{command}\ntransport = \"{transport}\"\n{rest}");
    world.manifest("echo", &manifest);
    fs::write(world.path("modules/echo/echo.py"), ECHO).unwrap();
    Some(world)
}

#[test]
fn a_module_written_from_the_page_alone_does_all_that_a_module_must() {
    for transport in ["socket", "stdio"] {
        let Some(mut world) = world(transport) else { continue };
        let mut client = world.start().client();
        client.wait_ready("echo");
        let args = json!({ "text": "é \u{1F30A}", "n": 1.5 });
        assert_eq!(client.call("echo", "echo", args.clone()), Ok(args), "{transport}");

        let count = client.send_command("echo", "count", json!({ "to": 2 }));
        assert_eq!(client.progress(count), json!({ "done": 1, "total": 2 }));
        assert_eq!(client.progress(count), json!({ "done": 2, "total": 2 }));
        assert_eq!(client.answer(count), Ok(json!(2)));

        let unknown = client.call("echo", "sing", json!(null)).unwrap_err();
        assert_eq!(unknown.code, ErrorCode::UnknownCommand);
        let bad = client.call("echo", "count", json!({ "to": "many" })).unwrap_err();
        assert_eq!(bad.code, ErrorCode::BadRequest);
        let status = client.until_status("echo", "its log has the line that it printed", |status| {
            status["log_tail"].to_string().contains("ready as echo#1")
        });
        assert_eq!(status["strange_answers"], 0);
        world.stop();
    }
}

#[test]
fn a_module_in_another_language_says_that_it_ends_and_what_comes_after_is_done_by_the_next_process() {
    for transport in ["socket", "stdio"] {
        let Some(mut world) = world(transport) else { continue };
        let mut client = world.start().client();
        client.wait_ready("echo");
        let endless = client.send_command("echo", "count", json!({ "to": "inf" }));
        let next: Vec<u64> = (1..4).map(|n| client.send_command("echo", "count", json!({ "to": n }))).collect();
        let failure = client.answer(endless).unwrap_err();
        let sentence = "OverflowError: cannot convert float infinity to integer";
        assert_eq!((failure.code, &*failure.error), (ErrorCode::ModuleError, sentence));
        for (id, n) in next.into_iter().zip(1..4) {
            assert_eq!(client.answer(id), Ok(json!(n)));
        }
        let crashes = client.supervisor("crashes", json!({ "name": "echo" }));
        let [crash] = crashes["crashes"].as_array().unwrap().as_slice() else { panic!("{crashes:#}") };
        let stderr: Vec<&str> = crash["stderr"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        assert_eq!(stderr[0], sentence, "{crash:#}");
        assert!(stderr.iter().any(|line| line.contains("echo.py")), "{crash:#}");
        let expected = json!([{
            "type": "command",
            "payload": { "name": "count", "args": { "to": "inf" } },
            "delivery": "started",
            "answered": sentence,
        }]);
        assert_eq!(crash["in_flight"], expected);
        world.stop();
    }
}

#[test]
fn a_module_in_another_language_is_restarted_and_its_idempotent_work_done_again() {
    let Some(mut world) = world("stdio") else { return };
    let mut client = world.start().client();
    client.wait_ready("echo");
    let following = client.follow("module.*");
    let pid = client.pid("echo");
    // While it is stopped, requests wait in its channel; when it is killed, none of them was answered.
    kill(pid, Signal::SIGSTOP);
    let safe = client.send_command("echo", "echo", json!({ "n": 1 }));
    let next = client.send_command("echo", "count", json!({ "to": 1 }));
    client.until_status("echo", "it has both", |status| status["in_flight"] == 2);
    kill(pid, Signal::SIGKILL);
    let crashed = client.event(following, "module.crashed");
    assert_eq!(crashed["data"]["detail"], Exit::Signal("SIGKILL".into()).to_string());
    assert_eq!(client.answer(safe), Ok(json!({ "n": 1 })));
    assert_eq!(client.answer(next), Ok(json!(1)));
    world.stop();
}
