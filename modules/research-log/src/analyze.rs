//! What happened in the logs, in numbers. Layer 1 answers with entities and counts nothing by groups, so every entry
//! for which the filters hold comes here once, its text with it, a page at a time; what stays in memory are the counts.
//! So the time grows with the entries that are counted: a hundred thousand take seconds. A filter on a log or a
//! researcher, which have an index, or a search makes them fewer.

use crate::logs;
use crate::select::{Filter, Taken};
use bulkhead_module::{Context, Error, Json};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// How many tags, researchers, logs and days are reported by name, the most frequent first.
const NAMES_MAX: usize = 100;

/// How many of each are counted by name at most; the rest is counted together.
const COUNTED_MAX: usize = 100_000;

pub(crate) fn analyze(ctx: &mut Context<'_>, filter: Filter) -> Result<Json, Error> {
    let selection = filter.resolve(ctx)?;
    let mut types: BTreeMap<&str, u64> = BTreeMap::new();
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
    let mut answer = json!({
        "entries": entries,
        "first": first,
        "last": last,
        "days_active": days_active,
        "by_type": types,
        "active_log": logs::book(ctx)?.and_then(|book| book.active),
    });
    for (name, counts) in [("tag", tags), ("researcher", researchers), ("log", in_logs), ("day", days)] {
        if counts.beyond > 0 {
            answer[format!("by_{name}_beyond")] = counts.beyond.into();
        }
        answer[format!("by_{name}")] = counts.most(name);
    }
    Ok(answer.into())
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

    /// The most frequent names with their counts.
    fn most(self, member: &str) -> Value {
        let mut named: Vec<(String, u64)> = self.names.into_iter().collect();
        named.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        named.truncate(NAMES_MAX);
        named.into_iter().map(|(name, count)| json!({ member: name, "entries": count })).collect()
    }
}
