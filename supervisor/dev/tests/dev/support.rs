//! What the tests share: folders of modules, and the program as it runs on them.

use bulkhead_client::Client;
use bulkhead_protocol::Json;
use bulkhead_tests::{owners_of_checkout, program, timeout, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// A folder of modules, which is gone with this value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bulkhead-dev-test-{}-{number}", std::process::id()));
        make_folder(&path);
        Folder(path)
    }

    /// Adds a module in Python that answers with its version. `rest` comes after `[module]` and its first keys.
    pub(crate) fn module(&self, name: &str, rest: &str) -> &Folder {
        let folder = self.path(name);
        make_folder(&folder);
        let module = "transport = \"stdio\"\ncommand = [\"python3\", \"main.py\"]";
        write(&folder.join("module.toml"), &format!("[module]\nname = \"{name}\"\n{module}\n{rest}"));
        self.save(name, "one");
        self
    }

    /// Saves a version of the module.
    pub(crate) fn save(&self, name: &str, version: &str) {
        let text = include_str!("module.py").replace("@VERSION@", version);
        write(&self.path(name).join("main.py"), &text);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn make_folder(path: &Path) {
    next_tick();
    fs::create_dir_all(path).expect("the folder for temporary files can be written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it was just made");
}

/// Waits for the next tick of the clock that files are stamped with, so that a save after a reload has a later stamp.
fn next_tick() {
    let tick = || nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME_COARSE).expect("Linux has it");
    let now = tick();
    until("the next tick", || (tick() != now).then_some(()));
}

/// Writes a file as an editor does that replaces it.
pub(crate) fn write(path: &Path, text: &str) {
    next_tick();
    let new = path.with_extension("new~");
    fs::write(&new, text).expect("the folder can be written");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).expect("it was just made");
    fs::rename(&new, path).expect("it was just made");
}

/// The program as it runs. Dropping it kills it.
pub(crate) struct Dev {
    pub(crate) child: Child,
    lines: Receiver<String>,
    /// All that was read, for messages.
    seen: Vec<String>,
}

impl Dev {
    /// Starts it in the folder, with the owners of the checkout trusted.
    pub(crate) fn start(folder: &Folder, words: &[&str]) -> Dev {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-dev"));
        command.current_dir(&folder.0).args(words).env("BULKHEAD_RUNTIME", program("module-runtime"));
        if !words.contains(&"--join") {
            command.args(owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")));
        }
        Dev::of(command)
    }

    pub(crate) fn of(mut command: Command) -> Dev {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("it was asked for"));
        let stderr = BufReader::new(child.stderr.take().expect("it was asked for"));
        let errors = sender.clone();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| errors.send(line)));
        Dev { child, lines, seen: Vec::new() }
    }

    /// Waits for a line with this text, and returns it.
    pub(crate) fn until(&mut self, text: &str) -> String {
        let until = Instant::now() + timeout();
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(text) {
                        return line;
                    }
                }
                Err(_) => panic!("waited in vain for {text:?} after\n{}", self.seen.join("\n")),
            }
        }
    }

    /// Waits for a line with this text unless it was read already: what a module prints and what is said of it have no
    /// order.
    pub(crate) fn until_seen(&mut self, text: &str) {
        if self.count(text) == 0 {
            self.until(text);
        }
    }

    /// All lines up to now that were read.
    pub(crate) fn seen(&self) -> &[String] {
        &self.seen
    }

    /// How often a text was seen.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.seen.iter().filter(|line| line.contains(text)).count()
    }

    /// A client of the private host, once it has said where that is.
    pub(crate) fn client(&mut self) -> Client {
        let line = self.until("a private host runs; ");
        let socket = line.split("--socket ").nth(1).and_then(|rest| rest.split(' ').next()).expect("it has a path");
        Client::connect(Path::new(socket)).expect("the private host listens")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("it is a process id"));
        kill(pid, signal).expect("it was not waited for");
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the end of the program", || self.child.try_wait().expect("a child can be waited for"))
    }

    /// What is left of its lines, after its end.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        self.lines.iter().collect()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(mut pipe) = self.child.stdout.take() {
            let _ = pipe.read_to_end(&mut Vec::new());
        }
    }
}

/// The version that a module answers with.
pub(crate) fn version(client: &mut Client, module: &str) -> Value {
    let data = client.call(module, "version", Json::null(), Some(timeout())).expect("it answers");
    data.read::<Value>().expect("it is JSON")["version"].clone()
}

/// The status of a module.
pub(crate) fn status(client: &mut Client, module: &str) -> Value {
    let args = Json::of(&json!({ "name": module }));
    client.call("supervisor", "status", args, Some(timeout())).expect("it answers").read().expect("it is JSON")
}
