//! Comparisons within a local vault, and with files beside it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use nix::{
    fcntl::{OFlag, open, openat},
    sys::stat::{Mode, mkdirat},
};

use super::*;
use crate::{
    model::{backup::Backup, files::EntryKind},
    vault::copy::tests::{back_up, vault},
};

struct Scene {
    directory: tempfile::TempDir,
    vault: Vault,
}

/// A row as text: sign, path, in what it differs.
fn line(change: &Change) -> String {
    let sign = match change.kind {
        ChangeKind::Added => '+',
        ChangeKind::Changed => '~',
        ChangeKind::Removed => '-',
    };
    let aspects: Vec<_> = change.aspects.iter().map(|aspect| aspect.as_str()).collect();
    format!("{sign}{} {}", change.path.as_str(), aspects.join(",")).trim_end().to_owned()
}

fn lines(changes: &Changes) -> Vec<String> {
    changes.rows.iter().map(line).collect()
}

fn inner(path: &str) -> InnerPath {
    InnerPath::try_from(path.to_owned()).unwrap()
}

fn wanted(pairs: Vec<Pair>) -> Wanted {
    Wanted { pairs, kind: None, offset: 0, limit: 1000 }
}

/// The one volume of a backup.
fn data(backup: &Backup) -> InnerPath {
    inner(&format!("{}/volumes/data", backup.meta.container))
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let vault = vault(directory.path(), "vault");
        Self { directory, vault }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("web-data")
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn back_up(&self) -> Backup {
        back_up(&self.vault, self.directory.path(), "web", &[])
    }

    fn two(&self, before: &Backup, after: &Backup) -> Changes {
        let pair = Pair { before: Some(data(before)), after: Some(Spot::Backup(data(after))) };
        self.vault.compare(&before.id, Some(&after.id)).unwrap().changes(&[], &wanted(vec![pair])).unwrap()
    }

    fn now(&self, before: &Backup) -> Changes {
        let pair = Pair { before: Some(data(before)), after: Some(Spot::Host(0)) };
        self.vault.compare(&before.id, None).unwrap().changes(&[self.root()], &wanted(vec![pair])).unwrap()
    }
}

