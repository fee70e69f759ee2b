//! The two commands that run a new module and call it, for the daemon that runs or for one that has to be started. They
//! work from any folder. Nothing is started or changed here.

use crate::template::Build;
use bulkhead_client::{Client, ConnectError};
use bulkhead_command_line::{SOCKET, SocketOrigin, shell_word, socket_origin};
use bulkhead_config::{Flags, HostConfig, Use, check_trust};
use bulkhead_protocol::Json;
use serde::Deserialize;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A daemon answers at once, or is busy with something that this program need not wait for.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What to type next.
#[derive(Debug, Default)]
pub(crate) struct Next {
    /// What the user could not expect, as sentences.
    pub(crate) notes: Vec<String>,
    pub(crate) commands: Vec<String>,
}

/// How a module comes into a daemon.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// The daemon reads the folder already.
    There { runs: bool },
    /// By a link in a folder of modules.
    Link { modules: PathBuf, runs: bool },
    /// A daemon of its own, and why.
    Own { why: String },
}

/// What the commands say of the daemon's socket.
#[derive(Debug)]
enum SocketChoice {
    /// They are typed where this program was, with the same environment and defaults.
    AsHere,
    /// `--socket` named it, so they say it again.
    Option(PathBuf),
}

/// What is known of a daemon, or of the one that would be started.
#[derive(Debug)]
struct Daemon {
    runs: bool,
    /// The folders that it reads modules from.
    folders: Vec<PathBuf>,
    /// The names of its modules.
    names: Vec<String>,
}

impl Next {
    /// Looks at the daemon and the default folders. `call` has the words of the first call after the module's name.
    pub(crate) fn find(name: &str, folder: &Path, build: Option<Build>, call: Option<&str>) -> Next {
        let way = match daemon() {
            Ok(daemon) => choose(name, folder, &daemon, |path| path.symlink_metadata().is_ok()),
            Err(why) => Way::Own { why },
        };
        let mut next = Next::default();
        if let Err(error) = check_trust(folder, Use::Content, &[]) {
            next.notes.push(format!("The daemon will refuse this folder: {error}"));
        }
        if let Way::Own { why } = &way {
            next.notes
                .push(format!("{why}. So the commands below start a daemon of its own, with its state in the folder."));
        }
        let socket = own_socket(folder);
        if let (Way::Own { .. }, length @ 108..) = (&way, socket.as_os_str().len()) {
            next.notes.push(format!(
                "That daemon's socket would have a path of {length} bytes, more than the 107 that Linux takes: move the folder \
                 to a shorter path first."
            ));
        }
        let socket = SocketChoice::find();
        next.commands = commands(name, folder, &way, &program(), build, call, &socket);
        next
    }
}

impl SocketChoice {
    fn find() -> SocketChoice {
        match (socket_origin(), env::var_os(SOCKET)) {
            // One that cannot be absolute has reached no daemon either.
            (SocketOrigin::Option, Some(path)) => {
                SocketChoice::Option(std::path::absolute(&path).unwrap_or_else(|_| path.into()))
            }
            _ => SocketChoice::AsHere,
        }
    }

    /// The words for a command, with the blank before them.
    fn words(&self) -> String {
        match self {
            SocketChoice::AsHere => String::new(),
            SocketChoice::Option(path) => format!(" --socket {}", quoted_path(path)),
        }
    }
}

