//! The channel without the SDK: bytes go out as they are. One of the files with unsafe code.

use bulkhead_protocol::CHANNEL_VARIABLE;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

static INPUT: OnceLock<File> = OnceLock::new();
static OUTPUT: OnceLock<File> = OnceLock::new();

/// Copies the channel's descriptors before the SDK takes them. A missing descriptor is left for the SDK to report.
pub(crate) fn keep() {
    let number = |standard: RawFd| match std::env::var(CHANNEL_VARIABLE) {
        Ok(number) => number.parse().ok().filter(|number: &RawFd| *number > 2),
        Err(_) => Some(standard),
    };
    for (place, standard) in [(&INPUT, 0), (&OUTPUT, 1)] {
        if let Some(copy) = number(standard).and_then(copy) {
            let _ = place.set(File::from(copy));
        }
    }
}

fn copy(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: nothing in this process has closed a descriptor yet, and a number that is not open
    // makes the copy fail; it is borrowed for this call only.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().ok()
}

/// The output, for a child.
pub(crate) fn output() -> &'static File {
    OUTPUT.get().expect("the channel was kept at the start")
}

/// Sends bytes as they are. A host that has closed the channel is ignored.
pub(crate) fn send(bytes: &[u8]) {
    let _ = output().write_all(bytes);
}

/// Sends text as the content of one frame.
pub(crate) fn send_frame(content: &[u8]) {
    let length = u32::try_from(content.len()).expect("tests send less than 4 GiB");
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(content);
    send(&frame);
}

/// Reads the content of one frame; `None` at the end.
pub(crate) fn receive_frame() -> Option<Vec<u8>> {
    let mut input = INPUT.get().expect("the channel was kept at the start");
    let mut length = [0; 4];
    input.read_exact(&mut length).ok()?;
    let mut content = vec![0; u32::from_be_bytes(length) as usize];
    input.read_exact(&mut content).ok()?;
    Some(content)
}

/// Closes every descriptor but standard error, and those of standard input and output that are no channel. Their owners
/// must not drop them any more, so the caller never returns.
pub(crate) fn close_all() {
    let channel = if std::env::var_os(CHANNEL_VARIABLE).is_none() { 0..2 } else { 0..0 };
    for number in channel.chain(3..1024) {
        let _ = nix::unistd::close(number);
    }
}
