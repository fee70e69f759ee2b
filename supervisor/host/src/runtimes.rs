//! The programs that run in a module's process when the module is no program itself: where they are,
//! and the command line of each kind. What they do with it is decided there.

use bulkhead_config::{
    Folder, Line, Loaded, ModuleConfig, ModuleKind, OnLimit, Problem, Problems, TrustError, Use, check_trust,
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// The guardian's program, which also runs libraries and filters.
const RUNTIME: &str = "module-runtime";

/// The program that runs WebAssembly.
const WASM_RUNTIME: &str = "module-runtime-wasm";

/// The program that runs MCP servers.
const MCP_RUNTIME: &str = "module-runtime-mcp";

/// The variables of the environment that name other places of the last two.
const WASM_VARIABLE: &str = "BULKHEAD_WASM_RUNTIME";
const MCP_VARIABLE: &str = "BULKHEAD_MCP_RUNTIME";

/// The paths of the programs.
#[derive(Clone, Debug)]
pub(crate) struct Runtimes {
    /// `module-runtime`, absolute.
    pub(crate) runtime: PathBuf,
    /// `module-runtime-wasm`, absolute; it need not be there while no module is WebAssembly.
    wasm: PathBuf,
    /// `module-runtime-mcp`, absolute; it need not be there while no module is an MCP server.
    mcp: PathBuf,
    /// Users whose programs may be run as well.
    trusted_users: Vec<u32>,
}

/// Says why there is no program for one of the modules, as a host would that is to start them;
/// nothing is started.
///
/// # Errors
/// Which program is missing, where it was expected, and what to do.
pub fn check_programs(loaded: &Loaded) -> Result<(), RuntimeError> {
    Runtimes::find(None, &loaded.host.trusted_users)?.check(&loaded.modules)
}

impl From<RuntimeError> for Problems {
    fn from(error: RuntimeError) -> Problems {
        Problem { file: None, position: None, message: error.to_string() }.into()
    }
}

/// Why modules cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The program that starts modules is not where it is looked for.
    #[error(
        "expected the program {RUNTIME} at {}; build it, or name another place with $BULKHEAD_RUNTIME", .0.display()
    )]
    Missing(PathBuf),
    /// A module is WebAssembly or an MCP server, and the program that runs it is not where it is looked for.
    #[error(
        "module {module} is of type \"{kind}\" and needs the program {program}: expected it at {}; build or install \
         it, or name another place with ${variable}",
        .path.display()
    )]
    OfKindMissing {
        /// The first such module.
        module: String,
        /// Its kind.
        kind: &'static str,
        /// The name of the program.
        program: &'static str,
        /// The variable that names another place.
        variable: &'static str,
        /// Where the program is looked for.
        path: PathBuf,
    },
    /// A program of this name is at a path that no argument can carry.
    #[error(
        "expected the program {} at a path in UTF-8, found {}; put it elsewhere, or name another place with \
         $BULKHEAD_RUNTIME, $BULKHEAD_WASM_RUNTIME or $BULKHEAD_MCP_RUNTIME",
        .0, .1.display()
    )]
    NotText(&'static str, PathBuf),
    /// Another user could change a program.
    #[error("the program that runs modules may not be used: {0}")]
    Untrusted(TrustError),
    /// The running program is not found, beside which the others are looked for.
    #[error("cannot tell where the running program is: {0}")]
    Unplaced(#[from] io::Error),
}

impl Runtimes {
    /// Finds the programs: `given` or what `$BULKHEAD_RUNTIME` names or `module-runtime` beside the
    /// running program, and what `$BULKHEAD_WASM_RUNTIME` names or `module-runtime-wasm` beside the
    /// other; likewise `$BULKHEAD_MCP_RUNTIME` and `module-runtime-mcp`.
    pub(crate) fn find(given: Option<PathBuf>, trusted_users: &[u32]) -> Result<Runtimes, RuntimeError> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let runtime = match given.or_else(|| variable("BULKHEAD_RUNTIME")) {
            Some(program) => program,
            None => std::env::current_exe()?.with_file_name(RUNTIME),
        };
        let runtime = std::path::absolute(runtime)?;
        if runtime.to_str().is_none() {
            return Err(RuntimeError::NotText(RUNTIME, runtime));
        }
        if !runtime.is_file() {
            return Err(RuntimeError::Missing(runtime));
        }
        check_trust_beside(&std::env::current_exe()?, &runtime, trusted_users)?;
        let beside = |name: &str, program: &str| {
            std::path::absolute(variable(name).unwrap_or_else(|| runtime.with_file_name(program)))
        };
        let (wasm, mcp) = (beside(WASM_VARIABLE, WASM_RUNTIME)?, beside(MCP_VARIABLE, MCP_RUNTIME)?);
        Ok(Runtimes { runtime, wasm, mcp, trusted_users: trusted_users.to_vec() })
    }

    /// Whether there is a program for each of `modules`.
    pub(crate) fn check(&self, modules: &[ModuleConfig]) -> Result<(), RuntimeError> {
        let is_wasm = |module: &&ModuleConfig| matches!(module.kind, ModuleKind::Wasm { .. });
        let is_mcp = |module: &&ModuleConfig| matches!(module.kind, ModuleKind::Mcp { .. });
        self.check_for(modules.iter().find(is_wasm), &self.wasm, WASM_RUNTIME, WASM_VARIABLE)?;
        self.check_for(modules.iter().find(is_mcp), &self.mcp, MCP_RUNTIME, MCP_VARIABLE)
    }

    /// Whether a program that only some modules need is there, if there is such a module.
    fn check_for(
        &self,
        module: Option<&ModuleConfig>,
        path: &Path,
        program: &'static str,
        variable: &'static str,
    ) -> Result<(), RuntimeError> {
        let Some(module) = module else { return Ok(()) };
        if !path.is_file() {
            let (module, kind, path) = (module.name.to_string(), module.kind.name(), path.to_owned());
            return Err(RuntimeError::OfKindMissing { module, kind, program, variable, path });
        }
        if path.to_str().is_none() {
            return Err(RuntimeError::NotText(program, path.to_owned()));
        }
        check_trust_beside(&std::env::current_exe()?, path, &self.trusted_users)
    }

    /// Sets aside the modules for which there is no program.
    pub(crate) fn sift(&self, loaded: &mut Loaded) {
        loaded.set_aside(|module| self.check(std::slice::from_ref(module)).err().map(Problems::from));
    }

    /// The program of a module's process and its arguments. `cache` is the folder of compiled
    /// WebAssembly.
    pub(crate) fn command_line(&self, config: &ModuleConfig, cache: &Path) -> Vec<String> {
        match &config.kind {
            ModuleKind::Process { command, program, .. } => {
                [text(program)].into_iter().chain(command.iter().skip(1).cloned()).collect()
            }
            ModuleKind::Native { library, .. } => {
                vec![text(&self.runtime), "native".into(), "--library".into(), text(library)]
            }
            ModuleKind::Filter { command, program, per_message, line } => {
                let line = match line {
                    Line::Args => "args",
                    Line::Message => "message",
                };
                let mut argv = vec![text(&self.runtime), "filter".into(), "--line".into(), line.into()];
                argv.extend(per_message.then(|| "--per-message".into()));
                argv.extend(["--".into(), text(program)]);
                argv.extend(command.iter().skip(1).cloned());
                argv
            }
            ModuleKind::Mcp { command, program } => {
                let mut argv = vec![text(&self.mcp), "run".into(), "--".into(), text(program)];
                argv.extend(command.iter().skip(1).cloned());
                argv
            }
            ModuleKind::Wasm { module, .. } => {
                let mut argv = vec![text(&self.wasm), "run".into()];
                argv.extend(["--module".into(), text(module), "--cache".into(), text(cache)]);
                argv.extend(wasm_flags(config));
                argv
            }
        }
    }
}

