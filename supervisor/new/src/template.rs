//! The files of a new module, by language and kind. Their texts are in `templates/`, with `@NAME@` for the name; the
//! manifest and the README are made here.

use crate::language::{Kind, Language};
use crate::manifest::{self, Runs};
use crate::place::{Content, File};
use crate::sdk::Sdk;
use crate::tools;
use anyhow::{Context, Result};
use bulkhead_protocol::ModuleName;
use std::fs;
use std::path::Path;

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../templates/", $path))
    };
}

/// What each template answers, as words after the module's name.
pub(crate) const CALL: &str = "greet name=Ada";

/// The files of a module.
///
/// # Errors
/// When the SDK of the language is not there or cannot be read.
pub(crate) fn files(name: &ModuleName, language: Language, kind: Kind, sdk: &Sdk) -> Result<Vec<File>> {
    let name = name.as_str();
    let named = |text: &str| text.replace("@NAME@", name);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let manifest = |runs: &Runs<'_>, extra: &str| manifest::text(name, kind, runs, extra, sdk);
    let mut files = match (language, kind) {
        (Language::Rust, Kind::Program) => {
            let manifest = manifest(&Runs::Command(&words(&["target/release/module"])), "");
            rust(name, "main.rs", "main", sdk, manifest)?
        }
        (Language::Rust, Kind::Native) => {
            rust(name, "lib.rs", "export", sdk, manifest(&Runs::Library("target/release/libmodule.so"), ""))?
        }
        (Language::Rust, _) => {
            let path = "target/wasm32-wasip1/release/module.wasm";
            rust(name, "lib.rs", "export", sdk, manifest(&Runs::Wasm(path), ""))?
        }
        (Language::Python, _) => {
            let mut files = vec![
                File::new("module.toml", manifest(&Runs::Command(&words(&["python3", "main.py"])), "")),
                File::new("main.py", named(template!("python/main.py"))),
                File::new("test_main.py", named(template!("python/test_main.py"))),
                File::new(".gitignore", "__pycache__/\n/state/\n"),
            ];
            copy(&sdk.python()?, "bulkhead", &mut files)?;
            files
        }
        (Language::TypeScript, _) => {
            typescript(&named, sdk, manifest(&Runs::Command(&words(&["node", "main.ts"])), ""))?
        }
        (Language::C, kind) => {
            let (makefile, runs, built) = match kind {
                Kind::Wasm => {
                    let makefile = template!("c/wasm.mk").replace("@CLANG@", tools::find_clang());
                    (makefile, Runs::Wasm("module.wasm"), "module.wasm")
                }
                _ => (template!("c/native.mk").to_owned(), Runs::Library("module.so"), "module.so"),
            };
            let header = sdk.header()?;
            vec![
                File::new("module.toml", manifest(&runs, "")),
                File::new("module.c", named(template!("c/module.c"))),
                File::new("module.h", fs::read(&header).with_context(|| header.display().to_string())?),
                File::new("test.c", template!("c/test.c")),
                File::new("Makefile", makefile),
                File::new(".gitignore", format!("/{built}\n/test-module\n/state/\n")),
            ]
        }
        (Language::Jq, _) => {
            let command = words(&["jq", "-c", "--unbuffered", "-f", "module.jq"]);
            vec![
                File::new("module.toml", manifest(&Runs::Command(&command), "line = \"message\"\n")),
                File::new("module.jq", named(template!("jq/module.jq"))),
                File::script("test.sh", template!("jq/test.sh")),
                File::new(".gitignore", "/state/\n"),
            ]
        }
        (Language::Shell, _) => vec![
            File::new("module.toml", manifest(&Runs::Command(&words(&["sh", "module.sh"])), "line = \"message\"\n")),
            File::new("module.sh", named(template!("shell/module.sh"))),
            File::script("test.sh", template!("shell/test.sh")),
            File::new(".gitignore", "/state/\n"),
        ],
    };
    files.push(File::new("README.md", readme(name, language, kind)));
    Ok(files)
}

/// The command that builds the module in its folder, without the folder; none where nothing is built.
pub(crate) fn build(language: Language, kind: Kind) -> Option<Build> {
    match (language, kind) {
        (Language::Rust, Kind::Wasm) => {
            Some(Build { program: "cargo build --release --target wasm32-wasip1", folder: Folder::Manifest })
        }
        (Language::Rust, _) => Some(Build { program: "cargo build --release", folder: Folder::Manifest }),
        (Language::C, _) => Some(Build { program: "make", folder: Folder::Option }),
        (Language::Python | Language::TypeScript | Language::Jq | Language::Shell, _) => None,
    }
}

/// How a module is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build {
    program: &'static str,
    folder: Folder,
}

/// How the folder is named to the program that builds.
#[derive(Clone, Copy, Debug)]
enum Folder {
    /// `-C FOLDER`.
    Option,
    /// `--manifest-path FOLDER/Cargo.toml`.
    Manifest,
}

