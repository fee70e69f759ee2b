//! Many runs at once: what they cost the guardian, counted and not timed, and which goes first.

use crate::support::{Host, Running, await_condition, everywhere};
use bulkhead_protocol::guardian::Report;
use libc::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM, c_int};
use std::collections::BTreeMap;
use std::fs;

/// So many that one round over all processes for each would show.
const CROWD: usize = 60;

/// What the guardian may read for the end of one run, however slowly they come: its tree twice, the signal of its end,
/// two looks and a few more for a group that is not empty at once. To read all of `/proc` takes more than `CROWD`
/// reads.
const READS_PER_RUN: u64 = 40;

/// A number that the kernel counts for a process, or `None` on a kernel that does not count
/// (`CONFIG_TASK_IO_ACCOUNTING`).
pub(crate) fn counted(what: &str, io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(": ")?.parse().ok())
}

/// How often the guardian has called read(2) and its like.
fn reads(host: &Host) -> Option<u64> {
    counted("syscr", &fs::read_to_string(format!("/proc/{}/io", host.guardian.id())).ok()?)
}

fn assert_reads_in_proportion(end: impl Fn(&Host, &[Running]) + Sync) {
    if !fs::exists("/proc/thread-self/children").unwrap() {
        return eprintln!("skipped: this kernel does not list children (CONFIG_PROC_CHILDREN)");
    }
    everywhere(|host| {
        let Some(_) = reads(host) else {
            return eprintln!("skipped: this kernel does not count reads (CONFIG_TASK_IO_ACCOUNTING)");
        };
        let runs: Vec<Running> = (0..CROWD).map(|_| host.run(&["/bin/sleep", "60"])).collect();
        let before = reads(host).unwrap();
        end(host, &runs);
        let mut gone = 0;
        while gone < CROWD {
            gone += usize::from(matches!(host.next(), Report::Gone { .. }));
        }
        let reads = reads(host).unwrap() - before;
        assert!(reads <= READS_PER_RUN * CROWD as u64, "{:?}: {reads} reads for {CROWD} runs", host.setting);
        host.assert_no_process_is_left();
    });
}

#[test]
fn to_kill_many_runs_reads_in_proportion_to_their_number() {
    assert_reads_in_proportion(|host, runs| runs.iter().for_each(|module| host.kill(module.run)));
}

#[test]
fn to_stop_many_runs_reads_in_proportion_to_their_number() {
    assert_reads_in_proportion(|host, runs| {
        for module in runs {
            host.signal(module.run, SIGTERM);
            host.signal(module.run, SIGCONT);
        }
    });
}

/// Stops the guardian, as a machine that is busy does, and returns once it stands still.
fn stop_guardian(host: &Host) {
    signal_guardian(host, SIGSTOP);
    await_condition("the guardian is stopped", || {
        fs::read_to_string(format!("/proc/{}/stat", host.guardian.id())).is_ok_and(|stat| stat.contains(") T "))
    });
}

fn signal_guardian(host: &Host, signal: c_int) {
    kill(host.guardian.id() as i32, signal);
}

fn kill(pid: i32, signal: c_int) {
    // SAFETY: two integers.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

#[test]
fn an_end_is_reported_before_the_orders_that_wait_are_carried_out() {
    everywhere(|host| {
        let module = host.run(&["/bin/sleep", "60"]);
        let neighbour = host.run(&["/bin/sleep", "60"]);
        stop_guardian(host);
        let spawn = host.order_for(&["/bin/true"]);
        let next = spawn.run;
        host.send_spawn(spawn);
        host.kill(neighbour.run);
        kill(module.pid, SIGKILL);
        await_condition("the module has ended", || {
            fs::read_to_string(format!("/proc/{}/stat", module.pid)).is_ok_and(|stat| stat.contains(") Z "))
        });
        signal_guardian(host, SIGCONT);
        assert_eq!(host.exited(module.run), -SIGKILL);
        let mut ends: BTreeMap<u64, bool> =
            BTreeMap::from([(module.run, false), (neighbour.run, false), (next, false)]);
        while ends.values().any(|gone| !gone) {
            if let Report::Gone { run, .. } = host.next() {
                ends.insert(run, true);
            }
        }
        host.assert_no_process_is_left();
    });
}

#[test]
fn orders_of_one_iteration_reach_each_run_in_their_order() {
    everywhere(|host| {
        let mut polite = host.script("trap 'echo term; exit 5' TERM; kill -STOP $$; while :; do sleep 60 & wait; done");
        await_condition("it is stopped", || {
            fs::read_to_string(format!("/proc/{}/stat", polite.pid)).is_ok_and(|stat| stat.contains(") T "))
        });
        stop_guardian(host);
        // A start and a kill of the same run, and a polite end of another, all in one iteration.
        let spawn = host.order_for(&["/bin/sleep", "60"]);
        let started = spawn.run;
        host.send_spawn(spawn);
        host.signal(polite.run, SIGTERM);
        host.kill(started);
        host.signal(started, SIGTERM);
        host.signal(polite.run, SIGCONT);
        signal_guardian(host, SIGCONT);
        let mut ends: BTreeMap<u64, c_int> = BTreeMap::new();
        let mut gone = 0;
        while gone < 2 {
            match host.next() {
                Report::Exited { run, code, signal, .. } => {
                    ends.insert(run, code.or(signal.map(|signal| -signal)).unwrap());
                }
                Report::Gone { .. } => gone += 1,
                _ => {}
            }
        }
        assert_eq!(ends, BTreeMap::from([(polite.run, 5), (started, -SIGKILL)]));
        assert_eq!(polite.output.lines(1), ["term"]);
        host.assert_no_process_is_left();
    });
}
