//! Files: folders that go and come, links in a circle, thousands of saves.

use crate::support::{Dev, Folder, make_folder, version, write};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn a_watched_folder_that_goes_and_comes_back_is_watched_again() {
    let folder = Folder::new();
    folder.module("shop", "[dev]\nwatch = [\"parts\", \"main.py\"]\n");
    let parts = folder.path("shop").join("parts");
    make_folder(&parts);
    let mut dev = Dev::start(&folder, &[]);
    let mut client = dev.client();
    dev.until("ready in");
    fs::remove_dir(&parts).unwrap();
    dev.until("parts is gone; the module stays as it is until that is back");
    assert_eq!(version(&mut client, "shop"), "one");
    make_folder(&parts);
    dev.until("parts is back");
    dev.until("reloaded in");
    write(&parts.join("new.py"), "");
    dev.until("reloaded in");
}

#[test]
fn links_in_a_circle_end_and_files_in_new_folders_count() {
    let folder = Folder::new();
    folder.module("shop", "");
    let shop = folder.path("shop");
    symlink(".", shop.join("circle")).unwrap();
    make_folder(&shop.join("a/b"));
    symlink("../..", shop.join("a/b/up")).unwrap();
    let mut dev = Dev::start(&folder, &[]);
    dev.until("ready in");
    write(&shop.join("a/b/deep.py"), "");
    dev.until("reloaded in");
    make_folder(&shop.join("c"));
    dev.until("reloaded in");
    write(&shop.join("c/late.py"), "");
    dev.until("reloaded in");
    dev.signal(Signal::SIGTERM);
    dev.wait();
    assert!(dev.rest().iter().all(|line| !line.contains("not noticed")));
}

#[test]
fn thousands_of_saves_are_few_reloads_and_the_last_one_counts() {
    const SAVES: usize = 3000;
    let folder = Folder::new();
    folder.module("shop", "");
    let mut dev = Dev::start(&folder, &[]);
    let mut client = dev.client();
    dev.until("ready in");
    for number in 0..SAVES {
        fs::write(folder.path("shop").join(format!("part{number}.py")), "").unwrap();
    }
    folder.save("shop", "last");
    while version(&mut client, "shop") != "last" {
        dev.until("reloaded in");
    }
    // The saves take less than some seconds, and each of those is at most one reload.
    assert!(dev.count("reloaded in") < 60, "{}", dev.count("reloaded in"));
}

#[test]
fn what_tools_write_causes_no_reload() {
    let folder = Folder::new();
    folder.module("shop", "");
    let shop = folder.path("shop");
    for name in ["target", "node_modules", ".git", "__pycache__"] {
        make_folder(&shop.join(name));
    }
    let mut dev = Dev::start(&folder, &[]);
    dev.until("ready in");
    for name in ["target/a", "node_modules/a", ".git/index", "__pycache__/a.pyc", ".main.py.swp", "main.py~"] {
        fs::write(shop.join(name), "").unwrap();
    }
    folder.save("shop", "two");
    dev.until("reloaded in");
    folder.save("shop", "three");
    dev.until("reloaded in");
    dev.signal(Signal::SIGTERM);
    dev.wait();
    let lines = [dev.seen().to_vec(), dev.rest()].concat();
    assert_eq!(lines.iter().filter(|line| line.contains("reloaded in")).count(), 2, "{lines:?}");
}
