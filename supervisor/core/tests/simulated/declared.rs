//! What a module declares in its answer to `init`: what the core keeps of it, for how long, and what the log says.

use bulkhead_core::{
    Action, Control, Core, Declared, Evidence, HostSettings, InitialState, ModuleSpec, RequestId, RunId, Time,
};
use bulkhead_protocol::{Exit, Json, ModuleName, Response, Status};
use std::{collections::VecDeque, sync::Arc, time::Duration};

const LONG: usize = 66 * 1024;

struct Host {
    core: Core,
    now: Time,
    name: ModuleName,
    starting: VecDeque<(RunId, RequestId)>,
    log: Vec<String>,
}

impl Host {
    fn new(instances: u32) -> Host {
        let name = ModuleName::new("log").unwrap();
        let mut core = Core::new(HostSettings::default(), 1);
        let mut spec = ModuleSpec::new(name.clone(), 1);
        spec.instances = instances;
        core.add_module(Time::ZERO, spec, InitialState::Running).unwrap();
        let mut host = Host { core, now: Time::ZERO, name, starting: VecDeque::new(), log: Vec::new() };
        host.perform();
        host
    }

    fn perform(&mut self) {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Spawn { run, .. } => self.core.handle_spawned(self.now, run, 1),
                Action::SendControl { run, id, control: Control::Init } => self.starting.push_back((run, id)),
                Action::LogLine { text, .. } => self.log.push(text),
                _ => {}
            }
        }
    }

    /// The next process answers `init` with these commands.
    fn ready(&mut self, version: &str, commands: &str) -> RunId {
        let (run, id) = self.starting.pop_front().expect("one is starting");
        let data = format!(r#"{{"name":"x","version":"{version}","protocol":1,"commands":{commands}}}"#);
        let status = Status::Success(Json::parse(&data).unwrap());
        self.core.handle_response(self.now, run, Response { id: Some(id.0), status, last: false });
        self.perform();
        run
    }

    fn crash(&mut self, run: RunId) {
        self.now = self.now + Duration::from_secs(2);
        self.core.handle_exited(self.now, run, Exit::Code(3), Evidence::default());
        self.core.handle_gone(self.now, run);
        self.perform();
    }

    fn declared(&self) -> Option<Arc<Declared>> {
        self.core.declared(&self.name)
    }
}

#[test]
fn what_a_module_declared_outlives_its_process_and_the_next_one_replaces_it() {
    let mut host = Host::new(1);
    assert_eq!(host.declared(), None);
    let run = host.ready("1", r#"[{"name":"add","args":{"type":"object"}}]"#);
    let first = host.declared().unwrap();
    assert_eq!((&*first.version, first.commands.len()), ("1", 1));
    host.crash(run);
    assert_eq!(host.declared().as_ref(), Some(&first), "while the next one is starting");
    host.ready("2", r#"["add","get"]"#);
    let second = host.declared().unwrap();
    assert_eq!((&*second.version, second.commands.len(), &second.commands[0].details), ("2", 2, &None));
    assert!(host.log.is_empty());
}

#[test]
fn processes_that_declare_the_same_hold_it_once() {
    let mut host = Host::new(3);
    let commands = format!(r#"[{{"name":"add","args":{{"title":"{}"}}}}]"#, "x".repeat(60_000));
    host.ready("1", &commands);
    let first = Arc::downgrade(&host.declared().unwrap());
    assert_eq!(first.strong_count(), 2, "by the process and by the module");
    host.ready("1", &commands);
    host.ready("2", &commands);
    assert_eq!(first.strong_count(), 2, "by two processes; what was declared last is of the third");
}

#[test]
fn what_is_not_kept_is_reported_in_the_log_of_the_process() {
    let mut host = Host::new(1);
    let long = "x".repeat(LONG);
    host.ready("1", &format!(r#"["get",{{"name":"add","args":{{"title":"{long}"}},"examples":7}}]"#));
    let expected = [
        "log: the command \"add\" is kept without its args: expected at most 65536 bytes, found 67596",
        "log: the command \"add\" is kept without its examples: expected a list, found a number",
    ];
    assert_eq!(host.log, expected);
    let declared = host.declared().unwrap();
    assert_eq!(declared.commands[1].details.as_ref().unwrap().dropped.len(), 2);
}
