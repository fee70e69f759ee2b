//! What a program is given, and what becomes of processes that lose their parent.

use crate::support::{await_that, single, stream};
use serde_json::json;
use std::fs;

#[test]
fn a_program_has_default_signals_and_no_channel() {
    let script = r#"
        read -r line
        ignored=$(sed -n 's/^SigIgn:.//p' /proc/self/status)
        blocked=$(sed -n 's/^SigBlk:.//p' /proc/self/status)
        open=$(for n in /proc/self/fd/*; do readlink "$n"; done | tr '\n' ' ')
        printf '["%s","%s","%s","%s"]\n' "$ignored" "$blocked" "$open" "$BULKHEAD_FD"
        cat >/dev/null"#;
    for mut filter in [stream(script), single(script)] {
        let found = filter.command("any", json!({})).unwrap();
        let text = |at: usize| found[at].as_str().unwrap();
        let mask = |at| u64::from_str_radix(text(at), 16).unwrap();
        let sigpipe = 1 << (libc::SIGPIPE - 1);
        assert_eq!((mask(0) & sigpipe, mask(1), text(3)), (0, 0, ""), "{found}");
        let channel = fs::read_link(format!("/proc/{}/fd/3", filter.pid())).unwrap();
        let channel = channel.to_str().unwrap();
        assert!(channel.starts_with("socket:") && !text(2).contains(channel), "{channel} {found}");
        assert!(text(2).contains("pipe:"), "{found}");
    }
}

#[test]
fn processes_that_lose_their_parent_are_reaped() {
    let orphan = "(setsid sh -c 'exit 0' &)";
    let script = format!("while read -r line; do {orphan}; echo 1; done");
    for mut filter in [stream(&script), single(&format!("{orphan}; echo 1"))] {
        for _ in 0..5 {
            assert_eq!(filter.command("any", json!({})), Ok(json!(1)));
        }
        let pid = filter.pid();
        await_that("no child is a zombie", || zombies_of(pid) == 0);
    }
}

fn zombies_of(parent: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let is_zombie =
        |pid: &&str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "));
    children.split_ascii_whitespace().filter(is_zombie).count()
}
