//! Configurations: how they come into force, at the start and while the host runs.

use super::*;
use std::collections::HashSet;

impl Host {
    pub(super) fn new_generation(&mut self, config: ModuleConfig) -> (bulkhead_core::ModuleSpec, bool) {
        let generation = self.next_generation;
        self.next_generation += 1;
        let spec = launch::spec(&config, generation);
        let autostart = config.autostart;
        self.configs.insert(generation, Arc::new(config));
        (spec, autostart)
    }

    pub(super) fn add_module(&mut self, config: ModuleConfig) {
        let (spec, autostart) = self.new_generation(config);
        if let Err(failure) = self.core.add_module(self.now, spec, autostart) {
            tracing::error!("{}", failure.error);
        }
    }

    /// Forgets the launch instructions that no process has and none will be started by. It goes through all
    /// modules, and is for what does so anyway; see [`Host::forget_generation`].
    pub(super) fn forget_generations(&mut self) {
        let of_processes = self.processes.values().map(|process| process.generation);
        let used: HashSet<u64> = self.core.generations().chain(of_processes).collect();
        self.configs.retain(|generation, _| used.contains(generation));
    }

    /// A process of this module has gone: forgets the launch instructions that it was started by, if nothing
    /// else of the module has them.
    pub(super) fn forget_generation(&mut self, name: &str, generation: u64) {
        if !self.core.generations_of(name).any(|used| used == generation) {
            self.configs.remove(&generation);
        }
    }

    pub(super) fn load(&mut self) -> Result<Loaded, Failure> {
        self.forget_generations();
        let Some(reloader) = &mut self.reloader else {
            let reason = "this host was given its modules by a program and has no files to read again";
            return Err(Failure::new(ErrorCode::Conflict, reason));
        };
        let refused = |reason: String| Failure::new(ErrorCode::ModuleError, format!("nothing was changed: {reason}"));
        let loaded = reloader().map_err(|problems| refused(problems.to_string()))?;
        self.runtimes.check(&loaded.modules).map_err(|error| refused(error.to_string()))?;
        self.restart_needed = self.store.changed(&loaded.declared());
        if let Some(reason) = &self.restart_needed {
            tracing::warn!("{reason}");
        }
        Ok(loaded)
    }

    /// Reads the files again and hands one module over to what they say now.
    pub(crate) fn reload_one(&mut self, who: Recipient, name: &str, patience: Duration) -> Result<(), Failure> {
        let loaded = self.load()?;
        let config = loaded.modules.into_iter().find(|module| module.name.as_str() == name);
        self.hand_over(who, name, config, patience)
    }

    /// Hands one module over to what the files say of it now.
    pub(super) fn hand_over(
        &mut self,
        who: Recipient,
        name: &str,
        config: Option<ModuleConfig>,
        patience: Duration,
    ) -> Result<(), Failure> {
        match (config, self.core.knows(name)) {
            (Some(config), true) => {
                let (spec, _) = self.new_generation(config);
                self.core.handle_reload(self.now, Some(who), spec, patience);
            }
            (Some(config), false) => {
                self.add_module(config);
                self.core.handle_start(self.now, Some(who), name, patience);
            }
            (None, true) => {
                let reason = format!("the files do not name {name} any more; SIGHUP removes it, stop stops it");
                return Err(Failure::new(ErrorCode::NotFound, reason));
            }
            (None, false) => {
                return Err(Failure::new(ErrorCode::UnknownModule, format!("there is no module {name:?}")));
            }
        }
        Ok(())
    }

    /// Reads the files again: what is new is started, what changed is handed over, what is not named
    /// any more is stopped. If the files do not check, nothing changes.
    pub(crate) fn reload_all(&mut self) {
        self.notify.send_reloading();
        match self.load() {
            Ok(loaded) => self.apply(loaded),
            Err(failure) => tracing::error!("cannot reload: {}", failure.error),
        }
        self.perform();
        self.notify.send("READY=1");
    }

    pub(super) fn apply(&mut self, loaded: Loaded) {
        if loaded.host != self.config {
            tracing::warn!("changes of the host's own settings take effect at its next start");
        }
        let known = self.core.module_names();
        self.returning.clear();
        let named: HashSet<&ModuleName> = loaded.modules.iter().map(|module| &module.name).collect();
        for name in known.iter().filter(|name| !named.contains(name)) {
            tracing::info!("{name} is not named any more and is removed");
            self.core.handle_remove(self.now, name);
        }
        let known: HashSet<ModuleName> = known.into_iter().collect();
        for module in loaded.modules {
            if !known.contains(&module.name) {
                self.add_module(module);
            } else if self.core.is_leaving(&module.name) {
                self.returning.insert(module.name.clone(), module);
            } else if self.in_force(&module.name).is_none_or(|current| **current != module) {
                tracing::info!("{} has changed and is reloaded", module.name);
                let (spec, _) = self.new_generation(module);
                self.core.handle_reload(self.now, None, spec, Duration::ZERO);
            }
        }
    }

    pub(super) fn in_force(&self, name: &ModuleName) -> Option<&Arc<ModuleConfig>> {
        let view = self.core.view(self.now, name)?;
        self.configs.get(&view.generation)
    }

    /// Stops every module and then the host. Asked for a second time, it does not wait.
    pub(crate) fn stop(&mut self) {
        if self.stopping.is_some() {
            tracing::warn!("told to stop again: killing what is left");
            for run in self.core.run_ids() {
                self.order(&Order::Kill { run: run.0 });
            }
            return;
        }
        self.stopping = Some(Instant::now());
        self.notify.send("STOPPING=1");
        self.core.handle_shutdown(self.now);
        self.perform();
    }
}
