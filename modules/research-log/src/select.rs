//! Filters: which entries a request is about, and pages of them. The store applies the filters that it has; others (a
//! second tag, a part of a text in any case) are applied here, page by page.

use crate::limits::{PAGE_DEFAULT, PAGE_MAX, STORE_PAGE_MAX, is_id};
use crate::logs;
use crate::record::{ENTRY, Entry, EntryType, ShownEntry, comparable};
use bulkhead_module::layer1::{Entity, Query};
use bulkhead_module::{Context, Error, Json};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to look for; everything that is given must hold.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Filter {
    /// The id of a log, or its title.
    pub(crate) log: Option<String>,
    /// A type, or several of which any will do.
    #[serde(rename = "type")]
    pub(crate) kind: Option<OneOrMore<EntryType>>,
    /// A tag, or several that must all be there.
    pub(crate) tag: Option<OneOrMore<String>>,
    /// The whole name.
    pub(crate) researcher: Option<String>,
    /// Words of the text, by the store's index: `two words`, `"side by side"`, `begin*`, `-without`.
    pub(crate) search: Option<String>,
    /// A part of the text, upper and lower case alike. No index has it: every entry for which the rest holds is read.
    pub(crate) text: Option<String>,
    /// From this moment on.
    pub(crate) since: Option<String>,
    /// Before this moment.
    pub(crate) until: Option<String>,
    /// The order in which entries were added, whatever their time.
    pub(crate) order: Order,
    /// How many entries.
    #[schemars(range(min = 1, max = PAGE_MAX))]
    pub(crate) limit: Option<usize>,
    /// After the entry with this id, in the order.
    pub(crate) after: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> From<OneOrMore<T>> for Vec<T> {
    fn from(given: OneOrMore<T>) -> Vec<T> {
        match given {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        }
    }
}

/// In which order entries were added; their own time may be another.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    #[default]
    Oldest,
    Newest,
}

/// A filter, divided into the store's part and the rest.
pub(crate) struct Selection {
    query: Query,
    rest: Rest,
    pub(crate) limit: Option<usize>,
}

/// What the store has no filter for.
struct Rest {
    tags: Vec<String>,
    text: Option<String>,
}

impl Filter {
    pub(crate) fn resolve(self, ctx: &mut Context<'_>) -> Result<Selection, Error> {
        // Ids of the store grow, so they have the order in which the entries were added.
        let mut query = Query::of(ENTRY).order(if self.order == Order::Oldest { "$id" } else { "-$id" });
        if let Some(id) = self.after {
            if !is_id(&id) {
                return Err(Error::bad_request(format!("expected the id of an entry in \"after\", found {id:?}")));
            }
            query = if self.order == Order::Oldest { query.gt("$id", id) } else { query.lt("$id", id) };
        }
        query = match self.kind {
            None => query,
            Some(OneOrMore::One(kind)) => query.eq("type", kind),
            Some(OneOrMore::More(kinds)) => query.is_in("type", kinds),
        };
        let mut tags = self.tag.map(Vec::from).unwrap_or_default();
        if let Some(tag) = tags.pop() {
            query = query.contains("tags", tag);
        }
        if let Some(name) = self.researcher {
            query = query.eq("researcher", name);
        }
        if let Some(words) = self.search {
            query = query.search(words);
        }
        if let Some(time) = self.since {
            query = query.gte("time", comparable(moment("since", &time)?));
        }
        if let Some(time) = self.until {
            query = query.lt("time", comparable(moment("until", &time)?));
        }
        if let Some(name) = self.log {
            query = query.eq("log", logs::named(ctx, &name)?.id);
        }
        let text = self.text.map(|text| text.to_lowercase());
        Ok(Selection { query, rest: Rest { tags, text }, limit: self.limit })
    }
}

impl Rest {
    fn holds(&self, entry: &Entry) -> bool {
        self.tags.iter().all(|tag| entry.tags.contains(tag))
            && self.text.as_ref().is_none_or(|text| entry.text.to_lowercase().contains(text))
    }

    fn is_nothing(&self) -> bool {
        self.tags.is_empty() && self.text.is_none()
    }
}

impl Selection {
    /// Calls `each` with every entry that matches, up to `limit`. The answer is the last one seen
    /// where there may be more. `each` returns whether the entry was taken; one that was not ends it.
    /// One page of the store is in memory at a time.
    pub(crate) fn for_each(
        self,
        ctx: &mut Context<'_>,
        limit: usize,
        mut each: impl FnMut(&mut Context<'_>, Entity<Entry>) -> Result<Taken, Error>,
    ) -> Result<Option<String>, Error> {
        // One more than requested shows whether there is more.
        let page = if self.rest.is_nothing() { limit.saturating_add(1).min(STORE_PAGE_MAX) } else { STORE_PAGE_MAX };
        let page = u32::try_from(page).expect("a page is limited");
        let mut found = ctx.entities::<Entry>(self.query.limit(page));
        let (mut last, mut taken) = (None, 0);
        while let Some(entity) = found.next() {
            let entity = entity?;
            if !self.rest.holds(&entity.data) {
                continue;
            }
            let id = entity.id.clone();
            if taken == limit || each(found.context(), entity)? == Taken::No {
                return Ok(last);
            }
            taken += 1;
            last = Some(id);
        }
        Ok(None)
    }
}

/// Whether an entry was taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    No,
}

/// The answer to `query_logs`.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Page {
    #[schemars(with = "Vec<ShownEntry<'static>>")]
    entries: Vec<Json>,
    /// The `after` of the next page; `null` if there is none.
    next: Option<String>,
}

/// A page of entries. It ends early where an answer would become too long; `next` is the next page.
pub(crate) fn query(ctx: &mut Context<'_>, filter: Filter, bytes_max: usize) -> Result<Page, Error> {
    let selection = filter.resolve(ctx)?;
    let mut entries: Vec<Json> = Vec::new();
    let mut bytes = 0;
    let limit = selection.limit.unwrap_or(PAGE_DEFAULT);
    let next = selection.for_each(ctx, limit, |_, entity| {
        let json = Json::of(&ShownEntry::from(&entity));
        bytes += json.as_str().len() + 1;
        // A single entry is tried in any case: it arrived in a frame, so it fits one, unless the limit was lowered.
        if bytes > bytes_max && !entries.is_empty() {
            return Ok(Taken::No);
        }
        entries.push(json);
        Ok(Taken::Yes)
    })?;
    Ok(Page { entries, next })
}

/// A moment, with an offset from UTC; a date alone is the beginning of that day in UTC.
pub(crate) fn moment(argument: &str, text: &str) -> Result<Timestamp, Error> {
    let day = || text.parse::<Date>().ok().filter(|_| text.len() == 10)?.to_zoned_datetime(TimeZone::UTC).ok();
    let parsed = text.parse::<Timestamp>().ok().or_else(|| Some(day()?.timestamp()));
    parsed.map(kept).filter(|time| time.as_second() >= YEAR_0).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        Error::bad_request(format!(
            "argument `{argument}`: expected a moment like \"2026-03-01T12:00:00Z\" or a day like \"2026-03-01\", found {shown:?}"
        ))
    })
}

/// The first second of the year 0.
const YEAR_0: i64 = -62_167_219_200;

/// A time as it is kept, in whole microseconds.
pub(crate) fn kept(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}
