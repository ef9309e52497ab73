//! File systems that are mounted inside of what a restore replaces. Nothing can be moved into them in one step, and
//! deleting what they are mounted on would delete what is on them: another disk, or a network drive.

use std::{
    ffi::OsString,
    fs,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use super::error::VaultError;

/// The mounts of this process, as proc(5) describes them.
const MOUNTS: &str = "/proc/self/mountinfo";

/// An error when something is mounted below this directory, or on this file. `known`: what people call it.
pub(super) fn refuse(path: &Path, known: &Path) -> Result<(), VaultError> {
    let failed = |error| VaultError::io(Path::new(MOUNTS), &error);
    // Where it is in truth: a mount point's path goes through no link.
    let real = fs::canonicalize(path).map_err(|error| VaultError::io(known, &error))?;
    let mounts = fs::read(MOUNTS).map_err(failed)?;
    let Some(mounted) = first_in(&mounts, &real) else { return Ok(()) };
    let below = mounted.strip_prefix(&real).unwrap_or(Path::new(""));
    let at = if below.as_os_str().is_empty() { known.to_owned() } else { known.join(below) };
    Err(VaultError::Place(format!(
        "Another file system is mounted at {}, which can't be replaced in one step. What is on it was not touched. \
         Unmount it, or restore into another place.",
        at.display()
    )))
}

/// The first mount point below a directory, or on a file.
fn first_in(mountinfo: &[u8], path: &Path) -> Option<PathBuf> {
    let points = mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        let point = line.split(|byte| *byte == b' ').nth(4)?;
        Some(PathBuf::from(OsString::from_vec(unescape(point))))
    });
    let inside = |point: &PathBuf| point.starts_with(path) && (point != path || !path.is_dir());
    points.filter(inside).min_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()))
}

/// Blanks, tabs, line ends and backslashes stand there as three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        rest = if let (b'\\', Some(code)) = (byte, code) {
            out.push(code);
            &tail[3..]
        } else {
            out.push(*byte);
            tail
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_directory_are_found_by_their_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b");
        fs::create_dir_all(path.join("sub")).unwrap();
        let line = |point: &str| format!("36 35 98:0 / {point} rw,noatime - ext4 /dev/root rw\n");
        let escaped = path.display().to_string().replace(' ', "\\040");
        let found = |points: &[String]| {
            let text: String = points.iter().map(|point| line(point)).collect();
            first_in(text.as_bytes(), &path)
        };
        assert_eq!(found(&[escaped.clone(), "/".to_owned(), format!("{escaped}c")]), None);
        let below = [format!("{escaped}/z"), format!("{escaped}/sub\\134x/y")];
        assert_eq!(found(&below), Some(path.join("sub\\x/y")));
        let file = path.join("file");
        fs::write(&file, "").unwrap();
        let text = line(&format!("{escaped}/file"));
        assert_eq!(first_in(text.as_bytes(), &file), Some(file));
    }

    #[test]
    fn the_real_mounts_are_read() {
        let told = refuse(Path::new("/"), Path::new("/srv")).unwrap_err().to_string();
        assert!(told.contains("mounted at /srv/"), "{told}");
        let directory = tempfile::tempdir().unwrap();
        refuse(directory.path(), directory.path()).unwrap();
        assert!(refuse(&directory.path().join("none"), Path::new("/none")).is_err());
    }
}
