//! A program builds its configuration without files, under the same rules.

use bulkhead_config::{HostConfig, Loaded, ModuleConfig, ModuleKind, Origin};
use bulkhead_protocol::Json;
use std::time::Duration;

fn loaded(change: impl FnOnce(&mut Loaded)) -> Result<(), String> {
    let module = ModuleConfig::process("echo", ["/bin/sh", "-c", "true"]).unwrap();
    let mut loaded = Loaded::new(HostConfig::new("state", "/run/x.sock"), vec![module]);
    change(&mut loaded);
    loaded.check().map_err(|problems| problems.to_string())
}

#[test]
fn a_module_is_built_without_files() {
    let module = ModuleConfig::process("echo", ["sh"]).unwrap().with_env("A", "1").with_config(Json::of(&[("a", 1)]));
    assert!(module.kind.program().is_some_and(|program| program.is_absolute()) && module.folder.is_absolute());
    assert_eq!(module.origins.of("module.command"), Origin::Program);
    assert_eq!(module.env["A"], "1");
    let host = HostConfig::new("state", "x.sock");
    assert!(host.state_dir.is_absolute() && host.socket.is_absolute());
}

#[test]
fn a_module_that_cannot_be_is_refused_at_once() {
    let problem =
        |name: &str, command: &[&str]| ModuleConfig::process(name, command.iter().copied()).unwrap_err().to_string();
    assert_eq!(problem("Echo", &["sh"]), "a module's name is made of a-z, 0-9, '-' and '_', found 'E'");
    assert_eq!(problem("echo", &[]), "module echo: expected the command and its arguments, found an empty list");
    assert_eq!(problem("echo", &["/none"]), "module echo: module.command: /none: no such file");
}

#[test]
fn values_of_a_program_have_the_bounds_of_a_file() {
    assert_eq!(loaded(|_| ()), Ok(()));
    type Case = (fn(&mut Loaded), &'static str);
    let refused: [Case; 8] = [
        (|l| l.modules[0].limits.queue = 0, "module echo: limits.queue: expected 1 to 1000000, found 0"),
        (
            |l| l.modules[0].limits.start_timeout = Duration::ZERO,
            "module echo: limits.start_timeout: expected 10ms to 1h, found 0ns",
        ),
        (|l| l.modules[0].restart.give_up = Some(0), "module echo: restart.give_up: expected 1 to 1000000, found 0"),
        (|l| l.modules[0].config = Json::of(&[1]), "module echo: config: expected a JSON object, found \"[1]\""),
        (
            |l| {
                let kind = &mut l.modules[0].kind;
                let ModuleKind::Process { command, .. } = kind else { panic!("{kind:?} is a process") };
                command.clear();
            },
            "module echo: module.command: expected the command and its arguments, found an empty list",
        ),
        (|l| l.modules.push(l.modules[0].clone()), "two modules have the name \"echo\""),
        (|l| l.host.frame_bytes_max = 5, "host.frame_bytes_max: expected 64KiB to 256MiB, found 5 bytes"),
        (
            |l| l.host.socket = "/x".repeat(99).into(),
            "expected a path of at most 107 bytes for the control socket, found 198",
        ),
    ];
    for (change, expected) in refused {
        let found = loaded(change).unwrap_err();
        assert!(found.contains(expected), "{found}");
    }
}
