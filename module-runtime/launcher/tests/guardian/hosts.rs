//! What happens to modules when their host or their guardian ends or misbehaves.

use crate::support::{DEADLINE, Host, ROLE, Setting, await_condition, await_exit, everywhere, files, role, survivors};
use crate::trees::{FAMILY, FAMILY_UP};
use bulkhead_protocol::guardian::{DATAGRAM_BYTES_MAX, Order, Report};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::MsgFlags;
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

#[test]
fn every_tree_is_cleared_when_the_pair_is_closed() {
    everywhere(|host| {
        let mut modules: Vec<_> = (0..2).map(|_| host.script(&format!("{FAMILY} exec sleep 1000"))).collect();
        modules.iter_mut().for_each(|module| drop(module.output.lines(FAMILY_UP)));
        // A third that is just starting, and a leader that has just died.
        let starting = host.order_for(&["/bin/sleep", "1000"]);
        host.send_spawn(starting);
        kill(Pid::from_raw(modules[0].pid), Signal::SIGKILL).unwrap();
        host.host_socket = None;
        assert_eq!(host.guardian_exit().code(), Some(0));
        host.assert_no_process_is_left();
    });
}

/// The socket stays open here, in a process that the host has left behind: the guardian has to notice
/// the host's own end.
#[test]
fn every_tree_is_cleared_when_the_host_is_killed_and_its_end_of_the_pair_lives_on() {
    if let Some(containment) = role() {
        let containment = if containment == "cgroup" { "cgroup" } else { "subreaper" };
        let mut host = Host::start(&Setting { ordinary_user: false, containment });
        let mut module = host.script(&format!("{FAMILY} exec sleep 1000"));
        module.output.lines(FAMILY_UP);
        let copy = host.host_socket.as_ref().unwrap().try_clone().unwrap();
        let keeper = Command::new("/bin/sleep").arg("1000").stdin(Stdio::from(copy)).stderr(Stdio::null()).spawn();
        println!("\nready {} {} {}", host.guardian.id(), keeper.unwrap().id(), host.mark);
        loop {
            std::thread::park();
        }
    }
    for setting in crate::support::settings().iter().filter(|setting| !setting.ordinary_user) {
        let test = "hosts::every_tree_is_cleared_when_the_host_is_killed_and_its_end_of_the_pair_lives_on";
        let mut host = Command::new(&files().itself)
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, setting.containment)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
        let line = lines.find_map(|line| line.unwrap().strip_prefix("ready ").map(str::to_owned)).unwrap();
        let [guardian, keeper, mark] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert!(survivors(mark).len() > FAMILY_UP);
        host.kill().unwrap();
        await_exit(&mut host);
        await_condition("the guardian exits", || !std::path::Path::new(&format!("/proc/{guardian}/exe")).exists());
        assert_eq!(survivors(mark), [0; 0]);
        kill(Pid::from_raw(keeper.parse().unwrap()), Signal::SIGKILL).unwrap();
        // The killed host could not tidy up.
        let _ = std::fs::remove_dir_all(std::env::temp_dir().join(format!("bulkhead-launcher-test-{}", host.id())));
    }
}

#[test]
fn leaders_die_with_a_guardian_that_is_killed_and_the_next_guardian_clears_its_groups() {
    everywhere(|host| {
        let mut modules: Vec<_> = (0..3).map(|_| host.run(&["/bin/sh", "-c", "echo up; exec sleep 1000"])).collect();
        modules.iter_mut().for_each(|module| drop(module.output.lines(1)));
        if host.cgroup.is_some() {
            let mut family = host.script(&format!("{FAMILY} exec sleep 1000"));
            family.output.lines(FAMILY_UP);
        }
        host.guardian.kill().unwrap();
        host.guardian_exit();
        let next = Host::start(&host.setting);
        await_condition("no process is left", || host.survivors().is_empty());
        if let Some(folder) = &host.cgroup {
            // The guardian of another test may have been the first to find it.
            await_condition("its control group is removed", || !std::fs::exists(folder).unwrap());
        }
        drop(next);
    });
}

#[test]
fn a_guardian_is_deaf_to_every_signal_that_can_be_ignored() {
    everywhere(|host| {
        let module = host.run(&["/bin/sleep", "1000"]);
        for signal in
            [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGPIPE, Signal::SIGTSTP]
        {
            kill(Pid::from_raw(host.guardian.id() as i32), signal).unwrap();
        }
        host.kill(module.run);
        host.exited(module.run);
        host.gone(module.run);
    });
}

