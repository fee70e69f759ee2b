//! Signalling, killing and clearing of trees that do all they can to survive.

use crate::support::{DEADLINE, Host, Setting, await_condition, everywhere, role};
use bulkhead_protocol::ProcessStat;
use bulkhead_protocol::guardian::{Fault, Report};
use libc::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, c_int, pid_t};
use std::fs;
use std::time::Instant;

/// A tree of seven besides the leader: ignoring polite signals, in sessions of their own, double-forked, one of them
/// stopped. Each says "up"; the leader then does what is appended.
pub(crate) const FAMILY: &str = r#"
trap '' TERM HUP INT QUIT
setsid sh -c 'echo up; sleep 1000 & setsid sh -c "echo up; exec sleep 1000" & wait' &
(setsid sh -c '(echo up; exec sleep 1000) & echo up; exec sleep 1000' &)
sh -c 'echo up; kill -STOP $$; exec sleep 1000' &
"#;
pub(crate) const FAMILY_UP: usize = 5;

fn kill(pid: pid_t, signal: c_int) {
    // SAFETY: two integers.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

fn is_stopped(pid: pid_t) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "))
}

#[test]
fn a_family_is_cleared_when_its_leader_is_killed() {
    everywhere(|host| {
        let mut module = host.script(&format!("{FAMILY} exec sleep 1000"));
        module.output.lines(FAMILY_UP);
        kill(module.pid, SIGKILL);
        assert_eq!(host.exited(module.run), -SIGKILL);
        let killed = host.gone(module.run);
        host.assert_no_process_is_left();
        assert!((5..=8).contains(&killed), "{killed}");
    });
}

#[test]
fn a_family_is_cleared_when_its_leader_exits_by_itself() {
    everywhere(|host| {
        // The leader waits for a signal, which comes when all of the tree is ready.
        let mut module = host.script(&format!("trap 'exit 4' USR1; {FAMILY} sleep 1000 & wait"));
        module.output.lines(FAMILY_UP);
        kill(module.pid, SIGUSR1);
        assert_eq!(host.exited(module.run), 4);
        assert!(host.gone(module.run) >= 5);
        host.assert_no_process_is_left();
    });
}

#[test]
fn an_order_to_kill_clears_the_whole_family() {
    everywhere(|host| {
        let mut module = host.script(&format!("{FAMILY} exec sleep 1000"));
        module.output.lines(FAMILY_UP);
        host.kill(module.run);
        assert_eq!(host.exited(module.run), -SIGKILL);
        host.gone(module.run);
        host.assert_no_process_is_left();
    });
}

#[test]
fn a_stopped_tree_is_killed_all_the_same() {
    everywhere(|host| {
        let mut module = host.script(&format!("{FAMILY} exec sleep 1000"));
        module.output.lines(FAMILY_UP);
        host.signal(module.run, SIGSTOP);
        await_condition("every process is stopped", || host.survivors().into_iter().all(is_stopped));
        host.kill(module.run);
        assert_eq!(host.exited(module.run), -SIGKILL);
        host.gone(module.run);
        host.assert_no_process_is_left();
    });
}

#[test]
fn a_signal_reaches_every_process_of_the_tree_wherever_it_went() {
    everywhere(|host| {
        let mut module = host.script(
            r#"
            exec 2>/dev/null
            export TELL='trap "echo term" TERM; echo up; while :; do sleep 1000 & wait $!; done'
            setsid sh -c "$TELL" &
            (setsid sh -c "$TELL" &)
            setsid sh -c "kill -STOP \$\$; $TELL" &
            eval "$TELL""#,
        );
        // The fourth is stopped, and says "up" once it is continued.
        module.output.lines(3);
        await_condition("the fourth is stopped", || host.survivors().into_iter().any(is_stopped));
        host.signal(module.run, SIGCONT);
        module.output.lines(4);
        host.signal(module.run, SIGTERM);
        let lines = module.output.lines(8);
        assert_eq!(lines.iter().filter(|line| *line == "term").count(), 4, "{lines:?}");
        host.kill(module.run);
        host.exited(module.run);
        host.gone(module.run);
        host.assert_no_process_is_left();
    });
}

