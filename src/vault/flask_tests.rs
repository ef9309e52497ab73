//! Archives as the Flask application made them, whole and not.

use std::{fs, os::unix::fs::MetadataExt};

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, Header as TarHeader};

use super::{
    super::copy::tests::{Ear, vault},
    *,
};
use crate::{model::backup::ItemState, vault::RestoreItem};

fn put(tar: &mut Builder<impl io::Write>, name: &str, kind: EntryType, target: &str, content: &[u8]) {
    let mut header = TarHeader::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o640 });
    header.set_uid(999);
    header.set_gid(998);
    header.set_mtime(1_700_000_000);
    let gnu = header.as_gnu_mut().unwrap();
    gnu.name[..name.len()].copy_from_slice(name.as_bytes());
    gnu.linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn packed(fill: impl FnOnce(&mut Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    fill(&mut tar);
    tar.into_inner().unwrap().finish().unwrap()
}

/// As busybox packs a volume: in no order, names with `./`, hard links as such.
fn volume() -> Vec<u8> {
    packed(|tar| {
        put(tar, "./", EntryType::Directory, "", b"");
        put(tar, "./z", EntryType::Regular, "", b"last");
        put(tar, "./sub/", EntryType::Directory, "", b"");
        put(tar, "./sub/b", EntryType::Regular, "", b"inner");
        put(tar, "./a", EntryType::Link, "./z", b"");
        put(tar, "./link", EntryType::Symlink, "/etc/passwd", b"");
        put(tar, "./lone/file", EntryType::Regular, "", b"without its folder");
    })
}

fn config(volumes: &[&str]) -> Value {
    let mount = |name: &&str| json!({ "Type": "volume", "Name": name, "Destination": format!("/{name}") });
    let mut mounts: Vec<Value> = volumes.iter().map(mount).collect();
    mounts.push(json!({ "Type": "bind", "Source": "/srv/conf", "Destination": "/conf" }));
    json!({
        "Id": "0".repeat(64), "Name": "/web", "Image": "sha256:1", "Config": { "Image": "tiny:1" }, "Mounts": mounts,
        "HostConfig": {}, "State": { "Running": true },
        "NetworkSettings": { "Networks": { "bridge": {}, "own": {
            "IPAMConfig": { "IPv4Address": "172.31.90.7" }, "IPPrefixLen": 24,
        } } },
    })
}

fn archive(config: &Value, data: &[(&str, &[u8])]) -> Vec<u8> {
    let metadata = json!({ "backup_date": "2026-11-23T23:34:00.071811", "server_name": "nas" }).to_string();
    packed(|tar| {
        put(tar, "./", EntryType::Directory, "", b"");
        put(tar, "./backup_metadata.json", EntryType::Regular, "", metadata.as_bytes());
        put(
            tar,
            "./companion.json",
            EntryType::Regular,
            "",
            br#"{"server_name":"attic","is_scheduled":true}"#,
        );
        put(tar, "./container_config.json", EntryType::Regular, "", config.to_string().as_bytes());
        put(tar, "./image.tar", EntryType::Regular, "", b"# Image export failed for tiny:1\nno space");
        for (name, data) in data {
            put(tar, &format!("./volumes/{name}_data.tar.gz"), EntryType::Regular, "", data);
        }
        put(tar, "./volumes_info.json", EntryType::Regular, "", b"[]");
    })
}

fn import(vault: &Vault, directory: &Path, archive: &[u8]) -> Result<Imported, VaultError> {
    let name = "web_20261123_233400.tar.gz";
    let file = directory.join(name);
    fs::write(&file, archive).unwrap();
    let spool = tempfile::tempdir_in(directory).unwrap();
    let flask = Flask::read(&file, name, Some(spool.path()))?;
    assert_eq!(Flask::read(&file, name, None)?.header(), flask.header());
    let image = flask.image.clone().map(|_| unreachable!("these archives have none"));
    let ear: Arc<dyn Reporter> = Arc::new(Ear::default());
    vault.import_flask(&flask, image, &ear)
}

#[test]
fn an_archive_becomes_a_backup_that_says_what_is_missing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let vault = vault(path, "vault");
    let bind = packed(|tar| put(tar, "conf/app.ini", EntryType::Regular, "", b"x"));
    let failed = b"# Volume data backup failed: busybox can't be pulled".as_slice();
    let (data, cut) = (volume(), &volume()[..100]);
    let members =
        [("bind_conf", bind.as_slice()), ("bad", failed), ("cut", cut), ("data", &data), ("none", b"")];
    let archive = archive(&config(&["data", "bad", "cut", "none", "gone"]), &members);
    let imported = import(&vault, path, &archive).unwrap();
    let [backup] = imported.backups.as_slice() else { panic!("{imported:?}") };
    assert_eq!((backup.trigger, backup.meta.state), (Trigger::Import, State::Partial));
    assert_eq!(backup.created.to_rfc3339(), "2026-11-23T23:34:00.071811+00:00");
    assert_eq!(backup.server_name, "attic");
    assert!(backup.duration_seconds < 600.0, "{}", backup.duration_seconds);
    let of = |item: &str| backup.meta.items.iter().find(|outcome| outcome.path == item).unwrap();
    assert_eq!(of("web/volumes/data").state, ItemState::Saved);
    assert_eq!(of("web/volumes/none").state, ItemState::Saved);
    assert!(of(".image").message.contains("Image export failed"), "{:?}", of(".image"));
    assert!(of("web/volumes/bad").message.contains("busybox can't be pulled"));
    for item in [".image", "web/volumes/bad", "web/volumes/cut", "web/volumes/gone"] {
        assert_eq!(of(item).state, ItemState::Failed, "{item}");
    }
    assert_eq!(of("web/binds/0").state, ItemState::LeftOut);
    let manifest = vault.manifest(&backup.id).unwrap();
    assert_eq!(manifest.networks.len(), 1, "bridge is everywhere");
    assert_eq!(manifest.networks[0]["IPAM"]["Config"][0]["Subnet"], "172.31.90.0/24");
    assert_eq!(vault.check(true).unwrap(), Vec::<String>::new());

    let target = path.join("restored");
    fs::create_dir(&target).unwrap();
    let items = [RestoreItem { path: "web/volumes/data".to_owned(), target: target.clone() }];
    vault.restore(&backup.id, &items, "01ARZ3NDEKTSV4RRFFQ69G5FAV", &Ear::default(), &mut || true).unwrap();
    let meta = fs::metadata(target.join("z")).unwrap();
    assert_eq!(fs::read(target.join("a")).unwrap(), b"last");
    assert_eq!(
        (meta.uid(), meta.gid(), meta.mode() & 0o7777, meta.mtime(), meta.nlink()),
        (999, 998, 0o640, 1_700_000_000, 2)
    );
    assert_eq!(fs::read(target.join("sub/b")).unwrap(), b"inner");
    assert_eq!(fs::read(target.join("lone/file")).unwrap(), b"without its folder");
    assert_eq!(fs::read_link(target.join("link")).unwrap(), Path::new("/etc/passwd"));
    let found = vault.browse(&backup.id).unwrap();
    assert!(
        found.find(&"/web/binds/0/conf/app.ini".to_owned().try_into().unwrap()).unwrap().is_some(),
        "it can be looked at"
    );
}

