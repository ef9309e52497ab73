//! Restores: review what one would do, request it.

use std::collections::BTreeMap;

use super::{
    Actor,
    backups::{self, Preview},
    review,
};
pub use crate::ops::review::{Conflict, DataPlan, ImagePlan, NetworkPlan, PortPlan, Review};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::{Kind, State},
        manifest::FORMAT,
        names::BackupRef,
        restore::Options,
        run::{Request, RestoreRequest, Run},
    },
};

/// What a restore would do.
pub async fn review(app: &App, id: &BackupRef, options: &Options) -> Result<(Preview, Review)> {
    let preview = readable(app, id, Kind::Container).await?;
    check_ports(&options.port_overrides)?;
    let review = review::review(app, &preview.backup, &preview.manifest, options).await?;
    Ok((preview, review))
}

/// A backup of this kind with its manifest, if this version understands it.
pub(super) async fn readable(app: &App, id: &BackupRef, kind: Kind) -> Result<Preview> {
    let preview = backups::preview(app, id).await?;
    if preview.manifest.format > FORMAT {
        return Err(AppError::Impossible(
            "This backup was written by a newer Container Monkey. Restore it with that version.".to_owned(),
        ));
    }
    if preview.manifest.kind != kind {
        let (is, wanted) = (preview.manifest.kind, kind);
        return Err(AppError::Impossible(format!("This is the backup of a {is}, not of a {wanted}.")));
    }
    Ok(preview)
}

/// What an interrupted worker left is not restored.
pub(super) fn refuse_unfinished(preview: &Preview) -> Result<()> {
    if preview.backup.meta.state == State::Unfinished {
        return Err(AppError::Impossible(
            "This backup was interrupted while it was made, so what it holds is not known to be whole. \
             Choose another one."
                .to_owned(),
        ));
    }
    Ok(())
}

/// Puts a restore into the queue; conflicts are refused before anything is touched.
pub async fn request(app: &App, actor: &Actor, id: &BackupRef, options: Options) -> Result<Run> {
    let (preview, review) = review(app, id, &options).await?;
    refuse_unfinished(&preview)?;
    refuse(&review)?;
    let request = RestoreRequest { backup: preview.backup.reference(), options };
    let run = backups::new_run(actor, review.name, Request::Restore(request));
    backups::enqueue(app, actor, run).await
}

/// The first conflict, with everything that exists already.
pub(super) fn refuse(review: &Review) -> Result<()> {
    let Some(conflict) = review.conflicts.first() else {
        return Ok(());
    };
    let existing = review.data.iter().filter(|plan| plan.action == "ask").map(|plan| plan.name.clone());
    Err(AppError::RestoreConflict {
        status: conflict.status,
        message: review
            .conflicts
            .iter()
            .map(|conflict| conflict.message.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        existing_volumes: existing.collect(),
    })
}

/// Container ports and the ports of this server that they are to have; an empty one = any that is free.
pub(super) fn check_ports(ports: &BTreeMap<String, String>) -> Result<()> {
    for (container_port, host_port) in ports {
        let known = container_port.split_once('/').is_some_and(|(port, protocol)| {
            port.parse::<u16>().is_ok() && ["tcp", "udp", "sctp"].contains(&protocol)
        });
        if !known {
            return Err(AppError::field(
                "port_overrides",
                format!("“{container_port}” is not a container port. Write it like 80/tcp."),
            ));
        }
        let fine = host_port.is_empty() || host_port.parse::<u16>().is_ok_and(|port| port > 0);
        if !fine {
            return Err(AppError::field(
                "port_overrides",
                format!("“{host_port}” is not a port. Use a number from 1 to 65535."),
            ));
        }
    }
    Ok(())
}
