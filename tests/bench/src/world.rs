//! A host in a process of its own with modules to talk to, and a relay to compare it with. Both end when they are
//! dropped, and when this program ends in any way.

use crate::caller::Caller;
use crate::parts::{self, RELAY_OF_MANY, RUN};
use crate::programs::Programs;
use crate::{Failed, bare, frames, processes};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a host may take to listen, and to end.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A restart at once after every crash, so that the crash is measured and not the wait.
const RESTART: &str = r#"
[restart]
at_once_after = "0s"
delay_initial = "1ms"
delay_max = "1ms"
reset_after = "0s"
breaker_failures = 1000
breaker_window = "1s"
"#;

/// A module of a host that is to be started.
#[derive(Clone, Debug)]
pub struct Module {
    name: String,
    manifest: String,
}

impl Module {
    /// A module that is a process, started with these arguments.
    ///
    /// # Errors
    /// When the arguments are not UTF-8.
    pub fn new(name: &str, words: &[String]) -> Result<Module, Failed> {
        Ok(Module::of(name, &command(words)?))
    }

    /// A module whose manifest has this under `[module]`, besides its name.
    pub fn of(name: &str, manifest: &str) -> Module {
        Module { name: name.to_owned(), manifest: manifest.to_owned() }
    }

    /// The same module with one more line under `[module]`.
    pub fn with(mut self, line: &str) -> Module {
        self.manifest = format!("{}\n{line}", self.manifest);
        self
    }

    /// The same module with this line under `[capabilities]`; no line under `[module]` can follow.
    pub fn allow(mut self, line: &str) -> Module {
        self.manifest = format!("{}\n[capabilities]\n{line}", self.manifest);
        self
    }
}

/// A running host and its folder.
#[derive(Debug)]
pub struct World {
    folder: PathBuf,
    host: Child,
    began: Instant,
}

