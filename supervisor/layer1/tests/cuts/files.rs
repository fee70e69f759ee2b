//! What a disk holds of a few files, and what it may hold after a power cut: everything up to the last flush of
//! each file, and of what was written since, any part, in any order, whole or torn.
//!
//! Nothing is read or written here: this is the model that `disk.rs` follows real files with.

use std::{collections::BTreeMap, ops::Range};

/// Random numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Whether something happens that happens so many times in a hundred.
    pub fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }
}

/// What was done to the files, in the order in which it was done.
#[derive(Clone, Debug)]
pub enum Op {
    Write {
        file: usize,
        offset: usize,
        data: Vec<u8>,
    },
    SetLen {
        file: usize,
        len: usize,
    },
    /// All that was done to the file before this position is on the disk.
    Flush {
        file: usize,
        upto: usize,
    },
    /// Some of what was written is on the disk; all of it counts as written from now on. If it is dropped, what
    /// is not on the disk cannot be read any more either.
    FailedFlush {
        file: usize,
        seed: u64,
        is_dropped: bool,
    },
    Create {
        name: String,
        file: usize,
    },
    Remove {
        name: String,
    },
    Rename {
        from: String,
        to: String,
    },
    /// All names that were given or taken before this position are on the disk.
    FlushFolder {
        upto: usize,
    },
    /// The store has reported that the unit with this number is done, or has shown what it has made.
    Reported(u64),
}

/// The files of one folder, as they can be read and as the disk has them.
#[derive(Clone, Debug)]
pub struct Files {
    sector: usize,
    /// How much was done to them.
    position: usize,
    pub files: Vec<Content>,
    pub names: BTreeMap<String, usize>,
    names_on_disk: BTreeMap<String, usize>,
    names_pending: Vec<(usize, Op)>,
}

#[derive(Clone, Debug, Default)]
pub struct Content {
    /// What is read.
    pub cache: Vec<u8>,
    disk: Vec<u8>,
    /// Of each sector that was written since the last flush, each state that it had.
    pending: BTreeMap<usize, Vec<State>>,
    /// The position and the length.
    lens_pending: Vec<(usize, usize)>,
}

#[derive(Clone, Debug)]
struct State {
    at: usize,
    /// It is there because the file was cut off before it or in it, and so with that length only.
    is_cut: bool,
    bytes: Vec<u8>,
}

/// How much of what was not flushed a cut leaves, in percent, and how much of that is torn.
struct Mood {
    newer: usize,
    torn: usize,
}

impl Mood {
    fn any(random: &mut Random) -> Mood {
        Mood { newer: [0, 100, 50, 90, 10][random.below(5)], torn: [0, 0, 10, 50][random.below(4)] }
    }
}

impl Content {
    fn write(&mut self, at: usize, offset: usize, data: &[u8], sector: usize) {
        let end = offset + data.len();
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        if self.lens_pending.last().map_or(self.disk.len(), |(_, len)| *len) < end {
            self.lens_pending.push((at, end));
        }
        self.cache[offset..end].copy_from_slice(data);
        self.note(at, false, offset..end, sector);
    }

    fn set_len(&mut self, at: usize, len: usize, sector: usize) {
        let before = self.cache.len();
        self.cache.resize(len, 0);
        self.lens_pending.push((at, len));
        if len < before {
            self.note(at, true, len..before, sector);
        }
    }

    fn note(&mut self, at: usize, is_cut: bool, range: Range<usize>, sector: usize) {
        for number in range.start / sector..range.end.div_ceil(sector) {
            let state = State { at, is_cut, bytes: read(&self.cache, number, sector) };
            self.pending.entry(number).or_default().push(state);
        }
    }

    fn flush(&mut self, upto: usize, sector: usize) {
        let lens = self.lens_pending.iter().take_while(|(at, _)| *at < upto).count();
        if let Some((_, len)) = self.lens_pending.drain(..lens).next_back() {
            self.disk.resize(len, 0);
        }
        let Content { pending, disk, .. } = self;
        pending.retain(|number, states| {
            let flushed = states.iter().take_while(|state| state.at < upto).count();
            if let Some(state) = states.drain(..flushed).next_back() {
                put(disk, *number, sector, &state.bytes);
            }
            !states.is_empty()
        });
    }

