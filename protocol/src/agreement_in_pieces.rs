//! Tests that a message in pieces is the message in one piece, wherever it is cut and whatever is wrong with it.
//! `PROPTEST_CASES=1000000 cargo test --release -p bulkhead-protocol agreement` looks longer.

use crate::{
    Decoder, Message, MessageError,
    agreement::{check_members, check_message, message},
    frame::Arriving,
    members::Outline,
    texts::{damaged, damages, value},
};
use proptest::prelude::*;

/// The result of this content in pieces of these lengths, which are used again and again.
fn in_pieces(content: &[u8], lengths: &[usize]) -> Result<Message, MessageError> {
    let mut arriving = Arriving::new(content.len(), Outline::new());
    let mut rest = content;
    for length in lengths.iter().cycle() {
        let (mut piece, after) = rest.split_at((*length).min(rest.len()));
        rest = after;
        let is_whole = arriving.take(&mut piece);
        assert_eq!((piece, is_whole), (&b""[..], rest.is_empty()));
        assert_eq!(arriving.held_bytes(), content.len() - rest.len());
        if is_whole {
            break;
        }
    }
    Message::of_arrived(arriving).unwrap_or_else(|text| Err(crate::refusal::of(&text)))
}

fn check_pieces(content: &[u8], lengths: &[usize]) {
    assert_eq!(in_pieces(content, lengths), Message::decode(content), "{:?}", String::from_utf8_lossy(content));
}

