//! Compiled code, kept between starts in a folder, one file a module: the machine code as wasmtime writes it, and at
//! its end a seal with the key, the length and the SHA-256 of the code.
//!
//! A file is loaded only when it is ours alone and every byte of it is as it was written. Any other (torn, cut,
//! altered, renamed, of another version) counts as missing: the module is compiled and the file replaced. The cache
//! never makes a start fail.
//!
//! One of the two files with unsafe code: machine code from a file is run.

mod sweep;

use bulkhead_child::log;
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use wasmtime::{Engine, Module};

/// Most bytes of all files together.
const CACHE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// What follows the key in the name of a compiled module's file.
const ENDING: &str = "compiled";

/// The seal's first bytes: a file of ours, in the form of this version.
const MAGIC: [u8; 16] = *b"bulkhead wasm 1\n";

/// Magic, key, length of the code, and the code's SHA-256.
const SEAL_BYTES: usize = MAGIC.len() + 32 + 8 + 32;

/// A number that no process has.
const NO_PROCESS: u32 = 0;

/// A file's time of use is written at most this often: it is only there to find the oldest.
const TOUCH_AFTER: Duration = Duration::from_secs(3600);

/// What identifies a compiled module: its bytes, and all settings of the compiler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key([u8; 32]);

impl Key {
    /// The key of the module of these bytes, compiled by this engine.
    pub(crate) fn of(engine: &Engine, wasm: &[u8]) -> Key {
        // Version, settings, machine and its features: wasmtime includes all that its code depends on.
        let mut hasher = Feed(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let mut digest = hasher.0;
        digest.update(MAGIC);
        digest.update(Sha256::digest(wasm));
        Key(digest.finalize().into())
    }

    fn file_name(&self) -> String {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{hex}.{ENDING}")
    }
}

/// Hashes any `Hash` value into a SHA-256.
struct Feed(Sha256);

impl Hasher for Feed {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// The right to compile one module, as long as it lives.
pub(crate) struct Lock {
    file: Option<File>,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.file.is_some() {
            // A process that waits for it has it open, and finds the module compiled. A later one makes another.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A folder of compiled modules.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which is made when it is not there; `None`, with a warning in the log,
    /// when it cannot be used.
    pub(crate) fn open(folder: &Path) -> Option<Cache> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let checked = made.and_then(|()| check_owner(&std::fs::metadata(folder)?));
        match checked {
            Ok(()) => Some(Cache { folder: folder.to_owned() }),
            Err(error) => {
                let folder = folder.display();
                log!(warn, "compiled code is not kept: the folder {folder} cannot be used: {error}");
                None
            }
        }
    }

    /// The compiled module, if it is here and whole.
    pub(crate) fn find(&self, engine: &Engine, key: &Key) -> Option<Module> {
        let file = open_verified(&self.folder.join(key.file_name()), key).ok()?;
        touch(&file);
        // SAFETY: the file holds what `store` wrote, which is what wasmtime made of a module for an engine of the same
        // version and settings: its key says so, and every byte was just checked against its SHA-256. Only we can have
        // written it, as neither the file nor its folder is writable for other users; an attacker with our user id
        // could replace this program as well. The file does not change while it is mapped: files only get their name
        // when they are whole, and the descriptor that was verified is the one that is mapped.
        let mapped = unsafe { Module::deserialize_open_file(engine, file) };
        mapped.map_err(|error| log!(warn, "kept code cannot be used, the module is compiled again: {error:#}")).ok()
    }

    /// Waits until no other process compiles this module. Where that is unknown, no process is waited for, and the same
    /// work is done twice.
    pub(crate) fn lock(&self, key: &Key) -> Lock {
        // Named like the file of a writer, so that one left by a killed process is swept.
        let path = self.folder.join(format!(".{}.{NO_PROCESS}", key.file_name()));
        let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits();
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let file = options.open(&path).and_then(|file| file.lock().map(|()| file));
        Lock { file: file.ok(), path }
    }

