//! The codec of tokio-util with the settings in `PROTOCOL.md`: what this library writes it reads, and the other way
//! round, up to the longest frame that there may be, and without these settings it does not.

use bulkhead_protocol::limits::{FRAME_BYTES_MAX_DEFAULT, REWRITE_BYTES_MAX};
use bulkhead_protocol::{Decoder, Message, Request, RequestType};
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{Decoder as _, Encoder as _, LengthDelimitedCodec};

const PAGE: &str = include_str!("../../PROTOCOL.md");

/// As on the page.
fn codec(frame_bytes_max: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(frame_bytes_max + 64).new_codec()
}

/// A message whose frame has so many bytes.
fn message(frame_bytes: usize) -> Message {
    let of = |text_bytes: usize| {
        let payload = bulkhead_protocol::Json::of(&"x".repeat(text_bytes));
        Message::Request(Request::new(7, RequestType::Command, payload))
    };
    let mut empty = Vec::new();
    of(0).encode(&mut empty, FRAME_BYTES_MAX_DEFAULT).unwrap();
    of(frame_bytes + 4 - empty.len())
}

#[test]
fn the_codec_reads_and_writes_frames_up_to_the_limit() {
    let setting = "LengthDelimitedCodec::builder().max_frame_length(frame_bytes_max + 64).new_codec()";
    assert!(PAGE.contains(setting), "the page has another setting than is tried here");
    assert_eq!(REWRITE_BYTES_MAX, 64);
    for frame_bytes in [60, FRAME_BYTES_MAX_DEFAULT / 2 + 1, FRAME_BYTES_MAX_DEFAULT, FRAME_BYTES_MAX_DEFAULT + 64] {
        let mut codec = codec(FRAME_BYTES_MAX_DEFAULT);
        let message = message(frame_bytes);
        let mut written = Vec::new();
        message.encode(&mut written, FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX).unwrap();
        let frame = codec.decode(&mut BytesMut::from(&written[..])).unwrap().expect("the frame is whole");
        assert_eq!((frame.len(), Message::decode(&frame)), (frame_bytes, Ok(message.clone())));
        let mut encoded = BytesMut::new();
        codec.encode(Bytes::from(frame), &mut encoded).unwrap();
        let mut decoder = Decoder::new(FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX);
        assert_eq!(decoder.next_message(&mut &encoded[..]), Ok(Some(Ok(message))));
    }
}

#[test]
fn a_longer_frame_is_refused_by_both_and_the_codec_as_it_is_refuses_what_a_host_may_send() {
    let mut written = Vec::new();
    message(FRAME_BYTES_MAX_DEFAULT + 65).encode(&mut written, usize::MAX).unwrap();
    assert!(codec(FRAME_BYTES_MAX_DEFAULT).decode(&mut BytesMut::from(&written[..])).is_err());
    assert!(Decoder::new(FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX).next_message(&mut &written[..]).is_err());
    let mut written = Vec::new();
    message(FRAME_BYTES_MAX_DEFAULT / 2 + 1).encode(&mut written, FRAME_BYTES_MAX_DEFAULT).unwrap();
    assert!(LengthDelimitedCodec::new().decode(&mut BytesMut::from(&written[..])).is_err());
}
