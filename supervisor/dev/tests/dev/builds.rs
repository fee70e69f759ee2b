//! Builds: they come before a reload, and one that fails or hangs changes nothing.

use crate::support::{Dev, Folder, version, write};
use bulkhead_tests::{is_alive, until};
use nix::sys::signal::Signal;
use std::fs;

const BUILD: &str = "[dev]\nbuild = [\"sh\", \"build.sh\"]\n";

/// A build that hangs in a process below its own, whose number it prints.
const HANGS: &str = "sleep 600 &\necho pid $!\nwait\n";

fn pid_of(line: &str) -> i64 {
    line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no number in {line}"))
}

#[test]
fn a_build_comes_before_the_reload_and_what_it_writes_causes_no_other() {
    let folder = Folder::new();
    folder.module("shop", BUILD);
    let shop = folder.path("shop");
    write(
        &shop.join("build.sh"),
        "echo made by $VERSION; cp source.py main.py; date > stamp; mkdir -p out; date > out/b\n",
    );
    folder.save("shop", "built");
    fs::rename(shop.join("main.py"), shop.join("source.py")).unwrap();
    let mut dev = Dev::start(&folder, &[]);
    let mut client = dev.client();
    dev.until("building: sh build.sh");
    dev.until("shop > made by");
    dev.until("built in");
    dev.until("ready in");
    assert_eq!(version(&mut client, "shop"), "built");
    for saved in ["two", "three"] {
        let text = fs::read_to_string(shop.join("source.py")).unwrap();
        write(&shop.join("source.py"), &text.replace("VERSION = ", &format!("VERSION = \"{saved}\" or ")));
        dev.until("reloaded in");
        assert_eq!(version(&mut client, "shop"), saved);
    }
    dev.signal(Signal::SIGTERM);
    dev.wait();
    let lines = [dev.seen().to_vec(), dev.rest()].concat();
    assert_eq!(lines.iter().filter(|line| line.contains("building")).count(), 3, "{lines:?}");
}

#[test]
fn a_build_that_fails_leaves_the_old_process() {
    let folder = Folder::new();
    folder.module("shop", BUILD);
    write(&folder.path("shop").join("build.sh"), "exit 0\n");
    let mut dev = Dev::start(&folder, &[]);
    let mut client = dev.client();
    dev.until("ready in");
    write(&folder.path("shop").join("build.sh"), "echo 'no such thing' >&2; exit 3\n");
    dev.until("shop > no such thing");
    dev.until("it ended with the code 3");
    dev.until("the old process goes on answering");
    assert_eq!(version(&mut client, "shop"), "one");
    write(&folder.path("shop").join("build.sh"), "exit 0\n");
    dev.until("reloaded in");
}

#[test]
fn a_build_that_hangs_is_killed_with_all_its_processes_and_leaves_the_old_process() {
    let folder = Folder::new();
    folder.module("shop", &format!("{BUILD}build_timeout = \"3s\"\n"));
    write(&folder.path("shop").join("build.sh"), "exit 0\n");
    let mut dev = Dev::start(&folder, &[]);
    let mut client = dev.client();
    dev.until("ready in");
    write(&folder.path("shop").join("build.sh"), HANGS);
    let pid = pid_of(&dev.until("> pid"));
    assert_eq!(version(&mut client, "shop"), "one", "it answers during the build");
    dev.until("the build was killed after");
    dev.until("the old process goes on answering");
    until("the end of the build's process", || (!is_alive(pid)).then_some(()));
    assert_eq!(version(&mut client, "shop"), "one");
}

#[test]
fn the_end_of_the_program_is_the_end_of_its_build() {
    let folder = Folder::new();
    folder.module("shop", BUILD);
    write(&folder.path("shop").join("build.sh"), HANGS);
    let mut dev = Dev::start(&folder, &[]);
    let pid = pid_of(&dev.until("> pid"));
    dev.signal(Signal::SIGTERM);
    assert_eq!(dev.wait().code(), Some(0));
    until("the end of the build's process", || (!is_alive(pid)).then_some(()));
}

#[test]
fn a_build_dies_with_a_program_that_is_killed() {
    let folder = Folder::new();
    folder.module("shop", BUILD);
    write(&folder.path("shop").join("build.sh"), "echo pid $$\nexec sleep 600\n");
    let mut dev = Dev::start(&folder, &[]);
    let pid = pid_of(&dev.until("> pid"));
    dev.signal(Signal::SIGKILL);
    dev.wait();
    until("the end of the build", || (!is_alive(pid)).then_some(()));
}

#[test]
fn a_build_that_cannot_be_run_says_so_and_a_manifest_with_another_one_mends_it() {
    let folder = Folder::new();
    folder.module("shop", "[dev]\nbuild = [\"no-such-program\"]\n");
    let mut dev = Dev::start(&folder, &[]);
    dev.until("cannot run no-such-program");
    dev.until("it is loaded after the next save that can be built");
    let path = folder.path("shop").join("module.toml");
    let manifest = fs::read_to_string(&path).unwrap();
    write(&path, &manifest.replace("no-such-program", "true"));
    dev.until("ready in");
    write(&path, "[module]\nname = 7\n");
    dev.until("module.toml:2:8: module.name: expected a text, found the number 7");
    dev.until("the old process goes on answering");
}
