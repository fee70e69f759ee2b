//! How a process ended, as the kernel reports it: to its parent, and to readers of `/proc` before the parent
//! has learnt of it. What follows from an end is decided by the core.
//!
//! A process closes its descriptors before its parent learns of its end, and it has its exit status by then. So
//! the host, which sees a channel close, can know the end of its module while the guardian does not. It
//! believes that only where it is certain; elsewhere it waits for the guardian's report, as it does on a
//! kernel that doesn't report it.

use bulkhead_protocol::{Exit, ProcessStat};
use nix::sys::signal::Signal;
use std::{fs::File, os::unix::fs::FileExt};

/// The text of proc_pid_stat(5) is 52 numbers of at most 20 digits, and a name.
const STAT_BYTES_MAX: usize = 2048;

/// The ending of a process that has its exit status and of which nothing will run again; `None` where
/// something may, and where the kernel doesn't report it.
///
/// The first look shows a first thread that is exiting: it starts no other one. So when the second shows
/// that same thread alone, no other one is left, and none will come. By an exec another thread takes its
/// number, which shows as one that is not exiting; a process that ends with threads left over is reported by
/// the guardian, as those may still run.
pub(crate) fn of(pid: i32) -> Option<Exit> {
    #[expect(clippy::disallowed_methods, reason = "the kernel makes it from memory and waits for nothing")]
    let stat = File::open(format!("/proc/{pid}/stat")).ok()?;
    let first = Seen::look(&stat)?;
    // A status of zero is an exit with code 0, or one that this process may not read.
    if !first.is_exiting || first.exit_status == 0 {
        return None;
    }
    let alone = Seen { threads: 1, ..first };
    (Seen::look(&stat)? == alone).then(|| of_status(alone.exit_status))
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

/// A process at the moment it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    /// Whether its first thread is exiting.
    is_exiting: bool,
    /// Those that are not reaped, the first one included.
    threads: u64,
    /// That of its first thread.
    exit_status: i32,
}

impl Seen {
    fn look(stat: &File) -> Option<Seen> {
        let mut text = [0; STAT_BYTES_MAX];
        let count = stat.read_at(&mut text, 0).ok()?;
        Seen::parse(&text[..count])
    }

    /// `None` where the kernel does not report the status.
    fn parse(text: &[u8]) -> Option<Seen> {
        let stat = ProcessStat::parse(text)?;
        Some(Seen { is_exiting: stat.is_exiting(), threads: stat.threads, exit_status: stat.exit_status? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Ended;
    use std::{
        fs,
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

    /// A program in C whose first thread ends with the status 7 while another one does `live`.
    fn with_another_thread(name: &str, live: &str) -> Ended {
        let dir = crate::scratch::Scratch::new(&format!("endings-{name}"));
        let (source, program) = (dir.join("alone.c"), dir.join("alone"));
        let text = "#include <pthread.h>\n#include <sys/syscall.h>\n#include <unistd.h>\n\
                    static char **words;\nstatic char byte;\n\
                    static void *live(void *none) { LIVE return none; }\n\
                    int main(int count, char **given) { words = given; pthread_t other; \
                    pthread_create(&other, 0, live, 0); syscall(SYS_exit, 7); }\n";
        fs::write(&source, text.replace("LIVE", live)).unwrap();
        let mut compile = Command::new("cc");
        assert!(compile.args(["-pthread", "-w", "-o"]).args([&program, &source]).status().unwrap().success());
        let mut child = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        Ended(child)
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_alone_has_not_ended() {
        let child = with_another_thread("waits", "close(1); read(0, &byte, 1);");
        let pid = number(&child.0);
        let deadline = Instant::now() + Duration::from_secs(20);
        let stat = File::open(format!("/proc/{pid}/stat")).unwrap();
        while !Seen::look(&stat).unwrap().is_exiting {
            assert!(Instant::now() < deadline, "the first thread does not end");
            std::thread::yield_now();
        }
        assert_eq!(Seen::look(&stat).unwrap(), Seen { is_exiting: true, threads: 2, exit_status: 7 << 8 });
        assert_eq!(of(pid), None);
    }

    #[test]
    fn a_process_that_goes_on_by_exec_or_in_ever_new_threads_has_not_ended() {
        let again = "close(1); execv(\"/proc/self/exe\", words);";
        let chain = "close(1); usleep(1); pthread_t next; pthread_create(&next, 0, live, 0); \
                     pthread_detach(pthread_self());";
        for (name, live) in [("exec", again), ("chain", chain)] {
            let child = with_another_thread(name, live);
            for _ in 0..20_000 {
                assert_eq!(of(number(&child.0)), None, "{name}");
            }
        }
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
