//! What was done, for people: a line for each kind of content, and one for each thing that needs attention.

use super::content::{Item, Kind};
use super::places::Places;
use super::plan::{Action, Plan};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Prints it to standard output.
pub(crate) fn print(places: &Places, items: &[Item], plan: &Plan, left_out: &[String], dry_run: bool) {
    let done = if dry_run { "Would be installed" } else { "Installed" };
    println!("\n{done} below {}:", places.prefix.display());
    for line in lines(places, items, plan) {
        println!("  {line}");
    }
    for sentence in left_out {
        println!("  left out     {sentence}");
    }
}

fn lines(places: &Places, items: &[Item], plan: &Plan) -> Vec<String> {
    let of = |wanted: fn(Kind) -> bool| -> Vec<(&Item, Action)> {
        items.iter().zip(plan.actions.iter().copied()).filter(|(item, _)| wanted(item.kind)).collect()
    };
    let programs = of(|kind| kind == Kind::Program);
    let pages = of(|kind| kind == Kind::ManPage);
    let completions = of(|kind| matches!(kind, Kind::Completion(_)));
    let samples = of(|kind| matches!(kind, Kind::Sample(_)));
    let sdks = of(|kind| matches!(kind, Kind::Sdk(_)));
    let schemas = of(|kind| kind == Kind::Schema);
    let mut lines = vec![
        format!("programs     {}: {}{}", places.programs().display(), names(&programs), states(&programs)),
        format!("man pages    {}: {}{}", places.man_pages().display(), pages.len(), states(&pages)),
        format!("completions  {}{}", names(&completions), states(&completions)),
        format!("SDKs         {}: {}{}", places.sdk().display(), names(&sdks), states(&sdks)),
        format!("schemas      {}: {}{}", places.schemas().display(), names(&schemas), states(&schemas)),
    ];
    if !samples.is_empty() {
        lines.push(format!("modules      {}: {}{}", places.modules.display(), names(&samples), states(&samples)));
    }
    lines.extend(kept(items, plan));
    lines.extend(
        plan.removals.iter().map(|path| format!("removed      {}: it is not installed any more", path.display())),
    );
    lines.extend(plan.orphans.iter().map(|path| {
        format!(
            "kept         {}: it is not installed any more, but was changed; remove it if it is of no use",
            path.display()
        )
    }));
    lines
}

fn names(items: &[(&Item, Action)]) -> String {
    let mut seen = BTreeSet::new();
    let name = |item: &Item| match item.kind {
        Kind::Completion(name) | Kind::Sample(name) | Kind::Sdk(name) => name.to_owned(),
        Kind::Program | Kind::ManPage | Kind::Schema => {
            item.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
        }
    };
    let names: Vec<String> =
        items.iter().map(|(item, _)| name(item)).filter(|name| seen.insert(name.clone())).collect();
    names.join(", ")
}

/// How many are new, replaced and unchanged, where that is not the same for all.
fn states(items: &[(&Item, Action)]) -> String {
    let count = |wanted: fn(Action) -> bool| items.iter().filter(|(_, action)| wanted(*action)).count();
    let counts = [
        (count(|action| action == Action::Add), "new"),
        (count(|action| action == Action::Replace), "replaced"),
        (count(|action| action == Action::Leave), "unchanged"),
        (count(|action| matches!(action, Action::Keep(_))), "kept"),
    ];
    let states: Vec<String> = match counts.iter().find(|(count, _)| *count == items.len()) {
        Some((_, state)) => vec![(*state).to_owned()],
        None => {
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}")).collect()
        }
    };
    format!(" ({})", states.join(", "))
}

/// A module that was not installed by this command is named once, by its folder.
fn kept(items: &[Item], plan: &Plan) -> Vec<String> {
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut lines = Vec::new();
    for (item, action) in items.iter().zip(&plan.actions) {
        let Action::Keep(why) = action else { continue };
        if folders.iter().any(|folder| item.path.starts_with(folder)) {
            continue;
        }
        let whole = item.path.ends_with("module.toml") && *why == super::plan::Reason::Foreign;
        let subject =
            if whole { item.path.parent().map_or(item.path.clone(), Path::to_owned) } else { item.path.clone() };
        let remedy = "to get the new one, move it away and run this again";
        lines.push(format!("kept         {}: {}; {remedy}", subject.display(), why.reason()));
        folders.extend(whole.then_some(subject));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::content::Content;
    use super::super::plan::Reason;
    use super::*;

    fn item(kind: Kind, path: &str) -> Item {
        Item { kind, path: path.into(), content: Content::Bytes(Vec::new()), mode: 0o644 }
    }

    #[test]
    fn states_are_counted_where_they_differ() {
        let item = item(Kind::Program, "/b");
        assert_eq!(states(&[(&item, Action::Add), (&item, Action::Add)]), " (new)");
        let mixed = [(&item, Action::Add), (&item, Action::Leave), (&item, Action::Leave)];
        assert_eq!(states(&mixed), " (1 new, 2 unchanged)");
    }

    #[test]
    fn a_foreign_module_is_named_once_and_a_changed_manifest_by_its_file() {
        let (foreign, changed) = (Kind::Sample("a"), Kind::Sample("b"));
        let items = [
            item(foreign, "/m/a/module.toml"),
            item(foreign, "/m/a/bin/a"),
            item(changed, "/m/b/module.toml"),
            item(changed, "/m/b/bin/b"),
        ];
        let keep = Action::Keep(Reason::Foreign);
        let actions = vec![keep, keep, Action::Keep(Reason::Changed), Action::Replace];
        let plan = Plan { actions, ..Plan::default() };
        let lines = kept(&items, &plan);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains(" /m/a: it was not installed by this command; "), "{lines:?}");
        assert!(lines[1].contains(" /m/b/module.toml: it was changed since it was installed; "), "{lines:?}");
    }
}
