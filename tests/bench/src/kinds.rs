//! The same module as every kind: how each is named in a manifest, and how its process is started
//! without a host.

use crate::Failed;
use crate::caller::Caller;
use crate::frames;
use crate::programs::Programs;
use crate::world::{command, resident_kib};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// One module of one kind.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Its name in the host.
    pub module: &'static str,
    /// What it is, for people.
    pub what: &'static str,
    /// The lines of its manifest under `[module]`.
    pub manifest: String,
    /// The program that is its process, and its arguments.
    pub words: Vec<String>,
}

/// The kinds that can be measured here, and why others cannot. `folder` gets what is built for them.
///
/// # Errors
/// When the modules in C do not build.
pub fn all(programs: &Programs, folder: &Path) -> Result<(Vec<Kind>, Vec<String>), Failed> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../modules").canonicalize()?;
    let text = |path: PathBuf| path.display().to_string();
    let c_folder = folder.join("c");
    std::fs::create_dir_all(&c_folder)?;
    let built = Command::new("sh").arg(modules.join("build-c.sh")).arg(&c_folder).status()?;
    if !built.success() {
        return Err(format!("the modules in C do not build: {built}").into());
    }
    let launcher = text(programs.path("module-runtime"));
    let native = |module, what, library: String| Kind {
        module,
        what,
        manifest: format!("type = \"native\"\nlibrary = \"{library}\""),
        words: vec![launcher.clone(), "native".into(), "--library".into(), library],
    };
    let wasm = |module, what, file: String| Kind {
        module,
        what,
        manifest: format!("type = \"wasm\"\nwasm = \"{file}\""),
        words: vec![
            text(programs.path("module-runtime-wasm")),
            "run".into(),
            "--module".into(),
            file,
            "--cache".into(),
            text(folder.join("cache")),
        ],
    };
    let process = vec![text(programs.path("specimen"))];
    let mut kinds = vec![
        Kind {
            module: "process",
            what: "process (Rust)",
            manifest: format!("type = \"process\"\n{}", command(&process)?),
            words: process,
        },
        native("native", "native (the same, as a shared library)", text(programs.path("libspecimen.so"))),
        native("native-c", "native (C)", text(c_folder.join("specimen_c.so"))),
        wasm("wasm-c", "wasm (the same C)", text(modules.join("specimen-c/wasm/specimen_c.wasm"))),
    ];
    let mut skipped = Vec::new();
    let wasm_rust = modules.join("specimen/wasm/specimen.wasm");
    if wasm_rust.exists() {
        kinds.push(wasm("wasm", "wasm (the same Rust)", text(wasm_rust)));
    } else {
        skipped.push("wasm (the same Rust): there is no modules/specimen/wasm/specimen.wasm".into());
    }
    if Command::new("jq").arg("--version").stdout(Stdio::null()).status().is_ok() {
        let words: Vec<String> = ["jq", "-c", "--unbuffered", "."].map(str::to_owned).to_vec();
        let started = [launcher, "filter".into(), "--line".into(), "args".into(), "--".into()];
        kinds.push(Kind {
            module: "filter",
            what: "filter (jq -c .)",
            manifest: format!("type = \"filter\"\n{}", command(&words)?),
            words: started.into_iter().chain(["/usr/bin/env".into()]).chain(words).collect(),
        });
    } else {
        skipped.push("filter: jq is not installed".into());
    }
    let repository = modules.join("..");
    let path = format!("PYTHONPATH={}", text(repository.join("module-runtime/python/src")));
    let file = |name: &str| text(repository.join(name));
    for (module, what, program, words) in [
        ("python", "Python, no SDK (echo.py)", "python3", vec![file("docs/examples/echo.py")]),
        ("python-sdk", "Python, its SDK", "python3", vec![file("modules/specimen-python/specimen.py")]),
        ("node", "Node, no SDK (echo.mjs)", "node", vec![file("docs/examples/echo.mjs")]),
        ("node-sdk", "Node, the TypeScript SDK", "node", vec![file("modules/specimen-typescript/specimen.js")]),
    ] {
        if !Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
            skipped.push(format!("{what}: {program} is not installed"));
            continue;
        }
        let words: Vec<String> =
            ["/usr/bin/env".to_owned(), path.clone(), program.to_owned()].into_iter().chain(words).collect();
        kinds.push(Kind { module, what, manifest: format!("type = \"process\"\n{}", command(&words)?), words });
    }
    Ok((kinds, skipped))
}

/// A module's process without a host.
#[derive(Debug)]
pub struct Started {
    /// The connection to it.
    pub caller: Caller,
    process: Child,
}

impl Started {
    /// Starts it and waits until it is ready; returns also how long that took.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn start(words: &[String]) -> Result<(Started, Duration), Failed> {
        let (ours, theirs) = UnixStream::pair()?;
        let out = theirs.try_clone()?;
        let (program, arguments) = words.split_first().ok_or("expected a program")?;
        let init = frames::init();
        let began = Instant::now();
        let process = Command::new(program)
            .args(arguments)
            .stdin(OwnedFd::from(theirs))
            .stdout(OwnedFd::from(out))
            .stderr(Stdio::null())
            .spawn()?;
        let mut started = Started { caller: Caller::new(ours)?, process };
        started.caller.call(&init)?;
        Ok((started, began.elapsed()))
    }

    /// Its resident memory in KiB, with that of the programs that it started.
    ///
    /// # Errors
    /// When it is gone.
    pub fn memory_kib(&self) -> Result<u64, Failed> {
        let id = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        let children = children.split_whitespace().map(|child| resident_kib(child.parse()?));
        children.chain([resident_kib(id)]).sum()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
