//! Filters: which entries a question is about, and pages of them.

use crate::index::{EntryIndex, Index, entry_id};
use crate::limits::{PAGE_DEFAULT, PAGE_MAX};
use crate::record::{Entry, EntryType};
use crate::store::Store;
use bulkhead_module::{Error, Json, json, nearest};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// What to look for; everything that is given must hold.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    pub(crate) log: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<OneOrMore<EntryType>>,
    pub(crate) tag: Option<OneOrMore<String>>,
    pub(crate) researcher: Option<String>,
    /// A part of the text, upper and lower case alike.
    pub(crate) text: Option<String>,
    /// From this moment on.
    pub(crate) since: Option<String>,
    /// Before this moment.
    pub(crate) until: Option<String>,
    pub(crate) order: Order,
    pub(crate) limit: Option<usize>,
    pub(crate) after: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a name, or a list of names")]
pub(crate) enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

/// In which order entries were added; their own time may be another.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    #[default]
    Oldest,
    Newest,
}

/// A filter with its names looked up.
pub(crate) struct Selection {
    log: Option<u32>,
    kinds: Option<Vec<EntryType>>,
    tags: Vec<Option<crate::index::Word>>,
    researcher: Option<Option<crate::index::Word>>,
    text: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    order: Order,
    after: Option<usize>,
    pub(crate) limit: Option<usize>,
}

impl Filter {
    pub(crate) fn resolve(self, index: &Index) -> Result<Selection, Error> {
        let limit = match self.limit {
            Some(limit) if limit == 0 || limit > PAGE_MAX => {
                return Err(Error::bad_request(format!("expected a limit of 1 to {PAGE_MAX}, found {limit}")));
            }
            limit => limit,
        };
        let after = self.after.map(|id| {
            index
                .entry_by_id(&id)
                .ok_or_else(|| Error::bad_request(format!("expected the id of an entry in \"after\", found {id:?}")))
        });
        let log = self.log.as_deref().map(|name| log_named(index, name)).transpose()?;
        let tags = match self.tag {
            None => Vec::new(),
            Some(OneOrMore::One(tag)) => vec![tag],
            Some(OneOrMore::More(tags)) => tags,
        };
        Ok(Selection {
            log: log.map(|at| u32::try_from(at).expect("logs are limited")),
            kinds: self.kind.map(|kind| match kind {
                OneOrMore::One(kind) => vec![kind],
                OneOrMore::More(kinds) => kinds,
            }),
            tags: tags.iter().map(|tag| index.words.find(tag)).collect(),
            researcher: self.researcher.map(|name| index.words.find(&name)),
            text: self.text.map(|text| text.to_lowercase()),
            since: self.since.map(|time| moment("since", &time)).transpose()?,
            until: self.until.map(|time| moment("until", &time)).transpose()?,
            order: self.order,
            after: after.transpose()?,
            limit,
        })
    }
}

impl Selection {
    fn matches(&self, entry: &EntryIndex) -> bool {
        self.log.is_none_or(|log| entry.log == log)
            && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&entry.kind))
            && self.tags.iter().all(|tag| tag.is_some_and(|tag| entry.tags.contains(&tag)))
            && self.researcher.is_none_or(|name| name.is_some() && entry.researcher == name)
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
    }

    /// The entries that match, but for their text, without a limit.
    fn candidates<'a>(&'a self, index: &'a Index) -> Box<dyn Iterator<Item = usize> + 'a> {
        let count = index.entries.len();
        let matches = |at: &usize| self.matches(&index.entries[*at]);
        match self.order {
            Order::Oldest => Box::new((self.after.map_or(0, |after| after + 1)..count).filter(matches)),
            Order::Newest => Box::new((0..self.after.unwrap_or(count)).rev().filter(matches)),
        }
    }

    /// Calls `each` with every entry that matches, up to `limit`. The answer is the last one seen
    /// where there may be more. `each` returns whether the entry was taken; one that was not ends it.
    pub(crate) fn for_each(
        &self,
        store: &Store,
        limit: usize,
        mut each: impl FnMut(usize, Entry) -> Result<bool, Error>,
    ) -> Result<Option<String>, Error> {
        let mut last = None;
        let mut taken = 0;
        for at in self.candidates(&store.index) {
            let entry = store.entry(at)?;
            if self.text.as_ref().is_some_and(|text| !entry.text.to_lowercase().contains(text)) {
                continue;
            }
            if taken == limit || !each(at, entry)? {
                return Ok(last.map(entry_id));
            }
            taken += 1;
            last = Some(at);
        }
        Ok(None)
    }

    /// Every entry that matches, without reading more than a text filter needs.
    pub(crate) fn all(&self, store: &Store) -> Result<Vec<usize>, Error> {
        let mut found = Vec::new();
        if self.text.is_none() {
            found.extend(self.candidates(&store.index).take(self.limit.unwrap_or(usize::MAX)));
        } else {
            self.for_each(store, self.limit.unwrap_or(usize::MAX), |at, _| {
                found.push(at);
                Ok(true)
            })?;
        }
        Ok(found)
    }
}

/// A page of entries. It ends early where an answer would become too long; `next` leads on.
pub(crate) fn query(store: &Store, filter: Filter, bytes_max: usize) -> Result<Json, Error> {
    let selection = filter.resolve(&store.index)?;
    let mut entries: Vec<Json> = Vec::new();
    let mut bytes = 0;
    let next = selection.for_each(store, selection.limit.unwrap_or(PAGE_DEFAULT), |_, entry| {
        let json = Json::of(&entry);
        bytes += json.as_str().len() + 1;
        // One alone is tried in any case: it came in a frame, so it fits one, unless the limit was lowered.
        let fits = bytes <= bytes_max || entries.is_empty();
        if fits {
            entries.push(json);
        }
        Ok(fits)
    })?;
    #[derive(serde::Serialize)]
    struct Page {
        entries: Vec<Json>,
        next: Option<String>,
    }
    Ok(Json::of(&Page { entries, next }))
}

/// The log that an argument names, by its id or its title.
pub(crate) fn log_named(index: &Index, name: &str) -> Result<usize, Error> {
    let found = index.log_by_id(name).or_else(|| index.logs.iter().position(|log| log.title == name));
    found.ok_or_else(|| {
        let shown: String = name.chars().take(100).collect();
        let hint = match nearest(name, index.logs.iter().map(|log| log.title.as_str())) {
            Some(near) => format!("; did you mean {near:?}?"),
            None => String::new(),
        };
        Error::not_found(format!("no log has the id or the title {shown:?}{hint}"))
            .with_data(json!({ "logs": index.logs.len() }))
    })
}

/// A moment, with an offset from UTC; a date alone is the beginning of that day in UTC.
pub(crate) fn moment(argument: &str, text: &str) -> Result<Timestamp, Error> {
    let day = || text.parse::<Date>().ok().filter(|_| text.len() == 10)?.to_zoned(TimeZone::UTC).ok();
    text.parse::<Timestamp>().ok().or_else(|| Some(day()?.timestamp())).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        Error::bad_request(format!(
            "argument `{argument}`: expected a moment like \"2026-03-01T12:00:00Z\" or a day like \"2026-03-01\", found {shown:?}"
        ))
    })
}
