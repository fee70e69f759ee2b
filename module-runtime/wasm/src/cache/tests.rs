//! Files of compiled code in every state that they should not be in.

use super::*;
use crate::testing::module;
use bulkhead_module::testing::Scratch;
use std::os::unix::fs::PermissionsExt;

struct Kit {
    _scratch: Scratch,
    cache: Cache,
    engine: Engine,
    key: Key,
    path: PathBuf,
    wasm: Vec<u8>,
}

/// A cache with one module in it.
fn kit() -> Kit {
    let scratch = Scratch::new();
    let folder = scratch.path().join("state/cache/wasm");
    let cache = Cache::open(&folder).expect("a folder of ours");
    let engine = Engine::default();
    let wasm = wat::parse_str(module("", "(local.get $payload)", "")).unwrap();
    let key = Key::of(&engine, &wasm);
    cache.store(&key, &Module::from_binary(&engine, &wasm).unwrap());
    let path = folder.join(key.file_name());
    Kit { _scratch: scratch, cache, engine, key, path, wasm }
}

impl Kit {
    fn is_found(&self) -> bool {
        self.cache.find(&self.engine, &self.key).is_some()
    }

    /// Compiles and stores once more, as a start that found nothing does.
    fn store(&self) {
        self.cache.store(&self.key, &Module::from_binary(&self.engine, &self.wasm).unwrap());
    }
}

