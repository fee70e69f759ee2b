//! A host for the replays of one command: the program `bulkhead test-host`, with the module in a process of its own and
//! an empty data store. It ends with this command, however that ends, and nothing of it is left.

use crate::exit::Halt;
use crate::programs;
use crate::session::Signals;
use bulkhead_command_line::{Fate, PrivateFolder, SOCKET, SOCKET_ORIGIN};
use bulkhead_protocol::limits::{FRAME_BYTES_MAX_HIGHEST, REWRITE_BYTES_MAX};
use bulkhead_protocol::{Decoder, Failure, Json, Message, Request, RequestType, Response, Status};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use std::env;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

/// What it sends when all modules are ready.
const READY: &str = "test_host.ready";

/// A host that runs.
pub(super) struct PrivateHost {
    program: Child,
    /// It ends when this does.
    stream: UnixStream,
    socket: PathBuf,
    /// Held back, so that no signal ends this command before the host is gone.
    signals: Signals,
    /// Removed after the host has ended.
    _folder: PrivateFolder,
}

impl PrivateHost {
    /// Starts one with the modules in these folders, the first of which is the one that is meant, and waits until they
    /// are ready.
    ///
    /// # Errors
    /// When it cannot be started, or a module is not ready in its time.
    pub(super) fn start(module: &str, folders: &[PathBuf], trusted_users: &[u32]) -> Result<PrivateHost, Halt> {
        let system = |what| move |error: io::Error| Halt::System { what, error };
        let program = programs::locate("test-host")?;
        let folder = PrivateFolder::new(&env::temp_dir(), "replay", Fate::Removed)
            .map_err(system("making a folder for a private host"))?;
        let socket = folder.path().join("control.sock");
        let (stream, its) = UnixStream::pair().map_err(system("a socket for a private host"))?;
        let its = OwnedFd::from(its);
        let signals = Signals::block()?;
        let mut command = Command::new(&program);
        command.args(["--quiet", "--real-waits", "--state"]).arg(folder.path()).arg("--listen").arg(&socket);
        command.args(trusted_users.iter().flat_map(|user| ["--trust-user".to_owned(), user.to_string()]));
        let (first, others) = folders.split_first().expect("the folder of the module is the first");
        command.args(others.iter().flat_map(|folder| ["--with".as_ref(), folder.as_os_str()])).arg(first);
        // What those name is the daemon; and an interrupt from the terminal is this command's.
        command.env_remove(SOCKET).env_remove(SOCKET_ORIGIN).process_group(0);
        command.stdin(Stdio::from(its.try_clone().map_err(system("a socket for a private host"))?)).stdout(its);
        let program =
            command.spawn().map_err(|error| Halt::Failed(format!("cannot run {}: {error}", program.display())))?;
        // Its copies of the other end are in `command`.
        drop(command);
        let mut host = PrivateHost { program, stream, socket, signals, _folder: folder };
        host.wait_until_ready(module)?;
        host.leave_unread()?;
        Ok(host)
    }

    /// Its control socket.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    fn wait_until_ready(&mut self, module: &str) -> Result<(), Halt> {
        let mut decoder = Decoder::new(FRAME_BYTES_MAX_HIGHEST + REWRITE_BYTES_MAX);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if let Some(signal) = self.wait_for_input()? {
                return Err(Halt::Stopped { signal, left: "the private host is ended, and nothing was sent" });
            }
            let count = match self.stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(|error| Halt::System { what: "a private host", error })?,
            };
            if count == 0 {
                return Err(Halt::Failed("the private host has ended before the module was ready".into()));
            }
            let mut input = &buffer[..count];
            let broken =
                |error: &dyn std::fmt::Display| Halt::Failed(format!("the private host is not understood: {error}"));
            while let Some(message) = decoder.next_message(&mut input).map_err(|error| broken(&error))? {
                match heard(message.map_err(|error| broken(&error))?) {
                    Heard::Ready => return Ok(()),
                    Heard::Failed(mut failure) => {
                        failure.error = format!("under the private host: {}", failure.error);
                        return Err(Halt::Answered { subject: module.to_owned(), failure, log: Vec::new() });
                    }
                    Heard::Other => {}
                }
            }
        }
    }

    /// Waits until the host sends something or has ended, or a signal has come.
    fn wait_for_input(&self) -> Result<Option<i32>, Halt> {
        let mut polled =
            [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(self.signals.next()),
            Err(error) => Err(Halt::System { what: "waiting", error: error.into() }),
        }
    }

    /// What else it sends is for tests. It is read on a thread, as the host would wait with it.
    fn leave_unread(&self) -> Result<(), Halt> {
        let system = |error| Halt::System { what: "a private host", error };
        let mut stream = self.stream.try_clone().map_err(system)?;
        let work = move || _ = io::copy(&mut stream, &mut io::sink());
        thread::Builder::new().name("private host".into()).spawn(work).map_err(system)?;
        Ok(())
    }
}

impl Drop for PrivateHost {
    /// Ends the host, and waits until it has stopped its modules. A signal ends it at once.
    fn drop(&mut self) {
        // It may be gone.
        let _ = self.stream.shutdown(Shutdown::Write);
        let pid = i32::try_from(self.program.id()).map(Pid::from_raw);
        let mut signal = Signal::SIGTERM;
        loop {
            let mut polled = [
                PollFd::new(self.stream.as_fd(), PollFlags::empty()),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut polled, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(_) => break,
                // It has closed its end, as it does when it ends.
                Ok(_) if polled[0].revents().is_some_and(|found| !found.is_empty()) => break,
                Ok(_) => {}
            }
            if self.signals.next().is_some() {
                let _ = pid.map(|pid| kill(pid, signal));
                signal = Signal::SIGKILL;
            }
        }
        let _ = self.program.wait();
    }
}

/// What it sends.
enum Heard {
    Ready,
    Failed(Box<Failure>),
    Other,
}

fn heard(message: Message) -> Heard {
    #[derive(Deserialize)]
    struct Named {
        event: String,
    }
    let is_ready = |payload: &Json| payload.read::<Named>().is_ok_and(|named| named.event == READY);
    match message {
        Message::Request(Request { kind: RequestType::Event, payload, .. }) if is_ready(&payload) => Heard::Ready,
        Message::Response(Response { id: None, status: Status::Error(failure), .. }) => Heard::Failed(failure),
        Message::Request(_) | Message::Response(_) => Heard::Other,
    }
}
