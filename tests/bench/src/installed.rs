//! Which programs of others are here to be measured beside ours. Where one is not, a line says so.

use std::path::PathBuf;

/// Whether there is such a program; says what is left out and how to get it, if not. `package` is its
/// name in Debian.
pub fn or_say(program: &str, package: &str, what: &str) -> bool {
    let found = find(program).is_some();
    if !found {
        println!("  skipped: {what}: {program} is not installed (apt-get install {package})");
    }
    found
}

/// Where the program is.
pub fn find(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    // Servers are often not on the path of people.
    std::env::split_paths(&folders)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
