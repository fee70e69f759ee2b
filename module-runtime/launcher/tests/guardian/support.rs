//! The harness: settings, the host's side of the host's socket, and the search for survivors.

use bulkhead_protocol::guardian::{DATAGRAM_BYTES_MAX, Order, Report, Spawn};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, recv, sendmsg, socketpair};
use std::fs::{self, File};
use std::io::{IoSlice, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// No test waits longer for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The ordinary user of the tests.
const NOBODY: u32 = 65534;

/// Marks every process of one guardian.
const MARK: &str = "BULKHEAD_TEST_MARK";

/// Files that every user can reach, made before the first process is started: a file that is open
/// for writing in a process just forked could not be executed (ETXTBSY).
pub(crate) struct Files {
    pub(crate) folder: PathBuf,
    /// The program under test.
    pub(crate) runtime: PathBuf,
    /// This test program, which also acts as hostile modules and hosts.
    pub(crate) itself: PathBuf,
}

pub(crate) fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = folder();
        fs::create_dir(&folder).expect("a fresh folder below the temporary one");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let copy = |from: &Path, name: &str| {
            let to = folder.join(name);
            fs::copy(from, &to).expect("room for a copy of the program");
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).unwrap();
            to
        };
        let write = |name: &str, text: &[u8], mode: u32| {
            fs::write(folder.join(name), text).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        write("not-executable", b"#!/bin/sh\n", 0o644);
        write("no-interpreter", b"#!/nonexistent/python9 -u\nprint()\n", 0o755);
        write("carriage-return", b"#!/bin/sh\r\nexit\r\n", 0o755);
        write("plain-text", b"hello\n", 0o755);
        write("empty", b"", 0o755);
        // An ELF header for a machine that is not this one.
        let mut other_machine = [0u8; 64];
        other_machine[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
        (other_machine[16], other_machine[18], other_machine[19]) = (2, 0xff, 0xfe);
        write("other-machine", &other_machine, 0o755);
        let runtime = copy(Path::new(env!("CARGO_BIN_EXE_module-runtime")), "module-runtime");
        let itself = copy(&std::env::current_exe().unwrap(), "guardian-tests");
        // SAFETY: the handler only removes a folder, and takes and returns nothing.
        unsafe { libc::atexit(remove_folder) };
        Files { folder, runtime, itself }
    })
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("bulkhead-launcher-test-{}", std::process::id()))
}

extern "C" fn remove_folder() {
    let _ = fs::remove_dir_all(folder());
}

/// Under which conditions a test runs.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) ordinary_user: bool,
    pub(crate) containment: &'static str,
}

impl Setting {
    /// The guardian's own choice, as the user who runs the tests.
    pub(crate) fn plain() -> Setting {
        Setting { ordinary_user: false, containment: "subreaper" }
    }
}

/// Every setting that works here. Those that do not are named once.
pub(crate) fn settings() -> &'static [Setting] {
    static SETTINGS: OnceLock<Vec<Setting>> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let users = if nix::unistd::getuid().is_root() { &[false, true][..] } else { &[false][..] };
        let mut settings = Vec::new();
        for &ordinary_user in users {
            for containment in ["subreaper", "cgroup"] {
                let setting = Setting { ordinary_user, containment };
                match Host::try_start(&setting) {
                    Ok(_) => settings.push(setting),
                    Err(_) if containment == "cgroup" => eprintln!("skipped: {setting:?} does not work here"),
                    Err(error) => panic!("{setting:?}: {error}"),
                }
            }
        }
        settings
    })
}

/// Runs a test in every setting, in all of them at once.
pub(crate) fn everywhere(test: impl Fn(&mut Host) + Sync) {
    std::thread::scope(|scope| {
        for setting in settings() {
            scope.spawn(|| test(&mut Host::start(setting)));
        }
    });
}

