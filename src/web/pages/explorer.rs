//! Files of a volume: folders, text, pictures, downloads. Read only.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, http::HeaderMap, response::Response};
use serde_json::json;

use super::{
    files::{self, Browser, FileQuery, Place, Where},
    volumes::Row,
};
use crate::{
    app::App,
    error::Result,
    model::{names::VolumeName, volume::Volume},
    ops::{
        Actor,
        files::{self as ops, Source},
    },
    web::{
        format::size,
        input::{Path, Query},
        shell::{Nav, Screen, Shell, render},
    },
};

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

fn place(volume: &Volume) -> Place {
    let own = format!("/volumes/{}", volume.name);
    Place {
        name: volume.name.clone(),
        nav: Nav::Volumes,
        above: vec![("Volumes".to_owned(), "/volumes".to_owned()), (volume.name.clone(), own.clone())],
        folders: own.clone(),
        own,
        empty: "This volume is empty",
        backup: None,
    }
}

/// `GET /volumes/{name}` and `GET /api/volume/{name}/explore`.
pub(in crate::web) async fn browse(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(name): Path<VolumeName>,
    Query(asked): Query<Where>,
) -> Result<Response> {
    let volume = ops::volume(&app, &name).await?;
    let browser = Browser::open(&app, &shell, Source::Volume(&volume), &place(&volume), asked).await?;
    let size = volume.size_bytes.map(size).unwrap_or_default();
    let screen = BrowseScreen { row: Row::of(&shell, volume), browser, size };
    let json = |screen: &BrowseScreen| {
        let mut body = screen.browser.json();
        body["volume"] = json!(screen.row.volume.name);
        body
    };
    shell.show(&screen, |screen| render(&screen.browser), json).await
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
    let whose = ("volume", volume.name.as_str());
    files::show(&app, &shell, Source::Volume(&volume), place(&volume), path, whose).await
}

/// `GET /volumes/{name}/image`: a picture for the file's page.
pub(in crate::web) async fn image(
    _: Actor,
    State(app): State<App>,
    Path(name): Path<VolumeName>,
    Query(FileQuery { path }): Query<FileQuery>,
) -> Result<Response> {
    let volume = ops::volume(&app, &name).await?;
    files::show_picture(&app, Source::Volume(&volume), &path).await
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
    files::send(&app, &actor, Source::Volume(&volume), &path, &headers).await
}
