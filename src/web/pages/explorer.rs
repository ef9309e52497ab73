//! Files of a volume: folders, text, pictures, downloads. Read only.

use std::borrow::Cow;

use askama::Template;
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sort, login::escape, parameters, volumes::Row};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        files::{self, Entry, EntryKind, InnerPath, Listing, SortBy, Window},
        names::VolumeName,
        volume::Volume,
    },
    ops::{Actor, files as ops},
    web::{
        client::Client,
        download::{self, As},
        format::{When, filters, size},
        input::{Path, Query},
        shell::{Nav, Screen, Shell, render},
    },
};

/// Entries of one page.
const PAGE: usize = 500;

/// Entries that a script gets at most; it goes on with `offset`.
const MOST: usize = 10_000;

/// A picture up to this size is shown.
const PICTURE: u64 = 50_000_000;

/// The kind of a picture that is safe to show; drawings with scripts in them are not.
fn picture(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "gif" => Some("image/gif"),
        "webp" => Some("image/webp"),
        "avif" => Some("image/avif"),
        _ => None,
    }
}

fn address(volume: &str, what: &str, path: &InnerPath) -> String {
    format!("/volumes/{volume}{what}?path={}", escape(&path.absolute()))
}

/// A row of a folder.
struct Line {
    entry: Entry,
    name: String,
    target: Option<String>,
    when: Option<When>,
    icon: &'static str,
    open: Option<String>,
    download: Option<String>,
}

impl Line {
    fn of(shell: &Shell, volume: &str, folder: &InnerPath, entry: Entry) -> Self {
        let path = folder.join(&entry.name);
        let ending = entry.name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        let icon = match (entry.kind, ending.as_deref().unwrap_or_default()) {
            (EntryKind::Dir, _) => "folder",
            (EntryKind::File, "png" | "jpg" | "jpeg" | "gif" | "webp" | "avif" | "svg") => "file-image",
            (EntryKind::File, "tar" | "gz" | "tgz" | "zip" | "zst" | "xz" | "bz2" | "7z") => "file-archive",
            (EntryKind::File, "txt" | "log" | "md" | "csv") => "file-text",
            (
                EntryKind::File,
                "yml" | "yaml" | "json" | "toml" | "conf" | "ini" | "xml" | "sh" | "py" | "sql",
            ) => "file-code",
            (EntryKind::Symlink, _) => "external-link",
            _ => "file",
        };
        let open = match entry.kind {
            EntryKind::Dir => Some(address(volume, "", &path)),
            EntryKind::File => Some(address(volume, "/file", &path)),
            _ => None,
        };
        Self {
            name: files::shown(&entry.name),
            target: entry.target.as_deref().map(files::shown),
            when: DateTime::from_timestamp(entry.modified, 0).map(|at| shell.when(at)),
            icon,
            download: open.is_some().then(|| address(volume, "/download", &path)),
            open,
            entry,
        }
    }

    fn is_dir(&self) -> bool {
        self.entry.kind == EntryKind::Dir
    }

    fn is_file(&self) -> bool {
        self.entry.kind == EntryKind::File
    }
}

/// The folder; changes while the rest of the page stays.
#[derive(Template)]
#[template(path = "volumes/browser.html")]
struct Browser {
    volume: String,
    steps: Vec<(String, String)>,
    up: Option<String>,
    lines: Vec<Line>,
    listing: Listing,
    sort: Sort,
    from: usize,
    previous: Option<String>,
    next: Option<String>,
    path: InnerPath,
}

impl Browser {
    fn download(&self) -> String {
        address(&self.volume, "/download", &self.path)
    }
}

#[derive(Template)]
#[template(path = "volumes/browse.html")]
struct BrowseScreen {
    row: Row,
    browser: Browser,
    size: String,
}

impl Screen for BrowseScreen {
    fn title(&self) -> Cow<'_, str> {
        self.row.volume.name.as_str().into()
    }

    fn nav(&self) -> Nav {
        Nav::Volumes
    }
}

