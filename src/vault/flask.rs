//! Reads what the Flask application kept: container archives (`<name>_<YYYYMMDD>_<HHMMSS>.tar.gz`) and networks
//! (`network_….json`). Where a step of its backup failed, it wrote a text in place of the data and called the backup
//! complete; here the part is missing then, and says why.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Value, json};
use tar::{Archive, EntryType};

use super::{
    BackupPlan, ImageSource, MANIFEST, Vault,
    error::VaultError,
    import::{Imported, open},
    tar_data::{TarData, keep},
    unpack::decompressed,
};
use crate::model::{
    archive::{FORMAT, Header},
    backup::{Kind, Meta, State, Trigger},
    manifest::{Consistency, IMAGE_DIR, ImageRecord, Item, ItemKind, Manifest},
    progress::Reporter,
};

/// The longest description, in bytes.
const DESCRIPTION: u64 = 16 * 1024 * 1024;

/// Networks that every engine has.
const BUILT_IN: [&str; 5] = ["bridge", "host", "none", "docker_gwbridge", "ingress"];

/// What is in a file of the Flask application.
pub struct Flask {
    /// `Container` or `Network`.
    pub kind: Kind,
    /// The raw settings.
    settings: Value,
    metadata: Value,
    companion: Value,
    /// The time in its name.
    stamp: Option<NaiveDateTime>,
    /// `image.tar`, or why it is not there.
    pub image: Result<PathBuf, String>,
    data: BTreeMap<String, Result<Arc<TarData>, String>>,
}

impl std::fmt::Debug for Flask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name())
    }
}

fn wrong<T>(why: impl Into<String>) -> Result<T, VaultError> {
    Err(VaultError::Archive(why.into()))
}

fn damaged(error: &io::Error) -> VaultError {
    VaultError::Archive(format!("it is damaged or was cut off ({error})"))
}

fn json(mut from: impl Read) -> Result<Value, VaultError> {
    let mut text = Vec::new();
    from.by_ref().take(DESCRIPTION + 1).read_to_end(&mut text).map_err(|error| damaged(&error))?;
    if text.len() as u64 > DESCRIPTION {
        return wrong("its description is far too long");
    }
    serde_json::from_slice(&text)
        .or_else(|error| wrong(format!("its description is not understood ({error})")))
}

