//! Whether what the vault holds is whole.

use serde::{Deserialize, Serialize};

use super::vault::Storage;

/// What is to be verified. The structure always is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyRequest {
    /// The vault.
    pub storage: Storage,
    /// Only these backups, with all their data; empty = all there are.
    #[serde(default, alias = "backup", deserialize_with = "none_one_or_many")]
    pub backups: Vec<String>,
    /// How much of the vault's data is read, percent; 0 = none.
    #[serde(default)]
    pub percent: u32,
}

/// What an earlier version wrote, too: one backup, or `null` for all.
fn none_one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ids {
        Many(Vec<String>),
        One(String),
    }
    Ok(match Option::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Ids::One(id)) => vec![id],
        Some(Ids::Many(ids)) => ids,
    })
}

/// A share of the vault's data: number `turn` of `of`. All turns together are all data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Which one, from 0.
    pub turn: u32,
    /// How many there are.
    pub of: u32,
}

impl Part {
    /// Whether it is all data.
    pub const fn is_all(self) -> bool {
        self.of == 1
    }

    /// The share of this size whose turn it is; `None` = no data is read.
    pub fn of_percent(percent: u32, turn: u32) -> Option<Self> {
        let of = 100u32.checked_div(percent.min(100))?;
        Some(Self { turn: turn % of, of })
    }
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Ids of all backups that were looked at.
    pub backups: Vec<String>,
    /// Those of which something is lost.
    pub damaged: Vec<Damaged>,
    /// What the vault itself says is wrong.
    pub problems: Vec<String>,
    /// Bytes of data that were read, as they are stored.
    #[serde(default)]
    pub read: u64,
}

/// A backup of which something is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// Its id.
    pub backup: String,
    /// Its file name.
    pub filename: String,
    /// Files and folders that can't be restored, as far as they are named.
    pub files: Vec<String>,
    /// How many more there are.
    pub more: u64,
}

impl Damaged {
    /// In words.
    pub fn words(&self) -> String {
        let files = self.files.join(", ");
        match self.more {
            0 => files,
            more => format!("{files} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_earlier_versions_are_understood() {
        let ids = |text: &str| serde_json::from_str::<VerifyRequest>(text).unwrap().backups;
        assert_eq!(ids(r#"{"storage":"local","backup":null,"percent":10}"#), [""; 0]);
        assert_eq!(ids(r#"{"storage":"local","percent":10}"#), [""; 0]);
        assert_eq!(ids(r#"{"storage":"s3","backup":"ab","percent":100}"#), ["ab"]);
        assert_eq!(ids(r#"{"storage":"s3","backups":["ab","cd"],"percent":100}"#), ["ab", "cd"]);
    }

    #[test]
    fn turns_go_round_and_leave_nothing_out() {
        assert_eq!(Part::of_percent(0, 3), None);
        assert_eq!(Part::of_percent(100, 3), Some(Part { turn: 0, of: 1 }));
        let turns: Vec<u32> =
            (0..6).filter_map(|turn| Part::of_percent(25, turn)).map(|part| part.turn).collect();
        assert_eq!(turns, [0, 1, 2, 3, 0, 1]);
        // 30 % would leave a rest: three parts of a third are read instead.
        assert_eq!(Part::of_percent(30, 2), Some(Part { turn: 2, of: 3 }));
    }
}
