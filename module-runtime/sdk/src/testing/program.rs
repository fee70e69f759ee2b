//! A module's program with a test at the other end of its channel, which may also send and see raw bytes.

use super::Scratch;
use bulkhead_protocol::limits::FRAME_BYTES_MAX_DEFAULT;
use bulkhead_protocol::{CHANNEL_VARIABLE, Decoder, Json, Message, Request, RequestType, Response, Status};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the program is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A socket at descriptor 3.
    Socket,
    /// Standard input and output. The test still sees one socket.
    Stdio,
}

/// What to start, and how.
#[derive(Debug)]
pub struct ProgramBuilder {
    path: PathBuf,
    form: Form,
    args: Vec<String>,
    config: Json,
    data_dir: Option<PathBuf>,
}

/// A running program. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    channel: UnixStream,
    decoder: Decoder,
    arrived: VecDeque<Message>,
    stderr: Option<JoinHandle<String>>,
    next_id: u64,
    config: Json,
    data_dir: PathBuf,
    _scratch: Option<Scratch>,
}

impl ProgramBuilder {
    /// Standard input and output or a socket; a socket unless said otherwise.
    pub fn form(mut self, form: Form) -> ProgramBuilder {
        self.form = form;
        self
    }

    /// Arguments of the program.
    pub fn args(mut self, args: &[&str]) -> ProgramBuilder {
        self.args = args.iter().map(|&arg| arg.to_owned()).collect();
        self
    }

    /// The `config` of `init`.
    pub fn config(mut self, config: Value) -> ProgramBuilder {
        self.config = config.into();
        self
    }

    /// The `data_dir` of `init`; one of the test's own unless said otherwise.
    pub fn data_dir(mut self, path: &Path) -> ProgramBuilder {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Starts the program, without a word to it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(self) -> Program {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair can be made");
        let theirs = OwnedFd::from(theirs);
        let mut command = match self.form {
            Form::Stdio => {
                let mut command = Command::new(&self.path);
                command.stdout(theirs.try_clone().expect("a descriptor can be copied")).env_remove(CHANNEL_VARIABLE);
                command
            }
            Form::Socket => {
                // The shell moves the socket to descriptor 3 and becomes the program.
                let mut command = Command::new("/bin/sh");
                command.args(["-c", "exec 3<&0 0</dev/null; exec \"$@\"", "sh"]).arg(&self.path);
                command.stdout(Stdio::null()).env(CHANNEL_VARIABLE, "3");
                command
            }
        };
        command.args(&self.args).stdin(theirs).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", self.path.display()));
        let mut stderr = child.stderr.take().expect("it was asked for");
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        ours.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let scratch = self.data_dir.is_none().then(Scratch::new);
        let data_dir = self.data_dir.or_else(|| scratch.as_ref().map(|scratch| scratch.path().to_owned()));
        Program {
            child,
            channel: ours,
            decoder: Decoder::new(FRAME_BYTES_MAX_DEFAULT),
            arrived: VecDeque::new(),
            stderr: Some(stderr),
            next_id: 1,
            config: self.config,
            data_dir: data_dir.expect("one of the two is there"),
            _scratch: scratch,
        }
    }

    /// Starts the program and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub fn start(self) -> Program {
        let mut program = self.spawn();
        let id = program.send_init();
        program.answer(id).unwrap_or_else(|failure| panic!("expected a ready module, found {failure}"));
        program
    }
}

impl Program {
    /// The program at `path`, usually `env!("CARGO_BIN_EXE_…")`.
    pub fn at(path: &str) -> ProgramBuilder {
        let config = json!({}).into();
        ProgramBuilder { path: path.into(), form: Form::Socket, args: Vec::new(), config, data_dir: None }
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `init` and returns its id.
    pub fn send_init(&mut self) -> u64 {
        let init = super::init("module-under-test", self.config.clone(), &self.data_dir);
        self.send(RequestType::Init, Json::of(&init))
    }

    /// Sends a request and returns its id.
    pub fn send(&mut self, kind: RequestType, payload: Json) -> u64 {
        self.send_request(Request::new(None, kind, payload))
    }

    /// Sends a command and returns its id.
    pub fn send_command(&mut self, name: &str, args: Value) -> u64 {
        self.send(RequestType::Command, json!({ "name": name, "args": args }).into())
    }

    /// Sends a request, numbered here, and returns its id.
    pub fn send_request(&mut self, mut request: Request) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        request.id = Some(id);
        self.send_message(&Message::Request(request));
        id
    }

