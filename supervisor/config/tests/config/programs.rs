//! Commands that can't be run, seen before anybody tries.

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
        let mut surroundings = tree.surroundings();
        surroundings.variables.insert("PATH".into(), path.into());
        let flags = bulkhead_config::Flags { modules: vec!["modules".into()], ..Default::default() };
        bulkhead_config::HostConfig::load_in(flags, &surroundings)
            .map(|loaded| loaded.modules[0].kind.program().unwrap().to_owned())
    };
    let tools = tree.path().join("tools");
    assert_eq!(load(format!(".::/none:{}", tools.display())).unwrap(), tools.join("tool"));
    assert!(load(".:tools".into()).unwrap_err().to_string().contains("found no program \"tool\" in $PATH"));
}
