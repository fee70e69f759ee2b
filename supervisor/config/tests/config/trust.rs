//! Files that another user could change: refused before anything of them is used, with the mode that would do.

use crate::support::{SCRIPT, Tree};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
};

const MANIFEST: &str = "[module]\nname = 'a'\ncommand = ['./bin/run', 'lib/main.py', '/dev/null', '--x']\n";

/// A module with all that a command can name, and a host's file.
fn tree() -> Tree {
    let tree = Tree::new();
    tree.write("modules/a/module.toml", MANIFEST)
        .program("modules/a/bin/run", SCRIPT)
        .write("modules/a/lib/main.py", "")
        .write("modules/a/data", "")
        .write("bulkhead.toml", "[host]\nmodules = ['modules']\n");
    // Whatever the mask of modes of the test is.
    for name in ["modules", "modules/a", "modules/a/bin", "modules/a/lib"] {
        set(&tree, name, 0o755);
    }
    for name in ["modules/a/module.toml", "modules/a/lib/main.py", "modules/a/data", "bulkhead.toml"] {
        set(&tree, name, 0o644);
    }
    tree
}

fn set(tree: &Tree, name: &str, mode: u32) {
    fs::set_permissions(tree.path().join(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn whatever_others_may_write_is_refused_and_the_mode_that_would_do_is_named() {
    for (name, mode, fit) in [
        ("bulkhead.toml", 0o646, "644"),
        ("modules", 0o757, "755"),
        ("modules", 0o1757, "1755"),
        ("modules/a", 0o757, "755"),
        ("modules/a", 0o1757, "1755"),
        ("modules/a/module.toml", 0o646, "644"),
        ("modules/a/bin", 0o777, "775"),
        ("modules/a/bin/run", 0o777, "775"),
        ("modules/a/lib", 0o757, "755"),
        ("modules/a/lib/main.py", 0o646, "644"),
    ] {
        let tree = tree();
        assert!(tree.load_host().is_ok(), "{:?}", tree.load_host());
        set(&tree, name, mode);
        let path = tree.path().join(name).canonicalize().unwrap();
        let path = path.display();
        let found = tree.load_host().unwrap_err().to_string();
        assert!(found.contains(&format!("{path} may be written by everybody (mode {mode:04o})")), "{name}: {found}");
        assert!(found.contains(&format!("; chmod {fit} {path}")), "{name}: {found}");
    }
}

#[test]
fn what_is_only_data_or_only_on_the_way_and_sticky_is_not_refused() {
    let tree = tree();
    set(&tree, "modules/a/data", 0o666);
    set(&tree, "modules/a/bin", 0o1777);
    tree.load_host().unwrap();
    // A group of one's own, as where each user has one, and a mask of modes of 002.
    for name in ["modules", "modules/a", "modules/a/bin", "modules/a/lib", "modules/a/bin/run"] {
        set(&tree, name, 0o775);
    }
    for name in ["modules/a/module.toml", "bulkhead.toml", "modules/a/lib/main.py"] {
        set(&tree, name, 0o664);
    }
    tree.load_host().unwrap();
}

#[test]
fn a_library_and_webassembly_are_looked_at_as_a_program_is() {
    for (kind, key, head) in [("native", "library", &b"\x7fELF"[..]), ("wasm", "wasm", &b"\0asm\x01\0\0\0"[..])] {
        let tree = Tree::new();
        let manifest = format!("[module]\nname = 'a'\ntype = '{kind}'\n{key} = 'it'\n");
        tree.write("modules/a/module.toml", manifest);
        let content = if kind == "native" { fs::read(this_machines_library()).unwrap() } else { head.to_vec() };
        tree.write("modules/a/it", content);
        set(&tree, "modules/a/it", 0o644);
        tree.load_modules().unwrap();
        set(&tree, "modules/a/it", 0o646);
        let found = tree.problems();
        assert!(found.contains(&format!("module.{key}: ")) && found.contains("chmod 644"), "{found}");
    }
}

/// The C library, which this test has.
fn this_machines_library() -> String {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| Some(&line[line.find('/')?..]));
    paths.filter(|path| path.contains("libc.so")).map(str::to_owned).next().expect("the test is linked with it")
}

#[test]
fn a_link_leads_no_further_than_what_it_stands_for() {
    let tree = tree();
    tree.program("elsewhere/run", SCRIPT);
    set(&tree, "elsewhere", 0o777);
    fs::remove_file(tree.path().join("modules/a/bin/run")).unwrap();
    symlink(tree.path().join("elsewhere/run"), tree.path().join("modules/a/bin/run")).unwrap();
    let found = tree.load_host().unwrap_err().to_string();
    assert!(found.contains("elsewhere may be written by everybody"), "{found}");
    set(&tree, "elsewhere", 0o755);
    tree.load_host().unwrap();
}

#[test]
fn what_belongs_to_another_user_is_refused() {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        return eprintln!("skipped: another user's files, since only root can make some");
    }
    let names = ["bulkhead.toml", "modules", "modules/a", "modules/a/module.toml", "modules/a/bin/run"];
    for name in names.into_iter().chain(["modules/a/lib/main.py", "modules/a/bin"]) {
        let tree = tree();
        chown(tree.path().join(name), Some(64999), Some(64999)).unwrap();
        let found = tree.load_host().unwrap_err().to_string();
        assert!(found.contains(&format!("{name} belongs to user 64999")), "{name}: {found}");
        assert!(found.contains("expected root; chown 0 "), "{name}: {found}");
    }
}
