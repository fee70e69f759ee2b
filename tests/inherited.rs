//! What a daemon inherits, and external influences: signals and their mask, timers, limits, other descriptors than it
//! needs, orphans that are not its own, a memory killer, another host beside it.

use bulkhead_protocol::{ProcessStat, Request, RequestType};
use bulkhead_tests::{Caller, Host, NOBODY, World, is_alive, is_root, kill, stat, until, wait_until_gone};
use nix::sys::signal::{SigSet, Signal};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A daemon with a good module that a script starts, by `exec "$@"` at its end.
fn started_by(script: &str) -> (World, Caller) {
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    start_by(&mut world, script);
    let client = ready(&world);
    (world, client)
}

fn start_by(world: &mut World, script: &str) {
    let command = world.run_command();
    let mut wrapped = Command::new("/bin/sh");
    wrapped.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped.current_dir(world.path("."));
    world.start_as(wrapped);
}

fn ready(world: &World) -> Caller {
    let mut client = world.client();
    client.wait_ready("good");
    client
}

/// A line of `/proc/PID/status`.
fn status_line(pid: i64, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{status}"));
    line.trim().to_owned()
}

/// A set of signals in that file.
fn signals(pid: i64, name: &str) -> u64 {
    u64::from_str_radix(&status_line(pid, name), 16).unwrap()
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

#[test]
fn signals_that_mean_nothing_to_a_daemon_do_nothing() {
    let (mut world, mut client) = started_by(r#"exec "$@""#);
    let module = client.pid("good");
    let pid = world.host().pid().to_string();
    let named = [
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGVTALRM,
        Signal::SIGPROF,
        Signal::SIGIO,
        Signal::SIGSTKFLT,
        Signal::SIGXFSZ,
        Signal::SIGPIPE,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGURG,
        Signal::SIGWINCH,
        Signal::SIGCONT,
        Signal::SIGCHLD,
    ];
    for number in named.map(|signal| signal as i32).into_iter().chain([34, 35, 50, 64]) {
        let sent = Command::new("/bin/sh").args(["-c", "kill -$0 $1", &number.to_string(), &pid]).status().unwrap();
        assert!(sent.success(), "{number}");
        client.call("good", "ping", json!({})).unwrap_or_else(|error| panic!("after signal {number}: {error:?}"));
    }
    assert_eq!(client.pid("good"), module);
    world.stop();
}

#[test]
fn signals_that_say_that_time_or_power_run_out_stop_it_in_order_and_only_once() {
    for name in ["QUIT", "PWR", "XCPU"] {
        let mut world = World::new();
        world.module("bad", "misbehave", "[limits]\nstop_timeout = \"500ms\"").start();
        let mut client = world.client();
        client.wait_ready("bad");
        client.call("bad", "ignore_shutdown", json!({})).unwrap();
        let pid = world.host().pid();
        let send = || Command::new("/bin/sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
        assert!(send().success());
        if name != "QUIT" {
            // The kernel sends SIGXCPU every second.
            client.until_status("bad", "it is asked to stop", |status| status["state"] == "stopping");
            assert!(send().success());
            client.until_status("bad", "it is not killed at once", |status| status["state"] == "stopping");
        }
        let ended = world.wait_for_host();
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        world.wait_until_empty();
    }
}

#[test]
fn a_launcher_that_blocks_and_ignores_signals_does_not_change_what_they_do() {
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    let mut command = world.run_command();
    // SAFETY: the closure makes system calls on integers only.
    unsafe {
        command.pre_exec(|| {
            SigSet::all().thread_set_mask()?;
            for signal in Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP)) {
                nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigIgn)?;
            }
            Ok(())
        });
    }
    world.start_as(command);
    let mut client = ready(&world);
    let (host, guardian, module) = (world.host().pid(), client.guardian_pid(), client.pid("good"));
    assert_eq!(signals(host, "SigBlk:"), 0);
    // 32 and 33 are the C library's own.
    let own = bit(32) | bit(33);
    assert_eq!((signals(module, "SigBlk:"), signals(module, "SigIgn:") & !own & !bit(Signal::SIGPIPE as i32)), (0, 0));
    assert_eq!(signals(guardian, "SigIgn:") & !own, 0, "what the guardian ignores, its modules would");
    kill(host, Signal::SIGHUP);
    world.wait_for_notice("RELOADING=1");
    // How a guardian ends is known only where its parent does not ignore it.
    kill(guardian, Signal::SIGKILL);
    wait_until_gone(&[module]);
    client.wait_ready("good");
    let ended = world.end_host(Signal::SIGINT);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("SIGKILL"), "the guardian's end is reported: {ended:?}");
    world.wait_until_empty();
}

