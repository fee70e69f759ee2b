//! Streams of frames: what is in one does not depend on how it is cut, and its messages are those of its frames.

use bulkhead_protocol::{Decoder, FrameError, Message, MessageError};

/// More than the length from which messages are read as they arrive, so that some are.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// Frames of a stream, and how it ends.
type Found<T> = (Vec<T>, Result<(), FrameError>);

/// The first two bytes say how it is cut.
pub(crate) fn run(bytes: &[u8]) {
    let Some((cuts, stream)) = bytes.split_first_chunk::<2>() else { return };
    let whole = frames([stream].into_iter());
    let frames_in_pieces = frames(pieces(stream, *cuts));
    assert_eq!(without_quote(&whole), without_quote(&frames_in_pieces), "frames");
    let decoded: Vec<_> = whole.0.iter().map(|content| Message::decode(content)).collect();
    for (found, end) in [messages([stream].into_iter()), messages(pieces(stream, *cuts))] {
        assert_eq!(found, decoded, "messages");
        assert_eq!(without_quote(&(Vec::<u8>::new(), end)).1, without_quote(&(Vec::<u8>::new(), whole.1.clone())).1);
    }
}

fn pieces(mut rest: &[u8], cuts: [u8; 2]) -> impl Iterator<Item = &[u8]> {
    cuts.into_iter().cycle().map_while(move |length| {
        let (piece, after) = rest.split_at((usize::from(length) + 1).min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The same, without the text that is quoted of a stream that is text, since as much is quoted as had arrived.
fn without_quote<T: Clone>((found, end): &Found<T>) -> Found<T> {
    let end = match end {
        Err(FrameError::Text { found }) => Err(FrameError::Text { found: found[..found.len().min(4)].to_vec() }),
        other => other.clone(),
    };
    (found.clone(), end)
}

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Found<Vec<u8>> {
    read(pieces, |decoder, piece| Ok(decoder.next(piece)?.map(<[u8]>::to_vec)))
}

fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Found<Result<Message, MessageError>> {
    read(pieces, Decoder::next_message)
}

fn read<'a, T>(
    pieces: impl Iterator<Item = &'a [u8]>,
    next: impl Fn(&mut Decoder, &mut &'a [u8]) -> Result<Option<T>, FrameError>,
) -> Found<T> {
    let mut decoder = Decoder::new(FRAME_BYTES_MAX);
    let (mut found, mut came) = (Vec::new(), 0);
    for mut piece in pieces {
        came += piece.len();
        loop {
            match next(&mut decoder, &mut piece) {
                Ok(Some(one)) => found.push(one),
                Ok(None) => break,
                Err(error) => return (found, Err(error)),
            }
        }
        decoder.shrink();
        assert!(decoder.held_bytes() <= came, "more is held than has come");
        assert!(decoder.capacity_bytes() <= 4 * came + (64 << 10), "a length that is promised takes memory");
    }
    (found, decoder.finish())
}