/// A control group that the ordinary user may write to, if this machine lets us make one.
fn delegated_group() -> Option<&'static Path> {
    static GROUP: OnceLock<Option<PathBuf>> = OnceLock::new();
    extern "C" fn remove() {
        if let Some(Some(path)) = GROUP.get() {
            let _ = fs::remove_dir(path);
        }
    }
    GROUP
        .get_or_init(|| {
            let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
            let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?;
            let path = Path::new(mount).join(format!("test-of-bulkhead-{}", std::process::id()));
            fs::create_dir(&path).ok()?;
            for file in ["", "cgroup.procs"] {
                std::os::unix::fs::chown(path.join(file), Some(NOBODY), Some(NOBODY)).ok()?;
            }
            // SAFETY: the handler only removes a folder, and takes and returns nothing.
            unsafe { libc::atexit(remove) };
            Some(path)
        })
        .as_deref()
}

/// The host's side. Dropping it closes the host's socket and waits for the guardian.
pub(crate) struct Host {
    pub(crate) host_socket: Option<OwnedFd>,
    pub(crate) guardian: Child,
    pub(crate) containment: String,
    pub(crate) cgroup: Option<String>,
    pub(crate) mark: String,
    pub(crate) setting: Setting,
    next_run: u64,
}

impl Host {
    pub(crate) fn start(setting: &Setting) -> Host {
        Host::try_start(setting).unwrap()
    }

    /// Starts a guardian and reads its greeting.
    pub(crate) fn try_start(setting: &Setting) -> Result<Host, String> {
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let files = files();
        let (near, far) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        // The shell moves the host's socket to descriptor 3 without any unsafe code of ours.
        let become_guardian = match (setting.ordinary_user, setting.containment) {
            (false, _) => r#"exec "$0" guardian 3<&0 </dev/null"#.to_owned(),
            (true, "cgroup") => {
                let group = delegated_group().ok_or("no control group to delegate")?;
                let group = group.display();
                format!(
                    r#"echo 0 >{group}/cgroup.procs || exit
                    exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups "$0" guardian 3<&0 </dev/null"#
                )
            }
            (true, _) => {
                format!(
                    r#"exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups "$0" guardian 3<&0 </dev/null"#
                )
            }
        };
        let mut guardian = Command::new("/bin/sh")
            // As by nohup(1), or by another parent that ignores signals: no module may inherit that.
            .args(["-c", &format!("trap '' HUP USR1; {become_guardian}")])
            .arg(&files.runtime)
            .env("BULKHEAD_CONTAINMENT", setting.containment)
            .stdin(Stdio::from(far))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mark = format!("{}-{}", std::process::id(), MARKS.fetch_add(1, Ordering::Relaxed));
        match read_report(near.as_fd()) {
            Some(Report::Hello { containment, cgroup, pid, .. }) => {
                assert_eq!(pid, guardian.id() as i32);
                let (host_socket, setting) = (Some(near), setting.clone());
                Ok(Host { host_socket, guardian, containment, cgroup, mark, setting, next_run: 1 })
            }
            Some(other) => panic!("expected a greeting, found {other:?}"),
            None => {
                let mut text = String::new();
                guardian.stderr.take().unwrap().read_to_string(&mut text).unwrap();
                guardian.wait().unwrap();
                Err(text)
            }
        }
    }