/// Sets the time of the last change.
fn touch(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn each_kind_of_change_is_found_and_told_by_its_name() {
    let scene = Scene::new();
    for path in ["content", "mode", "time", "owner", "gone", "same", "sub/deep/same", "kind/inside"] {
        scene.write(path, path);
    }
    // A mark of a storage driver; its time means nothing.
    scene.write(".wh..wh..opq", "");
    scene.write("old/a", "12345");
    scene.write("old/b/c", "123");
    symlink("one", scene.root().join("link")).unwrap();
    fs::write(scene.root().join(OsStr::from_bytes(b"odd \xff")), "1").unwrap();
    let before = scene.back_up();
    assert_eq!(scene.two(&before, &scene.back_up()), Changes::default());
    assert_eq!(scene.now(&before), Changes::default());

    let root = scene.root();
    // As long as before.
    scene.write("content", "CONTENT");
    fs::set_permissions(root.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
    touch(&root.join("time"), 1_000_000_000);
    touch(&root.join(".wh..wh..opq"), 1_000_000_000);
    std::os::unix::fs::chown(root.join("owner"), Some(70_001), None).unwrap();
    fs::remove_file(root.join("gone")).unwrap();
    fs::remove_dir_all(root.join("old")).unwrap();
    fs::remove_dir_all(root.join("kind")).unwrap();
    scene.write("kind", "a file now");
    scene.write("new/x/1", "12");
    scene.write("new/x/2", "3456");
    scene.write("sub/deep/new", "7");
    fs::remove_file(root.join("link")).unwrap();
    symlink("two", root.join("link")).unwrap();
    fs::remove_file(root.join(OsStr::from_bytes(b"odd \xff"))).unwrap();
    fs::write(root.join(OsStr::from_bytes(b"odd \xfe")), "1").unwrap();
    let after = scene.back_up();

    let found = scene.two(&before, &after);
    let expected = [
        "~content content",
        "-gone",
        "~kind type",
        "~link target",
        "~mode mode",
        "+new",
        "+odd \u{EFFE}",
        "-odd \u{EFFF}",
        "-old",
        "~owner owner",
        "+sub/deep/new",
        "~time time",
    ];
    assert_eq!(lines(&found), expected);
    assert_eq!(
        found.added,
        Sum { rows: 3, before: Measure::default(), after: Measure { files: 4, bytes: 8 } }
    );
    assert_eq!(
        found.removed,
        Sum { rows: 3, before: Measure { files: 4, bytes: 13 }, after: Measure::default() }
    );
    let kind = &found.rows[2];
    let states = [&kind.before, &kind.after].map(|state| state.as_ref().unwrap());
    assert_eq!(states.map(|state| state.entry.kind), [EntryKind::Dir, EntryKind::File]);
    assert_eq!(states.map(|state| state.measure.bytes), ["kind/inside".len() as u64, 10]);
    assert_eq!(found.rows[4].after.as_ref().unwrap().entry.mode, 0o600);
    assert_eq!(found.bytes_after(before.meta.data_bytes), after.meta.data_bytes);
    assert_eq!((found.problems.len(), found.more_problems), (0, 0));

    // On this machine the content is not read: a file as long as before is known by its time.
    let now = scene.now(&before);
    assert_eq!(lines(&now)[0], "~content time");
    assert_eq!(lines(&now)[1..], expected[1..]);
    // The other way round.
    assert_eq!(scene.two(&after, &before).added.after, found.removed.before);
    // What is in a folder of the same name is compared, whatever the folder itself is.
    fs::set_permissions(root.join("sub"), fs::Permissions::from_mode(0o700)).unwrap();
    scene.write("sub/deep/new", "longer");
    assert_eq!(lines(&scene.now(&after)), ["~sub mode", "~sub/deep/new content"]);
}

#[test]
fn pages_and_kinds_are_parts_of_the_same_list() {
    let scene = Scene::new();
    for number in 0..9 {
        scene.write(&format!("{number}/kept"), "1");
        scene.write(&format!("{number}/old"), "1");
    }
    let before = scene.back_up();
    for number in 0..9 {
        scene.write(&format!("{number}/kept"), "22");
        fs::remove_file(scene.root().join(format!("{number}/old"))).unwrap();
        scene.write(&format!("{number}/new"), "1");
    }
    let after = scene.back_up();
    let all = scene.two(&before, &after);
    assert_eq!(all.count(None), 27);
    let comparison = scene.vault.compare(&before.id, Some(&after.id)).unwrap();
    let pair = Pair { before: Some(data(&before)), after: Some(Spot::Backup(data(&after))) };
    for kind in [None, Some(ChangeKind::Added), Some(ChangeKind::Changed), Some(ChangeKind::Removed)] {
        let mut rows = Vec::new();
        loop {
            let page = Wanted { pairs: vec![pair.clone()], kind, offset: rows.len(), limit: 4 };
            let found = comparison.changes(&[], &page).unwrap();
            assert_eq!((found.added, found.changed, found.removed), (all.added, all.changed, all.removed));
            if found.rows.is_empty() {
                break;
            }
            assert!(found.rows.len() <= 4);
            rows.extend(found.rows);
        }
        let expected = all.rows.iter().filter(|row| kind.is_none_or(|kind| row.kind == kind)).cloned();
        assert_eq!(rows, expected.collect::<Vec<_>>());
        assert_eq!(rows.len(), all.count(kind));
    }
}

#[test]
fn another_name_of_the_container_changes_no_file() {
    let scene = Scene::new();
    scene.write("same", "1");
    scene.write("other", "1");
    let before = scene.back_up();
    fs::rename(scene.root(), scene.directory.path().join("site-data")).unwrap();
    fs::write(scene.directory.path().join("site-data/other"), "22").unwrap();
    let after = back_up(&scene.vault, scene.directory.path(), "site", &[]);
    assert_eq!(lines(&scene.two(&before, &after)), ["~other content"]);
}

#[test]
fn a_part_that_is_in_one_state_only_is_one_row() {
    let scene = Scene::new();
    scene.write("a", "1");
    scene.write("sub/b", "22");
    let backup = scene.back_up();
    fs::create_dir(scene.directory.path().join("empty")).unwrap();
    let sources = [scene.root(), scene.directory.path().join("empty")];
    let pairs = vec![
        Pair { before: Some(data(&backup)), after: None },
        Pair { before: None, after: Some(Spot::Host(0)) },
        Pair { before: None, after: Some(Spot::Host(1)) },
    ];
    let comparison = scene.vault.compare(&backup.id, None).unwrap();
    let found = comparison.changes(&sources, &wanted(pairs)).unwrap();
    assert_eq!(lines(&found), ["-", "+", "+"]);
    assert_eq!(found.rows.iter().map(|row| row.pair).collect::<Vec<_>>(), [0, 1, 2]);
    let both = Measure { files: 2, bytes: 3 };
    assert_eq!((found.removed.before, found.added.after), (both, both));
    // One that went meanwhile is not an empty one.
    let missing = wanted(vec![Pair { before: Some(data(&backup)), after: Some(Spot::Host(0)) }]);
    let gone = comparison.changes(&[scene.directory.path().join("nothing")], &missing);
    assert!(matches!(gone, Err(VaultError::Absent { .. })), "{gone:?}");
}

#[test]
fn what_cannot_be_read_is_a_problem_and_not_removed() {
    let scene = Scene::new();
    scene.write("0", "1");
    let deep = "d".repeat(250);
    scene.write(&format!("{deep}/kept"), "1");
    let before = scene.back_up();
    // Folders that no path leads to any more: longer than the system takes.
    let mut folder = open(&scene.root().join(&deep), OFlag::O_DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..20 {
        mkdirat(&folder, deep.as_str(), Mode::S_IRWXU).unwrap();
        folder = openat(&folder, deep.as_str(), OFlag::O_DIRECTORY, Mode::empty()).unwrap();
    }
    // A link that takes a folder's place is a link, and nothing behind it is seen.
    symlink("/etc", scene.root().join("etc")).unwrap();
    // What an unfinished restore left is not data.
    fs::create_dir(scene.root().join(".container-monkey-01ARZ3NDEKTSV4RRFFQ69G5FAV")).unwrap();
    let now = scene.now(&before);
    assert_eq!(lines(&now), [format!("+{deep}/{deep}"), "+etc".to_owned()]);
    assert_eq!(now.rows[1].after.as_ref().unwrap().entry.target.as_deref(), Some("/etc"));
    assert_eq!(now.problems.len(), 1, "{:?}", now.problems);
    assert!(now.problems[0].ends_with("can't be read: File name too long."), "{:?}", now.problems);
}

#[test]
fn a_host_path_that_is_a_file_is_compared_itself() {
    let scene = Scene::new();
    scene.write("app.conf", "one");
    let before = scene.back_up();
    scene.write("app.conf", "three");
    let path = data(&before).join("app.conf");
    let pair = wanted(vec![Pair { before: Some(path), after: Some(Spot::Host(0)) }]);
    let comparison = scene.vault.compare(&before.id, None).unwrap();
    let found = comparison.changes(&[scene.root().join("app.conf")], &pair).unwrap();
    assert_eq!(lines(&found), ["~ content"]);
    assert_eq!((found.changed.before.bytes, found.changed.after.bytes), (3, 5));
}
