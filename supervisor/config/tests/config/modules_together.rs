//! What is wrong only with several modules or folders: one name twice, requirements, odd folders.

use crate::support::{RESEARCH_LOG, Tree};
use bulkhead_config::{Environment, Flags, HostConfig, Paths};
use bulkhead_protocol::ModuleName;
use std::{fs, os::unix::fs::symlink};

/// Writes a module that requires others.
fn module(tree: &Tree, folder: &str, name: &str, requires: &[&str]) {
    let manifest = format!("[module]\nname = {name:?}\ncommand = [\"/bin/sh\"]\nrequires = {requires:?}\n");
    tree.write(&format!("modules/{folder}/module.toml"), manifest);
}

#[test]
fn two_modules_of_one_name_are_refused_with_both_places() {
    let tree = Tree::new();
    module(&tree, "a", "log", &[]);
    module(&tree, "b", "log", &[]);
    let expected = "modules/a/module.toml:2:1: two modules have the name \"log\", this one and \
        modules/b/module.toml:2:1; rename one\n\
        modules/b/module.toml:2:1: two modules have the name \"log\", this one and \
        modules/a/module.toml:2:1; rename one";
    assert_eq!(tree.problems(), expected);
}

#[test]
fn what_is_wrong_with_some_modules_keeps_no_other_from_being_loaded() {
    let tree = Tree::new();
    module(&tree, "good", "good", &[]);
    module(&tree, "twice", "twice", &[]);
    module(&tree, "again", "twice", &[]);
    module(&tree, "hen", "hen", &["egg"]);
    module(&tree, "egg", "egg", &["hen"]);
    module(&tree, "lonely", "lonely", &["missing"]);
    // It waits for the module with the fault.
    module(&tree, "waiting", "waiting", &["twice"]);
    tree.write("modules/absent/module.toml", "[module]\nname = 'absent'\ncommand = ['./absent']\n");
    let loaded = tree.load_what_is_right().unwrap();
    let names: Vec<&str> = loaded.modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["good", "waiting"]);
    let mut faulty: Vec<&str> = loaded.faulty.iter().map(|faulty| faulty.name.as_ref().unwrap().as_str()).collect();
    faulty.sort_unstable();
    assert_eq!(faulty, ["absent", "egg", "hen", "lonely", "twice", "twice"]);
    // A program that checks what was loaded finds nothing new.
    assert_eq!(loaded.clone().sifted().unwrap(), loaded);
    loaded.check().unwrap();
    let whole = loaded.clone().whole().unwrap_err();
    assert!(whole.iter().count() >= 5, "{whole}");
    let index = loaded.index();
    let of = |name: &str, folder: &str| index.withheld(name, Some(&tree.path().join("modules").join(folder)));
    assert!(of("absent", "absent").is_some() && of("renamed", "absent").is_some());
    assert!(of("good", "absent").is_none() && of("gone", "gone").is_none());
    assert_eq!(index.module("good").map(|module| module.name.as_str()), Some("good"));
}

#[test]
fn a_fault_of_the_hosts_file_is_reported_with_those_of_the_modules_and_nothing_is_loaded() {
    let tree = Tree::new();
    module(&tree, "good", "good", &[]);
    tree.write("modules/bad/module.toml", "[module]\nname = 'bad'\ncommand = ['./absent']\ntype = 'proces'\n");
    let load = |text: &str| {
        tree.write("bulkhead.toml", format!("host = {{ modules = ['modules'] }}\n{text}"));
        let flags = bulkhead_config::Flags { config: Some("bulkhead.toml".into()), ..Default::default() };
        bulkhead_config::HostConfig::load_in(flags, &tree.environment())
    };
    let problems = load("[module.good]\nspare = 1\n").unwrap_err().to_string();
    assert!(problems.contains("bulkhead.toml:3:1: ") && problems.contains("modules/bad/module.toml:4:8"), "{problems}");
    // Settings of a module with a fault may be wrong because of that.
    let loaded = load("[module.bad]\nwasi = { read = ['x'] }\n").unwrap();
    assert_eq!((loaded.modules.len(), loaded.faulty.len()), (1, 1));
    assert!(loaded.faulty[0].problems.iter().any(|problem| problem.file == Some("bulkhead.toml".into())));
}

