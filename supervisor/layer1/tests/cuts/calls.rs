//! Stands in the place of the functions of the C library by which files are changed, in this test program only: what
//! SQLite and the store do to the files of a `Disk` is recorded there. All other files are passed on to the kernel.
//!
//! A layer below SQLite alone (a VFS) would not see what the store does by itself: that it writes the log again at
//! its start, flushes it by a descriptor of its own, and keeps a file beside the database.

use crate::{
    disk::{self, Disk, FOLDER, FOLDER_PREFIX, Full},
    files::Op,
};
use nix::{
    errno::Errno,
    libc::{self, c_char, c_int, c_void, mode_t, off_t, size_t, ssize_t, syscall},
};
use std::{
    ffi::{CStr, OsStr},
    fs::File,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Which file of which disk a descriptor is of: the numbers of both, 0 for neither.
static DESCRIPTORS: [AtomicU64; 4096] = [const { AtomicU64::new(0) }; 4096];

fn entry(fd: c_int) -> Option<&'static AtomicU64> {
    DESCRIPTORS.get(usize::try_from(fd).ok()?)
}

fn of_descriptor(fd: c_int) -> Option<(Arc<Disk>, u32)> {
    match entry(fd)?.load(Ordering::Acquire) {
        0 => None,
        found => Some((disk::numbered((found >> 32) as u32)?, found as u32)),
    }
}

/// The number of an open file on its disk.
pub fn followed(file: &File) -> Option<u32> {
    of_descriptor(file.as_raw_fd()).map(|(_, number)| number)
}

/// Writes into a file what can be read of it from now on, without a record.
pub fn write_past_the_record(file: &File, offset: usize, data: &[u8]) {
    write_piece(file.as_raw_fd(), offset, data);
}

fn write_piece(fd: c_int, offset: usize, data: &[u8]) {
    // The store has its log open for reading only.
    let name = format!("/proc/self/fd/{fd}\0");
    // SAFETY: `name` ends with a zero, and `data` is as long as it is said to be.
    let written = unsafe {
        let own = syscall(libc::SYS_openat, libc::AT_FDCWD, name.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC, 0);
        let written = syscall(libc::SYS_pwrite64, own, data.as_ptr(), data.len(), offset as off_t);
        syscall(libc::SYS_close, own);
        written
    };
    assert_eq!(usize::try_from(written), Ok(data.len()), "{}", std::io::Error::last_os_error());
}

/// The disk and the name of the file, if it is followed. `None` as a name is the folder.
fn of_path(path: *const c_char) -> Option<(Arc<Disk>, Option<String>)> {
    // SAFETY: the callers of the C library's functions pass a text that ends with a zero.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    let prefix = FOLDER_PREFIX.as_bytes();
    if !path.windows(prefix.len()).any(|part| part == prefix) {
        return None;
    }
    let (disk, name) = disk::find(Path::new(OsStr::from_bytes(path)))?;
    name.as_ref().is_none_or(|name| disk::is_followed(name)).then_some((disk, name))
}

fn open_at(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the arguments are those of the caller.
    let call = || unsafe { syscall(libc::SYS_openat, libc::AT_FDCWD, path, flags, mode as libc::c_uint) } as c_int;
    let Some((disk, name)) = of_path(path) else { return call() };
    let open = || Some(call()).filter(|fd| *fd >= 0);
    let opened = match &name {
        Some(name) => disk.open(name, flags & libc::O_CREAT != 0, open),
        None => open().map(|fd| (fd, FOLDER)),
    };
    let Some((fd, number)) = opened else { return -1 };
    if number == u32::MAX {
        return fd;
    }
    let Some(entry) = entry(fd) else {
        eprintln!("descriptor {fd} is beyond those that can be followed");
        std::process::abort();
    };
    entry.store((u64::from(disk.number()) << 32) | u64::from(number), Ordering::Release);
    if flags & libc::O_TRUNC != 0 && number != FOLDER {
        disk.change(Op::SetLen { file: number as usize, len: 0 }, || 0);
    }
    fd
}

