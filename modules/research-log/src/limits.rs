//! Every limit of what is kept, and the errors for what is beyond.

use bulkhead_module::Error;

pub(crate) const TEXT_BYTES_MAX: usize = 64 * 1024;
pub(crate) const TITLE_BYTES_MAX: usize = 256;
pub(crate) const DESCRIPTION_BYTES_MAX: usize = 4096;
pub(crate) const RESEARCHER_BYTES_MAX: usize = 128;
pub(crate) const TAGS_MAX: usize = 32;
pub(crate) const TAG_BYTES_MAX: usize = 64;
pub(crate) const REFERENCES_MAX: usize = 64;
pub(crate) const REFERENCE_BYTES_MAX: usize = 2048;
/// Logs are few, entries are many.
pub(crate) const LOGS_MAX: usize = 100_000;
pub(crate) const PAGE_DEFAULT: usize = 100;
pub(crate) const PAGE_MAX: usize = 10_000;
/// Entities in one answer of the store.
pub(crate) const STORE_PAGE_MAX: usize = 1000;

/// Whether a text has the form of an id of the store: a UUID of 36 characters.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn length(what: &str, text: &str, max: usize) -> Result<(), Error> {
    match text.len() {
        length if length > max => {
            Err(Error::bad_request(format!("expected a {what} of at most {max} bytes, found {length}")))
        }
        _ if text.trim().is_empty() => {
            Err(Error::bad_request(format!("expected a {what}, found nothing but white space")))
        }
        _ => Ok(()),
    }
}

fn line(what: &str, text: &str, max: usize) -> Result<(), Error> {
    length(what, text, max)?;
    match text.chars().find(|c| c.is_control()) {
        Some(found) => Err(Error::bad_request(format!("expected a {what} of one line, found {found:?} in it"))),
        None => Ok(()),
    }
}

pub(crate) fn text(text: &str) -> Result<(), Error> {
    length("text", text, TEXT_BYTES_MAX)
}

pub(crate) fn title(text: &str) -> Result<(), Error> {
    line("title", text, TITLE_BYTES_MAX)
}

pub(crate) fn description(text: &str) -> Result<(), Error> {
    length("description", text, DESCRIPTION_BYTES_MAX)
}

pub(crate) fn researcher(text: &str) -> Result<(), Error> {
    line("researcher", text, RESEARCHER_BYTES_MAX)
}

/// Checks tags and removes repeated ones.
pub(crate) fn tags(tags: Vec<String>) -> Result<Vec<String>, Error> {
    let tags = list("tags", "tag", tags, TAGS_MAX, TAG_BYTES_MAX)?;
    match tags.iter().find(|tag| tag.contains(';')) {
        // A CSV cell holds them all, with this between them.
        Some(tag) => Err(Error::bad_request(format!("expected a tag without ';', found {tag:?}"))),
        None => Ok(tags),
    }
}

/// Checks references and removes repeated ones.
pub(crate) fn references(references: Vec<String>) -> Result<Vec<String>, Error> {
    list("references", "reference", references, REFERENCES_MAX, REFERENCE_BYTES_MAX)
}

fn list(many: &str, one: &str, list: Vec<String>, count_max: usize, bytes_max: usize) -> Result<Vec<String>, Error> {
    if list.len() > count_max {
        return Err(Error::bad_request(format!("expected at most {count_max} {many}, found {}", list.len())));
    }
    let mut kept: Vec<String> = Vec::with_capacity(list.len());
    for item in list {
        line(one, &item, bytes_max)?;
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    Ok(kept)
}
