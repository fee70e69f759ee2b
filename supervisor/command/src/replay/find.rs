//! The record that is meant: by its name, among those that the daemon has, or in a file.

use crate::crashes::{self, Crashes};
use crate::exit::{Exit, Halt};
use crate::json_argument;
use crate::lenient::or_empty;
use crate::output::printable;
use crate::session::Session;
use bulkhead_protocol::{Json, ModuleName, limits::FRAME_BYTES_MAX_HIGHEST};
use nix::libc::O_NONBLOCK;
use serde::Deserialize;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The most records that one answer has.
const RECORDS_MAX: u64 = 1000;

/// A name is suggested if so many of its first bytes were given.
const COMMON_BYTES_MIN: usize = 3;

/// Whether what was given is a file, not the name of a record.
pub(super) fn is_file(given: &str) -> bool {
    given.contains('/') || given.ends_with(".json")
}

/// The content of a file.
///
/// # Errors
/// When it cannot be read, is no regular file or too long, or is not JSON.
pub(super) fn in_file(path: &str) -> Result<Json, Halt> {
    let unusable = |why: String| Halt::Usage(format!("{}: {why}", printable(path)));
    // The end of a pipe is opened without waiting for the other one.
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path);
    let file = file.map_err(|error| unusable(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| unusable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(unusable("expected a regular file with a crash record, found another kind of file".into()));
    }
    if metadata.len() > FRAME_BYTES_MAX_HIGHEST as u64 {
        let len = metadata.len();
        return Err(unusable(format!(
            "expected at most {FRAME_BYTES_MAX_HIGHEST} bytes, the longest message, found {len}"
        )));
    }
    Ok(json_argument::parse(&printable(path), &json_argument::bytes_of(path, file)?)?)
}

/// The record of this name.
///
/// # Errors
/// When the daemon has none.
pub(super) fn by_name(session: &mut Session, name: &str) -> Result<Json, Halt> {
    let mut found = ask(session, module_in(name))?;
    if let Some(at) = found.crashes.iter().position(|record| name_of(record).as_deref() == Some(name)) {
        return Ok(found.crashes.swap_remove(at));
    }
    if found.crashes.is_empty() {
        found = ask(session, None)?;
    }
    let names: Vec<String> = found.crashes.iter().filter_map(name_of).collect();
    Err(Halt::Usage(unknown(name, &names, found.older)))
}

/// The records of a module, or of all; none of a module that the daemon does not know.
fn ask(session: &mut Session, module: Option<&str>) -> Result<Crashes, Halt> {
    match crashes::ask(session, module, Some(RECORDS_MAX)) {
        Err(halt @ Halt::Answered { .. }) if halt.exit() == Exit::UnknownModule => Ok(Crashes::default()),
        other => other,
    }
}

/// The module in a name MODULE-TIME-NUMBER.
fn module_in(name: &str) -> Option<&str> {
    name.rsplitn(3, '-').nth(2).filter(|module| ModuleName::new(module).is_ok())
}

/// The name of a record that the daemon sent, where a shell takes it as it stands.
pub(crate) fn name_of(record: &Json) -> Option<String> {
    #[derive(Deserialize)]
    struct Located {
        #[serde(default, deserialize_with = "or_empty")]
        file: String,
    }
    let file = record.read::<Located>().ok()?.file;
    let name = Path::new(&file).file_name()?.to_str()?.strip_suffix(".json")?;
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (is_plain && !name.is_empty() && !name.starts_with('-')).then(|| name.to_owned())
}

/// The error for a name that none of the records has; `older` were not looked at.
fn unknown(name: &str, names: &[String], older: u64) -> String {
    let common = |other: &str| name.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    // The newest is the last.
    let nearest = names.iter().max_by_key(|other| common(other)).filter(|other| common(other) >= COMMON_BYTES_MIN);
    let nearest = nearest.map(|other| format!("the nearest is {other}; ")).unwrap_or_default();
    let older = match older {
        0 => String::new(),
        1 => "; one older record was not looked at: name its file".into(),
        older => format!("; {older} older records were not looked at: name the file"),
    };
    format!("there is no crash record {:?}: {nearest}`bulkhead crashes` lists them{older}", printable(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_or_the_end_of_a_name_makes_it_a_file() {
        for (given, expected) in
            [("m-1-2", false), ("m-1-2.json", true), ("./m-1-2", true), ("/s/m", true), ("", false)]
        {
            assert_eq!(is_file(given), expected, "{given:?}");
        }
    }

    #[test]
    fn the_module_is_taken_from_the_name() {
        for (name, expected) in [
            ("greeter-20261130T221536.088Z-000000000001", Some("greeter")),
            ("research-log-20261130T221536.088Z-000000000001", Some("research-log")),
            ("greeter", None),
            ("a b-1-2", None),
        ] {
            assert_eq!(module_in(name), expected, "{name}");
        }
    }

    #[test]
    fn the_name_is_that_of_the_file_and_plain() {
        let name = |file: &str| name_of(&serde_json::json!({ "file": file }).into());
        assert_eq!(name("/s/crashes/m-1-2.json").as_deref(), Some("m-1-2"));
        for file in ["", "/s/m", "/s/a b.json", "/s/-m.json", "/s/.json", "/s/a;b.json"] {
            assert_eq!(name(file), None, "{file}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_newest_of_the_nearest() {
        let names = ["other-1-1", "greeter-1-2", "greeter-1-3"].map(str::to_owned);
        let expected =
            "there is no crash record \"greeter\": the nearest is greeter-1-3; `bulkhead crashes` lists them";
        assert_eq!(unknown("greeter", &names, 0), expected);
        let expected = "there is no crash record \"x\": `bulkhead crashes` lists them; 7 older records were not looked at: \
                        name the file";
        assert_eq!(unknown("x", &names, 7), expected);
    }
}
