//! The kinds of module: what each has, what is refused for it, and the files that it names.

use crate::support::{SCRIPT, Tree};
use bulkhead_config::{
    Folder, Line, ModuleConfig, ModuleKind, OnLimit, OnPanic, Origin, RestartPolicy, Transport, Wasi, show,
};

/// The smallest core WebAssembly module.
const WASM: &[u8] = b"\0asm\x01\0\0\0";

const WASM_MANIFEST: &str = r#"[module]
name = "counter"
type = "wasm"
wasm = "lib/counter.wasm"

[restart]
on_panic = "continue"

[resources]
memory_limit = "16MiB"
on_limit = "continue"

[wasi]
data_dir = true
read = ["words", "/etc"]
write = ["out"]
"#;

/// A file that is a shared library of this machine: one that this test itself uses.
fn library() -> Vec<u8> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let file = maps.lines().filter_map(|line| line.split_whitespace().last()).find(|file| file.contains(".so"));
    std::fs::read(file.expect("this test is linked to a shared library")).unwrap()
}

fn counter(tree: &Tree) -> &Tree {
    tree.write("modules/counter/module.toml", WASM_MANIFEST).write("modules/counter/lib/counter.wasm", WASM);
    tree.write("modules/counter/words/a", "").write("modules/counter/out/a", "")
}

fn only(tree: &Tree) -> ModuleConfig {
    tree.load_modules().unwrap().modules.remove(0)
}

#[test]
fn a_native_module_is_a_library_of_this_machine() {
    let tree = Tree::new();
    tree.write("modules/a/module.toml", "[module]\nname = 'a'\ntype = 'native'\nlibrary = 'lib/a.so'\n");
    tree.write("modules/a/lib/a.so", library());
    let library = tree.path().join("modules/a/lib/a.so");
    let module = only(&tree);
    assert_eq!(module.kind, ModuleKind::Native { library: library.clone(), on_panic: OnPanic::Restart });
    assert_eq!(module.kind.transport(), Transport::Socket);
    assert_eq!(module.origins.of("module.library").to_string(), "modules/a/module.toml:4");

    let mut foreign = self::library();
    foreign[18] ^= 0x80;
    tree.write("modules/a/lib/a.so", foreign);
    let problems = tree.problems();
    let start = "modules/a/module.toml:4:1: module.library: modules/a/lib/a.so: is built for ";
    assert!(problems.starts_with(start) && problems.contains(", this machine is "), "{problems}");
}

#[test]
fn a_wasm_module_sees_what_its_manifest_grants_under_the_path_that_was_written() {
    let tree = Tree::new();
    counter(&tree);
    let folder = |name: &str| Folder { name: name.into(), path: tree.path().join("modules/counter").join(name) };
    let expected = ModuleKind::Wasm {
        module: tree.path().join("modules/counter/lib/counter.wasm"),
        on_panic: OnPanic::Continue,
        on_limit: OnLimit::Continue,
        wasi: Wasi { data_dir: true, read: vec![folder("words"), folder("/etc")], write: vec![folder("out")] },
        compile_timeout: std::time::Duration::from_secs(600),
    };
    assert_eq!(only(&tree).kind, expected);

    let granted_nothing = WASM_MANIFEST.split("[restart]").next().unwrap();
    tree.write("modules/counter/module.toml", granted_nothing);
    let kind = only(&tree).kind;
    let ModuleKind::Wasm { on_panic, on_limit, wasi, .. } = kind else { panic!("{kind:?} is WebAssembly") };
    assert_eq!((on_panic, on_limit, wasi), (OnPanic::Restart, OnLimit::Restart, Wasi::default()));
}

#[test]
fn files_that_are_no_webassembly_are_refused_at_the_key_that_names_them() {
    let tree = Tree::new();
    counter(&tree).write("modules/counter/lib/counter.wasm", "(module)");
    let expected = "modules/counter/module.toml:4:1: module.wasm: modules/counter/lib/counter.wasm: expected a core \
        WebAssembly module, found the text form of WebAssembly; assemble it first (wat2wasm)";
    assert_eq!(tree.problems(), expected);
}

