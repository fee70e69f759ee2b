//! `--debug`: a module in a debugger, on a terminal of a test.

use crate::support::{Dev, Folder, status, write};
use bulkhead_client::{CallError, Client};
use bulkhead_protocol::{ErrorCode, Json};
use bulkhead_tests::{owners_of_checkout, program, timeout, until};
use nix::pty::openpty;
use nix::sys::termios::{LocalFlags, tcgetattr};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const ECHO: &str = include_str!("../../../../docs/examples/echo.py");

/// A person at a terminal.
struct Person {
    child: Child,
    keys: File,
    slave: OwnedFd,
    seen: String,
    more: Receiver<Vec<u8>>,
}

impl Person {
    fn start(folder: &Folder, words: &[&str]) -> Person {
        let pty = openpty(None, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-dev"));
        command.current_dir(folder.path(".")).args(words).env("BULKHEAD_RUNTIME", program("module-runtime"));
        command.args(owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")));
        command.env("TERM", "dumb").env("NO_COLOR", "1").stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().expect("the program can be started");
        drop(command);
        let keys = File::from(pty.master);
        let mut screen = keys.try_clone().unwrap();
        let (sender, more) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Person { child, keys, slave: pty.slave, seen: String::new(), more }
    }

    /// Waits until this is on the screen, after what was waited for before; what is there up to its end.
    fn sees(&mut self, text: &str) -> String {
        let deadline = Instant::now() + timeout();
        loop {
            if let Some(at) = self.seen.find(text) {
                return self.seen.drain(..at + text.len()).collect();
            }
            match self.more.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("waited in vain for {text:?} after\n{}", self.seen),
            }
        }
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// A client of the private host.
    fn client(&mut self) -> Client {
        // A line of a terminal ends between two words.
        let said = self.sees("/control.sock ");
        let socket = said.split_whitespace().last().expect("it ends with the path").to_owned();
        Client::connect(Path::new(&socket)).expect("the private host listens")
    }

    /// Ends it by the key for that; its terminal is as it was.
    fn ends(mut self) {
        self.types("\x1d");
        let status = until("the end of the program", || self.child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0), "{}", self.seen);
        let flags = tcgetattr(&self.slave).unwrap().local_flags;
        assert!(flags.contains(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG), "{flags:?}");
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A module that speaks over its channel, and has no time at all.
fn impatient(folder: &Folder, name: &str, command: &str) {
    folder.module(name, "");
    let limits = "[limits]\nstart_timeout = \"200ms\"\nping_interval = \"100ms\"\nping_timeout = \"100ms\"\ncancel_grace = \"100ms\"";
    let manifest = format!("[module]\nname = \"{name}\"\ncommand = {command}\n{limits}\n");
    write(&folder.path(name).join("module.toml"), &manifest);
    write(&folder.path(name).join("main.py"), ECHO);
}

/// Waits until a time has passed in which a module that is judged would have been ended.
fn long_after() {
    let began = Instant::now();
    until("the end of all its timeouts", || (began.elapsed() > Duration::from_secs(2)).then_some(()));
}

fn pid(client: &mut Client, module: &str) -> i64 {
    until("its process", || status(client, module)["pid"].as_i64())
}

fn echo(client: &mut Client, ms: u64) -> Result<Json, CallError> {
    client.call("shop", "echo", Json::of(&json!(7)), Some(Duration::from_millis(ms)))
}

#[test]
fn a_module_in_pdb_is_judged_by_nothing_and_keys_go_to_the_debugger() {
    let folder = Folder::new();
    impatient(&folder, "shop", "[\"python3\", \"-u\", \"main.py\"]");
    let mut person = Person::start(&folder, &["--debug", "shop", "shop"]);
    let mut client = person.client();
    person.sees("shop * runs in pdb on this terminal");
    person.sees("(Pdb) ");
    let before = pid(&mut client, "shop");
    long_after();
    let found = status(&mut client, "shop");
    assert_eq!((&found["state"], &found["restarts"]), (&json!("starting"), &json!(0)), "{found:#}");
    assert_eq!(found["reason"], json!("a debugger runs it; it is not judged"), "{found:#}");
    person.types("c\r");
    person.sees("shop * ready");
    assert_eq!(echo(&mut client, 60_000).unwrap().as_str(), "7");
    assert_eq!(pid(&mut client, "shop"), before);
    person.ends();
}

#[test]
fn a_module_that_gdb_holds_keeps_its_process_when_a_caller_has_given_up() {
    if !Path::new("/usr/bin/gdb").exists() {
        eprintln!("skipped: there is no gdb");
        return;
    }
    let folder = Folder::new();
    impatient(&folder, "shop", &format!("[{:?}]", program("misbehave").to_str().unwrap()));
    let mut person = Person::start(&folder, &["--debug", "shop", "shop"]);
    let mut client = person.client();
    person.sees("(gdb) ");
    person.types("set confirm off\r");
    person.sees("(gdb) ");
    person.types("run\r");
    person.sees("shop * ready");
    let before = pid(&mut client, "shop");
    assert_eq!(echo(&mut client, 60_000).unwrap().as_str(), "7");
    // Ctrl-C is the debugger's.
    person.types("\x03");
    person.sees("received signal SIGINT");
    person.sees("(gdb) ");
    let mut request = bulkhead_protocol::Request::new(
        None,
        bulkhead_protocol::RequestType::Command,
        bulkhead_client::command_payload("echo", "8"),
    );
    request.deadline_ms = Some(200);
    let answer = client.request(&request.to("shop"), Some(timeout())).unwrap();
    let bulkhead_protocol::Status::Error(failure) = answer.status else { panic!("it is stopped: {answer:?}") };
    assert_eq!(failure.code, ErrorCode::DeadlineExceeded);
    long_after();
    person.types("continue\r");
    assert_eq!(echo(&mut client, 60_000).unwrap().as_str(), "7");
    assert_eq!(pid(&mut client, "shop"), before, "it is the same process");
    person.ends();
}

#[test]
fn a_save_builds_a_module_in_a_debugger_and_the_next_debugger_has_it() {
    let folder = Folder::new();
    impatient(&folder, "shop", "[\"python3\", \"main.py\"]");
    let mut person = Person::start(&folder, &["--debug", "shop", "shop"]);
    let mut client = person.client();
    person.sees("(Pdb) ");
    let before = pid(&mut client, "shop");
    write(&folder.path("shop/main.py"), &ECHO.replace("A module of Bulkhead", "The next module of Bulkhead"));
    person.sees("it is not reloaded: end the debugger");
    assert_eq!(pid(&mut client, "shop"), before);
    person.types("q\r");
    person.sees("The next module of Bulkhead");
    person.sees("(Pdb) ");
    assert_ne!(pid(&mut client, "shop"), before);
    person.ends();
}

#[test]
fn node_listens_on_a_port_of_its_own_and_needs_no_terminal() {
    if !Path::new("/usr/bin/node").exists() {
        eprintln!("skipped: there is no node");
        return;
    }
    let folder = Folder::new();
    impatient(&folder, "shop", "[\"node\", \"main.mjs\"]");
    write(&folder.path("shop/main.mjs"), include_str!("../../../../docs/examples/echo.mjs"));
    let mut dev = Dev::start(&folder, &["--debug", "shop", "shop"]);
    dev.until("runs with node --inspect, which prints where it listens");
    dev.until("Debugger listening on ws://127.0.0.1:");
}

#[test]
fn what_cannot_be_debugged_is_refused_with_what_to_do() {
    let folder = Folder::new();
    impatient(&folder, "shop", "[\"python3\", \"main.py\"]");
    impatient(&folder, "native", &format!("[{:?}]", program("misbehave").to_str().unwrap()));
    folder.module("stdio", "");
    let mut faults = vec![
        ("shop", "expected a terminal at standard input, found none"),
        ("stdio", "expected transport = \"socket\""),
        ("other", "--debug: expected a module of this command, shop, native, stdio; found \"other\""),
    ];
    // Nothing but what the module itself needs.
    let bare = folder.path("bin");
    std::fs::create_dir(&bare).unwrap();
    faults.push(("native", "expected gdb or lldb in $PATH, found neither; install gdb"));
    for (module, expected) in faults {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-dev"));
        command.current_dir(folder.path(".")).args(["--debug", module, "shop", "native", "stdio"]);
        command.args(owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")));
        if module == "native" {
            command.env("PATH", &bare);
        }
        let done = command.stdin(Stdio::null()).output().unwrap();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert_eq!((done.status.code(), errors.contains(expected)), (Some(2), true), "{module}: {errors}");
    }
}
