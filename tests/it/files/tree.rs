//! A tree of everything a file system can hold, and an own way to look at it.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io::{Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use nix::sys::{
    stat::{Mode, SFlag, UtimensatFlags, makedev, mknod, utimensat},
    time::TimeSpec,
};
use sha2::{Digest, Sha256};

use crate::harness::run;

/// Makes the tree in an existing directory.
pub(super) fn plant(root: &Path) {
    names(root);
    kinds(root);
    contents(root);
    attributes(root);
    owners(root);
    // Last: everything above changes the times of directories.
    times(root);
}

fn names(root: &Path) {
    let dir = root.join("names");
    fs::create_dir(&dir).unwrap();
    let long = "n".repeat(255);
    let wide = "ü".repeat(127);
    let odd: [&[u8]; 19] = [
        b" ",
        b"-rf",
        b"--",
        b"new\nline",
        b"back\\slash",
        b"\\x41",
        b"\\n",
        b"quo\"te'",
        b"tab\t",
        b"*?[a-z]{b,c}",
        b"!glob",
        b".wh.file",
        b".wh..wh..opq",
        b"\xff\xfe not utf-8",
        b"mixed \xc3\xa4 \xc3",
        b"..x",
        b"plan",
        long.as_bytes(),
        wide.as_bytes(),
    ];
    for name in odd {
        fs::write(dir.join(OsStr::from_bytes(name)), name).unwrap();
        let below = root.join("directories").join(OsStr::from_bytes(name));
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::write(dir.join("bell\u{7}\u{1b}[31m"), "").unwrap();
    // Of the same form as the program's own directories, but not one.
    fs::create_dir(root.join(".container-monkey-x")).unwrap();
    fs::write(root.join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55").unwrap();
    fs::write(root.join(".gitignore"), "*").unwrap();
    let mut deep = root.join("deep");
    for level in 0..35 {
        deep = deep.join(format!("{level}-{}", "d".repeat(90)));
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("bottom"), "bottom").unwrap();
}

fn kinds(root: &Path) {
    let dir = root.join("kinds");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "content").unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    fs::create_dir(dir.join("empty-directory")).unwrap();
    let at = |name: &str| dir.join(name);
    symlink("file", at("link")).unwrap();
    symlink("/no/such/path", at("dangling")).unwrap();
    symlink("/etc/passwd", at("absolute")).unwrap();
    symlink("../../../outside", at("outside")).unwrap();
    symlink("loop", at("loop")).unwrap();
    symlink("x/".repeat(1500), at("long-link")).unwrap();
    symlink(OsStr::from_bytes(b"\xff\n\\"), at("odd-link")).unwrap();
    let make = |name: &str, kind: SFlag, mode: u32, device: u64| {
        mknod(&at(name), kind, Mode::from_bits_truncate(mode), device).unwrap();
    };
    make("fifo", SFlag::S_IFIFO, 0o620, 0);
    make("char", SFlag::S_IFCHR, 0o640, makedev(1, 3));
    make("block", SFlag::S_IFBLK, 0o600, makedev(7, 300));
    make("whiteout", SFlag::S_IFCHR, 0o000, makedev(0, 0));
    drop(UnixListener::bind(at("socket")).unwrap_or_else(|_| {
        // The path may be too long for an address.
        make("socket", SFlag::S_IFSOCK, 0o755, 0);
        UnixListener::bind(std::env::temp_dir().join(format!("{}", ulid::Ulid::new()))).unwrap()
    }));
    fs::set_permissions(at("socket"), fs::Permissions::from_mode(0o711)).unwrap();
    fs::create_dir(at("linked")).unwrap();
    for name in ["file", "empty", "dangling", "fifo", "socket", "char"] {
        fs::hard_link(at(name), at("linked").join(name)).unwrap();
        fs::hard_link(at(name), at(&format!("another-{name}"))).unwrap();
    }
}

fn contents(root: &Path) {
    let dir = root.join("contents");
    fs::create_dir(&dir).unwrap();
    // More than one chunk, and no two alike.
    let mut state = 0x1234_5678_9abc_def1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .take(1_300_000)
    .flatten()
    .collect();
    fs::write(dir.join("large"), &noise).unwrap();
    fs::write(dir.join("same-again"), &noise).unwrap();
    fs::write(dir.join("shifted"), [b"x", &noise[..3_000_000]].concat()).unwrap();
    let mut sparse = File::create(dir.join("sparse")).unwrap();
    sparse.seek(SeekFrom::Start(40_000_000)).unwrap();
    sparse.write_all(b"in the middle").unwrap();
    sparse.set_len(90_000_000).unwrap();
    File::create(dir.join("only-hole")).unwrap().set_len(5_000_001).unwrap();
    fs::write(dir.join("zeros"), [0_u8; 10_000]).unwrap();
}

fn attributes(root: &Path) {
    let dir = root.join("attributes");
    fs::create_dir(&dir).unwrap();
    let file = dir.join("file");
    fs::write(&file, "x").unwrap();
    xattr::set(&file, "user.text", b"value").unwrap();
    xattr::set(&file, "user.empty", b"").unwrap();
    xattr::set(&file, "user.binary", &(0..=255).collect::<Vec<u8>>()).unwrap();
    xattr::set(&file, "user.ü name", b"x").unwrap();
    xattr::set(&file, "trusted.monkey", b"\0\xff").unwrap();
    xattr::set(&dir, "user.of-directory", b"x").unwrap();
    xattr::set(root, "user.of-root", b"x").unwrap();
    xattr::set(root.join("kinds/dangling"), "trusted.of-link", b"x").unwrap();
    xattr::set(root.join("kinds/fifo"), "trusted.of-fifo", b"x").unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    fs::write(dir.join("acl"), "x").unwrap();
    run("setfacl", &["-m", "u:12345:rw,g:54321:r,m::rx", &path("acl")]);
    fs::create_dir(dir.join("default-acl")).unwrap();
    run("setfacl", &["-m", "u:12345:rwx,d:u:777:rwx,d:g::r,d:o::-", &path("default-acl")]);
    // Inherits, and one that does not although its directory says so.
    fs::write(dir.join("default-acl/inherits"), "x").unwrap();
    fs::create_dir(dir.join("default-acl/inherits-too")).unwrap();
    fs::write(dir.join("default-acl/bare"), "x").unwrap();
    fs::create_dir(dir.join("default-acl/bare-directory")).unwrap();
    run("setfacl", &["-b", &path("default-acl/bare"), &path("default-acl/bare-directory")]);
    fs::set_permissions(dir.join("default-acl/bare"), fs::Permissions::from_mode(0o604)).unwrap();
    fs::copy("/bin/busybox", dir.join("capable")).unwrap();
    run("setcap", &["cap_net_raw,cap_net_admin=eip", &path("capable")]);
}

fn owners(root: &Path) {
    let dir = root.join("owners");
    fs::create_dir(&dir).unwrap();
    let owned: [(&str, u32, u32, u32); 8] = [
        ("setuid", 1000, 1000, 0o4755),
        ("setgid", 0, 50, 0o2711),
        ("sticky", 1, 2, 0o1666),
        ("all", 65534, 65534, 0o7777),
        ("none", 0, 0, 0),
        ("far", 3_000_000_000, 4_000_000_000, 0o640),
        ("read-only", 33, 0, 0o444),
        ("write-only", 0, 33, 0o222),
    ];
    for (name, user, group, mode) in owned {
        let (file, directory) = (dir.join(name), dir.join(format!("{name}-directory")));
        fs::write(&file, name).unwrap();
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("inside"), "x").unwrap();
        for path in [&file, &directory] {
            std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    std::os::unix::fs::lchown(root.join("kinds/link"), Some(3_000_000_000), Some(7)).unwrap();
    std::os::unix::fs::lchown(root.join("kinds/fifo"), Some(5), Some(6)).unwrap();
    std::os::unix::fs::chown(root, Some(999), Some(3_000_000_000)).unwrap();
    fs::set_permissions(root, fs::Permissions::from_mode(0o3771)).unwrap();
}

/// Nanoseconds, the past before 1970, and the future, deepest first.
fn times(root: &Path) {
    let mut paths: Vec<PathBuf> = walk(root).0.into_keys().map(|name| root.join(name)).collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    let moments = [
        (1_600_000_000, 123_456_789),
        (0, 1),
        (-1, 999_999_999),
        (-1_000_000_000, 500_000_000),
        (-1_000_000_000, 0),
        (4_000_000_000, 1),
        (1_234_567_890, 0),
    ];
    for (index, path) in paths.iter().enumerate() {
        let (seconds, nanos) = moments[index % moments.len()];
        let time = TimeSpec::new(seconds, nanos);
        utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
    }
}

/// Changes a planted tree in many places.
pub(super) fn disturb(root: &Path) {
    let at = |name: &str| root.join(name);
    fs::write(at("contents/same-again"), "short").unwrap();
    let mut large = fs::OpenOptions::new().write(true).open(at("contents/large")).unwrap();
    large.seek(SeekFrom::Start(5_000_000)).unwrap();
    large.write_all(b"other").unwrap();
    fs::remove_file(at("kinds/link")).unwrap();
    symlink("elsewhere", at("kinds/link")).unwrap();
    fs::remove_file(at("kinds/fifo")).unwrap();
    fs::write(at("kinds/fifo"), "a file now").unwrap();
    fs::remove_file(at("kinds/linked/file")).unwrap();
    fs::write(at("kinds/linked/file"), "content").unwrap();
    fs::remove_dir(at("kinds/empty-directory")).unwrap();
    symlink("/etc", at("kinds/empty-directory")).unwrap();
    fs::remove_dir_all(at("names")).unwrap();
    symlink("/tmp", at("names")).unwrap();
    run("setfacl", &["-b", at("attributes/acl").to_str().unwrap()]);
    run("setfacl", &["-m", "u:1:r,d:u:1:r", at("owners").to_str().unwrap()]);
    run("setfacl", &["-m", "u:1:rwx", at("owners/none").to_str().unwrap()]);
    xattr::set(at("owners/far"), "user.extra", b"x").unwrap();
    xattr::remove(at("attributes/file"), "user.text").unwrap();
    xattr::set(at("attributes/file"), "user.binary", b"other").unwrap();
    std::os::unix::fs::chown(at("attributes/capable"), Some(1), Some(1)).unwrap();
    fs::set_permissions(root, fs::Permissions::from_mode(0o700)).unwrap();
}

/// All that can be said about one entry.
pub(super) type Entry = BTreeMap<&'static str, String>;

/// Entries by their path; the root is the empty path.
#[derive(PartialEq, Eq)]
pub(super) struct Tree(pub(super) BTreeMap<PathBuf, Entry>);

/// Looks at everything below a directory, links not followed.
pub(super) fn walk(root: &Path) -> Tree {
    let mut found = BTreeMap::new();
    let mut first_of = BTreeMap::new();
    visit(root, Path::new(""), &mut found, &mut first_of);
    Tree(found)
}

fn visit(
    root: &Path,
    name: &Path,
    found: &mut BTreeMap<PathBuf, Entry>,
    first_of: &mut BTreeMap<u64, PathBuf>,
) {
    let path = if name.as_os_str().is_empty() { root.to_owned() } else { root.join(name) };
    let meta = fs::symlink_metadata(&path).unwrap();
    let mut entry = describe(&path, &meta);
    if !meta.is_dir() {
        let first = first_of.entry(meta.ino()).or_insert_with(|| name.to_owned());
        entry.insert("same file as", format!("{}", first.display()));
        entry.insert("links", meta.nlink().to_string());
    }
    found.insert(name.to_owned(), entry);
    if meta.is_dir() {
        let mut children: Vec<OsString> =
            fs::read_dir(&path).unwrap().map(|child| child.unwrap().file_name()).collect();
        children.sort();
        for child in children {
            visit(root, &name.join(child), found, first_of);
        }
    }
}

fn describe(path: &Path, meta: &Metadata) -> Entry {
    let mut entry = Entry::new();
    entry.insert("mode", format!("{:o}", meta.mode()));
    entry.insert("owner", format!("{}:{}", meta.uid(), meta.gid()));
    entry.insert("time", format!("{} s {} ns", meta.mtime(), meta.mtime_nsec()));
    entry.insert("device", meta.rdev().to_string());
    if meta.is_symlink() {
        entry
            .insert("target", fs::read_link(path).unwrap().as_os_str().as_bytes().escape_ascii().to_string());
    }
    if meta.is_file() {
        let content = fs::read(path).unwrap();
        entry.insert("content", format!("{} bytes, {:x}", content.len(), Sha256::digest(&content)));
        if content.len() < 1000 {
            entry.insert("text", format!("{content:?}"));
        }
        // Blocks may differ a little; a hole that is filled differs a lot.
        entry.insert("sparse", (meta.blocks() * 512 + 1_000_000 < meta.size()).to_string());
    }
    let mut attributes: Vec<String> = xattr::list(path)
        .unwrap()
        .map(|name| format!("{}={:?}", name.as_bytes().escape_ascii(), xattr::get(path, &name).unwrap()))
        .collect();
    attributes.sort();
    entry.insert("attributes", attributes.join(" "));
    entry
}

/// Fails with every difference.
#[track_caller]
pub(super) fn compare(was: &Tree, now: &Tree) {
    let mut problems = Vec::new();
    for (name, entry) in &was.0 {
        match now.0.get(name) {
            None => problems.push(format!("{name:?} is missing")),
            Some(other) => {
                for (what, value) in entry.iter().filter(|(what, value)| other.get(*what) != Some(*value)) {
                    problems.push(format!("{name:?}: {what} was {value}, is {:?}", other.get(what)));
                }
            }
        }
    }
    problems.extend(
        now.0.keys().filter(|name| !was.0.contains_key(*name)).map(|name| format!("{name:?} is new")),
    );
    assert!(problems.is_empty(), "{} differences:\n{}", problems.len(), problems.join("\n"));
}
