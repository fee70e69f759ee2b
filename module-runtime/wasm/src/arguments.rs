//! The command line, as the host writes it, and the one variable passed with it. Nothing is opened or read here.

use bulkhead_protocol::GUEST_ENVIRONMENT_VARIABLE;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What the host passes to the runtime of one module, besides `init`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// The module's file.
    pub(crate) module: PathBuf,
    /// The folder of compiled code.
    pub(crate) cache: Option<PathBuf>,
    /// Most bytes of memories and tables together.
    pub(crate) memory_limit: Option<usize>,
    /// Most processor time of one message.
    pub(crate) cpu_time_limit: Option<Duration>,
    /// What follows when a limit was passed.
    pub(crate) on_limit: OnLimit,
    /// What WASI shows the module.
    pub(crate) grants: Grants,
}

/// What follows when a limit was passed, after the message was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnLimit {
    /// The process ends, and the host starts a fresh one.
    #[default]
    Restart,
    /// A fresh instance in the same process takes the next message.
    Continue,
}

/// What WASI shows the module; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grants {
    /// Whether the module's data folder is `/data`.
    pub(crate) data: DataFolder,
    /// Folders by the name that the module sees.
    pub(crate) folders: Vec<Folder>,
    /// The variables that it has: those of this process are not among them.
    pub(crate) environment: BTreeMap<String, String>,
}

/// Whether the module sees its data folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DataFolder {
    /// It does not, and `init` names none.
    #[default]
    Hidden,
    /// It does, as `/data`.
    Shown,
}

/// A folder that the module may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) guest: String,
    pub(crate) access: Access,
}

/// What the module may do in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// What the program was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invocation {
    Run(Box<Options>),
    Help,
    Version,
}

/// Reads the arguments after the program's name. The error is a sentence for their author.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, String> {
    let mut arguments = arguments.into_iter();
    let subcommand = arguments.next().ok_or("a subcommand is missing, expected run")?;
    match text(subcommand, "the subcommand")?.as_str() {
        "run" => run(arguments).map(|options| Invocation::Run(Box::new(options))),
        "-h" | "--help" | "help" => Ok(Invocation::Help),
        "-V" | "--version" => Ok(Invocation::Version),
        other => Err(format!("unknown subcommand '{other}', expected run")),
    }
}

fn run(mut arguments: impl Iterator<Item = OsString>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut module = None;
    while let Some(flag) = arguments.next() {
        let flag = text(flag, "an option")?;
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--module" => module = Some(absolute(&flag, value()?)?),
            "--cache" => options.cache = Some(absolute(&flag, value()?)?),
            "--memory-limit" => {
                let bytes = positive(&flag, "bytes", value()?)?;
                options.memory_limit = Some(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            "--cpu-time-limit-ms" => {
                options.cpu_time_limit = Some(Duration::from_millis(positive(&flag, "milliseconds", value()?)?));
            }
            "--on-limit" => {
                options.on_limit = match text(value()?, &flag)?.as_str() {
                    "restart" => OnLimit::Restart,
                    "continue" => OnLimit::Continue,
                    other => return Err(format!("{flag} is restart or continue, found '{other}'")),
                }
            }
            "--data-dir" => options.grants.data = DataFolder::Shown,
            "--read" => options.grants.folders.push(folder(&flag, Access::Read, value()?)?),
            "--write" => options.grants.folders.push(folder(&flag, Access::Write, value()?)?),
            other => return Err(format!("unknown option '{other}' of run")),
        }
    }
    options.module = module.ok_or("--module is missing")?;
    Ok(options)
}

fn text(value: OsString, what: &str) -> Result<String, String> {
    value.into_string().map_err(|value| format!("{what} is no UTF-8: {}", value.to_string_lossy()))
}

fn absolute(flag: &str, value: OsString) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    if path.is_absolute() {
        return Ok(path);
    }
    Err(format!("{flag} needs an absolute path, found '{}'", path.display()))
}

fn positive(flag: &str, unit: &str, value: OsString) -> Result<u64, String> {
    let value = text(value, flag)?;
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{flag} needs a number of {unit} above 0, found '{value}'")),
    }
}

fn folder(flag: &str, access: Access, value: OsString) -> Result<Folder, String> {
    let value = text(value, flag)?;
    // With two signs the end of the path would be ambiguous.
    let (path, guest) = match value.split('=').collect::<Vec<_>>()[..] {
        [path, guest] if !guest.is_empty() => (path, guest),
        _ => return Err(format!("{flag} needs PATH=GUEST with one '=', found '{value}'")),
    };
    Ok(Folder { path: absolute(flag, path.into())?, guest: guest.to_owned(), access })
}

