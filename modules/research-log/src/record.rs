//! What is kept: logs and entries as the data of their entities, and as they are in answers. The order of the members
//! is the order in both.

use bulkhead_module::layer1::Entity;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The type of the entities that are logs.
pub(crate) const LOG: &str = "ResearchLog";

/// The type of the entities that are entries.
pub(crate) const ENTRY: &str = "ResearchEntry";

/// One log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Log {
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) researcher: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) template: Template,
    /// What the template suggests to write about.
    pub(crate) sections: Vec<String>,
    /// The research session that it was opened for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    #[schemars(with = "String")]
    pub(crate) created: Timestamp,
}

/// A log in an answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ShownLog {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) log: Log,
}

/// One entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The id of its log.
    pub(crate) log: String,
    #[serde(rename = "type")]
    pub(crate) kind: EntryType,
    #[serde(serialize_with = "write_time")]
    pub(crate) time: Timestamp,
    pub(crate) researcher: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) references: Vec<String>,
    pub(crate) text: String,
}

/// An entry in an answer.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ShownEntry<'a> {
    id: &'a str,
    log: &'a str,
    #[serde(rename = "type")]
    kind: EntryType,
    #[schemars(with = "String")]
    time: Timestamp,
    researcher: Option<&'a str>,
    tags: &'a [String],
    references: &'a [String],
    text: &'a str,
}

impl<'a> From<&'a Entity<Entry>> for ShownEntry<'a> {
    fn from(entity: &'a Entity<Entry>) -> ShownEntry<'a> {
        let Entry { log, kind, time, researcher, tags, references, text } = &entity.data;
        let (kind, time, researcher) = (*kind, *time, researcher.as_deref());
        ShownEntry { id: &entity.id, log, kind, time, researcher, tags, references, text }
    }
}

/// A time as the store compares it: texts of one length, so that their order is that of the times. That holds from the
/// year 0 to 9999; others are refused on arrival.
pub(crate) fn comparable(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

fn write_time<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&comparable(*time))
}

/// What an entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EntryType {
    #[default]
    Note,
    Observation,
    Question,
    Hypothesis,
    Conclusion,
    Task,
    Progress,
}

impl EntryType {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            EntryType::Note => "note",
            EntryType::Observation => "observation",
            EntryType::Question => "question",
            EntryType::Hypothesis => "hypothesis",
            EntryType::Conclusion => "conclusion",
            EntryType::Task => "task",
            EntryType::Progress => "progress",
        }
    }
}

/// What a log is for; it only suggests sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Template {
    Standard,
    Experiment,
    Reading,
}

impl Template {
    pub(crate) fn sections(self) -> Vec<String> {
        let names: &[&str] = match self {
            Template::Standard => &[],
            Template::Experiment => &["Question", "Hypothesis", "Method", "Observations", "Conclusion"],
            Template::Reading => &["Source", "Summary", "Questions", "Follow-up"],
        };
        names.iter().map(|&name| name.to_owned()).collect()
    }
}
