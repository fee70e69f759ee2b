//! Text in columns of a terminal: measured, cut, padded and wrapped. A wide character takes two. Characters count one
//! by one, as most terminals do it; sequences that a terminal may show as one character are not joined here.

use unicode_width::UnicodeWidthChar;

/// How many columns `text` takes.
pub fn width_of(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn columns_of(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// `text` in at most so many columns; where it is cut, its last character shows that there is more.
pub fn shortened(text: &str, columns: usize) -> String {
    // A text with no more bytes than columns fits: no character takes more columns than bytes.
    if text.len() <= columns || width_of(text) <= columns {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    format!("{}…", &text[..fitting(text, columns - 1)])
}

/// How many bytes of `text` fit in so many columns.
fn fitting(text: &str, columns: usize) -> usize {
    let mut taken = 0;
    let beyond = text.char_indices().find(|(_, character)| {
        taken += columns_of(*character);
        taken > columns
    });
    beyond.map_or(text.len(), |(at, _)| at)
}

/// `text` with spaces after it up to so many columns.
pub fn padded_right(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width_of(text))))
}

/// `text` with spaces before it up to so many columns.
pub fn padded_left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width_of(text))))
}

/// `text` in lines of at most so many columns, cut between words, and within a word only if that is longer than
/// a line.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    // A wide character needs two.
    let columns = columns.max(2);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut taken = 0;
    for mut word in text.split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(taken > 0);
        if taken > 0 && taken + gap + width_of(word) > columns {
            lines.push(std::mem::take(&mut line));
            taken = 0;
        }
        while width_of(word) > columns {
            let (here, rest) = word.split_at(fitting(word, columns));
            lines.push(here.to_owned());
            word = rest;
        }
        if taken > 0 {
            line.push(' ');
            taken += 1;
        }
        line.push_str(word);
        taken += width_of(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_character_takes_two_columns_and_a_mark_above_one_none() {
        assert_eq!(["ab", "日本", "e\u{301}", "🦀", "\u{7}", ""].map(width_of), [2, 4, 1, 2, 0, 0]);
    }

    #[test]
    fn what_is_cut_says_so_and_fits() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("e\u{301}ab", 2, "e\u{301}…"),
            ("ab", 1, "…"),
            ("ab", 0, ""),
        ] {
            let cut = shortened(text, columns);
            assert_eq!(cut, expected, "{text} in {columns}");
            assert!(width_of(&cut) <= columns);
        }
    }

    #[test]
    fn what_is_padded_is_as_wide_as_its_column() {
        assert_eq!(padded_right("日", 4), "日  ");
        assert_eq!(padded_left("日", 4), "  日");
        assert_eq!(padded_left("long", 2), "long");
    }

    #[test]
    fn lines_are_cut_between_words_and_nothing_is_lost() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("日本 語", 4), ["日本", "語"]);
        assert_eq!(wrapped("a bbbbbbbb c", 3), ["a", "bbb", "bbb", "bb", "c"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("日", 0), ["日"]);
        for columns in 1..40 {
            let text = "the daemon says 日本語 in a sentence-without-any-end";
            let lines = wrapped(text, columns);
            assert!(lines.iter().all(|line| width_of(line) <= columns.max(2)), "{lines:#?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
    }
}
