//! Disks that are full or cannot be written, below a host: the state directory is a small file system of its own. That
//! needs the right to mount; without it, the test prints what was skipped.

use crate::support::{ALL, add_steps, count, create, emit, failure, mutate, query};
use bulkhead_protocol::{ErrorCode, Failure};
use bulkhead_tests::{Caller, Ended, Host, NOBODY, World, is_root, until};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{ErrorKind, Write},
    os::unix::fs::chown,
    path::{Path, PathBuf},
};

/// A file system in memory, mounted until it is dropped.
struct Disk(PathBuf);

impl Disk {
    /// The state directory of a world, with this size. `None` where this program may not mount.
    fn of(world: &World, test: &str, size: &str) -> Option<Disk> {
        let path = world.state();
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=0700");
        match mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())) {
            Ok(()) => Some(Disk(path)),
            Err(error) => {
                eprintln!("skipped {test}: a file system cannot be mounted here: {error}");
                None
            }
        }
    }

    /// Fills the disk; removing the file frees it again.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filling");
        let mut file = File::create(&path).unwrap();
        for piece in [vec![0; 64 * 1024], vec![0; 4096], vec![0; 1]] {
            loop {
                match file.write(&piece) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        path
    }

    fn make_read_only(&self) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, &self.0, None::<&str>, flags, None::<&str>).unwrap();
    }

    fn make_writable(&self) {
        mount(None::<&str>, &self.0, None::<&str>, MsFlags::MS_REMOUNT, None::<&str>).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// A host that must not start.
fn refused(world: &World, words: &[&str]) {
    let ended = Host::start(world.run_command()).wait();
    let Ended { code, stderr, .. } = &ended;
    assert_eq!(*code, Some(1), "{ended:?}");
    for word in words {
        assert!(stderr.contains(word), "expected {word:?} in {stderr}");
    }
    assert!(world.processes().is_empty(), "nothing half done");
}

/// The files of a data store with their content, except what each opening writes.
fn files(state: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = fs::read_dir(state.join("layer1")).unwrap().map(|entry| entry.unwrap().path());
    let kept = paths.filter(|path| !path.ends_with("layer1.db.lock") && !path.ends_with("layer1.db-shm"));
    kept.map(|path| (path.clone(), fs::read(&path).unwrap())).filter(|(_, bytes)| !bytes.is_empty()).collect()
}

/// Checks the data with the command, as an operator does.
fn is_whole(world: &World, entities: &str) {
    let state = world.state();
    let checked = world.bulkhead(&["layer1", "check", "--state", state.to_str().unwrap()]);
    let out = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(out, format!("the data is whole: {entities}\n"), "{checked:?}");
}

fn is_disk_full(failure: &Failure) {
    assert!(failure.code == ErrorCode::Internal && failure.retryable, "{failure:?}");
    assert!(failure.error.contains("there is no room on the disk"), "{}", failure.error);
}

/// Fills the store with entities of some size until one does not fit any more.
fn create_until_full(client: &mut Caller) -> (Vec<Value>, Box<Failure>) {
    let mut stored = Vec::new();
    let text = "x".repeat(20_000);
    loop {
        assert!(stored.len() < 1000, "the disk never got full");
        let data = json!({ "n": stored.len(), "text": text });
        match mutate(client, json!({ "entity": "Note", "operation": "create", "data": data })) {
            Ok(answer) => stored.push(answer["id"].clone()),
            Err(failure) => return (stored, failure),
        }
    }
}

#[test]
fn a_full_disk_is_reported_to_writers_reads_go_on_and_so_do_writes_when_there_is_room() {
    let mut world = World::new();
    let Some(disk) = Disk::of(&world, "a host on a full disk", "8m") else { return };
    world.start();
    let mut client = world.client();
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![0; 4 << 20]).unwrap();
    let (stored, full) = create_until_full(&mut client);
    is_disk_full(&full);
    let reason: Value = full.data.unwrap().read().unwrap();
    assert_eq!(reason["reason"], "disk_full");
    let filling = disk.fill();
    // Larger than the space that the failed change may have left in the log.
    let large = json!({ "n": -1, "text": "y".repeat(100_000) });
    let update = json!({ "entity": "Note", "operation": "update", "id": stored[0], "data": large });
    is_disk_full(&failure(mutate(&mut client, update)));
    let create_large = json!({ "entity": "Note", "operation": "create", "data": large }).to_string();
    let shown = world.bulkhead(&["mutate", "layer1", &create_large]);
    assert_eq!(shown.status.code(), Some(1), "{shown:?}");
    assert!(String::from_utf8_lossy(&shown.stderr).contains("there is no room on the disk"), "{shown:?}");
    // What was acknowledged is stored, nothing else is, and the store is not broken.
    assert_eq!(count(&mut client, "Note"), stored.len() as u64);
    let first = query(&mut client, json!({ "entity": "Note", "id": stored[0] })).unwrap();
    assert_eq!(first["entities"][0]["data"]["n"], 0);
    let status = client.supervisor("layer1", Value::Null);
    assert_eq!((&status["broken"], &status["events"]["newest"]), (&Value::Null, &json!(stored.len())));
    fs::remove_file(filling).unwrap();
    fs::remove_file(ballast).unwrap();
    create(&mut client, "Note", json!({ "n": "after" }));
    let all = stored.len() as u64 + 1;
    assert_eq!(count(&mut client, "Note"), all);
    world.stop();
    is_whole(&world, &format!("{all} entities"));
    world.start();
    assert_eq!(count(&mut world.client(), "Note"), all);
    world.stop();
}

