//! `module.toml` and `bulkhead.toml`: any file is read, or each fault is a line that names a file.

use bulkhead_config::{Environment, Flags, HostConfig, Loaded, Paths, Problems, show};
use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

const MANIFEST: &str = "modules/log/module.toml";
const HOST_FILE: &str = "bulkhead.toml";

/// A manifest without faults, for a host's file to name.
const RIGHT: &str = "[module]\nname = \"log\"\nversion = \"1.0.0\"\ncommand = [\"sh\"]\n";

/// A folder of this thread, with both files; it is removed with the thread.
struct Tree(PathBuf);

impl Tree {
    fn new() -> Tree {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bulkhead-fuzz-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("modules/log")).expect("a folder for files can be made");
        Tree(path)
    }

    fn load(&self, file: &str, content: &[u8], flags: Flags) -> Result<Loaded, Problems> {
        fs::write(self.0.join(file), content).expect("a file can be written");
        let variables = [("PATH", "/usr/bin:/bin"), ("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/1000")];
        let environment = Environment {
            root: false,
            current_dir: Some(self.0.clone()),
            variables: variables.map(|(name, value)| (name.into(), value.into())).into(),
            // All users can write to the folder for temporary files.
            trusted_users: vec![nix::unistd::geteuid().as_raw()],
            paths: Paths::Short,
        };
        HostConfig::load_in(flags, &environment).and_then(Loaded::whole)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

thread_local! {
    static TREE: RefCell<Tree> = RefCell::new(Tree::new());
}

pub(crate) fn run_module(bytes: &[u8]) {
    TREE.with_borrow(|tree| {
        let flags = Flags { modules: vec!["modules".into()], ..Flags::default() };
        check(tree.load(MANIFEST, bytes, flags), bytes, MANIFEST);
    });
}

pub(crate) fn run_host(bytes: &[u8]) {
    TREE.with_borrow(|tree| {
        fs::write(tree.0.join(MANIFEST), RIGHT).expect("a file can be written");
        let flags = Flags { config: Some(HOST_FILE.into()), ..Flags::default() };
        check(tree.load(HOST_FILE, bytes, flags), bytes, HOST_FILE);
    });
}

fn check(loaded: Result<Loaded, Problems>, bytes: &[u8], file: &str) {
    let problems = match loaded {
        Ok(loaded) => {
            let is_json = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
            assert!(show(&loaded, true).lines().all(is_json), "what is in force is shown as an object a line");
            return assert!(!show(&loaded, false).is_empty());
        }
        Err(problems) => problems,
    };
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
    for problem in problems.iter() {
        let line = problem.to_string();
        assert!(!line.contains(['\n', '\r']), "a fault is one line: {line:?}");
        assert!(problem.file.is_some(), "a fault names its file: {line}");
        if problem.file.as_deref() == Some(Path::new(file)) {
            assert!(
                problem.position.is_none_or(|(at, _)| (1..=lines).contains(&at)),
                "a position is in its file: {line}"
            );
        }
    }
}
