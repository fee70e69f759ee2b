//! A wall clock that a test sets, for the host alone: a few lines of C that are loaded into it before everything else
//! and add the number in a file to the time of day. The clocks of the time since boot stay unchanged.

use crate::World;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *t) {
    int r = syscall(SYS_clock_gettime, clock, t);
    const char *name = getenv("CLOCK_OFFSET");
    if (clock == CLOCK_REALTIME && name) {
        char text[32] = "0";
        int f = syscall(SYS_open, name, O_RDONLY | O_CLOEXEC);
        if (f >= 0) {
            int n = syscall(SYS_read, f, text, 31);
            text[n > 0 ? n : 0] = 0;
            syscall(SYS_close, f);
            t->tv_sec += atol(text);
            static int reported;
            const char *seen = getenv("CLOCK_SEEN");
            if (!reported && seen && atol(text)) {
                reported = 1;
                f = syscall(SYS_open, seen, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                if (f >= 0) syscall(SYS_close, f);
            }
        }
    }
    return r;
}
"#;

/// The wall clock of a world's host.
#[derive(Debug)]
pub struct WallClock {
    offset: PathBuf,
    /// Exists once the host has read it. It is outside of the world, which is removed before the test ends.
    seen: PathBuf,
}

impl WallClock {
    /// Gives the world's host a clock that can be set.
    ///
    /// # Panics
    /// When the world cannot be written, or there is no C compiler.
    pub fn of(world: World) -> (World, WallClock) {
        let (source, library) = (world.path("clock.c"), world.path("clock.so"));
        fs::write(&source, SOURCE).expect("the world can be written");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).status();
        assert!(built.expect("there is a C compiler").success());
        static CLOCKS: AtomicU32 = AtomicU32::new(0);
        let number = CLOCKS.fetch_add(1, Ordering::Relaxed);
        let seen = std::env::temp_dir().join(format!("bulkhead-clock-{}-{number}", std::process::id()));
        let clock = WallClock { offset: world.path("clock-offset"), seen };
        clock.set(0);
        let text = |path: &PathBuf| path.to_str().expect("the folder for temporary files has a plain name").to_owned();
        let (library, offset, seen) = (text(&library), text(&clock.offset), text(&clock.seen));
        let world = world.env("LD_PRELOAD", &library).env("CLOCK_OFFSET", &offset).env("CLOCK_SEEN", &seen);
        (world, clock)
    }

    /// Checks that the host has read a clock that was set.
    ///
    /// # Panics
    /// When it has not.
    pub fn assert_was_seen(&self) {
        assert!(self.seen.exists(), "the host has never looked at the clock that was set");
    }

    /// Sets it so many seconds off.
    ///
    /// # Panics
    /// When the world cannot be written.
    pub fn set(&self, seconds: i64) {
        let next = self.offset.with_extension("next");
        fs::write(&next, seconds.to_string()).expect("the world can be written");
        fs::rename(&next, &self.offset).expect("the world can be written");
    }
}

impl Drop for WallClock {
    fn drop(&mut self) {
        // It does not exist if the test has failed early.
        let _ = fs::remove_file(&self.seen);
    }
}
