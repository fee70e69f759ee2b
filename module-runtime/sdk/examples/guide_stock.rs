//! A stockroom that remembers: the module of the author's guide.

use bulkhead_module::{Context, Error, Init, Json, json, log, module};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// Keys that are remembered; an older one counts as new.
const KEYS_MAX: usize = 1000;

/// What is on disk: the counts, and what each key was answered with, in one file, so that neither
/// is there without the other.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Books {
    counts: BTreeMap<String, u64>,
    kits: BTreeMap<String, Vec<String>>,
    done: VecDeque<(String, u64)>,
}

struct Stock {
    config: Config,
    path: PathBuf,
    books: Books,
}

#[derive(Deserialize, JsonSchema)]
struct Config {
    #[serde(default = "few")]
    low: u64,
    #[serde(default)]
    audit_pause_ms: u64,
}

fn few() -> u64 {
    3
}

#[derive(Deserialize, JsonSchema)]
struct Delivered {
    delivery: String,
    item: String,
    count: u64,
}

#[derive(Serialize, JsonSchema)]
struct Counted {
    count: u64,
}

#[derive(Serialize, JsonSchema)]
struct Audited {
    items: usize,
    pieces: u64,
}

/// Counts what is on its shelves.
#[module(name = "stock", version = "0.1.0", keys)]
impl Stock {
    #[init]
    fn start(init: &Init, config: Config) -> Result<Stock, Error> {
        let path = PathBuf::from(&init.data_dir).join("books.json");
        let books = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| Error::failed(format!("{}: {error}", path.display())).permanent())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Books::default(),
            Err(error) => return Err(error.into()),
        };
        Ok(Stock { config, path, books })
    }

    /// Puts pieces of an item on the shelf.
    #[command]
    #[example(args = {"item": "bolt", "count": 5}, returns = {"count": 5})]
    fn add(
        &mut self,
        ctx: &mut Context<'_>,
        /// What it is.
        item: &str,
        /// How many pieces.
        count: u64,
    ) -> Result<Counted, Error> {
        let key = ctx.key().map(str::to_owned);
        self.change(ctx, key, item, |shelf| shelf.checked_add(count), "the shelf is full")
    }

    /// Takes pieces of an item from the shelf.
    #[command]
    fn take(&mut self, ctx: &mut Context<'_>, item: &str, #[default(1)] count: u64) -> Result<Counted, Error> {
        let key = ctx.key().map(str::to_owned);
        self.change(ctx, key, item, |shelf| shelf.checked_sub(count), "there are not so many")
    }

    /// How many pieces of an item there are.
    #[command(idempotent)]
    fn count(&self, item: &str) -> Result<Counted, Error> {
        Ok(Counted { count: self.pieces(item)? })
    }

    /// Says what parts a kit is made of.
    #[command(idempotent)]
    fn define(&mut self, kit: String, parts: Vec<String>) -> Result<(), Error> {
        let mut books = self.books.clone();
        books.kits.insert(kit, parts);
        self.save(books)
    }

    /// Counts everything, slowly.
    #[command]
    fn audit(&self, ctx: &mut Context<'_>) -> Result<Audited, Error> {
        let total = self.books.counts.len();
        let mut pieces = 0;
        for (done, (item, count)) in self.books.counts.iter().enumerate() {
            ctx.progress(json!({ "done": done, "total": total, "item": item }))?;
            ctx.wait(Duration::from_millis(self.config.audit_pause_ms))?;
            pieces += count;
        }
        Ok(Audited { items: total, pieces })
    }

    /// How often this module was restarted.
    #[command(idempotent)]
    fn about(ctx: &mut Context<'_>) -> Result<Json, Error> {
        let status = ctx.call("supervisor", "status", json!({ "name": "stock" }))?;
        let status: serde_json::Value = status.read()?;
        Ok(json!({ "restarts": status["restarts"] }))
    }

    /// Writes where there is no memory.
    #[command]
    fn crash() {
        // SAFETY: there is none. It is what a bug in a library of C does, and what this command is
        // for.
        unsafe { std::ptr::without_provenance_mut::<u64>(8).write_volatile(1) };
    }

    #[event("stock.delivered")]
    fn delivered(&mut self, ctx: &mut Context<'_>, delivered: Delivered) -> Result<(), Error> {
        let Delivered { delivery, item, count } = delivered;
        self.change(ctx, Some(delivery), &item, |shelf| shelf.checked_add(count), "the shelf is full")?;
        Ok(())
    }

    /// Changes the count of an item, once for each key.
    fn change(
        &mut self,
        ctx: &mut Context<'_>,
        key: Option<String>,
        item: &str,
        change: impl FnOnce(u64) -> Option<u64>,
        refusal: &str,
    ) -> Result<Counted, Error> {
        if let Some((_, count)) = self.books.done.iter().find(|(done, _)| Some(done) == key.as_ref()) {
            return Ok(Counted { count: *count });
        }
        let shelf = self.books.counts.get(item).copied().unwrap_or(0);
        let count = change(shelf).ok_or_else(|| Error::conflict(format!("{refusal}: {shelf} of {item:?}")))?;
        let mut books = self.books.clone();
        books.counts.insert(item.to_owned(), count);
        if let Some(key) = key {
            books.done.push_back((key, count));
            if books.done.len() > KEYS_MAX {
                books.done.pop_front();
            }
        }
        self.save(books)?;
        if count < self.config.low && count < shelf {
            log!(warn, "{item} is running low: {count} left");
            ctx.emit("stock.low", json!({ "item": item, "count": count }))?;
        }
        Ok(Counted { count })
    }

    /// Replaces the file as a whole: after a crash there is the old one or the new one.
    fn save(&mut self, books: Books) -> Result<(), Error> {
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&books)?)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.books = books;
        Ok(())
    }

    /// Of a kit there are as many as of its scarcest part.
    fn pieces(&self, item: &str) -> Result<u64, Error> {
        if let Some(parts) = self.books.kits.get(item) {
            let counts: Result<Vec<u64>, Error> = parts.iter().map(|part| self.pieces(part)).collect();
            return Ok(counts?.into_iter().min().unwrap_or(0));
        }
        let count = self.books.counts.get(item).copied();
        count.ok_or_else(|| Error::not_found(format!("there is no item {item:?}")))
    }
}

