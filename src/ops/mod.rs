//! What users can ask for, one function per action. Combines the leaves, writes
//! the audit log; knows no HTTP and no SQL.

pub mod alarms;
pub mod archives;
pub mod audit;
pub mod backup_run;
pub mod backups;
pub mod bulk;
pub mod changes;
pub mod channels;
pub mod cleanup;
pub mod consoles;
pub mod containers;
pub mod copies;
pub mod dashboard;
pub mod delete;
pub mod deletions;
pub mod events;
mod file_restore_run;
pub mod file_restores;
pub mod files;
pub mod first_steps;
mod host_paths;
pub mod images;
pub mod imports;
mod layer;
pub mod logs;
pub mod marks;
pub mod metrics;
pub mod network_backups;
pub mod network_create;
pub mod network_restores;
pub mod networks;
pub mod notices;
mod parts;
pub mod perform;
mod present;
pub mod quiesce;
pub mod recovery;
pub mod recovery_kit;
pub mod redeploy;
pub mod restore_run;
pub mod restores;
pub mod review;
pub mod runs;
mod safety;
pub mod saved_settings;
pub mod schedules;
pub mod settings;
pub mod stacks;
pub mod stats;
pub mod storage;
mod swarm;
pub mod tokens;
pub mod undo;
pub mod upkeep;
pub mod users;
pub mod vault_keys;
pub mod vaults;
pub mod verify;
pub mod volume_sizes;
pub mod volumes;

use crate::db::audit::Entry;

/// Who asks.
#[derive(Debug, Clone)]
pub struct Actor {
    /// User's id.
    pub id: i64,
    /// User's name.
    pub name: String,
    /// Address of the client.
    pub address: String,
}

impl Actor {
    /// An audit entry for something this actor did.
    fn entry<'a>(&'a self, operation: &'a str, target: &'a str) -> Entry<'a> {
        Entry {
            operation,
            actor: &self.name,
            address: &self.address,
            target,
            outcome: "completed",
            error: None,
            details: serde_json::json!({}),
        }
    }
}