/// As before, with a frame and a decoder.
fn check_frame(content: &[u8], lengths: &[usize]) {
    let mut bytes = u32::try_from(content.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.extend_from_slice(b"\0\0\0\x17{\"id\":17,\"type\":\"ping\"}");
    let mut decoder = Decoder::new(1 << 24);
    let (mut rest, mut found) = (&bytes[..], Vec::new());
    for length in lengths.iter().cycle() {
        let (mut piece, after) = rest.split_at((*length).min(rest.len()));
        rest = after;
        while let Some(message) = decoder.next_message(&mut piece).unwrap() {
            found.push(message);
        }
        decoder.shrink();
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(decoder.finish(), Ok(()));
    assert_eq!(found, [Message::decode(content), Message::decode(br#"{"id":17,"type":"ping"}"#)]);
}

/// Lengths of pieces: short ones, ones around a block and a stretch, and long ones.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(
        prop_oneof![4 => 1..10_usize, 2 => 50..150_usize, 2 => 1000..1100_usize, 1 => 5000..50_000_usize],
        1..20,
    )
}

#[test]
fn a_message_is_found_wherever_it_is_cut_in_two() {
    let text = r#" {"id":17,"type":"commänd","payload":{"a":["\u12aB€",-1.5e3,true]},"\u0074o":"𝄞","key" : "k" } "#;
    for at in 0..=text.len() {
        check_pieces(text.as_bytes(), &[at.max(1), text.len()]);
        let mut damaged = text.as_bytes().to_vec();
        for byte in [0xff, 0x80, 0xc3, 0xf0, b'"', b'\\', b'}', 0] {
            damaged.insert(at, byte);
            for cut in [at.saturating_sub(1), at, at + 1, at + 2] {
                check_pieces(&damaged, &[cut.max(1), text.len()]);
            }
            damaged.remove(at);
        }
    }
}

#[test]
fn members_are_found_after_and_between_long_values() {
    let long = format!("{:?}", "x\"é".repeat(30_000));
    let list = format!("[{}0]", "{\"type\":[1,{\"id\":2}]},".repeat(5000));
    for text in [
        format!(r#"{{"id":1,"other":{long},"type":"command","payload":{list},"to":"a"}}"#),
        format!(r#"{{{long}:{list},"id":1,"type":"command" , "payload" : {list} , {long} : {long} }}"#),
        format!(r#"{{"id":1,"type":"command","payload":{list},"id":1}}"#),
        format!(r#"{{"id":1,"type":"command","payload":null,"other":{list},"data":null}}"#),
        format!(r#"{{"id":1,"status":"error","error":{long},"stderr":["a"],"exit":{{"code":3}},"data":{list}}}"#),
        format!(r#"{{"id":1,"status":"error","error":{long},"stderr":[1],"data":{list}}}"#),
        format!(r#"{{"type":"command","payload":{list},"id":1}} , {{}}"#),
        format!(r#"{{"type":"command","payload":{list},"id":-1}}"#),
        format!(r#"[{list}]"#),
        long.clone(),
        format!("{}7", " ".repeat(100_000)),
    ] {
        check_members(&text);
        check_message(&text);
        for lengths in [&[1, 100_000][..], &[65_536], &[1000], &[7, 4096]] {
            check_frame(text.as_bytes(), lengths);
        }
    }
}

#[test]
fn a_long_message_in_pieces_of_one_byte_is_found() {
    let text = format!(r#"{{"id":1,"type":"command","payload":[{:?},{}]}}"#, "é".repeat(40_000), "7".repeat(40_000));
    check_frame(text.as_bytes(), &[1]);
}

#[test]
fn a_frame_that_was_begun_as_a_message_is_still_a_frame() {
    let mut content = "é".repeat(100_000).into_bytes();
    for is_text in [true, false] {
        if !is_text {
            content[70_000] = 0xff;
        }
        let mut decoder = Decoder::new(1 << 24);
        let bytes = [&u32::try_from(content.len()).unwrap().to_be_bytes(), &content[..]].concat();
        let (mut first, mut second) = bytes.split_at(80_001);
        assert_eq!(decoder.next_message(&mut first), Ok(None));
        assert_eq!(decoder.held_bytes(), 80_001);
        assert_eq!(decoder.next(&mut second), Ok(Some(&content[..])));
    }
}

proptest! {
    #[test]
    fn any_message_in_pieces_is_the_message_in_one_piece(
        message in message(), other in message(), damages in damages(), lengths in lengths(),
    ) {
        for text in [&message, &damaged(&message, &damages), &message.replace("\"other\":", &format!("\"other\":[{other}],\"x\":"))] {
            check_members(text);
            check_pieces(text.as_bytes(), &lengths);
        }
    }

    #[test]
    fn any_long_message_in_pieces_is_the_message_in_one_piece(
        message in message(),
        values in prop::collection::vec(value(), 1..20),
        name in prop::sample::select(&["payload", "data", "other", "error", "to", "\\u0070ayload"][..]),
        place in any::<bool>(),
        bytes_in_front in 0..3000_usize,
        damages in damages(),
        lengths in lengths(),
    ) {
        let mut list = values.join(",");
        while list.len() < 70_000 {
            list = format!("{list},{list}");
        }
        let long = format!("\"{name}\":[{}{list}]", " ".repeat(bytes_in_front));
        let inner = &message[1..message.len() - 1];
        let text = match (inner.is_empty(), place) {
            (true, _) => format!("{{{long}}}"),
            (_, true) => format!("{{{long},{inner}}}"),
            (_, false) => format!("{{{inner},{long}}}"),
        };
        check_members(&text);
        check_frame(text.as_bytes(), &lengths);
        let damaged = damaged(&text, &damages);
        // What is shorter is no frame.
        prop_assume!(damaged.len() >= 2);
        check_frame(damaged.as_bytes(), &lengths);
    }

    #[test]
    fn any_bytes_in_pieces_are_refused_as_they_are_in_one_piece(
        pieces in prop::collection::vec(
            prop_oneof![
                Just(&b"{\"id\":1,\"type\":\""[..]), Just(&b"\"}"[..]), Just(&b"x"[..]), Just("é".as_bytes()),
                Just("€".as_bytes()), Just("𝄞".as_bytes()), Just(&b"\xff"[..]), Just(&b"\x80"[..]), Just(&b"\xe2\x82"[..]),
                Just(&b"\xf0\x9d\x84"[..]), Just(&b"\xf0"[..]), Just(&b"\xc0\x80"[..]), Just(&b"\xed\xa0\x80"[..]),
                Just(&b"\xf4\x90\x80\x80"[..]), Just(&b"\xf4\x90"[..]), Just(&b"\xe0\x80"[..]),
            ],
            1..20,
        ),
        lengths in lengths(),
    ) {
        let content = pieces.concat();
        check_pieces(&content, &lengths);
        check_pieces(&content, &[1]);
    }
}
