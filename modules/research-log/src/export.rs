//! Exports: JSON, which loses nothing; CSV by RFC 4180, for spreadsheets; Markdown, for people.

use crate::record::{Entry, LOG, Log, ShownEntry};
use crate::select::{Filter, Taken};
use bulkhead_module::layer1::Entity;
use bulkhead_module::{Context, Error, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Write;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Export {
    format: Format,
    /// Cells that a spreadsheet would take for a formula get a leading `'`. It changes the data,
    /// so it is done on request only.
    #[serde(default)]
    spreadsheet_safe: bool,
    #[serde(flatten)]
    filter: Filter,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Format {
    Json,
    Csv,
    Markdown,
}

/// The answer. `content` is a list for JSON, else a text.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Exported {
    format: Format,
    entries: usize,
    /// The `after` of the next part; `null` if there is none.
    next: Option<String>,
    #[schemars(with = "Content")]
    content: Json,
}

/// What `content` is, for its schema.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum Content {
    Entries(Vec<ShownEntry<'static>>),
    Text(String),
}

pub(crate) fn export(ctx: &mut Context<'_>, wanted: Export, bytes_max: usize) -> Result<Exported, Error> {
    let Export { format, spreadsheet_safe, filter } = wanted;
    let selection = filter.resolve(ctx)?;
    let mut document = Document::new(format, spreadsheet_safe);
    let mut logs = Logs::default();
    let mut entries = 0;
    let limit = selection.limit.unwrap_or(usize::MAX);
    let next = selection.for_each(ctx, limit, |ctx, entity| {
        document.add(logs.log(ctx, &entity.data.log)?, &entity);
        entries += 1;
        if document.text.len() > bytes_max { Err(too_long(entries, bytes_max)) } else { Ok(Taken::Yes) }
    })?;
    let content = document.finish()?;
    // A text may grow when it becomes JSON: a line end is two characters there.
    if content.as_str().len() > bytes_max {
        return Err(too_long(entries, bytes_max));
    }
    Ok(Exported { format, entries, next, content })
}

/// The logs of the entries that are being written.
#[derive(Default)]
struct Logs(HashMap<String, Log>);

impl Logs {
    const MAX: usize = 1024;

    fn log(&mut self, ctx: &mut Context<'_>, id: &str) -> Result<&Log, Error> {
        if !self.0.contains_key(id) {
            if self.0.len() >= Logs::MAX {
                self.0.clear();
            }
            let log = ctx.entity(LOG, id)?.data;
            self.0.insert(id.to_owned(), log);
        }
        Ok(&self.0[id])
    }
}

fn too_long(entries: usize, bytes_max: usize) -> Error {
    Error::frame_too_large(format!(
        "{entries} entries are more than the {bytes_max} bytes that an answer may have; \
         narrow the export with filters, or take it in parts with limit and after"
    ))
}

struct Document {
    format: Format,
    spreadsheet_safe: bool,
    text: String,
    /// The log whose entries are being written.
    log: Option<String>,
}

impl Document {
    fn new(format: Format, spreadsheet_safe: bool) -> Document {
        let text = match format {
            Format::Json => "[",
            Format::Csv => "id,log,log_title,type,time,researcher,tags,references,text\r\n",
            Format::Markdown => "",
        };
        Document { format, spreadsheet_safe, text: text.to_owned(), log: None }
    }

    fn add(&mut self, log: &Log, entry: &Entity<Entry>) {
        match self.format {
            Format::Json => self.add_json(entry),
            Format::Csv => self.add_csv(log, entry),
            Format::Markdown => self.add_markdown(log, entry),
        }
    }

    fn finish(mut self) -> Result<Json, Error> {
        match self.format {
            Format::Json => {
                self.text.push(']');
                Json::parse(&self.text).map_err(|error| Error::failed(error.to_string()))
            }
            Format::Csv | Format::Markdown => Ok(Json::of(&self.text)),
        }
    }

    fn add_json(&mut self, entry: &Entity<Entry>) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push_str(Json::of(&ShownEntry::from(entry)).as_str());
    }

    fn add_csv(&mut self, log: &Log, Entity { id, data: entry, .. }: &Entity<Entry>) {
        let cells = [
            id,
            &entry.log,
            &log.title,
            entry.kind.name(),
            &entry.time.to_string(),
            entry.researcher.as_deref().unwrap_or_default(),
            &entry.tags.join("; "),
            &entry.references.join("; "),
            &entry.text,
        ];
        for (at, cell) in cells.into_iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            let guard =
                if self.spreadsheet_safe && cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
            if guard.is_empty() && !cell.contains([',', '"', '\r', '\n']) && cell.trim() == cell {
                self.text.push_str(cell);
            } else {
                let _ = write!(self.text, "\"{guard}{}\"", cell.replace('"', "\"\""));
            }
        }
        self.text.push_str("\r\n");
    }

    fn add_markdown(&mut self, log: &Log, Entity { data: entry, .. }: &Entity<Entry>) {
        let out = &mut self.text;
        if self.log.as_ref() != Some(&entry.log) {
            self.log = Some(entry.log.clone());
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = writeln!(out, "{gap}# {}\n", escaped(&log.title));
            if let Some(description) = &log.description {
                let _ = writeln!(out, "{}\n", escaped(description));
            }
            if !log.sections.is_empty() {
                let _ = writeln!(out, "*Sections: {}*\n", log.sections.join(", "));
            }
        }
        let _ = write!(out, "## {} {}", entry.time, entry.kind.name());
        if let Some(researcher) = &entry.researcher {
            let _ = write!(out, " by {}", escaped(researcher));
        }
        let _ = write!(out, "\n\n{}\n\n", escaped(&entry.text));
        for (name, list) in [("Tags", &entry.tags), ("References", &entry.references)] {
            if !list.is_empty() {
                let list: Vec<String> = list.iter().map(|item| escaped(item)).collect();
                let _ = writeln!(out, "{name}: {}\n", list.join(", "));
            }
        }
    }
}

/// Text that appears in Markdown as it was written: nothing in it becomes a heading, a list, a link
/// or HTML, and lines stay lines.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for (at, line) in text.trim_end().lines().enumerate() {
        if at > 0 {
            out.push_str("\\\n");
        }
        let indented = line.trim_start_matches([' ', '\t']);
        for space in line[..line.len() - indented.len()].chars() {
            // A no-break space, as four others would begin a block of code.
            out.push_str(if space == '\t' { "&nbsp;&nbsp;&nbsp;&nbsp;" } else { "&nbsp;" });
        }
        let number = indented.trim_start_matches(|c: char| c.is_ascii_digit());
        let list_mark = (indented.len() - number.len() > 0 && number.starts_with(['.', ')']))
            .then(|| indented.len() - number.len());
        for (column, c) in indented.char_indices() {
            let special =
                matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '~' | '&' | '$' | '!')
                    || (column == 0 && matches!(c, '-' | '+' | '='))
                    || Some(column) == list_mark;
            if special {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}
