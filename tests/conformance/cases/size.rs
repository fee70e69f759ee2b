//! Long, deep, and too long.

use crate::samples::{Ability, Sample};
use crate::stage::{RESTARTS, SUBJECT, Stage};
use bulkhead_protocol::ErrorCode;
use bulkhead_tests::timeout;
use serde_json::json;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

pub(crate) fn payloads_up_to_nearly_a_frame_come_back_whole(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for bytes in [1 << 10, 64 << 10, 1 << 20, 15 << 20] {
        // Of two bytes each, so that no part of a letter can be lost at the border of a buffer.
        let text = format!("{{\"text\":\"{}\"}}", "é".repeat(bytes / 2));
        let found = stage.echo(&text).unwrap_or_else(|failure| panic!("{bytes} bytes: {failure:?}"));
        assert!(found == text, "{bytes} bytes came back as other {} bytes", found.len());
    }
    stage.finish_unharmed();
}

pub(crate) fn deep_payloads_come_back_whole_or_are_refused(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for depth in [100, 10_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            match stage.echo(&text) {
                Ok(found) => assert!(found == text, "{depth} deep: {} bytes became other {}", text.len(), found.len()),
                Err(failure) => {
                    assert!(depth > 100, "{failure:?}");
                    assert!([ErrorCode::BadRequest, ErrorCode::ModuleError].contains(&failure.code), "{failure:?}");
                    assert!(!failure.error.is_empty());
                }
            }
            stage.probe();
        }
    }
    stage.finish_unharmed();
}

const SMALL_FRAMES: &str = "[host]\nframe_bytes_max = \"64KiB\"";

pub(crate) fn an_answer_that_is_too_long_is_an_error(sample: &'static Sample) {
    let mut stage = Stage::with(sample, SMALL_FRAMES, &[(SUBJECT, RESTARTS)]);
    let hex = stage.call("random", json!({ "bytes": 30_000 }));
    assert_eq!(hex["hex"].as_str().map(str::len), Some(60_000));
    for bytes in [33_000, 65_536] {
        let pid = stage.pid();
        let failure = stage.fail("random", json!({ "bytes": bytes }));
        assert_eq!(failure.code, ErrorCode::FrameTooLarge, "{failure:?}");
        assert!(!failure.error.is_empty());
        if !stage.can(Ability::OutlivesLongAnswers) {
            stage.wait_for_another_than(pid);
        }
        stage.probe();
    }
    if stage.can(Ability::OutlivesLongAnswers) { stage.finish_unharmed() } else { stage.finish() }
}

pub(crate) fn a_request_that_is_too_long_is_refused_and_the_module_lives_on(sample: &'static Sample) {
    let mut stage = Stage::with(sample, SMALL_FRAMES, &[(SUBJECT, "")]);
    let pid = stage.pid();
    let mut stream = UnixStream::connect(stage.world.socket()).expect("the host listens");
    stream.set_read_timeout(Some(timeout())).expect("it is not zero");
    let content = format!(
        "{{\"id\":1,\"type\":\"command\",\"to\":\"{SUBJECT}\",\"payload\":{{\"name\":\"{}\",\"args\":\"{}\"}}}}",
        sample.probe.command,
        "x".repeat(65_536)
    );
    let length = u32::try_from(content.len()).expect("it is short").to_be_bytes();
    stream.write_all(&length).expect("the host reads the length");
    // The host need not read what it has refused.
    let _ = stream.write_all(content.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    assert!(text.contains("frame_too_large") && text.contains("\"id\":null"), "{text}");
    stage.probe_a_fresh_one();
    assert_eq!(stage.pid(), pid);
    stage.finish_unharmed();
}
