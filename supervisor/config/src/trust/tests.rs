//! The rule of trust, tried with files of other users and modes.

use super::*;
use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink},
};

const OTHER: u32 = 64999;

fn user(id: u32, groups: &[u32]) -> User {
    User { id, groups: groups.into(), trusted: Vec::new(), unmapped: None, trusts_owners: false }
}

fn judged(user: &User, kind: Kind, owner: u32, group: u32, mode: u32) -> Result<(), String> {
    user.judge(Look { owner, group, mode, kind }, Path::new("/x/y")).map_err(|error| error.to_string())
}

/// As [`super::check_trust`], with its sentence.
fn check_trust(path: &Path, used: Use, trusted: &[u32]) -> Result<(), String> {
    super::check_trust(path, used, trusted).map_err(|error| error.to_string())
}

#[test]
fn what_belongs_to_root_or_oneself_and_no_other_user_may_write_may_be_used() {
    let (root, ada) = (user(0, &[0]), user(1000, &[1000, 44]));
    let last = Kind::Last(Use::Itself);
    for (user, owner, group, mode) in [
        (&root, 0, 0, 0o755),
        (&root, 0, 0, 0o664),
        (&root, 0, 5, 0o640),
        (&ada, 0, 0, 0o755),
        (&ada, 1000, 1000, 0o664),
        (&ada, 1000, 44, 0o2775),
        (&ada, 1000, 5, 0o4755),
    ] {
        for kind in [Kind::Passage, last, Kind::Last(Use::Content)] {
            assert_eq!(judged(user, kind, owner, group, mode), Ok(()), "{user:?} {owner} {group} {mode:o}");
        }
    }
    let written = |user, kind, group, mode| judged(user, kind, 0, group, mode).unwrap_err();
    for (found, expected) in [
        (written(&root, last, 0, 0o666), "everybody (mode 0666): expected mode 0664; chmod 664 /x/y"),
        (written(&root, last, 5, 0o664), "group 5 (mode 0664): expected mode 0644; chmod 644 /x/y"),
        (written(&root, last, 5, 0o6777), "everybody (mode 6777): expected mode 6755; chmod 6755 /x/y"),
        (written(&ada, Kind::Passage, 5, 0o770), "group 5 (mode 0770): expected mode 0750; chmod 750 /x/y"),
        (written(&ada, Kind::Passage, 44, 0o777), "everybody (mode 0777): expected mode 0775; chmod 775 /x/y"),
    ] {
        assert_eq!(found, format!("/x/y may be written by {expected}"));
    }
}

#[test]
fn what_belongs_to_another_user_is_refused_whatever_its_mode() {
    for (id, fit) in [(0, "root"), (1000, "root or user 1000")] {
        for kind in [Kind::Link, Kind::Passage, Kind::Last(Use::Itself), Kind::Last(Use::Content)] {
            let expected = format!(
                "/x/y belongs to user 64999, who could change it: expected {fit}; chown {id} /x/y, \
                 or trust that user with --trust-user 64999"
            );
            assert_eq!(judged(&user(id, &[id]), kind, OTHER, 0, 0o1400), Err(expected));
        }
    }
}

