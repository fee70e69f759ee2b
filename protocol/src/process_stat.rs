//! The text of `/proc/PID/stat`, as proc_pid_stat(5) has it: only this file knows its fields. Where the text is
//! read, and what follows from it, is elsewhere.

/// The flag of a thread that is exiting (`PF_EXITING` in the kernel's `include/linux/sched.h`).
const EXITING: u32 = 0x4;

/// A process or a thread at the moment it was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessStat {
    /// Its number.
    pub pid: i32,
    /// `R` runs, `S` sleeps, `T` is stopped by a signal, `Z` has ended, and so on.
    pub state: char,
    /// The number of its parent.
    pub parent: i32,
    /// The number of its process group.
    pub group: i32,
    /// The number of its session.
    pub session: i32,
    /// The kernel's flags.
    pub flags: u32,
    /// The processor's time that it has used, in clock ticks.
    pub ticks: u64,
    /// How many threads it has, ended ones included that are not removed yet.
    pub threads: u64,
    /// When it began, in clock ticks after boot. Together with the number it identifies the process for ever.
    pub started: u64,
    /// What it has in memory, in pages.
    pub resident_pages: u64,
    /// How the kernel schedules it; 0 where the kernel does not say, as for all others.
    pub policy: u32,
    /// How it ended, in the form of wait(2); `None` where the kernel does not say, and 0 where the reader has no
    /// permission.
    pub exit_status: Option<i32>,
}

impl ProcessStat {
    /// Reads the text. The process chooses the name in parentheses, which may contain anything, so the fields
    /// are counted from the last parenthesis. `None` if the text ends before the memory.
    pub fn parse(text: &[u8]) -> Option<ProcessStat> {
        let end = text.iter().rposition(|byte| *byte == b')')?;
        let pid = str::from_utf8(text.split(|byte| *byte == b' ').next()?).ok()?.parse().ok()?;
        let mut stat = ProcessStat { pid, ..ProcessStat::default() };
        let mut last = 0;
        // The numbers are those of the manual, which counts from 1 and has the name as the second.
        for (field, word) in (3..).zip(str::from_utf8(&text[end + 1..]).ok()?.split_ascii_whitespace()) {
            match field {
                3 => stat.state = word.chars().next()?,
                4 => stat.parent = word.parse().ok()?,
                5 => stat.group = word.parse().ok()?,
                6 => stat.session = word.parse().ok()?,
                9 => stat.flags = word.parse().ok()?,
                14 | 15 => stat.ticks = stat.ticks.saturating_add(word.parse().ok()?),
                20 => stat.threads = word.parse().ok()?,
                22 => stat.started = word.parse().ok()?,
                24 => stat.resident_pages = word.parse().ok()?,
                41 => stat.policy = word.parse().ok()?,
                52 => stat.exit_status = Some(word.parse().ok()?),
                _ => {}
            }
            last = field;
        }
        (last >= 24).then_some(stat)
    }

    /// Whether it has ended, with all its threads, and only waits to be reaped. A process whose first thread has
    /// ended before the others has the same state, and lives.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }

    /// Whether nothing of its program runs any more in this thread, or the first one of this process.
    pub fn is_exiting(&self) -> bool {
        self.flags & EXITING != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All fields from the state on, each its own number but for these.
    fn text(name: &str, but: &[(usize, &str)]) -> String {
        let field = |number: usize| {
            let other = but.iter().find(|(field, _)| *field == number);
            other.map_or_else(|| number.to_string(), |(_, word)| (*word).to_owned())
        };
        let fields: Vec<String> = (4..=52).map(field).collect();
        format!(
            "42 ({name}) {} {}\n",
            but.first().filter(|(at, _)| *at == 3).map_or("S", |(_, state)| state),
            fields.join(" ")
        )
    }

    #[test]
    fn each_field_is_that_of_the_manual() {
        let expected = ProcessStat {
            pid: 42,
            state: 'S',
            parent: 4,
            group: 5,
            session: 6,
            flags: 9,
            ticks: 14 + 15,
            threads: 20,
            started: 22,
            resident_pages: 24,
            policy: 41,
            exit_status: Some(52),
        };
        assert_eq!(ProcessStat::parse(text("sh", &[]).as_bytes()), Some(expected));
    }

    #[test]
    fn a_process_that_names_itself_to_confuse_is_read_by_its_last_parenthesis() {
        let mut line = b"42 (a) Z 1 (\xff".to_vec();
        line.extend_from_slice(&text("", &[]).as_bytes()["42 (".len()..]);
        let stat = ProcessStat::parse(&line).unwrap();
        assert_eq!((stat.pid, stat.state, stat.parent), (42, 'S', 4));
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_before_the_others_is_not_dead() {
        let is_dead =
            |state, threads| ProcessStat::parse(text("a", &[(3, state), (20, threads)]).as_bytes()).unwrap().is_dead();
        assert!(is_dead("Z", "1") && is_dead("X", "0"));
        assert!(!is_dead("Z", "2") && !is_dead("S", "1"));
    }

    #[test]
    fn an_old_kernel_that_does_not_report_the_end_is_understood() {
        let whole = text("sh", &[]);
        let cut = whole.rsplit_once(" 41 ").unwrap().0;
        let stat = ProcessStat::parse(cut.as_bytes()).unwrap();
        assert_eq!((stat.resident_pages, stat.policy, stat.exit_status), (24, 0, None));
    }

    #[test]
    fn a_line_that_breaks_off_or_has_a_word_for_a_number_is_no_process() {
        for bad in ["", "42 sh", "42 (sh)", "42 (sh) S 7 8", "x (sh) S 1"] {
            assert_eq!(ProcessStat::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(ProcessStat::parse(text("sh", &[(4, "x")]).as_bytes()), None);
        assert_eq!(ProcessStat::parse(text("sh", &[(20, "-1")]).as_bytes()), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_read_as_it_is() {
        let stat = ProcessStat::parse(&std::fs::read("/proc/self/stat").unwrap()).unwrap();
        assert_eq!(u32::try_from(stat.pid), Ok(std::process::id()));
        assert_eq!(u32::try_from(stat.parent), Ok(std::os::unix::process::parent_id()));
        assert!(stat.resident_pages > 0 && !stat.is_dead() && !stat.is_exiting());
    }
}
