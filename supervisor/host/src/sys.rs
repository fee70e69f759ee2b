//! The system calls for which there is no safe wrapper: the only file of this crate with `unsafe`.

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, recvmsg},
};
use std::{
    io::{self, IoSliceMut},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
    time::Duration,
};

/// Lets the program that `command` starts find `descriptor` under the number `target`.
pub(crate) fn inherit(command: &mut Command, descriptor: OwnedFd, target: i32) {
    let install = move || {
        let source = descriptor.as_raw_fd();
        // SAFETY: fcntl and dup2 take plain numbers and are async-signal-safe (signal-safety(7)).
        // `source` is open: the closure owns it. A duplicate has no close-on-exec flag; where
        // source and target are the same number, the flag is cleared instead.
        let result = unsafe {
            if source == target { libc_fcntl_clear_cloexec(source) } else { nix::libc::dup2(source, target) }
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: the closure runs between fork and exec; it allocates nothing, takes no lock and calls
    // only async-signal-safe functions.
    unsafe { command.pre_exec(install) };
}

/// # Safety
/// None beyond that of a system call on a number: an invalid one gives an error.
unsafe fn libc_fcntl_clear_cloexec(descriptor: i32) -> i32 {
    // SAFETY: F_SETFD with zero only clears the flag.
    unsafe { nix::libc::fcntl(descriptor, nix::libc::F_SETFD, 0) }
}

/// The CPU time that a process has used since its start, all its threads together.
pub(crate) fn cpu_time(pid: i32) -> Option<Duration> {
    let mut clock: nix::libc::clockid_t = 0;
    let mut time = nix::libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both calls only write to the variables whose addresses they are given, which are
    // alive and of the right type; a process that is gone gives an error.
    unsafe {
        if nix::libc::clock_getcpuclockid(pid, &raw mut clock) != 0 {
            return None;
        }
        if nix::libc::clock_gettime(clock, &raw mut time) != 0 {
            return None;
        }
    }
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// Lets the thread that calls this wait for its share of the processor rather than preempt a thread that
/// runs when there is something to do for it: for work that no caller waits for.
pub(crate) fn give_way() {
    let none = nix::libc::sched_param { sched_priority: 0 };
    // SAFETY: zero is the calling thread, and the call only reads the parameter, which is alive. Where it
    // is refused, the thread stays as it was.
    unsafe { nix::libc::sched_setscheduler(0, nix::libc::SCHED_BATCH, &raw const none) };
}

/// Lets a thread of this process that yields the processor have it like all others, as a caller waits for it. The
/// number is what gettid(2) returns in it.
pub(crate) fn hurry(thread: i32) {
    let none = nix::libc::sched_param { sched_priority: 0 };
    // SAFETY: the call only reads the parameter, which is alive, and changes nothing but how a thread is scheduled.
    // Where it is refused, that stays as it was.
    unsafe { nix::libc::sched_setscheduler(thread, nix::libc::SCHED_OTHER, &raw const none) };
}

/// Whether this process ignores a signal, as it may have been started.
pub fn is_ignored(signal: nix::sys::signal::Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<nix::libc::sigaction>::zeroed();
    // SAFETY: without a new action the call changes nothing, and only writes to the variable, which is alive and
    // of the right type. Zeroes are a valid value of it, should the call fail.
    let handler = unsafe {
        nix::libc::sigaction(signal as i32, std::ptr::null(), action.as_mut_ptr());
        action.assume_init().sa_sigaction
    };
    handler == nix::libc::SIG_IGN
}

/// The most descriptors that come with one message.
const DESCRIPTORS_MAX: usize = 2;

/// Receives one message and the descriptors that come with it; `None` when the other end is closed.
///
/// # Errors
/// Those of recvmsg(2); `EAGAIN` when there is none.
pub(crate) fn receive_descriptors(socket: &OwnedFd) -> nix::Result<Option<Vec<OwnedFd>>> {
    let mut space = cmsg_space!([RawFd; DESCRIPTORS_MAX]);
    let mut byte = [0];
    let mut part = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut part, Some(&mut space), flags)?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            // SAFETY: the kernel has just made these descriptors for us, and nothing else knows them.
            descriptors.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    Ok(Some(descriptors))
}

/// Gives the calling thread a table of descriptors of its own, in which nothing is open but `kept`, and
/// returns that. The table that it had is that of the other threads, and stays as it is; the thread that
/// started this one owns `kept` there, and has to keep it open until this has returned.
///
/// Where the system refuses such a table, a second descriptor is made in the one that there is, and the
/// reason comes with it.
///
/// # Errors
/// When not even that can be made.
pub(crate) fn own_descriptors(kept: RawFd) -> io::Result<(OwnedFd, Option<io::Error>)> {
    match leave_table(kept) {
        // SAFETY: `kept` is open in this thread's own table, where nothing else knows it.
        Ok(()) => Ok((unsafe { OwnedFd::from_raw_fd(kept) }, None)),
        Err(error) => {
            // SAFETY: a number goes in, and a new descriptor or an error comes out.
            let copy = unsafe { nix::libc::fcntl(kept, nix::libc::F_DUPFD_CLOEXEC, 3) };
            let copy = Errno::result(copy)?;
            // SAFETY: the kernel has just made this descriptor for us.
            Ok((unsafe { OwnedFd::from_raw_fd(copy) }, Some(error)))
        }
    }
}

/// Leaves the table of descriptors that this thread has with others for a copy, and closes all in it but `kept`.
fn leave_table(kept: RawFd) -> io::Result<()> {
    use nix::libc::{CLOSE_RANGE_UNSHARE, SYS_close_range};
    let number = u32::try_from(kept).map_err(|_| io::Error::from(Errno::EBADF))?;
    // One call for both, since containers often forbid unshare(2).
    // SAFETY: numbers only. What is closed is closed in a table that nothing but this thread has.
    let left = unsafe { nix::libc::syscall(SYS_close_range, number + 1, u32::MAX, CLOSE_RANGE_UNSHARE) };
    if left == 0 {
        if number > 0 {
            // SAFETY: as above; the table is this thread's own by now.
            unsafe { nix::libc::syscall(SYS_close_range, 0, number - 1, 0) };
        }
        return Ok(());
    }
    // Kernels before 5.9 have the one call only.
    // SAFETY: a flag goes in. From here on this thread's descriptors are its own.
    Errno::result(unsafe { nix::libc::unshare(nix::libc::CLONE_FILES) })?;
    #[expect(clippy::disallowed_methods, reason = "it is a table of the kernel's, read on a thread of its own")]
    let names = std::fs::read_dir("/proc/thread-self/fd")?.flatten().map(|entry| entry.file_name());
    let open: Vec<RawFd> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    for open in open.into_iter().filter(|open| *open != kept) {
        // SAFETY: nothing in this thread owns it: all that it was given to own is `kept`. The one that read
        // the folder is in the list too, is closed by now, and closing it again fails.
        unsafe { nix::libc::close(open) };
    }
    Ok(())
}

/// Has every large buffer given back to the system when it is freed. By default, the allocator
/// comes to keep blocks of up to 32 MiB, and after a flood a host would stay as large as that was.
/// Those of messages of some 1 MiB are kept, a few at a time: getting the pages of each anew from the
/// system takes longer than copying it.
pub(crate) fn give_large_buffers_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two numbers; it is called before the process has a second thread.
    unsafe {
        nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, 2 * 1024 * 1024);
        nix::libc::mallopt(nix::libc::M_TRIM_THRESHOLD, 8 * 1024 * 1024);
    }
}

