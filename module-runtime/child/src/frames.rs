//! Which frames of a backtrace are a module's own. A backtrace is mostly the standard library's and the runtime's, and
//! the record of a crash has few lines; this file selects the lines that the module's author needs.

/// How many frames are reported at most: with the sentence before them they are the last lines that a record keeps.
pub const FRAMES_MAX: usize = 16;

/// Crates that are not the module's.
const CRATES: [&str; 8] =
    ["std", "core", "alloc", "__rustc", "backtrace", "panic_unwind", "bulkhead_module", "bulkhead_child"];

/// Functions without a path that come with every program.
const FUNCTIONS: [&str; 8] = ["main", "_start", "start_thread", "clone", "clone3", "__clone", "__clone3", "_fini"];

/// Where the sources of the standard library and of the SDK are, on any machine.
const PLACES: [&str; 4] = ["/rustc/", "/library/std/src/", "module-runtime/sdk/src/", "module-runtime/child/src/"];

/// Whether a function, by its demangled name, is the module's own.
pub fn is_own(function: &str) -> bool {
    let name = function.trim_start_matches(['<', '&', '*', '(', '[']).trim_start_matches("dyn ");
    let first = name.split(['<', '>', ' ', ',', ';', ')', ']']).next().unwrap_or_default();
    match first.split_once("::") {
        Some((krate, _)) => !CRATES.contains(&krate),
        None => {
            let is_started_by = ["__libc", "_rust", "__rust", "rust_", "_Unwind", "__scrt"];
            !(first.is_empty()
                || name.starts_with("unknown>")
                || FUNCTIONS.contains(&first)
                || is_started_by.iter().any(|start| first.starts_with(start)))
        }
    }
}

/// The module's own frames in the text of a [`std::backtrace::Backtrace`], the innermost first, each as
/// `at function (file:line:column)`.
pub fn own(backtrace: &str) -> Vec<String> {
    let mut frames: Vec<(&str, &str)> = Vec::new();
    for line in backtrace.lines().map(str::trim_start) {
        if let Some(location) = line.strip_prefix("at ") {
            if let Some((_, known)) = frames.last_mut() {
                *known = location;
            }
            continue;
        }
        // A function that was inlined has no number of its own.
        let name = match line.split_once(": ") {
            Some((number, name)) if number.parse::<u32>().is_ok() => name,
            _ => line,
        };
        frames.push((name, ""));
    }
    let own =
        frames.into_iter().filter(|(name, location)| is_own(name) && !PLACES.iter().any(|it| location.contains(it)));
    let shown = own.map(|(name, location)| match location {
        "" => format!("at {name}"),
        location => format!("at {name} ({location})"),
    });
    shown.take(FRAMES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_own_frames_are_left_of_a_backtrace() {
        let text = "\
   0: std::backtrace_rs::backtrace::libunwind::trace
             at /rustc/abc/library/std/src/../../backtrace/src/backtrace/libunwind.rs:117:9
   1: <alloc::boxed::Box<F,A> as core::ops::function::Fn<Args>>::call
   2: __rustc::rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:689:5
   3: core::panicking::panic_fmt
   4: ink::pen::write
             at ./src/pen.rs:7:9
      inlined_into_it
             at ./src/pen.rs:3:1
   5: <ink::Pen as bulkhead_module::module::Module>::command
             at ./src/lib.rs:20:5
   6: do_call<ink::x, ()>
             at /rustc/abc/library/std/src/panicking.rs:581:40
   7: catch<ink::x>
             at /home/a/bulkhead/module-runtime/sdk/src/panics.rs:40:5
   8: bulkhead_module::dispatch::dispatch
   9: <unknown>
  10: main
  11: __libc_start_call_main
  12: _start
";
        let expected = [
            "at ink::pen::write (./src/pen.rs:7:9)",
            "at inlined_into_it (./src/pen.rs:3:1)",
            "at <ink::Pen as bulkhead_module::module::Module>::command (./src/lib.rs:20:5)",
        ];
        assert_eq!(own(text), expected);
        assert_eq!(own("   0: <unknown>\n   1: <unknown>\n"), [""; 0]);
        let deep: String = (0..100).map(|n| format!("{n:4}: ink::deeper\n")).collect();
        assert_eq!(own(&deep).len(), FRAMES_MAX);
    }

    #[test]
    fn a_crate_is_known_by_its_whole_name() {
        for own in ["standard::x", "core_values::x", "<&mut ink::Pen as core::fmt::Debug>::fmt", "alloc_string", "deep"]
        {
            assert!(is_own(own), "{own}");
        }
        for other in ["core::fmt::x", "<core::option::Option<T>>::unwrap", "<dyn std::any::Any>::x", "<unknown>", ""] {
            assert!(!is_own(other), "{other}");
        }
    }
}
