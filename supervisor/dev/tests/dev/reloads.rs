//! What a save does to processes, and what is shown of them.

use crate::support::{Dev, Folder, status, version};
use bulkhead_protocol::Json;
use bulkhead_tests::{World, timeout};
use nix::sys::signal::Signal;

#[test]
fn a_save_reloads_the_module_which_is_no_crash_and_no_restart() {
    let folder = Folder::new();
    folder.module("shop", "");
    let mut dev = Dev::start(&folder, &[]);
    let mut client = dev.client();
    dev.until("shop * ready in");
    assert_eq!(version(&mut client, "shop"), "one");
    let before = status(&mut client, "shop");
    for saved in ["two", "three"] {
        folder.save("shop", saved);
        dev.until("reloaded in");
        assert_eq!(version(&mut client, "shop"), saved);
    }
    let after = status(&mut client, "shop");
    assert_eq!((&before["restarts"], &after["restarts"]), (&0.into(), &0.into()), "{after}");
    assert_eq!(after["last_exit"], "stopped (exit code 0)");
    assert_ne!(after["pid"], before["pid"]);
    assert_eq!(dev.count("crashed"), 0);
    dev.until_seen("shop | this is three");
    let lines = dev.seen();
    assert!(lines.iter().all(|line| !line.contains('\x1b')), "a pipe gets no colour: {lines:?}");
}

#[test]
fn a_new_process_that_fails_leaves_the_old_one_and_says_why() {
    let folder = Folder::new();
    folder.module("shop", "");
    let mut dev = Dev::start(&folder, &[]);
    let mut client = dev.client();
    dev.until("ready in");
    folder.save("shop", "broken");
    let line = dev.until("the old one stays");
    assert!(line.starts_with("shop ! "), "{line}");
    assert_eq!(version(&mut client, "shop"), "one");
    assert_eq!(status(&mut client, "shop")["restarts"], 0);
    folder.save("shop", "two");
    dev.until("reloaded in");
    assert_eq!(version(&mut client, "shop"), "two");
}

#[test]
fn a_save_starts_a_module_at_once_that_waits_after_a_failure() {
    let folder = Folder::new();
    folder.module("shop", "[restart]\ndelay_initial = \"1h\"\ndelay_max = \"1h\"\n");
    folder.save("shop", "broken");
    let mut dev = Dev::start(&folder, &[]);
    let mut client = dev.client();
    dev.until("did not become ready");
    dev.until("crashed: exit code 1");
    folder.save("shop", "two");
    dev.until("ready in");
    assert_eq!(version(&mut client, "shop"), "two");
}

#[test]
fn modules_that_require_a_reloaded_one_are_reloaded_after_it_and_others_are_not() {
    let folder = Folder::new();
    folder.module("c", "requires = [\"b\"]\n").module("b", "requires = [\"a\"]\n").module("a", "").module("d", "");
    let mut dev = Dev::start(&folder, &["."]);
    let mut client = dev.client();
    for _ in 0..4 {
        dev.until("ready in");
    }
    let pid = status(&mut client, "d")["pid"].clone();
    folder.save("a", "two");
    for name in ["a", "b", "c"] {
        let line = dev.until("reloaded in");
        assert!(line.starts_with(&format!("{name}   *")), "{line}");
    }
    assert_eq!(status(&mut client, "d")["pid"], pid);
}

#[test]
fn a_crash_is_shown_with_its_signal_its_message_and_the_command_that_plays_it_again() {
    let folder = Folder::new();
    folder.module("shop", "");
    let mut dev = Dev::start(&folder, &[]);
    let mut client = dev.client();
    dev.until("ready in");
    client.call("shop", "die", Json::null(), Some(timeout())).expect_err("it dies");
    let title = dev.until("crashed: ");
    assert!(title.contains("SIGSEGV"), "{title}");
    dev.until("| Fatal Python error: Segmentation fault");
    dev.until("in flight (started): command");
    let again = dev.until("again: bulkhead --socket ");
    assert!(again.contains(" replay shop-"), "{again}");
    dev.until("ready again");
}

#[test]
fn the_call_after_each_reload_shows_what_has_changed_in_its_answer() {
    let folder = Folder::new();
    folder.module("shop", "");
    let mut dev = Dev::start(&folder, &["--once", "version {\"a\":1}"]);
    dev.until("=     \"version\": \"one\"");
    folder.save("shop", "two");
    dev.until("= -   \"version\": \"one\"");
    dev.until("= +   \"version\": \"two\"");
    folder.save("shop", "two");
    dev.until("the same answer");
}

#[test]
fn a_daemon_that_is_joined_reloads_on_a_save_and_keeps_running() {
    let folder = Folder::new();
    folder.module("shop", "");
    let mut world = World::new();
    let mut command = world.run_command();
    command.arg("--modules").arg(folder.path("shop"));
    world.start_as(command);
    let mut caller = world.client();
    caller.wait_ready("shop");
    let socket = world.socket();
    let mut dev = Dev::start(&folder, &["--join", "--socket", socket.to_str().unwrap()]);
    dev.until("joined the daemon");
    folder.save("shop", "two");
    dev.until("reloaded in");
    assert_eq!(version(&mut caller.0, "shop"), "two");
    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.wait().code(), Some(0));
    assert_eq!(version(&mut caller.0, "shop"), "two");
}
