//! What users can ask for, one function per action. Combines the leaves; knows
//! no HTTP and no SQL.

pub mod backups;
pub mod containers;
pub mod dashboard;
pub mod restores;
pub mod runs;
pub mod settings;
pub mod users;

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
