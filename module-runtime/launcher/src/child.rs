//! Between fork and exec: what every leader gets before it is the module's program.
//!
//! Everything the child needs is prepared before the fork, so that the child only makes system calls. It never prints
//! and never returns; a step that fails is reported to the guardian through a pipe that exec closes.

use bulkhead_protocol::CHANNEL_VARIABLE;
use bulkhead_protocol::guardian::{MODULE_CHANNEL_FD, Spawn};
use libc::{c_char, c_int, pid_t};
use nix::fcntl::OFlag;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null;

/// How many descriptors a module may open unless it raises its own soft limit: more than 1024
/// breaks programs that still use select(2).
const DESCRIPTORS_SOFT_MAX: rlim_t = 1024;

/// The highest signal number of Linux.
pub(crate) const SIGNAL_MAX: c_int = 64;

/// A flag of clone3(2) that is too wide for the type that the bindings give to flags.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the child was doing when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// Session, parent-death signal and sub-reaper.
    Session = 1,
    /// Moving its descriptors to their numbers.
    Descriptors,
    /// Its limits.
    Limits,
    /// The folder of the module's own.
    Data,
    /// Its working directory.
    Directory,
    /// The exec itself.
    Exec,
}

impl Stage {
    fn from_byte(byte: u8) -> Option<Stage> {
        [Stage::Session, Stage::Descriptors, Stage::Limits, Stage::Data, Stage::Directory, Stage::Exec]
            .into_iter()
            .find(|stage| *stage as u8 == byte)
    }
}

/// What the pipe from the child said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing yet.
    Underway,
    /// The pipe was closed by exec.
    Executed,
    /// A step failed.
    Failed(Stage, c_int),
}

/// Reads the pipe without waiting.
pub(crate) fn progress(pipe: BorrowedFd<'_>) -> Progress {
    let mut bytes = [0; 5];
    match nix::unistd::read(pipe, &mut bytes) {
        Ok(0) => Progress::Executed,
        Ok(5) => {
            let [stage, errno @ ..] = bytes;
            Progress::Failed(Stage::from_byte(stage).unwrap_or(Stage::Exec), c_int::from_ne_bytes(errno))
        }
        // Five bytes in one write to an empty pipe are never split, so what is left is EAGAIN.
        _ => Progress::Underway,
    }
}

/// A program that is ready to be forked.
pub(crate) struct Launch {
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    /// The folder of the module's own, and the one that it is in.
    data: Option<(CString, Option<CString>)>,
    memory_bytes_max: Option<u64>,
    core_bytes_max: Option<u64>,
    /// As a text for `oom_score_adj`.
    oom_score: String,
}

impl Launch {
    /// Prepares what the order asks for, or says what is wrong with it.
    pub(crate) fn new(spawn: &Spawn) -> Result<Launch, String> {
        let text = |what: &str, text: &str| {
            CString::new(text).map_err(|_| format!("{what} contains a NUL character, which no program can be given"))
        };
        if spawn.argv.is_empty() {
            return Err("the command is empty, expected at least a program".to_owned());
        }
        let argv = spawn.argv.iter().map(|argument| text("the command", argument)).collect::<Result<_, _>>()?;
        let mut env = Vec::with_capacity(spawn.env.len() + 1);
        for (name, value) in spawn.env.iter().filter(|(name, _)| name != CHANNEL_VARIABLE) {
            env.push(text("the environment", &format!("{name}={value}"))?);
        }
        if spawn.channel {
            env.push(text("the environment", &format!("{CHANNEL_VARIABLE}={MODULE_CHANNEL_FD}"))?);
        }
        let cwd = text("the working directory", &spawn.cwd)?;
        let path = |path: &Path| {
            CString::new(path.as_os_str().as_bytes()).map_err(|_| "the data folder contains a NUL character".to_owned())
        };
        let data = match spawn.data_dir.as_deref().map(Path::new) {
            None => None,
            Some(folder) => Some((path(folder)?, folder.parent().map(path).transpose()?)),
        };
        let oom_score = crate::memory::score(spawn.oom_score).to_string();
        let Spawn { memory_bytes_max, core_bytes_max, .. } = *spawn;
        Ok(Launch { argv, env, cwd, data, memory_bytes_max, core_bytes_max, oom_score })
    }