// In C the mode is one of any number of arguments. It is in the same register on the machines that this is run on.
#[unsafe(no_mangle)]
extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(path, flags, mode)
}

#[unsafe(no_mangle)]
extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_at(path, flags, mode)
}

#[unsafe(no_mangle)]
extern "C" fn close(fd: c_int) -> c_int {
    if let Some(entry) = entry(fd) {
        entry.store(0, Ordering::Release);
    }
    // SAFETY: as the caller's.
    (unsafe { syscall(libc::SYS_close, fd) }) as c_int
}

fn write_any(fd: c_int, data: *const c_void, bytes: size_t, at: Option<off_t>) -> ssize_t {
    // SAFETY: as the caller's: `data` has so many bytes.
    let call = |bytes: size_t| unsafe {
        match at {
            Some(at) => syscall(libc::SYS_pwrite64, fd, data, bytes, at) as ssize_t,
            None => syscall(libc::SYS_write, fd, data, bytes) as ssize_t,
        }
    };
    let Some((disk, file)) = of_descriptor(fd) else { return call(bytes) };
    // SAFETY: as above.
    let all = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), bytes) };
    let written = disk.write(file, all, |part| {
        // SAFETY: it only asks where the descriptor stands.
        let offset = at.unwrap_or_else(|| unsafe { syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) } as off_t);
        (call(part.len()), offset as usize)
    });
    written.unwrap_or_else(|Full| {
        Errno::ENOSPC.set();
        -1
    })
}

#[unsafe(no_mangle)]
extern "C" fn write(fd: c_int, data: *const c_void, bytes: size_t) -> ssize_t {
    write_any(fd, data, bytes, None)
}

#[unsafe(no_mangle)]
extern "C" fn pwrite(fd: c_int, data: *const c_void, bytes: size_t, at: off_t) -> ssize_t {
    write_any(fd, data, bytes, Some(at))
}

#[unsafe(no_mangle)]
extern "C" fn pwrite64(fd: c_int, data: *const c_void, bytes: size_t, at: off_t) -> ssize_t {
    write_any(fd, data, bytes, Some(at))
}

fn set_len(fd: c_int, len: off_t) -> c_int {
    // SAFETY: as the caller's.
    let call = || (unsafe { syscall(libc::SYS_ftruncate, fd, len) }) as c_int;
    match of_descriptor(fd) {
        Some((disk, file)) => disk.change(Op::SetLen { file: file as usize, len: len as usize }, call),
        None => call(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate(fd: c_int, len: off_t) -> c_int {
    set_len(fd, len)
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate64(fd: c_int, len: off_t) -> c_int {
    set_len(fd, len)
}

fn flush(fd: c_int, number: libc::c_long) -> c_int {
    let Some((disk, file)) = of_descriptor(fd) else {
        // SAFETY: as the caller's.
        return (unsafe { syscall(number, fd) }) as c_int;
    };
    match disk.flush(file) {
        Ok(()) => 0,
        Err(dropped) => {
            dropped.iter().for_each(|(offset, data)| write_piece(fd, *offset, data));
            Errno::EIO.set();
            -1
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn fsync(fd: c_int) -> c_int {
    flush(fd, libc::SYS_fsync)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(fd: c_int) -> c_int {
    flush(fd, libc::SYS_fdatasync)
}

#[unsafe(no_mangle)]
extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: as the caller's.
    let call = || (unsafe { syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path, 0) }) as c_int;
    match of_path(path) {
        Some((disk, Some(name))) => disk.change(Op::Remove { name }, call),
        _ => call(),
    }
}

#[unsafe(no_mangle)]
extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: as the caller's.
    let call = || (unsafe { syscall(libc::SYS_renameat2, libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }) as c_int;
    match (of_path(from), of_path(to)) {
        (Some((disk, Some(from))), Some((_, Some(to)))) => disk.change(Op::Rename { from, to }, call),
        _ => call(),
    }
}
