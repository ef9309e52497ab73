//! Single files and folders out of a local vault, with what a hostile user of the target or a crash can do.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::{
    model::backup::Backup,
    vault::copy::tests::{Ear, back_up, vault},
};

const RUN: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const KEPT: &str = "conf.before-20260203-040506";

struct Scene {
    directory: tempfile::TempDir,
    vault: Vault,
    backup: Backup,
}

impl Scene {
    /// A backup of `conf`, `sub/inner` and `sub/deep/link`, and a target that holds another `conf`.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let vault = vault(directory.path(), "vault");
        let data = directory.path().join("web-data");
        fs::create_dir_all(data.join("sub/deep")).unwrap();
        fs::write(data.join("sub/inner"), "inner").unwrap();
        symlink("/etc/passwd", data.join("sub/deep/link")).unwrap();
        fs::write(data.join("conf"), "from the backup").unwrap();
        fs::set_permissions(data.join("conf"), fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::chown(data.join("conf"), Some(70_001), Some(999)).unwrap();
        let backup = back_up(&vault, directory.path(), "web", &[]);
        fs::create_dir(directory.path().join("target")).unwrap();
        let scene = Self { directory, vault, backup };
        fs::write(scene.target().join("conf"), "what is there").unwrap();
        scene
    }

    fn target(&self) -> PathBuf {
        self.directory.path().join("target")
    }

    fn to(&self, folder: &str, name: &str) -> FilePlace {
        FilePlace {
            root: self.target(),
            folder: InnerPath::try_from(folder.to_owned()).unwrap(),
            name: name.to_owned(),
            kept: Some(KEPT.to_owned()),
        }
    }

    fn restore(&self, path: &str, to: &FilePlace, go: bool) -> Result<FileResult, VaultError> {
        let path = InnerPath::try_from(format!("web/volumes/data/{path}")).unwrap();
        self.vault.restore_file(&self.backup.id, &path, RUN, to, &Ear::default(), &mut || go)
    }

    /// As far as a worker comes that dies before the two change places.
    fn stop_before_swap(&self, to: &FilePlace) -> String {
        let browser = self.vault.browse(&self.backup.id).unwrap();
        let path = InnerPath::try_from("web/volumes/data/conf".to_owned()).unwrap();
        let found = browser.find(&path).unwrap().unwrap();
        let (work, place) = (Work::make(to, RUN).unwrap(), Place::open(to).unwrap());
        work.build(&browser.repo, &found.0, &place, &mut RestoreResult::default(), &Ear::default()).unwrap()
    }

    /// Names in the target, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.target()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.target().join(name)).unwrap()
    }
}

#[test]
fn a_file_comes_back_as_it_was_and_what_was_there_stays_beside_it() {
    let scene = Scene::new();
    let done = scene.restore("conf", &scene.to("/", "conf"), true).unwrap();
    assert_eq!(done.kept.as_deref(), Some(KEPT));
    assert_eq!((done.restored.written, done.restored.bytes), (1, 15));
    assert!(done.restored.notes.is_empty(), "{:?}", done.restored.notes);
    assert_eq!((scene.read("conf"), scene.read(KEPT)), ("from the backup".into(), "what is there".into()));
    let (meta, was) = (fs::metadata(scene.target().join("conf")).unwrap(), scene.directory.path());
    let was = fs::metadata(was.join("web-data/conf")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (70_001, 999, 0o640));
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (was.mtime(), was.mtime_nsec()));
    assert_eq!(scene.names(), ["conf", KEPT]);

    // The name is taken now.
    let again = scene.restore("conf", &scene.to("/", "conf"), true).unwrap();
    assert_eq!(again.kept.unwrap(), format!("{KEPT}-2"));
    assert_eq!(scene.read(KEPT), "what is there");

    let to = FilePlace { kept: None, ..scene.to("/", "conf") };
    fs::write(scene.target().join("conf"), "not wanted any more").unwrap();
    assert_eq!(scene.restore("conf", &to, true).unwrap().kept, None);
    assert_eq!(scene.read("conf"), "from the backup");
    assert_eq!(scene.names(), ["conf", KEPT, &format!("{KEPT}-2")]);
}

#[test]
fn a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_file() {
    let scene = Scene::new();
    fs::create_dir(scene.target().join("sub")).unwrap();
    fs::write(scene.target().join("sub/extra"), "not in the backup").unwrap();
    scene.restore("sub", &scene.to("/", "conf"), true).unwrap();
    assert_eq!(scene.read(KEPT), "what is there");
    assert_eq!(scene.read("conf/inner"), "inner");
    assert_eq!(
        fs::read_link(scene.target().join("conf/deep/link")).unwrap(),
        Path::new("/etc/passwd"),
        "links are links"
    );

    scene.restore("conf", &scene.to("/", "sub"), true).unwrap();
    assert_eq!(scene.read("sub"), "from the backup");
    assert_eq!(scene.read(&format!("{KEPT}-2/extra")), "not in the backup");

    // A folder is exactly the backup's then.
    fs::write(scene.target().join("conf/extra"), "later").unwrap();
    let to = FilePlace { kept: None, ..scene.to("/", "conf") };
    scene.restore("sub", &to, true).unwrap();
    assert!(!scene.target().join("conf/extra").exists());
    assert_eq!(scene.names(), ["conf", KEPT, &format!("{KEPT}-2"), "sub"]);

    // Where nothing is, nothing is kept.
    assert_eq!(scene.restore("sub/inner", &scene.to("conf/deep", "inner"), true).unwrap().kept, None);
    assert_eq!(scene.read("conf/deep/inner"), "inner");
}

