//! Files of a volume or a backup, as both pages show them: folders, text, pictures, downloads. Read only.

use std::borrow::Cow;

use askama::Template;
use axum::{
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sort, login::escape, parameters};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        files::{self, Entry, EntryKind, InnerPath, Listing, SortBy, Window},
        manifest::IMAGE_DIR,
    },
    ops::{Actor, file_restores::is_restorable, files as ops},
    web::{
        client::Client,
        download::{self, As},
        format::{When, filters, size},
        shell::{Nav, Screen, Shell, json_response, render},
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

/// Where the files are: a volume or a backup.
pub(super) struct Place {
    /// Its name.
    pub(super) name: String,
    /// The navigation's part.
    pub(super) nav: Nav,
    /// Pages above it: name and address.
    pub(super) above: Vec<(String, String)>,
    /// Address of its folders.
    pub(super) folders: String,
    /// Its own address; `/file`, `/image` and `/download` are below.
    pub(super) own: String,
    /// What is said when there is nothing in it.
    pub(super) empty: &'static str,
    /// For a backup, whose own folders have no times and other names for people than for the system.
    pub(super) backup: Option<Parts>,
}

/// The parts of a backup.
pub(super) struct Parts {
    /// Paths of its own folders, and what they are called.
    pub(super) labels: Vec<(String, String)>,
}

impl Parts {
    fn label(&self, path: &InnerPath) -> Option<&str> {
        let label = self.labels.iter().find(|(known, _)| known == path.as_str());
        label.map(|(_, label)| label.as_str())
    }

    /// Whether it is a folder or file of the backup itself, not of what was backed up.
    fn is_own(path: &InnerPath) -> bool {
        path.as_str().starts_with(IMAGE_DIR) || path.steps().len() <= 3
    }
}

impl Place {
    fn folder(&self, path: &InnerPath) -> String {
        format!("{}?path={}", self.folders, escape(&path.absolute()))
    }

    fn label(&self, path: &InnerPath) -> Option<String> {
        self.backup.as_ref()?.label(path).map(str::to_owned)
    }

    /// Where a file or folder of a backup can be restored by itself.
    fn restore(&self, path: &InnerPath) -> Option<String> {
        (self.backup.is_some() && is_restorable(path)).then(|| self.at("/restore-files", path))
    }

    fn at(&self, what: &str, path: &InnerPath) -> String {
        format!("{}{what}?path={}", self.own, escape(&path.absolute()))
    }

    fn steps(&self, path: &InnerPath) -> Vec<(String, String)> {
        let root = (self.name.clone(), self.folder(&InnerPath::default()));
        let inner = path
            .steps()
            .into_iter()
            .map(|(name, path)| (self.label(&path).unwrap_or(name), self.folder(&path)));
        std::iter::once(root).chain(inner).collect()
    }
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
    restore: Option<String>,
}

impl Line {
    fn of(shell: &Shell, place: &Place, folder: &InnerPath, entry: Entry) -> Self {
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
            EntryKind::Dir => Some(place.folder(&path)),
            EntryKind::File => Some(place.at("/file", &path)),
            _ => None,
        };
        let timeless = entry.modified == 0 && place.backup.is_some() && Parts::is_own(&path);
        let time = DateTime::from_timestamp(entry.modified, 0).filter(|_| !timeless);
        Self {
            name: place.label(&path).unwrap_or_else(|| files::shown(&entry.name)),
            target: entry.target.as_deref().map(files::shown),
            when: time.map(|at| shell.when(at)),
            icon,
            restore: place.restore(&path),
            download: open.is_some().then(|| place.at("/download", &path)),
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
pub(super) struct Browser {
    empty: &'static str,
    download: String,
    restore: Option<String>,
    steps: Vec<(String, String)>,
    up: Option<String>,
    lines: Vec<Line>,
    listing: Listing,
    sort: Sort,
    window: Window,
    previous: Option<String>,
    next: Option<String>,
    path: InnerPath,
}

impl Browser {
    /// Looks into a folder.
    pub(super) async fn open(
        app: &App,
        shell: &Shell,
        source: ops::Source<'_>,
        place: &Place,
        asked: Where,
    ) -> Result<Self> {
        let most = if shell.client == Client::Api { MOST } else { PAGE };
        let (by, sort) = match asked.sort.as_str() {
            "size" => ("size", SortBy::Size),
            "modified" => ("modified", SortBy::Modified),
            _ => ("name", SortBy::Name),
        };
        let limit = asked.limit.unwrap_or(most).clamp(1, most);
        let window = Window { sort, descending: asked.order == "desc", offset: asked.offset, limit };
        let path = asked.path;
        let mut listing = ops::list(app, source, &path, window).await?;
        let entries = std::mem::take(&mut listing.entries).into_iter();
        let lines = entries.map(|entry| Line::of(shell, place, &path, entry)).collect();
        let rest = parameters(&[("path", &path.absolute())]);
        let order = if window.descending { "desc" } else { "asc" };
        let at = |offset: usize| format!("?sort={by}&order={order}{rest}&offset={offset}&limit={limit}");
        let next = window.offset.saturating_add(limit);
        Ok(Self {
            empty: place.empty,
            download: place.at("/download", &path),
            restore: place.restore(&path),
            steps: place.steps(&path),
            up: path.parent().map(|parent| place.folder(&parent)),
            previous: (window.offset > 0).then(|| at(window.offset.saturating_sub(limit))),
            next: (next < listing.total).then(|| at(next)),
            sort: Sort { by: by.to_owned(), descending: window.descending, rest },
            window,
            lines,
            listing,
            path,
        })
    }

    /// As scripts get it, without the name of what it is of.
    pub(super) fn json(&self) -> Value {
        let items: Vec<_> =
            self.lines.iter().map(|line| item(&line.entry, &self.path.join(&line.entry.name))).collect();
        json!({
            "path": self.path.absolute(), "items": items, "total": self.listing.total,
            "offset": self.window.offset, "limit": self.window.limit,
        })
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
    nav: Nav,
    above: Vec<(String, String)>,
    name: String,
    steps: Vec<(String, String)>,
    entry: Entry,
    when: Option<When>,
    content: Content,
    download: String,
    restore: Option<String>,
}

impl Screen for FileScreen {
    fn title(&self) -> Cow<'_, str> {
        self.name.as_str().into()
    }

    fn nav(&self) -> Nav {
        self.nav
    }
}

/// A file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct FileQuery {
    pub(super) path: InnerPath,
}

/// A file's page; for scripts its text. `whose` is added to that.
pub(super) async fn show(
    app: &App,
    shell: &Shell,
    source: ops::Source<'_>,
    place: Place,
    path: InnerPath,
    whose: (&str, &str),
) -> Result<Response> {
    let excerpt = ops::read(app, source, &path).await?;
    let bytes = excerpt.entry.size;
    if shell.client == Client::Api {
        let Some(content) = excerpt.content else {
            let message = format!("This file is not text ({}). Download it instead.", size(bytes));
            return Err(AppError::NotText { message, size: bytes });
        };
        let mut body = item(&excerpt.entry, &path);
        body[whose.0] = json!(whose.1);
        body["content"] = json!(content);
        body["truncated"] = json!(excerpt.truncated);
        body["utf8"] = json!(excerpt.utf8);
        return Ok(json_response(StatusCode::OK, &body));
    }
    let content = match (picture(path.name()), excerpt.content) {
        (Some(_), _) if bytes <= PICTURE => Content::Picture(place.at("/image", &path)),
        (_, Some(text)) => {
            let lines = text.lines().map(str::to_owned).collect();
            Content::Text { lines, cut: excerpt.truncated, utf8: excerpt.utf8 }
        }
        _ => Content::Neither,
    };
    let mut steps = place.steps(&path);
    steps.pop();
    let screen = FileScreen {
        name: files::shown(path.name()),
        steps,
        when: DateTime::from_timestamp(excerpt.entry.modified, 0).map(|at| shell.when(at)),
        download: place.at("/download", &path),
        restore: place.restore(&path),
        nav: place.nav,
        above: place.above,
        entry: excerpt.entry,
        content,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

/// A picture for the file's page.
pub(super) async fn show_picture(app: &App, source: ops::Source<'_>, path: &InnerPath) -> Result<Response> {
    let kind = picture(path.name()).ok_or_else(|| AppError::NotText {
        message: "This kind of file is not shown. Download it instead.".to_owned(),
        size: 0,
    })?;
    let (head, bytes) = ops::send(app, source, path, None, None).await?;
    if head.size.is_none_or(|size| size > PICTURE) {
        let message = "This is not a picture that can be shown. Download it instead.".to_owned();
        return Err(AppError::NotText { message, size: head.size.unwrap_or(0) });
    }
    download::answer(&head, bytes, &As::Picture(kind))
}

/// A file, or a folder as tar.
pub(super) async fn send(
    app: &App,
    actor: &Actor,
    source: ops::Source<'_>,
    path: &InnerPath,
    headers: &HeaderMap,
) -> Result<Response> {
    let (range, tag) = download::wanted(headers);
    let continued = headers.contains_key(header::RANGE) && range.is_some_and(|range| range.first != Some(0));
    let (head, bytes) = ops::send(app, source, path, range, tag).await?;
    if !continued {
        ops::record_download(app, actor, source, path).await?;
    }
    let own = if path.is_root() { source.archive_name() } else { path.name().to_owned() };
    let file_name = if head.size.is_some() { own } else { format!("{own}.tar") };
    download::answer(&head, bytes, &As::Attachment(&file_name))
}
