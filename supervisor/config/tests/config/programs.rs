//! Commands that can't be run, detected before a start is tried.

use crate::support::{SCRIPT, Tree};

/// What is wrong with the command `./run` when the file holds `content`.
fn problem_of(content: &[u8]) -> Option<String> {
    let tree = Tree::new();
    tree.write("modules/a/module.toml", "[module]\nname = 'a'\ncommand = ['./run']\n")
        .program("modules/a/run", content);
    let problems = tree.load_modules().err()?.to_string();
    let prefix = "modules/a/module.toml:3:12: module.command: modules/a/run: ";
    Some(problems.strip_prefix(prefix).unwrap_or(&problems).to_owned())
}

#[test]
fn what_the_kernel_can_run_is_accepted() {
    for content in
        [SCRIPT, "#! /bin/sh -e\n", "#!/usr/bin/env sh\n", "#!/usr/bin/env -S sh -e\n", "\u{7f}ELF\0\0", "MZ\0\0"]
    {
        assert_eq!(problem_of(content.as_bytes()), None, "{content:?}");
    }
}

#[test]
fn a_script_without_its_interpreter_is_refused() {
    let cases = [
        ("#!/opt/none/python9\nprint(1)\n", "is a script whose interpreter \"/opt/none/python9\" is not there"),
        ("#!/usr/bin/env python9\n", "is a script whose interpreter \"python9\" is not in $PATH"),
        ("#!/usr/bin/env -S python9 -u\n", "is a script whose interpreter \"python9\" is not in $PATH"),
        ("#!/etc/passwd\n", "is a script whose interpreter \"/etc/passwd\" is not executable"),
        ("#!/bin/sh\r\nexit\r\n", "its \"#!\" line ends in a carriage return; save the script with Unix line ends"),
        ("#!\n", "its \"#!\" line names no interpreter"),
        ("echo hello\n", "expected a program, found text without a \"#!\" line that names its interpreter"),
        ("", "expected a program, found an empty file"),
    ];
    for (content, expected) in cases {
        assert_eq!(problem_of(content.as_bytes()).as_deref(), Some(expected), "{content:?}");
    }
}

#[test]
fn a_bare_word_is_looked_up_in_absolute_folders_of_path_only() {
    let tree = Tree::new();
    tree.write("modules/a/module.toml", "module = { name = 'a', command = ['tool'] }");
    tree.program("tools/tool", SCRIPT).program("tool", SCRIPT);
    let load = |path: String| {
        let mut environment = tree.environment();
        environment.variables.insert("PATH".into(), path.into());
        let flags = bulkhead_config::Flags { modules: vec!["modules".into()], ..Default::default() };
        bulkhead_config::HostConfig::load_in(flags, &environment)
            .and_then(bulkhead_config::Loaded::whole)
            .map(|loaded| loaded.modules[0].kind.program().unwrap().to_owned())
    };
    let tools = tree.path().join("tools");
    assert_eq!(load(format!(".::/none:{}", tools.display())).unwrap(), tools.join("tool"));
    assert!(load(".:tools".into()).unwrap_err().to_string().contains("found no program \"tool\" in $PATH"));
}

#[test]
fn what_could_not_be_passed_to_a_process_as_text_is_refused_and_reported_once() {
    use bulkhead_config::{Flags, HostConfig, Loaded};
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let tree = Tree::new();
    for name in ["a", "b"] {
        let manifest = format!("[module]\nname = '{name}'\ncommand = ['/bin/true']\ninherit_env = ['MINE']\n");
        tree.write(&format!("modules/{name}/module.toml"), manifest);
    }
    let odd = OsStr::from_bytes(b"/home/\xff");
    let found = |name: &str| {
        let mut environment = tree.environment();
        environment.variables.insert(name.into(), odd.to_owned());
        let flags = Flags { modules: vec!["modules".into()], state: Some("state".into()), ..Flags::default() };
        HostConfig::load_in(flags, &environment)
            .and_then(Loaded::whole)
            .map(drop)
            .map_err(|problems| problems.to_string())
    };
    for name in ["HOME", "MINE"] {
        let expected = format!(
            "${name}: expected UTF-8 in a variable that modules inherit, found \"/home/\\xFF\"; set it to something \
             else for the host"
        );
        assert_eq!(found(name), Err(expected));
    }
    assert_eq!(found("OTHER"), Ok(()), "no module is given it");

    // A program that is found in a folder of such a name.
    let folder = tree.path().join(OsStr::from_bytes(b"bin\xff"));
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/bin/true", folder.join("odd-program")).unwrap();
    tree.write("modules/a/module.toml", "[module]\nname = 'a'\ncommand = ['odd-program']\n");
    let mut environment = tree.environment();
    environment.variables.insert("PATH".into(), folder.into_os_string());
    let flags = Flags { modules: vec!["modules/a".into()], state: Some("state".into()), ..Flags::default() };
    let found = HostConfig::load_in(flags, &environment).and_then(Loaded::whole).unwrap_err().to_string();
    assert!(found.contains("module.command: expected a path in UTF-8, found ") && found.contains("$PATH: "), "{found}");
}
