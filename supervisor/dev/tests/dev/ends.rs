//! How the program ends, and that nothing is left of it.

use crate::support::{Dev, Folder, status};
use bulkhead_tests::{is_alive, owners_of_checkout, program, until, wait_until_gone};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn place_of(line: &str) -> PathBuf {
    let socket = line.split("--socket ").nth(1).and_then(|rest| rest.split(' ').next()).expect("it has a path");
    Path::new(socket).parent().expect("it is in a folder").to_owned()
}

fn started(folder: &Folder, words: &[&str]) -> (Dev, PathBuf, i64) {
    let mut dev = Dev::start(folder, words);
    let mut client = dev.client();
    let place = place_of(dev.seen().last().expect("it was just read"));
    dev.until("ready in");
    let pid = status(&mut client, "shop")["pid"].as_i64().expect("it is ready");
    (dev, place, pid)
}

#[test]
fn a_signal_stops_the_modules_and_removes_the_folder() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let folder = Folder::new();
        folder.module("shop", "");
        let (mut dev, place, pid) = started(&folder, &[]);
        assert!(place.is_dir());
        dev.signal(signal);
        assert_eq!(dev.wait().code(), Some(0), "{signal}");
        assert!(!is_alive(pid) && !place.exists());
    }
}

#[test]
fn a_program_that_is_killed_leaves_no_process_and_the_next_one_removes_its_folder() {
    let folder = Folder::new();
    folder.module("shop", "");
    let (mut dev, place, pid) = started(&folder, &[]);
    dev.signal(Signal::SIGKILL);
    dev.wait();
    wait_until_gone(&[pid]);
    assert!(place.is_dir());
    drop(started(&folder, &[]));
    until("the folder of the killed one is removed", || (!place.exists()).then_some(()));
}

#[test]
fn a_folder_that_is_kept_stays_and_is_named() {
    let folder = Folder::new();
    folder.module("shop", "");
    let mut dev = Dev::start(&folder, &["--keep"]);
    let line = dev.until("its state stays in ");
    let place = PathBuf::from(line.split("stays in ").nth(1).unwrap());
    dev.until("ready in");
    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.wait().code(), Some(0));
    assert!(place.join("state/layer1").is_dir(), "{}", place.display());
    std::fs::remove_dir_all(&place).unwrap();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    folder.module("shop", "[limits]\nstop_timeout = \"1h\"\n");
    folder.save("shop", "stubborn");
    let (mut dev, _, pid) = started(&folder, &[]);
    dev.signal(Signal::SIGINT);
    let mut signals = 0;
    let status = until("the end after another signal", || {
        signals += 1;
        dev.signal(Signal::SIGINT);
        dev.child.try_wait().expect("a child can be waited for")
    });
    assert_eq!(status.code(), Some(130), "after {signals} signals");
    wait_until_gone(&[pid]);
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let folder = Folder::new();
    folder.module("shop", "");
    let script = r#""$0" "$@" | head -n 1; exit "${PIPESTATUS[0]}""#;
    let mut command = Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_bulkhead-dev")]).current_dir(folder.path("shop"));
    command.args(owners_of_checkout().iter().map(|owner| format!("--trust-user={owner}")));
    command.env("BULKHEAD_RUNTIME", program("module-runtime"));
    let Output { status, stdout, .. } = command.output().expect("there is bash");
    let line = String::from_utf8_lossy(&stdout).into_owned();
    assert_eq!(status.code(), Some(0), "{line}");
    assert!(!place_of(&line).exists());
}

#[test]
fn what_cannot_begin_says_why() {
    let folder = Folder::new();
    let run = |words: &[&str]| -> (Option<i32>, String) {
        let mut dev = Dev::start(&folder, words);
        let code = dev.wait().code();
        (code, dev.rest().join("\n"))
    };
    let (code, said) = run(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("expected a module.toml in it or in one of its folders, found none"), "{said}");
    folder.module("shop", "[dev]\nbuilt = []\n");
    let (code, said) = run(&["shop"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("unknown key \"dev.built\"; did you mean \"dev.build\"?"), "{said}");
    folder.module("shop", "");
    let (code, said) = run(&["shop", "--join", "--socket", "/no/such/socket"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is no socket at /no/such/socket"), "{said}");
}