    /// A spawn order for a program, with the mark in its environment.
    pub(crate) fn order_for(&mut self, argv: &[&str]) -> Spawn {
        let run = self.next_run;
        self.next_run += 1;
        Spawn {
            run,
            argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
            cwd: "/".to_owned(),
            data_dir: None,
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned()), (MARK.to_owned(), self.mark.clone())],
            channel: false,
            is_host_program: false,
            memory_bytes_max: None,
            core_bytes_max: Some(0),
            oom_score: 500,
            cgroup: None,
        }
    }

    /// Orders a program with its output in a pipe, which is returned, and awaits its start.
    pub(crate) fn run(&mut self, argv: &[&str]) -> Running {
        let spawn = self.order_for(argv);
        self.run_order(spawn)
    }

    pub(crate) fn run_order(&mut self, spawn: Spawn) -> Running {
        let run = spawn.run;
        let output = self.send_spawn(spawn);
        match self.next() {
            Report::Spawned { run: started, pid } if started == run => Running { run, pid, output },
            other => panic!("expected run {run} to be spawned, found {other:?}"),
        }
    }

    /// Sends a spawn order without awaiting anything.
    pub(crate) fn send_spawn(&mut self, spawn: Spawn) -> Output {
        let null = File::open("/dev/null").unwrap();
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let error = std::io::stderr();
        self.send(&Order::Spawn(spawn), &[null.as_fd(), write.as_fd(), error.as_fd()]);
        Output { pipe: read, text: String::new() }
    }

    /// Runs a shell script.
    pub(crate) fn script(&mut self, script: &str) -> Running {
        self.run(&["/bin/sh", "-c", script])
    }

    /// Runs a function of this test program: see [`role`].
    pub(crate) fn role(&mut self, test: &str, role: &str) -> Running {
        let mut spawn = self.order_for(&[files().itself.to_str().unwrap(), "--exact", test, "--nocapture"]);
        spawn.env.push((ROLE.to_owned(), role.to_owned()));
        self.run_order(spawn)
    }

    pub(crate) fn send(&self, order: &Order, descriptors: &[BorrowedFd<'_>]) {
        self.send_bytes(&serde_json::to_vec(order).unwrap(), descriptors, MsgFlags::empty()).unwrap();
    }

    pub(crate) fn send_bytes(
        &self,
        bytes: &[u8],
        descriptors: &[BorrowedFd<'_>],
        flags: MsgFlags,
    ) -> nix::Result<usize> {
        let host_socket = self.host_socket.as_ref().unwrap();
        let raw: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let control = if raw.is_empty() { &[][..] } else { &rights[..] };
        sendmsg::<()>(host_socket.as_raw_fd(), &[IoSlice::new(bytes)], control, flags | MsgFlags::MSG_NOSIGNAL, None)
    }

    pub(crate) fn kill(&self, run: u64) {
        self.send(&Order::Kill { run }, &[]);
    }

    pub(crate) fn signal(&self, run: u64, signal: i32) {
        self.send(&Order::Signal { run, signal }, &[]);
    }

    /// The next report, but for those that come whenever the guardian has looked around.
    pub(crate) fn next(&self) -> Report {
        loop {
            match self.next_of_all() {
                Report::Family { .. } | Report::MemoryKills { .. } | Report::MemoryGroup { .. } => {}
                other => return other,
            }
        }
    }

    /// The next report of any kind.
    pub(crate) fn next_of_all(&self) -> Report {
        read_report(self.host_socket.as_ref().unwrap().as_fd()).expect("the guardian closed the host's socket")
    }

    /// Expects the leader's end, as exit code or negative signal.
    pub(crate) fn exited(&self, expected_run: u64) -> i32 {
        match self.next() {
            Report::Exited { run, code, signal, .. } if run == expected_run => {
                code.or(signal.map(|signal| -signal)).expect("a code or a signal")
            }
            other => panic!("expected the exit of run {expected_run}, found {other:?}"),
        }
    }

    /// Expects the end of the tree, and how many were killed.
    pub(crate) fn gone(&self, expected_run: u64) -> u32 {
        match self.next() {
            Report::Gone { run, killed } if run == expected_run => killed,
            other => panic!("expected run {expected_run} to be gone, found {other:?}"),
        }
    }

    /// The living processes of this host's modules.
    pub(crate) fn survivors(&self) -> Vec<i32> {
        survivors(&self.mark)
    }

    /// Asserts that no process survived, at this moment.
    #[track_caller]
    pub(crate) fn assert_no_process_is_left(&self) {
        let survivors = self.survivors();
        assert!(survivors.is_empty(), "{:?}: {survivors:?} are left", self.setting);
    }

    /// Waits for the guardian's exit.
    pub(crate) fn guardian_exit(&mut self) -> ExitStatus {
        await_exit(&mut self.guardian)
    }

    /// Waits for the guardian's exit and returns what it wrote to standard error.
    pub(crate) fn guardian_complaint(&mut self) -> (ExitStatus, String) {
        let status = self.guardian_exit();
        let mut text = String::new();
        self.guardian.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (status, text)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.host_socket = None;
        if std::thread::panicking() {
            // The test has failed already; all that matters is that the guardian, as it ends, leaves nothing behind.
            let deadline = Instant::now() + DEADLINE;
            while matches!(self.guardian.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::yield_now();
            }
            let _ = self.guardian.kill();
            let _ = self.guardian.wait();
        } else {
            self.guardian_exit();
            self.assert_no_process_is_left();
        }
    }
}

/// A module that runs.
pub(crate) struct Running {
    pub(crate) run: u64,
    pub(crate) pid: i32,
    pub(crate) output: Output,
}

/// The reading end of a module's standard output.
pub(crate) struct Output {
    pipe: OwnedFd,
    text: String,
}

impl Output {
    /// Waits until as many lines have come, and returns all of them.
    pub(crate) fn lines(&mut self, count: usize) -> Vec<String> {
        while self.text.lines().count() < count || !self.text.ends_with('\n') {
            assert!(self.read_some(), "expected {count} lines, the output ended after {:?}", self.text);
        }
        self.text.lines().map(str::to_owned).collect()
    }

    /// Waits for the end of the output and returns all of it.
    pub(crate) fn all(mut self) -> String {
        while self.read_some() {}
        self.text
    }

    fn read_some(&mut self) -> bool {
        await_readable(self.pipe.as_fd());
        let mut buffer = [0; 4096];
        let length = nix::unistd::read(&self.pipe, &mut buffer).unwrap();
        self.text.push_str(str::from_utf8(&buffer[..length]).unwrap());
        length > 0
    }
}

/// Waits until a descriptor is readable, or fails the test.
#[track_caller]
pub(crate) fn await_readable(descriptor: BorrowedFd<'_>) {
    let mut ready = [PollFd::new(descriptor, PollFlags::POLLIN)];
    let timeout = PollTimeout::try_from(DEADLINE).unwrap();
    assert_eq!(poll(&mut ready, timeout), Ok(1), "nothing came within {DEADLINE:?}");
}

/// Waits for a child's exit, or fails the test.
#[track_caller]
pub(crate) fn await_exit(child: &mut Child) -> ExitStatus {
    if let Some(status) = child.try_wait().unwrap() {
        return status;
    }
    // SAFETY: two integers go in, a new descriptor or an error comes out.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) } as RawFd;
    assert!(descriptor >= 0);
    // SAFETY: the kernel has just made this descriptor for us.
    let descriptor = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(descriptor) };
    await_readable(descriptor.as_fd());
    child.wait().unwrap()
}

/// Polls until a condition holds, for what sends no event.
#[track_caller]
pub(crate) fn await_condition(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::yield_now();
    }
}

/// The next report, or `None` at the end.
fn read_report(host_socket: BorrowedFd<'_>) -> Option<Report> {
    await_readable(host_socket);
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    match recv(host_socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
        Ok(0) | Err(nix::errno::Errno::ECONNRESET) => None,
        Ok(length) => Some(serde_json::from_slice(&buffer[..length]).unwrap()),
        Err(error) => panic!("{error}"),
    }
}

/// The living processes that carry a mark. Dead processes have no environment.
pub(crate) fn survivors(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}").into_bytes();
    let carries = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|variable| variable == wanted))
    };
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(carries).collect()
}

/// The variable that turns a test of this program into an actor.
pub(crate) const ROLE: &str = "BULKHEAD_TEST_ROLE";

/// The role that this process was started for, if it was started by [`Host::role`].
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}
