//! What is accepted: defaults, precedence, and where each value came from.

use crate::support::{RESEARCH_LOG, SCRIPT, Tree, owners_of_checkout};
use bulkhead_config::{
    Environment, Flags, HostConfig, Limits, LogLevel, Logs, ModuleConfig, ModuleKind, OnPanic, Origin, Paths,
    Resources, Restart, RestartPolicy, Restarts, Transport,
};
use serde_json::{Value, json};
use std::{ffi::OsStr, fs, path::Path, time::Duration};

fn research_log(tree: &Tree) -> ModuleConfig {
    tree.load_modules().unwrap().module("research-log").unwrap().clone()
}

#[test]
fn the_manifest_of_the_documentation_loads() {
    let tree = Tree::new();
    let manifest = r#"
[module]
name = "research-log"
version = "0.1.0"
type = "process"
command = ["bin/research-log"]
transport = "socket"
[restart]
policy = "on-failure"
[resources]
memory_limit = "64MB"
cpu_time_limit = "100ms"
[capabilities]
event_subscribe = ["research_session.*"]
[config]
default_template = "standard"
"#;
    tree.research_log().write("modules/research-log/module.toml", manifest);
    let module = research_log(&tree);
    assert_eq!(module.version, "0.1.0");
    assert_eq!(module.folder, tree.path().join("modules/research-log"));
    let expected = ModuleKind::Process {
        command: vec!["bin/research-log".into()],
        program: tree.path().join("modules/research-log/bin/research-log"),
        transport: Transport::Socket,
        on_panic: OnPanic::Restart,
    };
    assert_eq!(module.kind, expected);
    assert_eq!(module.resources.memory_limit, Some(64_000_000));
    assert_eq!(module.resources.cpu_time_limit, Some(Duration::from_millis(100)));
    assert_eq!(module.capabilities.to_wire().event_subscribe, ["research_session.*"]);
    assert_eq!(module.config.as_str(), r#"{"default_template":"standard"}"#);
}

#[test]
fn the_examples_of_the_documentation_load() {
    let documentation = include_str!("../../../../docs/configuration.md");
    let examples: Vec<&str> =
        documentation.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let tree = Tree::new();
        tree.research_log().program("modules/research-log/bin/echo", SCRIPT);
        let result = if example.starts_with("[module]") {
            tree.write("modules/research-log/module.toml", example).load_modules()
        } else {
            tree.write("bulkhead.toml", example).load_host()
        };
        assert_eq!(
            result.map(|loaded| loaded.modules.len()).map_err(|problems| problems.to_string()),
            Ok(1),
            "{example}"
        );
    }
}

#[test]
fn the_least_manifest_gets_the_documented_defaults() {
    let tree = Tree::new();
    tree.write("modules/a/module.toml", "module = { name = 'a', command = ['sh', '-c', 'true'] }");
    let loaded = tree.load_modules().unwrap();
    let module = &loaded.modules[0];
    assert!(module.kind.program().is_some_and(|program| program.is_absolute() && program.ends_with("sh")));
    assert_eq!((module.kind.name(), module.kind.transport()), ("process", Transport::Socket));
    assert_eq!(module.kind.on_panic(), OnPanic::Restart);
    assert_eq!((module.spares, module.instances, module.autostart), (0, 1, true));
    assert_eq!((&module.restart, &module.limits), (&Restart::default(), &Limits::default()));
    assert_eq!(module.restart.policy, RestartPolicy::OnFailure);
    assert_eq!(module.resources, Resources::default());
    assert_eq!(module.config.as_str(), "{}");
    assert_eq!((&loaded.host.restarts, &loaded.host.logs), (&Restarts::default(), &Logs::default()));
    assert_eq!(module.origins.of("limits.queue"), Origin::Default);
    assert_eq!(module.origins.of("module.name").to_string(), "modules/a/module.toml:1");
}

