//! How a process ended, as the kernel tells it: to its parent, and to whoever reads `/proc` before that
//! has heard of it. What follows from an end is the core's business.
//!
//! A process closes its descriptors before its parent is told, and it has its exit status by then. So the
//! host, which sees a channel close, can know the end of its module while the guardian does not. It
//! believes that only where it is certain; elsewhere it waits for the guardian's report, as it does on a
//! kernel that doesn't say.

use bulkhead_protocol::Exit;
use nix::sys::signal::Signal;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::fs::FileExt,
};

/// The flag of a thread that is being taken apart: nothing of its program runs in it any more
/// (`PF_EXITING` in the kernel's `include/linux/sched.h`).
const EXITING: u32 = 0x4;

/// Places of fields in proc_pid_stat(5), counted from the state, which is the first one behind the name.
const FLAGS_FIELD: usize = 6;
const THREADS_FIELD: usize = 17;
const EXIT_CODE_FIELD: usize = 49;

/// What proc_pid_stat(5) says is 52 numbers of at most 20 digits, and a name.
const STAT_BYTES_MAX: usize = 2048;

/// A process with more threads than this is left to the guardian's report.
const THREADS_MAX: usize = 256;

/// The ending of a process that has its exit status and of which no thread will run again; `None`
/// where one may, and where the kernel doesn't tell.
pub(crate) fn of(pid: i32) -> Option<Exit> {
    let mut leader = Thread::first(pid)?;
    let Seen { is_exiting: true, exit_status, .. } = leader.look()? else { return None };
    // A status of zero is an exit with code 0, or one that this process may not be told.
    if exit_status == 0 {
        return None;
    }
    // A thread that is exiting starts no other one. So when all that were seen are, and another look finds
    // no new one, there is none that runs.
    if leader.look()?.threads == 1 {
        return Some(of_status(exit_status));
    }
    let mut seen = BTreeSet::from([pid]);
    loop {
        let new: Vec<i32> = threads(pid)?.into_iter().filter(|thread| seen.insert(*thread)).collect();
        if new.is_empty() {
            return Some(of_status(exit_status));
        }
        let runs = |thread| Thread::open(pid, thread)?.look().map(|seen| !seen.is_exiting);
        // One that has gone meanwhile runs no more either.
        if new.into_iter().any(|thread| runs(thread) == Some(true)) || seen.len() > THREADS_MAX {
            return None;
        }
    }
}

/// The end that the guardian reports.
pub(crate) fn exit(code: Option<i32>, signal: Option<i32>) -> Exit {
    match (code, signal) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(
            Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |signal| signal.as_str().to_owned()),
        ),
        (None, None) => Exit::Signal("an unknown end".into()),
    }
}

/// A status in the form of wait(2): a signal in the lowest seven bits, or else a code above eight.
fn of_status(status: i32) -> Exit {
    match status & 0x7f {
        0 => exit(Some(status >> 8 & 0xff), None),
        signal => exit(None, Some(signal)),
    }
}

/// The numbers of a process's threads.
fn threads(pid: i32) -> Option<Vec<i32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    Some(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// One thread.
struct Thread(File);

/// A thread at the moment it was looked at.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    is_exiting: bool,
    /// Those of its process that are not reaped, itself included.
    threads: u32,
    exit_status: i32,
}

impl Thread {
    /// The first thread of a process. What is read of the process as a whole are this one's flags and status.
    fn first(pid: i32) -> Option<Thread> {
        File::open(format!("/proc/{pid}/stat")).ok().map(Thread)
    }

    fn open(pid: i32, thread: i32) -> Option<Thread> {
        File::open(format!("/proc/{pid}/task/{thread}/stat")).ok().map(Thread)
    }

    fn look(&mut self) -> Option<Seen> {
        let mut text = [0; STAT_BYTES_MAX];
        let count = self.0.read_at(&mut text, 0).ok()?;
        Seen::parse(&text[..count])
    }
}

impl Seen {
    /// Reads the fields of proc_pid_stat(5). The name in parentheses is the process's own choice and may
    /// contain anything, so the fields are counted from the last parenthesis.
    fn parse(text: &[u8]) -> Option<Seen> {
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let mut fields = str::from_utf8(&text[end + 1..]).ok()?.split_ascii_whitespace();
        let flags: u32 = fields.nth(FLAGS_FIELD)?.parse().ok()?;
        let threads = fields.nth(THREADS_FIELD - FLAGS_FIELD - 1)?.parse().ok()?;
        let exit_status = fields.nth(EXIT_CODE_FIELD - THREADS_FIELD - 1)?.parse().ok()?;
        Some(Seen { is_exiting: flags & EXITING != 0, threads, exit_status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Read,
        process::{Child, Command, Stdio},
        time::{Duration, Instant},
    };

    /// A shell whose output has closed, and that is not waited for.
    fn ended(script: &str) -> Child {
        let mut command = Command::new("/bin/sh");
        let mut child = command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        child
    }

    fn number(child: &Child) -> i32 {
        i32::try_from(child.id()).unwrap()
    }

    #[test]
    fn an_ending_is_known_as_soon_as_the_output_has_closed() {
        for (script, expected) in [
            ("exit 7", Exit::Code(7)),
            ("exit 125", Exit::Code(125)),
            ("kill -9 $$", Exit::Signal("SIGKILL".into())),
            ("kill -SEGV $$", Exit::Signal("SIGSEGV".into())),
        ] {
            let mut child = ended(script);
            assert_eq!(of(number(&child)), Some(expected), "{script}");
            child.wait().unwrap();
        }
    }

    #[test]
    fn an_exit_with_code_0_is_left_to_the_guardian() {
        let mut child = ended("exit 0");
        assert_eq!(of(number(&child)), None);
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_closed_its_output_and_lives_on_has_not_ended() {
        let mut child = ended("exec >&-; read line");
        assert_eq!(of(number(&child)), None);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_is_gone_has_no_ending() {
        let mut child = ended("exit 7");
        child.wait().unwrap();
        assert_eq!(of(number(&child)), None);
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_alone_has_not_ended() {
        let dir = std::env::temp_dir().join(format!("bulkhead-endings-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (source, program) = (dir.join("alone.c"), dir.join("alone"));
        let text = "#include <pthread.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n\
                    static void *live(void *none) { char byte; close(1); read(0, &byte, 1); return none; }\n\
                    int main(void) { pthread_t other; pthread_create(&other, 0, live, 0); syscall(SYS_exit, 7); }\n";
        fs::write(&source, text).unwrap();
        assert!(
            Command::new("cc").arg("-pthread").args(["-w", "-o"]).args([&program, &source]).status().unwrap().success()
        );
        let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        let pid = number(&child);
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut leader = Thread::first(pid).unwrap();
        while !leader.look().unwrap().is_exiting {
            assert!(Instant::now() < deadline, "the first thread does not end");
            std::thread::yield_now();
        }
        assert_eq!(leader.look().unwrap(), Seen { is_exiting: true, threads: 2, exit_status: 7 << 8 });
        assert_eq!(of(pid), None);
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_name_with_a_parenthesis_moves_no_field() {
        let (before, between) = ("0 ".repeat(10), "0 ".repeat(31));
        let text = format!("42 (a) Z 1) Z 1 8 9 0 -1 4 {before}3 {between}9");
        assert_eq!(Seen::parse(text.as_bytes()), Some(Seen { is_exiting: true, threads: 3, exit_status: 9 }));
        assert_eq!(Seen::parse(b"42 (sh) S 7 8"), None);
        assert_eq!(Seen::parse(b"42 sh"), None);
    }
}
