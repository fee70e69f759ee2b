//! Which changes of files are an author's, and which are made by a build or by the module itself. It knows no file
//! system: it is given paths and what happened to them.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Folders that hold what tools make or keep.
const TOOL_FOLDERS: [&str; 8] =
    ["target", "node_modules", ".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".venv", ".hg"];

/// How many paths of each kind are remembered. With more, all are forgotten, which costs a build.
const PATHS_MAX: usize = 10_000;

/// During how many works in a row a file of the author's may change before it is taken for output. People save in the
/// middle of a build, but not in that of each of so many.
const WORKS_IN_A_ROW_MAX: u32 = 10;

/// Whether nothing below a folder of this name is watched.
pub(crate) fn is_tool_folder(name: &str) -> bool {
    TOOL_FOLDERS.contains(&name)
}

/// Whether a path, relative to what is watched, is none of an author's files: in a folder of a tool, or what an editor
/// keeps beside a file while it is open.
pub(crate) fn is_ignored(path: &Path) -> bool {
    let in_tool_folder = path.components().any(|part| match part {
        Component::Normal(name) => name.to_str().is_some_and(is_tool_folder),
        _ => false,
    });
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let is_editors = name.ends_with('~')
        || name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'))
        || [".swp", ".swx", ".swo"].iter().any(|ending| name.ends_with(ending))
        // Vim tries with this name whether it may write.
        || name == "4913";
    in_tool_folder || is_editors
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// It was not there before.
    Appeared,
    Changed,
}

/// The time of the clock that files are stamped with, since 1970.
pub(crate) type Stamp = Duration;

/// From when to when a module was worked on for the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) began: Stamp,
    /// None while it is worked on.
    pub(crate) ended: Option<Stamp>,
}

/// When a path changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum During {
    /// Nothing of the program's was going on.
    Quiet,
    /// The module was being built or reloaded.
    Work,
}

impl During {
    /// By the stamp of the path; none of one that was removed.
    pub(crate) fn of(span: Option<Span>, stamp: Option<Stamp>) -> During {
        let is_work = span.is_some_and(|Span { began, ended }| match stamp {
            Some(stamp) => began <= stamp && ended.is_none_or(|ended| stamp <= ended),
            None => ended.is_none(),
        });
        if is_work { During::Work } else { During::Quiet }
    }
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The module is to be built again.
    Save,
    /// The build or the module made it.
    Output,
}

/// What is known of the paths of one module. What changes while nothing is going on is a source. What appears during
/// work is output, and so is a file that changes during works and never else, from the second time on. A source becomes
/// output as well if it changes during many works in a row, so that no build causes itself for ever.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    sources: HashSet<PathBuf>,
    outputs: HashSet<PathBuf>,
    /// Changed during works: in how many in a row up to which, and when for the first time.
    changed: HashMap<PathBuf, InWorks>,
    works: u64,
}

#[derive(Clone, Copy, Debug)]
struct InWorks {
    first: u64,
    last: u64,
    in_a_row: u32,
}

impl Sources {
    /// A build, or a reload without one, begins.
    pub(crate) fn handle_work(&mut self) {
        self.works += 1;
    }

    /// A path has changed.
    pub(crate) fn handle_change(&mut self, path: &Path, happened: Happened, during: During) -> Change {
        self.forget_surplus();
        if during == During::Quiet {
            self.outputs.remove(path);
            self.changed.remove(path);
            self.sources.insert(path.to_owned());
            return Change::Save;
        }
        let works = self.works;
        let now = InWorks { first: works, last: works, in_a_row: 1 };
        let changed = self.changed.entry(path.to_owned()).or_insert(now);
        *changed = match works - changed.last {
            0 => *changed,
            1 => InWorks { last: works, in_a_row: changed.in_a_row + 1, ..*changed },
            _ => InWorks { last: works, in_a_row: 1, ..*changed },
        };
        let is_output = if self.sources.contains(path) {
            changed.in_a_row > WORKS_IN_A_ROW_MAX
        } else {
            happened == Happened::Appeared || changed.first != works
        };
        if is_output || self.outputs.contains(path) {
            self.sources.remove(path);
            self.changed.remove(path);
            self.outputs.insert(path.to_owned());
            return Change::Output;
        }
        Change::Save
    }

