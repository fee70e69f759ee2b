//! The files of crash records and of quarantined messages: how they are named, in which order they are, which are
//! the newest, and which of them are removed when there are too many. The order is that of a sequence that continues
//! over restarts. The time in a name is for people: a clock that was set forward and back puts no record before
//! another. What is in the files is not known here.

use bulkhead_protocol::ModuleName;
use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

/// Digits of a number. Names of an older form have four, which began anew with each host.
const DIGITS: usize = 12;

/// Greater numbers belong to no record: a host that continued after one could run out of them.
const NUMBER_MAX: u64 = 500_000_000_000;

/// Files that are kept for each module in each folder. They are counted once in so many files, so that a
/// storm of crashes does not look through a folder for each of them.
pub(crate) const FILES_MAX: usize = 100;
pub(crate) const FILES_BETWEEN_COUNTS: u64 = 16;

/// The longest name that a file can have, in bytes.
const FILE_NAME_BYTES_MAX: usize = 255;

/// Bytes that they take; the newest is kept whatever it takes.
const FILES_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The number of the record that was named last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Number(u64);

impl Number {
    /// The greatest that a record in one of the folders has.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub(crate) fn greatest_in(folders: &[PathBuf]) -> io::Result<Number> {
        let mut greatest = Number(0);
        for folder in folders {
            for entry in fs::read_dir(folder)? {
                greatest = greatest.max(Name::of(&entry?.file_name()).map_or(Number(0), |name| name.number));
            }
        }
        Ok(greatest)
    }

    /// Advances to the next one.
    pub(crate) fn advance(&mut self) {
        self.0 += 1;
    }

    /// The name of the record with this number, of a module, from a time as RFC 3339 has it.
    pub(crate) fn file_name(self, module: &str, time: &str) -> String {
        let stamp = time.replace(['-', ':'], "");
        format!("{module}-{stamp}-{:0DIGITS$}.json", self.0)
    }
}

/// What the name of a record says: `MODULE-TIME-NUMBER.json`.
pub(crate) struct Name<'a> {
    pub(crate) module: &'a str,
    time: &'a str,
    /// 0 where it is not of this form, which makes it older than each that has one.
    number: Number,
}

impl Name<'_> {
    pub(crate) fn of(name: &OsStr) -> Option<Name<'_>> {
        let mut parts = name.to_str()?.strip_suffix(".json")?.rsplitn(3, '-');
        let (digits, time, module) = (parts.next()?, parts.next()?, parts.next()?);
        let is_number = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|number| is_number && *number <= NUMBER_MAX);
        Some(Name { module, time, number: Number(number.unwrap_or(0)) })
    }

    /// The time, as RFC 3339 has it; as it is in the name where it is of another form.
    pub(crate) fn time(&self) -> String {
        let time = self.time;
        let is_stamp = time.is_ascii() && time.len() > 15 && time.as_bytes()[8] == b'T';
        if !is_stamp {
            return time.to_owned();
        }
        let (date, clock) = time.split_at(9);
        format!("{}-{}-{}{}:{}:{}", &date[..4], &date[4..6], &date[6..], &clock[..2], &clock[2..4], &clock[4..])
    }
}

/// The file of a record by the name that people use, which is without its ending. `None` for what no host would give:
/// it could lead out of the folder.
pub(crate) fn file_of(id: &str) -> Option<String> {
    let file = format!("{id}.json");
    let name = Name::of(OsStr::new(&file)).filter(|_| file.len() <= FILE_NAME_BYTES_MAX)?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (is_plain && ModuleName::new(name.module).is_ok()).then_some(file)
}

/// A record in a folder, and its position among the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// 0 for one without a number that a host gave.
    pub(crate) number: Number,
    /// Orders those without a number.
    time: String,
    pub(crate) name: String,
}

impl Found {
    fn new(name: &Name<'_>, file: &str, newest: Number) -> Found {
        let number = if name.number <= newest { name.number } else { Number::default() };
        Found { number, time: name.time.to_owned(), name: file.to_owned() }
    }

    /// Where a record of this file would be, whether it is there or not.
    pub(crate) fn at(file: &str, newest: Number) -> Option<Found> {
        Some(Found::new(&Name::of(OsStr::new(file))?, file, newest))
    }
}

/// Whether there is something after a part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Nothing,
    More,
}

/// The oldest records in a folder after one of them, of one module or of all, oldest first. `newest` is as for
/// [`newest_in`].
///
/// # Errors
/// As [`newest_in`].
pub(crate) fn oldest_in(
    folder: &Path,
    module: Option<&str>,
    newest: Number,
    after: Option<&Found>,
    most: usize,
) -> io::Result<(Vec<Found>, Rest)> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Rest::Nothing)),
        entries => entries?,
    };
    let (mut found, mut rest) = (BinaryHeap::new(), Rest::Nothing);
    for entry in entries {
        let entry = entry?.file_name();
        let Some(name) = Name::of(&entry).filter(|name| module.is_none_or(|module| module == name.module)) else {
            continue;
        };
        let one = Found::new(&name, &entry.to_string_lossy(), newest);
        if after.is_some_and(|after| one <= *after) {
            continue;
        }
        found.push(one);
        if found.len() > most {
            found.pop();
            rest = Rest::More;
        }
    }
    Ok((found.into_sorted_vec(), rest))
}

