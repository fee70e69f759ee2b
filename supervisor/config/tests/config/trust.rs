//! Files that another user could change: refused before anything of them is used, with the mode that would be accepted.

use crate::support::{SCRIPT, Tree, owners_of_checkout};
use bulkhead_config::{Environment, Flags, HostConfig, Loaded, ModuleConfig};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
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
    // Regardless of the test's umask.
    for name in ["modules", "modules/a", "modules/a/bin", "modules/a/lib"] {
        set(&tree, name, 0o755);
    }
    for name in ["modules/a/module.toml", "modules/a/lib/main.py", "modules/a/data", "bulkhead.toml"] {
        set(&tree, name, 0o644);
    }
    tree
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
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
    // A group of one's own, as where each user has one, and a umask of 002.
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
    if !is_root() {
        return eprintln!("skipped: another user's files, since only root can make some");
    }
    let names = ["bulkhead.toml", "modules", "modules/a", "modules/a/module.toml", "modules/a/bin/run"];
    for name in names.into_iter().chain(["modules/a/lib/main.py", "modules/a/bin"]) {
        let tree = tree();
        chown(tree.path().join(name), Some(64999), Some(64999)).unwrap();
        let found = tree.load_host().unwrap_err().to_string();
        assert!(found.contains(&format!("{name} belongs to user 64999")), "{name}: {found}");
        assert!(found.contains("expected root") && found.contains("; chown 0 "), "{name}: {found}");
        assert!(found.contains(", or trust that user with --trust-user 64999"), "{name}: {found}");
    }
}

#[test]
fn a_trusted_users_files_are_taken_and_those_that_others_may_write_are_not() {
    if !is_root() {
        return eprintln!("skipped: a trusted user's files, since only root can make some");
    }
    let tree = tree();
    let names = ["bulkhead.toml", "modules", "modules/a", "modules/a/module.toml", "modules/a/bin/run"];
    for name in names.into_iter().chain(["modules/a/lib", "modules/a/lib/main.py", "modules/a/bin"]) {
        chown(tree.path().join(name), Some(64999), Some(64999)).unwrap();
    }
    let load = |trusted: &[u32]| {
        let mut environment = tree.environment();
        environment.trusted_users.extend(trusted);
        let flags = Flags { config: Some("bulkhead.toml".into()), ..Flags::default() };
        HostConfig::load_in(flags, &environment).and_then(Loaded::whole)
    };
    let loaded = load(&[7, 64999]).unwrap();
    assert!(loaded.host.trusted_users.ends_with(&[7, 64999]));
    loaded.check().unwrap();
    let third = load(&[7]).unwrap_err().to_string();
    assert!(third.contains("belongs to user 64999") && third.contains(" or user 7"), "{third}");
    // What was loaded is checked again with the users that a host trusts then.
    let mut distrusting = loaded.clone();
    distrusting.host.trusted_users.retain(|user| *user != 64999);
    assert!(distrusting.check().unwrap_err().to_string().contains("belongs to user 64999"));
    // With a umask of 002, where each user has a group.
    for (name, mode) in [("modules/a", 0o2775), ("modules/a/module.toml", 0o664), ("modules/a/bin/run", 0o775)] {
        set(&tree, name, mode);
    }
    load(&[64999]).unwrap();
    for (name, mode) in [("modules", 0o757), ("modules/a/module.toml", 0o646), ("modules/a/bin/run", 0o757)] {
        let path = tree.path().join(name);
        let before = fs::metadata(&path).unwrap().permissions();
        set(&tree, name, mode);
        let found = load(&[64999]).unwrap_err().to_string();
        assert!(found.contains(&format!("{name} may be written by everybody")), "{name}: {found}");
        fs::set_permissions(path, before).unwrap();
    }
    chown(tree.path().join("modules/a/module.toml"), None, Some(64998)).unwrap();
    assert!(load(&[64999]).unwrap_err().to_string().contains("may be written by group 64998"));
}

#[test]
fn whom_the_host_trusts_is_shown_with_its_origin_and_no_file_can_say_it() {
    let tree = Tree::new();
    tree.research_log();
    let shown = |trusted: &[u32], json| {
        let mut environment = Environment { trusted_users: trusted.to_vec(), ..tree.environment() };
        environment.trusted_users.extend(owners_of_checkout());
        let flags = Flags { modules: vec!["modules".into()], ..Flags::default() };
        let loaded = HostConfig::load_in(flags, &environment).unwrap();
        (bulkhead_config::show(&loaded, json), loaded.host.trusted_users)
    };
    let (text, _) = shown(&[7, 64999], false);
    let line = text.lines().find(|line| line.starts_with("trusted_users = [7, 64999")).unwrap();
    assert!(line.ends_with("# --trust-user"), "{line}");
    assert!(text.find("trusted_users").unwrap() < text.find("[restarts]").unwrap(), "it stands in [host]: {text}");
    let (text, users) = shown(&[], true);
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let row = rows.into_iter().find(|row| row["key"] == "host.trusted_users").unwrap();
    let origin = if users.is_empty() { "default" } else { "--trust-user" };
    assert_eq!((&row["value"], &row["origin"]), (&serde_json::json!(users), &serde_json::json!(origin)));

    tree.write("bulkhead.toml", "[host]\nmodules = ['modules']\ntrusted_users = [64999]\n");
    let found = tree.load_host().unwrap_err().to_string();
    let expected = "bulkhead.toml:3:1: host.trusted_users: a file cannot say whom the host trusts";
    assert!(found.contains(expected) && found.contains("--trust-user USER"), "{found}");
}

#[test]
fn what_a_program_names_is_looked_at_before_it_is_run_by_whom_its_host_trusts() {
    let tree = Tree::new();
    tree.program("run", SCRIPT).program("safe", SCRIPT);
    let module = |name: &str| ModuleConfig::process("a", [tree.path().join(name).to_str().unwrap()]).unwrap();
    let check = |name: &str| {
        let mut host = HostConfig::new(tree.path().join("state"), tree.path().join("socket"));
        host.trusted_users.extend(owners_of_checkout());
        Loaded::new(host, vec![module(name)]).check()
    };
    set(&tree, "run", 0o757);
    check("safe").unwrap();
    let found = check("run").unwrap_err().to_string();
    assert!(found.contains("module a: module.command: ") && found.contains("chmod 755"), "{found}");
    // The interpreter counts as well.
    let interpreter = tree.path().join("interpreter");
    fs::copy("/bin/sh", &interpreter).unwrap();
    tree.program("script", format!("#!{}\n", interpreter.display()));
    check("script").unwrap();
    set(&tree, "interpreter", 0o757);
    let found = check("script").unwrap_err().to_string();
    assert!(found.contains("whose interpreter may not be used") && found.contains("chmod 755"), "{found}");
}
