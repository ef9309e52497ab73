//! Damage of every kind, and which files it costs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    super::copy::tests::{Ear, back_up, vault},
    *,
};

/// The packs with data, the largest first.
fn packs(directory: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(directory.join("vault/data")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort_by_key(|path| std::cmp::Reverse(fs::metadata(path).unwrap().len()));
    files
}

fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u8::try_from(state >> 56).unwrap()
    };
    (0..300_000).map(next).collect()
}

#[test]
fn damaged_data_leads_to_the_files_of_the_backups_that_have_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let vault = vault(path, "vault");
    let (one, two) = (noise(1), noise(2));
    let web = back_up(&vault, path, "web", &[("precious", one.as_slice()), ("small", b"x")]);
    let largest = packs(path)[0].clone();
    let db = back_up(&vault, path, "db", &[("rows", two.as_slice())]);
    let ear = Ear::default();
    let all = vault.verify(&[], Part::of_percent(100, 0), &ear).unwrap();
    assert_eq!((all.damaged, all.problems), (Vec::new(), Vec::new()));
    assert_eq!(all.backups.len(), 2);

    // One byte is another: only reading finds it.
    let good = fs::read(&largest).unwrap();
    let mut bad = good.clone();
    bad[1000] ^= 1;
    let write = |bytes: &[u8]| {
        let _ = fs::remove_file(&largest);
        fs::write(&largest, bytes).unwrap();
    };
    write(&bad);
    assert_eq!(vault.verify(&[], None, &ear).unwrap().damaged, []);
    let expect = |found: Verified| {
        let [damaged] = found.damaged.as_slice() else { panic!("{found:#?}") };
        assert_eq!(damaged.backup, web.id);
        assert!(damaged.files.contains(&"/web/volumes/data/precious".to_owned()), "{damaged:#?}");
        assert!(!found.problems.is_empty());
    };
    expect(vault.verify(&[], Part::of_percent(100, 0), &ear).unwrap());
    // In turns it is found in one of them.
    let found = |turn| vault.verify(&[], Part::of_percent(25, turn), &ear).unwrap().damaged.len();
    assert_eq!((0..4).map(found).sum::<usize>(), 1);
    let other = vault.verify(&[db.id.clone()], Part::of_percent(100, 0), &ear).unwrap();
    assert_eq!((other.damaged, other.backups), (Vec::new(), vec![db.id]));

    // Shorter, or gone: the structure says it.
    write(&good[..good.len() / 2]);
    expect(vault.verify(&[], None, &ear).unwrap());
    fs::remove_file(&largest).unwrap();
    expect(vault.verify(&[web.id.clone()], None, &ear).unwrap());
    write(&good);
    assert_eq!(vault.verify(&[], Part::of_percent(100, 0), &ear).unwrap().problems, Vec::<String>::new());

    // An index that can't be read is an error, never a good end.
    let index = fs::read_dir(path.join("vault/index")).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&index).unwrap();
    fs::remove_file(&index).unwrap();
    fs::write(&index, &bytes[..bytes.len() / 2]).unwrap();
    assert!(vault.verify(&[], None, &ear).is_err());
}