    /// Forks. Returns the child's process id and the pipe that [`progress`] reads.
    ///
    /// # Errors
    /// If no further process or descriptor can be had.
    pub(crate) fn fork(&self, descriptors: &[OwnedFd], group: Option<BorrowedFd<'_>>) -> io::Result<(pid_t, OwnedFd)> {
        let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let pointers = |texts: &[CString]| -> Vec<*const c_char> {
            texts.iter().map(|text| text.as_ptr()).chain([null()]).collect()
        };
        let (argv, env) = (pointers(&self.argv), pointers(&self.env));
        let descriptors: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let plan = Plan {
            argv: &argv,
            env: &env,
            cwd: self.cwd.as_ptr(),
            data: self
                .data
                .as_ref()
                .map(|(folder, parent)| (folder.as_ptr(), parent.as_ref().map_or(null(), |parent| parent.as_ptr()))),
            descriptors: &descriptors,
            memory_bytes_max: self.memory_bytes_max,
            core_bytes_max: self.core_bytes_max,
            oom_score: self.oom_score.as_bytes(),
            guardian: nix::unistd::getpid().as_raw(),
        };
        // SAFETY: the guardian has one thread, so the child's copy of memory is consistent, and the
        // child only makes system calls on what `plan` points to, which lives in its copy too.
        match unsafe { fork_into(group) } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let (stage, errno) = plan.carry_out();
                let [a, b, c, d] = errno.to_ne_bytes();
                let _ = nix::unistd::write(write.as_fd(), &[stage as u8, a, b, c, d]);
                // SAFETY: leaves at once, without running anything that belongs to the guardian.
                unsafe { libc::_exit(127) }
            }
            pid => Ok((pid, read)),
        }
    }
}

/// Starts a child in a control group that does nothing but exit, to see whether that works.
///
/// # Errors
/// What kept it from starting there.
pub(crate) fn try_group(group: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: as in `Launch::fork`; the child makes one system call.
    match unsafe { fork_into(Some(group)) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: leaves at once, without running anything that belongs to the guardian.
        0 => unsafe { libc::_exit(0) },
        pid => match nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None)? {
            nix::sys::wait::WaitStatus::Exited(_, 0) => Ok(()),
            other => Err(io::Error::other(format!("the process that tried ended as {other:?}"))),
        },
    }
}

/// Forks, with the child in this control group from its first moment.
///
/// To move a process into a group later makes the kernel wait until every processor has passed a
/// quiet moment, 4.4 ms of it in one trace; a process that is born there costs nothing more. Every
/// kernel that can kill a group (5.14) knows the call (5.7).
///
/// # Safety
/// As fork(2). The C library does not know of a child that was made with a group, so that one may only
/// make system calls.
unsafe fn fork_into(group: Option<BorrowedFd<'_>>) -> pid_t {
    let Some(group) = group else {
        // SAFETY: the caller's promise.
        return unsafe { libc::fork() };
    };
    // SAFETY: a struct of integers, of which zero says "not asked for".
    let mut asked: libc::clone_args = unsafe { std::mem::zeroed() };
    asked.flags = CLONE_INTO_CGROUP;
    asked.exit_signal = libc::SIGCHLD as u64;
    asked.cgroup = group.as_raw_fd() as u64;
    // SAFETY: the struct outlives the call and has the length that is given. Without CLONE_VM the child
    // goes on with a copy of all memory, this stack included, and the rest is the caller's promise.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const asked, size_of_val(&asked)) };
    pid_t::try_from(pid).expect("a process id or -1")
}

/// The same as plain pointers and numbers, for the child.
struct Plan<'a> {
    argv: &'a [*const c_char],
    env: &'a [*const c_char],
    cwd: *const c_char,
    /// The second is null where there is none.
    data: Option<(*const c_char, *const c_char)>,
    descriptors: &'a [RawFd],
    memory_bytes_max: Option<u64>,
    core_bytes_max: Option<u64>,
    oom_score: &'a [u8],
    guardian: pid_t,
}

/// One step of the child. False leaves the reason in `errno`.
type Step<'a> = fn(&Plan<'a>) -> bool;

