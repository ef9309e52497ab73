//! Restores: review what one would do, request it.
use super::{Actor, backups::Preview};
use crate::{
    app::App,
    error::Result,
    model::{names::BackupRef, restore::Options, run::Run},
};
use serde::Serialize;
/// What a restore with these decisions would do.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// Name the container will have.
    pub name: String,
    /// A container of that name exists: its id and state word.
    pub existing_container: Option<(String, String)>,
    /// Volumes and binds, in the manifest's order.
    pub data: Vec<DataPlan>,
    /// Ports with what holds them.
    pub ports: Vec<PortPlan>,
    /// Networks: name, and "will be created" / "exists" / what conflicts.
    pub networks: Vec<NetworkPlan>,
    /// The image: reference, id, whether this engine has it, whether the backup has it.
    pub image: ImagePlan,
    /// Whether it will be started.
    pub start: bool,
    /// Things that stop the restore until decided, one sentence each with its API status word.
    pub conflicts: Vec<Conflict>,
    /// Things worth knowing.
    pub warnings: Vec<String>,
}
/// One volume or bind.
#[derive(Debug, Clone, Serialize)]
pub struct DataPlan {
    /// `volume` or `bind`.
    pub kind: &'static str,
    /// Volume name or host path in the backup.
    pub name: String,
    /// Where the container sees it.
    pub destination: String,
    /// It exists on this host (for binds: exists and is not empty).
    pub exists: bool,
    /// Containers that use it now.
    pub used_by: Vec<String>,
    /// create, overwrite, new, skip, or ask.
    pub action: &'static str,
    /// Name it will have.
    pub target: String,
    /// Bytes in the backup.
    pub bytes: u64,
    /// Why it is not in the backup, if so.
    pub missing: Option<String>,
}
/// One published port.
#[derive(Debug, Clone, Serialize)]
pub struct PortPlan {
    /// `80/tcp`.
    pub container_port: String,
    /// Host port it will have; empty = any.
    pub host_port: String,
    /// What holds it now.
    pub taken_by: Option<String>,
    /// A free one near it.
    pub suggestion: Option<String>,
}
/// One network.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkPlan {
    /// Name.
    pub name: String,
    /// create, reuse, conflict, built_in.
    pub action: &'static str,
    /// What is the matter with it, for `conflict`.
    pub problem: Option<String>,
}
/// The image.
#[derive(Debug, Clone, Serialize)]
pub struct ImagePlan {
    /// As the user gave it.
    pub reference: String,
    /// `sha256:…`.
    pub id: String,
    /// This engine has it.
    pub present: bool,
    /// The backup has it.
    pub in_backup: bool,
}
/// Something that must be decided first.
#[derive(Debug, Clone, Serialize)]
pub struct Conflict {
    /// `name_conflict`, `volume_conflict`, `port_conflict`, `network_conflict`, `image_missing`.
    pub status: &'static str,
    /// The sentence.
    pub message: String,
}
/// What a restore would do.
pub async fn review(app: &App, id: &BackupRef, options: &Options) -> Result<(Preview, Review)> {
    todo!()
}
/// Puts a restore into the queue; conflicts are refused before anything is touched.
pub async fn request(app: &App, actor: &Actor, id: &BackupRef, options: Options) -> Result<Run> {
    todo!()
}
