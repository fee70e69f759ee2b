//! The answer to `why` of `supervisor`: what the core knows of a module's state, with where each setting was set.

use crate::{
    builtin::bad,
    state::HostState,
    status::{Next, millis},
};
use bulkhead_config::{Origin, format_duration};
use bulkhead_core::{
    AppliedRule, Ended, ExitClass, Happening, InitialState, ModuleView, Orderer, RequestId, RequestWhy, Role,
    RuleOwner, RuleValue, Sequel, What, Why,
};
use bulkhead_protocol::{ErrorCode, Failure, Json, ModuleName};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The arguments of `why`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhyArgs {
    name: String,
    #[serde(default)]
    request: Option<u64>,
}

/// The answer about a module.
#[derive(Serialize)]
struct Explained {
    name: String,
    state: &'static str,
    desired: &'static str,
    reason: Option<String>,
    next: Option<Next>,
    restarts: u64,
    rules: Vec<Setting>,
    requests: Vec<Value>,
    more_requests: usize,
    history: Vec<Value>,
    earlier: u64,
}

/// A setting, its value at that time, and where it was set; no origin where that configuration is not kept any more.
#[derive(Serialize)]
struct Setting {
    key: &'static str,
    value: Value,
    origin: Option<String>,
}

impl HostState {
    /// Answers why a module is in its state, or where one of its requests waits.
    pub(crate) fn explain(&self, args: &WhyArgs) -> Result<Json, Failure> {
        if args.name.is_empty() {
            return Err(bad("expected the name of a module, found an empty text".to_owned()));
        }
        let name = self.known(&args.name)?;
        let view = self.core.view(self.now, &name).expect("a known module has a view");
        match args.request {
            Some(id) => self.explain_request(&name, &view, RequestId(id)),
            None => {
                let why = self.core.why(self.now, &name).expect("a known module can be explained");
                Ok(Json::of(&self.explained(view, why)))
            }
        }
    }

    fn explain_request(&self, name: &ModuleName, view: &ModuleView, id: RequestId) -> Result<Json, Failure> {
        let found = self.core.why_request(self.now, name, id).ok_or_else(|| {
            let reason = format!("{name} has no open request {id}; `why` without a request lists those that are open");
            Failure::new(ErrorCode::NotFound, reason)
        })?;
        let request = self.request_shown(&found, view.generation);
        Ok(Json::of(&json!({ "name": name.as_str(), "state": view.state.name(), "request": request })))
    }

    fn explained(&self, view: ModuleView, why: Why) -> Explained {
        let generation = view.generation;
        Explained {
            name: view.name.to_string(),
            state: view.state.name(),
            desired: if view.desired_running { "running" } else { "stopped" },
            reason: view.reason,
            next: view.next.map(Next::new),
            restarts: view.restarts,
            rules: self.settings(&why.rules, generation),
            requests: why.requests.iter().map(|request| self.request_shown(request, generation)).collect(),
            more_requests: why.more_requests,
            history: why.history.iter().map(|happening| self.happening(happening)).collect(),
            earlier: why.earlier,
        }
    }

    fn settings(&self, rules: &[AppliedRule], generation: u64) -> Vec<Setting> {
        rules.iter().map(|applied| self.setting(*applied, generation)).collect()
    }

    fn setting(&self, AppliedRule { rule, value }: AppliedRule, generation: u64) -> Setting {
        let origin = match rule.owner() {
            RuleOwner::Module => self.configs.get(&generation).map(|config| config.origins.of(rule.key())),
            RuleOwner::Host => Some(self.config.origins.of(rule.key())),
        };
        let value = match value {
            RuleValue::Count(number) => number.into(),
            RuleValue::Time(time) => format_duration(time).into(),
            RuleValue::Word(word) => word.into(),
            RuleValue::None => "none".into(),
        };
        Setting { key: rule.key(), value, origin: origin.as_ref().map(Origin::to_string) }
    }

    fn request_shown(&self, request: &RequestWhy, generation: u64) -> Value {
        json!({
            "id": request.id.0,
            "type": request.kind,
            "command": request.command,
            "from": request.from.as_ref().map(ModuleName::as_str),
            "stage": request.stage.name(),
            "why": request.why,
            "instance": request.instance,
            "deadline_in_ms": request.deadline_in.map(millis),
            "crashes": request.crashes,
            "delivery": request.delivery.name(),
            "rules": self.settings(&request.rules, generation),
        })
    }

    fn happening(&self, Happening { at, what }: &Happening) -> Value {
        let ago = millis(self.now.since(*at));
        match what {
            What::Known(initial) => {
                let initial = match initial {
                    InitialState::Running => "running",
                    InitialState::Stopped => "stopped",
                };
                json!({ "ago_ms": ago, "what": "known", "initial": initial })
            }
            What::Ordered { order, by } => {
                let (by, module) = match by {
                    Orderer::Client => ("client", None),
                    Orderer::Module(name) => ("module", Some(name.as_str())),
                    Orderer::Host => ("host", None),
                };
                json!({ "ago_ms": ago, "what": "ordered", "order": order.name(), "by": by, "module": module })
            }
            What::TookOver { instance } => json!({ "ago_ms": ago, "what": "took_over", "instance": instance }),
            What::PutOff { by, rules } => {
                json!({ "ago_ms": ago, "what": "put_off", "after_ms": millis(*by), "rules": self.settings(rules, 0) })
            }
            What::Ended(ended) => self.ended(ago, ended),
        }
    }

    fn ended(&self, ago: u64, ended: &Ended) -> Value {
        let (after, why) = match ended.sequel {
            Sequel::Start { after, why } => (Some(millis(after)), Some(why.to_string())),
            _ => (None, None),
        };
        json!({
            "ago_ms": ago,
            "what": "ended",
            "instance": ended.instance,
            "role": role(ended.role),
            "class": class(ended.class),
            "by": ended.by.name(),
            "reason": ended.reason,
            "lived_ms": millis(ended.lived),
            "ready_for_ms": ended.ready_for.map(millis),
            "counted": ended.counted.name(),
            "ended_rules": self.settings(&ended.ended_rules, ended.generation),
            "sequel": ended.sequel.name(),
            "after_ms": after,
            "why": why,
            "sequel_rules": self.settings(&ended.sequel_rules, ended.generation),
        })
    }
}

/// The name of a role on the wire.
pub(crate) fn role(role: Role) -> &'static str {
    match role {
        Role::Active => "active",
        Role::Spare => "spare",
        Role::Successor => "successor",
        Role::Retiring => "retiring",
    }
}

fn class(class: ExitClass) -> &'static str {
    match class {
        ExitClass::Commanded => "commanded",
        ExitClass::Clean => "clean",
        ExitClass::Failure => "failure",
        ExitClass::Permanent => "permanent",
        ExitClass::Lost => "lost",
    }
}
