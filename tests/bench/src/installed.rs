//! Which foreign programs are installed here to be measured beside ours. For a missing one, a line is printed.

use std::path::PathBuf;

/// Whether there is such a program; if not, prints what is left out and how to get it. `package` is its name in Debian.
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
    // Servers are often not in the `$PATH` of ordinary users.
    std::env::split_paths(&folders)
        .chain(["/usr/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