/// Checks that no other user can change `program`, if none can change the one that `running` is: a user who can
/// change that one needs no other, and a checkout of an ordinary user may be run by root.
fn check_trust_beside(running: &Path, program: &Path, trusted: &[u32]) -> Result<(), RuntimeError> {
    match check_trust(running, Use::Itself, trusted) {
        // A program that was replaced since has no path any more, so it is unknown who could change it.
        Err(_) if running.exists() => Ok(()),
        Ok(()) | Err(_) => check_trust(program, Use::Itself, trusted).map_err(RuntimeError::Untrusted),
    }
}

/// What a WebAssembly module may use and see.
fn wasm_flags(config: &ModuleConfig) -> Vec<String> {
    let ModuleKind::Wasm { on_limit, wasi, .. } = &config.kind else { return Vec::new() };
    let mut flags = Vec::new();
    let mut flag = |name: &str, value: String| flags.extend([name.to_owned(), value]);
    if let Some(bytes) = config.resources.memory_limit {
        flag("--memory-limit", bytes.to_string());
    }
    if let Some(limit) = config.resources.cpu_time_limit {
        flag("--cpu-time-limit-ms", limit.as_millis().to_string());
    }
    let on_limit = match on_limit {
        OnLimit::Restart => "restart",
        OnLimit::Continue => "continue",
    };
    flag("--on-limit", on_limit.into());
    // Neither has a '=', which the configuration ensures.
    let grant = |folder: &Folder| format!("{}={}", text(&folder.path), folder.name);
    for folder in &wasi.read {
        flag("--read", grant(folder));
    }
    for folder in &wasi.write {
        flag("--write", grant(folder));
    }
    flags.extend(wasi.data_dir.then(|| "--data-dir".into()));
    flags
}

