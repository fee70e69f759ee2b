//! The messages of modules, for people who follow them: a line about each that is sent to a module or comes from one. While
//! no one follows them, nothing is kept and nothing is looked at. A follower that does not read is left out, and learns
//! how much: the messages themselves never wait for it.

use super::*;
use crate::{builtin::bad, clients::Counted, clock::wall_clock, followers::FOLLOWER_BYTES};
use bulkhead_protocol::{HeldBytes, event, limits::NAME_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Modules that one follower may name.
const NAMES_MAX: usize = 64;

/// Requests whose answers are waited for and are remembered; an answer to another has no type and no duration.
const REMEMBERED_MAX: usize = 10_000;

/// Bytes of a payload that are sent with its message; a longer one is left out.
const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InspectArgs {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    payloads: bool,
}

/// What one follower gets.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// Of all modules, if there are none.
    modules: Vec<ModuleName>,
    /// Of all types, if there are none.
    types: Vec<RequestType>,
    payloads: Payloads,
    /// Messages that it was not sent, since it did not read.
    left_out: u64,
}

/// Whether a follower gets what is in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payloads {
    Hidden,
    Shown,
}

impl Inspected {
    pub(crate) fn has_left_out(&self) -> bool {
        self.left_out > 0
    }

    /// The notice on what it was not sent.
    pub(crate) fn take_left_out(&mut self) -> Json {
        Json::of(&serde_json::json!({ "left_out": std::mem::take(&mut self.left_out) }))
    }

    fn wants(&self, module: &ModuleName, kind: Option<&RequestType>) -> bool {
        let is_type = self.types.is_empty() || kind.is_some_and(|kind| self.types.contains(kind));
        is_type && (self.modules.is_empty() || self.modules.contains(module))
    }
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    ToModule,
    FromModule,
}

impl Way {
    fn back(self) -> Way {
        match self {
            Way::ToModule => Way::FromModule,
            Way::FromModule => Way::ToModule,
        }
    }
}

/// What is remembered of a request until its answer comes.
#[derive(Debug)]
struct Asked {
    kind: RequestType,
    name: Option<String>,
    at: Instant,
}

/// The requests on their way whose answers are to be understood.
#[derive(Debug, Default)]
pub(super) struct Tap {
    asked: BTreeMap<(RunId, Way, u64), Asked>,
}

impl Tap {
    /// A process is gone.
    pub(super) fn forget(&mut self, run: RunId) {
        let of_run: Vec<_> =
            self.asked.range((run, Way::ToModule, 0)..=(run, Way::FromModule, u64::MAX)).map(|(key, _)| *key).collect();
        for key in of_run {
            self.asked.remove(&key);
        }
    }

    fn note(&mut self, key: (RunId, Way, u64), asked: Asked) {
        if self.asked.len() < REMEMBERED_MAX {
            self.asked.insert(key, asked);
        }
    }
}

/// A message, as followers get it.
#[derive(Clone, Copy, Debug, Serialize)]
struct Line<'a> {
    time: &'a str,
    way: Way,
    module: &'a str,
    instance: &'a str,
    message: &'static str,
    id: Option<u64>,
    r#type: Option<&'a str>,
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a Json>,
}

