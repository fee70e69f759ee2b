//! What to type next, for the user's shell: where it does not find the program, the socket or the completions by
//! itself, the lines for that come first. Where a daemon runs already, the text says how that gets the new version.

use super::content::find_in_path;
use super::places::{Places, Shell, User};
use crate::running::{self, Daemon, quoted};
use std::env;
use std::path::{Path, PathBuf};

/// The parts of a shell and its environment that decide what has to be typed.
struct Setting {
    /// The file name of `$SHELL`.
    shell: String,
    /// What the shell runs for `bulkhead`.
    found: Option<PathBuf>,
    /// The socket at which commands look, by a variable or as root; none if it has no path.
    socket: Option<PathBuf>,
    /// The folder of a user's own that systemd gives to each who is logged in, if it is there.
    runtime_folder: Option<PathBuf>,
    /// The daemon that listens there, or else the first that runs the installed program.
    daemon: Option<Daemon>,
    /// Whether the file is there that `bulkhead run` reads by itself.
    host_file: Option<PathBuf>,
}

impl Setting {
    /// Whether the shell finds the installed program by its name.
    fn finds(&self, places: &Places) -> bool {
        self.found.as_deref().is_some_and(|found| is_same(found, &places.programs().join("bulkhead")))
    }

    /// Whether the first lines set the path and the socket, and so belong in the shell's file.
    fn sets(&self, places: &Places) -> Vec<&'static str> {
        let path = (!self.finds(places)).then_some("$PATH");
        path.into_iter().chain(self.socket.is_none().then_some("$BULKHEAD_SOCKET")).collect()
    }

    /// A path for the socket of a user who has none by a variable: that of the systemd unit of the user, where it can
    /// run.
    fn socket_to_set(&self, user: &User) -> Option<PathBuf> {
        if self.socket.is_some() {
            return None;
        }
        let in_home = || Some(user.home.as_ref()?.join(".local/state/bulkhead/control.sock"));
        self.runtime_folder.as_ref().map(|folder| folder.join("bulkhead/control.sock")).or_else(in_home)
    }

    /// The file in which a line that sets a variable lasts. fish keeps such variables by itself.
    fn startup_file(&self) -> Option<&'static str> {
        match self.shell.as_str() {
            "fish" => None,
            "csh" | "tcsh" => Some("~/.cshrc"),
            "zsh" => Some("~/.zshrc"),
            "bash" => Some("~/.bashrc"),
            _ => Some("~/.profile"),
        }
    }
}

/// Prints it to standard output.
pub(crate) fn print(places: &Places, user: &User, upgraded: bool, samples: bool) {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let runtime_folder = PathBuf::from(format!("/run/user/{}", nix::unistd::geteuid()));
    let socket = running::default_socket(user.root, variable);
    let shell = env::var_os("SHELL").map(PathBuf::from).unwrap_or_default();
    let setting = Setting {
        shell: shell.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        found: find_in_path("bulkhead"),
        daemon: socket
            .as_deref()
            .and_then(running::at_socket)
            .or_else(|| running::of_program(&places.programs().join("bulkhead")).into_iter().next()),
        socket,
        runtime_folder: Some(runtime_folder).filter(|folder| folder.is_dir()),
        host_file: user.default_host_file().filter(|path| path.exists()),
    };
    println!();
    for line in notes(places, user, &setting, upgraded) {
        println!("{line}");
    }
    println!("Type next:\n");
    for line in commands(places, user, &setting, upgraded, samples) {
        println!("  {line}");
    }
}

/// Notes that the user could not expect.
fn notes(places: &Places, user: &User, setting: &Setting, upgraded: bool) -> Vec<String> {
    let mut notes = Vec::new();
    match &setting.daemon {
        Some(Daemon { pid, .. }) if upgraded => notes.push(format!(
            "A daemon runs (process {pid}). It goes on with its earlier programs until it is stopped and started again, \
             as below."
        )),
        Some(Daemon { pid, .. }) => notes.push(format!(
            "A daemon runs (process {pid}). It takes in new modules by a reload, if they are in a folder that it reads."
        )),
        None if upgraded => notes.push(
            "A daemon that is running goes on with its earlier programs until it is stopped and started again.".into(),
        ),
        None => {}
    }
    if let Some(other) = setting.found.as_deref().filter(|_| !setting.finds(places)) {
        notes.push(format!("{} comes first in $PATH; the first line below changes that.", other.display()));
    }
    match (setting.startup_file(), &*setting.sets(places)) {
        (None, _) | (_, []) => {}
        (Some(file), [variable]) => {
            notes.push(format!("The first line below sets {variable} for this shell; add it to {file} for later ones."))
        }
        (Some(file), variables) => notes.push(format!(
            "The first lines below set {} for this shell; add them to {file} for later ones.",
            variables.join(" and ")
        )),
    }
    if let (Some(_), None) = (setting.socket_to_set(user), &setting.runtime_folder) {
        notes.push(
            "The systemd unit of a user listens at $XDG_RUNTIME_DIR/bulkhead/control.sock instead. That variable and its \
             folder are there for who is logged in, or after `loginctl enable-linger`."
                .into(),
        );
    }
    let functions = places.completion(Shell::Zsh, "bulkhead");
    let known = ["/usr", "/usr/local"].iter().any(|prefix| places.prefix == Path::new(prefix));
    if let ("zsh", false, Some(folder)) = (setting.shell.as_str(), known, functions.parent()) {
        let folder = quoted(folder);
        notes.push(format!("For completions, add this to ~/.zshrc before compinit: fpath=({folder} $fpath)"));
    }
    if let Some(file) = setting.host_file.as_ref().filter(|_| places.modules_are_default) {
        let (file, modules) = (file.display(), places.modules.display());
        notes.push(format!("{file} is read by the daemon: if it sets host.modules, add {modules} there."));
    }
    if !notes.is_empty() {
        notes.push(String::new());
    }
    notes
}