#[test]
fn a_circle_of_requirements_is_reported_for_each_in_it_from_its_first_name() {
    let tree = Tree::new();
    module(&tree, "1", "charlie", &["alpha"]);
    module(&tree, "2", "alpha", &["delta", "bravo"]);
    module(&tree, "3", "bravo", &["charlie"]);
    module(&tree, "4", "delta", &[]);
    module(&tree, "5", "outside", &["alpha", "bravo"]);
    let problems = tree.problems();
    let (mut lines, circle) =
        (problems.lines(), "goes in a circle, alpha → bravo → charlie → alpha; none of them could start");
    for position in ["1/module.toml:4:13", "2/module.toml:4:22", "3/module.toml:4:13"] {
        assert_eq!(lines.next(), Some(&*format!("modules/{position}: module.requires: {circle}")));
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn a_long_circle_is_reported_in_short() {
    let tree = Tree::new();
    for number in 0..300 {
        let required = format!("m{}", (number + 1) % 300);
        module(&tree, &number.to_string(), &format!("m{number}"), &[&required]);
    }
    let problems = tree.problems();
    assert_eq!(problems.lines().count(), 300);
    assert!(problems.lines().all(|line| line.contains(" → 281 more → ") && line.len() < 400), "{problems}");
}

#[test]
fn a_long_chain_of_requirements_is_fine() {
    let tree = Tree::new();
    for number in 0..300 {
        let required = format!("m{}", number + 1);
        module(&tree, &number.to_string(), &format!("m{number}"), &[&required]);
    }
    module(&tree, "last", "m300", &[]);
    assert_eq!(tree.load_modules().unwrap().modules.len(), 301);
}

#[test]
fn a_misspelt_requirement_names_the_nearest_module() {
    let tree = Tree::new();
    module(&tree, "a", "database", &[]);
    module(&tree, "b", "log", &["databse", "nothing"]);
    let problems = tree.problems();
    assert!(
        problems.contains(
            "modules/b/module.toml:4:13: module.requires: found no module \"databse\"; did you mean \"database\"?"
        ),
        "{problems}"
    );
    assert!(problems.contains("4:24: module.requires: found no module \"nothing\"; add its folder"), "{problems}");
}

#[test]
fn a_manifest_that_cannot_be_read_accuses_no_other() {
    let tree = Tree::new();
    module(&tree, "a", "log", &["database"]);
    tree.write("modules/b/module.toml", "[module]\nname = \"database\"\ncommand = [\n");
    assert_eq!(tree.problems(), "modules/b/module.toml:3:12: not TOML: unclosed array, expected `]`");
}

#[test]
fn all_problems_of_all_files_come_in_one_run() {
    let tree = Tree::new();
    tree.research_log().write("modules/research-log/module.toml", RESEARCH_LOG.replace("200ms", "200"));
    module(&tree, "a", "1log", &[]);
    tree.write("bulkhead.toml", "[host]\nmodules = ['modules']\nclients = 1\n[module.research-log]\nspare = 1\n");
    let problems = tree.load_host().unwrap_err();
    let files: Vec<String> = problems.iter().map(|p| p.file.clone().unwrap().display().to_string()).collect();
    let expected = ["bulkhead.toml", "bulkhead.toml", "modules/a/module.toml", "modules/research-log/module.toml"];
    assert_eq!(files, expected, "{problems}");
}

#[test]
fn messages_that_are_read_elsewhere_have_absolute_paths() {
    let tree = Tree::new();
    tree.research_log().write("modules/bad/module.toml", "colour = 1").write("modules/stray/text", "");
    tree.write("modules/absent/module.toml", "[module]\nname = \"absent\"\ncommand = [\"bin/absent\"]");
    let environment = Environment { paths: Paths::Absolute, ..tree.environment() };
    let flags = Flags { modules: vec!["modules".into()], ..Flags::default() };
    let loaded = HostConfig::load_in(flags, &environment).unwrap();
    let faults = loaded.faulty.iter().flat_map(|faulty| faulty.problems.iter().map(ToString::to_string));
    let said: Vec<String> = faults.chain(loaded.passed_over.iter().map(ToString::to_string)).collect();
    let folder = format!("{}/", tree.path().join("modules").display());
    assert!(said.len() >= 3 && said.iter().all(|line| line.starts_with(&folder)), "{said:#?}");
    let absent = tree.path().join("modules/absent/bin/absent").display().to_string();
    assert!(said.iter().any(|line| line.contains(&absent)), "{said:#?}");
    let flags = Flags { modules: vec!["nowhere".into()], ..Flags::default() };
    let refused = HostConfig::load_in(flags, &environment).unwrap_err().to_string();
    assert!(refused.starts_with(&*tree.path().join("nowhere").to_string_lossy()), "{refused}");
}

#[test]
fn of_modules_in_force_those_are_faulty_whose_folders_have_lost_their_manifests_alone() {
    let tree = Tree::new();
    tree.research_log().write("modules/lost/text", "").write("modules/moved/text", "").write("outside/text", "");
    let mut loaded = tree.load_modules().unwrap();
    let name = |text: &str| ModuleName::new(text).unwrap();
    let folder = |name: &str| tree.path().join(name);
    loaded.note_without_manifest([
        (name("lost"), folder("modules/lost")),
        (name("gone"), folder("modules/gone")),
        // Its module is in another folder now.
        (name("research-log"), folder("modules/moved")),
        // No folder of modules is named that has it.
        (name("outside"), folder("outside")),
    ]);
    let faulty: Vec<String> = loaded.faulty.iter().map(ToString::to_string).collect();
    assert_eq!(faulty, ["module lost"]);
    let problem = loaded.faulty[0].problems.to_string();
    assert!(
        problem.contains("modules/lost/module.toml: expected the manifest of lost, found none; put it"),
        "{problem}"
    );
    let strays: Vec<_> =
        loaded.passed_over.iter().filter(|passed| passed.is_folder).map(|passed| &passed.path).collect();
    assert_eq!(strays, [&folder("modules/moved")], "what is a fault is not passed over as well");
    assert!(loaded.index().withheld("lost", None).is_some());
}

#[test]
fn what_is_no_module_is_passed_over_with_a_line() {
    let tree = Tree::new();
    tree.research_log().write("modules/notes/readme.md", "x").write("modules/slip/modul.toml", "x");
    tree.write("modules/README.md", "read me").write("modules/.git/HEAD", "x");
    let loaded = tree.load_modules().unwrap();
    assert_eq!(loaded.modules.len(), 1);
    let lines: Vec<String> = loaded.passed_over.iter().map(ToString::to_string).collect();
    let expected = [
        "modules/.git: passed over: it is hidden",
        "modules/README.md: passed over: it is no folder",
        "modules/notes: passed over: it has no module.toml",
        "modules/slip: passed over: it has no module.toml; rename \"modul.toml\" if it is meant",
    ];
    assert_eq!(lines, expected);
    for number in 0..100 {
        tree.write(&format!("modules/z{number:03}"), "");
    }
    let passed_over = tree.load_modules().unwrap().passed_over;
    let last = passed_over.last().unwrap().to_string();
    assert_eq!((passed_over.len(), &*last), (33, "modules: passed over: 72 more entries without module.toml"));
}

#[test]
fn a_folder_of_modules_that_cannot_be_read_is_refused() {
    let tree = Tree::new();
    tree.write("modules/modul.toml", "x");
    assert_eq!(tree.problems(), "modules: expected \"module.toml\" or folders that have it, found \"modul.toml\"");
    let tree = Tree::new();
    assert_eq!(tree.problems(), "modules: expected a folder of modules: no such file");
}

#[test]
fn what_is_no_readable_file_is_refused() {
    let tree = Tree::new();
    fs::create_dir_all(tree.path().join("modules/a/module.toml")).unwrap();
    fs::create_dir_all(tree.path().join("modules/b")).unwrap();
    symlink("module.toml", tree.path().join("modules/b/module.toml")).unwrap();
    fs::create_dir_all(tree.path().join("modules/c")).unwrap();
    symlink("nowhere", tree.path().join("modules/c/module.toml")).unwrap();
    let problems = tree.problems();
    let lines: Vec<&str> = problems.lines().collect();
    assert_eq!(lines[0], "modules/a/module.toml: expected a file, found something else");
    assert!(lines[1].starts_with("modules/b/module.toml: Too many levels of symbolic links"), "{problems}");
    assert!(lines[2].starts_with("modules/c/module.toml: no such file"), "{problems}");
}

#[test]
fn a_file_that_is_too_long_is_refused_without_reading_all_of_it() {
    let tree = Tree::new();
    tree.write("modules/a/module.toml", format!("{RESEARCH_LOG}#{}", "x".repeat(1_000_000)));
    let length = RESEARCH_LOG.len() + 1_000_001;
    let expected = format!("modules/a/module.toml: expected at most 262144 bytes, found {length}");
    assert_eq!(tree.problems(), expected);
    let tree = Tree::new();
    fs::create_dir_all(tree.path().join("modules/a")).unwrap();
    symlink("/dev/zero", tree.path().join("modules/a/module.toml")).unwrap();
    assert_eq!(tree.problems(), "modules/a/module.toml: expected a file, found something else");
}

#[test]
fn a_missing_hosts_file_is_refused() {
    let tree = Tree::new();
    assert_eq!(tree.load_host().unwrap_err().to_string(), "bulkhead.toml: no such file");
}

#[test]
fn two_modules_search_entities_of_one_type_alike_or_the_operator_says_how() {
    let manifest = |name: &str, paths: &str| {
        format!(
            "[module]\nname = \"{name}\"\ncommand = [\"/bin/sh\"]\n[capabilities]\nentity_read = [\"Log\"]\n\
             [layer1.index]\nLog = [\"{name}\"]\n[layer1.search]\nLog = {paths}\n"
        )
    };
    let tree = Tree::new();
    tree.write("modules/a/module.toml", manifest("a", "[\"title\", \"text\"]"));
    tree.write("modules/b/module.toml", manifest("b", "[\"text\", \"title\"]"));
    let declared = tree.load_modules().unwrap().declared();
    let (log, index) = declared.index.first_key_value().unwrap();
    assert_eq!((log.as_str(), index.len(), declared.search[log].len()), ("Log", 2, 2));
    tree.write("modules/b/module.toml", manifest("b", "[\"text\"]"));
    let problems = tree.problems();
    for (line, (folder, other)) in problems.lines().zip([("a", "b"), ("b", "a")]) {
        let expected = format!(
            "modules/{folder}/module.toml:9:1: layer1.search: {other} declares other members of Log to be searched; \
             declare the same, or say which it is under [layer1.search] of the host's file, which goes before both"
        );
        assert_eq!(line, expected);
    }
    assert_eq!(problems.lines().count(), 2);
    tree.write("bulkhead.toml", "[host]\nmodules = [\"modules\"]\n[layer1.search]\nLog = [\"body\"]\n");
    let declared = tree.load_host().unwrap().declared();
    assert_eq!(declared.search[log][0].to_string(), "body");
}