#[test]
fn a_signal_for_a_run_that_ended_or_never_was_is_ignored() {
    everywhere(|host| {
        let module = host.script("exit 0");
        host.exited(module.run);
        host.gone(module.run);
        host.signal(module.run, SIGTERM);
        host.kill(module.run);
        host.kill(12345);
        let next = host.script("exit 1");
        assert_eq!(host.exited(next.run), 1);
        host.gone(next.run);
    });
}

#[test]
fn leaders_that_die_at_once_are_all_cleared_and_a_neighbour_lives_on() {
    everywhere(|host| {
        let mut neighbour = host.script(&format!("{FAMILY} exec sleep 1000"));
        neighbour.output.lines(FAMILY_UP);
        let of_neighbour = host.survivors();
        let mut modules: Vec<_> = (0..3).map(|_| host.script(&format!("{FAMILY} exec sleep 1000"))).collect();
        modules.iter_mut().for_each(|module| drop(module.output.lines(FAMILY_UP)));
        modules.iter().for_each(|module| kill(module.pid, SIGKILL));
        let mut reports: Vec<Report> = (0..6).map(|_| host.next()).collect();
        reports.retain(|report| matches!(report, Report::Gone { .. }));
        assert_eq!(reports.len(), 3);
        let mut left = host.survivors();
        left.sort_unstable();
        // Forked shells may have become their programs since, under the same numbers.
        assert!(of_neighbour.iter().all(|pid| left.contains(pid)), "{of_neighbour:?} are not all in {left:?}");
        host.kill(neighbour.run);
        host.exited(neighbour.run);
        host.gone(neighbour.run);
        host.assert_no_process_is_left();
    });
}

#[test]
fn a_kill_right_after_the_spawn_leaves_nothing() {
    everywhere(|host| {
        for _ in 0..50 {
            let spawn = host.order_for(&["/bin/sh", "-c", &format!("{FAMILY} exec sleep 1000")]);
            let run = spawn.run;
            host.send_spawn(spawn);
            host.kill(run);
            assert!(matches!(host.next(), Report::Spawned { .. }));
            assert_eq!(host.exited(run), -SIGKILL);
            host.gone(run);
        }
        host.assert_no_process_is_left();
    });
}

#[test]
fn processes_that_fork_and_exit_without_end_are_caught() {
    const ROLES: [&str; 2] = ["same session", "new sessions"];
    match role() {
        None => everywhere(|host| {
            for (role, by_order) in ROLES.iter().flat_map(|role| [(role, false), (role, true)]) {
                let mut module = host.role("trees::processes_that_fork_and_exit_without_end_are_caught", role);
                await_line(&mut module.output, "running");
                if by_order {
                    host.kill(module.run);
                } else {
                    kill(module.pid, SIGKILL);
                }
                assert_eq!(host.exited(module.run), -SIGKILL);
                host.gone(module.run);
                host.assert_no_process_is_left();
            }
        }),
        Some(role) => {
            say("running\n");
            let started = Instant::now();
            // SAFETY: the children of this process only make system calls.
            unsafe {
                if libc::fork() > 0 {
                    loop {
                        libc::pause();
                    }
                }
                loop {
                    exit_after_deadline(started);
                    if role == ROLES[1] {
                        libc::setsid();
                    }
                    if libc::fork() > 0 {
                        libc::_exit(0);
                    }
                }
            }
        }
    }
}

