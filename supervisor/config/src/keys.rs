//! Every key of both kinds of file, with the bounds of its value. A key that is not in these tables is refused;
//! `docs/configuration.md` has a row for each, and a test checks that.

use crate::setting::{Key, Named, Operator, Slot, Where, check_variable_name};
use crate::{HostConfig, Line, LogLevel, ModuleConfig, ModuleKind, OnLimit, OnPanic, RestartPolicy, Transport, Wasi};
use bulkhead_protocol::ModuleName;
use bulkhead_protocol::limits::{DEADLINE_MS_MAX, FRAME_BYTES_MAX_HIGHEST, FRAME_BYTES_MAX_LOWEST};
use std::{ops::RangeInclusive, time::Duration};

use Operator::{MayNot, Merges, Narrows, Replaces};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const fn ms(from: u64, to: u64) -> RangeInclusive<Duration> {
    Duration::from_millis(from)..=Duration::from_millis(to)
}

const fn key<T>(path: &'static str, operator: Operator, slot: for<'a> fn(&'a mut T) -> Slot<'a>) -> Key<T> {
    Key { path, operator, slot: Where::Always(slot) }
}

/// A key that only some kinds have; [`UNFIT_KEYS`] says why the others don't.
const fn of_kind<T>(path: &'static str, operator: Operator, slot: for<'a> fn(&'a mut T) -> Option<Slot<'a>>) -> Key<T> {
    Key { path, operator, slot: Where::Sometimes(slot) }
}

/// What is shown as a key of the host's file, and set on the command line only.
pub(crate) const TRUSTED_USERS: &str = "host.trusted_users";

/// The keys of `module.toml`. In the host's file, those of `[module]` are directly under `[module.NAME]`, the others
/// under `[module.NAME.section]`.
pub(crate) const MODULE_KEYS: &[Key<ModuleConfig>] = &[
    key("module.name", MayNot, |m| Slot::Name(&mut m.name)),
    key("module.version", MayNot, |m| Slot::Text(&mut m.version)),
    key("module.type", MayNot, |m| Slot::Choice(&mut m.kind)),
    of_kind("module.command", MayNot, |m| match &mut m.kind {
        ModuleKind::Process { command, .. } | ModuleKind::Filter { command, .. } | ModuleKind::Mcp { command, .. } => {
            Some(Slot::Command(command))
        }
        ModuleKind::Native { .. } | ModuleKind::Wasm { .. } => None,
    }),
    of_kind("module.transport", MayNot, |m| match &mut m.kind {
        ModuleKind::Process { transport, .. } => Some(Slot::Choice(transport)),
        ModuleKind::Native { .. } | ModuleKind::Wasm { .. } | ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => {
            None
        }
    }),
    of_kind("module.library", MayNot, |m| match &mut m.kind {
        ModuleKind::Native { library, .. } => Some(Slot::Path(library)),
        ModuleKind::Process { .. } | ModuleKind::Wasm { .. } | ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => {
            None
        }
    }),
    of_kind("module.wasm", MayNot, |m| match &mut m.kind {
        ModuleKind::Wasm { module, .. } => Some(Slot::Path(module)),
        ModuleKind::Process { .. } | ModuleKind::Native { .. } | ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => {
            None
        }
    }),
    of_kind("module.per_message", MayNot, |m| match &mut m.kind {
        ModuleKind::Filter { per_message, .. } => Some(Slot::Switch(per_message)),
        ModuleKind::Process { .. } | ModuleKind::Native { .. } | ModuleKind::Wasm { .. } | ModuleKind::Mcp { .. } => {
            None
        }
    }),
    of_kind("module.line", MayNot, |m| match &mut m.kind {
        ModuleKind::Filter { line, .. } => Some(Slot::Choice(line)),
        ModuleKind::Process { .. } | ModuleKind::Native { .. } | ModuleKind::Wasm { .. } | ModuleKind::Mcp { .. } => {
            None
        }
    }),
    key("module.requires", MayNot, |m| Slot::Names(&mut m.requires)),
    key("module.spares", Replaces, |m| Slot::Count(&mut m.spares, 0..=16)),
    key("module.instances", Replaces, |m| Slot::Count(&mut m.instances, 1..=64)),
    key("module.autostart", Replaces, |m| Slot::Switch(&mut m.autostart)),
    key("module.env", Merges, |m| Slot::Variables(&mut m.env)),
    key("module.inherit_env", Replaces, |m| Slot::Texts(&mut m.inherit_env, check_variable_name)),
    key("restart.policy", Replaces, |m| Slot::Choice(&mut m.restart.policy)),
    key("restart.at_once_after", Replaces, |m| Slot::Time(&mut m.restart.at_once_after, ms(0, HOUR))),
    key("restart.delay_initial", Replaces, |m| Slot::Time(&mut m.restart.delay_initial, ms(1, HOUR))),
    key("restart.delay_max", Replaces, |m| Slot::Time(&mut m.restart.delay_max, ms(1, DAY))),
    key("restart.reset_after", Replaces, |m| Slot::Time(&mut m.restart.reset_after, ms(0, DAY))),
    key("restart.breaker_failures", Replaces, |m| Slot::Count(&mut m.restart.breaker_failures, 1..=1000)),
    key("restart.breaker_window", Replaces, |m| Slot::Time(&mut m.restart.breaker_window, ms(SECOND, DAY))),
    key("restart.breaker_retry", Replaces, |m| Slot::Time(&mut m.restart.breaker_retry, ms(10, DAY))),
    key("restart.give_up", Replaces, |m| Slot::OptionalCount(&mut m.restart.give_up, 1..=1_000_000)),
    of_kind("restart.on_panic", Replaces, |m| match &mut m.kind {
        ModuleKind::Process { on_panic, .. }
        | ModuleKind::Native { on_panic, .. }
        | ModuleKind::Wasm { on_panic, .. } => Some(Slot::Choice(on_panic)),
        ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => None,
    }),
    key("limits.queue", Replaces, |m| Slot::Count(&mut m.limits.queue, 1..=1_000_000)),
    key("limits.queue_bytes_max", Replaces, |m| Slot::Size(&mut m.limits.queue_bytes_max, 64 * KIB..=2 * GIB)),
    key("limits.window", Replaces, |m| Slot::Count(&mut m.limits.window, 1..=10_000)),
    key("limits.window_bytes", Replaces, |m| Slot::Size(&mut m.limits.window_bytes, KIB..=2 * GIB)),
    key("limits.requests", Replaces, |m| Slot::Count(&mut m.limits.requests, 0..=10_000)),
    key("limits.start_timeout", Replaces, |m| Slot::Time(&mut m.limits.start_timeout, ms(10, HOUR))),
    of_kind("limits.compile_timeout", Replaces, |m| match &mut m.kind {
        ModuleKind::Wasm { compile_timeout, .. } => Some(Slot::Time(compile_timeout, ms(10, HOUR))),
        ModuleKind::Process { .. } | ModuleKind::Native { .. } | ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => {
            None
        }
    }),
    key("limits.stop_timeout", Replaces, |m| Slot::Time(&mut m.limits.stop_timeout, ms(0, HOUR))),
    key("limits.term_timeout", Replaces, |m| Slot::Time(&mut m.limits.term_timeout, ms(0, HOUR))),
    key("limits.ping_interval", Replaces, |m| Slot::Time(&mut m.limits.ping_interval, ms(10, HOUR))),
    key("limits.ping_timeout", Replaces, |m| Slot::Time(&mut m.limits.ping_timeout, ms(10, HOUR))),
    key("limits.ping_misses", Replaces, |m| Slot::Count(&mut m.limits.ping_misses, 1..=1000)),
    key("limits.deadline_default", Replaces, |m| Slot::Time(&mut m.limits.deadline_default, ms(1, DEADLINE_MS_MAX))),
    key("limits.cancel_grace", Replaces, |m| Slot::Time(&mut m.limits.cancel_grace, ms(0, HOUR))),
    key("resources.memory_limit", Replaces, |m| {
        Slot::OptionalSize(&mut m.resources.memory_limit, MIB as u64..=1024 * GIB as u64)
    }),
    key("resources.core_limit", Replaces, |m| {
        Slot::SizeOrUnlimited(&mut m.resources.core_limit, 0..=1024 * GIB as u64)
    }),
    key("resources.oom_score", Replaces, |m| Slot::Count(&mut m.resources.oom_score, 1..=1000)),
    key("resources.storage_quota", Replaces, |m| {
        Slot::OptionalSize(&mut m.resources.storage_quota, KIB as u64..=1024 * GIB as u64)
    }),
    key("resources.events_quota", Replaces, |m| {
        Slot::OptionalSize(&mut m.resources.events_quota, KIB as u64..=1024 * GIB as u64)
    }),
    key("resources.keys_quota", Replaces, |m| {
        Slot::OptionalSize(&mut m.resources.keys_quota, KIB as u64..=1024 * GIB as u64)
    }),
    of_kind("resources.cpu_time_limit", Replaces, |m| match m.kind {
        ModuleKind::Process { .. } | ModuleKind::Native { .. } | ModuleKind::Wasm { .. } => {
            Some(Slot::OptionalTime(&mut m.resources.cpu_time_limit, ms(1, HOUR)))
        }
        ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => None,
    }),
    of_kind("resources.on_limit", Replaces, |m| match &mut m.kind {
        ModuleKind::Wasm { on_limit, .. } => Some(Slot::Choice(on_limit)),
        ModuleKind::Process { .. } | ModuleKind::Native { .. } | ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => {
            None
        }
    }),
    of_kind("wasi.data_dir", Narrows, |m| wasi(m).map(|wasi| Slot::Switch(&mut wasi.data_dir))),
    of_kind("wasi.read", Narrows, |m| wasi(m).map(|wasi| Slot::Folders(&mut wasi.read))),
    of_kind("wasi.write", Narrows, |m| wasi(m).map(|wasi| Slot::Folders(&mut wasi.write))),
    key("capabilities.entity_read", Narrows, |m| Slot::Entities(&mut m.capabilities.entity_read)),
    key("capabilities.entity_create", Narrows, |m| Slot::Entities(&mut m.capabilities.entity_create)),
    key("capabilities.entity_write", Narrows, |m| Slot::Entities(&mut m.capabilities.entity_write)),
    key("capabilities.entity_delete", Narrows, |m| Slot::Entities(&mut m.capabilities.entity_delete)),
    key("capabilities.event_subscribe", Narrows, |m| Slot::Patterns(&mut m.capabilities.event_subscribe)),
    key("capabilities.event_emit", Narrows, |m| Slot::Patterns(&mut m.capabilities.event_emit)),
    key("capabilities.call", Narrows, |m| Slot::Texts(&mut m.capabilities.call, check_callee)),
    key("layer1.index", MayNot, |m| Slot::Indexes(&mut m.declared.index)),
    key("layer1.search", MayNot, |m| Slot::Searches(&mut m.declared.search)),
    key("dev.build", MayNot, |m| Slot::Words(&mut m.dev.build)),
    key("dev.build_timeout", MayNot, |m| Slot::Time(&mut m.dev.build_timeout, ms(SECOND, DAY))),
    key("dev.debug", MayNot, |m| Slot::Words(&mut m.dev.debug)),
    key("dev.watch", MayNot, |m| Slot::Paths(&mut m.dev.watch)),
    key("config", Merges, |m| Slot::Config(&mut m.config)),
];

/// The keys of `bulkhead.toml`, beside `[module.NAME]`.
pub(crate) const HOST_KEYS: &[Key<HostConfig>] = &[
    key("host.state_dir", Replaces, |h| Slot::Path(&mut h.state_dir)),
    key("host.socket", Replaces, |h| Slot::Path(&mut h.socket)),
    key("host.modules", Replaces, |h| Slot::Paths(&mut h.modules)),
    // It is shown, and a file that sets it gets the reason why it may not.
    of_kind(TRUSTED_USERS, MayNot, |_| None),
    key("host.frame_bytes_max", Replaces, |h| {
        Slot::Size(&mut h.frame_bytes_max, FRAME_BYTES_MAX_LOWEST..=FRAME_BYTES_MAX_HIGHEST)
    }),
    key("host.clients_max", Replaces, |h| Slot::Count(&mut h.clients_max, 1..=100_000)),
    key("host.clients_bytes_max", Replaces, |h| Slot::Size(&mut h.clients_bytes_max, 64 * MIB..=64 * GIB)),
    key("host.log_level", Replaces, |h| Slot::Choice(&mut h.log_level)),
    key("restarts.per_second", Replaces, |h| Slot::Count(&mut h.restarts.per_second, 1..=1000)),
    key("restarts.burst", Replaces, |h| Slot::Count(&mut h.restarts.burst, 1..=10_000)),
    key("restarts.starts_at_once", Replaces, |h| Slot::Count(&mut h.restarts.starts_at_once, 1..=10_000)),
    key("logs.file_bytes_max", Replaces, |h| Slot::Size(&mut h.logs.file_bytes_max, 4 * KIB..=GIB)),
    key("logs.files", Replaces, |h| Slot::Count(&mut h.logs.files, 1..=100)),
    key("logs.lines_per_second", Replaces, |h| Slot::Count(&mut h.logs.lines_per_second, 1..=1_000_000)),
    key("logs.burst", Replaces, |h| Slot::Count(&mut h.logs.burst, 1..=1_000_000)),
    key("logs.line_bytes_max", Replaces, |h| Slot::Size(&mut h.logs.line_bytes_max, 256..=MIB)),
    key("logs.tail", Replaces, |h| Slot::Size(&mut h.logs.tail, KIB..=16 * MIB)),
    key("layer1.key_ttl", Replaces, |h| Slot::Time(&mut h.layer1.key_ttl, ms(SECOND, 3650 * DAY))),
    key("layer1.event_ttl", Replaces, |h| Slot::Time(&mut h.layer1.event_ttl, ms(SECOND, 3650 * DAY))),
    key("layer1.events_max", Replaces, |h| Slot::Count(&mut h.layer1.events_max, 1..=1_000_000_000)),
    key("layer1.events_bytes_max", Replaces, |h| Slot::Size(&mut h.layer1.events_bytes_max, MIB..=1024 * GIB)),
    key("layer1.clients_events_quota", Replaces, |h| {
        Slot::OptionalSize(&mut h.layer1.clients_events_quota, KIB as u64..=1024 * GIB as u64)
    }),
    key("layer1.clients_keys_quota", Replaces, |h| {
        Slot::OptionalSize(&mut h.layer1.clients_keys_quota, KIB as u64..=1024 * GIB as u64)
    }),
    key("layer1.set_aside_max", Replaces, |h| Slot::Count(&mut h.layer1.set_aside_max, 1..=1_000_000)),
    key("layer1.set_aside_bytes_max", Replaces, |h| Slot::Size(&mut h.layer1.set_aside_bytes_max, MIB..=1024 * GIB)),
    key("layer1.readers", Replaces, |h| Slot::Count(&mut h.layer1.readers, 1..=16)),
    key("layer1.query_time_max", Replaces, |h| Slot::Time(&mut h.layer1.query_time_max, ms(10, HOUR))),
    key("layer1.queue_bytes_max", Replaces, |h| Slot::Size(&mut h.layer1.queue_bytes_max, 16 * MIB..=64 * GIB)),
    key("layer1.index", Replaces, |h| Slot::Indexes(&mut h.layer1.declared.index)),
    key("layer1.search", Replaces, |h| Slot::Searches(&mut h.layer1.declared.search)),
];

/// Why a filter and an MCP server have no limit of processor time.
pub(crate) const CHILD_CPU_TIME: &str = "the command of a filter or an MCP server runs in processes of its own, whose time cannot be \
    assigned to one message; remove it, a message that takes too long is ended at its deadline \
    (limits.deadline_default)";

/// Keys and sections that only some kinds of module have, with the reason why the others don't and
/// the remedy.
pub(crate) const UNFIT_KEYS: &[(&str, &str)] = &[
    (
        TRUSTED_USERS,
        "a file cannot say whom the host trusts, since it may itself be another user's; remove it, and start the host \
         with --trust-user USER",
    ),
    (
        "module.command",
        "only a module of type \"process\", \"filter\" or \"mcp\" is a command; remove it, or write another type",
    ),
    ("module.transport", "only a module of type \"process\" speaks to the host itself and can choose how; remove it"),
    ("module.library", "only a module of type \"native\" is a library; remove it, or write type = \"native\""),
    ("module.wasm", "only a module of type \"wasm\" is WebAssembly; remove it, or write type = \"wasm\""),
    ("module.per_message", "only a module of type \"filter\" has it; remove it"),
    ("module.line", "only a module of type \"filter\" has it; remove it"),
    (
        "restart.on_panic",
        "a filter and an MCP server have no handler that could panic, and what follows their end is said by restart.policy; remove it",
    ),
    (
        "limits.compile_timeout",
        "only a module of type \"wasm\" is compiled when it starts, any other has start_timeout alone; remove it",
    ),
    ("resources.cpu_time_limit", CHILD_CPU_TIME),
    (
        "resources.on_limit",
        "only a module of type \"wasm\" can go on after it passed a limit, the process of any other ends; remove it",
    ),
    (
        "wasi",
        "only a module of type \"wasm\" is granted files one by one, any other has those of the host's user; remove it",
    ),
];

fn wasi(module: &mut ModuleConfig) -> Option<&mut Wasi> {
    match &mut module.kind {
        ModuleKind::Wasm { wasi, .. } => Some(wasi),
        ModuleKind::Process { .. } | ModuleKind::Native { .. } | ModuleKind::Filter { .. } | ModuleKind::Mcp { .. } => {
            None
        }
    }
}

fn check_callee(name: &str) -> Result<(), String> {
    match name {
        "supervisor" => Ok(()),
        "layer1" => Err("\"layer1\" is the data store, which is granted by entity_read, entity_create, entity_write \
                         and entity_delete; remove it here"
            .into()),
        other => ModuleName::new(other).map(drop).map_err(|error| error.to_string()),
    }
}

impl Named for OnPanic {
    const ALL: &'static [(&'static str, Self)] = &[("restart", OnPanic::Restart), ("continue", OnPanic::Continue)];
}

