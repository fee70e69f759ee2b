//! `layer1 import`: an export is cut into groups of lines, each of which goes in whole or not at all, through the
//! daemon that has the data, or directly without one.

use super::{close_store, connect, open_store};
use crate::amount::count;
use crate::cli::{self, Existing};
use crate::exit::{Exit, Halt};
use crate::lifecycle::to_supervisor;
use crate::output::{Output, complain};
use crate::progress::{ProgressLine, Unit};
use crate::session::Session;
use crate::streams::Stdin;
use bulkhead_client::ClientError;
use bulkhead_layer1::{ImportLines, Job, JobId, Layer1, Outcome, ToolError};
use bulkhead_protocol::{ErrorCode, Failure, Json, Status};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a group of lines may take, which a daemon does in milliseconds.
const GROUP_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a daemon that has too much in progress is asked again.
const OVERLOAD_TIMEOUT: Duration = Duration::from_secs(30);
const OVERLOAD_PAUSE: Duration = Duration::from_millis(200);

/// `bulkhead layer1 import`.
pub(super) fn run(socket: Option<PathBuf>, options: &cli::Import) -> Result<Exit, Halt> {
    let Source { name, input, bytes } = open(&options.file)?;
    // The first line is looked at before anything is begun.
    let lines = ImportLines::new(input).map_err(|error| Halt::Usage(at_line(&name, error)))?;
    let target = match &options.location.state {
        Some(state) => Target::Store(Box::new(open_store(state)?)),
        None => Target::Host(Box::new(connect(socket)?)),
    };
    let mut importing = Importing { name, lines, bytes, target, existing: options.existing, done: Imported::default() };
    let mut line = ProgressLine::on_stderr();
    let ended = importing.pump(&mut line);
    line.clear();
    if let Err(broken) = ended {
        importing.print_progress(&broken);
        return Err(broken.halt);
    }
    importing.target.close();
    let mut output = Output::default();
    let Imported { created, replaced, kept } = importing.done;
    if options.json {
        let json = serde_json::json!({ "schema": 1, "created": created, "replaced": replaced, "kept": kept });
        output.line(&json.to_string())?;
    } else {
        output.line(&format!("created {}, replaced {}, kept {}", count(created), count(replaced), count(kept)))?;
    }
    output.flush()?;
    Ok(Exit::Done)
}

struct Source {
    name: String,
    input: Box<dyn BufRead>,
    /// How long it is, where that is known.
    bytes: Option<u64>,
}

fn open(path: &Path) -> Result<Source, Halt> {
    if path == Path::new("-") {
        return Ok(Source {
            name: "standard input".into(),
            input: Box::new(BufReader::with_capacity(64 * 1024, Stdin)),
            bytes: None,
        });
    }
    let name = path.display().to_string();
    let fail = |error| Halt::Usage(format!("{name}: {error}"));
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(Halt::Usage(format!("{name}: expected a file, found a folder")));
    }
    let bytes = metadata.is_file().then_some(metadata.len());
    Ok(Source { name, input: Box::new(BufReader::with_capacity(64 * 1024, file)), bytes })
}

/// The destination of the lines.
enum Target {
    Host(Box<Session>),
    Store(Box<Layer1>),
}

/// The result of an import.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Imported {
    created: u64,
    replaced: u64,
    kept: u64,
}

/// Lines of an export, as the daemon takes them.
#[derive(Serialize)]
struct Group<'a> {
    lines: &'a [String],
    first: u64,
    existing: &'static str,
}

struct Importing {
    name: String,
    lines: ImportLines<Box<dyn BufRead>>,
    bytes: Option<u64>,
    target: Target,
    existing: Existing,
    done: Imported,
}

/// Why an import ended early, and what became of the lines in flight.
struct Broken {
    halt: Halt,
    group: Under,
}

/// What is known of a group of lines.
enum Under {
    /// Nothing of it is stored.
    Not,
    /// All of it is stored, or nothing.
    Unknown { first: u64, last: u64 },
}

impl Importing {
    fn pump(&mut self, line: &mut ProgressLine) -> Result<(), Broken> {
        let existing = match self.existing {
            Existing::Refuse => bulkhead_layer1::job::Existing::Refuse,
            Existing::Keep => bulkhead_layer1::job::Existing::Keep,
            Existing::Replace => bulkhead_layer1::job::Existing::Replace,
        };
        loop {
            let next = self.lines.next_job(existing);
            let job =
                next.map_err(|error| Broken { halt: Halt::Failed(at_line(&self.name, error)), group: Under::Not })?;
            let Some(job) = job else { return Ok(()) };
            let imported = self.target.take(job, &self.name)?;
            self.done.created += imported.created;
            self.done.replaced += imported.replaced;
            self.done.kept += imported.kept;
            line.show_amount(self.lines.bytes(), self.bytes, Unit::Bytes);
        }
    }

