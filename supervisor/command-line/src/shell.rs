//! Words of a command line that is printed, to be copied into a shell.

/// A word as a POSIX shell reads it: as it is where that is safe, in single quotes otherwise.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_comes_out_of_a_shell_as_it_went_in() {
        for (text, expected) in [
            ("/a/b-1.2", "/a/b-1.2"),
            ("", "''"),
            ("it's", r"'it'\''s'"),
            (r#"{"a":1}"#, r#"'{"a":1}'"#),
            ("$HOME *", "'$HOME *'"),
            ("~", "'~'"),
        ] {
            assert_eq!(shell_word(text), expected);
            let printed = std::process::Command::new("sh").args(["-c", &format!("printf %s {expected}")]).output();
            assert_eq!(String::from_utf8(printed.unwrap().stdout).unwrap(), text);
        }
    }
}
