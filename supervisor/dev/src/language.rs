//! How a module is built that does not say it: by the files in its folder. It only reads `package.json`.

use serde_json::Value;

/// What is in the folder of a module.
pub(crate) struct Folder<'a> {
    pub(crate) has: &'a dyn Fn(&str) -> bool,
    /// The text of `package.json`.
    pub(crate) package: Option<&'a str>,
    /// The file that the host loads or runs, relative to the folder, where it is in it.
    pub(crate) runs: Option<&'a str>,
    pub(crate) is_wasm: bool,
}

/// The command that builds it; none where nothing has to be built.
pub(crate) fn build(folder: &Folder<'_>) -> Option<Vec<String>> {
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let has = folder.has;
    if has("Cargo.toml") {
        let mut command = vec!["cargo", "build"];
        if folder.runs.is_some_and(|file| file.split('/').any(|part| part == "release")) {
            command.push("--release");
        }
        if folder.is_wasm {
            command.extend(["--target", wasm_target(folder.runs)]);
        }
        return words(&command);
    }
    if folder.package.is_some_and(has_build_script) {
        return words(&["npm", "run", "--silent", "build"]);
    }
    if ["GNUmakefile", "makefile", "Makefile"].into_iter().any(has) {
        return words(&["make"]);
    }
    None
}

/// The target whose folder the manifest names, as `target/wasm32-wasip1/release/module.wasm`.
fn wasm_target(runs: Option<&str>) -> &str {
    let named = runs.and_then(|file| file.split('/').find(|part| part.starts_with("wasm32-")));
    named.unwrap_or("wasm32-wasip1")
}

/// A package without a build script runs as it is.
fn has_build_script(package: &str) -> bool {
    let package: Value = serde_json::from_str(package).unwrap_or_default();
    package["scripts"]["build"].is_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str], package: Option<&str>, runs: Option<&str>) -> Option<String> {
        let has = |name: &str| files.contains(&name);
        let is_wasm = runs.is_some_and(|runs| runs.ends_with(".wasm"));
        build(&Folder { has: &has, package, runs, is_wasm }).map(|words| words.join(" "))
    }

    #[test]
    fn each_language_has_its_build() {
        /// The files, `package.json`, what runs, and the build.
        type Case<'a> = (&'a [&'a str], Option<&'a str>, Option<&'a str>, Option<&'a str>);
        let cases: [Case<'_>; 9] = [
            (&["Cargo.toml"], None, Some("target/debug/module"), Some("cargo build")),
            (&["Cargo.toml", "Makefile"], None, Some("target/release/module"), Some("cargo build --release")),
            (
                &["Cargo.toml"],
                None,
                Some("target/wasm32-wasip1/release/module.wasm"),
                Some("cargo build --release --target wasm32-wasip1"),
            ),
            (&["Cargo.toml"], None, Some("out/module.wasm"), Some("cargo build --target wasm32-wasip1")),
            (&["package.json"], Some(r#"{"scripts":{"build":"tsc"}}"#), None, Some("npm run --silent build")),
            (&["package.json"], Some(r#"{"scripts":{"test":"x"}}"#), None, None),
            (&["package.json"], Some("no JSON"), None, None),
            (&["Makefile", "module.c"], None, Some("module.so"), Some("make")),
            (&["main.py"], None, None, None),
        ];
        for (files, package, runs, expected) in cases {
            assert_eq!(found(files, package, runs).as_deref(), expected, "{files:?} {runs:?}");
        }
    }
}
