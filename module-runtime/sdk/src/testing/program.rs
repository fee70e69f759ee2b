//! A module's program, or its shared library in the host's runtime for it, with a test at the other
//! end of the channel.

use super::{Peer, Scratch, TIMEOUT};
use bulkhead_protocol::{CHANNEL_VARIABLE, Json, RequestType};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
    /// The program and the arguments that make it what it is.
    command: Vec<OsString>,
    form: Form,
    args: Vec<String>,
    config: Json,
    data_dir: Option<PathBuf>,
}

/// A running program. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    peer: Peer,
    stderr: Option<JoinHandle<String>>,
    config: Json,
    data_dir: PathBuf,
    _scratch: Option<Scratch>,
}

impl ProgramBuilder {
    /// Standard input and output or a socket; a socket by default.
    pub fn form(mut self, form: Form) -> ProgramBuilder {
        self.form = form;
        self
    }

    /// Starts the program by way of another, which ends as the program by `exec`: its command line comes before the
    /// program's own.
    pub fn by_way_of(mut self, words: &[&str]) -> ProgramBuilder {
        self.command.splice(0..0, words.iter().map(OsString::from));
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

    /// The `data_dir` of `init`; by default one of the test's own.
    pub fn data_dir(mut self, path: &Path) -> ProgramBuilder {
        self.data_dir = Some(path.to_owned());
        self
    }

    /// Starts the program, without sending anything.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(self) -> Program {
        let (ours, theirs) = UnixStream::pair().expect("a socket pair can be made");
        let theirs = OwnedFd::from(theirs);
        let (path, words) = self.command.split_first().expect("it has the program at least");
        let mut command = match self.form {
            Form::Stdio => {
                let mut command = Command::new(path);
                command.stdout(theirs.try_clone().expect("a descriptor can be copied")).env_remove(CHANNEL_VARIABLE);
                command
            }
            Form::Socket => {
                // The shell moves the socket to descriptor 3 and becomes the program.
                let mut command = Command::new("/bin/sh");
                command.args(["-c", "exec 3<&0 0</dev/null; exec \"$@\"", "sh"]).arg(path);
                command.stdout(Stdio::null()).env(CHANNEL_VARIABLE, "3");
                command
            }
        };
        command.args(words).args(&self.args).stdin(theirs).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", path.display()));
        let mut stderr = child.stderr.take().expect("it was asked for");
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let scratch = self.data_dir.is_none().then(Scratch::new);
        let data_dir = self.data_dir.or_else(|| scratch.as_ref().map(|scratch| scratch.path().to_owned()));
        Program {
            child,
            peer: Peer::new(ours),
            stderr: Some(stderr),
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
        // A start in which something is compiled reports so; a wait for readiness ignores that.
        program.peer.forget_progress_of(id);
        program
    }
}

impl Program {
    /// The program at `path`, usually `env!("CARGO_BIN_EXE_…")`.
    pub fn at(path: &str) -> ProgramBuilder {
        Program::of(vec![path.into()])
    }

    /// The shared library of this file name, like `libgreeter.so`, which was built together with the
    /// running test, in the runtime that the host loads it into: `module-runtime` as
    /// `$BULKHEAD_RUNTIME` names it, else as it was built in the same target folder.
    ///
    /// # Panics
    /// When one of the two is not there.
    pub fn library(name: &str) -> ProgramBuilder {
        let runtime = std::env::var_os("BULKHEAD_RUNTIME").unwrap_or_else(|| built("module-runtime").into());
        Program::of(vec![runtime, "native".into(), "--library".into(), built(name).into()])
    }

    fn of(command: Vec<OsString>) -> ProgramBuilder {
        let config = json!({}).into();
        ProgramBuilder { command, form: Form::Socket, args: Vec::new(), config, data_dir: None }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends `init` and returns its id.
    pub fn send_init(&mut self) -> u64 {
        let init = super::init("module-under-test", self.config.clone(), &self.data_dir);
        self.peer.send(RequestType::Init, Json::of(&init))
    }

    /// Sends a command and returns its answer.
    ///
    /// # Errors
    /// The error response, as JSON.
    pub fn command(&mut self, name: &str, args: Value) -> Result<Value, Value> {
        let id = self.send_command(name, args);
        self.answer(id)
    }

    /// As [`Peer::answer`], but a program that ends instead fails the test with its standard error.
    ///
    /// # Errors
    /// The error response, as JSON.
    ///
    /// # Panics
    /// When the program ends, breaks the wire or says nothing for too long.
    pub fn answer(&mut self, id: u64) -> Result<Value, Value> {
        match self.peer.answer(id) {
            Ok(answer) => answer,
            Err(end) => {
                panic!("expected the answer to {id}, found {end}; standard error: {}", self.stderr_of_the_dead())
            }
        }
    }

    /// The answer to `id`, or nothing when the program ended without one.
    pub fn try_answer(&mut self, id: u64) -> Option<Result<Value, Value>> {
        self.peer.answer(id).ok()
    }

    /// Kills the program and waits for its end. What it wrote before can still be read.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for the end of the program.
    ///
    /// # Panics
    /// When it lives on for too long.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "the program lives on");
            // There is no way to wait for a child with a deadline in std, so it polls with a short sleep.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for the end and returns the exit code, `None` after a signal, and all of standard error.
    pub fn finish(&mut self) -> (Option<i32>, String) {
        let code = self.wait().code();
        (code, self.stderr_of_the_dead())
    }

    fn stderr_of_the_dead(&mut self) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.stderr.take().map(|reader| reader.join().expect("the reader does not panic")).unwrap_or_default()
    }
}

/// What was built beside the running test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own program");
    let found = test.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("expected {name} in a folder above {}; `cargo build --workspace` makes it", test.display())
    })
}

impl Deref for Program {
    type Target = Peer;

    fn deref(&self) -> &Peer {
        &self.peer
    }
}

impl DerefMut for Program {
    fn deref_mut(&mut self) -> &mut Peer {
        &mut self.peer
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
