//! What is done with each file, from its state and the list of installed files. It changes nothing.
//!
//! A file is this installation's if the list has it with the content that is found. Any other file at its path stays.

use super::content::{Item, Kind};
use super::receipt::{Digest, Receipt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    File(Digest),
    /// A folder, a link or something else that is never installed.
    Other,
}

/// What is done with one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// There is none yet.
    Add,
    /// This installation's, of another version.
    Replace,
    /// It is up to date.
    Leave,
    Keep(Reason),
}

/// Why a file is not replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It was installed, and changed since.
    Changed,
    /// It was not installed by this command.
    Foreign,
}

impl Reason {
    /// For people, after the path.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Reason::Changed => "it was changed since it was installed",
            Reason::Foreign => "it was not installed by this command",
        }
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// One for each item, in their order.
    pub(crate) actions: Vec<Action>,
    /// What an earlier version had and this one has not.
    pub(crate) removals: Vec<PathBuf>,
    /// The same, but it was changed and stays.
    pub(crate) orphans: Vec<PathBuf>,
    /// The list as it is afterwards.
    pub(crate) files: BTreeMap<PathBuf, BTreeSet<Digest>>,
}

/// Decides about each item. `new` has the digests of the items, in their order.
pub(crate) fn plan(items: &[Item], new: &[Digest], receipt: &Receipt, look: impl Fn(&Path) -> Found) -> Plan {
    let recorded = |path: &Path| receipt.files.get(path);
    let mut actions: Vec<Action> =
        items.iter().zip(new).map(|(item, new)| judge(look(&item.path), recorded(&item.path), *new)).collect();
    leave_foreign_modules(items, &mut actions);
    let mut plan = Plan::default();
    for ((item, action), new) in items.iter().zip(&actions).zip(new) {
        let digests = match action {
            Action::Add | Action::Replace => Some([*new].into()),
            Action::Leave => recorded(&item.path).map(|_| [*new].into()),
            Action::Keep(_) => recorded(&item.path).cloned(),
        };
        plan.files.extend(digests.map(|digests| (item.path.clone(), digests)));
    }
    let wanted: BTreeSet<&Path> = items.iter().map(|item| item.path.as_path()).collect();
    for (path, digests) in receipt.files.iter().filter(|(path, _)| !wanted.contains(path.as_path())) {
        match look(path) {
            Found::Nothing => {}
            Found::File(digest) if digests.contains(&digest) => plan.removals.push(path.clone()),
            Found::File(_) | Found::Other => plan.orphans.push(path.clone()),
        }
    }
    plan.actions = actions;
    plan
}

/// The rule for one file.
fn judge(found: Found, recorded: Option<&BTreeSet<Digest>>, new: Digest) -> Action {
    match (found, recorded) {
        (Found::Nothing, _) => Action::Add,
        (Found::File(digest), _) if digest == new => Action::Leave,
        (Found::File(digest), Some(recorded)) if recorded.contains(&digest) => Action::Replace,
        (Found::File(_) | Found::Other, Some(_)) => Action::Keep(Reason::Changed),
        (Found::File(_) | Found::Other, None) => Action::Keep(Reason::Foreign),
    }
}

/// A module whose manifest was not installed by this command gets nothing beside it.
fn leave_foreign_modules(items: &[Item], actions: &mut [Action]) {
    let foreign: BTreeSet<Kind> = items
        .iter()
        .zip(&*actions)
        .filter(|(item, action)| item.path.ends_with("module.toml") && **action == Action::Keep(Reason::Foreign))
        .map(|(item, _)| item.kind)
        .collect();
    for (item, action) in items.iter().zip(actions).filter(|(item, _)| foreign.contains(&item.kind)) {
        if !item.path.ends_with("module.toml") {
            *action = Action::Keep(Reason::Foreign);
        }
    }
}

