//! `cargo xtask install` and `uninstall` below a temporary prefix: what is installed, what stays, and what an
//! installation changes for running programs. Most cases install small stand-ins.

use bulkhead_tests::{Caller, World, copy_program, hear_signals, kill, until};
use nix::sys::signal::Signal;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAMS: [&str; 14] = [
    "bulkhead",
    "bulkhead-new",
    "bulkhead-test-host",
    "bulkhead-check",
    "bulkhead-simulate",
    "bulkhead-dev",
    "bulkhead-bench",
    "bulkhead-chaos",
    "bulkhead-mcp",
    "module-runtime",
    "module-runtime-wasm",
    "module-runtime-mcp",
    "research-log",
    "misbehave",
];

/// A prefix with an environment of its own.
struct Prefix {
    world: World,
    path: PathBuf,
}

impl Prefix {
    fn new() -> Prefix {
        let world = World::new();
        let path = world.path("prefix");
        Prefix { world, path }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn modules(&self) -> PathBuf {
        self.at("lib/bulkhead/modules")
    }

    /// Stand-ins for all programs, whose content names the version.
    fn stand_ins(&self, version: &str) -> PathBuf {
        let folder = self.world.path(&format!("programs {version}"));
        fs::create_dir(&folder).unwrap();
        for name in PROGRAMS {
            let script = format!(
                "#!/bin/sh\n# {name} {version}\ncase $1 in\n\
                 man) echo '{version}' >\"$2/bulkhead.1\" && echo page >\"$2/bulkhead-call.1\" ;;\n\
                 completions|__completions) echo \"for $2\" ;;\n __man) echo page ;;\nesac\n"
            );
            fs::write(folder.join(name), script).unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }

    fn xtask(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(words).arg("--prefix").arg(&self.path).current_dir(self.world.path(""));
        // A daemon of this machine does not belong to the test.
        command.env("BULKHEAD_SOCKET", self.world.socket());
        command.env("HOME", self.world.path("home")).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        // What an installation that is killed leaves there is removed with the world.
        command.env("TMPDIR", self.world.path(""));
        command
    }

    fn install(&self, programs: &Path, words: &[&str]) -> Output {
        let mut command = self.xtask(&[&["install"], words].concat());
        command.arg("--programs").arg(programs).output().unwrap()
    }

    /// Installs, and returns what that prints.
    fn installed(&self, programs: &Path, words: &[&str]) -> String {
        let output = self.install(programs, words);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Every file below the prefix, with its content.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(&self.path, &mut files);
        files
    }
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            false => drop(files.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
}

fn stderr(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Copies of the real programs. Of a later version each has a byte more, which changes nothing when it runs.
fn real_programs(world: &World, later: bool) -> PathBuf {
    let folder = world.path(if later { "later" } else { "first" });
    fs::create_dir(&folder).unwrap();
    for name in PROGRAMS {
        copy_program(name, &folder.join(name));
        if later {
            OpenOptions::new().append(true).open(folder.join(name)).unwrap().write_all(b"\n").unwrap();
        }
    }
    folder
}

/// The daemon as it was installed, in the world of the prefix.
fn installed_daemon(prefix: &Prefix) -> Command {
    let world = &prefix.world;
    let mut command = Command::new(prefix.at("bin/bulkhead"));
    command.arg("run").arg("--modules").arg(prefix.modules()).arg("--state").arg(world.state());
    command.arg("--socket").arg(world.socket()).current_dir(world.path(""));
    for (name, value) in world.run_command().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    hear_signals(&mut command);
    command
}

/// A module may report that it is ready before the guardian reports its process.
fn pid(client: &mut Caller, module: &str) -> i64 {
    until("the process of the module", || client.status(module)["pid"].as_i64())
}

fn exe(pid: i64) -> String {
    fs::read_link(format!("/proc/{pid}/exe")).unwrap().display().to_string()
}

#[test]
fn a_second_installation_replaces_programs_that_run_and_keeps_a_manifest_that_was_changed() {
    let mut prefix = Prefix::new();
    let said = prefix.installed(&real_programs(&prefix.world, false), &[]);
    let all = "bulkhead, bulkhead-new, bulkhead-test-host, bulkhead-check, bulkhead-simulate, bulkhead-dev, \
               bulkhead-bench, bulkhead-chaos, bulkhead-mcp, module-runtime, module-runtime-wasm, module-runtime-mcp";
    assert!(said.contains(&format!("{all} (new)")), "{said}");
    assert!(said.contains(&format!("bulkhead run --modules {} &", prefix.modules().display())), "{said}");
    assert!(prefix.at("share/man/man1/bulkhead-call.1").is_file());
    let daemon = installed_daemon(&prefix);
    let mut client = prefix.world.start_as(daemon).client();
    client.wait_ready("research-log");
    client.wait_ready("shell-greeter");
    if said.contains("stock-python: it needs python3") {
        println!("skipped: stock-python, as python3 is not here");
    } else {
        // It finds the installed SDK.
        client.wait_ready("stock-python");
        let put = client.call("stock-python", "put", json!({"item": "bolt", "count": 5}));
        assert_eq!(put, Ok(json!({"item": "bolt", "left": 5})));
    }
    let (host, log) = (prefix.world.host().pid(), pid(&mut client, "research-log"));

    let manifest = prefix.modules().join("misbehave/module.toml");
    let changed = fs::read_to_string(&manifest).unwrap() + "# mine\n";
    fs::write(&manifest, &changed).unwrap();
    let said = prefix.installed(&real_programs(&prefix.world, true), &[]);
    assert!(said.contains(&format!("{all} (replaced)")), "{said}");
    assert!(said.contains(&format!("{}: it was changed since it was installed", manifest.display())), "{said}");
    assert!(said.contains(&format!("A daemon runs (process {host}). It goes on with its earlier programs")), "{said}");
    assert!(!said.contains("  bulkhead run"), "{said}");
    let started = format!("{} run --modules {} ", prefix.at("bin/bulkhead").display(), prefix.modules().display());
    for line in [format!("  kill {host}\n"), format!("  tail --pid={host} -f /dev/null\n  {started}")] {
        assert!(said.contains(&line), "expected {line} in {said}");
    }
    assert_eq!(fs::read_to_string(&manifest).unwrap(), changed);
    let later = fs::read(prefix.world.path("later/misbehave")).unwrap();
    assert!(fs::read(prefix.modules().join("misbehave/bin/misbehave")).unwrap() == later, "its program is replaced");

    // A running program keeps its file until it is started again.
    assert!(exe(host).ends_with("bin/bulkhead (deleted)"), "{}", exe(host));
    assert!(exe(log).ends_with("bin/research-log (deleted)"), "{}", exe(log));
    assert_eq!(client.call("shell-greeter", "greet", json!({"who": "you"})), Ok(json!({"hello": "you"})));
    client.supervisor("restart", json!({"name": "research-log"}));
    client.wait_ready("research-log");
    let log = pid(&mut client, "research-log");
    assert!(exe(log).ends_with("bin/research-log"), "{}", exe(log));
    drop(client);
    prefix.world.stop();

    let daemon = installed_daemon(&prefix);
    let mut client = prefix.world.start_as(daemon).client();
    client.wait_ready("research-log");
    let host = prefix.world.host().pid();
    assert!(exe(host).ends_with("bin/bulkhead"));
    let said = prefix.installed(&prefix.world.path("later"), &[]);
    assert!(said.contains("(unchanged)") && said.contains("  bulkhead reload --all\n"), "{said}");

    let removed = prefix.xtask(&["uninstall"]).output().unwrap();
    let said = String::from_utf8_lossy(&removed.stdout);
    let expected =
        format!("A daemon of this installation still runs (process {host}), although its programs are gone. ");
    assert!(said.contains(&(expected + &format!("Stop it with: kill {host}\n"))), "{said}");
    drop(client);
    prefix.world.stop();
}

#[test]
fn an_installation_that_is_run_again_changes_nothing() {
    let prefix = Prefix::new();
    let programs = prefix.stand_ins("1");
    prefix.installed(&programs, &[]);
    let first = prefix.files();
    let said = prefix.installed(&programs, &[]);
    assert_eq!(prefix.files(), first);
    assert!(said.contains("(unchanged)") && !said.contains("replaced"), "{said}");
    let checked = Command::new("sha256sum")
        .args(["--check", "--strict", "--quiet"])
        .arg(prefix.at("share/bulkhead/installed.sha256"))
        .status();
    assert!(checked.unwrap().success());
}

#[test]
fn everything_is_at_the_standard_places_with_modes_that_the_daemon_accepts() {
    let prefix = Prefix::new();
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 002; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_xtask"))
        .args(["install", "--programs"]);
    command.arg(prefix.stand_ins("1")).arg("--prefix").arg(&prefix.path).env("HOME", prefix.world.path("home"));
    assert!(command.output().unwrap().status.success());
    let mode = |name: &str| fs::metadata(prefix.at(name)).unwrap_or_else(|_| panic!("{name}")).permissions().mode();
    let programs = PROGRAMS[..10].iter().map(|name| format!("bin/{name}"));
    let of_modules = ["research-log/bin/research-log", "misbehave/bin", ""];
    for name in programs.chain(of_modules.map(|name| format!("lib/bulkhead/modules/{name}"))) {
        assert_eq!(mode(&name) & 0o777, 0o755, "{name}");
    }
    for name in [
        "share/man/man1/bulkhead.1",
        "share/man/man1/bulkhead-check.1",
        "share/bash-completion/completions/bulkhead",
        "share/bash-completion/completions/bulkhead-new",
        "share/zsh/site-functions/_bulkhead-test-host",
        "share/zsh/site-functions/_bulkhead",
        "share/fish/vendor_completions.d/bulkhead.fish",
        "share/bulkhead/sdk/python/src/bulkhead/module.py",
        "share/bulkhead/sdk/typescript/dist/index.js",
        "share/bulkhead/sdk/rust/module-runtime/sdk/src/lib.rs",
        "share/bulkhead/sdk/c/module.h",
        "share/bulkhead/schemas/module.schema.json",
        "lib/bulkhead/modules/research-log/module.toml",
        "lib/bulkhead/modules/shell-greeter/greeter.sh",
        "lib/bulkhead/modules/word-count-wasm/word_count.wasm",
    ] {
        assert_eq!(mode(name) & 0o777, 0o644, "{name}");
    }
}

#[test]
fn a_program_of_another_installation_stops_it_before_anything_is_changed() {
    let prefix = Prefix::new();
    fs::create_dir_all(prefix.at("bin")).unwrap();
    fs::write(prefix.at("bin/bulkhead"), "mine").unwrap();
    let before = prefix.files();
    // Without --programs: it is found before minutes are spent on building.
    let refused = stderr(&prefix.xtask(&["install"]).env("CARGO", "/nonexistent").output().unwrap());
    assert!(refused.contains("bin/bulkhead: it was not installed by this command"), "{refused}");
    assert_eq!(prefix.files(), before);
}

#[test]
fn what_others_have_put_there_stays_and_is_named() {
    let prefix = Prefix::new();
    let mine = [prefix.modules().join("misbehave/module.toml"), prefix.at("share/man/man1/bulkhead.1")];
    for path in &mine {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "mine").unwrap();
    }
    let said = prefix.installed(&prefix.stand_ins("1"), &[]);
    assert!(said.contains("modules/misbehave: it was not installed by this command"), "{said}");
    assert!(said.contains("bulkhead.1: it was not installed by this command"), "{said}");
    assert!(!prefix.modules().join("misbehave/bin").exists(), "nothing of ours is put beside it");
    let removed = prefix.xtask(&["uninstall"]).output().unwrap();
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(prefix.files().into_keys().collect::<Vec<_>>(), mine);
}

#[test]
fn an_uninstallation_leaves_what_was_changed_and_no_folder_of_its_own() {
    let prefix = Prefix::new();
    prefix.installed(&prefix.stand_ins("1"), &[]);
    let manifest = prefix.modules().join("misbehave/module.toml");
    fs::write(&manifest, "mine").unwrap();
    let removed = prefix.xtask(&["uninstall"]).output().unwrap();
    let said = String::from_utf8_lossy(&removed.stdout);
    assert!(said.contains(&format!("kept {}: it was changed", manifest.display())), "{said}");
    let list = prefix.path.join("share/bulkhead/installed.sha256");
    assert_eq!(prefix.files().into_keys().collect::<BTreeSet<_>>(), BTreeSet::from([manifest.clone(), list]));
    // Installed again, the module is whole, with the manifest as it was changed.
    prefix.installed(&prefix.stand_ins("2"), &[]);
    assert_eq!(fs::read_to_string(&manifest).unwrap(), "mine");
    assert!(prefix.modules().join("misbehave/bin/misbehave").is_file());
    fs::remove_file(&manifest).unwrap();
    assert!(prefix.xtask(&["uninstall"]).output().unwrap().status.success());
    assert!(!prefix.path.exists());
    assert!(stderr(&prefix.xtask(&["uninstall"]).output().unwrap()).contains("nothing was installed"));

    let prefix = Prefix::new();
    prefix.installed(&prefix.stand_ins("1"), &[]);
    // What Python makes of the SDK when a module runs.
    let compiled = prefix.at("share/bulkhead/sdk/python/src/bulkhead/__pycache__");
    fs::create_dir(&compiled).unwrap();
    fs::write(compiled.join("module.cpython-311.pyc"), "compiled").unwrap();
    assert!(prefix.xtask(&["uninstall"]).output().unwrap().status.success());
    assert!(!prefix.path.exists());
}

#[test]
fn samples_can_be_left_out_and_a_later_run_without_them_removes_them() {
    let prefix = Prefix::new();
    let programs = prefix.stand_ins("1");
    prefix.installed(&programs, &[]);
    let greeter = prefix.modules().join("shell-greeter");
    fs::write(greeter.join("greeter.sh"), "mine").unwrap();
    let said = prefix.installed(&programs, &["--without-samples"]);
    assert!(said.contains("research-log/module.toml: it is not installed any more"), "{said}");
    let left: Vec<PathBuf> = fs::read_dir(prefix.modules()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [greeter]);
}

#[test]
fn a_dry_run_changes_nothing_and_a_file_in_the_place_of_a_folder_is_refused_with_its_name() {
    let prefix = Prefix::new();
    let programs = prefix.stand_ins("1");
    let said = prefix.installed(&programs, &["--dry-run"]);
    assert!(said.contains("Would be installed below"), "{said}");
    assert!(!prefix.path.exists());
    fs::create_dir(&prefix.path).unwrap();
    fs::write(prefix.at("share"), "a file").unwrap();
    let refused = stderr(&prefix.install(&programs, &[]));
    assert!(refused.contains("prefix/share"), "{refused}");
    assert_eq!(prefix.files().into_keys().collect::<Vec<_>>(), [prefix.at("share")]);
}

/// After any end, each path has the old or the new file, and the next run works like the first.
#[test]
fn an_installation_that_is_killed_leaves_no_half_file_and_can_be_run_again() {
    let prefix = Prefix::new();
    let versions = [prefix.stand_ins("1"), prefix.stand_ins("2")];
    prefix.installed(&versions[0], &[]);
    let mut killed = 0;
    for round in 1.. {
        assert!(round < 500, "the installation ended before it could be killed, all but {killed} times");
        // The moments differ: when the first file, or one of the later ones, is beside its path.
        let name = ["bin/.bulkhead.part", "share/man/man1/.bulkhead.1.part", "share/bulkhead/.installed.sha256.part"];
        let moment = prefix.at(name[round % 3]);
        // If it were left from an earlier round, the test would not see the moment.
        let _ = fs::remove_file(&moment);
        let mut install = prefix.xtask(&["install"]);
        install.arg("--programs").arg(&versions[round % 2]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = install.spawn().unwrap();
        until("a file beside its place, or the end", || {
            (moment.exists() || child.try_wait().unwrap().is_some()).then_some(())
        });
        kill(i64::from(child.id()), Signal::SIGKILL);
        killed += u32::from(child.wait().unwrap().signal().is_some());
        for name in &PROGRAMS[..4] {
            let found = fs::read(prefix.at("bin").join(name)).unwrap();
            let whole = versions.iter().any(|folder| fs::read(folder.join(name)).unwrap() == found);
            assert!(whole, "{name} has {} bytes", found.len());
        }
        if killed == 10 {
            break;
        }
    }
    prefix.installed(&versions[0], &[]);
    let left: Vec<PathBuf> =
        prefix.files().into_keys().filter(|path| path.extension() == Some("part".as_ref())).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
    for name in &PROGRAMS[..4] {
        assert_eq!(fs::read(prefix.at("bin").join(name)).unwrap(), fs::read(versions[0].join(name)).unwrap());
    }
}
