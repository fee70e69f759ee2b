//! A folder of the state directory, held open. What is in it is opened, renamed and removed from there, so a link
//! is followed neither instead of the folder nor instead of a file in it, and what another user could have
//! created there is refused ([`check_own`]). What the files are for is not known here.

use bulkhead_config::check_own;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open, openat, renameat},
    sys::stat::{Mode, mkdirat},
    unistd::{UnlinkatFlags, unlinkat},
};
use std::{
    fs::{File, Metadata},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Neither a link nor a device nor a pipe without a reader makes an opening go elsewhere or wait.
const ALWAYS: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// How a folder is opened: to reach what is in it, for which it need not be readable.
const AS_FOLDER: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Only the host's user may use what it makes.
const FOLDER_MODE: Mode = Mode::S_IRWXU;
const FILE_MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// A folder of which root and this process's user alone can change what it holds.
#[derive(Debug)]
pub(crate) struct Folder {
    file: File,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at `path`. Of the way there, only the last step is looked at.
    ///
    /// # Errors
    /// When there is none, another user could change what it holds, or its path is a link.
    pub(crate) fn open(path: &Path) -> io::Result<Folder> {
        let opened = open(path, AS_FOLDER, Mode::empty()).map_err(|errno| no_folder(path, errno))?;
        Folder::checked(File::from(opened), path.to_owned())
    }

    /// The folder of this name, which is made where there is none.
    ///
    /// # Errors
    /// As [`Folder::open`], and when it cannot be made.
    pub(crate) fn sub(&self, name: &str) -> io::Result<Folder> {
        let path = self.path.join(name);
        match mkdirat(&self.file, name, FOLDER_MODE) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let opened = openat(&self.file, name, AS_FOLDER, Mode::empty()).map_err(|errno| no_folder(&path, errno))?;
        Folder::checked(File::from(opened), path)
    }

    fn checked(file: File, path: PathBuf) -> io::Result<Folder> {
        check_own(&file.metadata()?, &path).map_err(io::Error::other)?;
        Ok(Folder { file, path })
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// A file that is added to, and how long it is.
    ///
    /// # Errors
    /// When it cannot be made or opened, or is none of this host's own.
    pub(crate) fn append(&self, name: &str) -> io::Result<(File, u64)> {
        let file = self.own(name, OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT)?;
        let bytes = file.metadata()?.len();
        Ok((file, bytes))
    }

    /// A file that is read and written, made where there is none.
    ///
    /// # Errors
    /// As [`Folder::append`].
    pub(crate) fn read_and_write(&self, name: &str) -> io::Result<File> {
        self.own(name, OFlag::O_RDWR | OFlag::O_CREAT)
    }

    /// What is in a file, up to so many bytes.
    ///
    /// # Errors
    /// When it cannot be read, or is none of this host's own.
    pub(crate) fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file(name)?.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A file that is read.
    ///
    /// # Errors
    /// As [`Folder::read`].
    pub(crate) fn open_file(&self, name: &str) -> io::Result<File> {
        self.own(name, OFlag::O_RDONLY)
    }

    /// Replaces what has this name by a whole file. It is written under another name first, so that it is
    /// never half there. What had that name is not written to, as it may be a link.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) -> io::Result<File> {
        let unfinished = Path::new(name).with_extension("unfinished");
        match unlinkat(&self.file, &unfinished, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags = ALWAYS | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let mut file = File::from(openat(&self.file, &unfinished, flags, FILE_MODE)?);
        file.write_all(content)?;
        renameat(&self.file, &unfinished, &self.file, name)?;
        Ok(file)
    }

    /// # Errors
    /// When that fails, also since there is no such file.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.file, from, &self.file, to)?)
    }

    /// # Errors
    /// When that fails, also since there is no such file.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.file, name, UnlinkatFlags::NoRemoveDir)?)
    }

    fn own(&self, name: &str, flags: OFlag) -> io::Result<File> {
        let opened = openat(&self.file, name, ALWAYS | flags, FILE_MODE).map_err(|errno| match errno {
            Errno::ELOOP => io::Error::other("it is a link, and none is followed here; remove it"),
            errno => errno.into(),
        });
        let file = File::from(opened?);
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is no regular file; remove it"));
        }
        if found.nlink() > 1 {
            let reason = "it has another name elsewhere (a hard link), and what is written here would be written there; \
                          put a copy in its place";
            return Err(io::Error::other(reason));
        }
        check_own(&found, &self.path.join(name)).map_err(io::Error::other)?;
        Ok(file)
    }
}

