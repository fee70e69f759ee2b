//! Which debugger runs a module, and with which command line: by what `[dev] debug` says, else by the language. It runs
//! nothing and reads no file.

use bulkhead_config::{ModuleKind, Transport};
use std::path::Path;

/// What is known of a module.
pub(crate) struct Subject<'a> {
    pub(crate) kind: &'a ModuleKind,
    /// What `[dev] debug` says; nothing where it says nothing.
    pub(crate) own: &'a [String],
    /// The first line of its program, where that is a script.
    pub(crate) script: Option<&'a str>,
    /// Whether there is such a program in `$PATH`.
    pub(crate) has: &'a dyn Fn(&str) -> bool,
}

/// How a module is run in a debugger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Debugging {
    /// What people call it.
    pub(crate) name: String,
    /// The words before the command line of the module.
    pub(crate) words: Vec<String>,
    /// The words of the command line in the place of the first one, and after it; where the debugger is a part of it.
    pub(crate) inserted: Vec<String>,
    /// Where they are inserted: after so many words.
    pub(crate) at: usize,
    pub(crate) face: Face,
}

/// Where a person uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// On the terminal.
    Terminal,
    /// Over a connection that it prints.
    Connection,
}

const INSTALL_GDB: &str = "install gdb (`apt install gdb`) or lldb, or name another debugger in [dev] debug";

/// How the module is run.
///
/// # Errors
/// Why it cannot be, and what to do.
pub(crate) fn plan(subject: &Subject<'_>) -> Result<Debugging, String> {
    let Subject { kind, own, script, has } = subject;
    if let Some(program) = own.first() {
        if !program.contains('/') && !has(program) {
            return Err(format!("expected {program:?} of [dev] debug in $PATH, found none; install it"));
        }
        let debugging = Debugging::before(program, own);
        return on_terminal(kind, debugging);
    }
    let command = match kind {
        ModuleKind::Process { command, .. } => command,
        ModuleKind::Native { .. } => return native(has),
        ModuleKind::Filter { .. } | ModuleKind::Wasm { .. } | ModuleKind::Mcp { .. } => {
            let what = "expected a program or a library, found a module that runs inside another program";
            return Err(format!("{what}; docs/debugging.md says what can be done, or name a debugger in [dev] debug"));
        }
    };
    match interpreter(command, *script) {
        Some(Interpreter::Python) => {
            let at = script_at(command, &["-c"])?;
            let inserted = ["-m", "pdb"].map(str::to_owned).into();
            let debugging = Debugging { name: "pdb".into(), words: Vec::new(), inserted, at, face: Face::Terminal };
            on_terminal(kind, debugging)
        }
        Some(Interpreter::Node) => Ok(Debugging {
            name: "node --inspect".into(),
            words: Vec::new(),
            // A free port, on this machine only.
            inserted: vec!["--inspect=127.0.0.1:0".into()],
            at: 1,
            face: Face::Connection,
        }),
        Some(Interpreter::Other(name)) => {
            Err(format!("expected a language with a debugger, found {name}; name one in [dev] debug of module.toml"))
        }
        None => native(has).and_then(|debugging| on_terminal(kind, debugging)),
    }
}

impl Debugging {
    fn before(name: &str, words: &[String]) -> Debugging {
        Debugging { name: name.into(), words: words.to_vec(), inserted: Vec::new(), at: 0, face: Face::Terminal }
    }

    /// The command line of a process, with the words of the debugger that belong into it.
    pub(crate) fn command(&self, command: &[String]) -> Vec<String> {
        let (before, after) = command.split_at(self.at.min(command.len()));
        [before, &self.inserted, after].concat()
    }
}

fn native(has: &dyn Fn(&str) -> bool) -> Result<Debugging, String> {
    for (name, words) in [("gdb", ["gdb", "-q", "--args"].as_slice()), ("lldb", &["lldb", "--"])] {
        if has(name) {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            return Ok(Debugging::before(name, &words));
        }
    }
    Err(format!("expected gdb or lldb in $PATH, found neither; {INSTALL_GDB}"))
}

/// A debugger has the terminal as its standard input and output, so the module's messages must go elsewhere.
fn on_terminal(kind: &ModuleKind, debugging: Debugging) -> Result<Debugging, String> {
    match kind.transport() {
        Transport::Socket => Ok(debugging),
        Transport::Stdio => Err(format!(
            "expected transport = \"socket\", since {} uses standard input and output itself; found \"stdio\", by which \
             messages go there",
            debugging.name
        )),
    }
}