#[test]
fn what_was_stored_is_found_and_is_the_same_module() {
    let kit = kit();
    let module = kit.cache.find(&kit.engine, &kit.key).expect("it was stored");
    assert!(module.get_export("handle_message").is_some());
    let mode = std::fs::metadata(&kit.path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(std::fs::read_dir(&kit.cache.folder).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_key_is_of_the_module_and_of_the_compilers_settings() {
    let kit = kit();
    assert!(Key::of(&kit.engine, &kit.wasm) == kit.key);
    assert!(Key::of(&kit.engine, b"another") != kit.key);
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    assert!(Key::of(&Engine::new(&config).unwrap(), &kit.wasm) != kit.key);
}

#[test]
fn a_torn_file_is_never_loaded_wherever_it_was_torn() {
    let kit = kit();
    let whole = std::fs::read(&kit.path).unwrap();
    let mut lengths: Vec<usize> = (0..whole.len()).step_by(whole.len() / 50 + 1).collect();
    lengths.extend(whole.len() - 100..whole.len());
    for length in lengths {
        std::fs::write(&kit.path, &whole[..length]).unwrap();
        assert!(!kit.is_found(), "cut to {length} of {}", whole.len());
    }
    // A torn write may also leave zeroes where the data should be.
    let mut hollow = whole.clone();
    hollow[whole.len() / 2..].fill(0);
    std::fs::write(&kit.path, &hollow).unwrap();
    assert!(!kit.is_found());
    let longer = [&whole[..], b"x"].concat();
    std::fs::write(&kit.path, longer).unwrap();
    assert!(!kit.is_found());
    kit.store();
    assert!(kit.is_found(), "it is replaced");
    assert_eq!(std::fs::read(&kit.path).unwrap().len(), whole.len());
}

#[test]
fn one_altered_byte_is_found_wherever_it_is() {
    let kit = kit();
    let whole = std::fs::read(&kit.path).unwrap();
    let mut places: Vec<usize> = (0..whole.len()).step_by(whole.len() / 50 + 1).collect();
    places.extend(whole.len() - SEAL_BYTES..whole.len());
    for place in places {
        let mut altered = whole.clone();
        altered[place] ^= 1;
        std::fs::write(&kit.path, &altered).unwrap();
        assert!(!kit.is_found(), "byte {place}");
    }
}

#[test]
fn another_modules_file_under_this_name_is_not_loaded() {
    let kit = kit();
    let other = Key::of(&kit.engine, b"another");
    std::fs::copy(&kit.path, kit.cache.folder.join(other.file_name())).unwrap();
    assert!(kit.cache.find(&kit.engine, &other).is_none());
}

#[test]
fn code_of_another_engine_is_not_loaded_even_with_a_good_seal() {
    let kit = kit();
    let mut config = wasmtime::Config::new();
    config.epoch_interruption(true);
    let other = Engine::new(&config).unwrap();
    let code = Module::from_binary(&other, &kit.wasm).unwrap().serialize().unwrap();
    kit.cache.write(&kit.key, &code).unwrap();
    assert!(!kit.is_found());
}

#[test]
fn a_file_that_others_may_write_to_is_not_loaded() {
    let kit = kit();
    for mode in [0o620, 0o602] {
        std::fs::set_permissions(&kit.path, std::fs::Permissions::from_mode(mode)).unwrap();
        assert!(!kit.is_found(), "{mode:o}");
    }
    std::fs::set_permissions(&kit.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(kit.is_found());
}

#[test]
fn what_is_no_file_is_not_loaded_and_is_replaced_where_it_can_be() {
    let kit = kit();
    let elsewhere = kit.cache.folder.join("elsewhere");
    std::fs::rename(&kit.path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &kit.path).unwrap();
    assert!(!kit.is_found(), "a link");
    kit.store();
    assert!(kit.is_found());
    std::fs::remove_file(&kit.path).unwrap();
    nix::unistd::mkfifo(&kit.path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(!kit.is_found(), "a pipe, without waiting for its writer");
    kit.store();
    assert!(kit.is_found());
    std::fs::remove_file(&kit.path).unwrap();
    std::fs::create_dir(&kit.path).unwrap();
    assert!(!kit.is_found(), "a folder");
    kit.store();
    assert!(!kit.is_found(), "a folder is not ours to remove");
}

#[test]
fn a_folder_that_others_may_write_to_or_that_cannot_be_made_is_no_cache() {
    let scratch = Scratch::new();
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Cache::open(scratch.path()).is_none());
    let file = scratch.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(Cache::open(&file.join("cache")).is_none());
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let kit = kit();
    let scratch = Scratch::new();
    let gone = Cache { folder: scratch.path().join("gone") };
    gone.store(&kit.key, &Module::from_binary(&kit.engine, &kit.wasm).unwrap());
    assert!(gone.find(&kit.engine, &kit.key).is_none());
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

fn file(folder: &Path, name: &str, bytes: usize, age: Duration) {
    let path = folder.join(name);
    std::fs::write(&path, vec![0; bytes]).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_was_used_least_recently_goes_first_and_nothing_that_is_not_ours() {
    let scratch = Scratch::new();
    let folder = scratch.path();
    let name = |digit: &str| format!("{}.compiled", digit.repeat(64));
    for (digit, age) in [("a", 300), ("b", 100), ("c", 200), ("d", 0)] {
        file(folder, &name(digit), 1000, Duration::from_secs(age));
    }
    file(folder, "notes.txt", 1_000_000, Duration::from_secs(9999));
    file(folder, "short.compiled", 1_000_000, Duration::from_secs(9999));
    file(folder, &format!(".{}.12", name("e")), 10, Duration::from_secs(7200));
    file(folder, &format!(".{}.13", name("e")), 10, Duration::from_secs(60));
    sweep::sweep(folder, 4000, &name("d"));
    assert_eq!(names(folder).len(), 7, "only the abandoned one went");
    sweep::sweep(folder, 2500, &name("a"));
    let left = names(folder);
    assert!(left.contains(&name("a")), "the one just written stays, whatever its time");
    assert!(!left.contains(&name("b")) && !left.contains(&name("c")), "{left:?}");
    assert!(left.contains(&name("d")) && left.contains(&"notes.txt".to_owned()));
    sweep::sweep(folder, 0, &name("d"));
    assert!(names(folder).contains(&name("d")));
}

#[test]
fn a_use_is_noted_when_the_last_one_was_long_ago() {
    let kit = kit();
    let old = SystemTime::now() - Duration::from_secs(7200);
    File::options().write(true).open(&kit.path).unwrap().set_modified(old).unwrap();
    assert!(kit.is_found());
    let used = std::fs::metadata(&kit.path).unwrap().modified().unwrap();
    assert!(used > old + Duration::from_secs(3600));
}

/// With a time in the future.
fn file_ahead(folder: &Path, name: &str, ahead: Duration) {
    std::fs::write(folder.join(name), vec![0; 1000]).unwrap();
    let options = File::options().write(true).open(folder.join(name)).unwrap();
    options.set_modified(SystemTime::now() + ahead).unwrap();
}

#[test]
fn after_a_step_of_the_clock_what_is_used_stays_and_what_seems_to_come_from_the_future_goes() {
    let scratch = Scratch::new();
    let folder = scratch.path();
    let name = |digit: &str| format!("{}.compiled", digit.repeat(64));
    let years = Duration::from_secs(20 * 365 * 86_400);
    for digit in ["a", "b", "c"] {
        file_ahead(folder, &name(digit), years);
    }
    for (digit, age) in [("d", 100), ("e", 200), ("f", 300)] {
        file(folder, &name(digit), 1000, Duration::from_secs(age));
    }
    sweep::sweep(folder, 3000, &name("f"));
    assert_eq!(names(folder), [name("d"), name("e"), name("f")]);
    // What was left behind under the other clock goes as well, what is in progress stays despite its old time.
    let temporary = |process: u32| format!(".{}.{process}", name("a"));
    file_ahead(folder, &temporary(11), years);
    file(folder, &temporary(12), 1000, years);
    file(folder, &temporary(13), 1000, years);
    let in_progress = File::open(folder.join(temporary(13))).unwrap();
    in_progress.lock().unwrap();
    sweep::sweep(folder, 3000, &name("f"));
    assert_eq!(names(folder), [temporary(13), name("d"), name("e"), name("f")]);
    drop(in_progress);
    sweep::sweep(folder, 3000, &name("f"));
    assert_eq!(names(folder), [name("d"), name("e"), name("f")]);
}

#[test]
fn a_use_gives_a_file_from_the_future_the_time_of_now() {
    let kit = kit();
    let ahead = SystemTime::now() + Duration::from_secs(7200);
    File::options().write(true).open(&kit.path).unwrap().set_modified(ahead).unwrap();
    assert!(kit.is_found());
    assert!(std::fs::metadata(&kit.path).unwrap().modified().unwrap() < ahead - Duration::from_secs(3600));
}