#[test]
fn an_order_that_no_host_sends_ends_the_guardian_after_it_has_cleared_everything() {
    let null = File::open("/dev/null").unwrap();
    type Mistake<'a> = &'a dyn Fn(&mut Host);
    let mistakes: [(Mistake, &str); 6] = [
        (
            &|host| assert!(host.send_bytes(b"{\"op\":\"dance\"}", &[], MsgFlags::empty()).is_ok()),
            "unknown variant `dance`",
        ),
        (
            &|host| assert!(host.send_bytes(&[b' '; DATAGRAM_BYTES_MAX + 1], &[], MsgFlags::empty()).is_ok()),
            "longer than 131072",
        ),
        (&|host| host.signal(1, 65), "there is no signal 65"),
        (&|host| host.signal(1, 0), "there is no signal 0"),
        (
            &|host| {
                let spawn = host.order_for(&["/bin/true"]);
                host.send(&Order::Spawn(spawn), &[null.as_fd()]);
            },
            "1 descriptors, expected 3",
        ),
        (
            &|host| {
                let mut spawn = host.order_for(&["/bin/true"]);
                spawn.run = 1;
                host.send_spawn(spawn);
            },
            "run 1 was ordered twice",
        ),
    ];
    for (mistake, expected) in mistakes {
        let mut host = Host::start(&Setting::plain());
        let mut module = host.script(&format!("{FAMILY} exec sleep 1000"));
        module.output.lines(FAMILY_UP);
        mistake(&mut host);
        let (status, complaint) = host.guardian_complaint();
        assert_eq!(status.code(), Some(1));
        assert!(complaint.contains(expected), "expected {expected:?} in {complaint:?}");
        host.assert_no_process_is_left();
    }
}

#[test]
fn a_host_that_does_not_read_is_not_sent_more_and_loses_nothing() {
    let mut host = Host::start(&Setting::plain());
    let null = File::open("/dev/null").unwrap();
    let descriptors = [null.as_fd(), null.as_fd(), null.as_fd()];
    // None of these orders fails at once, so the guardian has work to do for each.
    let mut sent = 0;
    loop {
        let spawn = Order::Spawn(host.order_for(&["/bin/true"]));
        let bytes = serde_json::to_vec(&spawn).unwrap();
        let timeout = PollTimeout::from(500u16);
        match host.send_bytes(&bytes, &descriptors, MsgFlags::MSG_DONTWAIT) {
            Ok(_) => sent += 1,
            Err(Errno::EAGAIN | Errno::ETOOMANYREFS) => {
                let mut ready = [PollFd::new(host.host_socket.as_ref().unwrap().as_fd(), PollFlags::POLLOUT)];
                if poll(&mut ready, timeout) == Ok(0) {
                    break;
                }
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 20_000, "the guardian takes orders without end");
    }
    let mut gone = 0;
    while gone < sent {
        match host.next() {
            Report::Gone { killed: 0, .. } => gone += 1,
            Report::Spawned { .. } | Report::Exited { code: Some(0), .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_host_that_stops_reading_and_dies_leaves_nothing() {
    let mut host = Host::start(&Setting::plain());
    let mut module = host.script(&format!("{FAMILY} exec sleep 1000"));
    module.output.lines(FAMILY_UP);
    // More than the guardian keeps unread reports for, and no more than the socket then holds.
    for _ in 0..200 {
        let spawn = host.order_for(&["/bin/true"]);
        host.send_spawn(spawn);
    }
    host.host_socket = None;
    assert_eq!(host.guardian_exit().code(), Some(0), "within {DEADLINE:?}");
    host.assert_no_process_is_left();
}

#[test]
fn an_unknown_containment_is_refused() {
    let (near, far) = nix::sys::socket::socketpair(
        nix::sys::socket::AddressFamily::Unix,
        nix::sys::socket::SockType::SeqPacket,
        None,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
    )
    .unwrap();
    let output = Command::new("/bin/sh")
        .args(["-c", r#"exec "$0" guardian 3<&0"#])
        .arg(&files().runtime)
        .env("BULKHEAD_CONTAINMENT", "bubble")
        .stdin(Stdio::from(far))
        .output()
        .unwrap();
    drop(near);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text, "module-runtime: BULKHEAD_CONTAINMENT is 'bubble', expected cgroup or subreaper\n");
}
