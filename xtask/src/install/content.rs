//! What is installed: programs, manual pages, completions and sample modules, each with its path. The SDKs are in
//! `sdk.rs`.

use super::places::{Places, Shell};
use super::sdk;
use crate::cargo::{Programs, root};
use anyhow::{Context, Result, ensure};
use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages to build. The last one has no program; it is here for the features of shared dependencies: after a
/// build of the workspace, nothing is compiled anew.
pub(crate) const PACKAGES: [&str; 14] = [
    "bulkhead",
    "bulkhead-new",
    "bulkhead-test-host",
    "bulkhead-check",
    "bulkhead-simulate",
    "bulkhead-dev",
    "bulkhead-load",
    "bulkhead-mcp",
    "bulkhead-launcher",
    "bulkhead-wasm",
    "bulkhead-mcp-runtime",
    "research-log",
    "misbehave",
    "bulkhead-client-async",
];

/// What is in the folder of programs. `module-runtime` has to be beside `bulkhead`.
pub(crate) const PROGRAMS: [&str; 12] = [
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
];

/// The programs beside `bulkhead` that are commands of it; each writes its own manual page and completions.
const BESIDE: [&str; 8] = [
    "bulkhead-new",
    "bulkhead-test-host",
    "bulkhead-check",
    "bulkhead-simulate",
    "bulkhead-dev",
    "bulkhead-bench",
    "bulkhead-chaos",
    "bulkhead-mcp",
];

/// A sample module: a folder of the checkout, and its files that are installed.
struct Sample {
    name: &'static str,
    folder: &'static str,
    files: &'static [&'static str],
    /// Whether it has a program in `bin`, of its own name.
    program: bool,
    /// What its command needs in `$PATH`.
    needs: Option<Need>,
    /// The SDK that it names by a path in the checkout.
    sdk: Option<SampleSdk>,
}

/// A program that a sample cannot run without.
struct Need {
    command: &'static str,
    /// The oldest version that will do.
    version: (u32, u32),
}

/// The SDK of a sample.
#[derive(Clone, Copy)]
enum SampleSdk {
    Python,
    TypeScript,
}

