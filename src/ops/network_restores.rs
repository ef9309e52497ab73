//! Bringing a network back: what is in its way is found and told first, and no network that exists is ever
//! changed or removed for it.

use serde::Serialize;
use serde_json::Value;

use super::{
    Actor,
    backups::{self, Preview},
    perform::{Job, Problem, done},
    quiesce, restores,
    review::{Conflict, unused},
    undo,
};
use crate::{
    app::App,
    docker::{self, DockerError},
    error::{AppError, Result},
    model::{
        backup::Kind,
        names::BackupRef,
        network::{Network, overlap},
        progress::Level,
        restore::NetworkOptions,
        run::{NetworkRestoreRequest, Outcome, Request, Run, State},
    },
};

/// The option with the name of the bridge on the host: no two networks can have the same.
const BRIDGE: &str = "com.docker.network.bridge.name";

/// What a restore with these decisions would do.
#[derive(Debug, Clone, Serialize)]
pub struct Review {
    /// Name it will have.
    pub name: String,
    /// A name for it that is not taken.
    pub free_name: String,
    /// Its driver.
    pub driver: String,
    /// Subnets in the backup.
    pub subnets: Vec<String>,
    /// Docker chooses the subnet instead.
    pub any_subnet: bool,
    /// A network of that name exists.
    pub exists: bool,
    /// Networks whose subnets share addresses with those in the backup.
    pub overlaps: Vec<String>,
    /// Things that stop the restore until they are decided.
    pub conflicts: Vec<Conflict>,
    /// Things worth knowing.
    pub warnings: Vec<String>,
}

/// What a restore would do.
pub async fn review(app: &App, id: &BackupRef, options: &NetworkOptions) -> Result<(Preview, Review)> {
    let preview = restores::readable(app, id, Kind::Network).await?;
    let backup = preview.manifest.networks.first().cloned().unwrap_or_default();
    let all = app.docker.inspect_networks().await?;
    let swarm = backup["Scope"] != "swarm" || app.docker.in_swarm().await?;
    let review = weigh(&backup, &all, swarm, options);
    Ok((preview, review))
}

fn weigh(backup: &Value, all: &[Value], swarm: bool, options: &NetworkOptions) -> Review {
    let original = docker::network_row(backup);
    let name = options.new_name.as_ref().map_or_else(|| original.name.clone(), ToString::to_string);
    let rows: Vec<Network> = all.iter().map(docker::network_row).collect();
    let overlaps: Vec<&Network> = rows
        .iter()
        .filter(|other| other.scope == original.scope && overlap(&original.subnets, &other.subnets))
        .collect();
    let mut conflicts = Vec::new();
    let mut conflict = |status, message| conflicts.push(Conflict { status, message });
    if let Some(existing) = all.iter().find(|other| other["Name"] == name.as_str()) {
        conflict("name_conflict", name_taken(&name, &original.name, backup, existing));
    }
    // What the network of that name has besides is in the way only as long as that network is.
    let others = |other: &str| other != name;
    if !options.any_subnet
        && let Some(other) = overlaps.iter().find(|other| others(&other.name))
    {
        conflict(
            "subnet_conflict",
            format!(
                "Its subnet {} overlaps with {} of the network {}. Let Docker choose another subnet, or delete that \
                 network first.",
                original.subnets.join(", "),
                other.subnets.join(", "),
                other.name
            ),
        );
    }
    if let Some(bridge) = backup["Options"][BRIDGE].as_str()
        && let Some(other) = all
            .iter()
            .find(|other| other["Options"][BRIDGE] == bridge && other["Name"].as_str().is_some_and(others))
    {
        let other = other["Name"].as_str().unwrap_or_default();
        conflict(
            "bridge_conflict",
            format!(
                "Its bridge on the host is called {bridge}, and so is that of the network {other}. Delete that network first."
            ),
        );
    }
    let from = backup["ConfigFrom"]["Network"].as_str().unwrap_or_default();
    if !from.is_empty() && !rows.iter().any(|other| other.name == from) {
        conflict(
            "network_missing",
            format!(
                "It takes its settings from the network {from}, which is not there. Restore or make that one first."
            ),
        );
    }
    if !swarm {
        conflict(
            "no_swarm",
            "It is a network of a swarm, and this engine is in none. Run docker swarm init or join one first."
                .to_owned(),
        );
    }
    Review {
        free_name: unused(&format!("{}-restored", original.name), |name| {
            rows.iter().any(|other| other.name == name)
        }),
        driver: original.driver.clone(),
        any_subnet: options.any_subnet,
        exists: rows.iter().any(|other| other.name == name),
        overlaps: overlaps.iter().map(|other| other.name.clone()).collect(),
        warnings: warnings(backup, all, &original, options),
        subnets: original.subnets,
        conflicts,
        name,
    }
}

