//! A place for the private folders of test hosts, in which nothing may be left, and a host whose wire is written byte
//! by byte.

use bulkhead_module::testing::{Scratch, TestHost, TestHostBuilder};
use bulkhead_tests::{is_alive, kill, marked, program, timeout, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Where the hosts of one test have their folders. Its path marks all their processes.
pub(crate) struct Place(Scratch);

impl Place {
    pub(crate) fn new() -> Place {
        Place(Scratch::new())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// `misbehave` with these arguments.
    pub(crate) fn misbehave(&self, args: &[&str]) -> TestHostBuilder {
        let words = [program("misbehave").to_string_lossy().into_owned()].into_iter();
        self.command(words.chain(args.iter().map(|&arg| arg.to_owned())))
    }

    pub(crate) fn command<I: IntoIterator<Item = String>>(&self, words: I) -> TestHostBuilder {
        self.host(TestHost::of_command(words))
    }

    pub(crate) fn host(&self, builder: TestHostBuilder) -> TestHostBuilder {
        let mark = self.mark();
        let builder = builder.program(program("bulkhead-test-host")).option("state", &mark);
        builder.set("env.TEST_MARK", &mark)
    }

    fn mark(&self) -> String {
        self.path().to_str().expect("folders for tests have names of UTF-8").to_owned()
    }

    /// Waits until no process and no file of any host is there.
    pub(crate) fn wait_until_empty(&self) {
        until("the end of all processes of the test host", || marked(&self.mark()).is_empty().then_some(()));
        let left: Vec<_> = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// The same, while the test's own end of a host lives: only the folders.
    pub(crate) fn folders(&self) -> usize {
        fs::read_dir(self.path()).unwrap().count()
    }

    /// A host without the SDK's end of the wire.
    pub(crate) fn raw(&self, args: &[&str]) -> Raw {
        Raw::start(self, args, Stdio::piped())
    }
}

/// The wire as bytes.
pub(crate) struct Raw {
    pub(crate) child: Child,
    pub(crate) to_host: Option<ChildStdin>,
    messages: Receiver<Value>,
}

impl Raw {
    pub(crate) fn start(place: &Place, args: &[&str], stdin: Stdio) -> Raw {
        let mark = place.mark();
        let mut command = Command::new(program("bulkhead-test-host"));
        command.args(["--state", &mark, "--set", &format!("env.TEST_MARK={mark}")]).args(args);
        let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let to_host = child.stdin.take();
        let mut from_host = child.stdout.take().unwrap();
        let (sender, messages) = channel();
        thread::spawn(move || {
            while let Some(message) = read(&mut from_host) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Raw { child, to_host, messages }
    }

    pub(crate) fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.send_bytes(&u32::try_from(body.len()).unwrap().to_be_bytes());
        self.send_bytes(body.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.to_host.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The next message that is chosen; the others are dropped.
    pub(crate) fn message(&self, choose: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = self.messages.recv_timeout(timeout()).expect("a message comes");
            if choose(&message) {
                return message;
            }
        }
    }

    pub(crate) fn ready(&self) -> Value {
        self.message(|message| message["payload"]["event"] == "test_host.ready")["payload"]["data"].clone()
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn ask(&mut self, id: u64, to: &str, name: &str, args: &Value) -> Value {
        self.send(&json!({ "id": id, "type": "command", "to": to, "payload": { "name": name, "args": args } }));
        self.answer(id)
    }

    pub(crate) fn answer(&self, id: u64) -> Value {
        self.message(|message| message["id"] == id && message["status"] != "progress" && message["status"].is_string())
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        self.to_host.take();
        self.wait()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the end of the test host", || self.child.try_wait().unwrap())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stream: &mut ChildStdout) -> Option<Value> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    Some(serde_json::from_slice(&body).expect("the host sends JSON"))
}

/// The process of the module, and of the guardian.
pub(crate) fn processes(host: &TestHost) -> Vec<i64> {
    let status = host.call_to("supervisor", "status", Value::Null).unwrap();
    let guardian = status["host"]["guardian_pid"].as_i64().unwrap();
    // The guardian may report a process after that has said that it is ready.
    let module = until("the number of the module's process", || host.status().unwrap()["pid"].as_i64());
    assert!([guardian, module].iter().all(|pid| is_alive(*pid)), "{guardian}, {module}");
    vec![guardian, module]
}

pub(crate) fn end_by(pid: u32, signal: Signal) {
    kill(i64::from(pid), signal);
}
