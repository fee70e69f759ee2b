//! Fills a configuration from the tables of a document: finds the setting of each key, refuses the
//! keys that are none, and notes where each value came from.

use crate::document::{Document, Position, found, quote};
use crate::keys::UNFIT_KEYS;
use crate::read::{Positions, Reading};
use crate::setting::{Key, Operator};
use crate::suggestions::nearest;
use crate::{Origin, Origins, Problem};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Which keys a table has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope<'a> {
    /// Those of the whole file.
    File,
    /// Those of the host's file for one module: the keys of `[module]` are there without their section.
    Module(&'a str),
}

/// What a table is filled into, beside the configuration itself.
pub(crate) struct Filling<'a, T: 'static> {
    pub(crate) document: &'a Document,
    pub(crate) scope: Scope<'a>,
    pub(crate) keys: &'static [Key<T>],
    /// Sections that the file may have beside those of the keys; other code reads them.
    pub(crate) others: &'static [&'static str],
    pub(crate) problems: &'a mut Vec<Problem>,
    pub(crate) positions: &'a mut Positions,
}

impl<T: 'static> Filling<'_, T> {
    /// Reads every key of `table` into `target`.
    pub(crate) fn fill(&mut self, target: &mut T, table: &DeTable<'_>) {
        self.section(target, table, "");
    }

    fn section(&mut self, target: &mut T, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let local = format!("{prefix}{}", name.get_ref());
            let found_key = self.keys.iter().find(|key| self.local(key.path) == Some(&local));
            if let Some(key) = found_key {
                self.value(target, key, &local, name.span().start, value);
            } else if self.is_section(&local) {
                match value.get_ref() {
                    _ if self.known(target, &format!("{local}.")).is_empty() => {
                        let message = self.unfit(&local, &local);
                        self.problems.push(self.document.problem(name.span(), message));
                    }
                    DeValue::Table(table) => self.section(target, table, &format!("{local}.")),
                    other => {
                        let message = format!("{}: expected a table, found {}", self.label(&local), found(other));
                        self.problems.push(self.document.problem(value.span(), message));
                    }
                }
            } else {
                let message = self.unknown(target, &local, prefix, name.get_ref(), value.get_ref());
                self.problems.push(self.document.problem(name.span(), message));
            }
        }
    }

    fn value(&mut self, target: &mut T, key: &Key<T>, local: &str, at: usize, value: &Spanned<DeValue<'_>>) {
        let label = self.label(local);
        let overrides = self.scope != Scope::File;
        if overrides && key.operator == Operator::MayNot {
            let message = format!("{label}: only the module's manifest says this; remove it here");
            self.problems.push(self.document.problem(at..at, message));
            return;
        }
        let Some(slot) = key.slot(target) else {
            let message = self.unfit(local, key.path);
            self.problems.push(self.document.problem(at..at, message));
            return;
        };
        self.positions.insert(key.path.to_owned(), self.document.position(at));
        Reading {
            document: self.document,
            path: key.path,
            label: &label,
            narrows: overrides && key.operator == Operator::Narrows,
            value,
            problems: self.problems,
            positions: self.positions,
        }
        .into_slot(slot);
    }

    /// The key's name inside the scope; none where the scope doesn't have it.
    fn local(&self, path: &'static str) -> Option<&'static str> {
        match self.scope {
            Scope::File => Some(path),
            Scope::Module(_) => Some(path.strip_prefix("module.").unwrap_or(path)),
        }
    }

    /// The key's name in the file.
    fn label(&self, local: &str) -> String {
        match self.scope {
            Scope::File => local.to_owned(),
            Scope::Module(name) => format!("module.{name}.{local}"),
        }
    }

    /// Whether there are keys under `local` that may be written, though perhaps not for this target.
    fn is_section(&self, local: &str) -> bool {
        let inside = |key: &Key<T>| self.local(key.path)?.strip_prefix(local)?.starts_with('.').then_some(());
        self.keys.iter().any(|key| self.may_say(key) && inside(key).is_some())
    }

    fn may_say(&self, key: &Key<T>) -> bool {
        self.scope == Scope::File || key.operator != Operator::MayNot
    }

    /// The names directly under `prefix` that may be written for `target`.
    fn known(&self, target: &mut T, prefix: &str) -> Vec<&'static str> {
        let writable = self.keys.iter().filter(|key| self.may_say(key) && key.slot(target).is_some());
        let inside = writable.filter_map(|key| self.local(key.path)?.strip_prefix(prefix));
        let others = self.others.iter().copied().filter(|_| prefix.is_empty());
        let mut known: Vec<&str> = inside.map(|rest| rest.split('.').next().unwrap_or(rest)).chain(others).collect();
        known.dedup();
        known
    }

    /// Why the target doesn't have the key or section `path`, which others have.
    fn unfit(&self, local: &str, path: &str) -> String {
        let (_, reason) = UNFIT_KEYS.iter().find(|(unfit, _)| *unfit == path).expect("each such key has its reason");
        format!("{}: {reason}", self.label(local))
    }

    fn unknown(&self, target: &mut T, local: &str, prefix: &str, name: &str, value: &DeValue<'_>) -> String {
        let label = self.label(local);
        let label = quote(&label);
        let known = self.known(target, prefix);
        let near = nearest(name, known.iter().copied()).map(|near| format!("{prefix}{near}"));
        // The right name in the wrong section is as common a mistake as a wrong letter; a table is more likely a
        // misspelt section.
        let last = |path: &'static str| path.rsplit_once('.').map_or(path, |(_, last)| last);
        let mut paths =
            self.keys.iter().filter(|key| key.slot(target).is_some()).filter_map(|key| self.local(key.path));
        let elsewhere = paths.find(|path| last(path) == name).map(str::to_owned);
        let meant = if value.is_table() { near.or(elsewhere) } else { elsewhere.or(near) };
        match meant {
            Some(meant) => format!("unknown key {label}; did you mean {}?", quote(&self.label(&meant))),
            None => format!("unknown key {label}; expected one of {}", known.join(", ")),
        }
    }
}

/// The origins of the values, by their positions.
pub(crate) fn note_origins(positions: &Positions, origins: &mut Origins) {
    for (path, Position { file, line, .. }) in positions {
        origins.note(path.clone(), Origin::File { path: file.clone(), line: *line });
    }
}
