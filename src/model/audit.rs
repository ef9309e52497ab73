//! The audit log: its entries, what is looked for in it, and the chain that shows
//! whether it is still what was written.
//!
//! Every entry carries `hash` = hex SHA-256 of the JSON array `[hash of the entry before, time, operation, user,
//! address, target, outcome, error, details]`, with the time in milliseconds since 1970 and the details as their JSON
//! text. The first entry of a chain follows the empty hash. Whoever may write the database can also make a new
//! chain, so the last hash is shown and exported: a copy of it kept elsewhere tells even that.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// One entry as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number; counts on without gaps, also over a clearing.
    pub id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// `backup_manual`, `restore`, `login`…
    pub operation: String,
    /// User's name; empty = the program itself.
    pub actor: String,
    /// Client's address.
    pub address: String,
    /// What it was done to: a container's name, a backup's file name…
    pub target: String,
    /// `started`, `completed`, `error`.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
    /// More, JSON as it was written.
    pub details: String,
    /// Over this entry and the one before; empty in entries of versions that wrote none.
    pub hash: String,
}

impl Record {
    /// The hash this entry must have after one with the hash `previous`.
    pub fn digest(&self, previous: &str) -> String {
        let fields = (
            previous,
            self.at.timestamp_millis(),
            &self.operation,
            &self.actor,
            &self.address,
            &self.target,
            &self.outcome,
            &self.error,
            &self.details,
        );
        // Numbers and texts can always be written.
        let text = serde_json::to_vec(&fields).unwrap_or_default();
        Sha256::digest(text).iter().fold(String::with_capacity(64), |mut hex, byte| {
            use std::fmt::Write;
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// The details, to read from.
    pub fn details(&self) -> Value {
        serde_json::from_str(&self.details).unwrap_or(Value::Null)
    }
}

/// Which entries are wanted; empty = all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Exactly this operation.
    pub operation: String,
    /// Exactly this outcome.
    pub outcome: String,
    /// Exactly this user.
    pub user: String,
    /// Exactly this target, or a container with this id.
    pub target: String,
    /// Part of the target.
    pub name: String,
    /// Not before.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// Each of these words somewhere.
    pub words: Vec<String>,
}

/// How much there is of what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// All entries.
    pub total: u64,
    /// When the oldest one was written.
    pub oldest: Option<DateTime<Utc>>,
    /// Of the last 24 hours.
    pub last_24_hours: u64,
    /// Of the last 7 days.
    pub last_7_days: u64,
    /// Errors of the last 7 days.
    pub errors_7_days: u64,
    /// By operation.
    pub by_operation: BTreeMap<String, u64>,
    /// By outcome.
    pub by_outcome: BTreeMap<String, u64>,
}

/// What is wrong with the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The entry is not what was written, or entries before it are not.
    Changed,
    /// Entries from this number up to the next one that is there are gone.
    Missing,
}

/// Whether the log is still what was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain {
    /// Entries looked at.
    pub entries: u64,
    /// Of these, without a hash: written by a version that had none.
    pub unchained: u64,
    /// Number of the first entry that is wrong, with its time if it is there.
    pub broken: Option<(i64, Option<DateTime<Utc>>, Fault)>,
    /// How many places are wrong.
    pub faults: u64,
    /// Number and hash of the last entry.
    pub last: Option<(i64, String)>,
}

impl Chain {
    /// Looks at the next entry, from the oldest to the newest.
    pub fn look(&mut self, record: &Record) {
        self.entries += 1;
        let previous = self.last.take();
        if let Some((id, _)) = &previous
            && *id + 1 != record.id
        {
            self.fault(*id + 1, None, Fault::Missing);
        }
        let previous = previous.map_or(String::new(), |(_, hash)| hash);
        if record.hash.is_empty() && previous.is_empty() {
            self.unchained += 1;
        } else if record.digest(&previous) != record.hash {
            self.fault(record.id, Some(record.at), Fault::Changed);
        }
        self.last = Some((record.id, record.hash.clone()));
    }

    /// After the newest entry: `number` is the highest that was ever given.
    pub fn end(&mut self, number: i64) {
        let last = self.last.as_ref().map_or(0, |(id, _)| *id);
        if last < number {
            self.fault(last + 1, None, Fault::Missing);
        }
    }

    fn fault(&mut self, id: i64, at: Option<DateTime<Utc>>, fault: Fault) {
        self.faults += 1;
        self.broken.get_or_insert((id, at, fault));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(count: i64) -> Vec<Record> {
        let mut previous = String::new();
        (1..=count)
            .map(|id| {
                let mut record = Record {
                    id,
                    at: DateTime::from_timestamp_millis(1_000 * id).unwrap(),
                    operation: "login".to_owned(),
                    actor: format!("user {id}"),
                    address: "127.0.0.1".to_owned(),
                    target: String::new(),
                    outcome: "completed".to_owned(),
                    error: None,
                    details: "{}".to_owned(),
                    hash: String::new(),
                };
                record.hash = record.digest(&previous);
                previous.clone_from(&record.hash);
                record
            })
            .collect()
    }

    fn check(log: &[Record], number: i64) -> Chain {
        let mut chain = Chain::default();
        for record in log {
            chain.look(record);
        }
        chain.end(number);
        chain
    }

    #[test]
    fn an_untouched_log_is_whole() {
        let chain = check(&log(5), 5);
        assert_eq!((chain.entries, chain.faults, chain.broken), (5, 0, None));
        assert_eq!(check(&[], 0).faults, 0);
    }

    #[test]
    fn every_kind_of_change_shows_where_it_was_made() {
        type Change = (&'static str, i64, Fault, fn(&mut Vec<Record>));
        let changes: [Change; 8] = [
            ("text", 3, Fault::Changed, |log| log[2].actor = "nobody".to_owned()),
            ("time", 2, Fault::Changed, |log| log[1].at += chrono::Duration::milliseconds(1)),
            ("no error → error", 4, Fault::Changed, |log| log[3].error = Some(String::new())),
            ("hash removed", 3, Fault::Changed, |log| log[2].hash.clear()),
            ("the first gone", 2, Fault::Changed, |log| drop(log.remove(0))),
            ("one in the middle gone", 3, Fault::Missing, |log| drop(log.remove(2))),
            ("the last gone", 5, Fault::Missing, |log| drop(log.pop())),
            ("swapped", 2, Fault::Changed, |log| {
                log.swap(1, 2);
                (log[1].id, log[2].id) = (2, 3);
            }),
        ];
        for (what, id, fault, change) in changes {
            let mut log = log(5);
            change(&mut log);
            let (at, _, found) = check(&log, 5).broken.expect(what);
            assert_eq!((at, found), (id, fault), "{what}");
        }
    }

    #[test]
    fn entries_removed_before_others_were_written_are_missed() {
        let (mut before, all) = (log(3), log(5));
        before.pop();
        let mut next = all[4].clone();
        next.hash = next.digest(&before[1].hash);
        before.push(next);
        assert_eq!(check(&before, 5).broken.map(|(id, _, fault)| (id, fault)), Some((3, Fault::Missing)));
    }

    #[test]
    fn old_entries_without_hashes_stand_before_the_chain_only() {
        let mut old = log(3);
        old.iter_mut().take(2).for_each(|record| record.hash.clear());
        old[2].hash = old[2].digest("");
        let chain = check(&old, 3);
        assert_eq!((chain.unchained, chain.faults), (2, 0));
        old[2].hash.clear();
        assert_eq!(check(&old, 3).unchained, 3);
    }
}
