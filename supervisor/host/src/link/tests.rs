//! One connection against the other end of a socket pair.

use super::*;
use std::{io::Write, os::unix::net::UnixStream as StdStream};

/// Ends a stream at once: a child that another test is starting may still have a copy of its descriptor.
fn end(theirs: StdStream) {
    theirs.shutdown(std::net::Shutdown::Both).unwrap();
}

/// A link that has this to read, then its end; what follows each read, and how many messages came.
fn read_all(bytes: &[u8]) -> Vec<(usize, Input)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (mut theirs, ours) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.write_all(bytes).unwrap();
        end(theirs);
        let ours = UnixStream::from_std(ours).unwrap();
        ours.readable().await.unwrap();
        let mut link = Link::new(Io::Socket(ours), 1000);
        let (mut buffer, mut found) = (vec![0; READ_BYTES], Vec::new());
        while link.read(&mut buffer) {
            let count = std::iter::from_fn(|| link.take()).count();
            found.push((count, link.rest()));
            assert!(found.len() < 1000, "it never ends");
        }
        assert_eq!((link.is_half_read(), link.rest()), (false, Input::Open));
        found
    })
}

#[test]
fn the_last_lines_of_a_process_are_read_before_the_loop_has_seen_them() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (mut theirs, ours) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut link = Link::new(Io::Socket(UnixStream::from_std(ours).unwrap()), 1000);
        let mut buffer = vec![0; READ_BYTES];
        for _ in 0..3 {
            theirs.write_all(PING).unwrap();
            std::future::poll_fn(|context| link.io.poll_read_ready(context)).await.unwrap();
            assert!(link.read(&mut buffer));
            assert!(link.take().is_some() && link.take().is_none());
            assert!(!link.read(&mut buffer), "the read has emptied the socket");
        }
        theirs.write_all(PING).unwrap();
        end(theirs);
        assert!(!link.read(&mut buffer), "the loop has not looked again");
        assert!(link.read_rest(&mut buffer));
        assert!(link.take().is_some() && link.take().is_none());
        assert!(link.read_rest(&mut buffer));
        assert_eq!(link.rest(), Input::Closed);
    });
}

const PING: &[u8] = b"\0\0\0\x16{\"id\":1,\"type\":\"ping\"}";

#[test]
fn a_flood_is_delivered_in_portions_and_nothing_of_it_is_lost() {
    let found = read_all(&PING.repeat(2 * MESSAGES_PER_READ + 1));
    let counts: Vec<usize> = found.iter().map(|(count, _)| *count).collect();
    assert_eq!(counts, [MESSAGES_PER_READ, MESSAGES_PER_READ, 1, 0]);
    let inputs: Vec<&Input> = found.iter().map(|(_, input)| input).collect();
    assert_eq!(inputs, [&Input::More, &Input::More, &Input::Open, &Input::Closed]);
}

/// A frame of this text.
fn frame(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn why_a_long_message_is_none_is_left_to_be_found_out_in_its_order_and_its_bytes_are_charged() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (mut theirs, ours) = StdStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let ours = UnixStream::from_std(ours).unwrap();
        let mut link = Link::new(Io::Socket(ours), 1 << 20);
        let broken = format!(r#"{{"id":7,"type":"command","payload":["{}",}}"#, "x".repeat(600_000));
        let short = r#"{"id":8,"type":7}"#;
        let bytes = [PING, &frame(&broken), PING, &frame(short), PING].concat();
        let writer = std::thread::spawn(move || theirs.write_all(&bytes).map(|()| theirs));
        let (mut buffer, mut found, mut nanos) = (vec![0; READ_BYTES], Vec::new(), 0);
        while found.len() < 5 {
            if !link.read(&mut buffer) {
                std::future::poll_fn(|context| link.io.poll_read_ready(context)).await.unwrap();
            }
            nanos += link.take_decoding_nanos();
            while let Some(message) = link.take() {
                found.push(message.map(|_| ()).map_err(|error| error.reason));
            }
            if let Some(text) = link.take_refused() {
                assert_eq!((found.len(), *text == broken), (1, true));
                assert_eq!(link.take_refused(), None);
                found.push(Err(MessageError::of_refused(&text).reason));
                assert_eq!(link.rest(), Input::More);
            }
        }
        drop(writer.join().unwrap().unwrap());
        assert!(found[0].is_ok() && found[2].is_ok() && found[4].is_ok());
        let whole = Message::decode(broken.as_bytes()).unwrap_err().reason;
        assert_eq!(found[1].as_ref().unwrap_err(), &whole);
        assert!(found[3].as_ref().unwrap_err().contains("expected a message"), "{:?}", found[3]);
        let least = portion::arriving_nanos(500_000) + portion::refused_nanos(short.len());
        assert!((least..2 * least).contains(&nanos), "{nanos} ns are charged");
    });
}

#[test]
fn nothing_is_read_after_a_broken_frame() {
    let mut bytes = PING.to_vec();
    bytes.extend_from_slice(b"hello\n");
    bytes.extend_from_slice(PING);
    let found = read_all(&bytes);
    assert!(matches!(&found[..], [(1, Input::Broken(FrameError::Text { .. }))]), "{found:?}");
}
