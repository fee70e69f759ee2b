//! The payloads of queries and mutations: read, or refused in a line; and what is stored is what was written.

use bulkhead_json::{Kind, Raw};
use bulkhead_protocol::{
    HeldBytes, Json,
    layer1::{Change, Data, Fault, Mutation, Query},
};

pub(crate) fn run(bytes: &[u8]) {
    let Some(json) = std::str::from_utf8(bytes).ok().and_then(|text| Json::parse(text).ok()) else { return };
    match Query::read(&json) {
        Ok(query) => assert!(!query.needs().is_empty(), "a query touches something"),
        Err(fault) => check_fault(&fault),
    }
    match Mutation::read(&json) {
        Ok(mutation) => {
            assert!(!mutation.needs().is_empty(), "a mutation touches something");
            assert!(mutation.held_bytes() >= size_of_val(&mutation.operations[..]));
            let changes = mutation.operations.iter().map(|operation| &operation.change);
            let objects: Vec<&Data> = changes
                .filter_map(|change| match change {
                    Change::Create { data, .. } | Change::Update { patch: data, .. } => Some(data),
                    Change::Delete { .. } => None,
                })
                .collect();
            objects.iter().for_each(|data| check_data(data));
            if let [first, second, ..] = objects[..] {
                check_patch(first, second);
            }
        }
        Err(fault) => check_fault(&fault),
    }
    match Data::new(Raw::from(&json)) {
        Ok(data) => {
            check_data(&data);
            check_patch(&data, &data);
            // A number may be beyond what serde_json can hold, before and after.
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
            assert_eq!(value(data.as_str()), value(json.as_str()), "what is stored");
        }
        Err(fault) => check_fault(&fault),
    }
}

fn check_fault(fault: &Fault) {
    assert!(!fault.reason.is_empty(), "a fault has a reason");
}

/// What is stored is an object, and storing it again changes nothing.
fn check_data(data: &Data) {
    assert_eq!(data.raw().kind(), Kind::Object);
    assert_eq!(Data::new(data.raw()).as_ref(), Ok(data));
}

/// A patch that is applied twice has the same result as once.
fn check_patch(data: &Data, patch: &Data) {
    if let Ok(once) = data.patched(patch) {
        assert_eq!(once.patched(patch), Ok(once));
    }
}
