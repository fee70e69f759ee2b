//! Every file in `bad/` is refused with exactly the text of its `.expected` file. A file named
//! `module-…` is the manifest of a module, one named `host-…` the host's file. To accept a changed
//! text, run with `UPDATE_EXPECTED=1` and read the difference.

use crate::support::Tree;
use std::{fs, path::Path};

#[test]
fn every_bad_file_is_refused_with_its_place_and_a_remedy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut cases: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    cases.sort();
    assert!(cases.len() > 40, "the folder of bad files has lost some: {} are left", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.file_stem().unwrap().to_str().unwrap();
        let found = refuse(name, &fs::read(&case).unwrap());
        let expected_path = case.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected_path, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if found != expected {
            wrong.push(format!("== {name}\n-- expected\n{expected}-- found\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Loads the file and returns the problems, one a line.
fn refuse(name: &str, content: &[u8]) -> String {
    let tree = Tree::new();
    let result = if name.starts_with("module-") {
        tree.write("modules/log/module.toml", content).load_modules()
    } else {
        tree.research_log().write("bulkhead.toml", content).load_host()
    };
    match result {
        Ok(_) => format!("{name} was accepted\n"),
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn a_name_that_looks_like_another_problem_is_one_line() {
    let tree = Tree::new();
    tree.write("modules/a\nb.toml:1:1: forged\u{1b}[31m\u{2028}\u{202e}/module.toml", "x");
    let found = tree.problems();
    let expected = r"modules/a\nb.toml:1:1: forged\u{1b}[31m\u{2028}\u{202e}/module.toml:1:2: not TOML";
    assert!(found.starts_with(expected) && found.lines().count() == 1, "{found}");
}
