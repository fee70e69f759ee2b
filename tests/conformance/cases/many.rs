//! Many messages, from one caller and from several.

use crate::samples::Sample;
use crate::stage::Stage;
use bulkhead_tests::timeout;
use serde_json::json;
use std::thread;

/// Requests that are sent before the first answer is read; fewer than the host's queue holds.
const AHEAD: usize = 200;

pub(crate) fn each_of_many_callers_gets_each_of_its_answers_once_and_in_order(sample: &'static Sample) {
    const CALLERS: usize = 4;
    let mut stage = Stage::of(sample, "");
    let each = AHEAD.min(sample.many / CALLERS);
    let mut counts: Vec<u64> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let mut client = stage.world.client();
                scope.spawn(move || {
                    let ids: Vec<u64> = (0..each).map(|_| sample.send_probe(&mut client)).collect();
                    // In the order in which they come: that of the requests, and each once.
                    let mut counts = Vec::new();
                    for id in ids {
                        let response = client.receive(Some(timeout())).expect("each request is answered");
                        assert_eq!(response.id, Some(id), "answers come in order");
                        let bulkhead_protocol::Status::Success(data) = response.status else {
                            panic!("expected a success, found {:?}", response.status)
                        };
                        counts.extend(sample.check_probe(&data.read().expect("it is JSON")));
                    }
                    assert!(counts.is_sorted(), "{counts:?}");
                    counts
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("each caller gets its answers")).collect()
    });
    counts.sort_unstable();
    let expected: Vec<u64> = (1..=counts.len() as u64).collect();
    assert_eq!(counts, expected, "each request was handled once");
    let after = stage.client.send_command("supervisor", "status", json!(null));
    stage.client.answer(after).expect("the host is there");
    stage.finish_unharmed();
}

pub(crate) fn ten_thousand_messages_in_a_row_are_all_answered(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    let mut answered = 0;
    while answered < sample.many {
        let ids: Vec<u64> = (0..AHEAD.min(sample.many - answered)).map(|_| stage.send_probe()).collect();
        for id in ids {
            let answer = stage.client.answer(id).expect("each request is answered");
            answered += 1;
            if let Some(count) = stage.check_probe(&answer) {
                assert_eq!(count, answered as u64);
            }
        }
    }
    stage.finish_unharmed();
}