/// Has a signal ignored by all threads of this process. Where that cannot be, it stays as it was.
pub(crate) fn ignore_signal(signal: i32) {
    // SAFETY: integers only; no handler runs for a signal that is ignored.
    unsafe { nix::libc::signal(signal, nix::libc::SIG_IGN) };
}

/// Gives a signal its default effect.
pub(crate) fn restore_signal(signal: i32) {
    // SAFETY: integers only; no handler runs for a signal that has its default effect.
    unsafe { nix::libc::signal(signal, nix::libc::SIG_DFL) };
}

/// The signals that have no name, but for those that the C library keeps for itself.
pub(crate) fn real_time_signals() -> std::ops::RangeInclusive<i32> {
    nix::libc::SIGRTMIN()..=nix::libc::SIGRTMAX()
}

/// Stops the interval timers of this process, which exec keeps.
pub(crate) fn stop_timers() {
    // SAFETY: a struct of integers, of which zero says that the timer is not set.
    let none: nix::libc::itimerval = unsafe { std::mem::zeroed() };
    for timer in [nix::libc::ITIMER_REAL, nix::libc::ITIMER_VIRTUAL, nix::libc::ITIMER_PROF] {
        // SAFETY: the struct is read while it is alive, and a null pointer asks for no answer.
        unsafe { nix::libc::setitimer(timer, &raw const none, std::ptr::null_mut()) };
    }
}