#[test]
fn a_filter_is_a_command_and_says_what_a_line_is() {
    let tree = Tree::new();
    let manifest = "[module]\nname = 'a'\ntype = 'filter'\ncommand = ['./run', '-c']\n";
    tree.write("modules/a/module.toml", manifest).program("modules/a/run", SCRIPT);
    let kind = |per_message, line| ModuleKind::Filter {
        command: vec!["./run".into(), "-c".into()],
        program: tree.path().join("modules/a/run"),
        per_message,
        line,
    };
    assert_eq!(only(&tree).kind, kind(false, Line::Args));
    tree.write("modules/a/module.toml", format!("{manifest}per_message = true\nline = 'message'\n"));
    assert_eq!(only(&tree).kind, kind(true, Line::Message));
}

#[test]
fn the_order_of_keys_means_nothing() {
    let tree = Tree::new();
    tree.program("modules/a/run", SCRIPT).write(
        "modules/a/module.toml",
        "[restart]\npolicy = 'never'\n[module]\nline = 'message'\ncommand = ['./run']\ntype = 'filter'\nname = 'a'\n",
    );
    let module = only(&tree);
    assert_eq!((module.kind.name(), module.restart.policy), ("filter", RestartPolicy::Never));
    assert!(matches!(module.kind, ModuleKind::Filter { line: Line::Message, .. }));
}

/// Loads `counter` with this in the host's file.
fn tuned(text: &str) -> Result<ModuleKind, String> {
    let tree = Tree::new();
    counter(&tree).write("bulkhead.toml", format!("host = {{ modules = ['modules'] }}\n[module.counter]\n{text}\n"));
    match tree.load_host() {
        Ok(mut loaded) => Ok(loaded.modules.remove(0).kind),
        Err(problems) => Err(problems.to_string()),
    }
}

#[test]
fn the_operator_can_take_grants_of_files_away_and_never_add_any() {
    let narrowed = tuned("wasi = { data_dir = false, read = ['words'], write = [] }").unwrap();
    let ModuleKind::Wasm { wasi, .. } = narrowed else { panic!("{narrowed:?} is WebAssembly") };
    assert!(!wasi.data_dir && wasi.write.is_empty());
    let [Folder { name, path }] = &wasi.read[..] else { panic!("one folder is left: {wasi:?}") };
    assert!(name == "words" && path.ends_with("modules/counter/words"), "{path:?}");

    // `words` beside the host's file is not what the manifest grants.
    for (text, expected) in [
        (
            "wasi.read = ['/']",
            "bulkhead.toml:3:14: module.counter.wasi.read: expected a part of what the manifest grants, found \"/\"; grant it in the manifest",
        ),
        (
            "wasi.write = ['words']",
            "bulkhead.toml:3:15: module.counter.wasi.write: expected a part of what the manifest grants, found \"words\"; grant it in the manifest",
        ),
        (
            "wasi.read = ['./words']",
            "bulkhead.toml:3:14: module.counter.wasi.read: expected a part of what the manifest grants, found \"./words\"; grant it in the manifest",
        ),
    ] {
        assert_eq!(tuned(text).unwrap_err(), expected);
    }
    let tree = Tree::new();
    counter(&tree).write("modules/counter/module.toml", WASM_MANIFEST.replace("data_dir = true\n", ""));
    tree.write("bulkhead.toml", "host = { modules = ['modules'] }\nmodule.counter.wasi.data_dir = true\n");
    let expected = "bulkhead.toml:2:32: module.counter.wasi.data_dir: expected false, as the manifest has it, found true; \
        grant it in the manifest";
    assert_eq!(tree.load_host().unwrap_err().to_string(), expected);
}

