//! This host's identity, by a number and not by a name: the path of a state directory may be that of another one in
//! another mount namespace. The number is kept in the directory, and made anew where that is another one than it
//! was: a copy, or on another machine. What carries the number belongs to this host, and nothing else does.

use crate::folder::Folder;
use serde::{Deserialize, Serialize};
use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
};

/// The file with the number.
const FILE: &str = "identity";

/// Longest file of this kind.
const FILE_BYTES_MAX: u64 = 4096;

/// Random bytes of a number.
const NUMBER_BYTES: usize = 16;

/// The files with the number of the machine.
const MACHINE: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];

/// This host's number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Thirty-two hexadecimal digits.
    pub(crate) number: String,
    /// It was made just now: no earlier host had this number, whatever is in the directory.
    pub(crate) is_new: bool,
}

/// As it is kept, with what it holds for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    number: String,
    device: u64,
    inode: u64,
    machine: String,
}

impl Identity {
    /// The number that a state directory has, or a new one. To be called by the one that has its lock.
    pub(crate) fn of(dir: &Folder) -> io::Result<Identity> {
        let machine = MACHINE.iter().find_map(|path| read(path).ok()).unwrap_or_default();
        Identity::on_machine(dir, machine.trim())
    }

    fn on_machine(dir: &Folder, machine: &str) -> io::Result<Identity> {
        let found = dir.metadata()?;
        // One that cannot be understood, or that another user could have written, counts as none: only
        // leftovers of a host that was killed carry its number.
        let kept = dir.read(FILE, FILE_BYTES_MAX).ok();
        let kept: Option<Kept> = kept.and_then(|text| serde_json::from_slice(&text).ok());
        let fits = |kept: &Kept| {
            (kept.device, kept.inode, &*kept.machine) == (found.dev(), found.ino(), machine)
                && kept.number.len() == 2 * NUMBER_BYTES
                && kept.number.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        if let Some(kept) = kept.filter(fits) {
            return Ok(Identity { number: kept.number, is_new: false });
        }
        let number = random()?;
        let kept = Kept { number, device: found.dev(), inode: found.ino(), machine: machine.to_owned() };
        let content = serde_json::to_vec(&kept).expect("numbers and texts can be written as JSON");
        dir.replace(FILE, &content)?.sync_all()?;
        Ok(Identity { number: kept.number, is_new: true })
    }
}

fn read(path: &str) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

fn random() -> io::Result<String> {
    let mut bytes = [0; NUMBER_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a text takes everything");
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::fs;

    struct Dirs(Scratch);

    impl Dirs {
        fn new(name: &str) -> Dirs {
            let dir = Scratch::new(&format!("identity-{name}"));
            fs::create_dir(dir.join("a")).unwrap();
            Dirs(dir)
        }

        fn open(&self, name: &str) -> Folder {
            Folder::open(&self.0.join(name)).unwrap()
        }
    }

    #[test]
    fn a_directory_keeps_its_number_under_another_name() {
        let dirs = Dirs::new("kept");
        let first = Identity::of(&dirs.open("a")).unwrap();
        assert!(first.is_new && first.number.len() == 32, "{first:?}");
        assert_eq!(Identity::of(&dirs.open("a")).unwrap(), Identity { is_new: false, ..first.clone() });
        fs::rename(dirs.0.join("a"), dirs.0.join("b")).unwrap();
        assert_eq!(Identity::of(&dirs.open("b")).unwrap(), Identity { is_new: false, ..first });
    }

    #[test]
    fn a_copy_another_machine_and_a_file_that_says_nothing_are_another_host() {
        let dirs = Dirs::new("others");
        let a = dirs.open("a");
        let first = Identity::on_machine(&a, "one").unwrap();
        fs::create_dir(dirs.0.join("copy")).unwrap();
        fs::copy(dirs.0.join("a/identity"), dirs.0.join("copy/identity")).unwrap();
        let copy = dirs.open("copy");
        let of_copy = Identity::on_machine(&copy, "one").unwrap();
        assert!(of_copy.is_new && of_copy.number != first.number);
        assert!(!Identity::on_machine(&a, "one").unwrap().is_new, "the original keeps its own");
        let elsewhere = Identity::on_machine(&a, "two").unwrap();
        assert!(elsewhere.is_new && elsewhere.number != first.number);
        for text in ["", "{}", "\u{0}", r#"{"number":"x","device":0,"inode":0,"machine":"two"}"#] {
            fs::write(dirs.0.join("a/identity"), text).unwrap();
            assert!(Identity::on_machine(&a, "two").unwrap().is_new, "{text:?}");
            assert!(!Identity::on_machine(&a, "two").unwrap().is_new);
        }
    }

    #[test]
    fn a_number_that_another_could_have_written_is_not_believed_and_a_link_is_not_written_through() {
        let dirs = Dirs::new("planted");
        let a = dirs.open("a");
        let first = Identity::on_machine(&a, "one").unwrap();
        let (file, victim) = (dirs.0.join("a/identity"), dirs.0.join("victim"));
        fs::rename(&file, &victim).unwrap();
        let text = fs::read_to_string(&victim).unwrap();
        std::os::unix::fs::symlink(&victim, &file).unwrap();
        let second = Identity::on_machine(&a, "one").unwrap();
        assert!(second.is_new && second.number != first.number);
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        assert_eq!(fs::read_to_string(&victim).unwrap(), text);
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o606)).unwrap();
        assert!(Identity::on_machine(&a, "one").unwrap().is_new);
    }
}
