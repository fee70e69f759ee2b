//! What to type next, for the user's shell: where it does not find the program or the completions by
//! itself, the lines for that come first.

use super::content::find_in_path;
use super::places::{Places, Shell, User};
use std::env;
use std::path::{Path, PathBuf};

/// What of a shell and its environment decides what has to be typed.
struct Setting {
    /// The file name of `$SHELL`.
    shell: String,
    /// What the shell runs for `bulkhead`.
    found: Option<PathBuf>,
    /// Whether the control socket has a place, by a variable or as root.
    has_socket: bool,
    /// Whether the file is there that `bulkhead run` reads by itself.
    host_file: Option<PathBuf>,
}

impl Setting {
    /// Whether the shell finds the installed program by its name.
    fn finds(&self, places: &Places) -> bool {
        self.found.as_deref().is_some_and(|found| is_same(found, &places.programs().join("bulkhead")))
    }

    /// The file in which a line that sets a variable lasts. fish keeps its path by itself.
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
    let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let shell = env::var_os("SHELL").map(PathBuf::from).unwrap_or_default();
    let setting = Setting {
        shell: shell.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        found: find_in_path("bulkhead"),
        has_socket: user.root || set("XDG_RUNTIME_DIR") || set("BULKHEAD_SOCKET"),
        host_file: user.default_host_file().filter(|path| path.exists()),
    };
    println!();
    for line in notes(places, &setting, upgraded) {
        println!("{line}");
    }
    println!("Type next:\n");
    for line in commands(places, user, &setting, samples) {
        println!("  {line}");
    }
}

/// What does not go without saying.
fn notes(places: &Places, setting: &Setting, upgraded: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if upgraded {
        notes.push(
            "A daemon that is running goes on with its earlier programs until it is stopped and started again.".into(),
        );
    }
    if let Some(other) = setting.found.as_deref().filter(|_| !setting.finds(places)) {
        notes.push(format!("{} comes first in $PATH; the first line below changes that.", other.display()));
    }
    if let Some(file) = setting.startup_file().filter(|_| !setting.finds(places)) {
        notes.push(format!("The first line below sets $PATH for this shell; add it to {file} for later ones."));
    }
    let functions = places.completion(Shell::Zsh);
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

fn commands(places: &Places, user: &User, setting: &Setting, samples: bool) -> Vec<String> {
    let mut lines = Vec::new();
    if !setting.finds(places) {
        let folder = quoted(&places.programs());
        lines.push(match setting.shell.as_str() {
            "fish" => format!("fish_add_path --prepend --move {folder}"),
            "csh" | "tcsh" => format!("setenv PATH {folder}:$PATH"),
            _ => format!("export PATH={folder}:$PATH"),
        });
    }
    if let (false, Some(home)) = (setting.has_socket, &user.home) {
        let socket = quoted(&home.join(".local/state/bulkhead/control.sock"));
        lines.push(match setting.shell.as_str() {
            "fish" => format!("set -x BULKHEAD_SOCKET {socket}"),
            "csh" | "tcsh" => format!("setenv BULKHEAD_SOCKET {socket}"),
            _ => format!("export BULKHEAD_SOCKET={socket}"),
        });
    }
    lines.push(match places.modules_are_default {
        true => "bulkhead run &".to_owned(),
        false => format!("bulkhead run --modules {} &", quoted(&places.modules)),
    });
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

/// As one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ada() -> User {
        User { root: false, home: Some("/home/ada".into()), data_home: None, config_home: None }
    }

    fn setting(shell: &str) -> Setting {
        Setting { shell: shell.into(), found: None, has_socket: true, host_file: None }
    }

    fn typed(prefix: Option<&str>, setting: &Setting) -> Vec<String> {
        let user = ada();
        commands(&Places::find(prefix.map(Path::new), &user).unwrap(), &user, setting, true)
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
    fn a_socket_without_a_place_gets_one() {
        let lines = typed(None, &Setting { has_socket: false, ..setting("sh") });
        assert_eq!(lines[1], "export BULKHEAD_SOCKET=/home/ada/.local/state/bulkhead/control.sock");
    }

    #[test]
    fn modules_at_another_place_are_named() {
        let lines = typed(Some("/opt/my programs"), &setting("sh"));
        assert_eq!(lines[0], "export PATH='/opt/my programs/bin':$PATH");
        assert_eq!(lines[1], "bulkhead run --modules '/opt/my programs/lib/bulkhead/modules' &");
    }

    #[test]
    fn another_program_of_the_name_a_running_daemon_zsh_and_a_host_file_are_said() {
        let places = Places::find(None, &ada()).unwrap();
        let (found, host_file) = (Some("/usr/bin/bulkhead".into()), Some("/home/ada/.config/b.toml".into()));
        let notes = notes(&places, &Setting { found, host_file, ..setting("zsh") }, true);
        assert_eq!(notes.len(), 6, "{notes:?}");
        assert!(notes[1].starts_with("/usr/bin/bulkhead comes first"), "{notes:?}");
        assert!(notes[2].ends_with("add it to ~/.zshrc for later ones."), "{notes:?}");
        assert!(notes[3].contains("fpath=(/home/ada/.local/share/zsh/site-functions $fpath)"), "{notes:?}");
        assert!(super::notes(&places, &setting("fish"), false).is_empty());
    }
}
