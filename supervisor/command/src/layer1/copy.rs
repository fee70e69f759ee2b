//! `layer1 export` and `layer1 backup`: the data leaves as lines or as a database. A file appears under its
//! name only when it is whole.

use super::{Watch, stdout, tools, unfinished};
use crate::amount::{count, size};
use crate::cli::{Export, Location};
use crate::exit::{Exit, Halt};
use crate::output::{Output, complain};
use crate::progress::{ProgressLine, Unit};
use bulkhead_layer1::ToolError;
use bulkhead_protocol::layer1::EntityName;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// `bulkhead layer1 export`.
pub(super) fn export(socket: Option<PathBuf>, options: &Export) -> Result<Exit, Halt> {
    let entity = options.entity.as_deref().map(EntityName::new).transpose();
    let entity = entity.map_err(|fault| Halt::Usage(format!("--entity: {fault}")))?;
    let tools = tools(socket, &options.location)?;
    let Some(path) = options.file.as_deref().filter(|path| *path != Path::new("-")) else {
        let mut watch = Watch::new(ProgressLine::beside_data(), Unit::Entities);
        let exported = tools.export(entity.as_ref(), &mut stdout(), &mut |progress| watch.look(progress));
        watch.line.clear();
        exported.map_err(|error| unfinished(error, None, None))?;
        return Ok(Exit::Done);
    };
    let mut watch = Watch::new(ProgressLine::on_stderr(), Unit::Entities).with_signals()?;
    let fail = |error, signal| unfinished(error, Some(path), signal);
    let mut file = NewFile::create(path).map_err(|error| fail(error, None))?;
    let exported = tools.export(entity.as_ref(), &mut file.writer, &mut |progress| watch.look(progress));
    watch.line.clear();
    let exported = exported.map_err(|error| fail(error, watch.signal))?;
    file.finish().map_err(|error| fail(error, None))?;
    complain(&format_args!("exported {} to {}", entities(exported), path.display()));
    Ok(Exit::Done)
}

/// `bulkhead layer1 backup`.
pub(super) fn backup(socket: Option<PathBuf>, path: &Path, location: &Location, json: bool) -> Result<Exit, Halt> {
    if path == Path::new("-") {
        let reason =
            "a backup is a file and cannot go to standard output; name one, as ./- if that is meant, or export";
        return Err(Halt::Usage(reason.into()));
    }
    let tools = tools(socket, location)?;
    let mut watch = Watch::new(ProgressLine::on_stderr(), Unit::Pages).with_signals()?;
    let copied = tools.backup(path, &mut |progress| watch.look(progress));
    watch.line.clear();
    copied.map_err(|error| unfinished(error, Some(path), watch.signal))?;
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let mut output = Output::default();
    if json {
        output.line(&serde_json::json!({ "schema": 1, "file": path, "bytes": bytes }).to_string())?;
    } else {
        output.line(&format!("{}: {}", path.display(), size(bytes)))?;
    }
    output.flush()?;
    Ok(Exit::Done)
}

/// So many entities.
pub(super) fn entities(number: u64) -> String {
    if number == 1 { "1 entity".into() } else { format!("{} entities", count(number)) }
}

/// A file that has another name until it is whole, and is removed if it never is. Only its owner may read it.
struct NewFile<'a> {
    path: &'a Path,
    partial: PathBuf,
    writer: BufWriter<File>,
}

impl<'a> NewFile<'a> {
    fn create(path: &'a Path) -> Result<NewFile<'a>, ToolError> {
        if path.try_exists()? {
            return Err(ToolError::Exists(path.to_owned()));
        }
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        // A file that was cut short, or a link that another user has made: neither is written to.
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        Ok(NewFile { path, partial, writer: BufWriter::with_capacity(64 * 1024, file) })
    }

    /// Gives it its name, once all of it is on the disk.
    fn finish(self) -> Result<(), ToolError> {
        self.writer.get_ref().sync_all()?;
        // A link, unlike a new name, never replaces a file that was made meanwhile.
        fs::hard_link(&self.partial, self.path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => ToolError::Exists(self.path.to_owned()),
            _ => error.into(),
        })
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        // A caller that needs the error calls `finish` first.
        let _ = fs::remove_file(&self.partial);
    }
}
