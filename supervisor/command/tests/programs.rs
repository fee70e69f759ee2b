//! Subcommands that are programs of their own, with real scripts: what is found, what it gets, and the error where
//! nothing can be run.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Done, Folder, program, run};

/// Prints how it was called, and ends with a code of its own.
const SCRIPT: &str = "#!/bin/sh\nprintf '%s|' \"$0\" \"${BULKHEAD_SOCKET-none}\" \"$@\"\nexit 7\n";

/// Two folders of `$PATH`, and one with a copy of `bulkhead`.
struct Machine {
    folder: Folder,
}

impl Machine {
    fn new() -> Machine {
        let folder = Folder::new();
        for name in ["first", "second", "own"] {
            fs::create_dir(folder.0.join(name)).unwrap();
        }
        // Another process writes it, so that no process started here meanwhile has it open for writing.
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_bulkhead")).arg(folder.0.join("own")).status();
        assert!(copied.unwrap().success());
        Machine { folder }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.0.join(file)
    }

    /// Writes a script to this path, such as `first/bulkhead-console`.
    fn script(&self, file: &str, mode: u32) -> String {
        self.put(file, SCRIPT, mode)
    }

    fn put(&self, file: &str, text: &str, mode: u32) -> String {
        let path = self.path(file);
        let source = self.path("script");
        fs::write(&source, text).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(mode)).unwrap();
        assert!(Command::new("cp").arg("-p").arg(&source).arg(&path).status().unwrap().success());
        path.display().to_string()
    }

    fn run(&self, words: &[&str]) -> Done {
        run(self.command(words), b"")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = program(self.path("own/bulkhead").to_str().unwrap());
        let folders = [Path::new("relative"), &self.path("first"), &self.path("second"), Path::new("/bin")];
        command.env("PATH", std::env::join_paths(folders).unwrap()).current_dir(&self.folder.0);
        command.env_remove("BULKHEAD_SOCKET").env_remove("NO_COLOR").args(words);
        command
    }
}

#[test]
fn a_program_gets_all_words_unchanged_and_its_exit_code_is_the_commands() {
    let machine = Machine::new();
    let script = machine.script("second/bulkhead-console", 0o755);
    machine
        .run(&["console", "--socket", "a b", "", "--help"])
        .expect(7, &format!("{script}|none|--socket|a b||--help|"));
    machine.run(&["--socket", "/s", "console"]).expect(7, &format!("{script}|/s|"));
    machine.run(&["--socket=/s", "console", "--", "x"]).expect(7, &format!("{script}|/s|--|x|"));
    machine.run(&["help", "console"]).expect(7, &format!("{script}|none|--help|"));
}

/// What a shell's environment says is no option of this command.
#[test]
fn a_program_learns_whether_an_option_named_its_socket() {
    let machine = Machine::new();
    let text = "#!/bin/sh\nexec printf '%s|' \"${BULKHEAD_SOCKET-none}\" \"${BULKHEAD_SOCKET_ORIGIN-none}\"\n";
    machine.put("first/bulkhead-console", text, 0o755);
    let with = |words: &[&str]| {
        let mut command = machine.command(words);
        command.env("BULKHEAD_SOCKET", "/shell").env("BULKHEAD_SOCKET_ORIGIN", "--socket");
        run(command, b"")
    };
    with(&["--socket", "/s", "console"]).expect(0, "/s|--socket|");
    with(&["console"]).expect(0, "/shell|none|");
}

#[test]
fn the_folder_of_bulkhead_goes_before_those_of_the_path_and_those_in_their_order() {
    let machine = Machine::new();
    machine.script("second/bulkhead-console", 0o755);
    let first = machine.script("first/bulkhead-console", 0o755);
    machine.run(&["console"]).expect(7, &format!("{first}|none|"));
    let own = machine.script("own/bulkhead-console", 0o755);
    machine.run(&["console"]).expect(7, &format!("{own}|none|"));
}

#[test]
fn a_command_of_bulkhead_is_never_replaced_by_a_program() {
    let machine = Machine::new();
    for name in ["status", "help", "layer1"] {
        machine.script(&format!("own/bulkhead-{name}"), 0o755);
    }
    let done = machine.run(&["--socket", "/nowhere/s", "status"]);
    assert_eq!((done.code, done.out.as_str()), (Some(125), ""), "{done:?}");
    let done = machine.run(&["help"]);
    assert!(done.code == Some(0) && !done.out.contains("The program"), "{done:?}");
    assert_eq!(machine.run(&["layer1"]).code, Some(2));
}

#[test]
fn a_file_that_is_not_executable_is_named_and_a_later_one_that_is_goes_first() {
    let machine = Machine::new();
    let barred = machine.script("first/bulkhead-console", 0o644);
    let done = machine.run(&["console"]);
    done.expect(1, "").says(&format!("bulkhead: {barred}: expected a program, found a file that is not executable"));
    let script = machine.script("second/bulkhead-console", 0o755);
    machine.run(&["console"]).expect(7, &format!("{script}|none|"));
}

#[test]
fn what_the_kernel_cannot_run_is_named_with_its_reason() {
    let machine = Machine::new();
    let path = machine.put("first/bulkhead-console", "#!/nowhere/sh\n", 0o755);
    machine.run(&["console"]).expect(1, "").says(&format!("bulkhead: cannot run {path}: No such file"));
}

#[test]
fn relative_folders_of_the_path_and_names_with_a_slash_run_nothing() {
    let machine = Machine::new();
    fs::create_dir(machine.path("relative")).unwrap();
    machine.script("relative/bulkhead-console", 0o755);
    fs::create_dir(machine.path("first/bulkhead-a")).unwrap();
    machine.script("first/bulkhead-a/console", 0o755);
    for name in ["console", "a/console", "a"] {
        machine.run(&[name]).expect(2, "").says("unrecognized subcommand");
    }
}

#[test]
fn help_and_completions_list_the_programs_that_can_be_run() {
    let machine = Machine::new();
    let script = machine.script("first/bulkhead-console", 0o755);
    machine.script("second/bulkhead-console", 0o755);
    machine.script("second/bulkhead-barred", 0o644);
    machine.script("second/bulkhead-od.d", 0o755);
    for words in [&["help"][..], &["--help"], &["-h"]] {
        let done = machine.run(words);
        let listed: Vec<&str> = done.out.lines().filter(|line| line.contains("The program")).collect();
        assert_eq!(listed.len(), 1, "{done:?}");
        assert!(listed[0].trim_start().starts_with("console") && listed[0].contains("The program"), "{done:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let done = machine.run(&["completions", shell]);
        assert!(done.code == Some(0) && done.out.contains("console") && !done.out.contains("barred"), "{shell}");
    }
    assert!(!machine.run(&["man"]).out.contains(&script), "a page is the same on every machine");
}

#[test]
fn a_typing_error_is_answered_with_the_nearest_command_or_program() {
    let machine = Machine::new();
    machine.script("first/bulkhead-console", 0o755);
    machine.run(&["statsu"]).expect(2, "").says("'status'");
    machine.run(&["consoel"]).expect(2, "").says("'console'");
}
