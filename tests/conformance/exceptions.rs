//! The pairs that do not apply: printed on every run, and compared with the written list, so that none is skipped
//! silently. The list is written anew by
//! `BULKHEAD_TEST_WRITE=1 cargo test -p bulkhead-tests --test conformance exceptions`.

use crate::{CASES, TRIED, samples};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// Prints a line around the test runner, which hides the output of tests that pass.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "conformance: {line}");
}

/// The pairs that do not apply, by sample and reason.
fn exceptions() -> String {
    let mut text = String::new();
    for sample in samples::SAMPLES {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for case in CASES {
            let Some(reason) = case.needs.iter().find_map(|need| (sample.cannot)(*need)) else { continue };
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, cases)) => cases.push(case.name),
                None => reasons.push((reason, vec![case.name])),
            }
        }
        let count: usize = reasons.iter().map(|(_, cases)| cases.len()).sum();
        let all = CASES.len();
        writeln!(text, "{}: {} of {all} cases apply", sample.name, all - count).expect("a text can be written to");
        for (reason, cases) in reasons {
            writeln!(text, "    {reason}:").expect("a text can be written to");
            for case in cases {
                writeln!(text, "        {case}").expect("a text can be written to");
            }
        }
    }
    text
}

#[test]
fn what_does_not_apply_is_exactly_what_is_written_down() {
    let found = exceptions();
    say(&format!("what does not apply to whom\n{found}"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/exceptions.txt");
    if std::env::var_os("BULKHEAD_TEST_WRITE").is_some() {
        std::fs::write(&path, &found).expect("the list can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == written, "{} should say:\n{found}", path.display());
}

#[test]
fn every_sample_is_tried_with_every_case() {
    let names: Vec<&str> = samples::SAMPLES.iter().map(|sample| sample.name).collect();
    assert_eq!(names, TRIED);
    for (at, case) in CASES.iter().enumerate() {
        assert!(!CASES[..at].iter().any(|other| other.name == case.name), "two cases are called {}", case.name);
        let is_tried =
            samples::SAMPLES.iter().any(|sample| case.needs.iter().all(|need| (sample.cannot)(*need).is_none()));
        assert!(is_tried, "no sample can do {}", case.name);
    }
}