impl<'a> Plan<'a> {
    /// Runs in the child. Returns only if a step failed: which one, and why.
    fn carry_out(&self) -> (Stage, c_int) {
        let steps: [(Stage, Step<'a>); 6] = [
            (Stage::Session, Self::tie_to_guardian),
            (Stage::Descriptors, Self::place_descriptors),
            (Stage::Limits, Self::limit),
            (Stage::Data, Self::make_data_folder),
            (Stage::Directory, Self::change_directory),
            (Stage::Exec, Self::execute),
        ];
        for (stage, step) in steps {
            if !step(self) {
                return (stage, nix::errno::Errno::last_raw());
            }
        }
        (Stage::Exec, libc::EINVAL)
    }

    fn tie_to_guardian(&self) -> bool {
        // SAFETY: calls that take integers only.
        unsafe {
            if libc::setsid() < 0 || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
                return false;
            }
            // A guardian that died before the call above is not noticed by it.
            if libc::getppid() != self.guardian {
                libc::_exit(127);
            }
            // Survives exec: what the module double-forks is adopted by it while it lives, so a child of the guardian
            // that is not a leader has outlived its own.
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) == 0
        }
    }

    /// The guardian keeps 0 to 3 occupied, so none of the received descriptors has one of these numbers.
    fn place_descriptors(&self) -> bool {
        for (place, descriptor) in (0..).zip(self.descriptors) {
            // SAFETY: integers only. The copy is not close-on-exec, unlike its source.
            if unsafe { libc::dup2(*descriptor, place) } < 0 {
                return false;
            }
        }
        // All that the guardian opens is close-on-exec. This makes sure of it; a kernel before 5.11
        // does not know the call and does not need it.
        // SAFETY: integers only; it marks the descriptors and closes nothing yet.
        unsafe { libc::syscall(libc::SYS_close_range, self.descriptors.len(), u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        true
    }

    fn limit(&self) -> bool {
        self.raise_oom_score();
        let soft_max = |resource, most: rlim_t| {
            // A limit that is already lower stays: raising it takes a privilege.
            getrlimit(resource).and_then(|(soft, hard)| setrlimit(resource, soft.min(most), hard))
        };
        let core = || {
            let hard = getrlimit(Resource::RLIMIT_CORE)?.1;
            let bytes = hard.min(self.core_bytes_max.unwrap_or(RLIM_INFINITY));
            setrlimit(Resource::RLIMIT_CORE, bytes, bytes)
        };
        let done = core().and_then(|()| soft_max(Resource::RLIMIT_NOFILE, DESCRIPTORS_SOFT_MAX)).and_then(|()| {
            let Some(bytes) = self.memory_bytes_max else { return Ok(()) };
            let bytes = getrlimit(Resource::RLIMIT_DATA)?.1.min(bytes);
            setrlimit(Resource::RLIMIT_DATA, bytes, bytes)
        });
        done.is_ok()
    }

    /// Raising it needs no privilege. Where it fails all the same, which the guardian has said at its start, the module
    /// runs: the score decides nothing until memory runs out.
    fn raise_oom_score(&self) {
        // SAFETY: the path is NUL-terminated, the text is alive and as long as is said, and the descriptor is
        // the one that was just opened.
        unsafe {
            let file = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if file >= 0 {
                libc::write(file, self.oom_score.as_ptr().cast(), self.oom_score.len());
                libc::close(file);
            }
        }
    }

    /// The child makes the folder: a disk that does not answer delays nothing but this start.
    fn make_data_folder(&self) -> bool {
        let Some((folder, parent)) = self.data else { return true };
        if make_folder(folder) {
            return true;
        }
        // What the host made at its start may have been removed with all that was in it.
        nix::errno::Errno::last() == nix::errno::Errno::ENOENT
            && !parent.is_null()
            && make_folder(parent)
            && make_folder(folder)
    }

    fn change_directory(&self) -> bool {
        // SAFETY: the pointer is to a NUL-terminated string that outlives the call.
        unsafe { libc::chdir(self.cwd) == 0 }
    }

    fn execute(&self) -> bool {
        // SAFETY: plain calls on local values. A signal that came meanwhile is delivered by the
        // unblocking, with its default effect, since the guardian has no other for any.
        unsafe {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
            // SAFETY: argv and env end with a null pointer; their strings outlive the call.
            libc::execve(self.argv[0], self.argv.as_ptr(), self.env.as_ptr());
        }
        false
    }
}

/// Makes a folder that only its owner may enter, where there is none yet. Runs in the child; false leaves the
/// reason in `errno`.
///
/// It looks before it makes: on a frozen file system, mkdir waits even if the folder is there already.
fn make_folder(path: *const c_char) -> bool {
    if is_folder(path) {
        return true;
    }
    // SAFETY: the pointer is to a NUL-terminated string that outlives the call.
    nix::errno::Errno::last() == nix::errno::Errno::ENOENT
        && (unsafe { libc::mkdir(path, 0o700) } == 0
            || (nix::errno::Errno::last() == nix::errno::Errno::EEXIST && is_folder(path)))
}

fn is_folder(path: *const c_char) -> bool {
    // SAFETY: a struct of integers, for which zero is as good a value as any.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the string outlives the call, and the struct is written to while it is alive.
    if unsafe { libc::stat(path, &raw mut found) } != 0 {
        return false;
    }
    let is_folder = found.st_mode & libc::S_IFMT == libc::S_IFDIR;
    if !is_folder {
        nix::errno::Errno::ENOTDIR.set();
    }
    is_folder
}