/// A path as an argument. One that is not UTF-8 cannot be passed on; it becomes a path that does not exist.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_config::{OnPanic, Wasi};
    use std::time::Duration;

    fn runtimes() -> Runtimes {
        Runtimes {
            runtime: "/x/module-runtime".into(),
            wasm: "/x/module-runtime-wasm".into(),
            mcp: "/x/module-runtime-mcp".into(),
            trusted_users: Vec::new(),
        }
    }

    fn config(kind: ModuleKind) -> ModuleConfig {
        let mut config = ModuleConfig::process("a", ["/bin/sh"]).unwrap();
        config.kind = kind;
        config
    }

    fn wasm(wasi: Wasi, on_limit: OnLimit) -> ModuleConfig {
        let (module, on_panic, compile_timeout) = ("/m/a.wasm".into(), OnPanic::Restart, Duration::from_secs(7));
        config(ModuleKind::Wasm { module, on_panic, on_limit, wasi, compile_timeout })
    }

    fn command_line(config: &ModuleConfig) -> String {
        runtimes().command_line(config, Path::new("/s/cache/wasm")).join(" ")
    }

    #[test]
    fn a_process_runs_its_own_program() {
        let mut process = ModuleConfig::process("a", ["sh", "-c", "true"]).unwrap();
        let ModuleKind::Process { program, .. } = &mut process.kind else { panic!("it is a process") };
        *program = "/bin/sh".into();
        assert_eq!(command_line(&process), "/bin/sh -c true");
    }

    #[test]
    fn a_library_and_a_filter_are_run_by_the_runtime() {
        let native = config(ModuleKind::Native { library: "/m/a.so".into(), on_panic: OnPanic::Continue });
        assert_eq!(command_line(&native), "/x/module-runtime native --library /m/a.so");
        let filter = |per_message, line| {
            let command = ["jq", "-c", "--per-message"].map(str::to_owned).into();
            config(ModuleKind::Filter { command, program: "/bin/jq".into(), per_message, line })
        };
        let found = command_line(&filter(false, Line::Args));
        assert_eq!(found, "/x/module-runtime filter --line args -- /bin/jq -c --per-message");
        let found = command_line(&filter(true, Line::Message));
        assert_eq!(found, "/x/module-runtime filter --line message --per-message -- /bin/jq -c --per-message");
        let command = ["server", "--", "run"].map(str::to_owned).into();
        let mcp = config(ModuleKind::Mcp { command, program: "/bin/server".into() });
        assert_eq!(command_line(&mcp), "/x/module-runtime-mcp run -- /bin/server -- run");
    }

    #[test]
    fn webassembly_gets_its_limits_and_its_grants_and_nothing_that_is_not_granted() {
        let start = "/x/module-runtime-wasm run --module /m/a.wasm --cache /s/cache/wasm";
        let found = command_line(&wasm(Wasi::default(), OnLimit::Restart));
        assert_eq!(found, format!("{start} --on-limit restart"));

        let folder = |name: &str, path: &str| Folder { name: name.into(), path: path.into() };
        let wasi = Wasi { data_dir: true, read: vec![folder("in", "/m/in")], write: vec![folder("/tmp", "/tmp")] };
        let mut granted = wasm(wasi, OnLimit::Continue);
        granted.resources.memory_limit = Some(64_000_000);
        granted.resources.cpu_time_limit = Some(Duration::from_millis(100));
        // A command line is visible to all users.
        granted.env.insert("SECRET".into(), "1".into());
        let flags = "--memory-limit 64000000 --cpu-time-limit-ms 100 --on-limit continue --read /m/in=in \
            --write /tmp=/tmp --data-dir";
        assert_eq!(command_line(&granted), format!("{start} {flags}"));
    }

    #[test]
    fn a_missing_program_of_a_kind_matters_only_to_that_kind() {
        let process = ModuleConfig::process("a", ["/bin/sh"]).unwrap();
        assert!(runtimes().check(std::slice::from_ref(&process)).is_ok());
        let mcp = config(ModuleKind::Mcp { command: vec!["a".into()], program: "/bin/a".into() });
        let error = runtimes().check(&[process.clone(), mcp]).unwrap_err().to_string();
        let expected = "module a is of type \"mcp\" and needs the program module-runtime-mcp: expected it at \
            /x/module-runtime-mcp; build or install it, or name another place with $BULKHEAD_MCP_RUNTIME";
        assert_eq!(error, expected);
        let error = runtimes().check(&[process, wasm(Wasi::default(), OnLimit::Restart)]).unwrap_err().to_string();
        let expected = "module a is of type \"wasm\" and needs the program module-runtime-wasm: expected it at \
            /x/module-runtime-wasm; build or install it, or name another place with $BULKHEAD_WASM_RUNTIME";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_runtime_that_others_may_write_is_refused_unless_they_may_write_the_running_program_as_well() {
        use std::{fs, os::unix::fs::PermissionsExt};
        let folder = crate::scratch::Scratch::new("runtimes");
        let file = |name: &str, mode: u32| {
            fs::write(folder.join(name), "").unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
            folder.join(name)
        };
        let (safe, open) = (file("safe", 0o755), file("open", 0o757));
        let error = check_trust_beside(&safe, &open, &[]).unwrap_err().to_string();
        assert!(error.starts_with("the program that runs modules may not be used: "), "{error}");
        assert!(error.ends_with(&format!("chmod 755 {}", open.display())), "{error}");
        for (running, program) in [(&safe, &safe), (&open, &open), (&open, &safe)] {
            assert!(check_trust_beside(running, program, &[]).is_ok());
        }
    }
}