/// Reads the variables of the module, as the host passes them beside the command line. They may be secrets, so errors
/// do not quote them.
pub(crate) fn environment(handed: Option<OsString>) -> Result<BTreeMap<String, String>, String> {
    let Some(handed) = handed else { return Ok(BTreeMap::new()) };
    let wrong = |what: &str| format!("{GUEST_ENVIRONMENT_VARIABLE} needs an object of texts in JSON, found {what}");
    let text = handed.into_string().map_err(|_| wrong("what is no UTF-8"))?;
    let variables: BTreeMap<String, String> = serde_json::from_str(&text).map_err(|_| wrong("something else"))?;
    if variables.iter().any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')) {
        return Err(wrong("what no variable can be called or hold"));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn everything_that_the_host_writes_is_read() {
        let Ok(Invocation::Run(options)) = read(
            "run --module /m/a.wasm --cache /c --memory-limit 65536 --cpu-time-limit-ms 250 --on-limit continue \
             --data-dir --read /m/in=in --write /out=/out",
        ) else {
            panic!("expected options");
        };
        assert_eq!(options.module, PathBuf::from("/m/a.wasm"));
        assert_eq!(options.cache, Some(PathBuf::from("/c")));
        assert_eq!(options.memory_limit, Some(65536));
        assert_eq!(options.cpu_time_limit, Some(Duration::from_millis(250)));
        assert_eq!(options.on_limit, OnLimit::Continue);
        assert_eq!(options.grants.data, DataFolder::Shown);
        let folders: Vec<_> =
            options.grants.folders.iter().map(|f| (f.path.to_str().unwrap(), f.guest.as_str(), f.access)).collect();
        assert_eq!(folders, [("/m/in", "in", Access::Read), ("/out", "/out", Access::Write)]);
    }

    #[test]
    fn the_variables_of_the_module_are_one_variable_of_the_runtime() {
        let read = |text: &str| environment(Some(text.into()));
        assert_eq!(environment(None), Ok(BTreeMap::new()));
        let found = read(r#"{"LD_PRELOAD":"/x.so","EMPTY":"","LINES":"a\nb=\"c\""}"#).unwrap();
        let expected = [("EMPTY", ""), ("LD_PRELOAD", "/x.so"), ("LINES", "a\nb=\"c\"")];
        assert!(found.iter().map(|(name, value)| (name.as_str(), value.as_str())).eq(expected), "{found:?}");
        for wrong in ["", "[]", r#"{"A":1}"#, r#"{"A=B":"secret"}"#, r#"{"":"secret"}"#, r#"{"A":"secret\u0000"}"#] {
            let problem = read(wrong).unwrap_err();
            assert!(problem.starts_with("BULKHEAD_GUEST_ENV needs an object of texts"), "{wrong}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }

    #[test]
    fn nothing_is_granted_or_limited_that_is_not_written() {
        let Ok(Invocation::Run(options)) = read("run --module /a.wasm") else { panic!("expected options") };
        assert_eq!(*options, Options { module: "/a.wasm".into(), ..Options::default() });
        assert_eq!(options.on_limit, OnLimit::Restart);
    }

    #[test]
    fn wrong_usage_is_named() {
        for (line, sentence) in [
            ("", "a subcommand is missing, expected run"),
            ("walk", "unknown subcommand 'walk', expected run"),
            ("run", "--module is missing"),
            ("run --module", "--module needs a value"),
            ("run --module a.wasm", "--module needs an absolute path, found 'a.wasm'"),
            ("run --module /a --cache c", "--cache needs an absolute path, found 'c'"),
            ("run --module /a --memory-limit 0", "--memory-limit needs a number of bytes above 0, found '0'"),
            (
                "run --module /a --cpu-time-limit-ms 1s",
                "--cpu-time-limit-ms needs a number of milliseconds above 0, found '1s'",
            ),
            ("run --module /a --on-limit stop", "--on-limit is restart or continue, found 'stop'"),
            ("run --module /a --read /b", "--read needs PATH=GUEST with one '=', found '/b'"),
            ("run --module /a --read /b=c=d", "--read needs PATH=GUEST with one '=', found '/b=c=d'"),
            ("run --module /a --write b=c", "--write needs an absolute path, found 'b'"),
            ("run --module /a --env A", "unknown option '--env' of run"),
            ("run --module /a extra", "unknown option 'extra' of run"),
        ] {
            assert_eq!(read(line), Err(sentence.to_owned()), "{line}");
        }
    }

    #[test]
    fn help_and_version_are_asked_for_in_each_usual_way() {
        for line in ["-h", "--help", "help"] {
            assert_eq!(read(line), Ok(Invocation::Help));
        }
        for line in ["-V", "--version"] {
            assert_eq!(read(line), Ok(Invocation::Version));
        }
    }
}
