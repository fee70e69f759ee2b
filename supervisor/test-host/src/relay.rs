//! The process of a fake: it is a module to the host, and carries the bytes of its channel to the test host, which has
//! the test answer. It reads none of them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

/// What comes before the socket on the command line of such a process.
pub(crate) const OPTION: &str = "--relay";

/// Does what a process of a fake does.
pub(crate) fn run_process(socket: &Path) -> ExitCode {
    match run(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the test's end of this fake, {}: {error}", socket.display());
            ExitCode::FAILURE
        }
    }
}

/// Carries bytes both ways until one side ends.
///
/// # Errors
/// When the test host cannot be reached, or a side breaks.
fn run(socket: &Path) -> io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    // Without the buffers of the standard library: each frame has to go on at once.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut from_test = stream.try_clone()?;
    thread::spawn(move || {
        let _ = carry(&mut from_test, &mut output);
        // The test host is gone or has closed the channel: there is nothing left to do.
        std::process::exit(0);
    });
    carry(&mut input, &mut &stream)?;
    stream.shutdown(Shutdown::Write)
}

fn carry(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
