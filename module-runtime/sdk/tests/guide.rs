//! The code in `docs/writing-a-module.md` is that of the examples, which are compiled and tested. The
//! transcripts in it are not checked.

const GUIDE: &str = include_str!("../../../docs/writing-a-module.md");
const EXAMPLES: [(&str, &str); 3] = [
    ("guide_first.rs", include_str!("../examples/guide_first.rs")),
    ("guide_stock.rs", include_str!("../examples/guide_stock.rs")),
    ("guide_layer1.rs", include_str!("../examples/guide_layer1.rs")),
];

/// The lines without their indentation, which depends on the code around a piece.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

fn blocks() -> Vec<&'static str> {
    let blocks = GUIDE.split("\n```rust\n").skip(1);
    blocks.map(|block| block.split_once("\n```").expect("the block ends").0).collect()
}

#[test]
fn every_piece_of_code_in_the_guide_stands_in_an_example() {
    for block in blocks() {
        let piece = lines(block);
        let holds = |source: &str| lines(source).windows(piece.len()).any(|window| window == piece);
        assert!(EXAMPLES.iter().any(|(_, source)| holds(source)), "no example has this piece:\n{block}");
    }
}

#[test]
fn the_module_of_the_readme_is_an_example() {
    let readme = include_str!("../../../README.md");
    let (_, code) = include_str!("../examples/readme_greeter.rs").split_once("\n\n").expect("a comment comes first");
    assert!(readme.contains(code.trim_end()), "the README does not show readme_greeter.rs");
}

#[test]
fn the_first_module_of_the_guide_is_shown_whole() {
    let (name, source) = EXAMPLES[0];
    let (_, after_the_first_lines) = source.split_once("\n\n").expect("the file begins with a comment");
    assert!(blocks().contains(&after_the_first_lines.trim_end()), "the guide does not show {name}");
}