impl World {
    /// Starts a host with the modules `echo` (the bare one) and `test-minimal`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(programs: &Programs) -> Result<World, Failed> {
        let minimal = [programs.path("test-minimal").display().to_string()];
        let modules = [Module::new("echo", &bare::echo_words()?)?, Module::new("test-minimal", &minimal)?];
        let world = World::with_modules(programs, &modules)?;
        let mut caller = world.caller()?;
        for module in ["echo", "test-minimal"] {
            // A request to a module that is starting waits with it.
            caller.call(&frames::command(module, if module == "echo" { "echo" } else { "ping" }))?;
        }
        Ok(world)
    }

    /// Starts a host with these modules, and waits for nothing.
    ///
    /// # Errors
    /// When it does not start.
    pub fn with_modules(programs: &Programs, modules: &[Module]) -> Result<World, Failed> {
        World::with_modules_in(&std::env::temp_dir(), programs, modules)
    }

    /// The same, with its folder below this one.
    ///
    /// # Errors
    /// When it does not start.
    pub fn with_modules_in(below: &Path, programs: &Programs, modules: &[Module]) -> Result<World, Failed> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = below.join(format!("bulkhead-bench-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("modules"))?;
        for Module { name, manifest } in modules {
            let folder = folder.join("modules").join(name);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("module.toml"), format!("[module]\nname = \"{name}\"\n{manifest}\n{RESTART}"))?;
        }
        let config = folder.join("bulkhead.toml");
        fs::write(
            &config,
            "[host]\nmodules = [\"modules\"]\nlog_level = \"error\"\n[restarts]\nper_second = 1000\nburst = 10000\n",
        )?;
        let began = Instant::now();
        // As a parent would: the host is killed when this program ends, and its guardian follows it.
        let host = parts::part(RUN)?
            .arg(programs.path("bulkhead"))
            .arg("run")
            .args(programs.owners()?.iter().map(|owner| format!("--trust-user={owner}")))
            .args(["--config".as_ref(), config.as_os_str()])
            .args(["--state".as_ref(), folder.join("state").as_os_str()])
            .args(["--socket".as_ref(), folder.join("socket").as_os_str()])
            .stdin(Stdio::null())
            .spawn()?;
        Ok(World { folder, host, began })
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }

    /// A folder that is removed with the world.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A new connection; waits until the host listens.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn caller(&self) -> Result<Caller, Failed> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match UnixStream::connect(self.socket()) {
                Ok(stream) => return Caller::new(stream),
                Err(error) if Instant::now() > deadline => return Err(error.into()),
                Err(_) => std::thread::sleep(Duration::from_micros(500)),
            }
        }
    }

    /// When the host's process was started.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Asks the host to end, and waits until it has.
    ///
    /// # Errors
    /// When it cannot be asked, or has not ended in time.
    pub fn stop(&mut self) -> Result<(), Failed> {
        kill(Pid::from_raw(self.host.id().cast_signed()), Signal::SIGTERM)?;
        let deadline = Instant::now() + TIMEOUT;
        while self.host.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(format!("the host has not ended after {TIMEOUT:?}").into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The host's process.
    pub fn host_id(&self) -> u32 {
        self.host.id()
    }

    /// The guardian's process.
    ///
    /// # Errors
    /// When there is none.
    pub fn guardian_id(&self) -> Result<u32, Failed> {
        Ok(*processes::children(self.host.id())?.first().ok_or("expected the host to have a guardian")?)
    }

    /// Resident memory of the host and of its guardian in KiB.
    ///
    /// # Errors
    /// When the host is gone.
    pub fn memory_kib(&self) -> Result<(u64, u64), Failed> {
        Ok((resident_kib(self.host_id())?, resident_kib(self.guardian_id()?)?))
    }
}

/// The line of a manifest that sets how a process is started.
///
/// # Errors
/// When the arguments are not UTF-8.
pub fn command(words: &[String]) -> Result<String, Failed> {
    Ok(format!("command = {}", serde_json::to_string(words)?))
}

/// Resident memory of a process in KiB.
///
/// # Errors
/// When it is gone.
pub fn resident_kib(process: u32) -> Result<u64, Failed> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("expected VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

impl Drop for World {
    fn drop(&mut self) {
        // On a request to end, it stops its modules; a host that does not is killed, and its guardian kills them.
        let host = Pid::from_raw(self.host.id().cast_signed());
        let _ = kill(host, Signal::SIGTERM);
        let deadline = Instant::now() + TIMEOUT;
        while matches!(self.host.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.host.kill();
                let _ = self.host.wait();
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A relay between a module and a caller.
#[derive(Debug)]
pub struct Relay {
    /// The caller's end.
    pub caller: Caller,
    processes: [Child; 2],
}

impl Relay {
    /// Starts the relay that is called `part` before a module that is started by `module`.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(part: &str, mut module: Command) -> Result<Relay, Failed> {
        let (caller, relay_front) = UnixStream::pair()?;
        let (relay_back, module_end) = UnixStream::pair()?;
        let module_out = module_end.try_clone()?;
        let module = module.stdin(OwnedFd::from(module_end)).stdout(OwnedFd::from(module_out)).spawn()?;
        let relay = parts::part(part)?.stdin(OwnedFd::from(relay_front)).stdout(OwnedFd::from(relay_back)).spawn()?;
        let mut relay = Relay { caller: Caller::new(caller)?, processes: [relay, module] };
        relay.caller.call(&frames::init())?;
        Ok(relay)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A relay between many callers and a module.
#[derive(Debug)]
pub struct RelayOfMany {
    folder: PathBuf,
    processes: [Child; 2],
}

impl RelayOfMany {
    /// Starts the relay before a module that is started by `module`.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(mut module: Command) -> Result<RelayOfMany, Failed> {
        let folder = std::env::temp_dir().join(format!("bulkhead-bench-relay-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let _ = fs::remove_file(folder.join("socket"));
        let listener = UnixListener::bind(folder.join("socket"))?;
        let (relay_back, module_end) = UnixStream::pair()?;
        let module_out = module_end.try_clone()?;
        let module = module.stdin(OwnedFd::from(module_end)).stdout(OwnedFd::from(module_out)).spawn()?;
        let relay =
            parts::part(RELAY_OF_MANY)?.stdin(OwnedFd::from(listener)).stdout(OwnedFd::from(relay_back)).spawn()?;
        Ok(RelayOfMany { folder, processes: [relay, module] })
    }

    /// Where callers connect.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }
}

impl Drop for RelayOfMany {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
