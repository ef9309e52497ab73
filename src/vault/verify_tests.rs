//! Damage of every kind, and which files it costs.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
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
    let heard = Arc::new(Ear::default());
    let ear: Arc<dyn Reporter> = heard.clone();
    let all = vault.verify(&[], Part::of_percent(100, 0), &ear).unwrap();
    assert_eq!((&all.damaged, &all.problems), (&Vec::new(), &Vec::new()));
    assert_eq!(all.backups.len(), 2);
    let (read, total) = (*heard.done.lock().unwrap(), *heard.total.lock().unwrap());
    assert_eq!(all.read, read);
    assert!(read > 600_000 && read <= total && total < read + 20_000, "{read} of {total}");

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
    let other = vault.verify(std::slice::from_ref(&db.id), Part::of_percent(100, 0), &ear).unwrap();
    assert_eq!((other.damaged, other.backups), (Vec::new(), vec![db.id.clone()]));

    // Shorter, or gone: the structure says it.
    write(&good[..good.len() / 2]);
    expect(vault.verify(&[], None, &ear).unwrap());
    fs::remove_file(&largest).unwrap();
    expect(vault.verify(std::slice::from_ref(&web.id), None, &ear).unwrap());
    write(&good);
    assert_eq!(vault.verify(&[], Part::of_percent(100, 0), &ear).unwrap().problems, Vec::<String>::new());

    // An index file that can't be read, or is not there, leads to the files whose data nobody can find without it.
    let folder = path.join("vault/index");
    let files = || fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let index = files()
        .into_iter()
        .find(|index| {
            let (bytes, away) = (fs::read(index).unwrap(), path.join("away"));
            fs::rename(index, &away).unwrap();
            let found = vault.verify(&[], None, &ear).unwrap();
            fs::rename(&away, index).unwrap();
            assert!(!bytes.is_empty() && !found.problems.is_empty());
            let names: Vec<_> = found.damaged.iter().map(|damaged| damaged.backup.as_str()).collect();
            assert_eq!(found.backups.len(), 2);
            names == [web.id.as_str()]
        })
        .expect("an index file that only one backup needs");
    let bytes = fs::read(&index).unwrap();
    fs::remove_file(&index).unwrap();
    fs::write(&index, &bytes[..bytes.len() / 2]).unwrap();
    let found = vault.verify(&[], None, &ear).unwrap();
    let [damaged] = found.damaged.as_slice() else { panic!("{found:#?}") };
    assert_eq!(damaged.backup, web.id);
    assert!(!damaged.files.is_empty() && found.problems[0].contains("index file"), "{found:#?}");
    let one = vault.verify(std::slice::from_ref(&db.id), None, &ear).unwrap();
    assert_eq!(one.damaged, []);
}