impl HostState {
    /// Sends a client a line about each message of modules from now on.
    pub(crate) fn inspect(&mut self, who: Recipient, args: InspectArgs) -> Result<Option<Json>, Failure> {
        if let Caller::Run(_) = who.caller {
            let reason = "inspect is for clients of the control socket: a module gets no messages of others";
            return Err(Failure::new(ErrorCode::PermissionDenied, reason));
        }
        self.check_follower(who)?;
        let InspectArgs { names, types, payloads } = args;
        let refused = |what: String| bad(format!("the arguments of inspect: {what}"));
        if names.len() > NAMES_MAX {
            return Err(refused(format!("expected at most {NAMES_MAX} names, found {}", names.len())));
        }
        // One that is not loaded may be loaded later.
        let modules: Result<Vec<ModuleName>, _> = names.iter().map(|name| ModuleName::new(name)).collect();
        let modules = modules.map_err(|error| refused(error.to_string()))?;
        let mut kinds = Vec::new();
        for name in &types {
            match RequestType::from_name(name) {
                RequestType::Unknown(name) => {
                    let shown = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
                    return Err(refused(format!("expected types such as command and query, found {shown:?}")));
                }
                kind if kinds.contains(&kind) => {}
                kind => kinds.push(kind),
            }
        }
        let payloads = if payloads { Payloads::Shown } else { Payloads::Hidden };
        self.reply(who, Status::Progress(Json::of(&serde_json::json!({ "following": true }))));
        if !self.is_listening(who.caller) {
            return Ok(None);
        }
        let held = FOLLOWER_BYTES + names.held_bytes() + kinds.held_bytes();
        let held = Counted::new(&self.followers_bytes, held);
        let what = Followed::Messages(Inspected { modules, types: kinds, payloads, left_out: 0 });
        self.followers.add(Follower { recipient: who, what, held });
        self.note_follower(who.caller);
        self.tap.get_or_insert_default();
        Ok(None)
    }

    /// A request was sent to a module.
    pub(super) fn tap_sent(&mut self, run: RunId, request: RequestId) {
        let Some((wire, payload)) = self.core.outgoing(request) else { return };
        let (kind, payload) = (wire.kind.clone(), payload.clone());
        self.tap_asked((run, Way::ToModule, Some(request.0)), &kind, None, &payload);
    }

    /// A request of the host's own was sent to a module.
    pub(super) fn tap_control(&mut self, run: RunId, id: u64, kind: &RequestType, payload: &Json) {
        self.tap_asked((run, Way::ToModule, Some(id)), kind, None, payload);
    }

    /// A request has come from a module.
    pub(super) fn tap_request(&mut self, run: RunId, request: &Request) {
        self.tap_asked((run, Way::FromModule, request.id), &request.kind, request.to.as_deref(), &request.payload);
    }

    fn tap_asked(
        &mut self,
        (run, way, id): (RunId, Way, Option<u64>),
        kind: &RequestType,
        to: Option<&str>,
        payload: &Json,
    ) {
        let name = name_of(kind, payload);
        let line = Line {
            time: &wall_clock(),
            way,
            module: "",
            instance: "",
            message: "request",
            id,
            r#type: Some(kind.name()),
            name: name.as_deref(),
            to,
            bytes: payload.as_str().len(),
            code: None,
            duration_us: None,
            payload: None,
        };
        self.send_tapped(run, Some(kind), line, payload);
        if let (Some(tap), Some(id)) = (&mut self.tap, id) {
            tap.note((run, way, id), Asked { kind: kind.clone(), name, at: Instant::now() });
        }
    }

    /// An answer, or progress, was sent to a module or has come from one.
    pub(super) fn tap_response(&mut self, run: RunId, way: Way, response: &Response) {
        let Some(tap) = &mut self.tap else { return };
        let key = response.id.map(|id| (run, way.back(), id));
        let asked = key.and_then(|key| Some((key, tap.asked.remove(&key)?)));
        let none = Json::null();
        let (message, code, payload) = match &response.status {
            Status::Progress(data) => ("progress", None, data),
            Status::Success(data) => ("success", None, data),
            Status::Error(failure) => ("error", Some(failure.code.name()), failure.data.as_ref().unwrap_or(&none)),
        };
        let asked_of = asked.as_ref().map(|(_, asked)| asked);
        let elapsed = asked_of.map(|asked| u64::try_from(asked.at.elapsed().as_micros()).unwrap_or(u64::MAX));
        let line = Line {
            time: &wall_clock(),
            way,
            module: "",
            instance: "",
            message,
            id: response.id,
            r#type: asked_of.map(|asked| asked.kind.name()),
            name: asked_of.and_then(|asked| asked.name.as_deref()),
            to: None,
            bytes: payload.as_str().len(),
            code,
            duration_us: elapsed,
            payload: None,
        };
        self.send_tapped(run, asked_of.map(|asked| &asked.kind), line, payload);
        // Its answer is still to come.
        if let (Status::Progress(_), Some((key, asked)), Some(tap)) = (&response.status, asked, &mut self.tap) {
            tap.asked.insert(key, asked);
        }
    }

