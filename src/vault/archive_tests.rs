//! Backups as files: written, read back, damaged on the way, made by an enemy.

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    super::copy::tests::{Ear, back_up, vault},
    *,
};
use crate::{
    model::{
        backup::{Backup, Trigger},
        progress::Reporter,
    },
    vault::{RestoreItem, Vault, import::Imported},
};

/// Everything that a volume may hold, and a file that is passed on in pieces.
fn filled(vault: &Vault, directory: &Path) -> Backup {
    let data = directory.join("web-data");
    fs::create_dir_all(data.join("folder")).unwrap();
    let long = "n".repeat(200);
    fs::write(data.join(&long), b"a long name").unwrap();
    fs::write(data.join("folder/secret"), b"x").unwrap();
    fs::set_permissions(data.join("folder/secret"), fs::Permissions::from_mode(0o4750)).unwrap();
    fs::write(data.join("twin-a"), b"one file, two names").unwrap();
    fs::hard_link(data.join("twin-a"), data.join("twin-b")).unwrap();
    symlink("../../etc/passwd", data.join("link")).unwrap();
    fs::write(data.join("marked"), b"").unwrap();
    xattr::set(data.join("marked"), "user.note", b"two\nlines\0").unwrap();
    std::os::unix::fs::chown(data.join("marked"), Some(70_000), Some(3_000_000)).unwrap();
    let big: Vec<u8> = (0..400_000_u32).flat_map(u32::to_le_bytes).collect();
    back_up(vault, directory, "web", &[("big", big.as_slice()), ("empty", b"")])
}

fn packed(vault: &Vault, backup: &Backup, compression: Compression, last: bool) -> Vec<u8> {
    vault.browse(&backup.id).unwrap().archive(Vec::new(), compression, last).unwrap()
}

fn import(vault: &Vault, directory: &Path, archive: &[u8]) -> Result<Imported, VaultError> {
    let path = directory.join("upload");
    fs::write(&path, archive).unwrap();
    let spool = tempfile::tempdir_in(directory).unwrap();
    let ear: Arc<dyn Reporter> = Arc::new(Ear::default());
    vault.import(&path, spool.path(), &ear)
}

/// All of a directory: kind, mode, owner, time, links, content or target, attribute.
fn listed(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            let meta = fs::symlink_metadata(root.join(&path)).unwrap();
            let content = match &meta {
                meta if meta.is_dir() => {
                    folders.push(path.clone());
                    String::new()
                }
                meta if meta.is_symlink() => fs::read_link(root.join(&path)).unwrap().display().to_string(),
                _ => hex(&Sha256::digest(fs::read(root.join(&path)).unwrap())),
            };
            let note = xattr::get(root.join(&path), "user.note").unwrap_or_default();
            let links = if meta.is_dir() { 0 } else { meta.nlink() };
            found.push(format!(
                "{} {:o} {}:{} {}.{} {links} {content} {note:?}",
                path.display(),
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.mtime(),
                meta.mtime_nsec()
            ));
        }
    }
    found.sort();
    found
}

#[test]
fn a_backup_goes_through_a_file_into_another_vault() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let from = vault(path, "from");
    let backup = filled(&from, path);
    for compression in Compression::ALL {
        let to = vault(path, compression.as_str());
        let archive = packed(&from, &backup, compression, true);
        if compression == Compression::Zstd {
            assert!(archive.len() < 1_500_000, "{}", archive.len());
        }
        let imported = import(&to, path, &archive).unwrap();
        let [new] = imported.backups.as_slice() else { panic!("{imported:?}") };
        assert!(new.is_copy_of(&backup) && new.trigger == Trigger::Import);
        assert_eq!((new.size, &new.meta.items), (backup.size, &backup.meta.items));
        assert_eq!(to.manifest(&new.id).unwrap().container_name, "web");
        assert_eq!(to.check(true).unwrap(), Vec::<String>::new());

        let target = path.join(format!("restored-{compression}"));
        fs::create_dir(&target).unwrap();
        let items = [RestoreItem { path: "web/volumes/data".to_owned(), target: target.clone() }];
        to.restore(&new.id, &items, "01ARZ3NDEKTSV4RRFFQ69G5FAV", &Ear::default(), &mut || true).unwrap();
        assert_eq!(listed(&target), listed(&path.join("web-data")));

        let again = import(&to, path, &archive).unwrap();
        assert_eq!((again.backups.len(), again.known), (0, vec![new.id.clone()]));
    }
}

#[test]
fn several_backups_are_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (from, to) = (vault(path, "from"), vault(path, "to"));
    let one = back_up(&from, path, "one", &[("file", b"1")]);
    let two = back_up(&from, path, "two", &[("file", b"2")]);
    for compression in Compression::ALL {
        let first = packed(&from, &one, compression, false);
        let both = [first.clone(), packed(&from, &two, compression, true)].concat();
        // That another one should follow is told.
        let error = import(&to, path, &first).unwrap_err();
        assert!(error.to_string().contains("cut off"), "{error}");
        let first = to.list().unwrap().remove(0);
        let imported = import(&to, path, &both).unwrap();
        let names: Vec<_> = imported.backups.iter().map(|backup| backup.meta.container.as_str()).collect();
        assert_eq!((names, imported.known), (vec!["two"], vec![first.id]));
        assert_eq!(to.list().unwrap().len(), 2);
        to.forget(
            &to.list()
                .unwrap()
                .into_iter()
                .filter(|backup| backup.meta.container == "two")
                .map(|backup| backup.id)
                .collect::<Vec<_>>(),
        )
        .unwrap();
    }
}

