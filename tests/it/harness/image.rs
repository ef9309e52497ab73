//! An image of the program under test: the binary that was just built and the libraries it is linked with. The
//! image people use is static and made by the `Dockerfile`; what it runs is the same.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::{run, try_run};

/// Its name; made when it is asked for first.
pub(crate) fn program() -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_container-monkey"));
    let meta = fs::metadata(binary).unwrap();
    let name = format!("container-monkey-test-program:{}-{}", meta.size(), meta.mtime());
    // Each test is a process of its own: only one of them makes it.
    let lock = fs::File::create(std::env::temp_dir().join("container-monkey-test-image.lock")).unwrap();
    lock.lock().unwrap();
    if !try_run("docker", &["image", "inspect", &name]).status.success() {
        make(binary, &name);
    }
    name
}

fn make(binary: &Path, name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let copy = |from: &Path, to: &str| {
        let to = root.join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    copy(binary, "container-monkey");
    for word in
        run("ldd", &[binary.to_str().unwrap()]).split_whitespace().filter(|word| word.starts_with('/'))
    {
        copy(Path::new(word), word);
    }
    fs::create_dir_all(root.join("tmp")).unwrap();
    let tar = root.with_extension("tar");
    run("tar", &["-C", root.to_str().unwrap(), "-cf", tar.to_str().unwrap(), "."]);
    run(
        "docker",
        &[
            "import",
            "-c",
            "ENTRYPOINT [\"/container-monkey\"]",
            "-c",
            "ENV MONKEY_LISTEN=0.0.0.0:80 MONKEY_DATA=/backups",
            "-c",
            "EXPOSE 80",
            "-c",
            "VOLUME /backups",
            "-c",
            "HEALTHCHECK --interval=30s --start-period=20s CMD [\"/container-monkey\", \"healthcheck\"]",
            "-c",
            "LABEL container-monkey.test=program",
            tar.to_str().unwrap(),
            name,
        ],
    );
    fs::remove_file(tar).unwrap();
}
