//! The backup job: the image out of the engine, then everything into the vault.

use super::{
    order::{Answer, BackupTask, Event, Failure, Gate},
    report::Report,
    serve::Context,
};
use crate::{
    docker::Docker,
    model::{
        backup::Kind,
        engine::EngineAddress,
        manifest::IMAGE_DIR,
        progress::{Level, Note},
    },
    vault::{BackupPlan, ImageSource, Source, Vault},
};

/// Steps of a backup: image, data, finish.
const STEPS: u32 = 3;

pub(super) fn run(
    vault: &Vault,
    engine: &EngineAddress,
    task: &BackupTask,
    context: &Context,
) -> Result<Answer, Failure> {
    let mut failed = Vec::new();
    let image = match image(vault, engine, task, context) {
        Ok(image) => image,
        Err(why) => {
            failed.push((IMAGE_DIR.to_owned(), why.clone()));
            Report::send(&Event::Note(Note {
                level: Level::Error,
                text: format!("The image could not be backed up. {why}"),
            }));
            ImageSource::None
        }
    };
    context.pass(Gate::Read)?;
    let step = match task.manifest.kind {
        Kind::Network => "Writing the settings",
        Kind::Container | Kind::Stack => "Reading the container's data",
    };
    context.report.step(2, STEPS, step);
    let sources = task.sources.iter();
    let mut plan = BackupPlan::new(task.manifest.clone(), task.trigger);
    plan.note.clone_from(&task.note);
    plan.schedule.clone_from(&task.schedule);
    plan.sources = sources
        .map(|(item, path)| {
            // Links are not followed while reading, but the source itself may be one.
            let host_path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            Source { item: item.clone(), host_path }
        })
        .collect();
    (plan.image, plan.failed) = (image, failed);
    let result = vault.backup(&plan, &context.report);
    let _ = std::fs::remove_dir_all(&task.spool);
    let result = result?;
    for note in result.notes {
        context.report.note(note);
    }
    Ok(Answer::Backup(Box::new(result.backup)))
}

/// Where the image comes from: the vault if it has it already, else the engine.
fn image(
    vault: &Vault,
    engine: &EngineAddress,
    task: &BackupTask,
    context: &Context,
) -> Result<ImageSource, String> {
    let Some(container) = &task.image_of else {
        return Ok(ImageSource::None);
    };
    let id = task.manifest.container["Image"].as_str().unwrap_or_default();
    if let Some(backup) = vault.find_image(id).map_err(|error| error.to_string())? {
        context.report.note(Note {
            level: Level::Info,
            text: "The vault has this image already; it was not read again.".to_owned(),
        });
        return Ok(ImageSource::InVault { backup });
    }
    context.report.step(1, STEPS, "Exporting the image");
    let docker = Docker::new(engine, None).map_err(|error| error.to_string())?;
    let count = |bytes| context.report.add_bytes(bytes);
    let export = async {
        if task.manifest.image.is_null() {
            docker.export_flattened(container, &task.spool, &count).await
        } else {
            docker.export_image(id, &task.spool, &count).await
        }
    };
    let record = context.runtime.block_on(export).map_err(|error| error.to_string())?;
    Ok(ImageSource::Spooled { dir: task.spool.clone(), record })
}
