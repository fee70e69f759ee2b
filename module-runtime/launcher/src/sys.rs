//! The system calls that have no safe wrapper elsewhere, and the one way to write to standard error.
//!
//! What happens between fork and exec is not here but in `child.rs`; nothing here decides anything.

use crate::child::SIGNAL_MAX;
use libc::{c_int, c_void, pid_t};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, SFlag, fstat};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Most descriptors that one order may carry: three streams and a channel.
pub(crate) const DESCRIPTORS_MAX: usize = 4;

/// The bytes that writes to a pipe never split (`PIPE_BUF`).
const PIPE_BYTES_ATOMIC: usize = 4096;

/// Prints one line on standard error. What cannot be written at once is dropped: the guardian must not wait for a
/// reader of its messages.
pub(crate) fn say(line: &str) {
    let mut text = format!("module-runtime: {line}\n").into_bytes();
    if text.len() > PIPE_BYTES_ATOMIC {
        text.truncate(PIPE_BYTES_ATOMIC - 1);
        text.push(b'\n');
    }
    write_to_stderr(&text);
}

/// Writes to standard error as far as that does not block.
pub(crate) fn write_to_stderr(text: &[u8]) {
    write_at_once(io::stderr().as_fd(), text);
}

/// Writes what can be written without waiting, whatever kind of descriptor it is and whatever other processes
/// write to it at the same time. Its own flags are shared with other processes and stay as they are.
fn write_at_once(output: BorrowedFd<'_>, text: &[u8]) {
    match send(output.as_raw_fd(), text, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
        Err(Errno::ENOTSOCK) => {}
        _ => return,
    }
    // A pipe or a terminal is opened once more, as one that does not wait. A file has its position in the old
    // descriptor, and never waits for a reader.
    let again =
        fstat(output).ok().map(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT).and_then(|kind| {
            if kind != SFlag::S_IFIFO && kind != SFlag::S_IFCHR {
                return None;
            }
            let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
            open(format!("/proc/self/fd/{}", output.as_raw_fd()).as_str(), flags, Mode::empty()).ok()
        });
    if let Some(again) = again {
        let _ = nix::unistd::write(again, text);
        return;
    }
    let mut ready = [PollFd::new(output, PollFlags::POLLOUT)];
    if matches!(poll(&mut ready, PollTimeout::ZERO), Ok(1)) {
        let _ = nix::unistd::write(output, &text[..text.len().min(PIPE_BYTES_ATOMIC)]);
    }
}

