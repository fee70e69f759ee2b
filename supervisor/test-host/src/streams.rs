//! The two streams of the test. They are moved away from standard input and output, so that nothing that is printed
//! gets among the frames, and nothing that this process starts has them.

use nix::unistd::{dup2_stdin, dup2_stdout};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// The test's ends of its streams.
#[derive(Debug)]
pub(crate) struct TestStreams {
    pub(crate) from_test: File,
    pub(crate) to_test: File,
}

impl TestStreams {
    /// Takes standard input and output.
    ///
    /// # Errors
    /// When a person is at one of them, or they cannot be moved.
    pub(crate) fn take() -> Result<TestStreams, String> {
        let ends: [(&str, bool); 2] = [("input", io::stdin().is_terminal()), ("output", io::stdout().is_terminal())];
        if let Some((which, _)) = ends.into_iter().find(|(_, is_terminal)| *is_terminal) {
            return Err(format!(
                "expected a test at standard {which}, found a terminal; a test starts this program and speaks the \
                 wire to it, as docs/testing-a-module.md says"
            ));
        }
        TestStreams::moved().map_err(|error| format!("cannot move standard input and output: {error}"))
    }

    fn moved() -> io::Result<TestStreams> {
        let from_test = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let to_test = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let nothing = File::open("/dev/null")?;
        dup2_stdin(&nothing)?;
        dup2_stdout(io::stderr())?;
        Ok(TestStreams { from_test, to_test })
    }
}
