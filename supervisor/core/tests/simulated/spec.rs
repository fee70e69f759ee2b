//! The specification that the options of a script's line describe.

use crate::line::Line;
use bulkhead_core::{Entities, ModuleSpec, Policy, Slowness};
use bulkhead_protocol::{ModuleName, Pattern};

pub(crate) fn name(text: &str) -> ModuleName {
    ModuleName::new(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Reads `module NAME option=value …`.
pub(crate) fn spec(line: &Line) -> ModuleSpec {
    let mut spec = ModuleSpec::new(name(line.word(1)), line.number("generation").unwrap_or(1));
    let patterns = |name: &str| line.list(name).iter().map(|text| Pattern::new(text).unwrap()).collect();
    spec.requires = line.list("requires").iter().map(|text| name(text)).collect();
    spec.instances = line.number("instances").unwrap_or(1) as u32;
    spec.spares = line.number("spares").unwrap_or(0) as u32;
    spec.subscribe = patterns("subscribe");
    spec.emit = patterns("emit");
    spec.call = line.list("call");
    spec.entities = Entities {
        read: patterns("read"),
        create: patterns("create"),
        write: patterns("write"),
        delete: patterns("delete"),
    };
    spec.storage_quota = line.number("quota");
    spec.descriptors = line.number("descriptors").unwrap_or(1) as u32;
    for option in line.option_names() {
        let (restart, rules) = (&mut spec.restart, &mut spec.rules);
        let number = |name| line.number(name).expect("it is there");
        let duration = |name| line.duration(name).expect("it is there");
        match option {
            "policy" => {
                restart.policy = match line.option("policy") {
                    Some("always") => Policy::Always,
                    Some("on-failure") => Policy::OnFailure,
                    Some("never") => Policy::Never,
                    other => panic!("no policy: {other:?}"),
                }
            }
            "slowness" => {
                spec.slowness = match line.option("slowness") {
                    Some("ended") => Slowness::Ended,
                    Some("ignored") => Slowness::Ignored,
                    other => panic!("no slowness: {other:?}"),
                }
            }
            "breaker" => restart.breaker_failures = number("breaker") as u32,
            "breaker_retry" => restart.breaker_retry = duration("breaker_retry"),
            "give_up" => restart.give_up = Some(number("give_up") as u32),
            "queue" => rules.queue_max = number("queue") as usize,
            "queue_bytes" => rules.queue_bytes_max = number("queue_bytes") as usize,
            "window" => rules.window = number("window") as usize,
            "window_bytes" => rules.window_bytes_max = number("window_bytes") as usize,
            "requests" => rules.requests_max = number("requests") as usize,
            "start" => rules.start_timeout = duration("start"),
            "compile" => rules.compile_timeout = Some(duration("compile")),
            "drain" => rules.drain_timeout = duration("drain"),
            "term" => rules.term_timeout = duration("term"),
            "ping" => rules.ping_interval = duration("ping"),
            "deadline" => rules.deadline_default = duration("deadline"),
            "grace" => rules.cancel_grace = duration("grace"),
            "close" => rules.close_grace = duration("close"),
            "cpu" => rules.cpu_time_max = Some(duration("cpu")),
            "generation" | "requires" | "instances" | "spares" | "subscribe" | "emit" | "call" | "by" | "for"
            | "read" | "create" | "write" | "delete" | "quota" | "descriptors" => {}
            other => panic!("no option of a module: {other:?}"),
        }
    }
    spec
}