/// Where to look and how.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Where {
    path: InnerPath,
    sort: String,
    order: String,
    offset: usize,
    limit: Option<usize>,
}

/// `GET /volumes/{name}` and `GET /api/volume/{name}/explore`.
pub(in crate::web) async fn browse(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(name): Path<VolumeName>,
    Query(place): Query<Where>,
) -> Result<Response> {
    let most = if shell.client == Client::Api { MOST } else { PAGE };
    let (by, sort) = match place.sort.as_str() {
        "size" => ("size", SortBy::Size),
        "modified" => ("modified", SortBy::Modified),
        _ => ("name", SortBy::Name),
    };
    let window = Window {
        sort,
        descending: place.order == "desc",
        offset: place.offset,
        limit: place.limit.unwrap_or(most).clamp(1, most),
    };
    let volume = ops::volume(&app, &name).await?;
    let listing = ops::list(&app, &volume, &place.path, window).await?;
    let screen = screen(&shell, volume, place.path, by, window, listing);
    shell.show(&screen, |screen| render(&screen.browser), |screen| shape(&screen.browser, window)).await
}

fn steps(volume: &str, path: &InnerPath) -> Vec<(String, String)> {
    let root = (volume.to_owned(), address(volume, "", &InnerPath::default()));
    let inner = path.steps().into_iter().map(|(name, path)| (name, address(volume, "", &path)));
    std::iter::once(root).chain(inner).collect()
}

fn screen(
    shell: &Shell,
    volume: Volume,
    path: InnerPath,
    by: &str,
    window: Window,
    mut listing: Listing,
) -> BrowseScreen {
    let name = volume.name.clone();
    let lines: Vec<_> = std::mem::take(&mut listing.entries)
        .into_iter()
        .map(|entry| Line::of(shell, &name, &path, entry))
        .collect();
    let rest = parameters(&[("path", &path.absolute())]);
    let order = if window.descending { "desc" } else { "asc" };
    let at = |offset: usize| format!("?sort={by}&order={order}{rest}&offset={offset}&limit={}", window.limit);
    let next = window.offset + window.limit;
    let browser = Browser {
        steps: steps(&name, &path),
        up: path.parent().map(|parent| address(&name, "", &parent)),
        from: window.offset,
        previous: (window.offset > 0).then(|| at(window.offset.saturating_sub(window.limit))),
        next: (next < listing.total).then(|| at(next)),
        sort: Sort { by: by.to_owned(), descending: window.descending, rest },
        volume: name,
        lines,
        listing,
        path,
    };
    let size = volume.size_bytes.map(size).unwrap_or_default();
    BrowseScreen { row: Row::of(shell, volume), browser, size }
}

fn shape(browser: &Browser, window: Window) -> Value {
    let items: Vec<_> =
        browser.lines.iter().map(|line| item(&line.entry, &browser.path.join(&line.entry.name))).collect();
    json!({
        "volume": browser.volume, "path": browser.path.absolute(), "items": items,
        "total": browser.listing.total, "offset": window.offset, "limit": window.limit,
    })
}

fn item(entry: &Entry, path: &InnerPath) -> Value {
    json!({
        "name": entry.name, "path": path.absolute(), "type": entry.kind, "size": entry.size,
        "mode": format!("{:04o}", entry.mode), "permissions": entry.permissions(),
        "uid": entry.uid, "gid": entry.gid,
        "modified": DateTime::from_timestamp(entry.modified, 0).map(|at| at.to_rfc3339()),
        "target": entry.target,
    })
}

/// How a file is shown.
enum Content {
    Text { lines: Vec<String>, cut: bool, utf8: bool },
    Picture(String),
    Neither,
}

#[derive(Template)]
#[template(path = "volumes/file.html")]
struct FileScreen {
    volume: String,
    name: String,
    steps: Vec<(String, String)>,
    entry: Entry,
    when: Option<When>,
    content: Content,
    download: String,
}

