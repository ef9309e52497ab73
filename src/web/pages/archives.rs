//! Whole backups as files.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        archive::Compression,
        backup::Backup,
        names::{BackupRef, BadName, RunId},
    },
    ops::{Actor, archives},
    web::{
        download::{POLICY, disposition},
        input::{Input, Path, Query, QueryList, choice},
        shell::json_response,
    },
};

/// In which form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Form {
    format: Option<String>,
}

fn compression(format: Option<&str>) -> Result<Option<Compression>> {
    choice("format", format, |word| format!("“{word}” is not a format. Use tar, tar.zst or tar.gz."))
}

/// `GET /vault/{id}/archive`.
pub(in crate::web) async fn one(
    actor: Actor,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(form): Query<Form>,
) -> Result<Response> {
    let compression = compression(form.format.as_deref())?.unwrap_or(Compression::Zstd);
    answer(archives::pack(&app, &actor, &[id], compression).await?)
}

/// `GET /api/download/{filename}`. The name's ending says how it is compressed, if nothing else does.
pub(in crate::web) async fn by_name(
    actor: Actor,
    State(app): State<App>,
    Path(name): Path<BackupRef>,
    Query(form): Query<Form>,
) -> Result<Response> {
    let text = name.to_string();
    let ends = |compression: &Compression| {
        let ending = format!(".{compression}");
        text.strip_suffix(&ending).map(|stem| (format!("{stem}.tar"), *compression))
    };
    let bad = |error: BadName| AppError::field("filename", error.to_string());
    let (name, told) = match Compression::ALL.iter().find_map(ends) {
        Some((known, compression)) => (known.parse().map_err(bad)?, Some(compression)),
        None => (name, None),
    };
    let compression = compression(form.format.as_deref())?.or(told).unwrap_or_default();
    answer(archives::pack(&app, &actor, &[name], compression).await?)
}

/// Which ones.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Several {
    #[serde(alias = "id")]
    ids: Vec<String>,
    format: Option<String>,
}

/// `GET /vault/archive` and `GET /api/backups/archive`: several in one file.
pub(in crate::web) async fn several(
    actor: Actor,
    State(app): State<App>,
    QueryList(wanted): QueryList<Several>,
) -> Result<Response> {
    let bad = |error: BadName| AppError::field("ids", error.to_string());
    let ids: Vec<BackupRef> = wanted.ids.iter().map(|id| id.parse().map_err(bad)).collect::<Result<_>>()?;
    let compression = compression(wanted.format.as_deref())?.unwrap_or(Compression::Zstd);
    answer(archives::pack(&app, &actor, &ids, compression).await?)
}

/// Which ones; none = all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Wanted {
    filenames: Vec<String>,
}

fn over() -> AppError {
    AppError::NotFound("This download".into())
}

/// `POST /api/backups/download-all-prepare`: the first of four steps, as the Flask application has them.
pub(in crate::web) async fn prepare(
    actor: Actor,
    State(app): State<App>,
    Input(wanted): Input<Wanted>,
) -> Result<Response> {
    let bad = |error: BadName| AppError::field("filenames", error.to_string());
    let wanted: Vec<BackupRef> =
        wanted.filenames.iter().map(|name| name.parse().map_err(bad)).collect::<Result<_>>()?;
    let (id, backups) = archives::prepare(&app, &actor, &wanted).await?;
    let files: Vec<_> = backups.iter().map(Backup::filename).collect();
    let body = json!({ "success": true, "session_id": id, "files": files, "total": files.len() });
    Ok(json_response(StatusCode::OK, &body))
}

/// `POST /api/backups/download-all-create/{id}`.
pub(in crate::web) async fn create(
    actor: Actor,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    let name = format!("all_backups_{}.tar.gz", chrono::Utc::now().format("%Y%m%d_%H%M%S"));
    let name = app.downloads.name(actor.id, &id, name).ok_or_else(over)?;
    let body = json!({
        "success": true, "archive_filename": name, "session_id": id,
        "message": "The archive is packed while it is downloaded",
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// `GET /api/backups/download-all-progress/{id}`.
pub(in crate::web) async fn progress(
    actor: Actor,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    let download = app.downloads.get(actor.id, &id).ok_or_else(over)?;
    let total = download.backups.len();
    let (status, completed) =
        if download.filename.is_some() { ("complete", total) } else { ("preparing", 0) };
    let body = json!({
        "total": total, "completed": completed, "current_file": null, "status": status,
        "archive_filename": download.filename,
    });
    Ok(json_response(StatusCode::OK, &body))
}

/// `GET /api/backups/download-all/{id}`, once.
pub(in crate::web) async fn all(
    actor: Actor,
    State(app): State<App>,
    Path(id): Path<RunId>,
) -> Result<Response> {
    let download = app.downloads.get(actor.id, &id).ok_or_else(over)?;
    let Some(filename) = download.filename else {
        return Err(AppError::invalid("Archive file not ready"));
    };
    let archive = archives::pack(&app, &actor, &download.backups, Compression::Gzip).await?;
    app.downloads.end(actor.id, &id);
    answer(archives::Archive { filename, ..archive })
}

/// An error on the way breaks the connection off, so that nobody takes a part for the whole.
pub(super) fn answer(archive: archives::Archive) -> Result<Response> {
    let name = HeaderValue::try_from(disposition(&archive.filename)).map_err(AppError::internal)?;
    let kind = match archive.filename.rsplit('.').next() {
        Some("zst") => "application/zstd",
        Some("gz") => "application/gzip",
        _ => "application/x-tar",
    };
    let headers = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(archive.bytes)).into_response())
}