bulkhead_module::main!(Stock);

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_module::testing::Harness;

    fn stock() -> Harness<Stock> {
        Harness::start(json!({ "low": 2 })).unwrap()
    }

    #[test]
    fn what_is_added_is_counted() {
        let mut stock = stock();
        stock.command("add", json!({ "item": "bolt", "count": 5 })).unwrap();
        assert_eq!(stock.command("count", json!({ "item": "bolt" })).unwrap()["count"], 5);
        let error = stock.command("count", json!({ "item": "nut" })).unwrap_err();
        assert_eq!(error.to_string(), "there is no item \"nut\"");
    }

    #[test]
    fn one_key_is_one_delivery() {
        let mut stock = stock();
        for _ in 0..2 {
            stock.with_key("order-17");
            assert_eq!(stock.command("add", json!({ "item": "bolt", "count": 5 })).unwrap()["count"], 5);
        }
    }

    #[test]
    fn a_shelf_that_runs_low_is_announced() {
        let mut stock = stock();
        stock.event("stock.delivered", json!({ "delivery": "d-1", "item": "bolt", "count": 2 })).unwrap();
        stock.command("take", json!({ "item": "bolt", "count": 1 })).unwrap();
        assert_eq!(stock.emitted()[0].0, "stock.low");
    }

    #[test]
    fn an_audit_stops_when_it_is_no_longer_wanted() {
        let mut stock = stock();
        stock.command("add", json!({ "item": "bolt", "count": 5 })).unwrap();
        stock.cancelled_after(0);
        let error = stock.command("audit", json!({})).unwrap_err();
        assert_eq!(error.code().name(), "cancelled");
    }
}