#[test]
fn the_operator_says_what_follows_a_panic_and_a_passed_limit() {
    let kind = tuned("restart.on_panic = 'restart'\nresources.on_limit = 'restart'").unwrap();
    assert!(matches!(kind, ModuleKind::Wasm { on_panic: OnPanic::Restart, on_limit: OnLimit::Restart, .. }));
    let refused = tuned("type = 'native'\nwasm = 'other.wasm'").unwrap_err();
    assert_eq!(refused.lines().count(), 2, "{refused}");
    assert!(refused.contains("module.counter.wasm: only the module's manifest says this"), "{refused}");
}

#[test]
fn what_is_shown_has_the_keys_of_the_kind_and_no_others() {
    let tree = Tree::new();
    counter(&tree);
    let text = show(&tree.load_modules().unwrap(), false);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    let manifest = "# modules/counter/module.toml";
    assert_eq!(line("on_panic"), format!("{:<40} {manifest}:7", "on_panic = \"continue\""));
    assert_eq!(line("on_limit"), format!("{:<40} {manifest}:11", "on_limit = \"continue\""));
    assert_eq!(line("data_dir"), format!("{:<40} {manifest}:14", "data_dir = true"));
    assert_eq!(line("read = "), format!("{:<40} {manifest}:15", "read = [\"words\", \"/etc\"]"));
    assert!(line("wasm = ").contains("lib/counter.wasm"));
    for absent in ["command", "transport", "library", "program", "line", "per_message"] {
        assert_eq!(line(&format!("{absent} =")), "", "{text}");
    }
    let headers: Vec<&str> = text.lines().filter(|line| line.starts_with("[module.counter")).collect();
    let sections = ["", ".restart", ".limits", ".resources", ".wasi", ".capabilities", ".layer1", ".dev", ".config"];
    assert_eq!(headers, sections.map(|section| format!("[module.counter{section}]")));
}

#[test]
fn a_program_builds_a_module_of_each_kind() {
    let tree = Tree::new();
    tree.write("a.so", library()).write("a.wasm", WASM);
    let library = tree.path().join("a.so");
    let native = ModuleConfig::native("a", &library).unwrap();
    assert_eq!(native.kind, ModuleKind::Native { library, on_panic: OnPanic::Restart });
    assert_eq!(native.origins.of("module.library"), Origin::Program);
    let wasm = ModuleConfig::wasm("a", tree.path().join("a.wasm")).unwrap();
    assert_eq!((wasm.kind.name(), wasm.origins.of("module.type")), ("wasm", Origin::Program));
    let filter = ModuleConfig::filter("a", ["cat", "-u"]).unwrap();
    assert!(filter.kind.program().is_some_and(|program| program.is_absolute() && program.ends_with("cat")));

    let refused = ModuleConfig::native("a", tree.path().join("a.wasm")).unwrap_err().to_string();
    assert!(refused.starts_with("module a: module.library: ") && refused.contains("found WebAssembly"), "{refused}");
    let refused = ModuleConfig::wasm("a", "/none.wasm").unwrap_err().to_string();
    assert_eq!(refused, "module a: module.wasm: /none.wasm: no such file");
    let refused = ModuleConfig::filter("a", Vec::<String>::new()).unwrap_err().to_string();
    assert_eq!(refused, "module a: expected the command and its arguments, found an empty list");
}

#[test]
fn a_program_cannot_limit_the_processor_time_of_a_filter_either() {
    let mut module = ModuleConfig::filter("a", ["cat"]).unwrap();
    module.resources.cpu_time_limit = Some(std::time::Duration::from_secs(1));
    let host = bulkhead_config::HostConfig::new("state", "/run/x.sock");
    let problems = bulkhead_config::Loaded::new(host, vec![module]).check().unwrap_err().to_string();
    assert!(problems.starts_with("module a: resources.cpu_time_limit: the command of a filter"), "{problems}");
}

