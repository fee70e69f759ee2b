//! Errors that the module answers with, as their caller sees them.

use crate::samples::Sample;
use crate::stage::Stage;
use bulkhead_protocol::ErrorCode;
use bulkhead_protocol::limits::ERROR_TEXT_BYTES_MAX;
use serde_json::{Value, json};

pub(crate) fn an_error_keeps_its_code_and_its_sentence(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for &code in ErrorCode::ALL.iter().filter(|code| code.allowed_from_module()) {
        let failure = stage.fail("fail", json!({ "code": code.name(), "message": "it did not work" }));
        assert_eq!((failure.code, &*failure.error), (code, "it did not work"));
        assert_eq!(failure.retryable, code.retryable(), "{code}");
        assert_eq!((failure.delivery, failure.module_code), (None, None), "{code}");
        assert_eq!((failure.exit, failure.stderr.len()), (None, 0), "{code}");
    }
    stage.probe_a_fresh_one();
    stage.finish_unharmed();
}

pub(crate) fn an_error_keeps_its_data_and_says_whether_to_try_again(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let details = json!({ "left": 0, "texts": ["é \u{1F30A}", { "a": null }] });
    for (retryable, data) in [(true, &details), (false, &json!([1, 2])), (true, &json!("refill"))] {
        for code in ["conflict", "out_of_ink"] {
            let args = json!({ "code": code, "message": "no", "retryable": retryable, "data": data });
            let failure = stage.fail("fail", args);
            let found = failure.data.as_ref().map(|data| data.read::<Value>().expect("it is JSON"));
            assert_eq!((failure.retryable, found.as_ref()), (retryable, Some(data)), "{failure:?}");
        }
    }
    stage.probe_a_fresh_one();
    stage.finish_unharmed();
}

pub(crate) fn a_code_that_a_module_may_not_use_becomes_its_own(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let forbidden = ErrorCode::ALL.iter().filter(|code| !code.allowed_from_module()).map(|code| code.name());
    for code in forbidden.chain(["out_of_ink", "Tinte.leer"]) {
        let failure = stage.fail("fail", json!({ "code": code, "message": "it did not work" }));
        assert_eq!((failure.code, failure.module_code.as_deref()), (ErrorCode::ModuleError, Some(code)));
        assert_eq!((&*failure.error, failure.delivery), ("it did not work", None), "{code}");
        assert!(!failure.retryable, "{code}: {failure:?}");
    }
    stage.finish_unharmed();
}

pub(crate) fn a_sentence_may_have_any_text_and_is_cut_when_it_is_too_long(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for sentence in ["", "two\nlines", "a \"quote\" and a \\", "e\u{301} \u{1F30A} \u{5e9}\u{202e}\u{0}\u{7f}\u{feff}"]
    {
        let failure = stage.fail("fail", json!({ "code": "conflict", "message": sentence }));
        assert_eq!(failure.code, ErrorCode::Conflict);
        assert!(sentence.is_empty() || failure.error == sentence, "{sentence:?} became {:?}", failure.error);
    }
    let long = "é".repeat(ERROR_TEXT_BYTES_MAX);
    let failure = stage.fail("fail", json!({ "code": "conflict", "message": long }));
    assert_eq!(failure.code, ErrorCode::Conflict);
    // With a mark that it was cut.
    assert!(failure.error.len() <= ERROR_TEXT_BYTES_MAX + "…".len(), "{} bytes", failure.error.len());
    assert!(failure.error.len() > ERROR_TEXT_BYTES_MAX / 2 && failure.error.starts_with("ééé"));
    stage.finish_unharmed();
}