/// The newest records in a folder, of one module or of all, newest first, and how many more there are. `newest` is
/// the number that was given last: a greater one was given by no host, and counts as older than all that were. Those
/// that are kept elsewhere are left out and not counted.
///
/// # Errors
/// When the folder cannot be read. One that is gone has no records.
pub(crate) fn newest_in(
    folder: &Path,
    module: Option<&str>,
    newest: Number,
    held: &BTreeSet<Number>,
    most: usize,
) -> io::Result<(Vec<Found>, usize)> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        entries => entries?,
    };
    let (mut found, mut more) = (BinaryHeap::new(), 0);
    for entry in entries {
        let entry = entry?.file_name();
        let Some(name) = Name::of(&entry).filter(|name| module.is_none_or(|module| module == name.module)) else {
            continue;
        };
        if held.contains(&name.number) {
            continue;
        }
        found.push(Reverse(Found::new(&name, &entry.to_string_lossy(), newest)));
        if found.len() > most {
            found.pop();
            more += 1;
        }
    }
    // In ascending order of what is reversed.
    Ok((found.into_sorted_vec().into_iter().map(|Reverse(found)| found).collect(), more))
}

/// Removes the oldest records of each module in a folder that has more than [`FILES_MAX`], or of which the newer
/// ones take [`FILES_BYTES_MAX`] already. `newest` is the number that was given last: a greater one was given by no
/// host, and counts as older than all that were.
///
/// # Errors
/// The first failure; what can be removed is removed all the same.
pub(crate) fn thin_out(folder: &Path, newest: Number) -> io::Result<()> {
    let mut of_module: HashMap<String, Vec<(Number, String)>> = HashMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?.file_name();
        let Some(Name { module, number, .. }) = Name::of(&entry) else { continue };
        let number = if number <= newest { number } else { Number(0) };
        let name = entry.to_string_lossy().into_owned();
        of_module.entry(module.to_owned()).or_default().push((number, name));
    }
    let mut result = Ok(());
    for mut files in of_module.into_values() {
        // Those without a number, and of equal ones, by name, which is by time.
        files.sort_unstable_by_key(|file| Reverse(file.clone()));
        let mut bytes = 0;
        for (index, (_, name)) in files.iter().enumerate() {
            bytes += fs::symlink_metadata(folder.join(name)).map_or(0, |metadata| metadata.len());
            if index < FILES_MAX && (bytes <= FILES_BYTES_MAX || index == 0) {
                continue;
            }
            match fs::remove_file(folder.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => result = result.and(Err(error)),
                Ok(()) | Err(_) => {}
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    struct Folder(Scratch);

    impl Folder {
        fn new(name: &str) -> Folder {
            Folder(Scratch::new(&format!("records-{name}")))
        }

        fn put(&self, name: impl AsRef<Path>) {
            fs::write(self.0.join(name), "{}").unwrap();
        }

        fn greatest(&self) -> u64 {
            Number::greatest_in(&[self.0.to_owned()]).unwrap().0
        }

        /// How many files begin with this.
        fn left(&self, with: &str) -> usize {
            let names = fs::read_dir(&*self.0).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().starts_with(with)).count()
        }
    }

    #[test]
    fn the_sequence_goes_on_after_the_greatest_number_whatever_other_files_exist() {
        let folder = Folder::new("greatest");
        assert_eq!(folder.greatest(), 0);
        folder.put("a-20991231T000000.000Z-9999.json");
        assert_eq!(folder.greatest(), 0, "a number that began anew with each host says nothing");
        folder.put(Number(41).file_name("a-b", "2026-11-30T01:02:03.004Z"));
        folder.put(Number(7).file_name("z", "2099-11-30T01:02:03.004Z"));
        assert_eq!(folder.greatest(), 41);
        for odd in [
            "a-20991231T000000.000Z-18446744073709551615.json",
            "a-20991231T000000.000Z-999999999999.json",
            "a-20991231T000000.000Z-+00000000099.json",
            "a-20991231T000000.000Z-000000000099.json.bak",
            "000000000099.json",
            "-.json",
            "--.json",
        ] {
            folder.put(odd);
        }
        folder.put(OsString::from_vec(b"a\xff-20991231T000000.000Z-000000000099.json".to_vec()));
        fs::create_dir(folder.0.join("a-folder-000000000042.json")).unwrap();
        assert_eq!(folder.greatest(), 42, "a name is a name, whatever it is of");
        let mut next = Number(folder.greatest());
        next.advance();
        assert_eq!(next.file_name("a", "2026-11-30T01:02:03.004Z"), "a-20261130T010203.004Z-000000000043.json");
    }

    #[test]
    fn records_that_take_too_many_bytes_go_but_for_the_newest() {
        let folder = Folder::new("bytes");
        for (number, bytes) in [(1, 1), (2, FILES_BYTES_MAX), (3, FILES_BYTES_MAX / 2), (4, FILES_BYTES_MAX / 2)] {
            let path = folder.0.join(Number(number).file_name("a", "2026-11-30T00:00:00.000Z"));
            // It has holes only.
            fs::File::create(path).unwrap().set_len(bytes).unwrap();
        }
        thin_out(&folder.0, Number(4)).unwrap();
        assert_eq!(folder.greatest(), 4);
        assert_eq!(folder.left("a-"), 2);
        let path = folder.0.join(Number(5).file_name("a", "2026-11-30T00:00:00.000Z"));
        fs::File::create(path).unwrap().set_len(2 * FILES_BYTES_MAX).unwrap();
        thin_out(&folder.0, Number(5)).unwrap();
        assert_eq!((folder.greatest(), folder.left("a-")), (5, 1));
    }

    #[test]
    fn the_newest_by_number_stay_however_the_clock_stood_and_whatever_others_put_there() {
        let folder = Folder::new("thin");
        // Of a former version, from the future; and such as this host has not written yet.
        for index in 0..120 {
            folder.put(format!("a-20991231T000000.000Z-{index:04}.json"));
            folder.put(format!("a-20991231T000001.000Z-{:012}.json", 1_000 + index));
            folder.put(format!("a-20991231T000002.000Z-{}.json", u64::MAX - index));
        }
        for number in 1..=60 {
            folder.put(Number(number).file_name("a", "2026-11-30T00:00:00.000Z"));
        }
        // The clock was set back.
        for number in 61..=90 {
            folder.put(Number(number).file_name("a", "1970-01-01T00:00:00.000Z"));
        }
        folder.put(Number(91).file_name("b", "1970-01-01T00:00:00.000Z"));
        folder.put("notes.txt");
        thin_out(&folder.0, Number(91)).unwrap();
        assert_eq!((folder.left("a-2026"), folder.left("a-1970")), (60, 30));
        assert_eq!((folder.left("a-2099"), folder.left("b-1970"), folder.left("notes")), (10, 1, 1));
    }

    #[test]
    fn pages_of_the_oldest_are_all_of_them_once_also_where_one_is_removed_meanwhile() {
        let folder = Folder::new("pages");
        for number in 1..=25 {
            folder.put(Number(number).file_name(if number % 5 == 0 { "b" } else { "a" }, "2026-11-30T00:00:00.000Z"));
        }
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let (page, rest) = oldest_in(&folder.0, Some("a"), Number(25), after.as_ref(), 6).unwrap();
            seen.extend(page.iter().map(|found| found.number.0));
            let Some(last) = page.last().cloned() else { break };
            fs::remove_file(folder.0.join(&last.name)).unwrap();
            after = Found::at(&last.name, Number(25));
            assert_eq!(after.as_ref(), Some(&last));
            if rest == Rest::Nothing {
                break;
            }
        }
        assert_eq!(seen, (1..=25).filter(|number| number % 5 != 0).collect::<Vec<_>>());
        assert_eq!(
            oldest_in(Path::new("/nonexistent"), None, Number(0), None, 6).unwrap(),
            (Vec::new(), Rest::Nothing)
        );
    }

    #[test]
    fn a_name_that_people_give_is_that_of_a_record_in_the_folder() {
        let of = "a-b-20261130T000000.000Z-000000000001";
        assert_eq!(file_of(of), Some(format!("{of}.json")));
        for odd in ["", "a", "../a-1-2", "a/b-1-2", "a-../x-2", "a-1-/../2", "A-1-2", "a-\0-2", &"a-1-2".repeat(60)] {
            assert!(file_of(odd).is_none_or(|file| !file.contains(['/', '\0']) && file.len() < 256), "{odd:?}");
        }
        assert_eq!([file_of("../a-1-2"), file_of("a-../x-2"), file_of("a-1-/../2")], [None, None, None]);
    }

    #[test]
    fn what_cannot_be_removed_keeps_nothing_else() {
        let folder = Folder::new("stuck");
        fs::create_dir(folder.0.join("a-0-0.json")).unwrap();
        for number in 1..=FILES_MAX as u64 + 5 {
            folder.put(Number(number).file_name("a", "2026-11-30T00:00:00.000Z"));
        }
        assert!(thin_out(&folder.0, Number(u64::MAX)).is_err(), "a folder is no file");
        assert_eq!(folder.left("a-2026"), FILES_MAX);
    }
}