#[test]
fn two_that_bring_each_other_back_are_caught() {
    match role() {
        None => everywhere(|host| {
            let mut module = host.role("trees::two_that_bring_each_other_back_are_caught", "watch");
            await_line(&mut module.output, "running");
            host.kill(module.run);
            assert_eq!(host.exited(module.run), -SIGKILL);
            host.gone(module.run);
            host.assert_no_process_is_left();
        }),
        Some(_) => {
            say("running\n");
            let started = Instant::now();
            // SAFETY: the children of this process only make system calls.
            unsafe {
                if libc::fork() > 0 {
                    loop {
                        libc::pause();
                    }
                }
                loop {
                    // Never more than two: the parent replaces its child, and the child replaces its parent once that
                    // is gone.
                    exit_after_deadline(started);
                    let parent = libc::getpid();
                    let child = libc::fork();
                    if child > 0 {
                        libc::waitpid(child, std::ptr::null_mut(), 0);
                        continue;
                    }
                    libc::setsid();
                    while libc::getppid() == parent {
                        exit_after_deadline(started);
                        libc::usleep(100);
                    }
                }
            }
        }
    }
}

#[test]
fn a_tree_that_doubles_while_it_is_killed_is_caught() {
    match role() {
        None => everywhere(|host| {
            let mut module = host.role("trees::a_tree_that_doubles_while_it_is_killed_is_caught", "double");
            await_line(&mut module.output, "running");
            kill(module.pid, SIGKILL);
            assert_eq!(host.exited(module.run), -SIGKILL);
            host.gone(module.run);
            host.assert_no_process_is_left();
        }),
        Some(_) => {
            say("running\n");
            let started = Instant::now();
            // SAFETY: the children of this process only make system calls. There are 63 at most.
            unsafe {
                for _ in 0..6 {
                    if libc::fork() == 0 {
                        libc::setsid();
                    }
                }
                loop {
                    exit_after_deadline(started);
                    libc::usleep(1000);
                }
            }
        }
    }
}

#[test]
fn a_module_that_refuses_to_adopt_its_own_gains_nothing() {
    match role() {
        None => everywhere(|host| {
            let mut module = host.role("trees::a_module_that_refuses_to_adopt_its_own_gains_nothing", "refuse");
            await_line(&mut module.output, "running");
            // The guardian looks for such processes from time to time while the module lives.
            await_condition("the stray is killed", || host.survivors() == [module.pid]);
            kill(module.pid, SIGKILL);
            assert_eq!(host.exited(module.run), -SIGKILL);
            assert_eq!(host.gone(module.run), 1);
            host.assert_no_process_is_left();
        }),
        Some(_) => {
            // SAFETY: the children of this process only make system calls.
            unsafe {
                libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 0);
                let child = libc::fork();
                if child == 0 {
                    libc::setsid();
                    if libc::fork() > 0 {
                        libc::_exit(0);
                    }
                    loop {
                        libc::pause();
                    }
                }
                libc::waitpid(child, std::ptr::null_mut(), 0);
                say("running\n");
                loop {
                    libc::pause();
                }
            }
        }
    }
}

#[test]
fn a_process_whose_first_thread_has_ended_is_killed_and_not_taken_for_dead() {
    extern "C" fn stay(_: *mut libc::c_void) -> *mut libc::c_void {
        let started = Instant::now();
        loop {
            exit_after_deadline(started);
            // SAFETY: an integer.
            unsafe { libc::usleep(1000) };
        }
    }
    match role() {
        None => everywhere(|host| {
            let name = "trees::a_process_whose_first_thread_has_ended_is_killed_and_not_taken_for_dead";
            let mut module = host.role(name, "headless");
            await_line(&mut module.output, "running");
            let is_headless = |pid: pid_t| {
                fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
                    && fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() == 2)
            };
            // Its environment cannot be read any more, so it is looked for by its parent.
            let mut headless = 0;
            await_condition("the first thread has ended", || {
                let children = fs::read_dir("/proc").unwrap().filter_map(|entry| {
                    let pid = entry.ok()?.file_name().to_str()?.parse::<pid_t>().ok()?;
                    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                    stat.contains(&format!(" {} ", module.pid)).then_some(pid)
                });
                headless = children.into_iter().find(|pid| is_headless(*pid)).unwrap_or(0);
                headless > 0
            });
            kill(module.pid, SIGKILL);
            assert_eq!(host.exited(module.run), -SIGKILL);
            // It was killed, and did not end by itself after a time.
            assert_eq!(host.gone(module.run), 1);
            assert!(!fs::exists(format!("/proc/{headless}")).unwrap(), "{headless} is left");
        }),
        Some(_) => {
            // SAFETY: the child is a copy with one thread, which starts another that makes system calls
            // only, and ends itself alone.
            unsafe {
                if libc::fork() == 0 {
                    let mut thread: libc::pthread_t = std::mem::zeroed();
                    libc::pthread_create(&mut thread, std::ptr::null(), stay, std::ptr::null_mut());
                    libc::syscall(libc::SYS_exit, 0);
                }
                say("running\n");
                loop {
                    libc::pause();
                }
            }
        }
    }
}

