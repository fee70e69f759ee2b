//! `cargo xtask fuzz`: tries inputs on the readers of foreign bytes, for a time. libFuzzer chooses them by the code
//! that they reach; where it cannot be built, they are changed at random, and that is reported. The targets are in
//! `tests/fuzz`, and the tests there try the corpus without this.

use crate::cargo;
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The longest input that is made, in bytes, as in `bulkhead_fuzz::corpus`.
const INPUT_BYTES_MAX: usize = 16 * 1024;

/// Seconds after which an input counts as one that is never read to its end.
const INPUT_SECONDS_MAX: usize = 10;

/// What makes the compiler count the code that an input reaches, and note what it is compared with. These are flags of
/// the stable compiler; a sanitizer is not stable, and finds little where nearly all code is safe.
const COVERAGE: &str = r#"[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
]"#;

/// Try inputs on what reads bytes of others
///
/// It ends with the first input that is read wrongly, and tells where that is kept. libFuzzer guides the choice; it is
/// built when it is first used, which needs a C++ compiler. Without it, the inputs of the corpus are changed at random.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The target: a folder of tests/fuzz/corpus [default: one after the other]
    target: Option<String>,
    /// How long each target is tried
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    seconds: u64,
    /// Add the inputs that reach new code to the corpus in the repository
    #[arg(long)]
    keep: bool,
}

/// # Errors
/// When there is no such target, nothing can be built, or an input is read wrongly.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let corpus = cargo::root().join("tests/fuzz/corpus");
    let all = targets(&corpus)?;
    let chosen = match arguments.target {
        None => all,
        Some(name) if all.contains(&name) => vec![name],
        Some(name) => bail!("expected one of the targets {}, found {name:?}", all.join(", ")),
    };
    let work = cargo::root().join("target/fuzz");
    match build_with_coverage(&work) {
        Ok(program) => {
            chosen.iter().try_for_each(|target| guided(&program, target, &corpus, &work, arguments.seconds))?;
            if arguments.keep {
                chosen.iter().try_for_each(|target| keep(&program, target, &corpus, &work))?;
            }
            Ok(())
        }
        Err(error) => {
            println!("There is no coverage: {error:#}. The inputs of the corpus are changed at random instead.");
            ensure!(!arguments.keep, "without coverage it is not known which inputs to keep; leave --keep out");
            let program = program(cargo::build("release", &["bulkhead-fuzz"])?, "bulkhead-fuzz")?;
            chosen.iter().try_for_each(|target| at_random(&program, target, &work, arguments.seconds))
        }
    }
}

fn targets(corpus: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(corpus).with_context(|| format!("cannot read {}", corpus.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", corpus.display()))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn build_with_coverage(work: &Path) -> Result<PathBuf> {
    let said = Command::new("rustc").arg("-vV").output().context("cannot run rustc")?;
    let said = String::from_utf8(said.stdout).context("rustc says no text")?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    // The target is named so that the flags are not those of build scripts and procedural macros, too.
    let flags = format!("target.{host}.rustflags={COVERAGE}");
    let work = work.to_str().context("the path of the checkout is no text")?;
    let manifest = "tests/fuzz/coverage/Cargo.toml";
    let words = ["build", "--release", "--manifest-path", manifest, "--target", host, "--target-dir", work];
    program(cargo::run(&[&words[..], &["--config", &flags]].concat())?, "bulkhead-fuzz-coverage")
}

fn program(mut programs: cargo::Programs, name: &str) -> Result<PathBuf> {
    programs.remove(name).with_context(|| format!("cargo has built no {name}"))
}

/// Makes a folder of a target for what is found.
fn folder(work: &Path, kind: &str, target: &str) -> Result<PathBuf> {
    let folder = work.join(kind).join(target);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn guided(program: &Path, target: &str, corpus: &Path, work: &Path, seconds: u64) -> Result<()> {
    let (reached, wrong) = (folder(work, "reached", target)?, folder(work, "wrong", target)?);
    let mut command = Command::new(program);
    command.env("BULKHEAD_FUZZ_TARGET", target);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={INPUT_BYTES_MAX}"));
    command.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg(format!("-artifact_prefix={}/", wrong.display()));
    command.args(["-verbosity=0", "-print_final_stats=1"]).arg(reached).arg(corpus.join(target));
    let status = command.status().with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(status.success(), "{target} reads an input wrongly; it is in {}", wrong.display());
    println!("{target}: every input of {seconds} s was read as it must be");
    Ok(())
}

fn keep(program: &Path, target: &str, corpus: &Path, work: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.env("BULKHEAD_FUZZ_TARGET", target);
    // Only whether code is reached counts here, not how often: that would keep thousands.
    command.args(["-verbosity=0", "-set_cover_merge=1", "-use_counters=0"]).arg(format!("-max_len={INPUT_BYTES_MAX}"));
    command.arg(corpus.join(target)).arg(folder(work, "reached", target)?);
    let status = command.status().with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(status.success(), "the inputs of {target} could not be compared: libFuzzer ended with {status}");
    Ok(())
}

fn at_random(program: &Path, target: &str, work: &Path, seconds: u64) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(target).arg(seconds.to_string()).arg(folder(work, "wrong", target)?);
    let status = command.status().with_context(|| format!("cannot run {}", program.display()))?;
    ensure!(status.success(), "{target} reads an input wrongly, or its corpus cannot be read; see above");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_are_the_folders_of_the_corpus() {
        let found = targets(&cargo::root().join("tests/fuzz/corpus")).unwrap();
        assert!(found.contains(&"json".to_owned()) && found.is_sorted(), "{found:?}");
    }

    #[test]
    fn an_unknown_target_is_refused_with_those_that_there_are() {
        let error = run(Arguments { target: Some("jsn".into()), seconds: 1, keep: false }).unwrap_err();
        assert!(error.to_string().contains("json, json-in-pieces"), "{error}");
    }
}
