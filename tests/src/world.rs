//! A folder with modules, a state directory and a socket, and the host that runs them. Nothing of
//! it is left when it is dropped: neither process nor file.

use crate::{
    Caller, Ended, Host, NOBODY, Survivor, copy_program, hear_signals, kill, marked, owners_of_checkout, program,
    timeout, until,
};
use bulkhead_client::Client;
use nix::sys::signal::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// One test's world.
#[derive(Debug)]
pub struct World {
    dir: PathBuf,
    /// Text that is in the environment of each process of this world, and of no other.
    mark: String,
    uid: Option<u32>,
    environment: Vec<(String, String)>,
    flags: Vec<String>,
    /// The commands of a shell before it becomes the host.
    before: Option<String>,
    host: Option<Host>,
    /// What the host reports to a service manager.
    pub notify: UnixDatagram,
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

impl World {
    /// An empty world.
    ///
    /// # Panics
    /// When the folder for temporary files cannot be written.
    pub fn new() -> World {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("bulkhead-test-{}-{number}-end", std::process::id());
        let dir = std::env::temp_dir().join(&mark);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(dir.join("modules")).expect("the folder for temporary files can be written");
        let notify = UnixDatagram::bind(dir.join("notify")).expect("a socket can be made");
        let world = World {
            dir,
            mark,
            uid: None,
            environment: Vec::new(),
            flags: Vec::new(),
            before: None,
            host: None,
            notify,
        };
        // The host's user has to get in and may make its own folders here.
        open_to_all(&world.dir);
        close_to_others(&world.path("modules"));
        open_to_all(&world.path("notify"));
        world
    }

    /// A path in this world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.path("run/control.sock")
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Adds a module, or changes it. `rest` is the manifest after the lines that every module has, so it begins with
    /// keys of `[module]`.
    ///
    /// # Panics
    /// When its folder cannot be written.
    pub fn module(&mut self, name: &str, program_name: &str, rest: &str) -> &mut World {
        let command = format!("command = [\"bin/{program_name}\"]\n{rest}");
        self.manifest(name, &format!("name = \"{name}\"\nversion = \"1.0.0\"\ntype = \"process\"\n{command}"));
        self.install(&self.path("modules").join(name).join("bin"), program_name);
        self
    }

    /// Writes the manifest of a module, with any content.
    ///
    /// # Panics
    /// When its folder cannot be written.
    pub fn manifest(&self, name: &str, module: &str) {
        let folder = self.path("modules").join(name);
        fs::create_dir_all(folder.join("bin")).expect("the world can be written");
        fs::write(folder.join("module.toml"), format!("[module]\n{module}\n")).expect("the world can be written");
        [folder.clone(), folder.join("bin"), folder.join("module.toml")].iter().for_each(|path| close_to_others(path));
    }

    /// Links a program of this workspace into a folder. Another user may not be able to reach the path where it was
    /// built, and gets a copy.
    fn install(&self, folder: &Path, name: &str) {
        let target = folder.join(name);
        if target.exists() {
            return;
        }
        fs::create_dir_all(folder).expect("the world can be written");
        close_to_others(folder);
        match self.uid {
            None => symlink(program(name), &target).unwrap_or_else(|error| panic!("cannot install {name}: {error}")),
            Some(_) => copy_program(name, &target),
        }
    }

    /// Lets everything run as an ordinary user; comes before modules are added.
    pub fn as_nobody(mut self) -> World {
        self.uid = Some(NOBODY);
        self
    }

    /// Sets a variable of the host's environment.
    pub fn env(mut self, name: &str, value: &str) -> World {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Makes a shell start the host with these commands, in which `"$@"` is the host's command line.
    pub fn through(mut self, script: &str) -> World {
        self.before = Some(script.into());
        self
    }

    /// Writes the host's file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn host_file(&mut self, text: &str) -> &mut World {
        let path = self.path("bulkhead.toml");
        fs::write(&path, text).expect("the world can be written");
        if self.flags.is_empty() {
            self.flags = vec!["--config".into(), path.display().to_string()];
        }
        self
    }

    /// The `bulkhead` command, as this world's user and for this world's socket.
    pub fn command(&self, words: &[&str]) -> Command {
        let path = match self.uid {
            None => program("bulkhead"),
            Some(_) => {
                self.install(&self.path("bin"), "bulkhead");
                self.install(&self.path("bin"), "module-runtime");
                self.path("bin/bulkhead")
            }
        };
        let mut command = Command::new(path);
        command
            .args(words)
            .args(trusting(words))
            .current_dir(&self.dir)
            .env("BULKHEAD_SOCKET", self.socket())
            .env("NO_COLOR", "1");
        command.env_remove("NOTIFY_SOCKET").env("BULKHEAD_TEST_MARK", &self.mark);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        hear_signals(&mut command);
        if let Some(uid) = self.uid {
            command.uid(uid).gid(uid);
        }
        command
    }