#[test]
fn what_was_damaged_or_cut_off_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (from, to) = (vault(path, "from"), vault(path, "to"));
    let backup = filled(&from, path);
    for compression in Compression::ALL {
        let archive = packed(&from, &backup, compression, true);
        // At the end a tar has zeros, which nobody misses.
        let needed = if compression == Compression::None { archive.len() - 1024 } else { archive.len() };
        for cut in [10, 700, 5000, needed / 2, needed - 600] {
            let error = import(&to, path, &archive[..cut]).unwrap_err();
            assert!(matches!(error, VaultError::Archive(_)), "{compression} {cut}: {error}");
        }
        for at in [3000, needed / 2, needed - 700] {
            let mut damaged = archive.clone();
            // Not one bit: that may be one of those that fill up a byte.
            damaged[at..at + 16].iter_mut().for_each(|byte| *byte ^= 0xff);
            let error = import(&to, path, &damaged).unwrap_err();
            assert!(matches!(error, VaultError::Archive(_)), "{compression} {at}: {error}");
        }
    }
    assert_eq!(to.list().unwrap(), []);
    assert!(to.check(true).unwrap().is_empty());
}

/// An archive with the right sum, whatever is in it.
fn forged(header: &Header, fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let text = serde_json::to_vec(header).unwrap();
    tar.append_data(&mut own(text.len(), 0), HEADER, text.as_slice()).unwrap();
    fill(&mut tar);
    let so_far = tar.get_ref().clone();
    let end = End { bytes: so_far.len() as u64, sha256: hex(&Sha256::digest(&so_far)) };
    let text = serde_json::to_vec(&end).unwrap();
    tar.append_data(&mut own(text.len(), 0), END, text.as_slice()).unwrap();
    tar.into_inner().unwrap()
}

fn raw(tar: &mut tar::Builder<Vec<u8>>, name: &[u8], kind: EntryType, target: &[u8], content: &[u8]) {
    let mut header = own(content.len(), 0);
    header.set_entry_type(kind);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..name.len()].copy_from_slice(name);
    gnu.linkname[..target.len()].copy_from_slice(target);
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

type Fill<'a> = &'a dyn Fn(&mut tar::Builder<Vec<u8>>);

#[test]
fn an_enemys_archive_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (from, to) = (vault(path, "from"), vault(path, "to"));
    let backup = back_up(&from, path, "web", &[("file", b"1")]);
    let browser = from.browse(&backup.id).unwrap();
    let header = browser.header(true).unwrap();
    let manifest = serde_json::to_vec(&from.manifest(&backup.id).unwrap()).unwrap();
    let begin = |tar: &mut tar::Builder<Vec<u8>>| {
        raw(tar, b"web/", EntryType::Directory, b"", b"");
        raw(tar, b"web/backup.json", EntryType::Regular, b"", &manifest);
        raw(tar, b"web/volumes/", EntryType::Directory, b"", b"");
        raw(tar, b"web/volumes/data/", EntryType::Directory, b"", b"");
    };
    assert_eq!(import(&to, path, &forged(&header, begin)).unwrap().backups.len(), 1, "this one is fine");

    let refused = |header: &Header, why: &str, fill: Fill<'_>| {
        let error = import(&to, path, &forged(header, |tar| fill(tar))).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    };
    let header = Header { created: header.created + chrono::Duration::days(1), ..header };
    refused(&header, "should be in it", &|_| {});
    refused(&header, "an entry called", &|tar| {
        begin(tar);
        raw(tar, b"web/volumes/data/../../../../etc/x", EntryType::Regular, b"", b"x");
    });
    refused(&header, "an entry called", &|tar| raw(tar, b"/etc/", EntryType::Directory, b"", b""));
    refused(&header, "does not belong", &|tar| raw(tar, b"etc/", EntryType::Directory, b"", b""));
    refused(&header, "not where it should be", &|tar| {
        begin(tar);
        raw(tar, b"web/binds/", EntryType::Directory, b"", b"");
    });
    refused(&header, "second name", &|tar| {
        begin(tar);
        raw(tar, b"web/volumes/data/x", EntryType::Link, b"web/backup.json", b"");
    });
    refused(&header, "leads out of it", &|tar| {
        begin(tar);
        raw(tar, b"web/volumes/data/x", EntryType::Link, b"../../etc/shadow", b"");
    });
    refused(&header, "unknown kind", &|tar| {
        begin(tar);
        raw(tar, b"web/volumes/data/x", EntryType::GNUSparse, b"", b"");
    });
    let other = serde_json::to_vec(&crate::model::manifest::Manifest {
        container_name: "db".to_owned(),
        ..from.manifest(&backup.id).unwrap()
    });
    refused(&header, "another container", &|tar| {
        raw(tar, b"web/", EntryType::Directory, b"", b"");
        raw(tar, b"web/backup.json", EntryType::Regular, b"", other.as_ref().unwrap());
    });
    let mut odd = header.clone();
    odd.meta.container = "../etc".to_owned();
    refused(&odd, "no usable name", &|_| {});
    refused(&Header { format: FORMAT + 1, ..header.clone() }, "newer Container Monkey", &|_| {});
    let error = import(&to, path, b"\x1f\x8bnot really").unwrap_err();
    assert!(matches!(error, VaultError::Archive(_)), "{error}");
    let mut bomb = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..64 {
        bomb.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    assert!(matches!(import(&to, path, &bomb.finish().unwrap()), Err(VaultError::Archive(_))));
    assert_eq!(to.list().unwrap().len(), 1);
}
