//! How processes start, what they find around them, and what a failed start says.

use crate::crowds::counted;
use crate::support::{Host, Setting, everywhere, files};
use bulkhead_protocol::guardian::{Fault, Order, Report};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

#[test]
fn an_exit_code_is_reported_and_the_run_is_gone() {
    everywhere(|host| {
        let module = host.script("echo hello; exit 7");
        assert_eq!(host.exited(module.run), 7);
        assert_eq!(host.gone(module.run), 0);
        assert_eq!(module.output.all(), "hello\n");
    });
}

#[test]
fn a_signal_is_reported_as_one() {
    everywhere(|host| {
        let module = host.script("kill -SEGV $$");
        assert_eq!(host.exited(module.run), -libc::SIGSEGV);
        assert_eq!(host.gone(module.run), 0);
    });
}

#[test]
fn the_exit_carries_what_the_leader_used() {
    let mut host = Host::start(&Setting::plain());
    let module = host.script("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
    match host.next() {
        Report::Exited { run, code: Some(0), cpu_ms, memory_bytes_peak, .. } => {
            assert_eq!(run, module.run);
            assert!(cpu_ms > 0);
            assert!((100_000..1_000_000_000).contains(&memory_bytes_peak), "{memory_bytes_peak}");
        }
        other => panic!("{other:?}"),
    }
    host.gone(module.run);
}

#[test]
fn a_failed_start_says_why_and_whether_to_try_again() {
    let folder = files().folder.to_str().unwrap();
    let in_folder = |name: &str| format!("{folder}/{name}");
    let cases: &[(&[&str], &str, &str)] = &[
        (&["/nonexistent"], "/", "program '/nonexistent' not found"),
        (&["/dev/null/x"], "/", "program '/dev/null/x' not found"),
        (&[&in_folder("not-executable")], "/", "is not executable; chmod +x it"),
        (&[folder], "/", "is a directory, expected a program"),
        (&["/dev/null"], "/", "is not a regular file"),
        (&[&in_folder("no-interpreter")], "/", "interpreter '/nonexistent/python9', named in the first line of script"),
        (&[&in_folder("carriage-return")], "/", "'/bin/sh' with a carriage return after it"),
        (&[&in_folder("plain-text")], "/", "neither a binary of this machine nor a script"),
        (&[&in_folder("empty")], "/", "it is empty"),
        (&[&in_folder("other-machine")], "/", "built for another kind of machine"),
        (&["/bin/true"], "/nonexistent", "working directory '/nonexistent' cannot be entered: it does not exist"),
        (&["/bin/true"], "/dev/null", "working directory '/dev/null' cannot be entered: it is not a directory"),
        (&["/bin/true", "a\0b"], "/", "the command contains a NUL character"),
        (&[], "/", "the command is empty"),
    ];
    everywhere(|host| {
        for (argv, cwd, expected) in cases {
            let mut spawn = host.order_for(argv);
            spawn.cwd = (*cwd).to_owned();
            expect_failure(host, spawn, true, expected);
        }
        // A second start on the same guardian: the failure has left no trace.
        let module = host.script("exit 3");
        assert_eq!(host.exited(module.run), 3);
        host.gone(module.run);
    });
    // A small stack limit makes the kernel's limit on all arguments and their addresses 128 KiB.
    let mut host = Host::start(&Setting::plain());
    let limit = libc::RLIMIT_STACK;
    limit_guardian(&host, limit, 256 * 1024);
    let mut argv = vec!["x"; 20_000];
    argv[0] = "/bin/true";
    let spawn = host.order_for(&argv);
    expect_failure(&mut host, spawn, true, "are too long for the kernel");
}

#[test]
fn a_missing_program_of_the_hosts_own_is_distinguished_from_a_modules() {
    let mut host = Host::start(&Setting::plain());
    for (is_host_program, expected) in [(true, Fault::HostPart), (false, Fault::Lasting)] {
        let mut spawn = host.order_for(&["/nonexistent/module-runtime"]);
        spawn.is_host_program = is_host_program;
        host.send_spawn(spawn);
        let Report::SpawnFailed { fault, .. } = host.next() else { panic!("it cannot have been started") };
        assert_eq!(fault, expected);
    }
}

#[test]
fn a_start_makes_the_data_folder_of_its_module_again_wherever_it_went() {
    let world = std::env::temp_dir().join(format!("bulkhead-data-{}", std::process::id()));
    let folder = world.join("data/m");
    std::fs::create_dir_all(&world).unwrap();
    let mut host = Host::start(&Setting::plain());
    // It is missing with the folder that it is in, is there, and is missing alone.
    for step in 0..3 {
        let mut spawn =
            host.order_for(&["/bin/sh", "-c", "test -w \"$0\" && stat -c %a \"$0\"", folder.to_str().unwrap()]);
        spawn.data_dir = Some(folder.clone().into_os_string());
        let module = host.run_order(spawn);
        assert_eq!(host.exited(module.run), 0, "step {step}");
        host.gone(module.run);
        assert_eq!(module.output.all(), "700\n");
        if step == 1 {
            std::fs::remove_dir(&folder).unwrap();
        }
    }
    for (place, expected) in [("a-file/m", "Not a directory"), ("a-file", "Not a directory"), ("x/y/z", "No such file")]
    {
        std::fs::write(world.join("a-file"), "").unwrap();
        let mut spawn = host.order_for(&["/bin/true"]);
        spawn.data_dir = Some(world.join(place).into_os_string());
        expect_failure(&mut host, spawn, false, &format!("cannot create its data folder: {expected}"));
    }
    std::fs::remove_dir_all(&world).unwrap();
}

#[track_caller]
fn expect_failure(host: &mut Host, spawn: bulkhead_protocol::guardian::Spawn, lasting: bool, expected: &str) {
    let ordered = spawn.run;
    host.send_spawn(spawn);
    match host.next() {
        Report::SpawnFailed { run, fault, message } => {
            assert_eq!((run, fault == Fault::Lasting), (ordered, lasting), "{fault:?} {message}");
            assert!(message.contains(expected), "expected {expected:?} in {message:?}");
        }
        other => panic!("expected {expected:?}, found {other:?}"),
    }
}

/// Sets the soft limit alone, so that it can be raised again without a privilege.
fn limit_guardian(host: &Host, resource: libc::__rlimit_resource_t, value: u64) {
    let pid = host.guardian.id() as i32;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a living local, or null where nothing is to be set.
    assert_eq!(unsafe { libc::prlimit(pid, resource, std::ptr::null(), &mut limit) }, 0);
    limit.rlim_cur = value;
    // SAFETY: reads a living local and writes nothing back.
    assert_eq!(unsafe { libc::prlimit(pid, resource, &limit, std::ptr::null_mut()) }, 0);
}

#[test]
fn a_guardian_out_of_descriptors_says_so_and_recovers() {
    let mut host = Host::start(&Setting::plain());
    // 0 to 3, the signals, the host: two more can be had, of three that the order carries.
    limit_guardian(&host, libc::RLIMIT_NOFILE, 8);
    let spawn = host.order_for(&["/bin/true"]);
    expect_failure(&mut host, spawn, false, "the guardian cannot receive the process's descriptors");
    limit_guardian(&host, libc::RLIMIT_NOFILE, 1024);
    let module = host.run(&["/bin/true"]);
    assert_eq!(host.exited(module.run), 0);
    host.gone(module.run);
}

#[test]
fn a_module_finds_its_arguments_environment_and_folder_and_nothing_else() {
    everywhere(|host| {
        let mut spawn = host.order_for(&["/bin/sh", "-c", "pwd; echo \"$0 $1\"; env", "a b", "ü"]);
        spawn.cwd = "/usr".to_owned();
        spawn.env.push(("BULKHEAD_FD".to_owned(), "99".to_owned()));
        spawn.env.push(("GREETING".to_owned(), "hello world".to_owned()));
        let module = host.run_order(spawn);
        host.exited(module.run);
        host.gone(module.run);
        let output = module.output.all();
        let mut lines = output.lines();
        assert_eq!((lines.next(), lines.next()), (Some("/usr"), Some("a b ü")));
        let mut names: Vec<&str> = lines.filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        names.retain(|name| !matches!(*name, "PWD" | "OLDPWD" | "SHLVL" | "_"));
        assert_eq!(names, ["BULKHEAD_TEST_MARK", "GREETING", "PATH"]);
        assert!(output.contains("GREETING=hello world\n"));
    });
}

#[test]
fn the_channel_is_the_descriptor_that_the_environment_names() {
    everywhere(|host| {
        let (near, far) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let mut spawn = host.order_for(&["/bin/sh", "-c", "echo \"over $BULKHEAD_FD\" >&3"]);
        spawn.channel = true;
        let run = spawn.run;
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        host.send(&Order::Spawn(spawn), &[null.as_fd(), null.as_fd(), null.as_fd(), far.as_fd()]);
        drop(far);
        assert!(matches!(host.next(), Report::Spawned { .. }));
        host.exited(run);
        host.gone(run);
        // The end of the stream also shows that the guardian kept no copy of the channel.
        let mut text = String::new();
        UnixStream::from(near).read_to_string(&mut text).unwrap();
        assert_eq!(text, "over 3\n");
    });
}

#[test]
fn no_descriptor_of_the_guardian_leaks_into_a_module() {
    everywhere(|host| {
        // Neighbours that start at the same time have pipes open in the guardian.
        for _ in 0..5 {
            let neighbour = host.order_for(&["/bin/true"]);
            host.send_spawn(neighbour);
        }
        // `ls` itself opens the folder.
        let spawn = host.order_for(&["/bin/ls", "/proc/self/fd"]);
        let output = host.send_spawn(spawn);
        assert_eq!(output.all(), "0\n1\n2\n3\n");
    });
}

#[test]
fn a_module_starts_with_default_signals_bounded_limits_and_a_session_of_its_own() {
    everywhere(|host| {
        let mut spawn = host.order_for(&[
            "/bin/sh",
            "-c",
            "echo score $(cat /proc/self/oom_score_adj); exec cat /proc/self/status /proc/self/limits /proc/self/stat",
        ]);
        spawn.memory_bytes_max = Some(64 << 20);
        let module = host.run_order(spawn);
        host.exited(module.run);
        host.gone(module.run);
        let output = module.output.all();
        let value = |start: &str| {
            let line = output.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{output}"));
            line[start.len()..].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        for set in ["SigBlk:", "SigIgn:", "SigCgt:"] {
            // 32 and 33 are the C library's own, which it lets no program change.
            let signals = u64::from_str_radix(&value(set)[0], 16).unwrap() & !(3 << 31);
            assert_eq!(signals, 0, "{set} {signals:x}");
        }
        assert_eq!(value("Max core file size")[..2], ["0", "0"]);
        assert_eq!(value("Max data size")[..2], ["67108864", "67108864"]);
        let score = |path: &str| std::fs::read_to_string(path).unwrap().trim().parse::<i32>().unwrap();
        let guardian = score(&format!("/proc/{}/oom_score_adj", host.guardian.id()));
        assert_eq!(value("score")[0].parse::<i32>().unwrap(), (guardian + 500).min(1000));
        assert!(value("Max open files")[0].parse::<u64>().unwrap() <= 1024);
        let stat = output.lines().last().unwrap().split(' ').collect::<Vec<_>>();
        assert_eq!(stat[3..6], [host.guardian.id().to_string(), stat[0].to_owned(), stat[0].to_owned()]);
    });
}

#[test]
fn a_process_is_born_in_the_control_group_of_its_run() {
    everywhere(|host| {
        if host.cgroup.is_none() {
            return;
        }
        let writes = |io: &str| counted("syscw", io);
        let of_guardian =
            |host: &Host| writes(&std::fs::read_to_string(format!("/proc/{}/io", host.guardian.id())).ok()?);
        let Some(before) = of_guardian(host) else {
            return eprintln!("skipped: this kernel does not count writes (CONFIG_TASK_IO_ACCOUNTING)");
        };
        // A move into its group, which makes a start wait for the kernel, would show as a write: by the guardian, or by
        // the process before it is its program.
        let neighbour = host.run(&["/bin/sleep", "60"]);
        assert_eq!(of_guardian(host), Some(before));
        host.kill(neighbour.run);
        host.exited(neighbour.run);
        host.gone(neighbour.run);
        // The first is read before anything is printed.
        let mut spawn = host.order_for(&["/bin/cat", "/proc/self/io", "/proc/self/cgroup"]);
        spawn.cgroup = Some("born-here".to_owned());
        let module = host.run_order(spawn);
        host.exited(module.run);
        host.gone(module.run);
        let output = module.output.all();
        let group = output.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
        assert!(group.ends_with("/born-here"), "{output}");
        // Only its score for the memory killer is written.
        assert_eq!(writes(&output), Some(1), "{output}");
    });
}

#[test]
fn two_hundred_runs_ordered_at_once_each_report_in_order() {
    everywhere(|host| {
        let first = host.order_for(&["/bin/true"]).run + 1;
        for _ in 0..200 {
            let spawn = host.order_for(&["/bin/true"]);
            host.send_spawn(spawn);
        }
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..600 {
            let (run, step) = match host.next() {
                Report::Spawned { run, .. } => (run, 1),
                Report::Exited { run, code: Some(0), .. } => (run, 2),
                Report::Gone { run, killed: 0 } => (run, 3),
                other => panic!("{other:?}"),
            };
            assert_eq!(seen.insert(run, step).unwrap_or(0), step - 1, "run {run}");
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), (first..first + 200).map(|run| (run, 3)).collect::<Vec<_>>());
    });
}