    /// What the disk may have now.
    fn any_on_disk(&self, random: &mut Random, sector: usize) -> Vec<u8> {
        let mood = Mood::any(random);
        let mut disk = self.disk.clone();
        let mut len_at = 0;
        if !self.lens_pending.is_empty() && random.percent(mood.newer.max(20)) {
            // The last one in most cases: the others are states that lasted for a moment.
            let back = if random.percent(70) { 0 } else { random.below(self.lens_pending.len()) };
            let (at, len) = self.lens_pending[self.lens_pending.len() - 1 - back];
            len_at = at;
            disk.resize(len, 0);
        }
        for (number, states) in &self.pending {
            // Where the file was cut off, the disk has either what was there before, or what came after.
            let upto = states.iter().position(|state| state.is_cut && state.at > len_at).unwrap_or(states.len());
            let from = states[..upto].iter().rposition(|state| state.is_cut);
            let old = from.map_or_else(|| read(&self.disk, *number, sector), |from| states[from].bytes.clone());
            let all: Vec<_> = states[from.map_or(0, |from| from + 1)..upto].iter().map(|state| &state.bytes).collect();
            let any = |random: &mut Random| match random.below(all.len() + 1) {
                0 => &old,
                index => all[index - 1],
            };
            let mut state = match random.percent(mood.newer) {
                true if random.percent(80) => (*all.last().unwrap_or(&&old)).clone(),
                true => any(random).clone(),
                false => old.clone(),
            };
            if random.percent(mood.torn) {
                let other = any(random);
                let half = sector / 2;
                let part = if random.percent(50) { 0..half } else { half..sector };
                state[part.clone()].copy_from_slice(&other[part]);
            }
            put(&mut disk, *number, sector, &state);
        }
        disk
    }

    /// After that, the kernel believes that the disk has everything.
    fn fail_flush(&mut self, random: &mut Random, is_dropped: bool, sector: usize) {
        let disk = self.any_on_disk(random, sector);
        if is_dropped {
            for number in self.pending.keys() {
                put(&mut self.cache, *number, sector, &read(&disk, *number, sector));
            }
        }
        self.disk = disk;
        self.pending.clear();
        self.lens_pending.clear();
    }
}

/// A sector, with zeros where the file ends before its end.
fn read(content: &[u8], number: usize, sector: usize) -> Vec<u8> {
    let mut read = vec![0; sector];
    if let Some(there) = content.get(number * sector..) {
        let bytes = there.len().min(sector);
        read[..bytes].copy_from_slice(&there[..bytes]);
    }
    read
}

/// Writes a sector, as far as the file goes.
fn put(content: &mut [u8], number: usize, sector: usize, state: &[u8]) {
    if let Some(there) = content.get_mut(number * sector..) {
        let bytes = there.len().min(sector);
        there[..bytes].copy_from_slice(&state[..bytes]);
    }
}

impl Files {
    pub fn new(sector: usize) -> Files {
        let (names, names_on_disk) = Default::default();
        Files { sector, position: 0, files: Vec::new(), names, names_on_disk, names_pending: Vec::new() }
    }

    /// The position of what is done next.
    pub fn next_position(&self) -> usize {
        self.position + 1
    }

    /// What was done next.
    pub fn apply(&mut self, op: &Op) {
        self.position += 1;
        let at = self.position;
        match op {
            Op::Write { file, offset, data } => self.files[*file].write(at, *offset, data, self.sector),
            Op::SetLen { file, len } => self.files[*file].set_len(at, *len, self.sector),
            Op::Flush { file, upto } => self.files[*file].flush(*upto, self.sector),
            Op::FailedFlush { file, seed, is_dropped } => {
                self.files[*file].fail_flush(&mut Random(*seed), *is_dropped, self.sector);
            }
            Op::Create { .. } | Op::Remove { .. } | Op::Rename { .. } => {
                if let Op::Create { file, .. } = op {
                    self.files.resize(self.files.len().max(file + 1), Content::default());
                }
                name(&mut self.names, op);
                self.names_pending.push((at, op.clone()));
            }
            Op::FlushFolder { upto } => {
                let flushed = self.names_pending.iter().take_while(|(at, _)| at < upto).count();
                for (_, op) in self.names_pending.drain(..flushed) {
                    name(&mut self.names_on_disk, &op);
                }
            }
            Op::Reported(_) => {}
        }
    }

    /// The files as a power cut at this moment may leave them.
    pub fn after_cut(&self, random: &mut Random) -> Files {
        let mut names = self.names_on_disk.clone();
        // A journal of the file system keeps the order; without one, anything may be missing.
        let most = [0, 100, 50][random.below(3)];
        let in_order = random.percent(60).then(|| random.below(self.names_pending.len() + 1));
        for (index, (_, op)) in self.names_pending.iter().enumerate() {
            if in_order.map_or_else(|| random.percent(most), |upto| index < upto) {
                name(&mut names, op);
            }
        }
        let mut left = Files::new(self.sector);
        for (name, file) in names {
            let disk = self.files[file].any_on_disk(random, self.sector);
            left.names.insert(name, left.files.len());
            left.files.push(Content { cache: disk.clone(), disk, ..Content::default() });
        }
        left.names_on_disk = left.names.clone();
        left
    }
}

fn name(names: &mut BTreeMap<String, usize>, op: &Op) {
    match op {
        Op::Create { name, file } => {
            names.insert(name.clone(), *file);
        }
        Op::Remove { name } => {
            names.remove(name);
        }
        Op::Rename { from, to } => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        _ => {}
    }
}