    /// Keeps a compiled module. A failure is logged.
    pub(crate) fn store(&self, key: &Key, module: &Module) {
        let done = match module.serialize() {
            Ok(code) if code.len() as u64 + SEAL_BYTES as u64 > CACHE_BYTES_MAX => return,
            Ok(code) => self.write(key, &code).map_err(|error| error.to_string()),
            Err(error) => Err(format!("{error:#}")),
        };
        if let Err(error) = done {
            log!(warn, "compiled code is not kept in {}: {error}", self.folder.display());
            return;
        }
        sweep::sweep(&self.folder, CACHE_BYTES_MAX, &key.file_name());
    }

    /// Writes under another name first, so that under its own name a file is always whole.
    fn write(&self, key: &Key, code: &[u8]) -> io::Result<()> {
        let name = key.file_name();
        let temporary = self.folder.join(format!(".{name}.{}", std::process::id()));
        let written = write_sealed(&temporary, key, code)
            .and_then(|()| std::fs::rename(&temporary, self.folder.join(&name)))
            // Else the name could be on the disk without the content.
            .and_then(|()| File::open(&self.folder)?.sync_all());
        if written.is_err() {
            let _ = std::fs::remove_file(&temporary);
        }
        written
    }
}

fn write_sealed(path: &Path, key: &Key, code: &[u8]) -> io::Result<()> {
    // A file that an earlier process with our process id left.
    let _ = std::fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // A process that sweeps meanwhile leaves a locked file alone. No other process holds this lock yet, so it is
    // acquired at once, unless the file system has no locks.
    let _ = file.try_lock();
    file.write_all(code)?;
    file.write_all(&seal(key, code.len() as u64, &Sha256::digest(code).into()))?;
    file.sync_all()
}

fn seal(key: &Key, length: u64, digest: &[u8; 32]) -> [u8; SEAL_BYTES] {
    let mut seal = [0; SEAL_BYTES];
    let parts = MAGIC.iter().chain(&key.0).copied().chain(length.to_le_bytes()).chain(*digest);
    for (place, byte) in seal.iter_mut().zip(parts) {
        *place = byte;
    }
    seal
}

/// Opens a file and reads it once, whole.
fn open_verified(path: &Path, key: &Key) -> io::Result<File> {
    let flags = (nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK).bits();
    let mut file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    check_owner(&metadata)?;
    let bytes = metadata.len();
    if !metadata.is_file() || !(SEAL_BYTES as u64..=CACHE_BYTES_MAX).contains(&bytes) {
        return Err(io::Error::other("no file of ours"));
    }
    let length = bytes - SEAL_BYTES as u64;
    let mut found = [0; SEAL_BYTES];
    file.seek(io::SeekFrom::Start(length))?;
    file.read_exact(&mut found)?;
    file.seek(io::SeekFrom::Start(0))?;
    let digest = digest_of((&mut file).take(length))?;
    if found != seal(key, length, &digest) {
        return Err(io::Error::other("another module's, or not as it was written"));
    }
    Ok(file)
}

fn digest_of(mut reader: impl Read) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(digest.finalize().into()),
            count => digest.update(&buffer[..count]),
        }
    }
}

/// Refuses what another user could have put there.
fn check_owner(metadata: &std::fs::Metadata) -> io::Result<()> {
    if metadata.uid() != geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("others may write to it"));
    }
    Ok(())
}

fn touch(file: &File) {
    let now = SystemTime::now();
    // A time in the future was written before the clock was set back.
    let is_old = |used: SystemTime| match now.duration_since(used) {
        Ok(age) => age > TOUCH_AFTER,
        Err(ahead) => ahead.duration() > sweep::AHEAD_MAX,
    };
    if file.metadata().and_then(|metadata| metadata.modified()).is_ok_and(is_old) {
        let _ = file.set_modified(now);
    }
}

#[cfg(test)]
mod tests;