#[test]
fn a_network_becomes_a_backup() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let vault = vault(path, "vault");
    let network = json!({ "Name": "own", "Created": "2026-11-23T23:33:22.48802239Z", "Driver": "bridge",
        "Internal": true, "server_name": "nas" });
    let imported = import(&vault, path, network.to_string().as_bytes()).unwrap();
    let backup = &imported.backups[0];
    assert_eq!((backup.meta.kind, backup.meta.state), (Kind::Network, State::Complete));
    assert_eq!(backup.created.to_rfc3339(), "2026-11-23T23:34:00+00:00", "not when the network was made");
    let manifest = vault.manifest(&backup.id).unwrap();
    assert_eq!(
        (&manifest.networks[0]["Internal"], &manifest.networks[0]["server_name"]),
        (&json!(true), &Value::Null)
    );
}

#[test]
fn what_is_none_or_an_enemys_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let vault = vault(path, "vault");
    let refused = |archive: &[u8], why: &str| {
        let error = import(&vault, path, archive).unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    };
    refused(b"neither", "can't be imported");
    refused(br#"{"server_name":"nas","is_scheduled":true}"#, "accompanies");
    refused(&packed(|tar| put(tar, "./x", EntryType::Regular, "", b"")), "neither an archive");
    refused(&archive(&config(&[".."]), &[]), "a volume called");
    let mut named = config(&[]);
    named["Name"] = json!("/../etc");
    refused(&archive(&named, &[]), "no usable name");
    refused(
        &packed(|tar| put(tar, "./volumes/x", EntryType::Symlink, "/etc", b"")),
        "neither a file nor a folder",
    );
    let whole = archive(&config(&["data"]), &[("data", &volume())]);
    refused(&whole[..whole.len() - 40], "cut off");
    // What leads out of a volume, or stands in its own way, makes that volume missing.
    for (name, kind, target) in [
        ("../../etc/x", EntryType::Regular, ""),
        ("/etc/x", EntryType::Regular, ""),
        ("./x", EntryType::Link, "../../etc/shadow"),
        ("./z/below", EntryType::Regular, ""),
    ] {
        let data = packed(|tar| {
            put(tar, "./z", EntryType::Regular, "", b"");
            put(tar, name, kind, target, b"");
        });
        let imported = import(&vault, path, &archive(&config(&["data"]), &[("data", &data)])).unwrap();
        let items = &imported.backups[0].meta.items;
        let outcome = items.iter().find(|outcome| outcome.path == "web/volumes/data").unwrap();
        assert_eq!(outcome.state, ItemState::Failed, "{name}: {outcome:?}");
    }
}