#[test]
fn no_link_leads_out_of_the_target() {
    let scene = Scene::new();
    let outside = scene.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("conf"), "somebody else's").unwrap();
    symlink(&outside, scene.target().join("away")).unwrap();
    symlink("../outside", scene.target().join("up")).unwrap();
    symlink(".", scene.target().join("here")).unwrap();
    for folder in ["away", "up", "here", "here/up", "nothing", "conf"] {
        let error = scene.restore("conf", &scene.to(folder, "conf"), true).unwrap_err();
        assert!(matches!(error, VaultError::Place(_)), "{folder}: {error}");
        assert!(look_at_place(&scene.to(folder, "conf")).is_err(), "{folder}");
    }
    // A link in the file's own place is replaced itself.
    symlink(outside.join("conf"), scene.target().join("link")).unwrap();
    assert_eq!(
        look_at_place(&scene.to("/", "link")).unwrap().unwrap().kind,
        EntryKind::Symlink,
        "it is not followed"
    );
    scene.restore("conf", &FilePlace { kept: None, ..scene.to("/", "link") }, true).unwrap();
    assert_eq!(fs::read_to_string(outside.join("conf")).unwrap(), "somebody else's");
    assert_eq!(scene.read("link"), "from the backup");
    for name in ["", ".", "..", "a/b", &format!("{STAGING}{RUN}")] {
        assert!(scene.restore("conf", &scene.to("/", name), true).is_err(), "{name}");
    }
    assert_eq!(scene.names(), ["away", "conf", "here", "link", "up"]);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn the_thread_that_puts_it_together_sees_nothing_else() {
    let scene = Scene::new();
    let to = scene.to("/", "conf");
    let work = Work::make(&to, RUN).unwrap();
    symlink(scene.directory.path(), through(&work.directory).join("away")).unwrap();
    let seen = work.confined(|| (fs::read_dir("/").unwrap().count(), fs::read_dir("/away").is_ok())).unwrap();
    assert_eq!(seen, (1, false));
    assert!(fs::read_dir(scene.directory.path()).is_ok(), "others still see all");
}

#[test]
fn what_can_not_be_done_leaves_the_target_as_it_was() {
    let scene = Scene::new();
    let to = scene.to("/", "conf");
    let refused = scene.restore("conf", &to, false).unwrap_err();
    assert!(matches!(refused, VaultError::Refused), "{refused}");
    assert!(scene.restore("nothing", &to, true).unwrap_err().to_string().contains("not in this backup"));
    // The data of the vault is lost.
    fs::remove_dir_all(scene.directory.path().join("vault/data")).unwrap();
    fs::create_dir(scene.directory.path().join("vault/data")).unwrap();
    scene.restore("conf", &to, true).unwrap_err();
    assert_eq!((scene.names(), scene.read("conf")), (vec!["conf".to_owned()], "what is there".into()));
}

#[test]
fn a_crash_leaves_the_old_or_the_new_in_place() {
    let scene = Scene::new();
    let to = scene.to("/", "conf");
    let kept = |scene: &Scene| {
        assert_eq!(
            (scene.names(), scene.read("conf")),
            (vec!["conf".into(), KEPT.into()], "from the backup".into())
        );
        assert_eq!(scene.read(KEPT), "what is there");
        fs::rename(scene.target().join(KEPT), scene.target().join("conf")).unwrap();
    };
    // Before it had leave to replace anything.
    scene.stop_before_swap(&to);
    assert_eq!(scene.read("conf"), "what is there");
    assert!(!resume_file(&to, RUN, false).unwrap());
    assert_eq!((scene.names(), scene.read("conf")), (vec!["conf".to_owned()], "what is there".into()));
    // With leave, before the first rename.
    scene.stop_before_swap(&to);
    assert!(resume_file(&to, RUN, true).unwrap());
    kept(&scene);
    // Between the renames, where two names change places in one step.
    let made = scene.stop_before_swap(&to);
    let work = Work::find(&to, RUN).unwrap().unwrap();
    let (target, exchange) = (open_root(&scene.target()).unwrap(), RenameFlags::RENAME_EXCHANGE);
    renameat2(&work.directory, made.as_str(), &target, "conf", exchange).unwrap();
    assert!(work.discard().is_err(), "never what was there before");
    drop(work);
    assert_eq!(scene.read("conf"), "from the backup");
    assert!(resume_file(&to, RUN, true).unwrap());
    kept(&scene);
    // Between the renames, where they can't, and after them.
    let work = |made: &str| {
        let work = Work::find(&to, RUN).unwrap().unwrap();
        renameat(&target, "conf", &work.directory, OLD).unwrap();
        if !made.is_empty() {
            renameat(&work.directory, made, &target, "conf").unwrap();
        }
    };
    scene.stop_before_swap(&to);
    work("");
    assert!(resume_file(&to, RUN, true).unwrap());
    kept(&scene);
    work(&scene.stop_before_swap(&to));
    assert!(resume_file(&to, RUN, true).unwrap());
    kept(&scene);
    // There is nothing left to do.
    assert!(resume_file(&to, RUN, true).unwrap());
    assert_eq!((scene.names(), scene.read("conf")), (vec!["conf".to_owned()], "what is there".into()));
}

#[test]
fn file_systems_that_can_not_exchange_names_do_it_in_two_steps() {
    let scene = Scene::new();
    let to = scene.to("/", "conf");
    let made = scene.stop_before_swap(&to);
    let (work, place) = (Work::find(&to, RUN).unwrap().unwrap(), Place::open(&to).unwrap());
    assert_eq!(work.swap_slowly(&place, &made).unwrap().as_deref(), Some(KEPT));
    work.remove(&place).unwrap();
    assert_eq!((scene.read("conf"), scene.read(KEPT)), ("from the backup".into(), "what is there".into()));
    assert_eq!(scene.names(), ["conf", KEPT]);
}
