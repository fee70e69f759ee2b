//! Disks that are full or cannot be written, on small file systems of their own. They need the right to
//! mount; without it, a line says that they were skipped.

mod common;

use bulkhead_layer1::{Layer1, OpenError, Settings};
use bulkhead_protocol::ErrorCode;
use common::*;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::path::PathBuf;

/// A file system in memory that goes with the value.
struct Disk {
    folder: Folder,
}

impl Disk {
    /// `None` where this program may not mount.
    fn new(test: &str, size: &str) -> Option<Disk> {
        let folder = Folder::new();
        let options = format!("size={size}");
        match mount(Some("tmpfs"), &folder.0, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())) {
            Ok(()) => Some(Disk { folder }),
            Err(error) => {
                println!("skipped {test}: a file system cannot be mounted here: {error}");
                None
            }
        }
    }

    fn database(&self) -> PathBuf {
        self.folder.database()
    }

    fn make_read_only(&self) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, &self.folder.0, None::<&str>, flags, None::<&str>).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.folder.0, MntFlags::MNT_DETACH);
    }
}

fn refused(path: PathBuf) -> OpenError {
    match Layer1::open(Settings::new(path), || {}) {
        Err(error) => error,
        Ok(_) => panic!("expected a refusal"),
    }
}

#[test]
fn a_full_disk_fails_what_does_not_fit_and_nothing_else() {
    let Some(disk) = Disk::new("a_full_disk_fails_what_does_not_fit_and_nothing_else", "2m") else { return };
    let path = disk.database();
    let store = Store::in_folder(Folder::new(), |settings| settings.path = path.clone());
    let mut stored = Vec::new();
    let create = |n: usize| {
        format!(r#"{{"entity":"A","operation":"create","data":{{"n":{n},"text":"{}"}}}}"#, "x".repeat(20_000))
    };
    let failure = loop {
        match store.mutate_as(None, "m", &create(stored.len())) {
            Ok((reply, _)) => stored.push(reply["id"].as_str().unwrap().to_owned()),
            Err(failure) => break failure,
        }
        assert!(stored.len() < 1000, "the disk never got full");
    };
    assert_code(&failure, ErrorCode::Internal, "there is no room on the disk");
    assert!(failure.retryable && stored.len() > 10);
    let check = |store: &Store, stored: &[String]| {
        for id in stored {
            store.query(&format!(r#"{{"entity":"A","id":"{id}"}}"#));
        }
        assert_eq!(store.query(r#"{"entity":"A","limit":0,"count":true}"#)["count"], stored.len());
    };
    check(&store, &stored);
    // It fails each time, and goes on as soon as there is room.
    assert_code(&store.mutate_as(None, "m", &create(0)).unwrap_err(), ErrorCode::Internal, "there is no room");
    assert_eq!(store.layer1.broken(), None);
    let larger = Some("size=8m");
    mount(None::<&str>, &disk.folder.0, None::<&str>, MsFlags::MS_REMOUNT, larger).unwrap();
    let (reply, events) = store.mutate_as(None, "m", &create(7)).unwrap();
    stored.push(reply["id"].as_str().unwrap().to_owned());
    assert_eq!(events[0].cursor.0, stored.len() as u64);
    let store = store.reopened(|settings| settings.path = path.clone());
    check(&store, &stored);
    assert_eq!(store.layer1.tools().check(&mut |_| std::ops::ControlFlow::Continue(())).unwrap(), Vec::<String>::new());
}

#[test]
fn a_new_store_on_a_full_disk_is_refused_with_the_reason() {
    let Some(disk) = Disk::new("a_new_store_on_a_full_disk_is_refused_with_the_reason", "64k") else { return };
    std::fs::write(disk.folder.0.join("filling"), vec![0; 56 * 1024]).unwrap();
    let error = refused(disk.database());
    assert!(matches!(error, OpenError::Full { .. }), "{error}");
    assert!(error.to_string().contains("make some and start again"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_with_the_reason() {
    let Some(disk) = Disk::new("a_folder_that_cannot_be_written_is_refused_with_the_reason", "4m") else { return };
    let path = disk.database();
    for there_before in [false, true] {
        if there_before {
            mount(None::<&str>, &disk.folder.0, None::<&str>, MsFlags::MS_REMOUNT, None::<&str>).unwrap();
            let store = Store::in_folder(Folder::new(), |settings| settings.path = path.clone());
            store.create("A", "{}");
            store.close();
        }
        disk.make_read_only();
        let error = refused(path.clone());
        assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }
}
