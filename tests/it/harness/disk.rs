//! A disk that is soon full.

use std::path::Path;

use super::run;

/// A small file system of so many megabytes; unmounted when dropped.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub(crate) fn new(megabytes: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "container-monkey-test", directory.path().to_str().unwrap()],
        );
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["-l", self.0.path().to_str().unwrap()]);
    }
}