    fn forget_surplus(&mut self) {
        for set in [&mut self.sources, &mut self.outputs] {
            if set.len() >= PATHS_MAX {
                set.clear();
            }
        }
        if self.changed.len() >= PATHS_MAX {
            self.changed.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(sources: &mut Sources, path: &str) -> Change {
        sources.handle_change(Path::new(path), Happened::Changed, During::Quiet)
    }

    fn work(sources: &mut Sources, path: &str, happened: Happened) -> Change {
        sources.handle_change(Path::new(path), happened, During::Work)
    }

    #[test]
    fn what_tools_and_editors_keep_is_no_source() {
        for path in [
            "target/debug/module",
            "a/node_modules/b/index.js",
            ".git/index",
            "src/__pycache__/a.pyc",
            "main.py~",
            ".main.py.swp",
            "src/.#main.c",
            "#main.c#",
            "4913",
        ] {
            assert!(is_ignored(Path::new(path)), "{path}");
        }
        for path in ["main.py", "src/target.rs", "git/a", "a#b", "module.toml", ".env"] {
            assert!(!is_ignored(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_change_belongs_to_the_work_in_which_its_stamp_is() {
        let second = |second| Some(Duration::from_secs(second));
        let span = |ended| Some(Span { began: Duration::from_secs(10), ended });
        for (span, stamp, expected) in [
            (None, second(5), During::Quiet),
            (span(None), second(9), During::Quiet),
            (span(None), second(10), During::Work),
            (span(None), None, During::Work),
            (span(second(20)), second(20), During::Work),
            (span(second(20)), second(21), During::Quiet),
            (span(second(20)), None, During::Quiet),
        ] {
            assert_eq!(During::of(span, stamp), expected, "{span:?} {stamp:?}");
        }
    }

    #[test]
    fn what_a_build_makes_is_output_and_a_later_hand_makes_it_a_source() {
        let mut sources = Sources::default();
        sources.handle_work();
        assert_eq!(work(&mut sources, "main.o", Happened::Appeared), Change::Output);
        sources.handle_work();
        assert_eq!(work(&mut sources, "main.o", Happened::Changed), Change::Output);
        assert_eq!(quiet(&mut sources, "main.o"), Change::Save);
        sources.handle_work();
        assert_eq!(work(&mut sources, "main.o", Happened::Changed), Change::Save);
    }

    #[test]
    fn a_save_during_a_build_counts_also_during_the_first() {
        let mut sources = Sources::default();
        sources.handle_work();
        assert_eq!(work(&mut sources, "other.c", Happened::Changed), Change::Save, "it was there before");
        assert_eq!(quiet(&mut sources, "new.c"), Change::Save);
        sources.handle_work();
        // Some editors remove a file before they write it.
        assert_eq!(work(&mut sources, "new.c", Happened::Appeared), Change::Save);
    }

    #[test]
    fn what_was_built_before_and_is_built_again_costs_one_build_and_not_one_each_time() {
        let mut sources = Sources::default();
        sources.handle_work();
        assert_eq!(work(&mut sources, "main.o", Happened::Changed), Change::Save);
        assert_eq!(work(&mut sources, "main.o", Happened::Changed), Change::Save, "it is written in parts");
        // The build that it causes has nothing to do.
        sources.handle_work();
        for _ in 0..3 {
            sources.handle_work();
            assert_eq!(work(&mut sources, "main.o", Happened::Changed), Change::Output);
        }
    }

    #[test]
    fn saves_in_the_middle_of_many_builds_count_and_a_file_that_each_build_writes_does_not() {
        let mut sources = Sources::default();
        sources.handle_work();
        quiet(&mut sources, "main.c");
        for _ in 0..WORKS_IN_A_ROW_MAX {
            sources.handle_work();
            assert_eq!(work(&mut sources, "main.c", Happened::Changed), Change::Save);
            assert_eq!(work(&mut sources, "main.c", Happened::Changed), Change::Save);
        }
        sources.handle_work();
        assert_eq!(work(&mut sources, "main.c", Happened::Changed), Change::Output);
        assert_eq!(quiet(&mut sources, "main.c"), Change::Save);
    }

    #[test]
    fn no_number_of_paths_takes_more_than_so_much() {
        let mut sources = Sources::default();
        for number in 0..PATHS_MAX * 2 {
            quiet(&mut sources, &number.to_string());
        }
        assert!(sources.sources.len() <= PATHS_MAX);
    }
}