fn commands(places: &Places, user: &User, setting: &Setting, upgraded: bool, samples: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if !setting.finds(places) {
        let folder = quoted(&places.programs());
        lines.push(match setting.shell.as_str() {
            "fish" => format!("fish_add_path --prepend --move {folder}"),
            "csh" | "tcsh" => format!("setenv PATH {folder}:$PATH"),
            _ => format!("export PATH={folder}:$PATH"),
        });
    }
    if let Some(socket) = setting.socket_to_set(user) {
        let socket = quoted(&socket);
        lines.push(match setting.shell.as_str() {
            "fish" => format!("set -Ux BULKHEAD_SOCKET {socket}"),
            "csh" | "tcsh" => format!("setenv BULKHEAD_SOCKET {socket}"),
            _ => format!("export BULKHEAD_SOCKET={socket}"),
        });
    }
    match &setting.daemon {
        Some(daemon) if upgraded => lines.extend(daemon.restart()),
        Some(_) => lines.push("bulkhead reload --all".to_owned()),
        None if places.modules_are_default => lines.push("bulkhead run &".to_owned()),
        None => lines.push(format!("bulkhead run --modules {} &", quoted(&places.modules))),
    }
    if samples {
        lines.push("bulkhead wait research-log --for ready".to_owned());
    }
    lines.push("bulkhead status".to_owned());
    lines
}

fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> User {
        User { root: false, home: Some("/home/ada".into()), data_home: None, config_home: None }
    }

    fn setting(shell: &str) -> Setting {
        let socket = Some("/run/user/1000/bulkhead/control.sock".into());
        let shell = shell.into();
        Setting { shell, found: None, socket, runtime_folder: None, daemon: None, host_file: None }
    }

    fn typed(prefix: Option<&str>, setting: &Setting) -> Vec<String> {
        let user = ada();
        commands(&Places::find(prefix.map(Path::new), &user).unwrap(), &user, setting, false, true)
    }

    fn noted(setting: &Setting, upgraded: bool) -> Vec<String> {
        notes(&Places::find(None, &ada()).unwrap(), &ada(), setting, upgraded)
    }

    #[test]
    fn the_path_is_set_in_the_words_of_the_shell() {
        let first = |shell: &str| typed(None, &setting(shell))[0].clone();
        assert_eq!(first("bash"), "export PATH=/home/ada/.local/bin:$PATH");
        assert_eq!(first("fish"), "fish_add_path --prepend --move /home/ada/.local/bin");
        assert_eq!(first("tcsh"), "setenv PATH /home/ada/.local/bin:$PATH");
    }

    #[test]
    fn nothing_is_set_that_is_right_already() {
        let found = Some("/home/ada/.local/bin/bulkhead".into());
        let lines = typed(None, &Setting { found, ..setting("bash") });
        assert_eq!(lines, ["bulkhead run &", "bulkhead wait research-log --for ready", "bulkhead status"]);
    }

    #[test]
    fn a_socket_without_a_place_gets_that_of_the_users_unit_or_else_one_in_the_home() {
        let nowhere = Setting { socket: None, ..setting("sh") };
        assert_eq!(typed(None, &nowhere)[1], "export BULKHEAD_SOCKET=/home/ada/.local/state/bulkhead/control.sock");
        let notes = noted(&nowhere, false);
        assert!(
            notes[0].starts_with("The first lines below set $PATH and $BULKHEAD_SOCKET for this shell"),
            "{notes:?}"
        );
        assert!(notes[1].starts_with("The systemd unit of a user listens at $XDG_RUNTIME_DIR"), "{notes:?}");

        let found = Some("/home/ada/.local/bin/bulkhead".into());
        let runtime_folder = Some("/run/user/1000".into());
        let logged_in = Setting { found, runtime_folder, ..nowhere };
        assert_eq!(typed(None, &logged_in)[0], "export BULKHEAD_SOCKET=/run/user/1000/bulkhead/control.sock");
        let notes = noted(&logged_in, false);
        assert!(notes[0].starts_with("The first line below sets $BULKHEAD_SOCKET for this shell"), "{notes:?}");
        assert_eq!(notes.len(), 2, "{notes:?}");
    }

    #[test]
    fn modules_at_another_place_are_named() {
        let lines = typed(Some("/opt/my programs"), &setting("sh"));
        assert_eq!(lines[0], "export PATH='/opt/my programs/bin':$PATH");
        assert_eq!(lines[1], "bulkhead run --modules '/opt/my programs/lib/bulkhead/modules' &");
    }

    #[test]
    fn another_program_of_the_name_a_running_daemon_zsh_and_a_host_file_are_said() {
        let (found, host_file) = (Some("/usr/bin/bulkhead".into()), Some("/home/ada/.config/b.toml".into()));
        let notes = noted(&Setting { found, host_file, ..setting("zsh") }, true);
        assert_eq!(notes.len(), 6, "{notes:?}");
        assert!(notes[1].starts_with("/usr/bin/bulkhead comes first"), "{notes:?}");
        assert!(notes[2].ends_with("add it to ~/.zshrc for later ones."), "{notes:?}");
        assert!(notes[3].contains("fpath=(/home/ada/.local/share/zsh/site-functions $fpath)"), "{notes:?}");
        assert!(noted(&setting("fish"), false).is_empty());
    }
}
