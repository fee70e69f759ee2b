//! JSON that comes back exactly as it was sent: the host and the module's runtime carry text.

use crate::samples::Sample;
use crate::stage::{SUBJECT, Stage};
use bulkhead_protocol::{Request, RequestType};
use serde_json::{Value, json};

/// Sends each text as arguments, and expects it back to the last byte.
fn come_back(sample: &'static Sample, texts: &[&str]) {
    let mut stage = Stage::of(sample, "");
    for text in texts {
        for args in [(*text).to_owned(), format!("{{\"value\":{text},\"list\":[{text},[{text}]]}}")] {
            let found = stage.echo(&args);
            assert_eq!(found.as_deref(), Ok(&*args));
        }
    }
    stage.finish_unharmed();
}

pub(crate) fn texts_of_every_kind_come_back_as_they_were(sample: &'static Sample) {
    let texts = [
        r#""""#,
        r#"" ""#,
        r#""plain""#,
        r#""é ü ß ı İ ſ""#,
        r#""\u00e9""#,
        "\"e\u{301}\u{327} combining\"",
        "\"\u{1F30A} \u{1D11E} \u{10FFFF} beyond the basic plane\"",
        r#""\ud834\udd1e as two escapes""#,
        r#""\u0000 \u0001 \u001f \u007f""#,
        r#""\" \\ \/ \b \f \n \r \t""#,
        "\"\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{627}\u{644} \u{202e}turned\u{202c}\"",
        "\"\u{1F468}\u{200d}\u{1F469}\u{200d}\u{1F467} joined\"",
        "\"\u{feff}\u{fffe}\u{ffff}\u{fffd} odd ones\"",
        "\"\u{2028}\u{2029}\u{85}\u{a0} ends of lines\"",
        "\"\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000} at the borders of UTF-8\"",
        r#"{"":1,"é":2,"\u0000":3,"a b":4,"\ud83c\udf0a":5}"#,
    ];
    come_back(sample, &texts);
    // Half of a pair is JSON and yet no text: it comes back, or is refused with an error.
    let mut stage = Stage::of(sample, "");
    for half in [r#""\ud834""#, r#""\udd1e \ud834""#, r#"{"\udd1e":[]}"#] {
        match stage.echo(half) {
            Ok(found) => assert_eq!(found, half),
            Err(failure) => assert!(!failure.error.is_empty(), "{failure:?}"),
        }
        stage.probe();
    }
    stage.finish_unharmed();
}

pub(crate) fn numbers_at_every_edge_come_back_as_they_were(sample: &'static Sample) {
    let texts = [
        "0",
        "-0",
        "-0.0",
        "0.0",
        "1.0",
        "1.10",
        "100",
        "1E2",
        "1e+2",
        "1e-2",
        "0.1",
        "0.30000000000000004",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "-9007199254740993",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
        "1e308",
        "1.7976931348623157e308",
        "1e400",
        "5e-324",
        "2.2250738585072014e-308",
        "1e-400",
        "0.1234567890123456789012345678901234567890",
    ];
    come_back(sample, &texts);
}

pub(crate) fn the_order_and_the_spaces_of_members_come_back_as_they_were(sample: &'static Sample) {
    let texts = [
        r#"{"z":1,"a":2,"m":{"y":1,"b":2}}"#,
        r#"{ "z" : 1 , "a" : [ 1 , 2 ] }"#,
        "{}",
        "[]",
        "[[],{}]",
        "true",
        "false",
        r#"{"a":1,"a":2}"#,
        r#"{"name":"count","args":{"name":"fail"},"type":"command","status":"error","data":1,"error":"no","id":7}"#,
    ];
    come_back(sample, &texts);
}

pub(crate) fn line_ends_between_members_are_no_ends_of_a_message(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for text in ["{\n\t\"a\": 1,\r\n\t\"b\": [\n2\n]\n}", "[\r1,\n\n2\n]"] {
        let found = stage.echo(text).expect("it is echoed");
        let read = |text: &str| serde_json::from_str::<Value>(text).expect("it is JSON");
        assert_eq!(read(&found), read(text));
        stage.probe();
    }
    stage.finish_unharmed();
}

pub(crate) fn a_command_without_arguments_is_answered(sample: &'static Sample) {
    let mut stage = Stage::of(sample, "");
    for payload in [json!({ "name": "echo" }), json!({ "name": "echo", "args": null })] {
        let request = Request::new(None, RequestType::Command, payload.clone().into()).to(SUBJECT);
        let answer = stage.client.ask(&request).unwrap_or_else(|failure| panic!("{payload}: {failure:?}"));
        assert!([json!(null), json!({})].contains(&answer), "{payload} is echoed as {answer}");
    }
    stage.finish_unharmed();
}