/// Ends an actor whose test has failed to end it: a process that cannot be caught must not stay.
fn exit_after_deadline(started: Instant) {
    if started.elapsed() > DEADLINE {
        // SAFETY: leaves at once.
        unsafe { libc::_exit(1) }
    }
}

/// Waits for a line among those that the test harness prints around it.
fn await_line(output: &mut crate::support::Output, line: &str) {
    let mut count = 1;
    while !output.lines(count).iter().any(|found| found.ends_with(line)) {
        count += 1;
    }
}

fn say(text: &str) {
    nix::unistd::write(std::io::stdout(), text.as_bytes()).unwrap();
}

#[test]
fn control_groups_hold_their_runs_and_disappear_with_them() {
    everywhere(|host| {
        let Some(folder) = host.cgroup.clone() else {
            assert_eq!((host.containment.as_str(), host.setting.containment), ("subreaper", "subreaper"));
            return;
        };
        assert_eq!(host.containment, "cgroup");
        let mut spawn = host.order_for(&["/bin/cat"]);
        spawn.argv = vec!["/bin/sleep".to_owned(), "1000".to_owned()];
        spawn.cgroup = Some("some-module".to_owned());
        let module = host.run_order(spawn);
        let inside = fs::read_to_string(format!("{folder}/some-module/cgroup.procs")).unwrap();
        assert_eq!(inside, format!("{}\n", module.pid));
        host.kill(module.run);
        host.exited(module.run);
        host.gone(module.run);
        assert!(!fs::exists(format!("{folder}/some-module")).unwrap());
        for name in ["../x", "", ".", "a/b"] {
            let mut spawn = host.order_for(&["/bin/true"]);
            spawn.cgroup = Some(name.to_owned());
            host.send_spawn(spawn);
            assert!(matches!(host.next(), Report::SpawnFailed { fault: Fault::Lasting, .. }), "{name}");
        }
        host.host_socket = None;
        assert_eq!(host.guardian_exit().code(), Some(0));
        assert!(!fs::exists(&folder).unwrap());
        *host = Host::start(&Setting::plain());
    });
}

#[test]
fn the_host_is_informed_of_what_is_below_the_leaders_by_number_and_start_time() {
    let mut host = Host::start(&Setting::plain());
    let module = host.script("sleep 20 & (setsid sleep 20 &) ; wait");
    let recorded = loop {
        match host.next_of_all() {
            Report::Family { processes } if processes.len() == 2 => break processes,
            Report::Family { .. } => {}
            other => panic!("expected the record of a family, found {other:?}"),
        }
    };
    for relative in &recorded {
        let stat = ProcessStat::parse(&fs::read(format!("/proc/{}/stat", relative.pid)).unwrap()).unwrap();
        assert_eq!((stat.session, stat.started), (relative.session, relative.started));
    }
    host.kill(module.run);
    host.exited(module.run);
    host.gone(module.run);
}