/// The daemon that answers, or what a new one would read.
fn daemon() -> Result<Daemon, String> {
    let said = |problems: bulkhead_config::Problems| {
        problems.iter().next().map_or_else(String::new, |problem| problem.to_string())
    };
    let socket = HostConfig::socket_for(None).map_err(said)?;
    match Client::connect(&socket) {
        Ok(mut client) => {
            let answer = client.call("supervisor", "status", Json::null(), Some(TIMEOUT));
            let answer =
                answer.map_err(|error| format!("the daemon at {} does not answer: {error}", socket.display()))?;
            let status: Status =
                answer.read().map_err(|error| format!("the daemon's status is not understood: {error}"))?;
            let folders = status.host.module_folders;
            Ok(Daemon { runs: true, folders, names: status.modules.into_iter().map(|module| module.name).collect() })
        }
        Err(ConnectError::Missing(_) | ConnectError::NotListening(_)) => {
            let loaded = HostConfig::load(Flags::default()).map_err(said)?;
            let names = loaded.modules.iter().map(|module| module.name.as_str().to_owned()).collect();
            Ok(Daemon { runs: false, folders: loaded.host.modules, names })
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The parts of the daemon's status that matter here.
#[derive(Deserialize)]
struct Status {
    host: Host,
    modules: Vec<Module>,
}

#[derive(Deserialize)]
struct Host {
    /// A daemon of an earlier version does not say.
    #[serde(default)]
    module_folders: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Module {
    name: String,
}

/// How this module comes into this daemon. `is_there` looks at the file system.
fn choose(name: &str, folder: &Path, daemon: &Daemon, is_there: impl Fn(&Path) -> bool) -> Way {
    let runs = daemon.runs;
    let same = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let reads = |modules: &PathBuf| {
        let modules = same(modules);
        folder == modules || (folder.parent() == Some(&modules) && !is_there(&modules.join("module.toml")))
    };
    if daemon.names.iter().any(|known| known == name) {
        let subject = if runs { "The daemon that runs has" } else { "The daemon's folders have" };
        return Way::Own { why: format!("{subject} a module {name} already, and loads no two of one name") };
    }
    if daemon.folders.iter().any(reads) {
        return Way::There { runs };
    }
    let Some(modules) = daemon.folders.iter().find(|modules| !is_there(&modules.join("module.toml"))) else {
        let subject = if runs { "The daemon that runs" } else { "The daemon" };
        return Way::Own { why: format!("{subject} reads no folder of modules that the module could be put in") };
    };
    if is_there(&modules.join(name)) {
        return Way::Own { why: format!("{} is there already", modules.join(name).display()) };
    }
    Way::Link { modules: modules.clone(), runs }
}

/// The lines to type: how it comes to run, and the first call.
fn commands(
    name: &str,
    folder: &Path,
    way: &Way,
    bulkhead: &str,
    build: Option<Build>,
    call: Option<&str>,
    socket: &SocketChoice,
) -> Vec<String> {
    let socket = socket.words();
    let mut steps: Vec<String> = build.map(|build| build.command(folder, quoted_path)).into_iter().collect();
    let (runs, socket) = match way {
        Way::There { runs } => (*runs, socket),
        Way::Link { modules, runs } => {
            if !modules.is_dir() {
                steps.push(format!("mkdir -p {}", quoted_path(modules)));
            }
            // With the name: a folder may be called otherwise than its module.
            steps.push(format!("ln -s {} {}", quoted_path(folder), quoted_path(&modules.join(name))));
            (*runs, socket)
        }
        Way::Own { .. } => (false, format!(" --socket {}", quoted_path(&own_socket(folder)))),
    };
    let started = match way {
        Way::Own { .. } => format!(
            "{bulkhead} run --modules {} --state {}{socket} &",
            quoted_path(folder),
            quoted_path(&folder.join("state"))
        ),
        _ if runs => format!("{bulkhead} reload{socket} {name}"),
        _ => format!("{bulkhead} run{socket} &"),
    };
    let first = match (steps.is_empty(), runs) {
        (true, _) => started,
        (false, true) => format!("{} && {started}", steps.join(" && ")),
        // All but the daemon in the foreground.
        (false, false) => format!("{} && {{ {started} }}", steps.join(" && ")),
    };
    let called = call.map_or(String::new(), |call| format!(" {call}"));
    let call = format!("{bulkhead} call{socket} {name}{called}");
    let second = match runs {
        true => call,
        false => format!("{bulkhead} wait{socket} {name} --for ready && {call}"),
    };
    vec![first, second]
}

/// The socket of a daemon of the module's own.
fn own_socket(folder: &Path) -> PathBuf {
    folder.join("state/control.sock")
}

/// How the command `bulkhead` is called: by its name, if the shell finds the one beside this program by it.
fn program() -> String {
    let own = env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(|folder| folder.join("bulkhead"));
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join("bulkhead")).find(|path| path.is_file());
    let same = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
    match (beside.filter(|path| path.is_file()), found) {
        (Some(beside), Some(found)) if same(&beside, &found) => "bulkhead".to_owned(),
        (Some(beside), _) => quoted_path(&beside),
        (None, _) => "bulkhead".to_owned(),
    }
}

/// A path as one word for a shell.
fn quoted_path(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(runs: bool, folders: &[&str], names: &[&str]) -> Daemon {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Daemon { runs, folders: folders.iter().map(PathBuf::from).collect(), names }
    }

    fn chosen(daemon: &Daemon, there: &[&str]) -> Way {
        choose("a", Path::new("/no-such/work/a"), daemon, |path| there.iter().any(|it| Path::new(it) == path))
    }

    fn typed(way: &Way) -> Vec<String> {
        typed_with(way, &SocketChoice::AsHere)
    }

    fn typed_with(way: &Way, socket: &SocketChoice) -> Vec<String> {
        commands("a", Path::new("/no-such/my work/a"), way, "bulkhead", None, Some("greet name=Ada"), socket)
    }

    #[test]
    fn a_socket_that_an_option_named_is_in_each_command_unless_the_daemon_is_the_modules_own() {
        let socket = SocketChoice::Option("/s s".into());
        assert_eq!(
            typed_with(&Way::There { runs: true }, &socket),
            ["bulkhead reload --socket '/s s' a", "bulkhead call --socket '/s s' a greet name=Ada"]
        );
        assert_eq!(
            typed_with(&Way::There { runs: false }, &socket),
            [
                "bulkhead run --socket '/s s' &",
                "bulkhead wait --socket '/s s' a --for ready && bulkhead call --socket '/s s' a greet name=Ada"
            ]
        );
        let own = Way::Own { why: String::new() };
        assert_eq!(typed_with(&own, &socket), typed(&own));
    }

    #[test]
    fn a_daemon_that_runs_gets_a_link_in_its_first_folder_of_modules() {
        let way = chosen(&daemon(true, &["/m/single", "/m/all"], &["b"]), &["/m/single/module.toml"]);
        assert_eq!(way, Way::Link { modules: "/m/all".into(), runs: true });
        assert_eq!(
            typed(&way),
            [
                "mkdir -p /m/all && ln -s '/no-such/my work/a' /m/all/a && bulkhead reload a",
                "bulkhead call a greet name=Ada"
            ]
        );
    }

    #[test]
    fn a_folder_that_is_read_already_needs_no_link() {
        for folders in [["/no-such/work"], ["/no-such/work/a"]] {
            assert_eq!(chosen(&daemon(true, &folders, &[]), &[]), Way::There { runs: true });
        }
        // That folder is itself a module, and no other below it is read.
        let way = chosen(&daemon(true, &["/no-such/work"], &[]), &["/no-such/work/module.toml"]);
        assert!(matches!(way, Way::Own { .. }), "{way:?}");
        assert_eq!(typed(&Way::There { runs: true }), ["bulkhead reload a", "bulkhead call a greet name=Ada"]);
        assert_eq!(
            typed(&Way::There { runs: false }),
            ["bulkhead run &", "bulkhead wait a --for ready && bulkhead call a greet name=Ada"]
        );
    }

    #[test]
    fn a_name_or_a_path_that_is_taken_gets_a_daemon_of_its_own_with_the_reason() {
        for (daemon, there, reason) in [
            (daemon(true, &["/m"], &["a"]), &[] as &[&str], "has a module a already"),
            (daemon(false, &["/m"], &["a"]), &[], "The daemon's folders have a module a already"),
            (daemon(true, &["/m"], &[]), &["/m/a"], "/m/a is there already"),
            (daemon(true, &[], &[]), &[], "reads no folder of modules"),
        ] {
            let Way::Own { why } = chosen(&daemon, there) else { panic!("{daemon:?}") };
            assert!(why.contains(reason), "{why}");
        }
        assert_eq!(
            typed(&Way::Own { why: String::new() }),
            [
                "bulkhead run --modules '/no-such/my work/a' --state '/no-such/my work/a/state' --socket \
                 '/no-such/my work/a/state/control.sock' &",
                "bulkhead wait --socket '/no-such/my work/a/state/control.sock' a --for ready && bulkhead call --socket \
                 '/no-such/my work/a/state/control.sock' a greet name=Ada"
            ]
        );
    }

    #[test]
    fn a_path_is_one_word_whatever_it_has() {
        assert_eq!(quoted_path(Path::new("/a/b-1.2")), "/a/b-1.2");
        assert_eq!(quoted_path(Path::new("/it's $HOME")), "'/it'\\''s $HOME'");
    }
}