fn no_folder(path: &Path, errno: Errno) -> io::Error {
    match errno {
        Errno::ENOTDIR => io::Error::other(format!(
            "{}: expected a folder, found a link or something else; remove it, or put a folder in its place",
            path.display()
        )),
        errno => errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;
    use std::{
        fs::{self, Permissions},
        io::ErrorKind,
        os::unix::fs::{PermissionsExt, chown, symlink},
    };

    struct Test {
        path: Scratch,
        folder: Folder,
    }

    impl Test {
        fn new(name: &str) -> Test {
            let path = Scratch::new(&format!("folder-{name}"));
            fs::write(path.join("victim"), "as it was").unwrap();
            Test { folder: Folder::open(&path).unwrap(), path }
        }

        /// All operations on a file of this name, of which none may succeed.
        #[track_caller]
        fn refused(&self, name: &str, reason: &str) {
            let errors = [
                self.folder.append(name).err(),
                self.folder.read_and_write(name).err(),
                self.folder.read(name, 100).err(),
            ];
            for error in errors {
                let error = error.expect("it is refused").to_string();
                assert!(error.contains(reason), "{error}");
            }
            assert_eq!(fs::read_to_string(self.path.join("victim")).unwrap(), "as it was");
        }
    }

    #[test]
    fn a_link_a_pipe_and_a_file_with_another_name_are_neither_read_nor_written_nor_waited_for() {
        let test = Test::new("links");
        let path = |name: &str| test.path.join(name);
        symlink("victim", path("link")).unwrap();
        test.refused("link", "it is a link");
        symlink("gone", path("to-nothing")).unwrap();
        test.refused("to-nothing", "it is a link");
        assert!(!path("gone").exists());
        fs::hard_link(path("victim"), path("hard")).unwrap();
        test.refused("hard", "a hard link");
        fs::remove_file(path("hard")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        assert!(test.folder.append("pipe").is_err() && test.folder.read("pipe", 1).is_err());
        fs::create_dir(path("folder")).unwrap();
        assert!(test.folder.append("folder").is_err() && test.folder.read("folder", 1).is_err());
        fs::write(path("open"), "").unwrap();
        fs::set_permissions(path("open"), Permissions::from_mode(0o646)).unwrap();
        test.refused("open", "chmod 644");
    }

    #[test]
    fn a_whole_file_replaces_what_has_its_name_and_writes_to_nothing_else() {
        let test = Test::new("replace");
        for name in ["a.json", "a.unfinished"] {
            symlink("victim", test.path.join(name)).unwrap();
            test.folder.replace("a.json", b"{}").unwrap();
            fs::hard_link(test.path.join("victim"), test.path.join("a.unfinished")).unwrap();
            test.folder.replace("a.json", b"{}").unwrap();
        }
        assert_eq!(test.folder.read("a.json", 100).unwrap(), b"{}");
        assert_eq!(fs::read_to_string(test.path.join("victim")).unwrap(), "as it was");
        let mode = fs::metadata(test.path.join("a.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_folder_that_is_a_link_or_open_to_others_is_refused_and_one_that_is_moved_away_is_still_the_same() {
        let test = Test::new("folders");
        let sub = test.folder.sub("sub").unwrap();
        assert_eq!(sub.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        symlink("sub", test.path.join("link")).unwrap();
        for error in [test.folder.sub("link").unwrap_err(), Folder::open(&test.path.join("link")).unwrap_err()] {
            assert!(error.to_string().contains("expected a folder, found a link"), "{error}");
        }
        fs::rename(test.path.join("sub"), test.path.join("moved")).unwrap();
        symlink("/", test.path.join("sub")).unwrap();
        sub.append("log").unwrap().0.write_all(b"x").unwrap();
        assert_eq!(fs::read_to_string(test.path.join("moved/log")).unwrap(), "x");
        for (mode, fit) in [(0o757, "chmod 755"), (0o1757, "chmod 1755")] {
            fs::set_permissions(test.path.join("moved"), Permissions::from_mode(mode)).unwrap();
            let error = test.folder.sub("moved").unwrap_err().to_string();
            assert!(error.contains(fit), "{error}");
        }
        assert_eq!(Folder::open(&test.path.join("gone")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_another_user_owns_is_refused() {
        if !nix::unistd::geteuid().is_root() {
            return eprintln!("skipped: what another user owns, since only root can give it away");
        }
        let test = Test::new("owner");
        fs::write(test.path.join("file"), "").unwrap();
        fs::create_dir(test.path.join("folder")).unwrap();
        for name in ["file", "folder"] {
            chown(test.path.join(name), Some(64999), Some(64999)).unwrap();
        }
        test.refused("file", "belongs to user 64999");
        assert!(test.folder.sub("folder").unwrap_err().to_string().contains("belongs to user 64999"));
    }
}
