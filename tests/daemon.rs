//! The daemon in its environment: signals, locks, sockets, a service manager, clients of every kind, and the modules'
//! logs.

use bulkhead_tests::{Caller, Ended, Host, NOBODY, TIMEOUT, World, copy_program, is_root, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;

/// A host with a good module, ready.
fn good() -> (World, Caller) {
    let mut world = World::new();
    world.module("good", "test-minimal", "").start();
    let mut client = world.client();
    client.wait_ready("good");
    (world, client)
}

/// A daemon that must not start.
fn refused(world: &World, state: &Path, socket: &Path) -> Ended {
    let ended = Host::start(world.run_command_at(state, socket)).wait();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    ended
}

fn says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "expected {word:?} in {ended:?}");
    }
}

#[test]
fn sigterm_and_sigint_end_it_with_code_0_and_remove_its_socket() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut world, _client) = good();
        let ended = world.end_host(signal);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!world.socket().exists());
        assert!(world.processes().is_empty());
    }
}

#[test]
fn a_second_signal_does_not_wait_for_modules_that_do_not_stop() {
    let mut world = World::new();
    world.module("bad", "misbehave", "[limits]\nstop_timeout = \"1h\"\nterm_timeout = \"1h\"").start();
    let mut client = world.client();
    client.wait_ready("bad");
    client.call("bad", "ignore_sigterm", json!({})).unwrap();
    world.host().signal(Signal::SIGTERM);
    client.until_status("bad", "it is asked to stop", |status| status["state"] == "stopping");
    let ended = world.end_host(Signal::SIGTERM);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_second_daemon_on_the_same_state_directory_is_refused_and_names_the_first() {
    let (mut world, mut client) = good();
    let ended = refused(&world, &world.state(), &world.path("other.sock"));
    let first = world.host().pid().to_string();
    says(&ended, 1, &["is in use by another host", &first, "--state DIR"]);
    client.call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn a_second_daemon_is_refused_also_where_the_lock_file_was_taken_for_a_stale_one() {
    let (mut world, mut client) = good();
    let lock = world.state().join("lock");
    fs::remove_file(&lock).unwrap();
    let ended = refused(&world, &world.state(), &world.path("other.sock"));
    says(&ended, 1, &["is in use by another host", "--state DIR"]);
    assert_eq!(client.status("good")["restarts"], 0, "its modules are no leftovers");
    client.call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn a_second_daemon_on_the_same_socket_is_refused() {
    let (mut world, mut client) = good();
    let ended = refused(&world, &world.path("other-state"), &world.socket());
    says(&ended, 1, &["another host listens on", "--socket PATH"]);
    client.call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_replaced() {
    let (mut world, _client) = good();
    world.end_host(Signal::SIGKILL);
    assert!(world.socket().exists());
    world.start();
    world.client().wait_ready("good");
    world.stop();
}

#[test]
fn a_daemon_says_once_that_the_one_before_it_did_not_end_in_order() {
    let line = "did not end in order";
    let (mut world, _client) = good();
    let killed = world.host().pid();
    // The note for the next daemon is written on another thread than the one that starts modules.
    until("the note that the daemon runs", || {
        let note = fs::read_to_string(world.state().join("lock")).ok()?;
        note.contains("running").then_some(())
    });
    let ended = world.end_host(Signal::SIGKILL);
    assert!(!ended.stderr.contains(line), "{ended:?}");
    // A daemon that is refused later has not run, and leaves no report for the next.
    fs::create_dir(world.path("elsewhere")).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(world.path("elsewhere/control.sock")).unwrap();
    let ended = refused(&world, &world.state(), &world.path("elsewhere/control.sock"));
    says(&ended, 1, &[line, &format!("(process {killed})")]);
    world.start();
    world.client().wait_ready("good");
    let ended = world.stop();
    assert!(!ended.stderr.contains(line), "{ended:?}");
    world.start();
    world.client().wait_ready("good");
    let ended = world.stop();
    assert!(!ended.stderr.contains(line), "{ended:?}");
}

#[test]
fn places_that_cannot_be_used_are_named_with_a_remedy() {
    let world = World::new();
    let file = world.path("file");
    fs::write(&file, "precious").unwrap();
    says(&refused(&world, &world.state(), &file), 1, &["is no socket", "file", "--socket PATH"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    says(&refused(&world, &file, &world.socket()), 1, &["cannot use the state directory", "--state DIR"]);
    says(&refused(&world, &world.state(), &world.path(&"long".repeat(30))), 2, &["107", "socket"]);
    says(&refused(&world, &world.state(), &world.path("file/control.sock")), 1, &["file/control.sock"]);
}

#[test]
fn a_state_directory_that_another_user_has_is_refused() {
    if !is_root() {
        eprintln!("skipped: another user's directory, as only root can try it");
        return;
    }
    let world = World::new().as_nobody();
    let foreign = world.path("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::set_permissions(&foreign, Permissions::from_mode(0o700)).unwrap();
    for state in [foreign.clone(), foreign.join("deeper")] {
        says(
            &refused(&world, &state, &world.socket()),
            1,
            &["cannot use the state directory", "foreign", "--state DIR"],
        );
    }
    says(&refused(&world, &world.state(), &foreign.join("control.sock")), 1, &["foreign", "--socket PATH"]);
}

#[test]
fn no_other_user_may_enter_what_it_creates() {
    let (mut world, _client) = good();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&world.socket()), 0o600);
    for folder in ["run", "state", "state/logs", "state/crashes", "state/quarantine", "state/data", "state/cache"] {
        assert_eq!(mode(&world.path(folder)), 0o700, "{folder}");
    }
    world.stop();
}

#[test]
fn another_user_is_refused_even_where_the_socket_can_be_reached() {
    if !is_root() {
        eprintln!("skipped: another user's client, as only root can start it");
        return;
    }
    let mut world = World::new();
    world.module("good", "test-minimal", "").start();
    fs::set_permissions(world.path("run"), Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(world.socket(), Permissions::from_mode(0o666)).unwrap();
    let copy = world.path("bulkhead");
    copy_program("bulkhead", &copy);
    let output = std::process::Command::new(&copy)
        .args(["status", "--socket"])
        .arg(world.socket())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("user 65534 may not use this host"), "{stderr}");
    assert_eq!(output.status.code(), Some(125), "{stderr}");
    world.client().call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn a_service_manager_hears_that_it_is_ready_alive_reloading_and_stopping() {
    let mut world = World::new().env("WATCHDOG_USEC", "40000");
    // Starting waits for READY=1.
    world.module("good", "test-minimal", "").start();
    world.wait_for_notice("WATCHDOG=1");
    world.wait_for_notice("WATCHDOG=1");
    world.host().signal(Signal::SIGHUP);
    world.wait_for_notice("RELOADING=1");
    world.wait_for_notice("READY=1");
    world.stop();
    world.wait_for_notice("STOPPING=1");
}

#[test]
fn a_service_manager_is_asked_for_more_time_while_the_data_is_opened() {
    let world = World::new();
    let mut host = Host::start(world.run_command());
    world.wait_for_notice("EXTEND_TIMEOUT_USEC=60000000");
    world.wait_for_notice("READY=1");
    host.signal(Signal::SIGTERM);
    assert_eq!(host.wait().code, Some(0));
}

#[test]
fn clients_that_send_nothing_or_half_a_frame_hold_up_no_other() {
    let (mut world, mut client) = good();
    let connect = || UnixStream::connect(world.socket()).unwrap();
    let silent = connect();
    let mut half_length = connect();
    half_length.write_all(&[0, 0]).unwrap();
    let mut half_frame = connect();
    half_frame.write_all(&[0, 0, 1, 0]).unwrap();
    half_frame.write_all(b"{\"id\":1,").unwrap();
    let many: Vec<UnixStream> = (0..50).map(|_| connect()).collect();
    for _ in 0..10 {
        client.call("good", "ping", json!({})).unwrap();
    }
    let clients = client.supervisor("status", Value::Null)["host"]["clients"].clone();
    assert_eq!(clients, 54);
    drop((silent, half_length, half_frame, many));
    until("they are gone", || (client.supervisor("status", Value::Null)["host"]["clients"] == 1).then_some(()));
    world.stop();
}

/// What the host answers to these bytes before it closes the connection.
fn last_messages(world: &World, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn bytes_that_are_no_frames_are_answered_with_what_they_are() {
    let (mut world, mut client) = good();
    for (bytes, words) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], &["protocol_error", "GET /"][..]),
        (b"{\"id\":1,\"type\":\"ping\"}\n", &["protocol_error", "id"]),
        (&[0x7f, 0xff, 0xff, 0xff], &["frame_too_large"]),
        (&[1, 1, 0, 0], &["frame_too_large"]),
        (&[0, 0, 0, 0], &["protocol_error"]),
    ] {
        let answer = last_messages(&world, bytes);
        for word in words {
            assert!(answer.contains(word), "expected {word:?} in {answer:?}");
        }
    }
    client.call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn a_message_that_is_no_message_is_answered_and_the_connection_lives() {
    let (mut world, _client) = good();
    let mut stream = UnixStream::connect(world.socket()).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut frame = |content: &[u8]| -> Value {
        let mut bytes = u32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(content);
        stream.write_all(&bytes).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut answer).unwrap();
        serde_json::from_slice(&answer).unwrap()
    };
    let deep = format!("{{\"id\":6,\"type\":\"ping\",\"payload\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
    for (content, id) in [
        (&b"oops"[..], Value::Null),
        (b"[1,2]", Value::Null),
        (b"{\"id\":3}", json!(3)),
        (b"{\"id\":4,\"type\":5}", json!(4)),
        (b"{\"id\":5,\"type\":\"command\",\"status\":\"success\"}", json!(5)),
        (b"{\"id\":7,\"type\":\"command\",\"to\":\"good\"", Value::Null),
        (b"\xff\xfe", Value::Null),
        (b"{\"id\":8,\"status\":\"success\"}", json!(8)),
    ] {
        let answer = frame(content);
        let shown = String::from_utf8_lossy(content);
        assert_eq!((&answer["id"], &answer["code"]), (&id, &json!("bad_request")), "{shown}: {answer}");
    }
    assert_eq!(frame(deep.as_bytes())["id"], 6);
    let answer = frame(b"{\"id\":9,\"type\":\"command\",\"to\":\"good\",\"payload\":{\"name\":\"ping\"}}");
    assert_eq!((&answer["id"], &answer["status"]), (&json!(9), &json!("success")));
    world.stop();
}

#[test]
fn a_thousand_clients_at_once_are_all_answered() {
    let (mut world, _client) = good();
    let mut clients: Vec<Caller> = (0..1000).map(|_| world.client()).collect();
    let ids: Vec<u64> = clients.iter_mut().map(|client| client.send_command("good", "status", json!({}))).collect();
    for (client, id) in clients.iter_mut().zip(ids) {
        client.answer(id).unwrap();
    }
    drop(clients);
    world.client().call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn clients_beyond_the_limit_are_informed() {
    let mut world = World::new();
    world.host_file("[host]\nclients_max = 2\n").module("good", "test-minimal", "").start();
    let wait =
        |client: &mut Caller| client.send_command("supervisor", "wait", json!({ "name": "good", "for": "stopped" }));
    let (mut first, mut second) = (world.client(), world.client());
    wait(&mut first);
    wait(&mut second);
    second.call("good", "ping", json!({})).unwrap();
    first.call("good", "ping", json!({})).unwrap();
    assert!(last_messages(&world, b"").contains("2 clients already"));
    second.call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn a_client_that_never_reads_is_bounded_and_holds_up_no_other() {
    let mut world = World::new();
    world.module("bad", "misbehave", "").module("good", "test-minimal", "").start();
    let mut client = world.client();
    client.wait_ready("bad");
    let mut deaf = world.client();
    deaf.set_nonblocking(true).unwrap();
    let echo = Caller::command("bad", "echo", json!("x".repeat(1 << 20)));
    // The host stops reading from it long before it holds all of this.
    for _ in 0..200 {
        deaf.sender().queue_request(&echo).unwrap();
        deaf.sender().try_flush().unwrap();
    }
    assert!(deaf.sender().queued_bytes() > 0);
    let memory = client.supervisor("status", Value::Null)["host"]["memory_bytes"].as_u64().unwrap();
    assert!(memory < 100 << 20, "the host holds {memory} bytes");
    for _ in 0..20 {
        client.call("good", "ping", json!({})).unwrap();
    }
    world.stop();
}

/// Prints a line through a module and waits until the host has it.
fn print(client: &mut Caller, line: &str, stream: &str) {
    client.call("bad", "print", json!({ "line": line, "stream": stream })).unwrap();
    client.until_status("bad", "the line has come", |status| {
        status["log_tail"].as_array().is_some_and(|tail| tail.iter().any(|have| have == line))
    });
}

#[test]
fn lines_of_a_module_are_kept_with_their_stream_and_level() {
    let mut world = World::new();
    world.module("bad", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("bad");
    let warning = "{\"level\":\"warn\",\"message\":\"low on ink\"}";
    let followed = client.send_command("supervisor", "logs", json!({ "name": "bad", "lines": 0, "follow": true }));
    for (line, stream) in [("plain", "stdout"), (warning, "stderr")] {
        print(&mut client, line, stream);
        let found = std::iter::repeat_with(|| client.progress(followed)).find(|found| found["line"] == line).unwrap();
        let level = if line == warning { json!("warn") } else { Value::Null };
        assert_eq!((&found["stream"], &found["level"]), (&json!(stream), &level), "{found}");
    }
    let cancel = client.cancel(followed).unwrap();
    client.answer(cancel).unwrap();
    client.answer(followed).unwrap();
    client.call("bad", "print_bytes", json!({})).unwrap();
    client.until_status("bad", "odd bytes are marked", |status| status["log_tail"].to_string().contains('\u{fffd}'));
    world.stop();
    let file = fs::read_to_string(world.state().join("logs/bad.log")).unwrap();
    assert!(file.contains("plain") && file.contains(warning), "{file}");
}

#[test]
fn a_flood_of_output_is_bounded_and_what_is_dropped_is_counted() {
    let mut world = World::new();
    let logs = "[logs]\nline_bytes_max = \"4KiB\"\nfile_bytes_max = \"8KiB\"\nfiles = 3\nlines_per_second = 100\nburst = 400\n";
    world.host_file(logs).module("bad", "misbehave", "").start();
    let mut client = world.client();
    client.wait_ready("bad");
    client.call("bad", "flood", json!({ "stream": "stdout", "bytes": 2_000_000 })).unwrap();
    client.call("bad", "long_line", json!({ "stream": "stderr", "bytes": 2_000_000 })).unwrap();
    assert_eq!(client.call("bad", "echo", json!(1)).unwrap(), 1);
    world.stop();
    let mut sizes = Vec::new();
    let mut text = String::new();
    for entry in fs::read_dir(world.state().join("logs")).unwrap() {
        let content = fs::read_to_string(entry.unwrap().path()).unwrap();
        sizes.push(content.len());
        text.push_str(&content);
    }
    assert!(sizes.len() <= 3 && sizes.iter().all(|size| *size < 8192 + 70_000), "{sizes:?}");
    assert!(text.contains("lines of stdout were dropped"), "{text}");
    assert!(text.contains("bytes cut…]"), "{text}");
}