/// Whether Docker would take it as a name.
fn plain(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first
        && name.len() <= 200
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

impl Flask {
    /// Looks at a file. `spool`: an empty directory to keep its data in; without one only the descriptions are read.
    /// `name`: the name it was given, which tells when a network was backed up.
    pub fn read(file: &Path, name: &str, spool: Option<&Path>) -> Result<Self, VaultError> {
        let beside = File::open(PathBuf::from(format!("{}.json", file.display()))).ok();
        let outside = beside.map_or(Value::Null, |beside| json(beside).unwrap_or_default());
        let mut bytes = decompressed(open(file)?).map_err(|error| damaged(&error))?;
        let mut first = [0; 1];
        let count = bytes.read(&mut first).map_err(|error| damaged(&error))?;
        let mut bytes = io::Cursor::new(first[..count].to_vec()).chain(bytes);
        let mut flask = if first == *b"{" {
            Self::of(Kind::Network, json(&mut bytes)?, outside)
        } else {
            let mut flask = Self::of(Kind::Container, Value::Null, outside);
            flask.take_in(bytes, spool)?;
            flask
        };
        flask.check()?;
        flask.stamp = stamp(name);
        Ok(flask)
    }

    fn of(kind: Kind, settings: Value, companion: Value) -> Self {
        let image = Err("The archive has no image.".to_owned());
        Self { kind, settings, metadata: Value::Null, companion, stamp: None, image, data: BTreeMap::new() }
    }

    fn take_in(&mut self, tar: impl Read, spool: Option<&Path>) -> Result<(), VaultError> {
        for entry in Archive::new(tar).entries().map_err(|error| damaged(&error))? {
            let mut entry = entry.map_err(|error| damaged(&error))?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = path.trim_start_matches("./");
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {}
                EntryType::Directory | EntryType::XGlobalHeader => continue,
                _ => return wrong(format!("{path} in it is neither a file nor a folder")),
            }
            match (path, spool) {
                ("container_config.json", _) => self.settings = json(&mut entry)?,
                ("backup_metadata.json", _) => self.metadata = json(&mut entry)?,
                ("companion.json", _) => self.companion = json(&mut entry)?,
                ("image.tar", Some(spool)) => self.image = image(&mut entry, &spool.join("image.tar")),
                _ => {}
            }
            let described = !self.settings.is_null() && !self.metadata.is_null();
            let Some(spool) = spool else {
                // Its descriptions come first, by their names.
                if described && path.as_bytes() > b"container_config.json".as_slice() {
                    return Ok(());
                }
                continue;
            };
            let name = path.strip_prefix("volumes/").and_then(|name| name.strip_suffix("_data.tar.gz"));
            if let Some(name) = name {
                let kept = spool.join(format!("data-{}", self.data.len()));
                self.data.insert(name.to_owned(), data(&mut entry, kept).map(Arc::new));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), VaultError> {
        if self.settings["Name"].as_str().is_none_or(str::is_empty) {
            return wrong(match self.kind {
                Kind::Network if !self.settings["server_name"].is_null() => {
                    "it only accompanies an archive; import the archive"
                }
                _ => "it is neither an archive of Container Monkey nor one of the Flask application",
            });
        }
        if !plain(&self.name()) {
            return wrong("it has no usable name");
        }
        let odd = self.volumes().into_iter().find(|name| !plain(name));
        odd.map_or(Ok(()), |name| {
            wrong(format!("it has a volume called “{}”", crate::model::files::shown(&name)))
        })
    }

    /// The container or network.
    pub fn name(&self) -> String {
        self.settings["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned()
    }

    /// The id of the image that the container ran.
    pub fn image_id(&self) -> &str {
        self.settings["Image"].as_str().unwrap_or_default()
    }

    fn mounts(&self, kind: &str) -> Vec<&Value> {
        let mounts = self.settings["Mounts"].as_array().into_iter().flatten();
        mounts.filter(|mount| mount["Type"] == kind).collect()
    }

    fn volumes(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .mounts("volume")
            .iter()
            .filter_map(|mount| Some(mount["Name"].as_str()?.to_owned()))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// What it is a backup of, and when it was made: its times have no zone and are taken for UTC, as the Flask
    /// application's container had it.
    pub fn header(&self) -> Header {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let created = match self.kind {
            Kind::Network => {
                self.stamp.map(|time| time.and_utc().to_rfc3339()).or_else(|| text(&self.settings["Created"]))
            }
            _ => text(&self.metadata["backup_date"]),
        };
        let created = created.and_then(|text| {
            let zoned = DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc());
            zoned.or_else(|_| text.parse::<NaiveDateTime>().map(|time| time.and_utc())).ok()
        });
        let server = text(&self.companion["server_name"])
            .or_else(|| text(&self.metadata["server_name"]))
            .or_else(|| text(&self.settings["server_name"]));
        let meta = Meta {
            format: crate::model::manifest::FORMAT,
            kind: self.kind,
            container: self.name(),
            stack: None,
            state: State::Unfinished,
            image: String::new(),
            image_id: String::new(),
            flattened: false,
            files: 0,
            data_bytes: 0,
            image_bytes: 0,
            warnings: 0,
            items: Vec::new(),
            note: String::new(),
            schedule: None,
        };
        Header {
            format: FORMAT,
            program: "Container Monkey (Flask)".to_owned(),
            created: created.unwrap_or(DateTime::<Utc>::UNIX_EPOCH),
            server_name: server
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "Unknown server".to_owned()),
            trigger: Trigger::Import,
            meta,
            more: false,
        }
    }

    /// As a backup of ours. `image`: what was unpacked of its image.
    fn plan(&self, image: Result<(PathBuf, ImageRecord, Value), String>) -> BackupPlan {
        let header = self.header();
        let name = self.name();
        let mut items = vec![item(ItemKind::Settings, "Settings", format!("{name}/{MANIFEST}"))];
        let mut tars = Vec::new();
        let mut failed = Vec::new();
        let network = self.kind == Kind::Network;
        if !network {
            let image_name = self.settings["Config"]["Image"].as_str().unwrap_or_default();
            items.push(item(ItemKind::Image, image_name, IMAGE_DIR.to_owned()));
            self.plan_volumes(&name, &mut items, &mut tars, &mut failed);
            self.plan_binds(&name, &mut items, &mut tars);
        }
        let mut settings = self.settings.clone();
        if let Some(settings) = settings.as_object_mut() {
            settings.remove("server_name");
        }
        let mut manifest = Manifest {
            format: crate::model::manifest::FORMAT,
            app_version: env!("CARGO_PKG_VERSION").to_owned(),
            server_name: header.server_name,
            created: header.created,
            kind: self.kind,
            container_name: name,
            consistency: Consistency::Live,
            container: if network { Value::Null } else { settings.clone() },
            image: Value::Null,
            networks: if network { vec![settings] } else { self.networks() },
            volumes: self.volumes().iter().map(|name| json!({ "Name": name, "Driver": "local" })).collect(),
            engine: json!({}),
            items,
        };
        let mut source = ImageSource::None;
        match image {
            _ if network => {}
            Err(why) => failed.push((IMAGE_DIR.to_owned(), why)),
            Ok((dir, record, config)) => {
                manifest.image = json!({
                    "Id": record.id, "RepoTags": record.tags, "Config": config["config"], "Os": config["os"],
                    "Architecture": config["architecture"],
                    "RootFS": { "Layers": config["rootfs"]["diff_ids"] },
                });
                source = ImageSource::Spooled { dir, record };
            }
        }
        let mut plan = BackupPlan::new(manifest, Trigger::Import);
        (plan.tars, plan.failed, plan.image, plan.created) = (tars, failed, source, Some(header.created));
        plan
    }

    fn plan_volumes(
        &self,
        container: &str,
        items: &mut Vec<Item>,
        tars: &mut Vec<(String, Arc<TarData>)>,
        failed: &mut Vec<(String, String)>,
    ) {
        for name in self.volumes() {
            let path = format!("{container}/volumes/{name}");
            let mounts = self.mounts("volume");
            let mount = mounts.iter().find(|mount| mount["Name"] == name.as_str());
            let destination = mount.and_then(|mount| Some(mount["Destination"].as_str()?.to_owned()));
            match self.data.get(&name) {
                Some(Ok(data)) => tars.push((path.clone(), data.clone())),
                Some(Err(why)) => failed.push((path.clone(), why.clone())),
                None => failed.push((path.clone(), "The archive has no data of it.".to_owned())),
            }
            items.push(Item { destination, ..item(ItemKind::Volume, &name, path) });
        }
    }

    /// Data of host paths is there to look at. It may be that of the Flask application's own container, and of two
    /// paths that end alike only one was kept.
    fn plan_binds(&self, container: &str, items: &mut Vec<Item>, tars: &mut Vec<(String, Arc<TarData>)>) {
        let base = |mount: &Value| {
            let source = mount["Source"].as_str().unwrap_or_default();
            source.rsplit('/').next().unwrap_or_default().to_owned()
        };
        let binds = self.mounts("bind");
        for (number, mount) in binds.iter().enumerate() {
            let path = format!("{container}/binds/{number}");
            let alike = binds.iter().filter(|other| base(other) == base(mount)).count();
            let data = self.data.get(&format!("bind_{}", base(mount))).and_then(|data| data.as_ref().ok());
            let mut why =
                "the Flask application may have copied it from its own container instead of the host"
                    .to_owned();
            if let (1, Some(data)) = (alike, data) {
                tars.push((path.clone(), data.clone()));
                why.push_str("; what it copied can be looked at and downloaded under Files");
            }
            items.push(Item {
                destination: mount["Destination"].as_str().map(str::to_owned),
                left_out: Some(why),
                ..item(ItemKind::Bind, mount["Source"].as_str().unwrap_or_default(), path)
            });
        }
    }

    /// Its archives have no settings of networks: they are made anew as bridges, with the subnet of a fixed address.
    fn networks(&self) -> Vec<Value> {
        let networks = self.settings["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
        let own = networks.filter(|(name, _)| !BUILT_IN.contains(&name.as_str()) && plain(name));
        own.map(|(name, endpoint)| {
            let mut network = json!({ "Name": name, "Driver": "bridge", "Scope": "local", "Labels": {} });
            let fixed = endpoint["IPAMConfig"]["IPv4Address"].as_str();
            let subnet = fixed.and_then(|address| {
                let subnet =
                    format!("{address}/{}", endpoint["IPPrefixLen"].as_u64().filter(|length| *length > 0)?);
                Some(subnet.parse::<ipnet::IpNet>().ok()?.trunc().to_string())
            });
            if let Some(subnet) = subnet {
                network["IPAM"] = json!({ "Driver": "default", "Config": [{ "Subnet": subnet }] });
            }
            network
        })
        .collect()
    }
}

/// `…_<YYYYMMDD>_<HHMMSS>.…`
fn stamp(name: &str) -> Option<NaiveDateTime> {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let at = stem.len().checked_sub(15)?;
    NaiveDateTime::parse_from_str(stem.get(at..)?, "%Y%m%d_%H%M%S").ok()
}

fn item(kind: ItemKind, name: &str, path: String) -> Item {
    Item { kind, name: name.to_owned(), path, destination: None, left_out: None }
}

/// The text that stands in place of data, for people.
fn words(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().next().unwrap_or_default().trim_start_matches(['#', ' ']);
    let line: String = line.chars().filter(|c| !c.is_control()).take(300).collect();
    format!("The archive has no data of it: “{line}”")
}

/// Keeps an image.
fn image(entry: &mut impl Read, file: &Path) -> Result<PathBuf, String> {
    let mut beginning = Vec::new();
    entry.by_ref().take(512).read_to_end(&mut beginning).map_err(|error| error.to_string())?;
    if beginning.starts_with(b"#") || beginning.len() < 512 {
        return Err(words(&beginning));
    }
    keep(&mut beginning.as_slice().chain(entry), file).map_err(|error| error.to_string())?;
    Ok(file.to_owned())
}

/// Keeps the data of a volume or host path.
fn data(entry: &mut impl Read, kept: PathBuf) -> Result<TarData, String> {
    let mut beginning = Vec::new();
    entry.by_ref().take(512).read_to_end(&mut beginning).map_err(|error| error.to_string())?;
    let gzip = beginning.starts_with(&[0x1f, 0x8b]);
    if !gzip && !beginning.is_empty() {
        return Err(words(&beginning));
    }
    let bytes = beginning.as_slice().chain(entry);
    if gzip {
        TarData::read(flate2::read::MultiGzDecoder::new(bytes), kept)
    } else {
        TarData::read(bytes, kept)
    }
    .map_err(|why| format!("The archive can't be used for it: {why}."))
}

impl Vault {
    /// Makes a backup of what was read. `image`: what was unpacked of its image: directory, record, configuration.
    pub fn import_flask(
        &self,
        flask: &Flask,
        image: Result<(PathBuf, ImageRecord, Value), String>,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Imported, VaultError> {
        let plan = flask.plan(image);
        let result = self.backup(&plan, reporter)?;
        for note in result.notes {
            reporter.note(note);
        }
        Ok(Imported { backups: vec![result.backup], known: Vec::new() })
    }
}

#[cfg(test)]
#[path = "flask_tests.rs"]
mod tests;
