//! What happened in the logs, in numbers. Layer 1 answers with entities and counts nothing by groups, so every entry
//! for which the filters hold comes here once, its text with it, a page at a time; what stays in memory are the counts.
//! So the time grows with the entries that are counted: a hundred thousand take seconds. A filter on a log or a
//! researcher, which have an index, or a search makes them fewer.

use crate::logs;
use crate::select::{Filter, Taken};
use bulkhead_module::{Context, Error};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// How many tags, researchers, logs and days are reported by name, the most frequent first.
const NAMES_MAX: usize = 100;

/// How many of each are counted by name at most; the rest is counted together.
const COUNTED_MAX: usize = 100_000;

/// The answer to `analyze_activity`. Where names of one kind came beyond the limit, `_beyond` has how many entries are
/// not counted by name.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Activity {
    /// The id of the active log.
    active_log: Option<String>,
    by_day: Vec<OfDay>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_day_beyond: Option<u64>,
    by_log: Vec<OfLog>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_log_beyond: Option<u64>,
    by_researcher: Vec<OfResearcher>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_researcher_beyond: Option<u64>,
    by_tag: Vec<OfTag>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_tag_beyond: Option<u64>,
    by_type: BTreeMap<&'static str, u64>,
    days_active: usize,
    entries: u64,
    /// The earliest time of an entry.
    #[schemars(with = "Option<String>")]
    first: Option<Timestamp>,
    /// The latest.
    #[schemars(with = "Option<String>")]
    last: Option<Timestamp>,
}

#[derive(Serialize, JsonSchema)]
struct OfDay {
    day: String,
    entries: u64,
}

#[derive(Serialize, JsonSchema)]
struct OfLog {
    entries: u64,
    log: String,
}

#[derive(Serialize, JsonSchema)]
struct OfResearcher {
    entries: u64,
    researcher: String,
}

#[derive(Serialize, JsonSchema)]
struct OfTag {
    entries: u64,
    tag: String,
}

pub(crate) fn analyze(ctx: &mut Context<'_>, filter: Filter) -> Result<Activity, Error> {
    let selection = filter.resolve(ctx)?;
    let mut types: BTreeMap<&'static str, u64> = BTreeMap::new();
    let [mut tags, mut researchers, mut in_logs, mut days] = std::array::from_fn(|_| Counts::default());
    let mut entries = 0u64;
    let (mut first, mut last): (Option<Timestamp>, Option<Timestamp>) = (None, None);
    let limit = selection.limit.unwrap_or(usize::MAX);
    selection.for_each(ctx, limit, |_, entity| {
        let entry = entity.data;
        entries += 1;
        *types.entry(entry.kind.name()).or_default() += 1;
        entry.tags.iter().for_each(|tag| tags.add(tag));
        entry.researcher.iter().for_each(|researcher| researchers.add(researcher));
        in_logs.add(&entry.log);
        days.add(&entry.time.strftime("%Y-%m-%d").to_string());
        first = Some(first.map_or(entry.time, |first| entry.time.min(first)));
        last = Some(last.map_or(entry.time, |last| entry.time.max(last)));
        Ok(Taken::Yes)
    })?;
    let days_active = days.names.len();
    Ok(Activity {
        active_log: logs::book(ctx)?.and_then(|book| book.active),
        by_day_beyond: days.beyond(),
        by_day: days.most(|day, entries| OfDay { day, entries }),
        by_log_beyond: in_logs.beyond(),
        by_log: in_logs.most(|log, entries| OfLog { entries, log }),
        by_researcher_beyond: researchers.beyond(),
        by_researcher: researchers.most(|researcher, entries| OfResearcher { entries, researcher }),
        by_tag_beyond: tags.beyond(),
        by_tag: tags.most(|tag, entries| OfTag { entries, tag }),
        by_type: types,
        days_active,
        entries,
        first,
        last,
    })
}

/// How often each name occurred.
#[derive(Default)]
struct Counts {
    names: HashMap<String, u64>,
    /// How often names beyond the limit occurred.
    beyond: u64,
}

impl Counts {
    fn add(&mut self, name: &str) {
        if let Some(count) = self.names.get_mut(name) {
            *count += 1;
        } else if self.names.len() < COUNTED_MAX {
            self.names.insert(name.to_owned(), 1);
        } else {
            self.beyond += 1;
        }
    }

    fn beyond(&self) -> Option<u64> {
        Some(self.beyond).filter(|beyond| *beyond > 0)
    }

    /// The most frequent names with their counts.
    fn most<T>(self, of: impl Fn(String, u64) -> T) -> Vec<T> {
        let mut named: Vec<(String, u64)> = self.names.into_iter().collect();
        named.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        named.truncate(NAMES_MAX);
        named.into_iter().map(|(name, count)| of(name, count)).collect()
    }
}
