//! Which modules require which, and which events they subscribe to: looked up by name, so that nothing that
//! happens to one module looks at all the others. What follows from it is decided elsewhere.

use crate::{core::Core, ids::ModuleId, steps};
use bulkhead_protocol::{ModuleName, Pattern};
use std::collections::{BTreeSet, HashMap};

/// What the directory has of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    requires: Vec<ModuleName>,
    subscribe: Vec<Pattern>,
}

/// The modules, by what they require and by what they subscribe to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    dependents: HashMap<ModuleName, BTreeSet<ModuleId>>,
    exact: HashMap<String, BTreeSet<ModuleId>>,
    /// By the text before the star of a pattern.
    prefixes: HashMap<String, BTreeSet<ModuleId>>,
}

impl Directory {
    /// The modules that require one of this name.
    pub(crate) fn dependents(&self, name: &ModuleName) -> impl Iterator<Item = ModuleId> {
        self.dependents.get(name).into_iter().flatten().copied().inspect(|_| steps::count(1))
    }

    /// The modules that subscribe to an event of this name.
    pub(crate) fn subscribers(&self, event: &str) -> BTreeSet<ModuleId> {
        let mut found: BTreeSet<ModuleId> = self.exact.get(event).into_iter().flatten().copied().collect();
        if !self.prefixes.is_empty() {
            let ends = (0..=event.len()).filter(|end| event.is_char_boundary(*end));
            found.extend(ends.filter_map(|end| self.prefixes.get(&event[..end])).flatten());
        }
        steps::count(found.len());
        found
    }

    fn add(&mut self, id: ModuleId, listed: &Listed) {
        for name in &listed.requires {
            self.dependents.entry(name.clone()).or_default().insert(id);
        }
        for pattern in &listed.subscribe {
            let (by, text) = self.index(pattern);
            by.entry(text.to_owned()).or_default().insert(id);
        }
    }

    fn remove(&mut self, id: ModuleId, listed: &Listed) {
        for name in &listed.requires {
            leave(&mut self.dependents, name, id);
        }
        for pattern in &listed.subscribe {
            let (by, text) = self.index(pattern);
            leave(by, text, id);
        }
    }

    fn index<'a>(&mut self, pattern: &'a Pattern) -> (&mut HashMap<String, BTreeSet<ModuleId>>, &'a str) {
        match pattern.as_str().strip_suffix('*') {
            Some(prefix) => (&mut self.prefixes, prefix),
            None => (&mut self.exact, pattern.as_str()),
        }
    }
}

fn leave<K, Q>(by: &mut HashMap<K, BTreeSet<ModuleId>>, key: &Q, id: ModuleId)
where
    K: std::hash::Hash + Eq + std::borrow::Borrow<Q>,
    Q: std::hash::Hash + Eq + ?Sized,
{
    if let Some(ids) = by.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            by.remove(key);
        }
    }
}

impl Core {
    /// Brings the directory in line with a module's specifications, that of a reload under way included. To
    /// be called after each change of these, and when the module is forgotten.
    pub(crate) fn list(&mut self, id: ModuleId) {
        let Some(module) = self.modules.get_mut(id) else { return };
        let specs = [Some(&module.spec), module.incoming.as_ref()].into_iter().flatten();
        let requires = specs.flat_map(|spec| &spec.requires).cloned().collect();
        let wanted = Listed { requires, subscribe: module.spec.subscribe.clone() };
        if wanted != module.listed {
            let before = std::mem::replace(&mut module.listed, wanted.clone());
            self.directory.remove(id, &before);
            self.directory.add(id, &wanted);
        }
    }

    /// A module is forgotten.
    pub(crate) fn unlist(&mut self, id: ModuleId) {
        if let Some(module) = self.modules.get_mut(id) {
            let before = std::mem::take(&mut module.listed);
            self.directory.remove(id, &before);
        }
    }

    /// Checks that the directory agrees with the modules. For tests.
    pub(crate) fn audit_directory(&self) {
        let mut right = Directory::default();
        for (id, module) in self.modules.iter() {
            let specs = [Some(&module.spec), module.incoming.as_ref()].into_iter().flatten();
            let requires = specs.flat_map(|spec| &spec.requires).cloned().collect();
            right.add(id, &Listed { requires, subscribe: module.spec.subscribe.clone() });
        }
        assert_eq!(right, self.directory, "the directory of modules");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_are_those_whose_patterns_match_each_once() {
        let mut directory = Directory::default();
        let texts = [&["a.b"][..], &["a.*"], &["*"], &["a*", "a.b"], &["b.*"], &["é*"], &["a.b.c"]];
        let listed = texts.map(|texts| Listed {
            requires: Vec::new(),
            subscribe: texts.iter().map(|text| Pattern::new(text).unwrap()).collect(),
        });
        for (id, listed) in (0..).zip(&listed) {
            directory.add(ModuleId(id), listed);
        }
        for event in ["a.b", "a.b.c", "a", "a.", "b.x", "é", "éa", "x"] {
            let matching = |listed: &Listed| listed.subscribe.iter().any(|pattern| pattern.matches(event));
            let right: BTreeSet<ModuleId> =
                (0..).zip(&listed).filter(|(_, one)| matching(one)).map(|(id, _)| ModuleId(id)).collect();
            assert_eq!(directory.subscribers(event), right, "{event}");
        }
        for (id, listed) in (0..).zip(&listed) {
            directory.remove(ModuleId(id), listed);
        }
        assert_eq!(directory, Directory::default(), "nothing is left of what is forgotten");
    }
}