enum Interpreter {
    Python,
    Node,
    Other(String),
}

/// The interpreter that runs the program, if one does.
fn interpreter(command: &[String], script: Option<&str>) -> Option<Interpreter> {
    let name = |word: &str| Path::new(word).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let first = name(command.first()?);
    if is_python(&first) {
        return Some(Interpreter::Python);
    }
    if first == "node" || first == "nodejs" {
        return Some(Interpreter::Node);
    }
    // A script names its interpreter in its first line, and cannot be given words for it.
    let of_script = script?.strip_prefix("#!")?.split_whitespace().map(name).find(|name| name != "env")?;
    Some(Interpreter::Other(format!("a script of {of_script}")))
}

fn is_python(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

/// Where the script stands in a command line, after the options of the interpreter.
fn script_at(command: &[String], refused: &[&str]) -> Result<usize, String> {
    for (at, word) in command.iter().enumerate().skip(1) {
        if refused.contains(&&**word) {
            return Err(format!("expected a script or a module of Python in the command, found the option {word:?}"));
        }
        // pdb takes a module as the interpreter does.
        if word == "-m" || !word.starts_with('-') {
            return Ok(at);
        }
    }
    Err("expected a script or a module of Python in the command, found none".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_config::OnPanic;

    fn process(words: &[&str]) -> ModuleKind {
        ModuleKind::Process {
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            program: "/bin/m".into(),
            transport: Transport::Socket,
            on_panic: OnPanic::default(),
        }
    }

    fn planned(kind: &ModuleKind, own: &[&str], script: Option<&str>, there: &[&str]) -> Result<Debugging, String> {
        let own: Vec<String> = own.iter().map(|word| (*word).to_owned()).collect();
        plan(&Subject { kind, own: &own, script, has: &|name| there.contains(&name) })
    }

    /// The whole command line, with the words before it.
    fn line(words: &[&str], own: &[&str], there: &[&str]) -> String {
        let kind = process(words);
        let debugging = planned(&kind, own, None, there).unwrap();
        let command: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        [debugging.words.clone(), debugging.command(&command)].concat().join(" ")
    }

    #[test]
    fn each_language_has_its_debugger_and_the_manifest_another() {
        for (words, own, there, expected) in [
            (&["bin/m", "x"][..], &[][..], &["gdb", "lldb"][..], "gdb -q --args bin/m x"),
            (&["bin/m"], &[], &["lldb"], "lldb -- bin/m"),
            (&["python3", "-u", "main.py", "x"], &[], &[], "python3 -u -m pdb main.py x"),
            (&["/usr/bin/python3.11", "-m", "pkg"], &[], &[], "/usr/bin/python3.11 -m pdb -m pkg"),
            (&["node", "main.mjs"], &[], &[], "node --inspect=127.0.0.1:0 main.mjs"),
            (&["python3", "main.py"], &["rr", "record"], &["rr"], "rr record python3 main.py"),
            (&["python3", "main.py"], &["./mine"], &[], "./mine python3 main.py"),
        ] {
            assert_eq!(line(words, own, there), expected);
        }
        let native = ModuleKind::Native { library: "/m/a.so".into(), on_panic: OnPanic::Continue };
        assert_eq!(planned(&native, &[], None, &["gdb"]).unwrap().name, "gdb");
    }

    #[test]
    fn what_no_debugger_can_run_is_refused_with_what_to_do() {
        for (words, own, script, expected) in [
            (&["bin/m"][..], &[][..], None, "expected gdb or lldb in $PATH, found neither; install gdb"),
            (&["bin/m"], &["rr"], None, "expected \"rr\" of [dev] debug in $PATH, found none; install it"),
            (&["./m"], &[], Some("#!/usr/bin/env bash"), "found a script of bash; name one in [dev] debug"),
            (&["python3", "-c", "1"], &[], None, "found the option \"-c\""),
            (&["python3"], &[], None, "expected a script or a module of Python in the command, found none"),
        ] {
            let refused = planned(&process(words), own, script, &[]).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
        let mut stdio = process(&["python3", "main.py"]);
        let ModuleKind::Process { transport, .. } = &mut stdio else { unreachable!() };
        *transport = Transport::Stdio;
        assert!(planned(&stdio, &[], None, &[]).unwrap_err().contains("expected transport = \"socket\", since pdb"));
    }
}
