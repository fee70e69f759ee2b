//! Other people's supervisors, each with one service that reports when it runs: how long from the service's death to
//! the main function of its next process. They keep files and logs with their defaults where that costs nothing, route
//! no messages, and know no readiness.
//!
//! runit and s6 start a service by a shell script, as usual; the shell's start counts.

use crate::parts::{self, MARK, RUN};
use crate::{Failed, installed};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long a service may take to be started again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The socket to which processes report that they run.
#[derive(Debug)]
pub struct Started {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Started {
    /// Such a socket in this folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(folder: &Path, name: &str) -> Result<Started, Failed> {
        let path = folder.join(format!("started-{name}"));
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        Ok(Started { socket, path })
    }

    /// What a process gets to find it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the next process.
    ///
    /// # Errors
    /// When none comes.
    pub fn next(&self) -> Result<i32, Failed> {
        let mut buffer = [0; 32];
        let count = self.socket.recv(&mut buffer)?;
        Ok(str::from_utf8(&buffer[..count])?.parse()?)
    }
}

/// A supervisor and its service.
#[derive(Debug)]
pub struct Supervisor {
    /// Its name.
    pub name: &'static str,
    /// The socket to which its service reports that it runs.
    pub started: Started,
    process: Child,
}

impl Supervisor {
    /// Those that are installed; a line for each other.
    ///
    /// # Errors
    /// When one does not start.
    pub fn all(folder: &Path) -> Result<Vec<Supervisor>, Failed> {
        let mut all = Vec::new();
        for (name, program, package) in
            [("runit", "runsv", "runit"), ("s6", "s6-supervise", "s6"), ("supervisord", "supervisord", "supervisor")]
        {
            if installed::or_say(program, package, name) {
                let folder = folder.join(name);
                fs::create_dir_all(&folder)?;
                all.push(Supervisor::start(name, program, &folder)?);
            }
        }
        Ok(all)
    }

    fn start(name: &'static str, program: &str, folder: &Path) -> Result<Supervisor, Failed> {
        let started = Started::new(folder, name)?;
        let words = service(&started)?;
        let mut command = parts::part(RUN)?;
        command.arg(program);
        if program == "supervisord" {
            let config = folder.join("supervisord.conf");
            let text = format!(
                "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={}\n\
                 [program:mark]\ncommand={}\nautorestart=true\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n",
                folder.join("pid").display(),
                words.join(" "),
            );
            fs::write(&config, text)?;
            command.arg("-c").arg(config);
        } else {
            let script = folder.join("run");
            fs::write(&script, format!("#!/bin/sh\nexec {}\n", words.join(" ")))?;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
            command.arg(folder);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Supervisor { name, started, process })
    }
}

/// The command line of a service that reports when it runs.
///
/// # Errors
/// When this program cannot be found any more.
pub fn service(started: &Started) -> Result<Vec<String>, Failed> {
    let mut mark: Command = parts::part(MARK)?;
    mark.arg(started.path());
    Ok([mark.get_program()].into_iter().chain(mark.get_args()).map(|word| word.display().to_string()).collect())
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