impl Named for OnLimit {
    const ALL: &'static [(&'static str, Self)] = &[("restart", OnLimit::Restart), ("continue", OnLimit::Continue)];
}

impl Named for Line {
    const ALL: &'static [(&'static str, Self)] = &[("args", Line::Args), ("message", Line::Message)];
}

impl Named for Transport {
    const ALL: &'static [(&'static str, Self)] = &[("socket", Transport::Socket), ("stdio", Transport::Stdio)];
}

impl Named for RestartPolicy {
    const ALL: &'static [(&'static str, Self)] =
        &[("always", RestartPolicy::Always), ("on-failure", RestartPolicy::OnFailure), ("never", RestartPolicy::Never)];
}

impl Named for LogLevel {
    const ALL: &'static [(&'static str, Self)] = &[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::{NONE, UNLIMITED};
    use serde_json::Value;
    use std::path::PathBuf;

    const DOCUMENTATION: &str = include_str!("../../../docs/configuration.md");

    /// How the row of a key begins in the documentation: its name, default and bounds, and for a key
    /// that only some kinds have, which.
    fn row<T>(key: &Key<T>, configs: &mut [(&'static str, T)]) -> String {
        let kinds = kinds(key, configs);
        let every_kind = kinds.len() == configs.len();
        let mut slots = configs.iter_mut().filter_map(|(_, config)| key.slot(config));
        let slot = slots.next().expect("some kind has it");
        let default = match (key.path, slot.value()) {
            ("module.name" | "module.command" | "module.library" | "module.wasm", _) => "required".into(),
            ("host.state_dir" | "host.socket" | "host.modules", _) => "see below".into(),
            (_, Value::Object(_)) => "empty".into(),
            (_, value) => format!("`{value}`"),
        };
        let mut bounds = slot.bounds();
        if matches!(slot, Slot::OptionalCount(..) | Slot::OptionalTime(..) | Slot::OptionalSize(..)) {
            bounds = format!("{bounds}, or {NONE:?}");
        }
        if matches!(slot, Slot::SizeOrUnlimited(..)) {
            bounds = format!("{bounds}, or {UNLIMITED:?}");
        }
        let name = key.path.rsplit_once('.').map_or(key.path, |(_, name)| name);
        let kinds = if every_kind { String::new() } else { format!(" {} |", kinds.join(", ")) };
        format!("| `{name}` | {default} | {bounds} |{kinds}").replace("|  |", "| |")
    }

    /// The kinds that have a key.
    fn kinds<T>(key: &Key<T>, configs: &mut [(&'static str, T)]) -> Vec<&'static str> {
        configs.iter_mut().filter_map(|(name, config)| key.slot(config).map(|_| *name)).collect()
    }

    /// The text under the heading of a section of one kind of file.
    fn section(file: &str, name: &str) -> &'static str {
        let heading = format!("`[{name}]`");
        let (manifest, host) = DOCUMENTATION.split_once("\n# The host's file").expect("it is about two kinds of file");
        let part = if file == "module.toml" { manifest } else { host };
        let after = part.split("\n## ").find(|part| part.lines().next().is_some_and(|l| l.contains(&heading)));
        after.unwrap_or_else(|| panic!("the documentation of {file} has no heading with {heading}"))
    }

    fn missing<T>(keys: &[Key<T>], configs: &mut [(&'static str, T)], title: &str) -> Vec<String> {
        let mut missing = Vec::new();
        for key in keys.iter().filter(|key| key.path != TRUSTED_USERS) {
            let place = key.path.split('.').next().unwrap_or(key.path);
            let row = row(key, configs);
            if !section(title, place).contains(&row) {
                missing.push(format!("{title} [{place}]: {row}"));
            }
        }
        missing
    }

    /// A module of each kind, and the kind's name.
    fn modules() -> Vec<(&'static str, ModuleConfig)> {
        let module = |name| {
            let mut kind = ModuleKind::of_name(name).unwrap();
            if let ModuleKind::Process { command, .. }
            | ModuleKind::Filter { command, .. }
            | ModuleKind::Mcp { command, .. } = &mut kind
            {
                command.push("a".into());
            }
            (name, ModuleConfig::with_defaults(ModuleName::new("a").unwrap(), PathBuf::new(), kind))
        };
        ModuleKind::NAMES.map(module).into()
    }

    #[test]
    fn the_documentation_has_a_row_for_every_key_with_its_default_and_bounds() {
        let mut rows = missing(MODULE_KEYS, &mut modules(), "module.toml");
        rows.extend(missing(HOST_KEYS, &mut [("", HostConfig::new("", ""))], "bulkhead.toml"));
        assert!(rows.is_empty(), "docs/configuration.md lacks\n{}", rows.join("\n"));
    }

    #[test]
    fn the_documentation_has_no_row_for_a_key_that_is_none() {
        let names: Vec<&str> =
            MODULE_KEYS.iter().map(|key| key.path).chain(HOST_KEYS.iter().map(|key| key.path)).collect();
        let known = |name: &str| names.iter().any(|path| path.rsplit('.').next() == Some(name));
        let rows = DOCUMENTATION.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        let strangers: Vec<&str> = rows.filter(|name| !known(name)).collect();
        assert!(strangers.is_empty(), "docs/configuration.md has rows for {strangers:?}");
    }

    #[test]
    fn every_key_that_some_kind_lacks_has_a_reason_and_no_other_key_has() {
        let reason = |path: &str| {
            let section = path.split('.').next().unwrap();
            UNFIT_KEYS.iter().any(|(unfit, _)| *unfit == path || *unfit == section)
        };
        for key in MODULE_KEYS {
            let everywhere = kinds(key, &mut modules()).len() == ModuleKind::NAMES.len();
            assert_eq!(reason(key.path), !everywhere, "{}", key.path);
        }
    }

    #[test]
    fn every_kind_has_the_key_that_it_requires() {
        for (kind, module) in &mut modules() {
            let (required, _) = module.kind.required();
            let key = MODULE_KEYS.iter().find(|key| key.path == required).unwrap();
            assert!(key.slot(module).is_some(), "{kind} has no {required}");
        }
    }

    #[test]
    fn every_default_is_in_its_bounds() {
        for (kind, module) in &mut modules() {
            for key in MODULE_KEYS {
                let checked = key.slot(module).map_or(Ok(()), |slot| slot.check());
                assert_eq!(checked, Ok(()), "{} of {kind}", key.path);
            }
        }
        for key in HOST_KEYS {
            let mut host = HostConfig::new("s", "s");
            let checked = key.slot(&mut host).map(|slot| slot.check());
            let expected = (key.path != TRUSTED_USERS).then_some(Ok(()));
            assert_eq!(checked, expected, "{}", key.path);
        }
    }

    #[test]
    fn no_key_stands_twice_and_none_is_the_section_of_another() {
        for (index, key) in MODULE_KEYS.iter().enumerate() {
            for other in &MODULE_KEYS[index + 1..] {
                assert_ne!(key.path, other.path);
                assert!(!other.path.starts_with(&format!("{}.", key.path)), "{} and {}", key.path, other.path);
            }
        }
    }
}