#[test]
fn grants_of_a_program_are_checked_as_those_of_a_file() {
    let tree = Tree::new();
    tree.write("a.wasm", WASM);
    let mut module = ModuleConfig::wasm("a", tree.path().join("a.wasm")).unwrap();
    let ModuleKind::Wasm { wasi, .. } = &mut module.kind else { panic!("it is WebAssembly") };
    wasi.read.push(Folder { name: "x=y".into(), path: tree.path().join("absent") });
    let host = bulkhead_config::HostConfig::new("state", "/run/x.sock");
    let problems = bulkhead_config::Loaded::new(host, vec![module]).check().unwrap_err().to_string();
    assert!(problems.contains("module a: wasi.read: expected a path without '=', found \"x=y\""), "{problems}");
    assert!(problems.contains("module a: wasi.read: expected a folder at \"x=y\": no such file"), "{problems}");
}

#[test]
fn a_time_to_compile_is_for_webassembly_only() {
    let tree = Tree::new();
    counter(&tree);
    let seconds = |tree: &Tree| {
        let ModuleKind::Wasm { compile_timeout, .. } = only(tree).kind else { panic!("it is WebAssembly") };
        compile_timeout.as_secs()
    };
    assert_eq!(seconds(&tree), 600);
    tree.write("modules/counter/module.toml", format!("{WASM_MANIFEST}\n[limits]\ncompile_timeout = '2min'\n"));
    assert_eq!(seconds(&tree), 120);
    tree.write("modules/counter/module.toml", format!("{WASM_MANIFEST}\n[limits]\ncompile_timeout = '2h'\n"));
    assert!(tree.problems().contains("limits.compile_timeout: expected 10ms to 1h"), "{}", tree.problems());

    let tree = Tree::new();
    let manifest = "[module]\nname = 'a'\ntype = 'filter'\ncommand = ['./run']\n[limits]\ncompile_timeout = '2min'\n";
    tree.write("modules/a/module.toml", manifest).program("modules/a/run", SCRIPT);
    assert!(tree.problems().contains("only a module of type \"wasm\" is compiled"), "{}", tree.problems());
}

#[test]
fn what_no_process_can_be_given_is_refused_with_the_limit() {
    let manifest = |kind: &str, env: usize, argument: usize, inherit: &str| {
        format!(
            "[module]\nname = 'a'\n{kind}\ninherit_env = [{inherit}]\n{}[module.env]\nBIG = '{}'\n",
            if argument > 0 { format!("command = ['./run', '{}']\n", "x".repeat(argument)) } else { String::new() },
            "y".repeat(env)
        )
    };
    let problems = |text: String, inherited: usize| {
        let tree = Tree::new();
        tree.write("modules/a/module.toml", text).program("modules/a/run", SCRIPT).write("modules/a/a.wasm", WASM);
        let mut environment = tree.environment();
        environment.variables.insert("LONG".into(), "z".repeat(inherited).into());
        let flags = bulkhead_config::Flags { modules: vec!["modules".into()], ..Default::default() };
        bulkhead_config::HostConfig::load_in(flags, &environment)
            .and_then(bulkhead_config::Loaded::whole)
            .err()
            .map(|problems| problems.to_string())
    };
    let process = "type = 'process'";
    assert_eq!(problems(manifest(process, 100_000, 10, ""), 0), None);
    for (text, inherited, named) in [
        (manifest(process, 140_000, 10, ""), 0, "module.env: expected at most 114688 bytes"),
        (manifest(process, 10, 140_000, ""), 0, "module.command: expected at most 114688 bytes"),
        (manifest(process, 60_000, 60_000, ""), 0, "of arguments and variables together"),
        (manifest("type = 'filter'", 140_000, 10, ""), 0, "module.env.BIG"),
        (manifest("type = 'wasm'\nwasm = 'a.wasm'", 140_000, 0, ""), 0, "module.env.BIG"),
        (manifest(process, 10, 10, "'LONG'"), 140_000, "by the host's \"LONG\""),
    ] {
        let found = problems(text, inherited).expect("it is too long");
        assert!(found.contains(named) && found.len() < 1000, "{named}: {found}");
    }
    assert_eq!(problems(manifest(process, 10, 10, ""), 140_000), None, "what is not inherited does not count");
}
