//! The user with a name or a number. Names are looked up in `/etc/passwd` alone: the system's other
//! sources are libraries that a static program cannot load, and services that may not answer.

use std::{fs, path::Path};

const USERS: &str = "/etc/passwd";

/// The number of a user. One that is given by its number need not be known here.
pub(crate) fn parse_user(text: &str) -> Result<u32, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // The greatest number means no user in system calls.
        let number = text.parse().ok().filter(|number| *number != u32::MAX);
        return number.ok_or_else(|| format!("expected the number of a user, at most {}", u32::MAX - 1));
    }
    look_up(text, Path::new(USERS))
}

fn look_up(name: &str, users: &Path) -> Result<u32, String> {
    let bytes = fs::read(users).map_err(|error| format!("{}: {error}; give the user's number", users.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let number_in = |line: &str| {
        let mut fields = line.split(':');
        // name:password:number:…, as passwd(5) has it.
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    let found = (!name.is_empty()).then(|| text.lines().find_map(number_in)).flatten();
    found.ok_or_else(|| {
        format!(
            "expected the name or number of a user, found no such name in {}; give its number, as `id -u NAME` prints it",
            users.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_user_whether_or_not_there_is_one_and_the_greatest_is_none() {
        assert_eq!(parse_user("0"), Ok(0));
        assert_eq!(parse_user("0064123"), Ok(64123));
        assert_eq!(parse_user("4294967294"), Ok(u32::MAX - 1));
        for text in ["4294967295", "4294967296", "99999999999999999999999"] {
            assert!(parse_user(text).is_err_and(|reason| reason.contains("at most 4294967294")), "{text}");
        }
    }

    #[test]
    fn a_name_is_looked_up_as_a_whole_and_broken_lines_are_no_users() {
        let path = std::env::temp_dir().join(format!("bulkhead-users-{}", std::process::id()));
        fs::write(
            &path,
            b"root:x:0:0::/:/bin/sh\n\xff\n:x:5:5::/:\nada:x\nad:x:y:1\nada:x:1000:100:Ada:/a:/b\neve:x:7",
        )
        .unwrap();
        for (name, number) in [("root", 0), ("ada", 1000), ("eve", 7)] {
            assert_eq!(look_up(name, &path), Ok(number), "{name}");
        }
        for name in ["", "ad", "Ada", "x", "+5", "root:x"] {
            let reason = look_up(name, &path).unwrap_err();
            assert!(reason.contains("found no such name") && reason.contains("id -u"), "{reason}");
        }
        fs::remove_file(&path).unwrap();
        assert!(look_up("root", &path).unwrap_err().ends_with("give the user's number"));
    }
}
