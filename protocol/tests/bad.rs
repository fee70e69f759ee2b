//! Every file in `bad/` is refused with exactly the text of its `.expected` file. A `.json` file is
//! the content of one frame, a `.bin` file the bytes of a stream. The folder grows with each bug.
//! To accept a changed text, run with `UPDATE_EXPECTED=1` and read the difference.

use bulkhead_protocol::{Decoder, Message, limits::FRAME_BYTES_MAX_DEFAULT};
use std::{fs, path::Path};

#[test]
fn every_bad_message_is_refused_with_what_was_expected_and_what_was_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut cases: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension != "expected"));
    cases.sort();
    assert!(cases.len() > 30, "the folder of bad messages has lost some: {} are left", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let bytes = fs::read(&case).unwrap();
        let is_stream = case.extension().is_some_and(|extension| extension == "bin");
        let found = if is_stream { stream(&bytes) } else { message(&bytes) };
        let expected_path = case.with_extension("expected");
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            fs::write(&expected_path, &found).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if found != expected {
            wrong.push(format!("== {}\n-- expected\n{expected}-- found\n{found}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Reads the content of one frame and says which request the sender's error would name, and its text.
fn message(frame: &[u8]) -> String {
    match Message::decode(frame) {
        Ok(message) => panic!("it was accepted: {message:?}"),
        Err(error) => {
            let id = error.id.map_or("null".to_owned(), |id| id.to_string());
            format!("id {id}: {error}\n")
        }
    }
}

/// Reads a stream to its end and says after how many frames it broke, and why.
fn stream(bytes: &[u8]) -> String {
    let (mut decoder, mut input, mut frames) = (Decoder::new(FRAME_BYTES_MAX_DEFAULT), bytes, 0);
    let error = loop {
        match decoder.next(&mut input) {
            Ok(Some(_)) => frames += 1,
            Ok(None) => break decoder.finish().expect_err("the stream was accepted"),
            Err(error) => break error,
        }
    };
    format!("after {frames} frames: {error}\n")
}
