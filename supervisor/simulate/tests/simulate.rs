//! The program as its users have it.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A folder with one module, which is gone with this value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, restart: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("bulkhead-simulate-{}-{name}", std::process::id()));
        let module = path.join("flaky");
        fs::create_dir_all(&module).unwrap();
        let manifest =
            format!("[module]\nname = \"flaky\"\nversion = \"1\"\ncommand = [\"/bin/true\"]\n\n[restart]\n{restart}");
        fs::write(module.join("module.toml"), manifest).unwrap();
        for path in [&path, &module] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::set_permissions(module.join("module.toml"), fs::Permissions::from_mode(0o644)).unwrap();
        Folder(path)
    }

    fn simulate(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead-simulate"));
        command.current_dir(&self.0).env_remove("BULKHEAD_CONFIG").args(words).output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn out(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_module_is_played_from_its_folder_and_by_its_name_with_the_lines_of_its_settings() {
    let folder = Folder::new("played", "breaker_failures = 2\nbreaker_retry = \"10s\"\ngive_up = 1\n");
    let text = out(&folder.simulate(&["./flaky", "--exits", "signal 9 after 2s, code 1 after 5ms"]));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(
        lines[..3],
        [
            "0.000s  flaky#1 starts",
            "0.010s  flaky#1 is ready",
            "2.000s  flaky#1 ends: SIGKILL; then a start at once, by restart.at_once_after = 1s (default)"
        ]
    );
    let breaker = lines[4];
    assert!(
        breaker.starts_with("2.005s  flaky#2 ends: exit code 1 before it was ready; then a start after 10.000s"),
        "{text}"
    );
    assert!(breaker.contains("restart.breaker_failures = 2 (") && breaker.contains("flaky/module.toml:7)"), "{text}");
    assert!(lines.contains(&"At 12.010s nothing more happens by itself. flaky is failed: given up, as give_up asks; last: exit code 1 before it was ready."), "{text}");
    assert_eq!(lines.last(), Some(&"3 starts, 3 failures."));
    let named = out(&folder.simulate(&["flaky", "--modules", ".", "--exits", "lives", "--json"]));
    let report: Value = serde_json::from_str(&named).unwrap();
    assert_eq!(
        (&report["module"], &report["state"], &report["end"]),
        (&"flaky".into(), &"ready".into(), &"rest".into())
    );
    assert_eq!(report["timeline"].as_array().unwrap().len(), 2);
}

#[test]
fn what_cannot_be_played_is_refused_with_what_was_expected() {
    let folder = Folder::new("refused", "delay_initial = 5\n");
    for (words, expected) in [
        (
            &["./flaky", "--exits", "code 1 after -1s"][..],
            "bulkhead simulate: --exits: character 14: expected a time such as",
        ),
        (&["./flaky", "--exits", "code 1"], "flaky/module.toml:7:17: restart.delay_initial: expected a duration"),
        (&["flaky", "--modules", ".", "--exits", "code 1"], "restart.delay_initial: expected a duration"),
        (&["flaky2", "--modules", ".", "--exits", "code 1"], "expected the name of a module in "),
        (&["./absent", "--exits", "code 1"], "./absent: expected a folder with a module.toml"),
        (&["./flaky", "--exits", "code 1", "--for", "367d"], "expected a time of at most 366d, found \"367d\""),
        (&["./flaky"], "--exits"),
    ] {
        let output = folder.simulate(words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(expected) && output.stdout.is_empty(), "{words:?}: {said}");
    }
}