fn name_taken(name: &str, original: &str, backup: &Value, existing: &Value) -> String {
    let differences = docker::network_differences(backup, existing, false);
    let fields: Vec<_> = differences.iter().map(|difference| difference.field.as_str()).collect();
    match (name == original, fields.is_empty()) {
        (true, true) => {
            format!("The network {name} exists and is exactly as in the backup. There is nothing to restore.")
        }
        (true, false) => format!(
            "A network named {name} exists, and differs from the backup in {}. Give a new name, or delete that \
             network first.",
            fields.join(", ")
        ),
        (false, _) => format!("A network named {name} exists. Give another name."),
    }
}

fn warnings(backup: &Value, all: &[Value], original: &Network, options: &NetworkOptions) -> Vec<String> {
    let mut warnings = Vec::new();
    let same = |other: &&Value| other["Name"] == backup["Name"];
    let twin = all.iter().find(same);
    if options.new_name.is_some()
        && twin.is_some_and(|twin| docker::network_differences(backup, twin, false).is_empty())
    {
        warnings.push(format!(
            "The network {} exists and is exactly as in the backup: this makes a second one.",
            original.name
        ));
    }
    if options.any_subnet && !original.subnets.is_empty() {
        warnings.push(format!(
            "Containers with a fixed address in {} can't join it.",
            original.subnets.join(", ")
        ));
    }
    if let Some(parent) = backup["Options"]["parent"].as_str() {
        warnings.push(format!("It needs the network interface {parent} on this host."));
    }
    warnings
}

/// Puts a restore into the queue; conflicts are refused before anything is touched.
pub async fn request(app: &App, actor: &Actor, id: &BackupRef, options: NetworkOptions) -> Result<Run> {
    let (preview, review) = review(app, id, &options).await?;
    restores::refuse_unfinished(&preview)?;
    refuse(&review)?;
    let request = NetworkRestoreRequest { backup: preview.backup.reference(), options };
    let run = backups::new_run(actor, review.name, Request::NetworkRestore(request));
    backups::enqueue(app, actor, run).await
}

fn refuse(review: &Review) -> Result<()> {
    let Some(first) = review.conflicts.first() else { return Ok(()) };
    let messages: Vec<_> = review.conflicts.iter().map(|conflict| conflict.message.as_str()).collect();
    Err(AppError::RestoreConflict {
        status: first.status,
        message: messages.join(" "),
        existing_volumes: Vec::new(),
    })
}

/// The id of a network by its name, for the answer to a script.
pub async fn id_of(app: &App, name: &str) -> Result<Option<String>> {
    let inspect = app.docker.network(name).await?;
    Ok(inspect.and_then(|inspect| inspect["Id"].as_str().map(str::to_owned)))
}

/// Does the run. What it begins is in its journal, and undone by who calls this if it is not finished.
pub(super) async fn run(job: &Job, request: &NetworkRestoreRequest) -> Result<Outcome, Problem> {
    let app = &job.app;
    job.step("Checking what is there");
    let backup = request.backup.parse().map_err(AppError::internal)?;
    let (preview, review) = review(app, &backup, &request.options).await?;
    // Things may have changed since it was asked for.
    refuse(&review)?;
    let mut wanted = preview.manifest.networks.first().cloned().unwrap_or_default();
    wanted["Name"] = Value::String(review.name.clone());
    if review.any_subnet {
        wanted["IPAM"]["Config"] = Value::Null;
    }
    job.step("Making the network");
    let mut journal = job.run.journal.clone();
    journal.created_networks.push(review.name.clone());
    quiesce::save(app, &job.run.id, &journal).await?;
    let made = app.docker.create_network_exactly(&wanted).await;
    if matches!(made, Err(DockerError::Conflict(_) | DockerError::Refused { .. } | DockerError::NotFound(_)))
    {
        // Nothing was made: what has that name now is somebody else's.
        journal.created_networks.clear();
        quiesce::save(app, &job.run.id, &journal).await?;
    }
    let (id, warning) = made?;
    journal.created_networks = vec![id.clone()];
    quiesce::save(app, &job.run.id, &journal).await?;
    let mut state = State::Complete;
    if !warning.is_empty() {
        state = State::CompleteWithWarnings;
        job.note(Level::Warning, format!("Docker says: {warning}")).await?;
    }
    job.step("Comparing it with the backup");
    let now = app.docker.network(&id).await?.unwrap_or_default();
    for difference in docker::network_differences(&wanted, &now, review.any_subnet) {
        state = State::CompleteWithWarnings;
        job.note(Level::Warning, difference.words()).await?;
    }
    let subnets = docker::subnets(&now).join(", ");
    job.note(Level::Info, format!("Made the network {} with the subnet {subnets}.", review.name)).await?;
    undo::settle(app, &job.run.id, &mut journal, &mut Vec::new()).await?;
    Ok(Outcome { backup_id: Some(preview.backup.id), ..done(state) })
}
