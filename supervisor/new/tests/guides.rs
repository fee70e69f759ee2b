//! The guides for C and shell: their code is that of the templates and examples, and their commands print what they
//! show, in order, in a home with a daemon.

use bulkhead_tests::{World, program};
use std::env;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const C: &str = include_str!("../../../docs/c.md");
const SHELL: &str = include_str!("../../../docs/shell.md");
const CRASHES: &str = include_str!("../../../docs/crash-all-day.md");
const README: &str = include_str!("../../../README.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn blocks(guide: &'static str, language: &str) -> Vec<&'static str> {
    let beginning = format!("\n```{language}\n");
    let blocks = guide.split(beginning.as_str()).skip(1);
    blocks.map(|block| block.split_once("\n```").expect("the block ends").0).collect()
}

/// The commands whose output is compared, with what they print.
fn commands(guide: &'static str) -> Vec<(&'static str, String)> {
    let in_block = |block: &'static str| {
        let mut found: Vec<(&str, String)> = Vec::new();
        for line in block.lines() {
            match (line.strip_prefix("$ "), found.last_mut()) {
                (Some(command), _) => found.push((command, String::new())),
                (None, Some((_, output))) => writeln!(output, "{line}").unwrap(),
                (None, None) => panic!("the block begins with output: {block}"),
            }
        }
        found
    };
    blocks(guide, "console").into_iter().flat_map(in_block).collect()
}

/// Runs the commands of a guide one after the other, in a home, with a daemon that reads the home's folder of modules.
fn run(guide: &'static str) {
    let mut world = World::new();
    world.start();
    let (home, modules) = (world.path("home"), world.path("modules"));
    fs::create_dir(&home).unwrap();
    let home = home.canonicalize().unwrap();
    symlink(root(), home.join("bulkhead")).unwrap();
    let programs = program("bulkhead").parent().unwrap().to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs].into_iter().chain(env::split_paths(&path))).unwrap();
    // What the guide shows, and what it is here: the folder of modules is in the home of the guide.
    let places = [("/home/ada/.local/share/bulkhead/modules", modules), ("/home/ada", home.clone())];
    let (mut transcript, mut shown) = (String::new(), String::new());
    let commands = commands(guide);
    assert!(commands.len() > 7, "{commands:?}");
    for (command, expected) in commands {
        let here =
            places.iter().fold(command.to_owned(), |text, (shown, here)| text.replace(shown, here.to_str().unwrap()));
        // Some commands of the guide wait for a daemon, or for a build; none waits for longer than ten minutes.
        let mut shell = Command::new("timeout");
        shell.args(["-k", "5", "600", "sh", "-c", &format!("exec 2>&1; {here}")]).current_dir(&home);
        shell.env("HOME", &home).env("PATH", &path).env("BULKHEAD_SOCKET", world.socket()).env("NO_COLOR", "1");
        // Cargo as it is outside of this home, with what was fetched and with the least work.
        for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let outside = env::var_os("HOME").map(|home| Path::new(&home).join(folder));
            if let Some(folder) = env::var_os(variable).map(PathBuf::from).or(outside) {
                shell.env(variable, folder);
            }
        }
        shell
            .env("CARGO_NET_OFFLINE", "true")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env_remove("CARGO_TARGET_DIR");
        let output = shell.output().unwrap().stdout;
        let output = places.iter().fold(String::from_utf8(output).unwrap(), |text, (shown, here)| {
            text.replace(here.to_str().unwrap(), shown)
        });
        write!(transcript, "$ {command}\n{output}").unwrap();
        write!(shown, "$ {command}\n{expected}").unwrap();
    }
    assert!(is_shown(&shown, &transcript), "the guide shows:\n{shown}\nand this is printed:\n{transcript}");
}

