//! What is kept: logs and entries as they stand in the journal and in answers. The order of the
//! members is the order in both.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the journal's form.
pub(crate) const JOURNAL_VERSION: u32 = 1;

/// The first line of a journal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) journal: String,
    pub(crate) version: u32,
}

impl Header {
    pub(crate) fn current() -> Header {
        Header { journal: "research-log".into(), version: JOURNAL_VERSION }
    }
}

/// Every other line: one change, with all that it does.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// A new log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<Log>,
    /// A new entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<Entry>,
    /// The id of the log that is active from here on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) active: Option<String>,
    /// The idempotency key of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// A digest of what was asked for under the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<String>,
}

/// One log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Log {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    pub(crate) researcher: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) template: Template,
    /// What the template suggests to write about.
    pub(crate) sections: Vec<String>,
    /// The research session that it was opened for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    pub(crate) created: Timestamp,
}

/// One entry.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) log: String,
    #[serde(rename = "type")]
    pub(crate) kind: EntryType,
    pub(crate) time: Timestamp,
    pub(crate) researcher: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) references: Vec<String>,
    pub(crate) text: String,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
