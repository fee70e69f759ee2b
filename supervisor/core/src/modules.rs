//! All modules, by id and by name. The two indexes change together.

use crate::{id_map::IdMap, ids::ModuleId, module::Module, steps::Table};
use bulkhead_protocol::ModuleName;
use std::{borrow::Borrow, hash::Hash, ops::Index};

/// The table of modules.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    by_id: Table<ModuleId, Module>,
    by_name: IdMap<ModuleName, ModuleId>,
}

impl Modules {
    pub(crate) fn get(&self, id: ModuleId) -> Option<&Module> {
        self.by_id.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: ModuleId) -> Option<&mut Module> {
        self.by_id.get_mut(&id)
    }

    /// The id of a module.
    pub(crate) fn id<Q>(&self, name: &Q) -> Option<ModuleId>
    where
        ModuleName: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.by_name.get(name).copied()
    }

    pub(crate) fn by_name<Q>(&self, name: &Q) -> Option<&Module>
    where
        ModuleName: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get(self.id(name)?)
    }

    /// The name as the module has it.
    pub(crate) fn name(&self, name: &str) -> Option<&ModuleName> {
        self.by_name.get_key_value(name).map(|(name, _)| name)
    }

    /// All names, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &ModuleName> {
        self.by_name.keys()
    }

    pub(crate) fn insert(&mut self, id: ModuleId, module: Module) {
        self.by_name.insert(module.spec.name.clone(), id);
        self.by_id.insert(id, module);
    }

    pub(crate) fn remove(&mut self, id: ModuleId) -> Option<Module> {
        let module = self.by_id.remove(&id)?;
        self.by_name.remove(&module.spec.name);
        Some(module)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ModuleId, &Module)> {
        self.by_id.iter().map(|(id, module)| (*id, module))
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = ModuleId> {
        self.by_id.keys().copied()
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Module> {
        self.by_id.values()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Module> {
        self.by_id.values_mut()
    }
}

impl Index<ModuleId> for Modules {
    type Output = Module;

    fn index(&self, id: ModuleId) -> &Module {
        &self.by_id[&id]
    }
}
