//! A host that is a thread and a script, and a way to run the command against it with a deadline.
//! What the real host answers is tested elsewhere, with the real host.

#![allow(dead_code, reason = "each test file uses its own part")]

use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{Decoder, ErrorCode, Failure, Json, Message, Request, RequestType, Response, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// No test waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A folder that is removed with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bulkhead-command-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// One client, as the host sees it.
pub(crate) struct Connection {
    pub(crate) stream: UnixStream,
    decoder: Decoder,
    requests: VecDeque<Request>,
    seen: Arc<Mutex<Vec<Request>>>,
    out: Vec<u8>,
}

impl Connection {
    /// The next request; `None` when the client went away. What was answered is sent before the wait.
    pub(crate) fn request(&mut self) -> Option<Request> {
        let mut buffer = vec![0; 64 * 1024];
        while self.requests.is_empty() {
            self.flush();
            let count = self.stream.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                return None;
            }
            let mut input = &buffer[..count];
            while let Some(frame) = self.decoder.next(&mut input).unwrap() {
                let Message::Request(request) = Message::decode(frame).unwrap() else { panic!("a client only asks") };
                self.requests.push_back(request);
            }
        }
        let request = self.requests.pop_front()?;
        let mut seen = self.seen.lock().unwrap();
        // A benchmark sends millions, which no test reads.
        if seen.len() < 10_000 {
            seen.push(request.clone());
        }
        Some(request)
    }

    pub(crate) fn respond(&mut self, id: impl Into<Option<u64>>, status: Status) {
        let response = Response::new(id, status);
        response.encode(&mut self.out, FRAME_BYTES_MAX_DEFAULT).unwrap();
        if self.out.len() > 64 * 1024 {
            self.flush();
        }
    }

    pub(crate) fn success(&mut self, request: &Request, data: &str) {
        self.respond(request.id, Status::Success(json(data)));
    }

    pub(crate) fn progress(&mut self, request: &Request, data: &str) {
        self.respond(request.id, Status::Progress(json(data)));
    }

    pub(crate) fn fail(&mut self, request: &Request, failure: Failure) {
        self.respond(request.id, failure.into());
    }

    pub(crate) fn flush(&mut self) {
        // Some tests end the client on purpose.
        let _ = self.stream.write_all(&self.out);
        self.out.clear();
    }
}

pub(crate) fn json(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The host: a socket in a folder of its own.
pub(crate) struct Host {
    folder: Folder,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Host {
    /// Each client gets a thread that runs the script.
    pub(crate) fn start(script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Host {
        Host::start_in(Folder::new(), script)
    }

    /// As [`Host::start`], at a socket in this folder.
    pub(crate) fn start_in(folder: Folder, script: impl Fn(&mut Connection) + Send + Sync + 'static) -> Host {
        let listener = UnixListener::bind(folder.0.join("control.sock")).unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(script);
        let for_clients = seen.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, seen) = (script.clone(), for_clients.clone());
                let decoder = Decoder::new(FRAME_BYTES_MAX_DEFAULT);
                let stream = stream.unwrap();
                let mut client = Connection { stream, decoder, requests: VecDeque::new(), seen, out: Vec::new() };
                thread::spawn(move || {
                    script(&mut client);
                    client.flush();
                });
            }
        });
        Host { folder, seen }
    }

    /// A host that answers each request by `answer`.
    pub(crate) fn answering(answer: impl Fn(&mut Connection, &Request) + Send + Sync + 'static) -> Host {
        Host::start(move |client| {
            while let Some(request) = client.request() {
                answer(client, &request);
            }
        })
    }

    /// A host that answers each command with its arguments.
    pub(crate) fn echo() -> Host {
        Host::answering(|client, request| {
            if request.kind == RequestType::Command {
                client.respond(request.id, Status::Success(args_of(request)));
            } else {
                client.success(request, "null");
            }
        })
    }

    /// A host that answers everything with an error of this code.
    pub(crate) fn failing(code: ErrorCode) -> Host {
        Host::answering(move |client, request| client.fail(request, Failure::new(code, "it did not work")))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.0.join("control.sock")
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Runs the command against this host.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, b"")
    }

    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Done {
        let mut command = bulkhead(&self.socket());
        command.args(args);
        run(command, input)
    }

    /// Starts the command with pipes on all sides.
    pub(crate) fn spawn(&self, args: &[&str]) -> Running {
        let mut command = bulkhead(&self.socket());
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(command.spawn().unwrap())
    }
}

pub(crate) fn args_of(request: &Request) -> Json {
    #[derive(serde::Deserialize)]
    struct Payload {
        args: Json,
    }
    request.payload.read::<Payload>().unwrap().args
}

/// The command, in an empty environment.
pub(crate) fn bulkhead(socket: &Path) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_bulkhead"));
    command.env_remove("BULKHEAD_SOCKET").env_remove("NO_COLOR").arg("--socket").arg(socket);
    command
}

/// A program that gets signals, also where this test was started in the background of a script, whose commands ignore
/// them: the command under test would correctly ignore them too.
pub(crate) fn program(path: &str) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let ignored = u64::from_str_radix(ignored, 16).unwrap();
    let ends = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    if ends.iter().all(|signal| ignored & 1 << (*signal as u32 - 1) == 0) {
        return Command::new(path);
    }
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,TERM,HUP", path]);
    command
}

/// The output and exit code of a command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Done {
    fn of(output: Output) -> Done {
        Done {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32, out: &str) -> &Done {
        assert_eq!((self.code, self.out.as_str()), (Some(code), out), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Done {
        assert!(self.err.contains(text), "expected {text:?} in {self:#?}");
        self
    }
}

pub(crate) fn run(mut command: Command, input: &[u8]) -> Done {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    let mut stdin = running.0.stdin.take().unwrap();
    let input = input.to_vec();
    // A command that ends before it has read everything closes the pipe: no failure of the test.
    let feeding = thread::spawn(move || drop(stdin.write_all(&input)));
    let done = running.done();
    feeding.join().unwrap();
    done
}

/// A running command, killed when the test drops it.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let stdout = self.0.stdout.as_mut().unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// Waits for the end.
    pub(crate) fn done(&mut self) -> Done {
        drop(self.0.stdin.take());
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let (sender, receiver) = mpsc::channel();
        let pid = self.0.id();
        let read = |stream: Option<Box<dyn Read + Send>>| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                stream.map(|mut stream| stream.read_to_end(&mut bytes).unwrap());
                bytes
            })
        };
        let out = read(stdout.map(|stream| Box::new(stream) as _));
        let err = read(stderr.map(|stream| Box::new(stream) as _));
        thread::spawn(move || {
            let _ = sender.send((out.join().unwrap(), err.join().unwrap()));
        });
        let Ok((out, err)) = receiver.recv_timeout(DEADLINE) else {
            panic!("process {pid} did not end within {DEADLINE:?}");
        };
        Done::of(Output { status: self.0.wait().unwrap(), stdout: out, stderr: err })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
