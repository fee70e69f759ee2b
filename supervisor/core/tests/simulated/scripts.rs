//! Every file in `tests/scripts` is a story: lines that are played to the core, and below each,
//! after `>`, all that the core asked for. `BULKHEAD_BLESS=1` writes what was found into the files,
//! to be read before it is committed.

use crate::{line::Line, play::Player, show, spec};
use bulkhead_core::HostSettings;
use std::{fmt::Write, fs, path::Path};

#[test]
fn every_script_leads_to_exactly_what_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() > 50, "only {} scripts in {}", files.len(), folder.display());
    let bless = std::env::var_os("BULKHEAD_BLESS").is_some();
    let mut wrong = 0;
    for file in files {
        let expected = fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy();
        match std::panic::catch_unwind(|| check(&expected)) {
            Ok(found) if found == expected => {}
            Ok(found) if bless => fs::write(&file, found).unwrap(),
            Ok(found) => {
                wrong += 1;
                eprintln!("{name} (- expected, + found):\n{}", difference(&expected, &found));
            }
            Err(_) => {
                wrong += 1;
                eprintln!("{name}: the panic above");
            }
        }
    }
    assert_eq!(wrong, 0, "scripts that lead elsewhere, see above; BULKHEAD_BLESS=1 accepts what was found");
}

/// Plays a script and returns it with what was found instead of what was expected.
fn check(script: &str) -> String {
    let mut found = String::new();
    let mut player = None;
    for text in script.lines() {
        if text.starts_with('>') {
            continue;
        }
        if text.is_empty() || text.starts_with('#') {
            writeln!(found, "{text}").unwrap();
            continue;
        }
        let line = Line::parse(text);
        let verb = line.words.first().map(String::as_str);
        if verb == Some("host") {
            assert!(player.is_none(), "the host comes first");
            player = Some(host(&line));
            writeln!(found, "{text}").unwrap();
            continue;
        }
        let player = player.get_or_insert_with(|| host(&Line::default()));
        if let Some(at) = line.at {
            assert!(at >= player.now, "time runs backwards: {text}");
            for (when, action) in player.advance(at) {
                writeln!(found, "> {} {}", show::time(when), show::action(player, &action)).unwrap();
            }
        }
        writeln!(found, "{text}").unwrap();
        match verb {
            None => {}
            Some("times") => match player.core.view(player.now, &spec::name(line.word(1))) {
                Some(view) => show::times(&view).iter().for_each(|line| writeln!(found, "> {line}").unwrap()),
                None => writeln!(found, "> unknown").unwrap(),
            },
            Some("view") => match player.core.view(player.now, &spec::name(line.word(1))) {
                Some(view) => show::view(&view).iter().for_each(|line| writeln!(found, "> {line}").unwrap()),
                None => writeln!(found, "> unknown").unwrap(),
            },
            Some("why") => {
                let (name, request) = (spec::name(line.word(1)), line.number("request"));
                let lines = match request {
                    Some(id) => vec![show::why_request(player, &name, id)],
                    None => show::why(player, &name),
                };
                lines.iter().for_each(|line| writeln!(found, "> {line}").unwrap());
            }
            Some("idle") => writeln!(found, "> {}", player.core.is_idle()).unwrap(),
            Some(_) => {
                for (_, action) in player.play(&line) {
                    writeln!(found, "> {}", show::action(player, &action)).unwrap();
                }
            }
        }
        player.core.audit();
    }
    found
}

/// Reads `host restarts_per_second=1 burst=1 starts_at_once=2 requests=5 seed=7`.
fn host(line: &Line) -> Player {
    let mut settings = HostSettings::default();
    for option in line.option_names() {
        let value = line.number(option).expect("it is there");
        match option {
            "restarts_per_second" => settings.restarts_per_second = value as u32,
            "burst" => settings.restarts_burst = value as u32,
            "starts_at_once" => settings.starts_at_once = value as u32,
            "requests" => settings.client_requests_max = value as usize,
            "seed" => {}
            other => panic!("no option of the host: {other:?}"),
        }
    }
    Player::new(settings, line.number("seed").unwrap_or(1))
}

/// The lines that differ, with those around them.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
    let from = same.saturating_sub(6);
    let mut text = String::new();
    expected[from..same].iter().for_each(|line| writeln!(text, "  {line}").unwrap());
    expected[same..].iter().take(12).for_each(|line| writeln!(text, "- {line}").unwrap());
    found[same..].iter().take(12).for_each(|line| writeln!(text, "+ {line}").unwrap());
    text
}