    /// Sends the followers who want it a line. Without a follower, messages are looked at no more.
    fn send_tapped(&mut self, run: RunId, kind: Option<&RequestType>, line: Line<'_>, payload: &Json) {
        let followers = self.followers.of_messages();
        if followers.is_empty() {
            self.tap = None;
            return;
        }
        let Some(process) = self.processes.get(&run) else { return };
        let (module, instance) = (process.config.name.clone(), process.instance.clone());
        let (mut hidden, mut shown) = (None, None);
        for id in followers {
            let Some(caller) = self.followers.get(id).map(|it| it.recipient.caller) else { continue };
            let has_room = self.has_room_for(caller, clients::LIVE_BYTES_MAX);
            let Some(Follower { recipient, what: Followed::Messages(inspected), .. }) = self.followers.get_mut(id)
            else {
                continue;
            };
            if !inspected.wants(&module, kind) {
                continue;
            }
            if !has_room || inspected.left_out > 0 {
                inspected.left_out += 1;
                self.followers.set_waiting(id, true);
                continue;
            }
            let (who, payloads) = (*recipient, inspected.payloads);
            let of = |payload| Json::of(&Line { module: module.as_str(), instance: &instance, payload, ..line });
            let json = match payloads {
                Payloads::Hidden => hidden.get_or_insert_with(|| of(None)),
                Payloads::Shown => {
                    shown.get_or_insert_with(|| of((payload.as_str().len() <= PAYLOAD_BYTES_MAX).then_some(payload)))
                }
            };
            let json = json.clone();
            self.reply(who, Status::Progress(json));
        }
    }
}

/// What a command or an event is called.
fn name_of(kind: &RequestType, payload: &Json) -> Option<String> {
    let name = match kind {
        RequestType::Command if payload.as_str().len() <= PAYLOAD_BYTES_MAX => event::command_name(payload)?,
        RequestType::Event => bulkhead_protocol::Named::event(payload)?.name.to_owned(),
        _ => return None,
    };
    Some(name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected(modules: &[&str], types: &[RequestType]) -> Inspected {
        let modules = modules.iter().map(|name| ModuleName::new(name).unwrap()).collect();
        Inspected { modules, types: types.to_vec(), payloads: Payloads::Hidden, left_out: 0 }
    }

    #[test]
    fn a_follower_gets_the_modules_and_types_that_it_names_or_all() {
        let name = ModuleName::new("a").unwrap();
        assert!(inspected(&[], &[]).wants(&name, None));
        assert!(inspected(&["b", "a"], &[]).wants(&name, Some(&RequestType::Ping)));
        assert!(!inspected(&["b"], &[]).wants(&name, Some(&RequestType::Ping)));
        assert!(inspected(&[], &[RequestType::Query]).wants(&name, Some(&RequestType::Query)));
        assert!(!inspected(&["a"], &[RequestType::Query]).wants(&name, Some(&RequestType::Command)));
        assert!(!inspected(&["a"], &[RequestType::Query]).wants(&name, None), "an answer to it is not known to be one");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_goes_with_its_process() {
        let mut tap = Tap::default();
        let asked = || Asked { kind: RequestType::Query, name: None, at: Instant::now() };
        for id in 0..2 * REMEMBERED_MAX as u64 {
            tap.note((RunId(id % 2), Way::FromModule, id), asked());
        }
        assert_eq!(tap.asked.len(), REMEMBERED_MAX);
        tap.forget(RunId(1));
        assert_eq!(tap.asked.len(), REMEMBERED_MAX / 2);
        tap.forget(RunId(0));
        assert!(tap.asked.is_empty());
    }
}