#[test]
fn every_kind_of_toml_value_reaches_the_modules_config_as_json() {
    let tree = Tree::new();
    let values = r#"
[config]
text = "ä\n"
hexadecimal = 0xff
grouped = -1_000
float = 1.5
yes = true
moment = 1979-05-27T07:32:00Z
day = 1979-05-27
list = [1, [2, "x"], { y = 3 }]
[config.table."odd key"]
z = []
"#;
    let manifest = RESEARCH_LOG.split("[config]").next().unwrap().to_owned() + values;
    tree.research_log().write("modules/research-log/module.toml", manifest);
    let config: Value = research_log(&tree).config.read().unwrap();
    let expected = json!({
        "text": "ä\n", "hexadecimal": 255, "grouped": -1000, "float": 1.5, "yes": true,
        "moment": "1979-05-27T07:32:00Z", "day": "1979-05-27", "list": [1, [2, "x"], {"y": 3}],
        "table": {"odd key": {"z": []}},
    });
    assert_eq!(config, expected);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let tree = Tree::new();
    tree.research_log();
    let plain = research_log(&tree);
    let windows = format!("\u{feff}{}", RESEARCH_LOG.replace('\n', "\r\n"));
    tree.write("modules/research-log/module.toml", windows);
    assert_eq!(research_log(&tree), plain);
}

#[test]
fn a_limit_can_be_switched_off_again() {
    let tree = Tree::new();
    let limits = "\n[resources]\nmemory_limit = '64MB'\ncpu_time_limit = 'none'\n[restart]\ngive_up = 3\n";
    let manifest = RESEARCH_LOG.replace("[restart]\n", "").replace("delay_initial = \"200ms\"", "") + limits;
    let file = "host = { modules = ['modules'] }\n[module.research-log]\nresources.memory_limit = 'none'\n\
        restart.give_up = 'none'\n";
    tree.research_log().write("modules/research-log/module.toml", manifest).write("bulkhead.toml", file);
    assert_eq!(research_log(&tree).resources.memory_limit, Some(64_000_000));
    assert_eq!(research_log(&tree).restart.give_up, Some(3));
    let tuned = &tree.load_host().unwrap().modules[0];
    assert_eq!((&tuned.resources, tuned.restart.give_up), (&Resources::default(), None));
}

#[test]
fn the_flag_goes_before_the_environment_the_file_and_the_default() {
    let tree = Tree::new();
    tree.research_log()
        .write("bulkhead.toml", "[host]\nsocket = 'file.sock'\nstate_dir = '/file'\nlog_level = 'warn'\n");
    let mut environment = tree.environment();
    let flags = Flags { config: Some("bulkhead.toml".into()), ..Flags::default() };
    let socket = |flags: &Flags, environment: &Environment| {
        let host = HostConfig::load_in(flags.clone(), environment).unwrap().host;
        (host.socket.display().to_string(), host.origins.of("host.socket").to_string())
    };
    let file = tree.path().join("file.sock").display().to_string();
    assert_eq!(socket(&flags, &environment), (file, "bulkhead.toml:2".into()));
    environment.variables.insert("BULKHEAD_SOCKET".into(), "/environment.sock".into());
    assert_eq!(socket(&flags, &environment), ("/environment.sock".into(), "$BULKHEAD_SOCKET".into()));
    let flags = Flags { socket: Some("/flag.sock".into()), state: Some("/flag".into()), ..flags };
    assert_eq!(socket(&flags, &environment), ("/flag.sock".into(), "--socket".into()));
    let host = HostConfig::load_in(flags, &environment).unwrap().host;
    assert_eq!((host.state_dir.as_path(), host.log_level), (Path::new("/flag"), LogLevel::Warn));
    assert_eq!(host.origins.of("host.state_dir"), Origin::Flag("--state"));
}

#[test]
fn the_hosts_file_is_the_one_that_the_environment_names() {
    let tree = Tree::new();
    tree.write("bulkhead.toml", "[host]\nclients_max = 5\n");
    let mut environment = tree.environment();
    let clients =
        |environment: &Environment| HostConfig::load_in(Flags::default(), environment).unwrap().host.clients_max;
    assert_eq!(clients(&environment), 2048, "a file in the current directory is not guessed at");
    environment.variables.insert("BULKHEAD_CONFIG".into(), "bulkhead.toml".into());
    assert_eq!(clients(&environment), 5);
}