/// Takes a descriptor that this process was started with.
///
/// # Errors
/// If nothing is open there.
pub(crate) fn adopt(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD reads a flag of whatever is open under that number and touches no memory.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open, was inherited through exec, and is adopted once, at the start of the process,
    // before any other owner could exist.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Closes every inherited descriptor above `last`. To be called before anything is opened.
pub(crate) fn close_above(last: RawFd) -> io::Result<()> {
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|descriptor| *descriptor > last)
        .collect();
    for descriptor in open {
        // SAFETY: nothing in this process owns an inherited descriptor yet. The one that read the
        // folder is in the list too, is closed by now, and closing it again fails with EBADF.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

/// Gives every signal its default effect, but for the two that the C library keeps for itself.
pub(crate) fn forget_dispositions() {
    for signal in 1..=SIGNAL_MAX {
        // SAFETY: integers only. It fails for signals that have no disposition, which need nothing.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Opens a descriptor that becomes readable when the process exits.
pub(crate) fn pidfd_open(pid: pid_t) -> io::Result<OwnedFd> {
    // SAFETY: two integers go in, a new descriptor or an error comes out.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = RawFd::try_from(descriptor).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us; it is close-on-exec by itself.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Sends a signal to exactly the process that the descriptor was opened for.
pub(crate) fn pidfd_send_signal(process: BorrowedFd<'_>, signal: c_int) -> io::Result<()> {
    let nothing: *const c_void = std::ptr::null();
    // SAFETY: the null `siginfo` asks the kernel to fill it in as kill(2) does.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, nothing, 0) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a signal as kill(2) does; a negative number is a process group.
pub(crate) fn kill(pid: pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: two integers; no memory is touched.
    if unsafe { libc::kill(pid, signal) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A child that ended.
pub(crate) struct Ended {
    pub(crate) pid: pid_t,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) cpu_ms: u64,
    pub(crate) memory_bytes_peak: u64,
}

/// What [`wait`] found.
pub(crate) enum Waited {
    /// A child ended and is reaped.
    Ended(Ended),
    /// All children live.
    NoneYet,
    /// There is no child at all.
    NoChildren,
}

/// Reaps one child that ended, without waiting for it.
pub(crate) fn wait() -> Waited {
    let mut status: c_int = 0;
    // SAFETY: `rusage` is plain numbers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to living locals of the types that wait4 fills.
    let pid = unsafe { libc::wait4(-1, &mut status, libc::WNOHANG, &mut usage) };
    if pid < 0 {
        // With WNOHANG and no handlers, ECHILD is the one error there is.
        return Waited::NoChildren;
    }
    if pid == 0 {
        return Waited::NoneYet;
    }
    let milliseconds = |time: libc::timeval| -> u64 {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1000 + u64::try_from(time.tv_usec).unwrap_or(0) / 1000
    };
    Waited::Ended(Ended {
        pid,
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        cpu_ms: milliseconds(usage.ru_utime) + milliseconds(usage.ru_stime),
        memory_bytes_peak: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    })
}

/// What came with one datagram.
pub(crate) struct Received {
    /// How many bytes were written to the buffer.
    pub(crate) length: usize,
    /// The datagram was longer than the buffer.
    pub(crate) cut: bool,
    /// Descriptors were lost: there were too many, or this process cannot have more.
    pub(crate) descriptors_lost: bool,
    /// The descriptors that were received, all close-on-exec.
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// Room for the header of a control message and its descriptors, aligned as the kernel wants it.
#[repr(C, align(8))]
struct ControlSpace([u8; 64]);

/// Receives one datagram without waiting.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut control = ControlSpace([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: `msghdr` is numbers and pointers, for which all zeros is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE is arithmetic on its argument.
    let space = unsafe { libc::CMSG_SPACE((DESCRIPTORS_MAX * size_of::<RawFd>()) as u32) } as usize;
    assert!(space <= control.0.len());
    header.msg_controllen = space as _;
    // SAFETY: the header points to one buffer and one control area, both alive and of the lengths given.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled `header`; CMSG_FIRSTHDR and CMSG_NXTHDR stay inside msg_controllen.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(&header) };
    while !message.is_null() {
        // SAFETY: a non-null result of the two macros is a whole header inside the control area.
        let (level, kind, bytes) =
            unsafe { ((*message).cmsg_level, (*message).cmsg_type, (*message).cmsg_len as usize) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_RIGHTS {
            // SAFETY: CMSG_LEN is arithmetic; CMSG_DATA is the address after the header.
            let (data, start) = unsafe { (libc::CMSG_DATA(message).cast::<RawFd>(), libc::CMSG_LEN(0) as usize) };
            for index in 0..(bytes - start) / size_of::<RawFd>() {
                // SAFETY: the kernel wrote that many descriptors there, each new and ours alone.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(data.add(index).read_unaligned()) });
            }
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        message = unsafe { libc::CMSG_NXTHDR(&header, message) };
    }
    Ok(Received {
        length: length as usize,
        cut: header.msg_flags & libc::MSG_TRUNC != 0,
        descriptors_lost: header.msg_flags & libc::MSG_CTRUNC != 0,
        descriptors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    /// More than a pipe or the buffer of a socket holds.
    const MUCH: usize = 1024 * 1024;

    #[test]
    fn a_complaint_never_waits_for_its_reader() {
        let (reading, writing) = nix::unistd::pipe().unwrap();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        for (reading, writing) in [(File::from(reading), writing), (File::from(OwnedFd::from(ours)), theirs.into())] {
            for _ in 0..3 {
                write_at_once(writing.as_fd(), &vec![b'x'; MUCH]);
            }
            let flags = OFlag::from_bits_truncate(nix::fcntl::fcntl(&writing, nix::fcntl::FcntlArg::F_GETFL).unwrap());
            assert!(!flags.contains(OFlag::O_NONBLOCK), "others that have it wait as before");
            drop(writing);
            let mut written = Vec::new();
            { reading }.read_to_end(&mut written).unwrap();
            assert!(!written.is_empty() && written.len() < 3 * MUCH, "{} bytes", written.len());
        }
    }
}
