//! The terminal of a debugger: a pseudo-terminal, whose other end is the terminal that this program runs on. Keys go to the
//! debugger, also Ctrl-C; one key is for this program itself. What the debugger does is not known here.

use crate::input::{Input, Inputs};
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The first word of the command line of a process that becomes a debugger, before the terminal and its words.
const CHILD_OPTION: &str = "--become-debugger";

/// The exit code of a command that cannot be run, as of shells.
const CANNOT_RUN: u8 = 127;

/// Ctrl-], which ends `bulkhead dev`, as it ends telnet.
const END_KEY: u8 = 0x1d;

/// What was set on this program's terminal before, until that is set again.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal of a debugger. Dropping it sets this program's own terminal back.
#[derive(Debug)]
pub(crate) struct Terminal {
    path: PathBuf,
    /// Kept open, so that reading goes on from one debugger to the next.
    _slave: File,
    size_of: OwnedFd,
}

impl Terminal {
    /// Opens one.
    ///
    /// # Errors
    /// When this program has no terminal itself, or none can be opened.
    pub(crate) fn open(inputs: Inputs) -> Result<Terminal, String> {
        let ends = [("input", io::stdin().is_terminal()), ("output", io::stdout().is_terminal())];
        if let Some((which, _)) = ends.into_iter().find(|(_, is_terminal)| !is_terminal) {
            return Err(format!(
                "--debug: expected a terminal at standard {which}, found none; a debugger is used by a person"
            ));
        }
        Terminal::opened(inputs).map_err(|error| format!("--debug: cannot open a terminal for the debugger: {error}"))
    }

    fn opened(inputs: Inputs) -> io::Result<Terminal> {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(ptsname_r(&master)?);
        let slave = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(&path)?;
        let size_of = slave.as_fd().try_clone_to_owned()?;
        let terminal = Terminal { path, _slave: slave, size_of };
        terminal.take_size();
        relay(master, inputs)?;
        Ok(terminal)
    }

    /// The words that make a process run on this terminal, before those that it runs.
    ///
    /// # Errors
    /// When the path of this program is not known, or is no text.
    pub(crate) fn words(&self) -> io::Result<Vec<String>> {
        let own = std::env::current_exe()?;
        let text = |path: &Path| {
            path.to_str().map(str::to_owned).ok_or_else(|| io::Error::other(format!("{}: not UTF-8", path.display())))
        };
        Ok(vec![text(&own)?, CHILD_OPTION.into(), text(&self.path)?])
    }

    /// Takes over the size of this program's terminal, which has changed.
    pub(crate) fn take_size(&self) {
        // Without a size the debugger assumes one.
        if let Ok(size) = rustix::termios::tcgetwinsize(io::stdout()) {
            let _ = rustix::termios::tcsetwinsize(&self.size_of, size);
        }
    }
}

/// Carries keys to the debugger, and what it prints to this program's terminal, each on a thread of its own that ends
/// with this program.
fn relay(master: PtyMaster, inputs: Inputs) -> io::Result<()> {
    let mut to_debugger = File::from(OwnedFd::from(master));
    let mut from_debugger = to_debugger.try_clone()?;
    thread::Builder::new().name("from debugger".into()).spawn(move || {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = from_debugger.read(&mut buffer) {
            let mut out = io::stdout().lock();
            if out.write_all(&buffer[..count]).and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    })?;
    *before() = Some(set_raw()?);
    thread::Builder::new().name("keys".into()).spawn(move || {
        let mut buffer = [0; 1024];
        let mut keys = io::stdin().lock();
        while let Ok(count @ 1..) = keys.read(&mut buffer) {
            let typed = &buffer[..count];
            let end = typed.iter().position(|key| *key == END_KEY);
            let is_over = to_debugger.write_all(&typed[..end.unwrap_or(count)]).is_err();
            if is_over || (end.is_some() && inputs.send(Input::Signal).is_err()) {
                return;
            }
        }
    })?;
    Ok(())
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Sets this program's terminal back, if it was changed.
pub(crate) fn restore() {
    if let Some(termios) = before().take() {
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &termios);
    }
}

fn before() -> std::sync::MutexGuard<'static, Option<Termios>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes each key on as it is, and returns what was set before. A line end of this program's own stays a line end.
fn set_raw() -> io::Result<Termios> {
    let before = tcgetattr(io::stdin())?;
    let mut raw = before.clone();
    cfmakeraw(&mut raw);
    raw.output_flags |= before.output_flags & (OutputFlags::OPOST | OutputFlags::ONLCR);
    tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw)?;
    Ok(before)
}

/// The words of the debugger that this process is to become, if it was started for that.
pub(crate) fn child_words(mut words: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    (words.nth(1)? == CHILD_OPTION).then(|| words.collect())
}

/// Becomes the debugger: its words after the path of its terminal. The descriptors of the module's messages stay open.
pub(crate) fn become_debugger(words: Vec<OsString>) -> ExitCode {
    let mut words = words.into_iter();
    let (Some(terminal), Some(program)) = (words.next(), words.next()) else { return ExitCode::from(CANNOT_RUN) };
    let opened = || {
        // The first terminal that the leader of a session opens is the session's.
        let terminal = OpenOptions::new().read(true).write(true).open(&terminal)?;
        io::Result::Ok([terminal.try_clone()?, terminal.try_clone()?, terminal].map(Stdio::from))
    };
    let error = match opened() {
        Ok([input, output, errors]) => {
            Command::new(&program).args(words).stdin(input).stdout(output).stderr(errors).exec()
        }
        Err(error) => error,
    };
    eprintln!("cannot run {} on {}: {error}", program.display(), Path::new(&terminal).display());
    ExitCode::from(CANNOT_RUN)
}