#[test]
fn the_default_paths_depend_on_the_user_and_are_refused_where_there_is_none() {
    let tree = Tree::new();
    let places = |root, variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let (current_dir, trusted_users) = (Some("/".into()), owners_of_checkout());
        let environment = Environment { root, current_dir, variables, trusted_users, paths: Paths::Short };
        // Files at the default paths of the machine are not read.
        let flags = Flags { modules: vec![tree.path().to_owned()], ..Flags::default() };
        HostConfig::load_in(flags, &environment)
            .map(|loaded| format!("{} {}", loaded.host.state_dir.display(), loaded.host.socket.display()))
            .map_err(|problems| problems.to_string())
    };
    assert_eq!(places(true, &[]).unwrap(), "/var/lib/bulkhead /run/bulkhead/control.sock");
    let ada = [("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/1000")];
    assert_eq!(places(false, &ada).unwrap(), "/home/ada/.local/state/bulkhead /run/user/1000/bulkhead/control.sock");
    let state = [("XDG_STATE_HOME", "/state"), ("XDG_RUNTIME_DIR", "/run/user/1000")];
    assert_eq!(places(false, &state).unwrap(), "/state/bulkhead /run/user/1000/bulkhead/control.sock");
    let nothing = places(false, &[("HOME", "")]).unwrap_err();
    assert!(nothing.contains("$XDG_RUNTIME_DIR is not set; set it, or give --socket PATH"), "{nothing}");
    assert!(nothing.contains("neither $XDG_STATE_HOME nor $HOME is set; set one, or give --state DIR"), "{nothing}");
    let relative = places(false, &[("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "run")]).unwrap_err();
    assert_eq!(relative, "expected an absolute path in $XDG_RUNTIME_DIR, found \"run\"");
}

#[test]
fn by_default_the_hosts_file_and_the_modules_are_at_their_default_paths() {
    let tree = Tree::new();
    let mut environment = tree.environment();
    environment.variables.insert("HOME".into(), tree.path().join("home").into());
    let load = |environment: &Environment, flags: Flags| HostConfig::load_in(flags, environment).unwrap();
    // None of them need exist.
    let loaded = load(&environment, Flags::default());
    assert_eq!((loaded.host.file, loaded.modules.len()), (None, 0));
    assert_eq!(loaded.host.modules, [tree.path().join("home/.local/share/bulkhead/modules")]);
    assert_eq!(loaded.host.origins.of("host.modules"), Origin::Default);

    let module = "module = { name = 'a', command = ['./run'] }";
    tree.write("home/.local/share/bulkhead/modules/a/module.toml", module);
    tree.program("home/.local/share/bulkhead/modules/a/run", SCRIPT);
    tree.write("home/.config/bulkhead/bulkhead.toml", "[host]\nclients_max = 5\n");
    let loaded = load(&environment, Flags::default());
    assert_eq!((loaded.host.clients_max, loaded.modules.len()), (5, 1));

    // With folders of modules on the command line only these are used, and a file that names others is not read.
    let other = tree.path().join("other");
    fs::create_dir(&other).unwrap();
    let loaded = load(&environment, Flags { modules: vec![other], ..Flags::default() });
    assert_eq!((loaded.host.clients_max, loaded.modules.len()), (2048, 0));
    // A file may name no folders.
    tree.write("none.toml", "[host]\nmodules = []\n");
    let loaded = load(&environment, Flags { config: Some("none.toml".into()), ..Flags::default() });
    assert_eq!((loaded.host.modules.len(), loaded.modules.len()), (0, 0));

    environment.variables.insert("XDG_DATA_HOME".into(), "/nonexistent/data".into());
    environment.variables.insert("XDG_CONFIG_HOME".into(), "/nonexistent/config".into());
    let loaded = load(&environment, Flags::default());
    assert_eq!((loaded.host.file, loaded.modules.len()), (None, 0));
    assert_eq!(loaded.host.modules, [Path::new("/nonexistent/data/bulkhead/modules")]);
    environment.variables.insert("XDG_DATA_HOME".into(), "data".into());
    let refused = HostConfig::load_in(Flags::default(), &environment).unwrap_err().to_string();
    assert_eq!(refused, "expected an absolute path in $XDG_DATA_HOME, found \"data\"");
    // Without a home there is no default folder, and nothing to refuse.
    for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        environment.variables.remove(OsStr::new(name));
    }
    environment.variables.insert("XDG_STATE_HOME".into(), "/state".into());
    assert_eq!(load(&environment, Flags::default()).host.modules.len(), 0);
}

#[test]
fn the_operator_tunes_a_module_and_each_value_has_its_origin() {
    let tree = Tree::new();
    let file = r#"[host]
modules = ["modules"]

[module.research-log]
spares = 2
env = { B = "2" }

[module.research-log.limits]
queue = 5

[module.research-log.capabilities]
event_subscribe = ["research_session.started"]
call = []

[module.research-log.config]
format = "csv"
"#;
    let manifest = RESEARCH_LOG.replace("[restart]", "env = { A = \"1\", B = \"1\" }\n[restart]");
    tree.research_log().write("modules/research-log/module.toml", manifest).write("bulkhead.toml", file);
    let loaded = tree.load_host().unwrap();
    let module = &loaded.modules[0];
    assert_eq!((module.spares, module.limits.queue), (2, 5));
    assert_eq!(module.restart.delay_initial, Duration::from_millis(200));
    assert_eq!(module.env.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["A=1", "B=2"]);
    let capabilities = module.capabilities.to_wire();
    assert_eq!(capabilities.event_subscribe, ["research_session.started"]);
    assert_eq!(capabilities.event_emit, ["research_log.*"]);
    assert!(capabilities.call.is_empty());
    assert_eq!(module.config.as_str(), r#"{"default_template":"standard","format":"csv"}"#);
    let origin = |key: &str| module.origins.of(key).to_string();
    assert_eq!(origin("module.spares"), "bulkhead.toml:5");
    assert_eq!(origin("limits.queue"), "bulkhead.toml:9");
    assert_eq!(origin("restart.delay_initial"), "modules/research-log/module.toml:8");
    assert_eq!(origin("config.default_template"), "modules/research-log/module.toml:16");
    assert_eq!(origin("config.format"), "bulkhead.toml:16");
    assert_eq!(origin("module.env.A"), "modules/research-log/module.toml:6");
    assert_eq!(origin("module.env.B"), "bulkhead.toml:6");
}

#[test]
fn a_configuration_that_only_moved_counts_as_unchanged() {
    let tree = Tree::new();
    tree.research_log();
    let before = research_log(&tree);
    tree.write("modules/research-log/module.toml", format!("# A comment.\n\n{RESEARCH_LOG}\n[limits]\nqueue = 1024\n"));
    assert_eq!(research_log(&tree), before);
    tree.write("modules/research-log/module.toml", format!("{RESEARCH_LOG}\n[limits]\nqueue = 1025\n"));
    assert_ne!(research_log(&tree), before);
}

#[test]
fn a_folder_of_modules_may_be_a_module_itself_and_other_files_are_left_alone() {
    let tree = Tree::new();
    tree.research_log().write("modules/README.md", "read me").write("modules/.git/HEAD", "x");
    tree.write("other/module.toml", "module = { name = 'other', command = ['./run'] }").program("other/run", SCRIPT);
    let flags = Flags { modules: vec!["modules".into(), "other".into()], ..Flags::default() };
    let loaded = HostConfig::load_in(flags, &tree.environment()).unwrap();
    let names: Vec<&str> = loaded.modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["other", "research-log"]);
    assert_eq!(loaded.host.modules, [tree.path().join("modules"), tree.path().join("other")]);
}

#[test]
fn a_module_inherits_a_small_environment_and_what_it_names() {
    let tree = Tree::new();
    let extra = "inherit_env = ['EDITOR', 'ABSENT']\nenv = { LANG = 'C', COLOR = 'no' }\n[restart]";
    tree.research_log().write("modules/research-log/module.toml", RESEARCH_LOG.replace("[restart]", extra));
    let module = research_log(&tree);
    let outer = [("PATH", "/bin"), ("LANG", "de_DE"), ("EDITOR", "vi"), ("SECRET", "x")];
    let environment =
        module.environment(|name| outer.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()));
    let texts: Vec<String> =
        environment.iter().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect();
    assert_eq!(texts, ["COLOR=no", "EDITOR=vi", "LANG=C", "PATH=/bin"]);
    assert!(module.guest_environment(|_| Some("x".into())).is_empty());
}