#[test]
fn a_timer_that_the_launcher_set_does_not_end_it() {
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    let mut command = world.run_command();
    // SAFETY: the closure makes one system call on an integer.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::alarm::set(1);
            Ok(())
        });
    }
    world.start_as(command);
    let mut client = ready(&world);
    // Longer than the inherited timer.
    client.call("good", "ping", json!({})).unwrap();
    until("the time is over", || client.status("good")["uptime_ms"].as_u64().filter(|ms| *ms > 1200));
    client.call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn what_it_makes_is_its_own_to_use_whatever_the_mask_of_modes() {
    for mask in ["000", "777"] {
        let (mut world, mut client) = started_by(&format!(r#"umask {mask}; exec "$@""#));
        client.call("good", "ping", json!({})).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for folder in ["state", "state/logs", "state/crashes", "state/data", "state/data/good"] {
            assert_eq!(mode(&world.path(folder)), 0o700, "{mask}: {folder}");
        }
        assert_eq!(mode(&world.socket()), 0o600, "{mask}");
        world.stop();
    }
}

#[test]
fn a_daemon_without_standard_streams_has_them_nowhere_else() {
    let (mut world, mut client) = started_by(r#"exec <&- >&- 2>&-; exec "$@""#);
    client.call("good", "ping", json!({})).unwrap();
    for pid in [world.host().pid(), client.guardian_pid()] {
        for descriptor in 0..3 {
            let target = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
            assert_eq!(target, Path::new("/dev/null"), "descriptor {descriptor} of {pid}");
        }
    }
    world.stop();
}

#[test]
fn children_that_are_not_its_own_are_reaped_and_the_guardian_is_not() {
    // One has ended before the daemon begins, one ends later, and one leaves an orphan.
    let (mut world, mut client) = started_by(r#"true & sleep 1 & (sleep 0.5; (sleep 0.5 &)) & exec "$@""#);
    let host = world.host().pid();
    let zombies = || {
        let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        all.filter_map(stat).filter(|stat| i64::from(stat.parent) == host).collect::<Vec<ProcessStat>>()
    };
    until("only the guardian is left", || (zombies().len() == 1).then_some(()));
    let guardian = client.guardian_pid();
    assert!(is_alive(guardian));
    kill(guardian, Signal::SIGKILL);
    client
        .until_status("good", "it is ready again", |status| status["state"] == "ready" && status["pid"] != Value::Null);
    world.stop();
}

#[test]
fn as_process_1_it_reaps_orphans_and_ends_by_sigterm() {
    let works = is_root()
        && Command::new("unshare").args(["-pf", "--mount-proc", "true"]).status().is_ok_and(|status| status.success());
    if !works {
        return eprintln!("skipped: a process namespace, which cannot be had here");
    }
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    start_by(&mut world, r#"exec unshare -pf --kill-child --mount-proc "$@""#);
    let mut client = ready(&world);
    let outer = world.host().pid();
    let first: i64 =
        fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap().trim().parse().unwrap();
    for _ in 0..10 {
        let inside = ["-t", &first.to_string(), "-p", "-m", "/bin/sh", "-c", "(sleep 0.05 &)"].map(str::to_owned);
        assert!(Command::new("nsenter").args(inside).status().unwrap().success());
    }
    // Each thread has children of its own.
    let children = || -> String {
        let threads = fs::read_dir(format!("/proc/{first}/task")).unwrap().flatten();
        threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default()).collect()
    };
    until("only the guardian is left", || (children().split_whitespace().count() == 1).then_some(()));
    // Orphans that are not of the guardian's tree survive its death.
    let orphan = ["-t", &first.to_string(), "-p", "-m", "/bin/sh", "-c", "(exec sleep 20 &)"].map(str::to_owned);
    assert!(Command::new("nsenter").args(orphan).status().unwrap().success());
    until("the orphan has come", || (children().split_whitespace().count() == 2).then_some(()));
    let module = client.pid("good");
    let guardian = client.guardian_pid();
    let kill_inside =
        ["-t", &first.to_string(), "-p", "-m", "/bin/kill", "-9", &guardian.to_string()].map(str::to_owned);
    assert!(Command::new("nsenter").args(kill_inside).status().unwrap().success());
    client.until_status("good", "another process serves", |status| {
        status["state"] == "ready" && status["pid"] != json!(module)
    });
    assert_eq!(children().split_whitespace().count(), 2, "the orphan is no part of a run");
    kill(first, Signal::SIGTERM);
    let ended = world.wait_for_host();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn at_a_limit_of_file_sizes_writes_are_refused_and_go_on_when_it_is_lifted() {
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    // In blocks of 512 bytes. The data store needs some of them for itself.
    start_by(&mut world, r#"ulimit -S -f 2000; exec "$@""#);
    let mut client = ready(&world);
    let mutation = |text: &str| {
        let create = json!({ "entity": "Note", "operation": "create", "data": { "text": text } });
        Request::new(None, RequestType::Mutation, json!({ "operations": [create] }).into()).to("layer1")
    };
    let long = "x".repeat(200_000);
    let failure = until("it is full", || client.ask(&mutation(&long)).err());
    assert_eq!(failure.data.as_ref().map(|data| data.as_str()), Some(r#"{"reason":"disk_full"}"#), "{failure:?}");
    client.call("good", "ping", json!({})).unwrap();
    let pid = world.host().pid().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:unlimited"]).status().unwrap().success());
    client.ask(&mutation("short")).unwrap();
    world.stop();
}

#[test]
fn modules_go_before_the_host_when_memory_runs_out() {
    let mut world = World::new();
    world.module("usual", "misbehave", "");
    world.module("dear", "misbehave", "[resources]\noom_score = 7").start();
    let mut client = world.client();
    let score =
        |pid: i64| -> i64 { fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().parse().unwrap() };
    let own = score(world.host().pid());
    for (name, above) in [("usual", 500), ("dear", 7)] {
        client.wait_ready(name);
        assert_eq!(score(client.pid(name)), (own + above).min(1000), "{name}");
    }
    assert_eq!(score(client.guardian_pid()), own);
    let children = client.call("usual", "children", json!({ "count": 1 })).unwrap()["pids"].clone();
    assert_eq!(score(children[0].as_i64().unwrap()), (own + 500).min(1000), "it is passed on");
    world.stop();
}

/// A control group with a limit of memory, which is removed when it has no process any more.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    fn new(name: &str, mib: u64) -> Option<MemoryGroup> {
        let bases = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        bases.into_iter().find_map(|(base, limit)| {
            let path = Path::new(base).join(format!("bulkhead-test-{name}-{}", std::process::id()));
            fs::create_dir(&path).ok()?;
            let group = MemoryGroup(path);
            fs::write(group.0.join(limit), (mib << 20).to_string()).ok()?;
            // Without this, the excess would be swapped out.
            let _ = fs::write(group.0.join("memory.swap.max"), "0");
            Some(group)
        })
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        for _ in 0..1000 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

#[test]
fn a_kill_by_the_memory_killer_is_distinguished_from_others() {
    let Some(group) = MemoryGroup::new("own", 48) else {
        return eprintln!("skipped: a control group with a limit of memory, which cannot be had here");
    };
    let mut world = World::new();
    world.module("bad", "misbehave", "");
    let enter = format!("echo $$ > {}/cgroup.procs; exec bin/misbehave", group.0.display());
    let command = json!(["/bin/sh", "-c", enter]);
    world.manifest("bad", &format!("name = \"bad\"\ncommand = {command}\n[restart]\nbreaker_failures = 1000"));
    world.start();
    let mut client = world.client();
    client.wait_ready("bad");
    let last = |client: &mut Caller| client.status("bad")["last_exit"].to_string();

    let killed = client.pid("bad");
    kill(killed, Signal::SIGKILL);
    client.until_status("bad", "it was killed", |status| status["last_exit"].to_string().contains("SIGKILL"));
    assert!(!last(&mut client).contains("memory"), "{}", last(&mut client));

    // It may take a moment until the host knows that the module has a group of its own.
    until("it is known for certain", || {
        client.wait_ready("bad");
        client.call("bad", "sleep", json!({ "ms": 400 })).unwrap();
        let failure = client.call("bad", "allocate", json!({ "mib": 4096 })).expect_err("there is not so much");
        assert!(failure.error.contains("the kernel's memory killer took it"), "{failure:?}");
        failure.error.contains("the memory of its control group ran out").then_some(())
    });
    assert!(last(&mut client).contains("the kernel's memory killer took it"));
    let crashes = client.supervisor("crashes", json!({ "name": "bad" }));
    assert!(crashes.to_string().contains("the memory of its control group ran out"), "{crashes:#}");
    world.stop();
}

#[test]
fn when_the_memory_of_all_runs_out_a_module_goes_and_the_host_stays() {
    let Some(group) = MemoryGroup::new("all", 160) else {
        return eprintln!("skipped: a control group with a limit of memory, which cannot be had here");
    };
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    world.module("bad", "misbehave", "");
    start_by(&mut world, &format!(r#"echo $$ > {}/cgroup.procs; exec "$@""#, group.0.display()));
    let mut client = ready(&world);
    client.wait_ready("bad");
    let failure = client.call("bad", "allocate", json!({ "mib": 4096 })).expect_err("there is not so much");
    assert!(failure.error.contains("probably the kernel's memory killer took it"), "{failure:?}");
    client.call("good", "ping", json!({})).unwrap();
    world.stop();
}

#[test]
fn a_host_leaves_the_modules_of_another_alone_whose_state_directory_has_the_same_path() {
    if !is_root() || !Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success()) {
        return eprintln!("skipped: a mount namespace, which cannot be had here");
    }
    let mut world = World::new();
    world.module("good", "test-minimal", "");
    for folder in ["view", "a", "b"] {
        fs::create_dir(world.path(folder)).unwrap();
    }
    let inside = |name: &str| {
        let command = world.run_command_at(&world.path("view/state"), &world.path(&format!("{name}.sock")));
        let mount =
            format!(r#"mount --bind {} {} && exec "$@""#, world.path(name).display(), world.path("view").display());
        let mut wrapped = Command::new("unshare");
        wrapped.args(["-m", "/bin/sh", "-c", &mount, "sh"]).arg(command.get_program()).args(command.get_args());
        wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?)))).stderr(Stdio::null());
        Host::start(wrapped)
    };
    let connect = |name: &str| {
        let path = world.path(&format!("{name}.sock"));
        let stream = until("it listens", || std::os::unix::net::UnixStream::connect(&path).ok());
        let mut caller = Caller(bulkhead_client::Client::from_stream(stream));
        caller.wait_ready("good");
        caller
    };
    let mut first = inside("a");
    let mut of_first = connect("a");
    let module = of_first.pid("good");
    let mut second = inside("b");
    let _of_second = connect("b");
    assert!(is_alive(module));
    assert_eq!(of_first.pid("good"), module);
    for host in [&mut first, &mut second] {
        host.signal(Signal::SIGTERM);
        assert_eq!(host.wait().code, Some(0));
    }
    world.wait_until_empty();
}

#[test]
fn names_that_modules_could_not_get_are_refused_with_the_reason() {
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    let odd = |name: &str| world.path(".").join(std::ffi::OsStr::from_bytes(&[name.as_bytes(), b"\xff"].concat()));
    let state = odd("state");
    let ended = Host::start(world.run_command_at(&state, &world.socket())).wait();
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("UTF-8") && !ended.stderr.contains("panicked"), "{ended:?}");
    assert!(!state.exists(), "nothing is made there");

    fs::create_dir_all(world.path("modules").join(std::ffi::OsStr::from_bytes(b"m\xff"))).unwrap();
    let manifest = world.path("modules").join(std::ffi::OsStr::from_bytes(b"m\xff")).join("module.toml");
    fs::write(manifest, "[module]\nname = \"m\"\ncommand = [\"/bin/true\"]\n").unwrap();
    let output = world.bulkhead(&["config", "check", "--modules", world.path("modules").to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("UTF-8"), "{said}");
}

/// A process without any mark that a program can remove: two forks, a session of its own, no environment.
fn escape(client: &mut Caller) -> i64 {
    let pids = client.call("bad", "family", json!({ "count": 1, "no_environment": true })).unwrap()["pids"].clone();
    let pid = pids[0].as_i64().unwrap();
    assert_eq!(fs::read(format!("/proc/{pid}/environ")).unwrap(), b"", "it has an environment");
    pid
}

fn users() -> Vec<World> {
    let mut worlds = vec![World::new().env("BULKHEAD_CONTAINMENT", "subreaper")];
    if is_root() {
        worlds.push(World::new().as_nobody());
    } else {
        eprintln!("skipped: user {NOBODY}'s host, as only root can start it");
    }
    worlds
}

#[test]
fn an_orphan_without_any_environment_does_not_outlive_the_guardian() {
    for mut world in users() {
        world.module("bad", "misbehave", "").start();
        let mut client = world.client();
        client.wait_ready("bad");
        let escaped = escape(&mut client);
        kill(client.guardian_pid(), Signal::SIGKILL);
        wait_until_gone(&[escaped]);
        client.wait_ready("bad");
        world.stop();
    }
}

#[test]
fn an_orphan_without_any_environment_that_was_seen_does_not_outlive_the_next_host() {
    for mut world in users() {
        world.module("bad", "misbehave", "").start();
        let mut client = world.client();
        client.wait_ready("bad");
        let escaped = escape(&mut client);
        let record = world.path("state/family.json");
        until("it is recorded", || {
            let text = fs::read_to_string(&record).unwrap_or_default();
            text.contains(&format!("\"pid\":{escaped},")).then_some(())
        });
        let guardian = client.guardian_pid();
        world.host().signal(Signal::SIGSTOP);
        kill(guardian, Signal::SIGKILL);
        world.end_host(Signal::SIGKILL);
        assert!(is_alive(escaped), "no guardian was there to end it");
        world.start();
        wait_until_gone(&[escaped]);
        world.client().wait_ready("bad");
        world.stop();
    }
}

#[test]
fn a_copy_of_a_state_directory_clears_nothing_of_the_original() {
    let (mut world, mut client) = started_by(r#"exec "$@""#);
    let module = client.pid("good");
    assert!(
        Command::new("cp").arg("-r").args([world.state(), world.path("copy")]).status().unwrap().success(),
        "it can be copied"
    );
    let mut other = Host::start(world.run_command_at(&world.path("copy"), &world.path("copy.sock")));
    let path = world.path("copy.sock");
    until("it listens", || std::os::unix::net::UnixStream::connect(&path).ok());
    assert!(is_alive(module));
    assert_eq!(client.pid("good"), module);
    other.signal(Signal::SIGTERM);
    assert_eq!(other.wait().code, Some(0));
    assert!(is_alive(module));
    world.stop();
}