    /// The command that runs the daemon.
    pub fn run_command(&self) -> Command {
        self.run_command_at(&self.state(), &self.socket())
    }

    /// The command that runs a daemon in this world, but with other paths of its own.
    pub fn run_command_at(&self, state: &Path, socket: &Path) -> Command {
        let mut command = self.command(&["run"]);
        command.args(&self.flags).arg("--modules").arg(self.path("modules")).arg("--state").arg(state);
        command.arg("--socket").arg(socket).env("NOTIFY_SOCKET", self.path("notify"));
        match &self.before {
            None => command,
            Some(script) => through(script, &command),
        }
    }

    /// Runs the `bulkhead` command to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn bulkhead(&self, words: &[&str]) -> Output {
        self.command(words).output().expect("the command can be started")
    }

    /// Starts the host and waits until it is up.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(&mut self) -> &mut World {
        self.start_as(self.run_command())
    }

    /// Starts the host by another command than [`World::run_command`], and waits until it is up.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start_as(&mut self, command: Command) -> &mut World {
        let mut host = Host::start(command);
        host.wait_until_up(&self.notify);
        self.host = Some(host);
        self
    }

    /// Waits until the host reports this to the service manager; earlier reports are ignored.
    ///
    /// # Panics
    /// When it does not report so.
    pub fn wait_for_notice(&self, wanted: &str) {
        self.notify.set_read_timeout(Some(timeout())).expect("it is not zero");
        let mut buffer = [0; 256];
        loop {
            let count = self.notify.recv(&mut buffer).unwrap_or_else(|error| panic!("expected {wanted}: {error}"));
            if buffer[..count].split(|byte| *byte == b'\n').any(|line| line == wanted.as_bytes()) {
                return;
            }
        }
    }

    /// The host.
    ///
    /// # Panics
    /// When it was not started.
    pub fn host(&mut self) -> &mut Host {
        self.host.as_mut().expect("the host was started")
    }

    /// A new client of the host.
    ///
    /// # Panics
    /// When there is no host.
    pub fn client(&self) -> Caller {
        let stream = UnixStream::connect(self.socket()).unwrap_or_else(|error| panic!("cannot connect: {error}"));
        // A host that does not read must fail the test, not hang it.
        stream.set_write_timeout(Some(timeout())).expect("it is not zero");
        Caller(Client::from_stream(stream))
    }

    /// Sends the host a signal and waits for its end.
    pub fn end_host(&mut self, signal: Signal) -> Ended {
        let mut host = self.host.take().expect("the host was started");
        host.signal(signal);
        host.wait()
    }

    /// Waits for the end of the host, which something else brings about.
    pub fn wait_for_host(&mut self) -> Ended {
        self.host.take().expect("the host was started").wait()
    }

    /// The processes of this world that run.
    pub fn processes(&self) -> Vec<Survivor> {
        marked(&self.mark)
    }

    /// Waits until no process of this world is left.
    ///
    /// # Panics
    /// When some live on, naming them.
    pub fn wait_until_empty(&self) {
        let deadline = std::time::Instant::now() + timeout();
        while let survivors @ [_, ..] = &*self.processes() {
            assert!(std::time::Instant::now() < deadline, "these processes are left: {survivors:#?}");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// Stops the host like a service manager, and checks that it ends well and leaves nothing.
    ///
    /// # Panics
    /// When it does not.
    pub fn stop(&mut self) -> Ended {
        let ended = self.end_host(Signal::SIGTERM);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let survivors = self.processes();
        assert!(survivors.is_empty(), "these processes are left: {survivors:#?}");
        ended
    }
}

/// The flags for a command that reads manifests and checks programs where these are in another user's checkout.
fn trusting(words: &[&str]) -> Vec<String> {
    let (["run", ..] | ["config", "check" | "show", ..]) = words else { return Vec::new() };
    owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")).collect()
}

/// The same command, started by a shell.
fn through(script: &str, command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.host.take());
        // Processes that a failed test left are killed here, so that it does not disturb the others.
        if std::thread::panicking() {
            until("the end of everything", || {
                let left = marked(&self.mark);
                left.iter().for_each(|survivor| kill(i64::from(survivor.pid), Signal::SIGKILL));
                left.is_empty().then_some(())
            });
        } else {
            self.wait_until_empty();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Makes only the owner able to write: a host that runs as another user refuses files that this user's group may write,
/// as with a umask of 002.
pub(crate) fn close_to_others(path: &Path) {
    let mode = fs::metadata(path).expect("it was just made").permissions().mode();
    fs::set_permissions(path, Permissions::from_mode(mode & !0o022)).expect("it is this test's own");
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o1777)).expect("it is this test's own");
}
