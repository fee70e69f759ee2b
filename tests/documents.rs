//! The documents of this repository: every link leads to a file and a heading that are there, every page of `docs/` is
//! in the README's table, and the source files and tests that pages name are there. Other tests check what pages say of
//! commands and keys.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The Markdown files in a folder and those below it, but not what is built or downloaded.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if entry.file_type().unwrap().is_dir() && !hidden && name != "target" && name != "node_modules" {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines of a page that are not in a block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    })
}

/// The anchors of a page's headings, as code hosts make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let mut anchors = BTreeSet::new();
    for heading in headings {
        let kept = heading.to_lowercase();
        let kept: String = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect();
        let anchor = kept.replace(' ', "-");
        let again = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

/// Where the links of a line lead; those in `code` are none.
fn links(line: &str) -> Vec<&str> {
    let text = line.split('`').enumerate().filter(|(number, _)| number % 2 == 0).map(|(_, part)| part);
    // A link's text may be code: then its end, `](target)`, begins the next part.
    text.flat_map(|part| part.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

fn broken(page: &Path, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    if !target.exists() {
        return Some("there is no such file".into());
    }
    let found = || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor);
    (!anchor.is_empty() && !found()).then(|| "there is no such heading".into())
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut found = Vec::new();
    pages(root(), &mut found);
    assert!(found.len() > 10, "{found:?}");
    let mut faults = Vec::new();
    for page in found {
        let text = fs::read_to_string(&page).unwrap();
        for link in prose(&text).flat_map(links).filter(|link| !link.contains("://")) {
            if let Some(fault) = broken(&page, link) {
                faults.push(format!("{}: {link}: {fault}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_page_of_the_documentation_is_in_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let linked: BTreeSet<&str> = prose(&readme).flat_map(links).map(|link| link.split('#').next().unwrap()).collect();
    let mut found = Vec::new();
    pages(&root().join("docs"), &mut found);
    let names = found.iter().map(|page| page.strip_prefix(root()).unwrap().to_str().unwrap());
    let missing: Vec<&str> = names.filter(|name| !linked.contains(name)).collect();
    assert!(missing.is_empty(), "the README leads to none of {missing:?}");
}

/// The files with this extension in a folder and those below it, but not what is built or downloaded.
fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if entry.file_type().unwrap().is_dir() && !hidden && name != "target" && name != "node_modules" {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

/// The text between single backticks in the prose of a page.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    prose(text).flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_source_file_that_a_page_of_the_project_names_is_there() {
    let mut sources = Vec::new();
    files(root(), "rs", &mut sources);
    let mut pages_of_code = vec![root().join("ARCHITECTURE.md"), root().join("CONTRIBUTING.md")];
    pages(root(), &mut pages_of_code);
    pages_of_code.retain(|page| page.ends_with("README.md") || page.parent() == Some(root()));
    let mut missing = BTreeSet::new();
    for page in pages_of_code {
        let text = fs::read_to_string(&page).unwrap();
        // The names of a pattern, a command or a guide's own file are no files of this repository.
        let named = quoted(&text).filter(|name| {
            name.ends_with(".rs")
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "/_.-".contains(c))
        });
        for name in named.filter(|name| !name.starts_with("src/")) {
            let is_there = sources.iter().any(|source| source.ends_with(name))
                || sources.iter().any(|source| source.ends_with(name.replacen("host/", "host/src/", 1)))
                || sources.iter().any(|source| source.ends_with(name.replacen("core/", "core/src/", 1)))
                || sources.iter().any(|source| source.ends_with(name.replacen("layer1/", "layer1/src/", 1)));
            if !is_there {
                missing.insert(format!("{}: {name}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_test_that_holds_an_invariant_is_there() {
    let mut sources = Vec::new();
    files(root(), "rs", &mut sources);
    let code: String = sources.iter().map(|source| fs::read_to_string(source).unwrap()).collect();
    let mut scripts = Vec::new();
    files(&root().join("supervisor/core/tests/scripts"), "txt", &mut scripts);
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let is_name = |name: &&str| {
        name.matches('_').count() >= 4 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let is_there = |name: &&str| {
        code.contains(&format!("fn {name}(")) || scripts.iter().any(|script| script.file_stem().unwrap() == *name)
    };
    let (there, missing): (Vec<&str>, Vec<&str>) = quoted(&text).filter(is_name).partition(is_there);
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(there.len() > 30, "the names are not found any more: {there:?}");
}

#[test]
fn anchors_are_made_as_code_hosts_make_them() {
    let page = "# The store: `layer1`\n```\n# no heading\n```\n## C, and *more*\n## a_b\n## a_b\n";
    let expected = ["a_b", "a_b-1", "c-and-more", "the-store-layer1"];
    assert!(anchors(page).iter().eq(expected), "{:?}", anchors(page));
    assert_eq!(links("see [`x`](y.md#z) and `[a](b)`, [c](d)"), ["y.md#z", "d"]);
}
