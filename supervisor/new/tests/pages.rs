//! The manual pages and completions of the programs beside `bulkhead`, as an installation asks for them, and what the
//! completions of `bulkhead` make of the latter.

use bulkhead_tests::program;
use std::path::Path;
use std::process::{Command, Output};

const PROGRAMS: [&str; 5] =
    ["bulkhead-new", "bulkhead-check", "bulkhead-test-host", "bulkhead-bench", "bulkhead-chaos"];

fn said(output: Output) -> String {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn asked(name: &str, words: &[&str]) -> String {
    said(Command::new(program(name)).args(words).output().unwrap())
}

#[test]
fn each_program_beside_bulkhead_writes_its_page() {
    for name in PROGRAMS {
        let page = asked(name, &["__man"]);
        let command = name.replacen('-', " ", 1);
        for expected in [
            format!(".TH {name} 1"),
            format!("\\fB{}\\fR", command.replace('-', "\\-")),
            ".SH \"EXIT STATUS\"".to_owned(),
            ".SH \"SEE ALSO\"\n\\fBbulkhead\\fR(1)".to_owned(),
        ] {
            assert!(page.contains(&expected), "{name}: expected {expected} in {page}");
        }
        assert!(!page.contains("__"), "{name}: what only an installation asks is in no page");
    }
}

#[test]
fn each_program_beside_bulkhead_writes_completions_for_its_own_name() {
    for name in PROGRAMS {
        for (shell, expected) in [
            ("bash", format!("-o default {name}\n")),
            ("zsh", format!("#compdef {name}")),
            ("fish", format!("complete -c {name} ")),
        ] {
            let script = asked(name, &["__completions", shell]);
            assert!(script.contains(&expected) && script.contains("version"), "{name}, {shell}: {script}");
        }
    }
}

/// Runs a script in a shell, with the programs in its `$PATH`; `None` where there is no such shell.
fn in_shell(shell: &str, script: &str) -> Option<String> {
    if Command::new(shell).arg("--version").output().is_err() {
        eprintln!("not tested with {shell}, which is not installed");
        return None;
    }
    let programs = program("bulkhead-new");
    let path = [programs.parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")];
    let mut command = Command::new(shell);
    // No daemon of this machine has a word in it.
    command.args(["-c", script]).env("PATH", std::env::join_paths(path).unwrap()).env("BULKHEAD_SOCKET", "/nowhere/s");
    Some(said(command.output().unwrap()))
}

#[test]
fn bash_completes_the_words_after_a_programs_name_as_the_program_does() {
    let offered = |words: &str, at: usize, current: &str| {
        let script = format!(
            "source <(bulkhead completions bash); source <(bulkhead-new __completions bash); COMP_WORDS=({words}); \
             COMP_CWORD={at}; _bulkhead_live bulkhead '{current}' \"${{COMP_WORDS[{at} - 1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        in_shell("bash", &script)
    };
    for (words, at, current, expected) in [
        ("bulkhead new a --la", 3, "--la", "--lang\n"),
        ("bulkhead new a --lang ty", 4, "ty", "typescript\n"),
        ("bulkhead --socket /s new a --lang ty", 6, "ty", "typescript\n"),
        ("bulkhead --socket = /s new a --lang ty", 7, "ty", "typescript\n"),
        ("bulkhead ne", 1, "ne", "new\n"),
        ("bulkhead run --mod", 2, "--mod", "--modules\n"),
    ] {
        if let Some(offered) = offered(words, at, current) {
            assert_eq!(offered, expected, "{words}");
        }
    }
}

#[test]
fn fish_completes_the_words_after_a_programs_name_as_the_program_does() {
    for (line, expected) in [
        ("bulkhead new a --lang ty", "typescript"),
        ("bulkhead --socket /s new a --lang ty", "typescript"),
        ("bulkhead --socket=/s new a --lang ty", "typescript"),
        ("bulkhead run --mod", "--modules"),
    ] {
        let script = format!(
            "bulkhead completions fish | source; bulkhead-new __completions fish | source; complete -C '{line}'"
        );
        if let Some(offered) = in_shell("fish", &script) {
            let words: Vec<&str> = offered.lines().filter_map(|line| line.split('\t').next()).collect();
            assert_eq!(words, [expected], "{line}");
        }
    }
}

/// The completion system of zsh runs in a line editor only, so it is stood in for.
#[test]
fn zsh_hands_the_words_after_a_programs_name_to_the_program() {
    let script = "\
        typeset -A _comps\n\
        compdef() { :; }\n\
        source =(bulkhead completions zsh | sed 's/^autoload.*//')\n\
        _bulkhead-new() { print -r -- \"$CURRENT:${(j:|:)words}\"; }\n\
        _comps[bulkhead-new]=_bulkhead-new\n\
        _bulkhead__static() { print static; }\n\
        for line in 'bulkhead new a --la' 'bulkhead --socket /s new a --la' 'bulkhead --socket=/s new a --la' \
          'bulkhead run --mod'; do\n\
          words=(${=line}); CURRENT=$#words; _bulkhead\n\
        done";
    if let Some(offered) = in_shell("zsh", script) {
        let handed = "3:bulkhead-new|a|--la\n";
        assert_eq!(offered, [handed, handed, handed, "static\n"].concat());
    }
}
