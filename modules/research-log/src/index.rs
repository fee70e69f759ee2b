//! What is known of the journal without reading it again: a few words for each entry, never its
//! text. About a hundred bytes an entry.

use crate::journal::Place;
use crate::limits::KEYS_MAX;
use crate::record::{Change, EntryType, Log};
use jiff::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

#[derive(Default)]
pub(crate) struct Index {
    pub(crate) logs: Vec<Log>,
    pub(crate) entries: Vec<EntryIndex>,
    pub(crate) active: Option<usize>,
    pub(crate) words: Words,
    keys: HashMap<Rc<str>, Keyed>,
    /// In the order of their changes, so that the oldest are forgotten first.
    key_order: VecDeque<Rc<str>>,
}

/// What is asked of entries most.
pub(crate) struct EntryIndex {
    pub(crate) place: Place,
    pub(crate) log: u32,
    pub(crate) kind: EntryType,
    pub(crate) time: Timestamp,
    pub(crate) researcher: Option<Word>,
    pub(crate) tags: Box<[Word]>,
}

/// A change that was done under a key.
#[derive(Clone, Copy)]
pub(crate) struct Keyed {
    pub(crate) place: Place,
    pub(crate) asked: u128,
}

impl Index {
    /// Takes a change in. The sentence says what is wrong with it.
    pub(crate) fn apply(&mut self, place: Place, change: &Change) -> Result<(), String> {
        if let Some(log) = &change.log {
            expect_id("log", &log.id, &log_id(self.logs.len()))?;
            self.logs.push(log.clone());
        }
        if let Some(entry) = &change.entry {
            expect_id("entry", &entry.id, &entry_id(self.entries.len()))?;
            let log =
                self.log_by_id(&entry.log).ok_or_else(|| format!("expected a known log, found {:?}", entry.log))?;
            self.entries.push(EntryIndex {
                place,
                log: u32::try_from(log).map_err(|_| "there are too many logs".to_owned())?,
                kind: entry.kind,
                time: entry.time,
                researcher: entry.researcher.as_deref().map(|name| self.words.intern(name)),
                tags: entry.tags.iter().map(|tag| self.words.intern(tag)).collect(),
            });
        }
        if let Some(active) = &change.active {
            let log = self.log_by_id(active).ok_or_else(|| format!("expected a known log, found {active:?}"))?;
            self.active = Some(log);
        }
        if let (Some(key), Some(asked)) = (&change.key, &change.asked) {
            let asked = u128::from_str_radix(asked, 16)
                .map_err(|error| format!("expected a digest, found {asked:?}: {error}"))?;
            let key: Rc<str> = key.as_str().into();
            self.keys.insert(Rc::clone(&key), Keyed { place, asked });
            self.key_order.push_back(key);
            if self.key_order.len() > KEYS_MAX
                && let Some(oldest) = self.key_order.pop_front()
            {
                self.keys.remove(&oldest);
            }
        }
        Ok(())
    }

    pub(crate) fn keyed(&self, key: &str) -> Option<Keyed> {
        self.keys.get(key).copied()
    }

    pub(crate) fn log_by_id(&self, id: &str) -> Option<usize> {
        numbered(id, "log-").filter(|at| *at < self.logs.len())
    }

    pub(crate) fn entry_by_id(&self, id: &str) -> Option<usize> {
        numbered(id, "entry-").filter(|at| *at < self.entries.len())
    }
}

pub(crate) fn log_id(at: usize) -> String {
    format!("log-{}", at + 1)
}

pub(crate) fn entry_id(at: usize) -> String {
    format!("entry-{}", at + 1)
}

fn numbered(id: &str, prefix: &str) -> Option<usize> {
    let number = id.strip_prefix(prefix)?;
    // One spelling for one id: no sign and no leading zero.
    let at = number.parse::<usize>().ok()?.checked_sub(1)?;
    (format!("{}", at + 1) == number).then_some(at)
}

fn expect_id(what: &str, found: &str, expected: &str) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("expected the {what} {expected:?}, found {found:?}")) }
}

/// A text that occurs again and again, kept once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Word(u32);

#[derive(Default)]
pub(crate) struct Words {
    texts: Vec<Box<str>>,
    numbers: HashMap<Box<str>, Word>,
}

impl Words {
    fn intern(&mut self, text: &str) -> Word {
        if let Some(word) = self.numbers.get(text) {
            return *word;
        }
        let word = Word(u32::try_from(self.texts.len()).expect("the memory is full long before"));
        self.texts.push(text.into());
        self.numbers.insert(text.into(), word);
        word
    }

    pub(crate) fn find(&self, text: &str) -> Option<Word> {
        self.numbers.get(text).copied()
    }

    pub(crate) fn text(&self, word: Word) -> &str {
        &self.texts[word.0 as usize]
    }
}
