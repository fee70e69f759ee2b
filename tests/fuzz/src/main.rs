//! Tries one target with random changes of its inputs, for a time: `bulkhead-fuzz TARGET SECONDS FOLDER`. Each input is
//! written to the folder first, as nothing can write it after a panic. This program does not know which changes reach
//! new code; libFuzzer does, in `coverage/`.

#![forbid(unsafe_code)]

use bulkhead_fuzz::{Target, corpus, mutation};
use std::{
    fs, panic,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, seconds, folder] = &arguments[..] else {
        eprintln!("bulkhead-fuzz: expected TARGET SECONDS FOLDER, found {arguments:?}; cargo xtask fuzz gives them");
        return ExitCode::FAILURE;
    };
    let (Some(target), Ok(seconds)) = (Target::named(target), seconds.parse()) else {
        eprintln!("bulkhead-fuzz: expected a target and a number of seconds, found {target:?} and {seconds:?}");
        return ExitCode::FAILURE;
    };
    match run(target, Duration::from_secs(seconds), Path::new(folder)) {
        Ok(tried) => {
            println!("{}: {tried} inputs, and all of them are read as they must be", target.name);
            ExitCode::SUCCESS
        }
        Err(reason) => {
            eprintln!("bulkhead-fuzz: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(target: &Target, time: Duration, folder: &Path) -> Result<u64, String> {
    let inputs = corpus::read(target).map_err(|error| format!("cannot read the corpus of {}: {error}", target.name))?;
    let start = Instant::now();
    // Each run tries other ones; the input that fails is kept, so the seed is not needed.
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    let mut random = mutation::Random::new(seed as u64);
    let mut tried = 0;
    while start.elapsed() < time {
        let input = mutation::mutated(&inputs, &mut random);
        if panic::catch_unwind(|| (target.run)(&input)).is_err() {
            let path = folder.join(format!("crash-{seed:x}"));
            fs::write(&path, &input).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            return Err(format!("{} panicked; the input is in {}", target.name, path.display()));
        }
        tried += 1;
    }
    Ok(tried)
}