#[test]
fn a_trusted_user_counts_as_root_does_with_the_group_of_that_number_but_not_for_what_is_the_hosts_own() {
    let kinds = [Kind::Link, Kind::Passage, Kind::Last(Use::Itself), Kind::Last(Use::Content), Kind::Last(Use::Shared)];
    for id in [0, 1000] {
        let trusting = User { trusted: vec![7, OTHER], ..user(id, &[id]) };
        for kind in kinds {
            assert_eq!(judged(&trusting, kind, OTHER, 5, 0o755), Ok(()));
            assert_eq!(judged(&trusting, kind, OTHER, OTHER, 0o775), Ok(()));
            assert_eq!(judged(&trusting, kind, 0, OTHER, 0o664), Ok(()));
            let third = judged(&trusting, kind, 8, 0, 0o755).unwrap_err();
            assert!(third.contains(" or user 7 or user 64999; chown"), "{third}");
            assert!(third.ends_with(", or trust that user with --trust-user 8"), "{third}");
            if kind != Kind::Link {
                assert!(judged(&trusting, kind, OTHER, OTHER, 0o757).unwrap_err().contains("by everybody"));
                assert!(judged(&trusting, kind, OTHER, 5, 0o775).unwrap_err().contains("by group 5"));
            }
        }
        let own = Kind::Last(Use::Own);
        let fit = if id == 0 { "root" } else { "root or user 1000" };
        let expected = format!("/x/y belongs to user 64999, who could change it: expected {fit}; chown {id} /x/y");
        assert_eq!(judged(&trusting, own, OTHER, 0, 0o700), Err(expected));
        assert!(judged(&trusting, own, id, OTHER, 0o770).is_err());
        assert_eq!(judged(&trusting, own, id, id, 0o700), Ok(()));
    }
}

#[test]
fn a_sticky_folder_may_be_on_the_way_but_nothing_is_taken_from_it_as_a_whole() {
    let root = user(0, &[0]);
    assert_eq!(judged(&root, Kind::Passage, 0, 0, 0o1777), Ok(()));
    assert_eq!(judged(&root, Kind::Passage, 0, 5, 0o1770), Ok(()));
    assert!(judged(&root, Kind::Last(Use::Content), 0, 0, 0o1777).is_err());
    assert!(judged(&root, Kind::Last(Use::Itself), 0, 0, 0o1666).is_err(), "the bit says nothing of a file");
    assert!(judged(&root, Kind::Passage, OTHER, 0, 0o1777).is_err(), "its owner may rename all that is in it");
}

#[test]
fn shared_software_may_be_run_by_an_ordinary_user_and_not_by_root() {
    let ada = user(1000, &[1000]).running(Use::Shared);
    let last = Kind::Last(Use::Shared);
    for (kind, owner, mode) in [(last, OTHER, 0o775), (Kind::Passage, OTHER, 0o2775), (Kind::Link, OTHER, 0o777)] {
        assert_eq!(judged(&ada, kind, owner, 5, mode), Ok(()));
        assert!(judged(&user(0, &[0]).running(Use::Shared), kind, owner, 5, mode).is_err());
        assert!(judged(&user(1000, &[1000]).running(Use::Itself), kind, owner, 5, mode).is_err());
    }
    assert!(judged(&ada, last, OTHER, 5, 0o777).is_err() && judged(&ada, Kind::Passage, 0, 5, 0o777).is_err());
}

