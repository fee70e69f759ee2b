//! Daemons that run: which process each is, and what a user types to end it or to start it again. It sends them nothing
//! and ends none.

use bulkhead_protocol::ProcessStat;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// A daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Daemon {
    pub(crate) pid: i32,
    /// Its command line; empty where it cannot be read.
    words: Vec<String>,
    /// Its unit, where systemd has started it.
    unit: Option<Unit>,
}

/// A unit of systemd.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unit {
    name: String,
    is_of_user: bool,
}

/// Those that run this program, also where it was replaced or removed since.
pub(crate) fn of_program(program: &Path) -> Vec<Daemon> {
    let program = program.canonicalize().unwrap_or_else(|_| program.to_owned());
    let mut removed = program.clone().into_os_string();
    removed.push(" (deleted)");
    let processes = fs::read_dir("/proc").into_iter().flatten();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let runs_it = |pid: &i32| {
        // Those of other users cannot be read, and this user cannot end them.
        fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|path| path == program || path == Path::new(&removed))
    };
    let mut daemons: Vec<Daemon> = pids.filter(runs_it).map(Daemon::of).filter(Daemon::is_one).collect();
    daemons.sort_by_key(|daemon| daemon.pid);
    daemons
}

/// The one that listens at a socket.
pub(crate) fn at_socket(socket: &Path) -> Option<Daemon> {
    let stream = UnixStream::connect(socket).ok()?;
    getsockopt(&stream, PeerCredentials).ok().map(|peer| Daemon::of(peer.pid()))
}

impl Daemon {
    fn of(pid: i32) -> Daemon {
        let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let words = file("cmdline").split_terminator('\0').map(str::to_owned).collect();
        let unit = || {
            let (parent, session) = parent_and_session(&file("stat"))?;
            let is_by_systemd = fs::read_to_string(format!("/proc/{parent}/comm")).ok()?.trim() == "systemd";
            // A process that a service has started and left is in its group as well, but leads no session.
            (is_by_systemd && session == pid).then(|| Unit::of_group(&file("cgroup")))?
        };
        Daemon { pid, words, unit: unit() }
    }

    /// Whether it is a daemon, and not a command that calls one.
    fn is_one(&self) -> bool {
        let mut words = self.words.iter().skip(1).map(String::as_str);
        loop {
            match words.next() {
                Some("--socket") => _ = words.next(),
                Some(option) if option.starts_with('-') => {}
                command => return command == Some("run"),
            }
        }
    }

    /// What ends it for good.
    pub(crate) fn stop(&self) -> String {
        match &self.unit {
            Some(unit) => unit.systemctl("disable --now"),
            None => format!("kill {}", self.pid),
        }
    }

    /// What ends it and starts it again, a line for each command.
    pub(crate) fn restart(&self) -> Vec<String> {
        if let Some(unit) = &self.unit {
            return vec![unit.systemctl("restart")];
        }
        let pid = self.pid;
        let mut lines = vec![format!("kill {pid}"), format!("tail --pid={pid} -f /dev/null")];
        if !self.words.is_empty() {
            let words: Vec<String> = self.words.iter().map(|word| quoted(Path::new(word))).collect();
            lines.push(format!("{} &", words.join(" ")));
        }
        lines
    }
}

impl Unit {
    /// The service of which these are the control groups of the first process.
    fn of_group(groups: &str) -> Option<Unit> {
        let named = groups.lines().find_map(|line| Some(line.split_once(":name=systemd:")?.1));
        let path = named.or_else(|| groups.lines().find_map(|line| line.strip_prefix("0::")))?;
        let parts: Vec<&str> = path.split('/').collect();
        let name = parts.iter().rev().find(|part| part.ends_with(".service") || part.ends_with(".scope"))?;
        let is_manager = |part: &str| part.starts_with("user@") && part.ends_with(".service");
        let is_of_user = parts.iter().any(|part| is_manager(part));
        let is_service = name.ends_with(".service") && !is_manager(name);
        is_service.then(|| Unit { name: (*name).to_owned(), is_of_user })
    }

    fn systemctl(&self, what: &str) -> String {
        let user = if self.is_of_user { " --user" } else { "" };
        format!("systemctl{user} {what} {}", self.name)
    }
}

/// From the line of `/proc/PID/stat`.
fn parent_and_session(stat: &str) -> Option<(i32, i32)> {
    ProcessStat::parse(stat.as_bytes()).map(|stat| (stat.parent, stat.session))
}

/// As one word of a shell.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:=,".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The control socket at which a user's commands look, if there is one.
pub(crate) fn default_socket(is_root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(socket) = variable("BULKHEAD_SOCKET") {
        return Some(socket);
    }
    if is_root {
        return Some("/run/bulkhead/control.sock".into());
    }
    variable("XDG_RUNTIME_DIR").map(|folder| folder.join("bulkhead/control.sock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(groups: &str) -> Option<(String, bool)> {
        Unit::of_group(groups).map(|unit| (unit.name, unit.is_of_user))
    }

    #[test]
    fn a_service_is_known_by_its_control_group_and_a_terminal_is_none() {
        let of_system = "0::/system.slice/bulkhead.service\n";
        assert_eq!(unit(of_system), Some(("bulkhead.service".into(), false)));
        let manager = "0::/user.slice/user-1000.slice/user@1000.service";
        let of_user = format!("{manager}/app.slice/modules.service/host\n");
        assert_eq!(unit(&of_user), Some(("modules.service".into(), true)));
        let hybrid = "12:pids:/x\n1:name=systemd:/system.slice/bulkhead.service\n0::/elsewhere\n";
        assert_eq!(unit(hybrid), Some(("bulkhead.service".into(), false)));
        for none in
            [&format!("{manager}/app.slice/vte-spawn-1.scope"), manager, "0::/user.slice/session-1.scope", "0::/"]
        {
            assert_eq!(unit(none), None, "{none}");
        }
    }

    #[test]
    fn a_daemon_of_systemd_is_restarted_by_it_and_another_by_its_own_command_line() {
        let mut daemon = Daemon { pid: 4711, words: Vec::new(), unit: None };
        daemon.words = ["bulkhead", "run", "--modules", "/my modules"].map(str::to_owned).into();
        let expected = ["kill 4711", "tail --pid=4711 -f /dev/null", "bulkhead run --modules '/my modules' &"];
        assert_eq!(daemon.restart(), expected);
        assert_eq!(daemon.stop(), "kill 4711");
        daemon.unit = Some(Unit { name: "bulkhead.service".into(), is_of_user: true });
        assert_eq!(daemon.restart(), ["systemctl --user restart bulkhead.service"]);
        assert_eq!(daemon.stop(), "systemctl --user disable --now bulkhead.service");
    }

    #[test]
    fn the_parent_and_the_session_are_read_after_any_name() {
        assert_eq!(parent_and_session("12 (a) b) S 3 4 5 6 7 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"), Some((3, 5)));
        assert_eq!(parent_and_session(""), None);
    }

    #[test]
    fn the_socket_is_that_of_the_command() {
        let variables = |name: &str| match name {
            "XDG_RUNTIME_DIR" => Some("/run/user/1000".into()),
            _ => None,
        };
        let socket = |is_root| default_socket(is_root, variables).unwrap().display().to_string();
        assert_eq!(socket(false), "/run/user/1000/bulkhead/control.sock");
        assert_eq!(socket(true), "/run/bulkhead/control.sock");
        assert_eq!(default_socket(true, |_| Some("/s".into())), Some("/s".into()));
        assert_eq!(default_socket(false, |_| None), None);
    }
}
