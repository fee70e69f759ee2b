//! The bare module's channel: the descriptor that the host names, else standard input and output. It handles no faults.
//! The only unsafe lines of the crate are here.

use crate::Failed;
use bulkhead_protocol::CHANNEL_VARIABLE;
use nix::sys::signal::{SigHandler, Signal, signal};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

/// What is read from and what is written to.
pub(super) fn open() -> Result<(File, File), Failed> {
    let Ok(number) = std::env::var(CHANNEL_VARIABLE) else {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        let output = io::stdout().as_fd().try_clone_to_owned()?;
        return Ok((input.into(), output.into()));
    };
    // SAFETY: the variable is the host's promise that this descriptor is open and ours alone, and it
    // is taken once, at the start of a process that opened nothing before.
    let socket = unsafe { OwnedFd::from_raw_fd(number.parse()?) };
    Ok((socket.try_clone()?.into(), socket.into()))
}

/// Lets SIGSEGV end this process at once, as it does a program in C. Rust's own handler checks whether a stack has
/// overflowed, and ignores a signal that another process sent.
pub(super) fn end_by_faults() -> Result<(), Failed> {
    // SAFETY: the default disposition runs no code of this process.
    unsafe { signal(Signal::SIGSEGV, SigHandler::SigDfl)? };
    Ok(())
}
