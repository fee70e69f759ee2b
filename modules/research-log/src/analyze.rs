//! What happened in the logs, in numbers. It reads the index alone unless a text is looked for.

use crate::select::Filter;
use crate::store::Store;
use bulkhead_module::{Error, Json, json};
use std::collections::BTreeMap;

/// How many tags, researchers, logs and days are counted by name, the most frequent first.
const NAMES_MAX: usize = 100;

pub(crate) fn analyze(store: &Store, filter: Filter) -> Result<Json, Error> {
    let index = &store.index;
    let selection = filter.resolve(index)?;
    let (mut types, mut tags, mut researchers, mut logs, mut days) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut first, mut last) = (None, None);
    let found = selection.all(store)?;
    for &at in &found {
        let entry = &index.entries[at];
        *types.entry(entry.kind.name().to_owned()).or_insert(0u64) += 1;
        for tag in &entry.tags {
            *tags.entry(*tag).or_insert(0u64) += 1;
        }
        if let Some(researcher) = entry.researcher {
            *researchers.entry(researcher).or_insert(0u64) += 1;
        }
        *logs.entry(entry.log).or_insert(0u64) += 1;
        *days.entry(entry.time.as_second().div_euclid(86_400)).or_insert(0u64) += 1;
        first = Some(first.map_or(entry.time, |first| entry.time.min(first)));
        last = Some(last.map_or(entry.time, |last| entry.time.max(last)));
    }
    let word = |word: crate::index::Word| index.words.text(word).to_owned();
    let day = |day: i64| {
        jiff::Timestamp::from_second(day * 86_400)
            .map_or_else(|_| day.to_string(), |at| at.to_string()[..10].to_owned())
    };
    Ok(json!({
        "entries": found.len(),
        "first": first,
        "last": last,
        "days_active": days.len(),
        "by_type": types,
        "by_tag": most(tags, word, "tag"),
        "by_researcher": most(researchers, word, "researcher"),
        "by_log": most(logs, |log: u32| index.logs[log as usize].id.clone(), "log"),
        "by_day": most(days, day, "day"),
        "active_log": index.active.map(|at| index.logs[at].id.clone()),
    }))
}

/// The most frequent names with their counts.
fn most<K>(counts: BTreeMap<K, u64>, name: impl Fn(K) -> String, member: &str) -> Vec<serde_json::Value> {
    let mut named: Vec<(String, u64)> = counts.into_iter().map(|(key, count)| (name(key), count)).collect();
    named.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    named.truncate(NAMES_MAX);
    named.into_iter().map(|(name, count)| serde_json::json!({ member: name, "entries": count })).collect()
}