#[test]
fn a_module_on_a_full_disk_gets_its_event_again_when_there_is_room_and_none_is_set_aside() {
    let Some(mut world) = crate::support::world() else { return };
    let Some(disk) = Disk::of(&world, "a module on a full disk", "8m") else { return };
    let note = json!({ "text": "x".repeat(100_000) });
    let on_event = json!({ "mutation": { "entity": "Seen", "operation": "create", "data": note } });
    let text = on_event.to_string().replace("\":", "\"=");
    let rest = format!("{ALL}event_subscribe = [\"day.*\"]\n[config]\non_event = [{text}]");
    add_steps(&world, "m", &rest);
    world.start();
    let mut client = world.client();
    client.wait_ready("m");
    emit(&mut client, "day.begun", json!(1));
    until("the first event is handled", || (count(&mut client, "Seen") == 1).then_some(()));
    client.supervisor("stop", json!({ "name": "m" }));
    (2..=4).for_each(|n| drop(emit(&mut client, "day.begun", json!(n))));
    let filling = disk.fill();
    client.supervisor("start", json!({ "name": "m" }));
    // A call that changes something is undone and gets an error; one that only reads is not hindered.
    let steps = json!([{ "mutation": { "entity": "Note", "operation": "create", "data": note } }]);
    is_disk_full(&failure(client.call("m", "do", steps)));
    let read = client.call("m", "do", json!([{ "query": { "entity": "Seen", "count": true, "limit": 0 } }])).unwrap();
    assert_eq!(read[0]["count"], 1);
    until("an event was tried", || {
        let seen = client.call("m", "do", json!([{ "seen": true }])).unwrap();
        (!seen[0].as_array().unwrap().is_empty()).then_some(())
    });
    assert_eq!((count(&mut client, "Seen"), count(&mut client, "Note")), (1, 0));
    fs::remove_file(filling).unwrap();
    until("all events are handled", || (count(&mut client, "Seen") == 4).then_some(()));
    assert_eq!(client.supervisor("set_aside", Value::Null)["set_aside"], json!([]));
    world.stop();
    is_whole(&world, "4 entities");
}

#[test]
fn a_host_on_a_full_disk_is_refused_with_the_reason_and_harms_nothing() {
    let mut world = World::new();
    let Some(disk) = Disk::of(&world, "a start on a full disk", "4m") else { return };
    world.start();
    create(&mut world.client(), "Note", json!({ "n": 1 }));
    world.stop();
    let before = files(&world.state());
    let filling = disk.fill();
    refused(&world, &["cannot open the data store", "there is no room on the disk", "make some and start again"]);
    assert!(files(&world.state()) == before);
    fs::remove_file(filling).unwrap();
    world.start();
    assert_eq!(count(&mut world.client(), "Note"), 1);
    world.stop();
}

#[test]
fn a_state_directory_that_cannot_be_written_is_refused_with_a_remedy_and_stays_as_it_was() {
    let mut world = World::new();
    let Some(disk) = Disk::of(&world, "a read-only state directory", "4m") else { return };
    disk.make_read_only();
    refused(&world, &["cannot use the state directory", "Read-only file system", "--state DIR"]);
    disk.make_writable();
    world.start();
    create(&mut world.client(), "Note", json!({ "n": 1 }));
    world.stop();
    let before = files(&world.state());
    disk.make_read_only();
    refused(&world, &["cannot use the state directory", "Read-only file system", "--state DIR"]);
    assert!(files(&world.state()) == before);
    disk.make_writable();
    world.start();
    assert_eq!(count(&mut world.client(), "Note"), 1);
    world.stop();
}

#[test]
fn a_folder_of_the_data_that_cannot_be_written_is_refused_with_a_remedy_and_stays_as_it_was() {
    let mut world = World::new();
    world.start();
    create(&mut world.client(), "Note", json!({ "n": 1 }));
    world.stop();
    let folder = world.state().join("layer1");
    let before = files(&world.state());
    let bound = match mount(Some(&folder), &folder, None::<&str>, MsFlags::MS_BIND, None::<&str>) {
        Ok(()) => Disk(folder),
        Err(error) => return eprintln!("skipped: a read-only folder of the data cannot be mounted here: {error}"),
    };
    let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, &bound.0, None::<&str>, read_only, None::<&str>).unwrap();
    refused(&world, &["cannot open the data store", "cannot be written", "or mount it writable"]);
    assert!(files(&world.state()) == before);
    drop(bound);
    world.start();
    assert_eq!(count(&mut world.client(), "Note"), 1);
    world.stop();
}

#[test]
fn data_of_another_user_is_refused_with_a_remedy() {
    if !is_root() {
        return eprintln!("skipped: what another user owns, since only root can give it away");
    }
    let mut world = World::new().as_nobody();
    let folder = world.state().join("layer1");
    world.start();
    create(&mut world.client(), "Note", json!({ "n": 1 }));
    world.stop();
    let before = files(&world.state());
    chown(&folder, Some(0), Some(0)).unwrap();
    refused(&world, &["cannot open the data store", "cannot be written", "give the host's user the right"]);
    assert!(files(&world.state()) == before);
    chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
    world.start();
    assert_eq!(count(&mut world.client(), "Note"), 1);
    world.stop();
}
