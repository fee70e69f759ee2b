//! For any content of the files, loading returns a configuration or problems with valid positions.

use crate::support::Tree;
use proptest::prelude::*;

/// Pieces of which a file is composed: keys that exist, values that fit and values that don't.
fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "[module]",
        "[restart]",
        "[limits]",
        "[capabilities]",
        "[config]",
        "[wasi]",
        "type = 'native'",
        "type = 'wasm'",
        "type = 'filter'",
        "library",
        "wasm",
        "read",
        "on_panic",
        "on_limit",
        "[host]",
        "[logs]",
        "[module.a]",
        "[module.a.limits]",
        "[[module]]",
        "name",
        "command",
        "requires",
        "queue",
        "policy",
        "give_up",
        "env",
        "memory_limit",
        "core_limit",
        "event_subscribe",
        "modules",
        "socket",
        "a.b.c",
        "= 5",
        "= \"5s\"",
        "= \"64MB\"",
        "= \"a\"",
        "= [\"a\", 5]",
        "= { a = \"b\" }",
        "= 1979-05-27",
        "= nan",
        "= 0x",
        "= '''",
        "\n",
        "\n",
        "\n",
        "\"",
        "[",
        "]",
        "{",
        "}",
        "\r",
        "#",
        "\u{feff}",
        "ä",
        "\u{0}",
        "= \"none\"",
        "= -0",
        "= 99999999999999999999999999",
    ]);
    prop_oneof![9 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_of_plausible_pieces_never_panic(
        manifest in prop::collection::vec(piece(), 0..40),
        host in prop::collection::vec(piece(), 0..40),
    ) {
        load(manifest.join(" ").as_bytes(), host.join(" ").as_bytes())?;
    }

    #[test]
    fn files_of_any_bytes_never_panic(manifest: Vec<u8>, host: Vec<u8>) {
        load(&manifest, &host)?;
    }
}

fn load(manifest: &[u8], host: &[u8]) -> Result<(), TestCaseError> {
    let tree = Tree::new();
    tree.write("modules/a/module.toml", manifest).write("bulkhead.toml", host);
    for (result, text) in [(tree.load_modules(), manifest), (tree.load_host(), host)] {
        let Err(problems) = result else { continue };
        let lines = String::from_utf8_lossy(text).matches('\n').count() + 1;
        for problem in problems.iter() {
            prop_assert!(!problem.message.is_empty() && !problem.message.contains('\n'), "{}", problem);
            let in_text = problem.file.as_ref().is_some_and(|file| file.starts_with("modules") == (text == manifest));
            if let (true, Some((line, column))) = (in_text, problem.position) {
                prop_assert!((1..=lines).contains(&line) && column >= 1, "{}", problem);
            }
        }
    }
    Ok(())
}