/// One of each kind that needs no compiler on the user's machine.
const SAMPLES: [Sample; 7] = [
    Sample {
        name: "research-log",
        folder: "research-log",
        files: &["module.toml"],
        program: true,
        needs: None,
        sdk: None,
    },
    Sample { name: "misbehave", folder: "misbehave", files: &["module.toml"], program: true, needs: None, sdk: None },
    Sample {
        name: "shell-greeter",
        folder: "shell-greeter",
        files: &["module.toml", "greeter.sh"],
        program: false,
        needs: None,
        sdk: None,
    },
    Sample {
        name: "jq-filter",
        folder: "jq-filter",
        files: &["module.toml", "total.jq"],
        program: false,
        needs: Some(Need { command: "jq", version: (1, 5) }),
        sdk: None,
    },
    Sample {
        name: "word-count-wasm",
        folder: "word-count/wasm",
        files: &["module.toml", "word_count.wasm"],
        program: false,
        needs: None,
        sdk: None,
    },
    Sample {
        name: "stock-python",
        folder: "stock-python",
        files: &["module.toml", "stock.py"],
        program: false,
        needs: Some(Need { command: "python3", version: (3, 9) }),
        sdk: Some(SampleSdk::Python),
    },
    Sample {
        name: "stock-typescript",
        folder: "stock-typescript",
        files: &["module.toml", "package.json", "main.ts", "stock.ts", "stock.test.ts"],
        program: false,
        needs: Some(Need { command: "node", version: (22, 18) }),
        sdk: Some(SampleSdk::TypeScript),
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Program,
    ManPage,
    Completion(&'static str),
    /// A file of the module of that name.
    Sample(&'static str),
    /// A file of the SDK of that language.
    Sdk(&'static str),
    Schema,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
    pub(crate) content: Content,
    pub(crate) mode: u32,
}

#[derive(Debug)]
pub(crate) enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

const RUN: u32 = 0o755;
pub(crate) const READ: u32 = 0o644;

/// The whole content, and what was left out of it, as sentences.
///
/// # Errors
/// When a program is missing or cannot be run.
pub(crate) fn content(places: &Places, programs: &Programs, samples: bool) -> Result<(Vec<Item>, Vec<String>)> {
    let mut items = Vec::new();
    for name in PROGRAMS {
        let path = places.programs().join(name);
        items.push(Item { kind: Kind::Program, path, content: program(programs, name)?, mode: RUN });
    }
    let bulkhead = programs.get("bulkhead").context("bulkhead was not built")?;
    man_pages(bulkhead, places, &mut items)?;
    let mut complete = |shell: Shell, program: &str, text: Vec<u8>| {
        let (kind, path) = (Kind::Completion(shell.name()), places.completion(shell, program));
        items.push(Item { kind, path, content: Content::Bytes(text), mode: READ });
    };
    for (shell, text) in completions(bulkhead)? {
        complete(shell, "bulkhead", text);
    }
    for name in BESIDE {
        let program = programs.get(name).with_context(|| format!("{name} was not built"))?;
        for shell in Shell::ALL {
            complete(shell, name, output(program, &["__completions", shell.name()])?);
        }
    }
    for name in BESIDE {
        let page = Content::Bytes(output(&programs[name], &["__man"])?);
        let path = places.man_pages().join(format!("{name}.1"));
        items.push(Item { kind: Kind::ManPage, path, content: page, mode: READ });
    }
    items.extend(sdk::items(places)?);
    let mut left_out = Vec::new();
    for sample in SAMPLES.iter().filter(|_| samples) {
        match sample.needs.as_ref().and_then(Need::lack) {
            Some(lack) => left_out.push(format!("{}: {lack}, then run this again", sample.name)),
            None => sample.items(places, programs, &mut items)?,
        }
    }
    Ok((items, left_out))
}

impl Sample {
    fn items(&self, places: &Places, programs: &Programs, items: &mut Vec<Item>) -> Result<()> {
        let (from, to) = (root().join("modules").join(self.folder), places.modules.join(self.name));
        let kind = Kind::Sample(self.name);
        for file in self.files {
            let content = match self.sdk {
                Some(sdk) if sdk.is_named_in(file) => Content::Bytes(sdk.at_its_place(&from.join(file), places)?),
                _ => Content::File(from.join(file)),
            };
            items.push(Item { kind, path: to.join(file), content, mode: READ });
        }
        if let Some(SampleSdk::TypeScript) = self.sdk {
            // What `npm install` would make of the path in package.json.
            let package = root().join("module-runtime/typescript");
            sdk::typescript(kind, &package, &to.join("node_modules/bulkhead"), items)?;
        }
        if self.program {
            let path = to.join("bin").join(self.name);
            items.push(Item { kind, path, content: program(programs, self.name)?, mode: RUN });
        }
        Ok(())
    }
}

impl SampleSdk {
    /// The path as it stands in the checkout.
    fn in_checkout(self) -> &'static str {
        match self {
            SampleSdk::Python => "../../module-runtime/python/src",
            SampleSdk::TypeScript => "../../module-runtime/typescript",
        }
    }

    fn is_named_in(self, file: &str) -> bool {
        file == match self {
            SampleSdk::Python => "module.toml",
            SampleSdk::TypeScript => "package.json",
        }
    }

    /// The text of a file, with the installed SDK in the place of the checkout's.
    fn at_its_place(self, file: &Path, places: &Places) -> Result<Vec<u8>> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let installed = places.sdk().join(match self {
            SampleSdk::Python => "python/src",
            SampleSdk::TypeScript => "typescript",
        });
        ensure!(text.contains(self.in_checkout()), "{}: expected {}", file.display(), self.in_checkout());
        // Both kinds of file escape in the same way; Places has no other character that needs it.
        let installed = installed.display().to_string().replace('"', "\\\"");
        Ok(text.replace(self.in_checkout(), &installed).into_bytes())
    }
}

impl Need {
    /// What is missing, and what to do; none if the program is there.
    fn lack(&self) -> Option<String> {
        let Need { command, version: (major, minor) } = self;
        if find_in_path(command).is_none() {
            return Some(format!("it needs {command}, which is not in $PATH; install {command}"));
        }
        let said = Command::new(command).arg("--version").output().ok()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let numbers = said.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
        let found: Vec<u32> = numbers.take(2).collect();
        let is_old = matches!(*found, [a, b] if (a, b) < (*major, *minor));
        is_old
            .then(|| format!("it needs {command} {major}.{minor} or newer, and there is {}; install that", said.trim()))
    }
}

fn program(programs: &Programs, name: &str) -> Result<Content> {
    Ok(Content::File(programs.get(name).with_context(|| format!("{name} was not built"))?.clone()))
}

/// The programs in a folder, which were built before.
///
/// # Errors
/// When one is missing.
pub(crate) fn programs_in(folder: &Path) -> Result<Programs> {
    let names = PROGRAMS.iter().chain(SAMPLES.iter().filter(|sample| sample.program).map(|sample| &sample.name));
    let mut programs = Programs::new();
    for name in names {
        let path = folder.join(name);
        ensure!(path.is_file(), "--programs {}: expected {name} there", folder.display());
        programs.insert((*name).to_owned(), std::path::absolute(path)?);
    }
    Ok(programs)
}

/// What completes the commands of the program, and the names of those that are installed beside it: it is run in a
/// folder without others, as it offers the programs that it finds.
fn completions(bulkhead: &Path) -> Result<Vec<(Shell, Vec<u8>)>> {
    let folder = temporary_folder()?;
    let alone = folder.join("bulkhead");
    let written = fs::copy(bulkhead, &alone)
        .with_context(|| format!("cannot copy {}", bulkhead.display()))
        .and_then(|_| BESIDE.iter().try_for_each(|name| Ok(std::os::unix::fs::symlink(&alone, folder.join(name))?)));
    let texts = written.and_then(|()| {
        Shell::ALL.into_iter().map(|shell| Ok((shell, output(&alone, &["completions", shell.name()])?))).collect()
    });
    let _ = fs::remove_dir_all(&folder);
    texts
}

/// The page of each command, as the program writes them to a folder.
fn man_pages(bulkhead: &Path, places: &Places, items: &mut Vec<Item>) -> Result<()> {
    let folder = temporary_folder()?;
    let pages = output(bulkhead, &["man", &folder.to_string_lossy()]).and_then(|_| read_folder(&folder));
    let _ = fs::remove_dir_all(&folder);
    for (name, text) in pages? {
        let path = places.man_pages().join(name);
        items.push(Item { kind: Kind::ManPage, path, content: Content::Bytes(text), mode: READ });
    }
    Ok(())
}

/// A new folder of this user alone. One of the same name may be left of an installation that was killed.
fn temporary_folder() -> Result<PathBuf> {
    let of_process = format!("bulkhead-man-{}", std::process::id());
    let mut number = 0;
    loop {
        let folder = env::temp_dir().join(format!("{of_process}-{number}"));
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => number += 1,
            Err(error) => return Err(error).with_context(|| format!("cannot make the folder {}", folder.display())),
        }
    }
}

fn read_folder(folder: &Path) -> Result<Vec<(std::ffi::OsString, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.file_name(), fs::read(entry.path())?));
    }
    files.sort();
    Ok(files)
}

fn output(program: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let words = || format!("{} {}", program.display(), arguments.join(" "));
    // Without folders of programs: completions must not have programs of the user who installs.
    let mut command = Command::new(program);
    let output = command.args(arguments).env("PATH", "").output().with_context(|| format!("cannot run {}", words()))?;
    ensure!(
        output.status.success(),
        "{} ended with {}: {}",
        words(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

/// The program that a shell would run for this name.
pub(crate) fn find_in_path(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(runs)
}
