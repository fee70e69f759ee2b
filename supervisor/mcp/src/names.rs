//! The names of tools. Pure.
//!
//! MCP asks for names of 1 to 128 letters, digits, `_`, `-` and `.`; many clients take 64 characters without the dot, so
//! that is the rule here. A command `c` of the module `m` is the tool `m__c`. Where that is not a name by the rule, or
//! would not show where the module's name ends, other characters become `_`, the name is cut, and it ends with eight
//! digits of a hash of both names: so a name means the same command always, whatever other modules there are.

use sha2::{Digest, Sha256};

/// The longest name, in characters.
const NAME_CHARS_MAX: usize = 64;

/// How many bytes of the hash a name has, as two digits each.
const HASH_BYTES: usize = 4;

/// What stands between the names of the module and the command.
const BETWEEN: &str = "__";

/// The name of the tool for a command.
pub(crate) fn tool(module: &str, command: &str) -> String {
    let is_plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let whole = format!("{module}{BETWEEN}{command}");
    let shows_the_module = !module.contains(BETWEEN) && !module.ends_with('_') && !command.starts_with('_');
    if shows_the_module && !command.is_empty() && is_plain(&whole) && whole.len() <= NAME_CHARS_MAX {
        return whole;
    }
    let replaced = whole.chars().map(|c| if c.is_ascii() && is_plain(c.encode_utf8(&mut [0; 4])) { c } else { '_' });
    let mut name: String = replaced.take(NAME_CHARS_MAX - 2 * HASH_BYTES - 1).collect();
    name.push('_');
    // No name of a module has a NUL.
    let hash = Sha256::digest(format!("{module}\0{command}"));
    hash.iter().take(HASH_BYTES).for_each(|byte| name.push_str(&format!("{byte:02x}")));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_command_is_named_after_its_module_and_itself() {
        assert_eq!(tool("research-log", "add_entry"), "research-log__add_entry");
        assert_eq!(tool("a", &"b".repeat(61)).len(), 64);
    }

    #[test]
    fn what_is_no_name_of_a_tool_is_replaced_and_cut_and_has_a_hash() {
        assert_eq!(tool("files", "read.file"), "files__read_file_97875296");
        for (module, command) in [("a", "ä/b c"), ("a", ""), ("a", "x".repeat(200).as_str()), (&"m".repeat(64), "c")] {
            let name = tool(module, command);
            assert!(name.len() <= NAME_CHARS_MAX, "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)), "{name}");
        }
    }

    #[test]
    fn different_commands_have_different_names() {
        let pairs = [("a", "b__c"), ("a__b", "c"), ("a_", "b"), ("a", "_b"), ("a", "x.y"), ("a", "x_y"), ("a", "x y")];
        let mut names: Vec<String> = pairs.iter().map(|(module, command)| tool(module, command)).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), pairs.len(), "{names:?}");
    }
}