/// Whether something at the path of a program is in the way of any program.
pub(crate) fn in_the_way(found: Found, recorded: Option<&BTreeSet<Digest>>) -> Option<Reason> {
    match (found, recorded) {
        (Found::Nothing, _) => None,
        (Found::File(digest), Some(recorded)) if recorded.contains(&digest) => None,
        (Found::File(_) | Found::Other, Some(_)) => Some(Reason::Changed),
        (Found::File(_) | Found::Other, None) => Some(Reason::Foreign),
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn item(kind: Kind, path: &str) -> Item {
        Item { kind, path: path.into(), content: Content::Bytes(Vec::new()), mode: 0o644 }
    }

    fn receipt(files: &[(&str, &[&str])]) -> Receipt {
        let entry = |(path, texts): &(&str, &[&str])| ((*path).into(), texts.iter().map(|text| digest(text)).collect());
        Receipt { files: files.iter().map(entry).collect(), ..Receipt::default() }
    }

    #[test]
    fn each_state_of_a_file_has_its_action() {
        let (old, new, own) = (digest("old"), digest("new"), digest("own"));
        let listed: BTreeSet<Digest> = [old].into();
        let table = [
            (Found::Nothing, None, Action::Add),
            (Found::Nothing, Some(&listed), Action::Add),
            (Found::File(old), Some(&listed), Action::Replace),
            (Found::File(new), Some(&listed), Action::Leave),
            (Found::File(new), None, Action::Leave),
            (Found::File(own), Some(&listed), Action::Keep(Reason::Changed)),
            (Found::Other, Some(&listed), Action::Keep(Reason::Changed)),
            (Found::File(own), None, Action::Keep(Reason::Foreign)),
            (Found::Other, None, Action::Keep(Reason::Foreign)),
        ];
        for (found, recorded, action) in table {
            assert_eq!(judge(found, recorded, new), action, "{found:?} {recorded:?}");
        }
    }

    #[test]
    fn a_changed_manifest_stays_in_the_list_as_it_was_installed() {
        let items = [item(Kind::Sample("log"), "/m/log/module.toml")];
        let receipt = receipt(&[("/m/log/module.toml", &["old"])]);
        let plan = plan(&items, &[digest("new")], &receipt, |_| Found::File(digest("own")));
        assert_eq!(plan.actions, [Action::Keep(Reason::Changed)]);
        assert_eq!(plan.files, receipt.files);
    }

    #[test]
    fn a_module_that_was_not_installed_gets_no_program() {
        let kind = Kind::Sample("log");
        let items = [item(kind, "/m/log/bin/log"), item(kind, "/m/log/module.toml"), item(Kind::Program, "/bin/b")];
        let look = |path: &Path| match path.ends_with("module.toml") {
            true => Found::File(digest("own")),
            false => Found::Nothing,
        };
        let new = [digest("program"), digest("manifest"), digest("b")];
        let plan = plan(&items, &new, &Receipt::default(), look);
        assert_eq!(plan.actions, [Action::Keep(Reason::Foreign), Action::Keep(Reason::Foreign), Action::Add]);
        assert_eq!(plan.files.len(), 1);
    }

    #[test]
    fn what_is_not_part_of_it_any_more_goes_unless_it_was_changed() {
        let receipt = receipt(&[("/a", &["a"]), ("/changed", &["b"]), ("/gone", &["c"])]);
        let look = |path: &Path| match path.to_str() {
            Some("/a") => Found::File(digest("a")),
            Some("/changed") => Found::File(digest("own")),
            _ => Found::Nothing,
        };
        let plan = plan(&[], &[], &receipt, look);
        assert_eq!(plan.removals, [Path::new("/a")]);
        assert_eq!(plan.orphans, [Path::new("/changed")]);
        assert!(plan.files.is_empty());
    }

    #[test]
    fn an_identical_file_that_was_not_installed_is_not_listed() {
        let items = [item(Kind::ManPage, "/a")];
        let plan = plan(&items, &[digest("a")], &Receipt::default(), |_| Found::File(digest("a")));
        assert_eq!((plan.actions, plan.files.len()), (vec![Action::Leave], 0));
    }

    #[test]
    fn a_program_that_was_not_installed_or_was_changed_is_in_the_way() {
        let listed: BTreeSet<Digest> = [digest("old"), digest("new")].into();
        assert_eq!(in_the_way(Found::Nothing, None), None);
        assert_eq!(in_the_way(Found::File(digest("old")), Some(&listed)), None);
        assert_eq!(in_the_way(Found::File(digest("own")), Some(&listed)), Some(Reason::Changed));
        assert_eq!(in_the_way(Found::Other, None), Some(Reason::Foreign));
    }
}