/// Whether this was printed. In what a guide shows, `…` stands for anything in a line, and alone for any lines.
fn is_shown(shown: &str, printed: &str) -> bool {
    fn lines(shown: &[&str], printed: &[&str]) -> bool {
        match (shown, printed) {
            ([], []) => true,
            (["…", rest @ ..], _) => (0..=printed.len()).any(|skipped| lines(rest, &printed[skipped..])),
            ([one, rest @ ..], [found, others @ ..]) => is_line(one, found) && lines(rest, others),
            ([], _) | (_, []) => false,
        }
    }
    fn is_line(shown: &str, printed: &str) -> bool {
        let Some((start, rest)) = shown.split_once('…') else { return shown == printed };
        let Some(printed) = printed.strip_prefix(start) else { return false };
        let mut ends = printed.char_indices().map(|(at, _)| at).chain([printed.len()]);
        ends.any(|at| is_line(rest, &printed[at..]))
    }
    let (shown, printed): (Vec<_>, Vec<_>) = (shown.lines().collect(), printed.lines().collect());
    lines(&shown, &printed)
}

#[test]
fn what_a_guide_leaves_open_is_anything_and_the_rest_is_compared() {
    for (shown, printed, expected) in [
        ("a\nb", "a\nb", true),
        ("a\nb", "a", false),
        ("pid …, up …s", "pid 12, up 3.0s", true),
        ("pid …, up …s", "pid 12, up 3.0m", false),
        ("a\n…\nd", "a\nb\nc\nd", true),
        ("a\n…\nd", "a\nd", true),
        ("a\n…\nd", "a\nb\nc", false),
        ("…", "", true),
    ] {
        assert_eq!(is_shown(shown, printed), expected, "{shown:?} {printed:?}");
    }
}

fn is_here(command: &str) -> bool {
    let found = Command::new(command).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: {command} is not here");
    }
    found
}

#[test]
fn the_commands_of_the_guide_for_c_print_what_it_shows() {
    if is_here("cc") && is_here("make") && is_here("jq") {
        run(C);
    }
}

#[test]
fn the_commands_of_the_guide_for_shell_print_what_it_shows() {
    if is_here("jq") {
        run(SHELL);
    }
}

#[test]
fn the_commands_of_crash_all_day_print_what_it_shows() {
    if is_here("jq") && is_here("python3") && is_here("cargo") {
        run(CRASHES);
    }
}

#[test]
fn the_code_of_the_guides_is_that_of_the_templates_and_examples() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let template = |path: &str| read(&format!("supervisor/new/templates/{path}")).replace("@NAME@", "greeter");
    for (guide, language, sources) in [
        (C, "c", [template("c/module.c"), read("docs/examples/greeter.c")]),
        (SHELL, "sh", [template("shell/module.sh"), read("docs/examples/greeter.sh")]),
        (CRASHES, "python", [read("docs/examples/tally.py"), String::new()]),
        (CRASHES, "rust", [read("docs/examples/initials.rs"), String::new()]),
    ] {
        let blocks = blocks(guide, language);
        assert!(!blocks.is_empty());
        for block in blocks {
            assert!(sources.iter().any(|source| source.contains(block)), "no file has this piece:\n{block}");
        }
    }
}

#[test]
fn the_manifests_of_the_guides_are_those_that_are_made() {
    let world = World::new();
    for (guide, language) in [(C, "c"), (SHELL, "shell")] {
        let made = world.bulkhead(&["new", "greeter", "--lang", language, "--no-check"]);
        assert!(made.status.success(), "{made:?}");
        let manifest = fs::read_to_string(world.path("greeter/module.toml")).unwrap();
        let (schema, rest) = manifest.split_once('\n').unwrap();
        assert!(schema.starts_with("#:schema file:///") && schema.ends_with("/module.schema.json"), "{schema}");
        assert_eq!(blocks(guide, "toml"), [rest.trim_end()]);
        fs::remove_dir_all(world.path("greeter")).unwrap();
    }
}

#[test]
fn the_modules_that_the_readme_makes_are_made() {
    let world = World::new();
    let lines: Vec<&str> = README.lines().filter(|line| line.starts_with("bulkhead new ")).collect();
    assert!(lines.len() > 1, "{lines:?}");
    for line in lines {
        let line = line.split('#').next().unwrap();
        let words: Vec<&str> = line.split_whitespace().skip(1).chain(["--no-check"]).collect();
        let made = world.bulkhead(&words);
        assert!(made.status.success(), "{line}: {made:?}");
        let printed = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(printed.contains(" greet name=Ada\n"), "{printed}");
    }
}