    /// Sends a message as it is.
    ///
    /// # Panics
    /// When it is longer than a frame.
    pub fn send_message(&mut self, message: &Message) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes, FRAME_BYTES_MAX_DEFAULT).expect("the message fits a frame");
        self.send_bytes(&bytes);
    }

    /// Sends bytes. A program that is gone is found out by the next reading.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.channel.write_all(bytes);
    }

    /// Sends a command and returns what it is answered with.
    ///
    /// # Errors
    /// The error response, as JSON.
    pub fn command(&mut self, name: &str, args: Value) -> Result<Value, Value> {
        let id = self.send_command(name, args);
        self.answer(id)
    }

    /// Waits for the answer to `id`; other messages that come before it stay for [`Program::message`].
    ///
    /// # Errors
    /// The error response, as JSON.
    ///
    /// # Panics
    /// When the program ends, breaks the wire or says nothing for too long.
    pub fn answer(&mut self, id: u64) -> Result<Value, Value> {
        let is_answer = |message: &Message| {
            matches!(message, Message::Response(Response { id: Some(found), status })
                if *found == id && !matches!(status, Status::Progress(_)))
        };
        let deadline = Instant::now() + PATIENCE;
        let at = loop {
            if let Some(at) = self.arrived.iter().position(is_answer) {
                break at;
            }
            if let Err(end) = self.fill(deadline) {
                panic!("expected the answer to {id}, found {end}; standard error: {}", self.stderr_of_the_dead());
            }
        };
        let Some(Message::Response(response)) = self.arrived.remove(at) else { unreachable!("it was just found") };
        match &response.status {
            Status::Success(data) => Ok(data.read().expect("a Json is JSON")),
            _ => Err(as_json(&Message::Response(response))),
        }
    }

    /// Waits for the next message of any kind; the error says how the stream ended instead.
    ///
    /// # Errors
    /// The end of the stream, bytes that are no frame or message, or nothing for too long.
    pub fn message(&mut self) -> Result<Message, String> {
        let deadline = Instant::now() + PATIENCE;
        while self.arrived.is_empty() {
            self.fill(deadline)?;
        }
        Ok(self.arrived.pop_front().expect("it was just seen"))
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// When it lives on for too long.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the program lives on");
            // There is no way to wait for a child with a deadline in std; a short nap is what is left.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for the end and returns the exit code, `None` after a signal, and all of standard error.
    pub fn finish(&mut self) -> (Option<i32>, String) {
        let code = self.wait().code();
        (code, self.stderr_of_the_dead())
    }

    /// Closes the test's end of the channel, as a host that died would.
    pub fn hang_up(&mut self) {
        let _ = self.channel.shutdown(std::net::Shutdown::Both);
    }

    fn stderr_of_the_dead(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stderr.take().map(|reader| reader.join().expect("the reader does not panic")).unwrap_or_default()
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), String> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.channel.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
        let mut buffer = [0; 64 * 1024];
        let count = match self.channel.read(&mut buffer) {
            Ok(0) => return Err(self.decoder.finish().map_or_else(|error| error.to_string(), |()| "the end".into())),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err("nothing for too long".into()),
            Err(error) => return Err(error.to_string()),
        };
        let mut input = &buffer[..count];
        while let Some(frame) = self.decoder.next(&mut input).map_err(|error| error.to_string())? {
            self.arrived.push_back(Message::decode(frame).map_err(|error| error.to_string())?);
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The message as JSON, for comparisons in tests.
fn as_json(message: &Message) -> Value {
    let mut bytes = Vec::new();
    message.encode(&mut bytes, usize::MAX >> 40).expect("no limit that matters");
    serde_json::from_slice(&bytes[4..]).expect("a message is JSON")
}
