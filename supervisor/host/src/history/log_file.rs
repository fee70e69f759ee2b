//! The last lines of a module in its log files, read from their end. Which host wrote them follows from their
//! position, never from a clock.

use crate::{
    control_socket::Identity,
    folder::Folder,
    log_files::{Begun, Cut, End, name},
    log_lines::{Line, Stream},
};
use std::{cmp::Ordering, fs::File, io, os::unix::fs::FileExt, path::Path, time::Instant};

/// Log files that are looked at for one answer: as many as the configuration allows to be kept.
const FILES_MAX: usize = 100;

/// Names in a row that no file has, after which there are taken to be no older ones.
const MISSING_MAX: usize = 3;

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// A line in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// `None` for what has none: a notice on lines that were lost, or half a line.
    pub(crate) time: Option<String>,
    pub(crate) stream: Stream,
    /// With deceptive characters written out.
    pub(crate) text: String,
    /// Whether an earlier host wrote it.
    pub(crate) is_earlier: bool,
}

impl Stored {
    /// Reads a line, which may hold any bytes that others have written there.
    fn of(bytes: &[u8], is_earlier: bool) -> Stored {
        let text = String::from_utf8_lossy(bytes);
        let mut parts = text.splitn(3, ' ');
        if let (Some(time), Some(stream), Some(rest)) = (parts.next(), parts.next(), parts.next())
            && is_time(time)
            && let Some(stream) = Stream::of(stream)
        {
            return Stored { time: Some(time.to_owned()), stream, text: rest.to_owned(), is_earlier };
        }
        let text = bulkhead_protocol::escape(&text).into_owned();
        Stored { time: None, stream: Stream::Host, text, is_earlier }
    }

    /// Whether this is the line as it is written in a file.
    pub(crate) fn is(&self, line: &Line) -> bool {
        self.stream == line.stream
            && self.time.as_deref() == Some(&line.time)
            && self.text == bulkhead_protocol::escape(&line.text)
    }
}

/// Whether a text begins as RFC 3339 has it.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 20 && bytes[4] == b'-' && bytes[10] == b'T' && bytes[..4].iter().all(u8::is_ascii_digit)
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Oldest first.
    pub(crate) lines: Vec<Stored>,
    /// Why there may be more before them than were asked for and can be sent.
    pub(crate) left_out: Option<String>,
}

/// How much is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) lines: usize,
    pub(crate) bytes: usize,
    pub(crate) until: Instant,
}

/// The last lines before a cut.
///
/// # Errors
/// When the newest files cannot be read; what was read is sent where only older ones cannot.
pub(crate) fn read(dir: &Path, module: &str, cut: &Cut, bounds: Bounds) -> io::Result<Lines> {
    let Some(end) = cut.end else { return Ok(Lines::default()) };
    let folder = Folder::open(dir)?;
    let mut reading = Reading { left: bounds, newest_first: Vec::new(), left_out: None };
    let mut seen: Vec<Identity> = Vec::new();
    let mut missing = 0;
    // A file may be rotated while this goes on: each is recognised by its `Identity`, not by its name.
    for age in end.age..FILES_MAX + end.age {
        let file = match folder.open_file(&name(module, age)) {
            Ok(file) => file,
            // While files are rotated, the name of one that is being renamed belongs to none for a moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                missing += 1;
                if missing > MISSING_MAX {
                    break;
                }
                continue;
            }
            Err(error) if seen.is_empty() => return Err(error),
            Err(error) => {
                reading.left_out = Some(format!("{} cannot be read: {error}", dir.join(name(module, age)).display()));
                break;
            }
        };
        missing = 0;
        let metadata = file.metadata()?;
        let identity = Identity::of(&metadata);
        let bytes = match seen.is_empty() {
            true if identity != end.file => continue,
            true => end.bytes,
            false if seen.contains(&identity) => continue,
            false => metadata.len(),
        };
        let own_from = own_from(&end, cut.begun.as_ref(), seen.len(), identity);
        seen.push(identity);
        if !reading.file(&file, bytes, own_from)? {
            break;
        }
    }
    reading.newest_first.reverse();
    Ok(Lines { lines: reading.newest_first, left_out: reading.left_out })
}

/// From which byte on a file, the `index`th before the end, has lines of this host.
fn own_from(end: &End, begun: Option<&Begun>, index: usize, file: Identity) -> u64 {
    let Some(begun) = begun else { return u64::MAX };
    match (end.age + index).cmp(&begun.rotations) {
        Ordering::Less => 0,
        Ordering::Equal if file == begun.file => begun.bytes,
        // The one that it began in was moved away.
        Ordering::Equal => 0,
        Ordering::Greater => u64::MAX,
    }
}

struct Reading {
    left: Bounds,
    newest_first: Vec<Stored>,
    left_out: Option<String>,
}

impl Reading {
    /// Takes in the last lines of so many bytes of a file; whether more are wanted.
    fn file(&mut self, file: &File, bytes: u64, own_from: u64) -> io::Result<bool> {
        let (text, from) = self.end_of(file, bytes)?;
        let mut at = from + text.len() as u64;
        let mut lines = text.rsplit(|byte| *byte == b'\n').peekable();
        if text.is_empty() || text.last() == Some(&b'\n') {
            // There is no line after the last line end.
            lines.next();
            at = at.saturating_sub(1);
        }
        while let Some(line) = lines.next() {
            at -= line.len() as u64;
            let is_whole = lines.peek().is_some() || from == 0;
            if !is_whole || self.left.lines == 0 {
                break;
            }
            self.newest_first.push(Stored::of(line, at < own_from));
            self.left.lines -= 1;
            at = at.saturating_sub(1);
        }
        if self.left.lines > 0 && from > 0 {
            let reason =
                if self.left.bytes == 0 { "they are too long to be sent at once" } else { "there was no time" };
            self.left_out = Some(reason.into());
        }
        Ok(self.left.lines > 0 && from == 0)
    }

    /// As much of the end of a file as has the lines that are wanted and one line end more, and where it begins.
    fn end_of(&mut self, file: &File, bytes: u64) -> io::Result<(Vec<u8>, u64)> {
        let (mut blocks, mut from, mut line_ends) = (Vec::new(), bytes, 0);
        while from > 0 && line_ends <= self.left.lines && self.left.bytes > 0 && Instant::now() < self.left.until {
            let block = BLOCK_BYTES.min(self.left.bytes).min(usize::try_from(from).unwrap_or(BLOCK_BYTES));
            let mut read = vec![0; block];
            from -= block as u64;
            file.read_exact_at(&mut read, from)?;
            self.left.bytes -= block;
            line_ends += read.iter().filter(|byte| **byte == b'\n').count();
            blocks.push(read);
        }
        blocks.reverse();
        Ok((blocks.concat(), from))
    }
}
