//! Files of a backup, looked at and taken out without restoring it.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, http::HeaderMap, response::Response};
use serde_json::json;

use super::files::{self, Browser, FileQuery, Parts, Place, Where};
use crate::{
    app::App,
    error::Result,
    model::{
        backup::Backup,
        files::InnerPath,
        manifest::{IMAGE_DIR, ItemKind, Manifest},
        names::BackupRef,
    },
    ops::{Actor, backups, containers, files::Source},
    web::{
        format::{When, filters},
        input::{Path, Query},
        shell::{Nav, Screen, Shell, render},
    },
};

/// Name of the manifest in a backup's folder.
const MANIFEST: &str = "backup.json";

#[derive(Template)]
#[template(path = "vault/files.html")]
struct FilesScreen {
    backup: Backup,
    when: When,
    browser: Browser,
}

impl Screen for FilesScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Files in the backup of {}", self.backup.meta.container).into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// What the folders of a backup are called for people.
fn parts(backup: &Backup, manifest: &Manifest) -> Parts {
    let name = &backup.meta.container;
    let mut labels = vec![
        (IMAGE_DIR.to_owned(), "Image".to_owned()),
        (format!("{name}/{MANIFEST}"), "Settings".to_owned()),
        (format!("{name}/volumes"), "Volumes".to_owned()),
        (format!("{name}/binds"), "Host paths".to_owned()),
    ];
    for item in &manifest.items {
        match item.kind {
            ItemKind::Volume => labels.push((item.path.clone(), format!("Volume {}", item.name))),
            ItemKind::Layer => labels.push((item.path.clone(), item.name.clone())),
            ItemKind::Bind => {
                // A single file stands in a folder of its own.
                let folder = item.path.split('/').take(3).collect::<Vec<_>>().join("/");
                labels.push((folder, format!("Host path {}", item.name)));
            }
            ItemKind::Settings | ItemKind::Image => {}
        }
    }
    Parts { labels }
}

async fn place(app: &App, shell: &Shell, id: &BackupRef) -> Result<(Backup, Place)> {
    let preview = backups::preview(app, id).await?;
    let parts = parts(&preview.backup, &preview.manifest);
    let place = place_of(shell, &preview.backup, parts);
    Ok((preview.backup, place))
}

fn place_of(shell: &Shell, backup: &Backup, parts: Parts) -> Place {
    let own = format!("/vault/{}", backup.reference());
    let title = format!("{}, {}", backup.meta.container, shell.when(backup.created).full);
    Place {
        name: "All parts".to_owned(),
        nav: Nav::Vault,
        above: vec![("Backup vault".to_owned(), "/vault".to_owned()), (title, own.clone())],
        folders: format!("{own}/files"),
        own,
        empty: "There are no files in this backup",
        backup: Some(parts),
    }
}

/// `GET /vault/{id}/files` and `GET /api/backup/{id}/files`.
pub(in crate::web) async fn browse(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(asked): Query<Where>,
) -> Result<Response> {
    let (backup, place) = place(&app, &shell, &id).await?;
    let browser = Browser::open(&app, &shell, Source::Backup(&backup), &place, asked).await?;
    let screen = FilesScreen { when: shell.when(backup.created), backup, browser };
    let json = |screen: &FilesScreen| {
        let mut body = screen.browser.json();
        body["backup_id"] = json!(screen.backup.id);
        body
    };
    shell.show(&screen, |screen| render(&screen.browser), json).await
}

/// Whether it is the manifest, which holds secrets as they are.
fn is_manifest(path: &InnerPath) -> bool {
    path.name() == MANIFEST && path.steps().len() == 2
}

/// `GET /vault/{id}/file`. Who opens the manifest asks for its secrets.
pub(in crate::web) async fn file(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(FileQuery { path }): Query<FileQuery>,
) -> Result<Response> {
    let (backup, place) = place(&app, &shell, &id).await?;
    if is_manifest(&path) {
        containers::record_reveal(&app, &actor, &backup.meta.container).await?;
    }
    let whose = ("backup_id", backup.id.as_str());
    files::show(&app, &shell, Source::Backup(&backup), place, path, whose).await
}

/// `GET /vault/{id}/image`: a picture for the file's page.
pub(in crate::web) async fn image(
    _: Actor,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(FileQuery { path }): Query<FileQuery>,
) -> Result<Response> {
    let backup = backups::get(&app, &id).await?;
    files::show_picture(&app, Source::Backup(&backup), &path).await
}

/// `GET /vault/{id}/download` and `GET /api/backup/{id}/file`: a file, or a folder as tar.
pub(in crate::web) async fn download(
    actor: Actor,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(FileQuery { path }): Query<FileQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let backup = backups::get(&app, &id).await?;
    files::send(&app, &actor, Source::Backup(&backup), &path, &headers).await
}
