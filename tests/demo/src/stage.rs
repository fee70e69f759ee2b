//! The environment of the demo: the built programs, a temporary folder, a daemon. It cleans up after any end of the
//! demo.

use crate::screen::Screen;
use serde_json::Value;
use std::{
    env, fmt, fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Why the demo failed, for people.
#[derive(Debug)]
pub(crate) struct Failed(String);

impl From<String> for Failed {
    fn from(reason: String) -> Failed {
        Failed(reason)
    }
}

impl From<&str> for Failed {
    fn from(reason: &str) -> Failed {
        Failed(reason.to_owned())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fails the demo when what it shows is wrong.
pub(crate) fn expect(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(Failed(otherwise())) }
}

/// How long anything in the demo may take.
const TIMEOUT: Duration = Duration::from_secs(30);

const MODULES: [&str; 2] = ["research-log", "misbehave"];

/// The process of a module, and how many restarts it took to have it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i64,
    pub(crate) restarts: i64,
}

pub(crate) struct Stage {
    screen: Screen,
    programs: PathBuf,
    folder: PathBuf,
    daemon: Option<Child>,
}

/// The programs that are built.
const PROGRAMS: [&str; 4] = ["bulkhead", "module-runtime", "research-log", "misbehave"];

/// The packages of these programs. Nothing of the last three is needed; they are here for the features of what others
/// share with them: after a build of the workspace, nothing is compiled anew.
const PACKAGES: [&str; 8] = [
    "bulkhead",
    "bulkhead-launcher",
    "research-log",
    "misbehave",
    "bulkhead-wasm",
    "bulkhead-client-async",
    "bulkhead-load",
    "bulkhead-mcp",
];

impl Stage {
    /// Builds the programs, of which cargo shows the progress, and makes the folders.
    pub(crate) fn build(screen: Screen) -> Result<Stage, Failed> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.arg("build");
        for program in PROGRAMS {
            build.args(["--bin", program]);
        }
        for package in PACKAGES {
            build.args(["--package", package]);
        }
        let status = build.status().map_err(|error| format!("cannot run cargo: {error}"))?;
        expect(status.success(), || format!("cargo build ended with {status}"))?;

        let own = env::current_exe().map_err(|error| format!("cannot find the demo's own program: {error}"))?;
        let programs = own.parent().expect("a program is in a folder").to_owned();
        let folder = env::temp_dir().join(format!("bulkhead-demo-{}", std::process::id()));
        // It must be new and of this user alone: the name can be guessed.
        let made = fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| format!("cannot make the folder {}: {error}", folder.display()))?;
        let stage = Stage { screen, programs, folder, daemon: None };
        for module in MODULES {
            stage.install(module).map_err(|error| format!("cannot install {module}: {error}"))?;
        }
        Ok(stage)
    }

    /// A module is a folder with its manifest and its program.
    fn install(&self, module: &str) -> std::io::Result<()> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modules").join(module);
        let target = self.folder.join("modules").join(module);
        fs::create_dir_all(target.join("bin"))?;
        fs::copy(source.join("module.toml"), target.join("module.toml"))?;
        symlink(self.programs.join(module), target.join("bin").join(module))
    }

    pub(crate) fn start_daemon(&mut self) -> Result<(), Failed> {
        let log = fs::File::create(self.folder.join("daemon.log")).map_err(|error| format!("cannot log: {error}"))?;
        let mut command = self.bulkhead(&["run"]);
        // When root runs the demo, the checkout and the folders on the way there may belong to another user.
        let own = env::current_exe().map_err(|error| format!("cannot find the demo's own program: {error}"))?;
        for folder in own.ancestors() {
            let owner =
                fs::metadata(folder).map_err(|error| format!("cannot look at {}: {error}", folder.display()))?.uid();
            command.args(["--trust-user", &owner.to_string()]);
        }
        command.arg("--modules").arg(self.folder.join("modules")).arg("--state").arg(self.folder.join("state"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().map_err(|error| format!("cannot start the daemon: {error}"))?);
        let since = Instant::now();
        for module in MODULES {
            // The daemon may not have its socket yet: 125 means that it cannot be reached.
            while self.output(&["wait", module, "--for", "ready", "--timeout", "30"])?.status.code() == Some(125) {
                let daemon = self.daemon.as_mut().expect("it was started above");
                if daemon.try_wait().ok().flatten().is_some() || since.elapsed() > TIMEOUT {
                    let log = fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default();
                    return Err(format!("the daemon did not come up:\n{log}").into());
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(())
    }

    /// Kills the daemon and returns its process id.
    pub(crate) fn kill_daemon(&mut self) -> Result<u32, Failed> {
        let mut daemon = self.daemon.take().ok_or("the daemon is not running")?;
        daemon.kill().and_then(|()| daemon.wait()).map_err(|error| format!("cannot kill the daemon: {error}"))?;
        Ok(daemon.id())
    }

    pub(crate) fn stop_daemon(&mut self) -> Result<(), Failed> {
        let mut daemon = self.daemon.take().ok_or("the daemon is not running")?;
        self.signal("TERM", i64::from(daemon.id()))?;
        let status = daemon.wait().map_err(|error| format!("cannot wait for the daemon: {error}"))?;
        expect(status.success(), || format!("the daemon ended with {status}"))
    }

    /// Removes the temporary folder, and prints that.
    pub(crate) fn remove(&self) -> Result<(), Failed> {
        fs::remove_dir_all(&self.folder)
            .map_err(|error| format!("cannot remove the folder {}: {error}", self.folder.display()).into())
    }

    /// Waits until no process carries the mark that the host leaves in the environment of its modules.
    pub(crate) fn expect_no_process_left(&self) -> Result<(), Failed> {
        let since = Instant::now();
        loop {
            let left = self.marked();
            if left.is_empty() {
                return Ok(());
            }
            expect(since.elapsed() < TIMEOUT, || format!("processes are left: {left:?}"))?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn marked(&self) -> Vec<String> {
        let mark = format!("BULKHEAD_TREE={}", self.folder.join("state").display());
        let carries = |pid: &str| {
            fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|all| all.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()))
        };
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && carries(name))
            .collect()
    }

    fn bulkhead(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("bulkhead"));
        command.args(arguments).env("BULKHEAD_SOCKET", self.folder.join("s"));
        for variable in
            ["BULKHEAD_CONFIG", "BULKHEAD_RUNTIME", "BULKHEAD_WASM_RUNTIME", "BULKHEAD_MCP_RUNTIME", "NOTIFY_SOCKET"]
        {
            command.env_remove(variable);
        }
        command
    }

    fn output(&self, arguments: &[&str]) -> Result<Output, Failed> {
        self.bulkhead(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run bulkhead {}: {error}", arguments.join(" ")).into())
    }

    /// Runs the command for the audience: what was typed, and what it prints, as wide and as coloured as it is there.
    pub(crate) fn show(&self, arguments: &[&str]) -> Result<(), Failed> {
        let words = arguments.join(" ");
        self.screen.command(&format!("bulkhead {words}"));
        let status = self.bulkhead(arguments).stdin(Stdio::null()).status();
        let status = status.map_err(|error| format!("cannot run bulkhead {words}: {error}"))?;
        expect(status.success(), || format!("bulkhead {words} ended with {status}"))
    }

    pub(crate) fn wait_ready(&self, module: &str) -> Result<(), Failed> {
        let output = self.output(&["wait", module, "--for", "ready", "--timeout", "30"])?;
        expect(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The process of a module that is ready, which may report so before the daemon learns its process id.
    pub(crate) fn process(&self, module: &str) -> Result<Process, Failed> {
        let since = Instant::now();
        loop {
            let status = self.json(&["status", module, "--json"])?;
            if let (Some(pid), Some(restarts)) = (status["pid"].as_i64(), status["restarts"].as_i64()) {
                return Ok(Process { pid, restarts });
            }
            expect(since.elapsed() < TIMEOUT, || format!("expected a process of {module}, found {status}"))?;
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Runs the command and reads the JSON that it printed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value, Failed> {
        let output = self.output(arguments)?;
        expect(output.status.success(), || String::from_utf8_lossy(&output.stderr).into_owned())?;
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("bulkhead {}: no JSON: {error}", arguments.join(" ")).into())
    }

    /// Sends lines through `bulkhead pipe` and returns the answers; that one may fail is expected.
    pub(crate) fn pipe_through(&self, module: &str, lines: &[&str]) -> Result<Vec<String>, Failed> {
        let mut pipe = self.pipe(&["pipe", module])?;
        let mut input = pipe.stdin.take().expect("it was asked for");
        input
            .write_all(format!("{}\n", lines.join("\n")).as_bytes())
            .map_err(|error| format!("cannot write into the pipe: {error}"))?;
        drop(input);
        let output = pipe.wait_with_output().map_err(|error| format!("cannot read from the pipe: {error}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
    }

    pub(crate) fn pipe(&self, arguments: &[&str]) -> Result<Child, Failed> {
        self.bulkhead(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot run bulkhead pipe: {error}").into())
    }

    /// Sends a signal as a person would, with the shell's own `kill`.
    pub(crate) fn signal(&self, signal: &str, pid: i64) -> Result<(), Failed> {
        let kill = format!("kill -{signal} {pid}");
        let status =
            Command::new("sh").args(["-c", &kill]).status().map_err(|error| format!("cannot run {kill}: {error}"))?;
        expect(status.success(), || format!("{kill} ended with {status}"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            // The guardian clears the modules when the daemon is gone.
            let _ = daemon.kill();
            let _ = daemon.wait();
            let _ = self.expect_no_process_left();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
