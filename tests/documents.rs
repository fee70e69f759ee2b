//! The documents of this repository: every link leads to a file and a heading that are there, and every page
//! of `docs/` is in the README's table. What pages say of commands and keys is held by other tests.

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
        if entry.file_type().unwrap().is_dir() && !hidden && name != "target" {
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

#[test]
fn anchors_are_made_as_code_hosts_make_them() {
    let page = "# The store: `layer1`\n```\n# no heading\n```\n## C, and *more*\n## a_b\n## a_b\n";
    let expected = ["a_b", "a_b-1", "c-and-more", "the-store-layer1"];
    assert!(anchors(page).iter().eq(expected), "{:?}", anchors(page));
    assert_eq!(links("see [`x`](y.md#z) and `[a](b)`, [c](d)"), ["y.md#z", "d"]);
}