impl Build {
    /// The command, from any folder.
    pub(crate) fn command(self, folder: &Path, quoted: impl Fn(&Path) -> String) -> String {
        match self.folder {
            Folder::Option => format!("{} -C {}", self.program, quoted(folder)),
            Folder::Manifest => format!("{} --manifest-path {}", self.program, quoted(&folder.join("Cargo.toml"))),
        }
    }
}

fn rust(name: &str, source: &str, which: &str, sdk: &Sdk, manifest: String) -> Result<Vec<File>> {
    let target = match source {
        "main.rs" => "[[bin]]\nname = \"module\"\npath = \"src/main.rs\"\n",
        _ => "[lib]\nname = \"module\"\ncrate-type = [\"cdylib\"]\n",
    };
    let (path, lock) = (sdk.rust()?, sdk.rust_lock()?);
    let path = path.to_str().with_context(|| format!("expected a path in UTF-8, found {}", path.display()))?;
    let path = path.replace('\\', "\\\\").replace('"', "\\\"");
    let cargo = template!("rust/Cargo.toml.in").replace("@NAME@", name).replace("@TARGET@", target);
    let code = template!("rust/module.rs").replace("@NAME@", name).replace("@MACRO@", which);
    Ok(vec![
        File::new("module.toml", manifest),
        File::new("Cargo.toml", cargo.replace("@SDK@", &path)),
        // The versions that the SDK was tested with; cargo removes what this module does not need.
        File::new("Cargo.lock", fs::read(&lock).with_context(|| lock.display().to_string())?),
        File::new(&format!("src/{source}"), code),
        File::new(".gitignore", "/target/\n/state/\n"),
    ])
}

fn typescript(named: &dyn Fn(&str) -> String, sdk: &Sdk, manifest: String) -> Result<Vec<File>> {
    let mut files = vec![
        File::new("module.toml", manifest),
        File::new("package.json", named(template!("typescript/package.json.in"))),
        File::new("tsconfig.json", template!("typescript/tsconfig.json.in")),
        File::new("app.ts", named(template!("typescript/app.ts"))),
        File::new("main.ts", template!("typescript/main.ts")),
        File::new("app.test.ts", template!("typescript/app.test.ts")),
        // As `npm install` makes it of the dependency in package.json, but without npm and without a network.
        File { path: "node_modules/bulkhead".into(), content: Content::Link("../vendor/bulkhead") },
        File::new(".gitignore", "/node_modules/\n/state/\n"),
    ];
    let package = sdk.typescript()?;
    copy(&package.join("dist"), "vendor/bulkhead/dist", &mut files)?;
    let description = package.join("package.json");
    let text = fs::read(&description).with_context(|| description.display().to_string())?;
    files.push(File::new("vendor/bulkhead/package.json", text));
    Ok(files)
}

/// Copies the files of a folder of the SDK. What Python has compiled is not part of it.
fn copy(from: &Path, to: &str, files: &mut Vec<File>) -> Result<()> {
    let fail = || format!("cannot read {}", from.display());
    let mut entries = fs::read_dir(from).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(fail)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| *name != "__pycache__") else { continue };
        let to = format!("{to}/{name}");
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to, files)?,
            false => {
                let text = fs::read(entry.path()).with_context(|| entry.path().display().to_string())?;
                files.push(File::new(&to, text));
            }
        }
    }
    Ok(())
}

fn readme(name: &str, language: Language, kind: Kind) -> String {
    let (code, test, build, note) = match language {
        Language::Rust => {
            let code = if kind == Kind::Program { "src/main.rs" } else { "src/lib.rs" };
            let build = build(language, kind).map_or("", |build| build.program);
            (code, "cargo test", build, "Cargo.toml says where the SDK is, the crate bulkhead-module.")
        }
        Language::Python => (
            "main.py",
            "python3 -m unittest",
            "",
            "`bulkhead/` is a copy of the SDK. One that is installed with pip does as well; then remove the folder.",
        ),
        Language::TypeScript => (
            "app.ts",
            "node --test",
            "",
            "`vendor/bulkhead` is a copy of the SDK, to which `node_modules` has a link; after a clone, `npm install` makes \
             that link again, without a network.",
        ),
        Language::C => ("module.c", "make test", "make", "`module.h` is a copy of the border that the host knows."),
        Language::Jq => ("module.jq", "./test.sh", "", "The host sends each message as a line to `jq`."),
        Language::Shell => ("module.sh", "./test.sh", "", "The host sends each message as a line to the script."),
    };
    let mut commands = vec![format!("{test:<40}  # its tests")];
    if !build.is_empty() {
        commands.push(format!("{build:<40}  # after a change"));
    }
    commands.push(format!("{:<40}  # and then, where a daemon runs it", format!("bulkhead reload {name}")));
    commands.push(format!("bulkhead call {name} {CALL}"));
    let commands: Vec<String> = commands.iter().map(|line| format!("    {line}")).collect();
    format!(
        "# {name}\n\nA module of Bulkhead in {}. `{code}` has its commands, `module.toml` is its manifest.\n\n{}\n\n{note}\n",
        language.title(),
        commands.join("\n")
    )
}