    fn print_progress(&self, broken: &Broken) {
        let Imported { created, replaced, kept } = self.done;
        let lines = created + replaced + kept;
        let done: String = match lines {
            0 => "nothing was imported".into(),
            _ => format!(
                "lines 2 to {} were imported: created {}, replaced {}, kept {}",
                lines + 1,
                count(created),
                count(replaced),
                count(kept)
            ),
        };
        match broken.group {
            Under::Not if lines == 0 => complain(&done),
            Under::Not => complain(&format_args!("{done}; nothing after that was")),
            Under::Unknown { first, last } => complain(&format_args!(
                "{done}; whether lines {first} to {last} were is not known: run it again, what is there already is passed over"
            )),
        }
    }
}

impl Target {
    /// Imports one group.
    fn take(&mut self, job: Job, name: &str) -> Result<Imported, Broken> {
        match self {
            Target::Host(session) => {
                let Job::Import { lines, first, .. } = &job else { unreachable!("an export is cut into imports") };
                let (first, last) = (*first, first + lines.len() as u64 - 1);
                ask(session, &job).map_err(|halt| broken(halt, first, last, name))
            }
            Target::Store(store) => {
                let fail =
                    |failure: &Failure| Broken { halt: Halt::Failed(sentence(name, failure)), group: Under::Not };
                let closing = |_| Broken { halt: Halt::Failed("the data store is closing".into()), group: Under::Not };
                store.submit(JobId(0), job, None).map_err(closing)?;
                match store.wait().1 {
                    Outcome::Imported(imported) => {
                        let bulkhead_layer1::outcome::Imported { created, replaced, kept } = imported;
                        Ok(Imported { created, replaced, kept })
                    }
                    Outcome::Failed(failure) => Err(fail(&failure)),
                    other => unreachable!("an import was asked for, and the store answered {other:?}"),
                }
            }
        }
    }

    /// Writes everything into one file.
    fn close(self) {
        if let Target::Store(store) = self {
            close_store(&store);
        }
    }
}

/// Asks the daemon to import a group, and repeats that while it has too much in progress.
fn ask(session: &mut Session, job: &Job) -> Result<Imported, Halt> {
    let Job::Import { lines, first, existing } = job else { unreachable!("an export is cut into imports") };
    let existing = match existing {
        bulkhead_layer1::job::Existing::Refuse => "refuse",
        bulkhead_layer1::job::Existing::Keep => "keep",
        bulkhead_layer1::job::Existing::Replace => "replace",
    };
    let mut request = to_supervisor("import", &Json::of(&Group { lines, first: *first, existing }));
    request.deadline_ms = Some(GROUP_TIMEOUT.as_millis() as u64);
    let until = Instant::now() + OVERLOAD_TIMEOUT;
    loop {
        match session.ask(&request, |_| {})?.status {
            Status::Success(data) | Status::Progress(data) => {
                return data
                    .read()
                    .map_err(|error| Halt::Failed(format!("the host's answer is not understood: {error}")));
            }
            Status::Error(failure) if failure.code == ErrorCode::Overloaded && Instant::now() < until => {
                sleep(OVERLOAD_PAUSE);
            }
            Status::Error(failure) => {
                return Err(Halt::Answered { subject: "layer1".into(), failure, log: Vec::new() });
            }
        }
    }
}

/// What a halt means for the group in flight.
fn broken(halt: Halt, first: u64, last: u64, name: &str) -> Broken {
    match halt {
        Halt::Answered { failure, .. } if line_of(&failure).is_some() => {
            Broken { halt: Halt::Failed(sentence(name, &failure)), group: Under::Not }
        }
        Halt::Answered { subject, failure, log } => {
            let unknown = matches!(failure.code, ErrorCode::DeadlineExceeded | ErrorCode::Internal);
            let group = if unknown { Under::Unknown { first, last } } else { Under::Not };
            Broken { halt: Halt::Answered { subject, failure, log }, group }
        }
        // A host whose `frame_bytes_max` is lower than a group needs has read nothing of it.
        Halt::Client(ClientError::Refused(failure)) if failure.code == ErrorCode::FrameTooLarge => {
            let reason = format!("{}; stop the host, and import into its state directory with --state", failure.error);
            Broken { halt: Halt::Failed(reason), group: Under::Not }
        }
        halt => Broken { halt, group: Under::Unknown { first, last } },
    }
}

#[derive(Deserialize)]
struct AtLine {
    line: u64,
    reason: String,
}

fn line_of(failure: &Failure) -> Option<AtLine> {
    failure.data.as_ref()?.read().ok()
}

/// The failure, with the position in the file where that is known.
fn sentence(name: &str, failure: &Failure) -> String {
    match line_of(failure) {
        Some(AtLine { line, reason }) => format!("{name}:{line}: {}", crate::output::printable(&reason)),
        None => failure.error.clone(),
    }
}

fn at_line(name: &str, error: ToolError) -> String {
    match error {
        ToolError::Line { line, reason } => format!("{name}:{line}: {}", crate::output::printable(&reason)),
        other => format!("{name}: {other}"),
    }
}