#[test]
fn in_a_user_namespace_the_system_outside_may_be_used_and_elsewhere_the_user_nobody_is_one() {
    let all = "         0          0 4294967295\n";
    let own = "         0       1000          1\n";
    let many = "0 100000 65536\n";
    let two = "0 1000 1\n65534 100001 1\n";
    for (map, mapped) in [(all, true), (own, false), (many, true), (two, true), ("", false), ("x\n1\n", false)] {
        assert_eq!(is_mapped(map, 65534), mapped, "{map:?}");
    }
    let mut inside = user(0, &[0]);
    assert!(judged(&inside, Kind::Passage, 65534, 65534, 0o755).is_err());
    inside.unmapped = Some(65534);
    assert_eq!(judged(&inside, Kind::Passage, 65534, 65534, 0o755), Ok(()));
    assert!(judged(&inside, Kind::Passage, 65534, 65534, 0o777).is_err());
    assert!(judged(&inside, Kind::Passage, OTHER, 65534, 0o755).is_err());
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let folder = std::env::temp_dir().join(format!("bulkhead-trust-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::DirBuilder::new().mode(0o755).create(&folder).unwrap();
        Scratch(folder.canonicalize().unwrap())
    }

    fn file(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, "").unwrap();
        self.mode(name, mode);
        path
    }

    fn folder(&self, name: &str, mode: u32) {
        fs::create_dir(self.0.join(name)).unwrap();
        self.mode(name, mode);
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_folder_on_the_way_is_looked_at_and_what_a_link_leads_through_as_well() {
    let scratch = Scratch::new("way");
    let root = scratch.0.clone();
    scratch.folder("open", 0o777);
    scratch.folder("open/inner", 0o755);
    scratch.folder("closed", 0o755);
    let inner = scratch.file("open/inner/file", 0o644);
    let file = scratch.file("closed/file", 0o644);
    let check = |path: &Path| check_trust(path, Use::Itself, &[]);
    assert_eq!(check(&file), Ok(()));
    let of_open = |found: Result<(), String>| {
        let expected = format!("{} may be written by everybody (mode 0777)", root.join("open").display());
        assert!(found.as_ref().is_err_and(|reason| reason.starts_with(&expected)), "{found:?}");
    };
    of_open(check(&inner));
    of_open(check(&root.join("closed/../open/inner/file")));
    // A link into it, one out of it, one that goes on, and one that is relative.
    symlink(&inner, root.join("closed/in")).unwrap();
    symlink(&file, root.join("open/out")).unwrap();
    symlink("in", root.join("closed/on")).unwrap();
    symlink("../open/inner", root.join("closed/folder")).unwrap();
    for link in ["closed/in", "open/out", "closed/on", "closed/folder/file"] {
        of_open(check(&root.join(link)));
    }
    symlink("file", root.join("closed/beside")).unwrap();
    assert_eq!(check(&root.join("closed/beside")), Ok(()));
    scratch.mode("open", 0o1777);
    for link in ["closed/in", "open/out", "closed/on", "closed/folder/file", "open/inner/file"] {
        assert_eq!(check(&root.join(link)), Ok(()), "{link}");
    }
    for way in ["open", "open/inner/.."] {
        assert!(check_trust(&root.join(way), Use::Content, &[]).is_err(), "{way}");
    }
    symlink("loop", root.join("loop")).unwrap();
    assert!(check(&root.join("loop")).is_err_and(|reason| reason.contains("at most 40 links")));
    assert!(check(&root.join("gone/file")).is_err_and(|reason| reason.ends_with("gone: no such file")));
    scratch.mode("closed/file", 0o646);
    assert!(check(&file).is_err_and(|reason| reason.ends_with(&format!("chmod 644 {}", file.display()))));
}

#[test]
fn a_folder_a_file_and_a_link_of_another_user_are_refused() {
    if !geteuid().is_root() {
        eprintln!("skipped: only root can give a file to another user; the rule itself is tested above");
        return;
    }
    let scratch = Scratch::new("owner");
    scratch.folder("theirs", 0o755);
    let below = scratch.file("theirs/file", 0o644);
    let file = scratch.file("file", 0o644);
    symlink(&file, scratch.0.join("link")).unwrap();
    std::os::unix::fs::lchown(scratch.0.join("link"), Some(OTHER), Some(OTHER)).unwrap();
    chown(scratch.0.join("theirs"), Some(OTHER), Some(OTHER)).unwrap();
    for (path, whose) in [(&below, "theirs"), (&scratch.0.join("link"), "link")] {
        let found = check_trust(path, Use::Itself, &[]).unwrap_err();
        let expected = format!("{} belongs to user {OTHER}", scratch.0.join(whose).display());
        assert!(found.starts_with(&expected), "{found}");
    }
    assert_eq!(check_trust(&file, Use::Itself, &[]), Ok(()));
    chown(&file, Some(OTHER), Some(0)).unwrap();
    assert!(check_trust(&file, Use::Itself, &[]).is_err());
    for path in [&below, &file, &scratch.0.join("link")] {
        assert_eq!(check_trust(path, Use::Itself, &[7, OTHER]), Ok(()));
        assert!(check_trust(path, Use::Itself, &[7]).is_err());
    }
}