impl Screen for FileScreen {
    fn title(&self) -> Cow<'_, str> {
        self.name.as_str().into()
    }

    fn nav(&self) -> Nav {
        Nav::Volumes
    }
}

/// A file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct FileQuery {
    path: InnerPath,
}

/// `GET /volumes/{name}/file` and `GET /api/volume/{name}/file`.
pub(in crate::web) async fn file(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(name): Path<VolumeName>,
    Query(FileQuery { path }): Query<FileQuery>,
) -> Result<Response> {
    let volume = ops::volume(&app, &name).await?;
    let excerpt = ops::read(&app, &volume, &path).await?;
    let bytes = excerpt.entry.size;
    if shell.client == Client::Api {
        let Some(content) = excerpt.content else {
            let message = format!("This file is not text ({}). Download it instead.", size(bytes));
            return Err(AppError::NotText { message, size: bytes });
        };
        let mut body = item(&excerpt.entry, &path);
        body["volume"] = json!(volume.name);
        body["content"] = json!(content);
        body["truncated"] = json!(excerpt.truncated);
        body["utf8"] = json!(excerpt.utf8);
        return Ok(crate::web::shell::json_response(axum::http::StatusCode::OK, &body));
    }
    let content = match (picture(path.name()), excerpt.content) {
        (Some(_), _) if bytes <= PICTURE => Content::Picture(address(&volume.name, "/image", &path)),
        (_, Some(text)) => {
            let lines = text.lines().map(str::to_owned).collect();
            Content::Text { lines, cut: excerpt.truncated, utf8: excerpt.utf8 }
        }
        _ => Content::Neither,
    };
    let mut steps = steps(&volume.name, &path);
    steps.pop();
    let screen = FileScreen {
        name: files::shown(path.name()),
        steps,
        when: DateTime::from_timestamp(excerpt.entry.modified, 0).map(|at| shell.when(at)),
        download: address(&volume.name, "/download", &path),
        volume: volume.name,
        entry: excerpt.entry,
        content,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

/// `GET /volumes/{name}/image`: a picture for the file's page.
pub(in crate::web) async fn image(
    _: Actor,
    State(app): State<App>,
    Path(name): Path<VolumeName>,
    Query(FileQuery { path }): Query<FileQuery>,
) -> Result<Response> {
    let volume = ops::volume(&app, &name).await?;
    let kind = picture(path.name()).ok_or_else(|| AppError::NotText {
        message: "This kind of file is not shown. Download it instead.".to_owned(),
        size: 0,
    })?;
    let (head, bytes) = ops::send(&app, &volume, &path, None, None).await?;
    if head.size.is_none_or(|size| size > PICTURE) {
        let message = "This is not a picture that can be shown. Download it instead.".to_owned();
        return Err(AppError::NotText { message, size: head.size.unwrap_or(0) });
    }
    download::answer(&head, bytes, &As::Picture(kind))
}

/// `GET /volumes/{name}/download` and `GET /api/volume/{name}/download`: a file, or a folder as tar.
pub(in crate::web) async fn download(
    actor: Actor,
    State(app): State<App>,
    Path(name): Path<VolumeName>,
    Query(FileQuery { path }): Query<FileQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let volume = ops::volume(&app, &name).await?;
    let (range, tag) = download::wanted(&headers);
    let continued = headers.contains_key(header::RANGE) && range.is_some_and(|range| range.first != Some(0));
    let (head, bytes) = ops::send(&app, &volume, &path, range, tag).await?;
    if !continued {
        ops::record_download(&app, &actor, &volume, &path).await?;
    }
    let own = if path.is_root() { volume.name.as_str() } else { path.name() };
    let file_name = if head.size.is_some() { own.to_owned() } else { format!("{own}.tar") };
    download::answer(&head, bytes, &As::Attachment(&file_name))
}
