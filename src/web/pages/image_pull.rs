//! Fetching an image from its registry.

use std::{borrow::Cow, time::Duration};

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::batches;
use crate::{
    app::App,
    error::Result,
    model::names::ImageRef,
    ops::{Actor, bulk, images},
    web::{
        client::Client,
        input::Input,
        shell::{Nav, Screen, Shell, json_response, render},
    },
};

#[derive(Template)]
#[template(path = "images/pull.html")]
struct PullScreen {
    dialog: bool,
}

impl Screen for PullScreen {
    fn title(&self) -> Cow<'_, str> {
        "Fetch an image".into()
    }

    fn nav(&self) -> Nav {
        Nav::Images
    }
}

/// `GET /images/-/pull`.
pub(in crate::web) async fn form(_: Actor, shell: Shell) -> Result<Response> {
    let screen = PullScreen { dialog: shell.client == Client::Fragment };
    shell.show(&screen, render, |_| Value::Null).await
}

/// Which one.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct Wanted {
    image: ImageRef,
}

/// `POST /images/-/pull` and `POST /api/images/pull`. A script waits for the end, a page is told how far it is.
pub(in crate::web) async fn pull(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(wanted): Input<Wanted>,
) -> Result<Response> {
    if shell.client == Client::Api {
        let id = images::pull(&app, &actor, &wanted.image).await?;
        let body = json!({ "success": true, "image": wanted.image, "id": id });
        return Ok(json_response(axum::http::StatusCode::OK, &body));
    }
    let batch = images::begin_pull(&app, &actor, &wanted.image)?;
    bulk::wait(&app, &batch, Duration::from_secs(1)).await;
    batches::answer(&shell, &app, &batch).await
}
