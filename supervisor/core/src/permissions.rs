//! Permission checks: which addresses a module may call, which events it may publish, which entities it may
//! touch. A module may only do what its manifest grants.

use crate::{
    core::Core,
    ids::{Caller, RunId},
    routing::refused,
};
use bulkhead_protocol::{
    ErrorCode, Failure, Pattern,
    layer1::{Action, Need},
};

/// What a manifest grants of the store: patterns of the types of entities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entities {
    /// `entity_read`.
    pub read: Vec<Pattern>,
    /// `entity_create`.
    pub create: Vec<Pattern>,
    /// `entity_write`.
    pub write: Vec<Pattern>,
    /// `entity_delete`.
    pub delete: Vec<Pattern>,
}

impl Entities {
    /// The patterns for an action, their name in the manifest, and the verb for a message.
    fn for_action(&self, action: Action) -> (&[Pattern], &'static str, &'static str) {
        match action {
            Action::Read => (&self.read, "entity_read", "read"),
            Action::Create => (&self.create, "entity_create", "create"),
            Action::Write => (&self.write, "entity_write", "update"),
            Action::Delete => (&self.delete, "entity_delete", "delete"),
        }
    }
}

impl Core {
    /// Whether a module's process may send requests to `to`.
    ///
    /// # Errors
    /// `permission_denied`, naming the line of the manifest that would allow it.
    pub fn check_call(&self, run: RunId, to: &str) -> Result<(), Failure> {
        let Some(run) = self.runs.get(&run) else {
            return Err(refused(ErrorCode::PermissionDenied, "the process is not known any more"));
        };
        if run.spec.call.iter().any(|allowed| allowed == to) {
            return Ok(());
        }
        Err(refused(
            ErrorCode::PermissionDenied,
            format!(
                "{} may not call {to}: its manifest would need call = [\"{to}\"] under [capabilities]",
                run.spec.name
            ),
        ))
    }

    /// Whether a caller may send an event of this name.
    pub(crate) fn check_emit(&self, from: Caller, name: &str) -> Result<(), Failure> {
        if let Caller::Run(run) = from
            && let Some(run) = self.runs.get(&run)
            && !run.spec.emit.iter().any(|pattern| pattern.matches(name))
        {
            return Err(refused(
                ErrorCode::PermissionDenied,
                format!(
                    "{} may not send the event {name}: its manifest would need event_emit = [\"{name}\"] under [capabilities]",
                    run.spec.name
                ),
            ));
        }
        Ok(())
    }

    /// Checks that a module's process may do all of this with entities.
    pub(crate) fn check_entities(&self, run: RunId, needs: &[Need]) -> Result<(), Failure> {
        let Some(run) = self.runs.get(&run) else {
            return Err(refused(ErrorCode::PermissionDenied, "the process is not known any more"));
        };
        for need in needs {
            let entity = need.entity.as_str();
            let (granted, line, verb) = run.spec.entities.for_action(need.action);
            if !granted.iter().any(|pattern| pattern.matches(entity)) {
                let reason = format!(
                    "{} may not {verb} entities of type {entity}: its manifest would need {line} = [\"{entity}\"] under [capabilities]",
                    run.spec.name
                );
                return Err(refused(ErrorCode::PermissionDenied, reason));
            }
        }
        Ok(())
    }
}
