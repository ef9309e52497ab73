//! Names and ids as Docker and the vault allow them. They check themselves
//! while they are read, so that a bad one never reaches Docker.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::vault::Storage;

/// Why a name was refused, for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(String);

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadName;
            fn try_from(text: String) -> Result<Self, BadName> {
                let check: fn(&str) -> Result<(), String> = $check;
                check(&text).map_err(BadName)?;
                Ok(Self(text))
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Docker's rule for names of containers and volumes: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`,
/// here at most 255 bytes (moby `daemon/names`).
fn docker_name(text: &str) -> Result<(), String> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if first && rest && text.len() <= 255 {
        return Ok(());
    }
    Err(format!(
        "“{}” is not a name Docker accepts. Use letters, digits, “_”, “.” and “-”, starting with a letter or digit.",
        shorten(text)
    ))
}

fn shorten(text: &str) -> String {
    text.chars().take(60).collect()
}

checked_name!(
    /// A container by id, unique id prefix or name.
    ContainerRef,
    docker_name
);
checked_name!(
    /// A name for a new container.
    ContainerName,
    docker_name
);
checked_name!(
    /// A volume's name.
    VolumeName,
    docker_name
);
checked_name!(
    /// An image by id, id prefix, or name with tag or digest.
    ImageRef,
    |text| {
        let bytes = text.bytes();
        let safe = bytes.clone().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && text.len() <= 512
            && !text.contains("..")
            && bytes.clone().all(|b| b.is_ascii_alphanumeric() || b"_.-:/@".contains(&b));
        if safe {
            Ok(())
        } else {
            Err(format!("“{}” is not the id or name of an image.", shorten(text)))
        }
    }
);
checked_name!(
    /// A network by id, unique id prefix or name. The engine allows more in these names than in others.
    NetworkRef,
    |text| {
        let safe = !text.is_empty()
            && text.len() <= 255
            && !text.starts_with(['-', '.'])
            && !text.chars().any(|c| c.is_control() || "/\\?#".contains(c));
        if safe {
            Ok(())
        } else {
            Err(format!("“{}” is not the id or name of a network.", shorten(text)))
        }
    }
);
checked_name!(
    /// A name for a new network.
    NetworkName,
    docker_name
);
checked_name!(
    /// A backup by snapshot id (or a prefix of at least 8 hex digits) or by file name. One that is in both vaults
    /// is the local one, unless `s3:` stands before it.
    BackupRef,
    |text| {
        let text = split_storage(text).1;
        let safe = !text.is_empty()
            && text.len() <= 400
            && !text.contains("..")
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        if safe {
            Ok(())
        } else {
            Err("This is not the id or file name of a backup.".to_owned())
        }
    }
);
checked_name!(
    /// The id of a run: a ULID, so that ids sort by time.
    RunId,
    |text| {
        ulid::Ulid::from_string(text)
            .map(|_| ())
            .map_err(|_| "This is not the id of a job.".to_owned())
    }
);

/// `s3:name` → the vault and the name.
fn split_storage(text: &str) -> (Option<Storage>, &str) {
    let split = text.split_once(':').and_then(|(word, name)| Some((word.parse().ok()?, name)));
    split.map_or((None, text), |(storage, name)| (Some(storage), name))
}

impl BackupRef {
    /// The vault, if one was said, and the id or file name.
    pub fn parts(&self) -> (Option<Storage>, &str) {
        split_storage(&self.0)
    }
}

checked_name!(
    /// The id of a schedule: a ULID.
    ScheduleId,
    |text| {
        ulid::Ulid::from_string(text)
            .map(|_| ())
            .map_err(|_| "This is not the id of a schedule.".to_owned())
    }
);
checked_name!(
    /// The id of one run of a schedule: a ULID.
    ScheduleRunId,
    |text| {
        ulid::Ulid::from_string(text)
            .map(|_| ())
            .map_err(|_| "This is not the id of a schedule’s run.".to_owned())
    }
);

impl ScheduleId {
    /// A new id.
    pub fn generate() -> Self {
        Self(ulid::Ulid::new().to_string())
    }
}

impl ScheduleRunId {
    /// A new id.
    pub fn generate() -> Self {
        Self(ulid::Ulid::new().to_string())
    }
}

impl RunId {
    /// So many new ids, in their order.
    pub fn generate_many(count: usize) -> Vec<Self> {
        let mut generator = ulid::Generator::new();
        // It runs dry after 2^80 ids of one millisecond.
        let next = || generator.generate().unwrap_or_else(|_| ulid::Ulid::new());
        std::iter::repeat_with(next).take(count).map(|id| Self(id.to_string())).collect()
    }
}

impl RunId {
    /// A new id.
    pub fn generate() -> Self {
        Self(ulid::Ulid::new().to_string())
    }

    /// When it was made, milliseconds since 1970.
    pub fn milliseconds(&self) -> u64 {
        ulid::Ulid::from_string(&self.0).map_or(0, |id| id.timestamp_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_docker_refuses_are_refused_here() {
        for bad in ["", "-a", "a/b", "../x", "a b", "é", "a\n"] {
            assert!(bad.parse::<ContainerRef>().is_err(), "{bad:?}");
        }
        for good in ["a", "web-1", "Web_2.x", "0123abcdef"] {
            assert!(good.parse::<ContainerRef>().is_ok(), "{good:?}");
        }
        assert!("../etc/passwd".parse::<BackupRef>().is_err());
        assert!("s3:../etc/passwd".parse::<BackupRef>().is_err());
        assert!("ftp:0123abcdef".parse::<BackupRef>().is_err());
        assert_eq!("0123abcdef".parse::<BackupRef>().unwrap().parts(), (None, "0123abcdef"));
        assert_eq!("s3:0123abcdef".parse::<BackupRef>().unwrap().parts(), (Some(Storage::S3), "0123abcdef"));
        assert!("nonsense".parse::<RunId>().is_err());
    }
}
