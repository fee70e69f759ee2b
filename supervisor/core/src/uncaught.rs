//! The text of an exception that ended a process: the runtimes of C++ print it just before they abort. It
//! is looked for in the last lines of standard error, which any process may have written, so it is used in a
//! message and decides nothing.

use crate::limits::UNCAUGHT_BYTES_MAX;
use bulkhead_protocol::Exit;

/// How GNU's C++ begins, and how it goes on where the exception has a text.
const GNU: &str = "terminate called after throwing an instance of '";
const GNU_TEXT: &str = "  what():  ";

/// How LLVM's C++ begins, now and before.
const LLVM: [&str; 2] =
    ["terminating due to uncaught exception of type ", "terminating with uncaught exception of type "];

/// The exception that a process which aborted was ended by, in a clause: "uncaught T: its text".
pub(crate) fn uncaught(exit: &Exit, stderr: &[String]) -> Option<String> {
    if !matches!(exit, Exit::Signal(signal) if signal == "SIGABRT") {
        return None;
    }
    let said = stderr.iter().enumerate().rev().find_map(|(at, line)| {
        if let Some(kind) = line.strip_prefix(GNU) {
            let kind = kind.trim_end_matches('\'');
            return Some(match stderr.get(at + 1).and_then(|next| next.strip_prefix(GNU_TEXT)) {
                Some(text) => format!("{kind}: {text}"),
                None => kind.to_owned(),
            });
        }
        let said = LLVM.iter().find_map(|begin| line.split_once(begin)).map(|(_, rest)| rest)?;
        Some(said.to_owned())
    })?;
    let mut clause = format!("uncaught {said}");
    if clause.len() > UNCAUGHT_BYTES_MAX {
        clause.truncate(clause.floor_char_boundary(UNCAUGHT_BYTES_MAX));
        clause.push('…');
    }
    Some(clause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[&str]) -> Option<String> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        uncaught(&Exit::Signal("SIGABRT".into()), &lines)
    }

    #[test]
    fn the_text_of_an_exception_is_found_however_the_library_words_it() {
        let gnu = "terminate called after throwing an instance of 'std::runtime_error'";
        let last = "module-runtime: SIGABRT in handle_message of command";
        assert_eq!(
            of(&["before", gnu, "  what():  the ink is dry", last]).as_deref(),
            Some("uncaught std::runtime_error: the ink is dry")
        );
        assert_eq!(
            of(&["terminate called after throwing an instance of 'int'", last]).as_deref(),
            Some("uncaught int")
        );
        for begin in ["terminating due to uncaught exception of type ", "terminating with uncaught exception of type "]
        {
            let line = format!("libc++abi: {begin}std::runtime_error: dry");
            assert_eq!(of(&[&line]).as_deref(), Some("uncaught std::runtime_error: dry"));
        }
        assert_eq!(of(&["abort", last]), None);
    }

    #[test]
    fn a_process_that_did_not_abort_was_ended_by_no_exception() {
        let lines = ["terminate called after throwing an instance of 'int'".to_owned()];
        assert_eq!(uncaught(&Exit::Code(1), &lines), None);
        assert_eq!(uncaught(&Exit::Signal("SIGSEGV".into()), &lines), None);
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = format!("  what():  {}", "ä".repeat(10_000));
        let said = of(&["terminate called after throwing an instance of 'E'", &text]).unwrap();
        assert!(said.len() <= UNCAUGHT_BYTES_MAX + '…'.len_utf8() && said.ends_with("ä…"), "{said}");
    }
}
