//! What a module reports about itself over a C border, in its answer to `init` and in its metadata.

use super::members::Members;
use super::{Said, read, read_text};
use crate::Error;
use bulkhead_protocol::{Command, Json, PROTOCOL_VERSION, Ready, RequestType};
use serde::de::DeserializeOwned;

/// A module that is ready, and warnings about the form of its answer.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// What the host gets.
    pub ready: Ready,
    /// Whether the answers to requests that are safe to repeat may be written together.
    pub batch_answers: bool,
    /// Sentences for the log.
    pub warnings: Vec<String>,
}

/// Reads the answer to `init`. Any answer but an error and a null pointer is readiness, also
/// text that is no JSON.
///
/// What the module reports about itself is taken from the answer, else from the metadata, else `module`,
/// its name in the host, is its name, and it has an empty version and description, no commands and no
/// features. A member of another form than expected counts as absent, with a warning. What commands say
/// of themselves is passed on as it is, however long: the host bounds it, and says so.
///
/// # Errors
/// What the module answered, or that it answered with a null pointer.
pub fn read_greeting(
    module: &str,
    answer: Option<&[u8]>,
    metadata: Option<&[u8]>,
    frame_bytes_max: usize,
) -> Result<Readiness, Error> {
    let mut sources = Sources { texts: Vec::new(), warnings: Vec::new() };
    match answer.map(|answer| read_text("init", answer, frame_bytes_max)) {
        Some(Ok(Said::Data(data))) => sources.texts.push(("the answer to \"init\"", data)),
        Some(Err(error)) => sources.warnings.push(format!("taken as ready: {error}")),
        // Both are errors, which are worded in one place.
        Some(Ok(Said::Error { .. })) | None => {
            read(&RequestType::Init, answer, frame_bytes_max).result?;
        }
    }
    if let Some(metadata) = metadata {
        sources.metadata(metadata);
    }
    let name = sources.find("name").unwrap_or_else(|| module.to_owned());
    let version = sources.find("version").unwrap_or_default();
    let description = sources.find("description").unwrap_or_default();
    let commands: Vec<Command> = sources.find("commands").unwrap_or_default();
    let features = sources.find("features").unwrap_or_default();
    let batch_answers = sources.find("batch_answers").unwrap_or(false);
    let ready = Ready { name, version, description, protocol: PROTOCOL_VERSION, commands, features };
    Ok(Readiness { ready, batch_answers, warnings: sources.warnings })
}

/// The sources of what a module reports about itself, by descending precedence.
struct Sources {
    texts: Vec<(&'static str, Json)>,
    warnings: Vec<String>,
}

impl Sources {
    fn metadata(&mut self, bytes: &[u8]) {
        const NAME: &str = "get_module_metadata";
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string());
        match text.and_then(|text| Json::parse(text).map_err(|error| error.to_string())) {
            Ok(json) if json.as_str() == "null" => {}
            Ok(json) if json.as_str().starts_with('{') => self.texts.push((NAME, json)),
            Ok(_) => self.warnings.push(format!("{NAME} is ignored: expected a JSON object")),
            Err(error) => self.warnings.push(format!("{NAME} is ignored: expected a JSON object: {error}")),
        }
    }

    fn find<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        for (source, text) in &self.texts {
            // Data that is no object reports nothing about the module.
            let Ok(members) = Members::parse(text.as_str()) else { continue };
            match members.read(name) {
                Some(found) => return Some(found),
                None if members.has(name) => {
                    self.warnings.push(format!("`{name}` in {source} is ignored: it has another form"));
                }
                None => {}
            }
        }
        None
    }
}
