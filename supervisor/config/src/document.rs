//! One TOML file: read with its limits, parsed with the position of every key and value. What the keys mean is not
//! known here.

use crate::{
    Environment, Problem, files,
    trust::{Use, check_trust},
};
use std::{
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};
use toml::de::{DeTable, DeValue};

/// Longest file that is read: 256 KiB.
pub(crate) const FILE_BYTES_MAX: u64 = 256 * 1024;

/// How many faults of the syntax are reported of one file.
const SYNTAX_PROBLEMS_MAX: usize = 3;

/// The position of a key or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) file: Arc<Path>,
    /// Both counted from 1, the column in characters.
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    pub(crate) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            file: Some(self.file.to_path_buf()),
            position: Some((self.line, self.column)),
            message: message.into(),
        }
    }
}

/// The text of one file.
pub(crate) struct Document {
    /// The file, as the person named it.
    pub(crate) shown: Arc<Path>,
    /// The folder of the file, absolute: relative paths in it are relative to it.
    pub(crate) folder: PathBuf,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Document {
    /// Reads the file at `path`, which is absolute.
    pub(crate) fn read(path: &Path, environment: &Environment) -> Result<Document, Problem> {
        let shown = &*environment.shown(path);
        let fail = |message: String| Problem { file: Some(shown.to_path_buf()), position: None, message };
        // A named pipe would block the opening, and a device has no end.
        let metadata = files::metadata(path).map_err(|error| fail(describe(&error)))?;
        if !metadata.is_file() {
            return Err(fail("expected a file, found something else".into()));
        }
        check_trust(path, Use::Itself, &environment.trusted_users).map_err(|error| fail(error.to_string()))?;
        let bytes = files::head(path, FILE_BYTES_MAX + 1).map_err(|error| fail(describe(&error)))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(fail(format!("expected at most {FILE_BYTES_MAX} bytes, found {}", metadata.len())));
        }
        let folder = path.parent().unwrap_or(path).to_path_buf();
        Document::of_bytes(Arc::from(shown), folder, bytes)
    }

    /// Makes a document of the content of a file.
    pub(crate) fn of_bytes(shown: Arc<Path>, folder: PathBuf, bytes: Vec<u8>) -> Result<Document, Problem> {
        // A byte order mark has no meaning in UTF-8; without it, columns are right.
        let bytes = match bytes.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) => rest.to_vec(),
            None => bytes,
        };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Document::of_text(shown, folder, text)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let byte = error.as_bytes()[at];
                let text = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
                let document = Document::of_text(shown, folder, text);
                let message = format!("expected UTF-8, found the byte 0x{byte:02x}; save the file as UTF-8");
                Err(document.position(at).problem(message))
            }
        }
    }

    fn of_text(shown: Arc<Path>, folder: PathBuf, text: String) -> Document {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Document { shown, folder, text, lines }
    }

    /// Whether it is empty.
    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Parses the text.
    ///
    /// # Errors
    /// The first faults of the syntax; with any of them, keys and values are unreliable.
    pub(crate) fn parse(&self) -> Result<DeTable<'_>, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return Ok(table.into_inner());
        }
        let mut problems: Vec<Problem> = errors.iter().map(|error| self.syntax_problem(error)).collect();
        // One mistake causes more errors after it: only the first fault of a line is meaningful, and after a few lines
        // none is.
        problems.dedup_by_key(|problem| problem.position.map(|(line, _)| line));
        problems.truncate(SYNTAX_PROBLEMS_MAX);
        Err(problems)
    }

    fn syntax_problem(&self, error: &toml::de::Error) -> Problem {
        // The parser's sentences may have several lines; a problem has one.
        let message = error.message().trim().replace('\n', "; ");
        let span = error.span().unwrap_or_default();
        let what = match self.text.get(span.clone()) {
            Some(key) if message == "duplicate key" => format!(": {} stands here twice", quote(key)),
            _ => format!(": {message}"),
        };
        self.problem(span, format!("not TOML{what}"))
    }

    /// The position of a byte of the text.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        let before = self.text.get(start..offset).unwrap_or(&self.text[start..]);
        Position { file: self.shown.clone(), line, column: before.chars().count() + 1 }
    }

    /// The problem of the text at `span`.
    pub(crate) fn problem(&self, span: Range<usize>, message: impl Into<String>) -> Problem {
        self.position(span.start).problem(message)
    }
}

/// What a failed access means, in words without a number.
pub(crate) fn describe(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

/// A value as an error message names it: its kind, and what was written.
pub(crate) fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quote(text)),
        DeValue::Integer(number) => format!("the number {:.64}", number.to_string()),
        DeValue::Float(number) => format!("the number {:.64}", number.to_string()),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}

/// A text in quotes, on one line, cut where it is long.
pub(crate) fn quote(text: &str) -> String {
    let cut: String = text.chars().take(128).collect();
    let mark = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{mark}")
}