#[test]
fn variables_of_a_wasm_module_are_its_own_and_never_those_of_the_process_around_it() {
    let tree = Tree::new();
    let manifest = "[module]\nname = 'a'\ntype = 'wasm'\nwasm = 'a.wasm'\n\
        inherit_env = ['GCONV_PATH', 'ABSENT']\nenv = { LD_PRELOAD = '/x.so', RUST_LOG = 'no' }\n";
    tree.write("modules/a/module.toml", manifest).write("modules/a/a.wasm", b"\0asm\x01\0\0\0");
    let flags = Flags { modules: vec!["modules".into()], ..Flags::default() };
    let loaded = HostConfig::load_in(flags, &tree.environment()).unwrap();
    let outer = |name: &str| (name != "ABSENT").then(|| "of the host".into());
    assert_eq!(loaded.modules[0].environment(outer), []);
    let seen = loaded.modules[0].guest_environment(outer);
    let expected = [("GCONV_PATH", "of the host"), ("LD_PRELOAD", "/x.so"), ("RUST_LOG", "no")];
    assert!(
        seen.iter().map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap())).eq(expected),
        "{seen:?}"
    );
}

#[test]
fn absolute_paths_need_no_current_directory_and_relative_ones_say_that_it_is_gone() {
    let tree = Tree::new();
    tree.research_log();
    let gone = Environment { current_dir: None, ..tree.environment() };
    let absolute = Flags {
        modules: vec![tree.path().join("modules")],
        state: Some("/var/lib/x".into()),
        socket: Some("/run/x.sock".into()),
        ..Flags::default()
    };
    let loaded = HostConfig::load_in(absolute.clone(), &gone).unwrap();
    assert_eq!((loaded.modules.len(), loaded.host.socket), (1, "/run/x.sock".into()));
    let relative = |change: &dyn Fn(&mut Flags)| {
        let mut flags = absolute.clone();
        change(&mut flags);
        HostConfig::load_in(flags, &gone).unwrap_err().to_string()
    };
    let reason = ": the path counts from the current directory, which was deleted; give an absolute path";
    assert_eq!(relative(&|flags| flags.modules = vec!["modules".into()]), format!("modules{reason}"));
    assert_eq!(relative(&|flags| flags.socket = Some("s".into())), format!("s{reason}"));
    assert_eq!(relative(&|flags| flags.config = Some("b.toml".into())), format!("b.toml{reason}"));
    assert!(relative(&|flags| flags.state = Some("st".into())).contains(&format!("st{reason}")));
}

