//! The tools of the languages: whether they are here, and what to install where they are not. They are asked for their
//! version, and build nothing but one empty function for WebAssembly.

use crate::language::{Kind, Language};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The Rust that the SDK needs.
const RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// What is missing for a module of this kind in this language, and what to install; none if it can be built and run.
pub(crate) fn lack(language: Language, kind: Kind) -> Option<String> {
    match language {
        Language::Rust => rust(kind),
        Language::Python => at_least(
            &Tool { name: "python3", arguments: &["--version"], remedy: "on Debian, apt-get install python3" },
            "3.9",
        ),
        Language::TypeScript => at_least(
            &Tool { name: "node", arguments: &["--version"], remedy: "https://nodejs.org has it for each system" },
            "22.18",
        ),
        Language::C => c(kind),
        Language::Jq => {
            at_least(&Tool { name: "jq", arguments: &["--version"], remedy: "on Debian, apt-get install jq" }, "1.5")
        }
        // POSIX has all that the script needs.
        Language::Shell => None,
    }
}

struct Tool {
    name: &'static str,
    arguments: &'static [&'static str],
    /// How to get it.
    remedy: &'static str,
}

fn at_least(tool: &Tool, version: &str) -> Option<String> {
    let Some(said) = output(tool.name, tool.arguments) else {
        return Some(format!("expected {} {version} or newer in $PATH, found none; {}", tool.name, tool.remedy));
    };
    let found = version_in(&said);
    if found >= version_in(version) {
        return None;
    }
    let said = said.lines().next().unwrap_or_default().trim();
    Some(format!("expected {} {version} or newer, found {said:?}; {}", tool.name, tool.remedy))
}

fn rust(kind: Kind) -> Option<String> {
    let remedy = "https://rustup.rs has it for each system";
    let rustc = Tool { name: "rustc", arguments: &["--version"], remedy };
    let cargo = Tool { name: "cargo", arguments: &["--version"], remedy };
    let lack = at_least(&rustc, RUST).or_else(|| at_least(&cargo, RUST));
    if lack.is_some() || kind != Kind::Wasm {
        return lack;
    }
    let target = output("rustc", &["--print", "target-libdir", "--target", "wasm32-wasip1"]).unwrap_or_default();
    let is_there = Path::new(target.trim()).is_dir();
    (!is_there)
        .then(|| "expected the target wasm32-wasip1 of Rust, found none; rustup target add wasm32-wasip1".to_owned())
}

fn c(kind: Kind) -> Option<String> {
    let remedy = "on Debian, apt-get install gcc libc6-dev make";
    for name in ["cc", "make"] {
        if output(name, &["--version"]).is_none() {
            return Some(format!("expected {name} in $PATH, found none; {remedy}"));
        }
    }
    let for_wasm = "on Debian 12, apt-get install clang lld wasi-libc libclang-rt-14-dev-wasm32";
    (kind == Kind::Wasm && !builds_wasm(find_clang()))
        .then(|| format!("expected a clang that builds for WebAssembly, found none; {for_wasm}"))
}

/// The clang that a Makefile calls: the first in $PATH that builds for WebAssembly, else the usual name.
pub(crate) fn find_clang() -> &'static str {
    ["clang", "clang-14"].into_iter().find(|name| builds_wasm(name)).unwrap_or("clang")
}

/// Whether this clang has all that a module needs: the target, a linker and a C library.
fn builds_wasm(clang: &str) -> bool {
    let arguments =
        ["--target=wasm32-wasi", "-mexec-model=reactor", "-x", "c", "-o", "/dev/null", "-", "-Wl,--no-entry"];
    let child =
        Command::new(clang).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    let written = child.stdin.take().is_some_and(|mut source| source.write_all(b"#include <stdlib.h>\n").is_ok());
    child.wait().is_ok_and(|status| status.success()) && written
}

/// What a program prints; none if it is not here or fails.
fn output(name: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(name).args(arguments).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first numbers with a point between them, such as 1 and 95 of `rustc 1.95.0 (f2d3ce0bd 2026-03-21)`.
fn version_in(text: &str) -> (u32, u32) {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.');
    let version = numbers.filter(|word| word.starts_with(|c: char| c.is_ascii_digit())).find_map(|word| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    version.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them_and_compared_as_numbers() {
        assert_eq!(version_in("rustc 1.95.0 (f2d3ce0bd 2026-03-21)"), (1, 95));
        assert_eq!(version_in("Python 3.11.7"), (3, 11));
        assert_eq!(version_in("v22.18.0\n"), (22, 18));
        assert_eq!(version_in("jq-1.6"), (1, 6));
        assert_eq!(version_in("nothing"), (0, 0));
        assert!(version_in("3.11") > version_in("3.9"));
    }

    #[test]
    fn a_missing_tool_is_named_with_the_remedy() {
        let tool = Tool { name: "no-such-tool-here", arguments: &[], remedy: "get it" };
        assert_eq!(
            at_least(&tool, "1.0").as_deref(),
            Some("expected no-such-tool-here 1.0 or newer in $PATH, found none; get it")
        );
        let old = Tool { name: "cargo", arguments: &["--version"], remedy: "get it" };
        let lack = at_least(&old, "999.0").unwrap();
        assert!(lack.starts_with("expected cargo 999.0 or newer, found \"cargo 1."), "{lack}");
        assert!(lack.ends_with("; get it"), "{lack}");
    }
}
