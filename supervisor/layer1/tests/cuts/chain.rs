//! A chain of runs of the store on one disk, each of which ends with a cut, a kill or an orderly end, and of which many
//! other ends are tried: each of them is opened with the real program and checked.

use crate::{
    check::{Known, Running},
    disk::{Disk, Faults, replayed},
    driver::{Driver, Reports},
    files::{Files, Op, Random},
    units::Unit,
};

/// What is tried.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// Several units at once, by the timing of the threads, or one after the other.
    pub is_concurrent: bool,
    /// When the host believes it; by chance, if it is not said.
    pub reports: Option<Reports>,
    /// Flushes of the database do nothing.
    pub lies_about_database: bool,
    /// Flushes fail.
    pub has_failures: bool,
}

/// What has been tried, over all chains.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    pub cuts: usize,
    pub kills: usize,
    /// Cuts while a start dealt with an earlier one.
    pub cut_starts: usize,
    pub failed_flushes: usize,
    pub refused_writes: usize,
    pub logs_begun_anew: usize,
    pub units: usize,
}

/// Runs of one chain.
const RUNS: usize = 4;

/// Ends of each that are tried.
const ENDS: usize = 14;

/// How many of the units were reported among these operations, by their order.
fn reported(ops: &[Op], units: &[Unit]) -> usize {
    let numbers = ops.iter().filter_map(|op| match op {
        Op::Reported(number) => Some(*number),
        _ => None,
    });
    let position = |number| units.iter().position(|unit| unit.number == number).map_or(0, |index| index + 1);
    numbers.map(position).max().unwrap_or(0)
}

impl Chain {
    /// # Errors
    /// What was found wrong.
    pub fn run(self, seed: u64, tried: &mut Tried) -> Result<(), String> {
        let random = &mut Random(seed);
        let mut files = Files::new([512, 4096][random.below(2)]);
        let (mut known, mut next_number) = (Known::default(), 1);
        for run in 0..RUNS {
            let at = |what: String| format!("in run {run}: {what}");
            let disk = Disk::mount(files, self.faults(random));
            let reports = self.reports.unwrap_or([Reports::WhenPolled, Reports::WhenFlushed][random.below(2)]);
            let (now, disk) = match Running::begin(disk, random.percent(80)) {
                // A flush has failed meanwhile; what was there before is still known.
                Err((_, disk)) if disk.counted().0 > 0 => (known.clone(), disk),
                Err((error, _)) => return Err(at(format!("it does not open: {error}"))),
                Ok(open) => {
                    let now = self.work(&open, &known, reports, &mut next_number, random).map_err(at)?;
                    (now, open.close())
                }
            };
            let (failed, refused, anew) = disk.counted();
            tried.failed_flushes += failed;
            tried.refused_writes += refused;
            tried.logs_begun_anew += anew;
            tried.units += now.committed.len().saturating_sub(known.committed.len());
            let (began, ops) = disk.recorded();
            drop(disk);
            let reported_upto = |end: usize| known.reported.max(reported(&ops[..end], &now.committed));
            // A run in which a flush has failed ends soon: most moments after that are at its end.
            let at_end = if failed > 0 { 40 } else { 5 };
            let any_end = |random: &mut Random| match random.percent(at_end) {
                true => ops.len(),
                false => random.below(ops.len() + 1),
            };
            let mut ends: Vec<usize> = (0..ENDS).map(|_| any_end(random)).collect();
            ends.sort_unstable();
            let (mut replayed_files, mut at_op) = (began.clone(), 0);
            for end in ends {
                while at_op < end {
                    replayed_files.apply(&ops[at_op]);
                    at_op += 1;
                }
                let known = Known { reported: reported_upto(end), ..now.clone() };
                let left = ended(&replayed_files, failed, random, tried);
                look_at(left, &known, random, tried)
                    .map_err(|what| at(format!("after operation {end} of {}: {what}", ops.len())))?;
            }
            let end = if random.percent(30) { ops.len() } else { random.below(ops.len() + 1) };
            known = Known { reported: reported_upto(end), ..now.clone() };
            files = ended(&replayed(&began, &ops[..end]), failed, random, tried);
        }
        Ok(())
    }

    fn faults(self, random: &mut Random) -> Faults {
        let fails = self.has_failures && random.percent(60);
        Faults {
            flush_fails_after: fails.then(|| random.below(40)),
            is_dropped: random.percent(50),
            full_after: None,
            lies_about_database: self.lies_about_database,
            seed: random.next(),
        }
    }

    fn work(
        self,
        open: &Running,
        known: &Known,
        reports: Reports,
        next_number: &mut u64,
        random: &mut Random,
    ) -> Result<Known, String> {
        let units = match open.check(known) {
            Ok(units) => units,
            // What could not be looked at is looked at by the next start.
            Err(_) if open.layer1.broken().is_some() => return Ok(known.clone()),
            Err(what) => return Err(what),
        };
        // What is served is on the disk, whatever was reported before.
        units.last().iter().for_each(|unit| open.disk.reported(unit.number));
        let mut driver = Driver::new(open, Random(random.next()), reports, &units, *next_number);
        match self.is_concurrent {
            true => driver.many_at_once(10 + random.below(20)),
            false => driver.one_after_the_other(4 + random.below(12)),
        }
        let now;
        (now, *next_number) = driver.known(units);
        Ok(now)
    }
}

/// The files as the end of the program leaves them: a power cut, or a kill after which all that was written is there.
/// After a failed flush in most cases the latter: what is on the disk is not what the next start reads.
fn ended(files: &Files, failed_flushes: usize, random: &mut Random, tried: &mut Tried) -> Files {
    if random.percent(if failed_flushes > 0 { 60 } else { 15 }) {
        tried.kills += 1;
        return files.clone();
    }
    tried.cuts += 1;
    files.after_cut(random)
}

/// Opens what is left, and looks at it; in some cases after another cut while that was done.
fn look_at(files: Files, known: &Known, random: &mut Random, tried: &mut Tried) -> Result<(), String> {
    let open = |files| match Running::begin(Disk::mount(files, Faults::default()), false) {
        Ok(open) => Ok(open),
        Err((error, _)) => Err(format!("it does not open: {error}")),
    };
    let first = open(files)?;
    let (began, ops) = first.disk.recorded();
    let units = first.check(known)?;
    drop(first.close());
    if !random.percent(40) {
        return Ok(());
    }
    let end = random.below(ops.len() + 1);
    tried.cut_starts += 1;
    let again = open(replayed(&began, &ops[..end]).after_cut(random))?;
    let found =
        again.check(known).map_err(|what| format!("cut again at {end} of {} of its start: {what}", ops.len()))?;
    drop(again.close());
    // A start that ended had shown these.
    match end == ops.len() && found.len() < units.len() {
        true => Err(format!("{} units were served by a start, and {} are left", units.len(), found.len())),
        false => Ok(()),
    }
}