#[test]
fn a_manifest_is_read_before_its_program_is_built_and_how_it_is_built_is_no_change_of_the_module() {
    let tree = Tree::new();
    let manifest = |dev: &str| format!("[module]\nname = \"m\"\ncommand = [\"bin/m\"]\n[dev]\n{dev}");
    let read = |dev: &str| {
        tree.write("m/module.toml", manifest(dev));
        ModuleConfig::load_unbuilt(Path::new("m"), &tree.environment())
    };
    let one = read("build = [\"make\"]\nbuild_timeout = \"2min\"\nwatch = [\"src\"]\ndebug = [\"rr\"]\n").unwrap();
    assert_eq!((one.dev.build.as_slice(), one.dev.build_timeout), (&["make".to_owned()][..], Duration::from_secs(120)));
    assert_eq!(one.dev.debug, ["rr"]);
    assert_eq!(one.dev.watch, [tree.path().join("m/src")]);
    assert!(ModuleConfig::load_in(Path::new("m"), &tree.environment()).is_err());
    let other = read("").unwrap();
    assert!(other.dev.build.is_empty());
    assert_eq!(one, other);
    let refused = read("build = [\"\"]\n").unwrap_err().to_string();
    assert_eq!(refused, "m/module.toml:5:9: dev.build: expected a command, found an empty text");
}
