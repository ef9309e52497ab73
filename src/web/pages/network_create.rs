//! The form for a new network.

use std::{borrow::Cow, collections::BTreeMap};

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::login::escape;
use crate::{
    app::App,
    error::{AppError, Result},
    model::names::NetworkName,
    ops::{Actor, network_create},
    web::{
        client::Client,
        input::{Input, Pairs, flag},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// Drivers that every engine has and that a form can set up.
const DRIVERS: [(&str, &str); 4] = [
    ("bridge", "bridge: on this server only"),
    ("macvlan", "macvlan: addresses of the network around"),
    ("ipvlan", "ipvlan: the same, with this server's hardware address"),
    ("overlay", "overlay: across the servers of a swarm"),
];

#[derive(Template)]
#[template(path = "networks/new.html")]
struct NewScreen {
    form: NewNetwork,
    /// Field name to sentence.
    problems: BTreeMap<String, String>,
    /// What is wrong and is not about one field.
    problem: Option<String>,
    dialog: bool,
}

impl Screen for NewScreen {
    fn title(&self) -> Cow<'_, str> {
        "New network".into()
    }

    fn nav(&self) -> Nav {
        Nav::Networks
    }
}

impl NewScreen {
    fn wrong(&self, field: &str) -> Option<&String> {
        self.problems.get(field)
    }
}

/// A new network. Labels and options are a map, or lines of `name=value`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct NewNetwork {
    name: String,
    driver: String,
    subnet: String,
    gateway: String,
    #[serde(deserialize_with = "flag")]
    internal: bool,
    #[serde(deserialize_with = "flag")]
    ipv6: bool,
    #[serde(deserialize_with = "flag")]
    attachable: bool,
    labels: Pairs,
    options: Pairs,
}

impl NewNetwork {
    fn wanted(&self) -> Result<network_create::Wanted> {
        let name = self.name.trim().parse::<NetworkName>();
        let text = |text: &str| text.trim().to_owned();
        Ok(network_create::Wanted {
            name: name.map_err(|error| AppError::field("name", error.to_string()))?,
            driver: text(&self.driver),
            subnet: text(&self.subnet),
            gateway: text(&self.gateway),
            internal: self.internal,
            ipv6: self.ipv6,
            attachable: self.attachable,
            labels: self.labels.map("labels")?,
            options: self.options.map("options")?,
        })
    }
}

/// `GET /networks/-/new`.
pub(in crate::web) async fn form(_: Actor, shell: Shell) -> Result<Response> {
    let screen = NewScreen {
        form: NewNetwork::default(),
        problems: BTreeMap::new(),
        problem: None,
        dialog: shell.client == Client::Fragment,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

/// `POST /networks` and `POST /api/networks`: what is wrong comes back with the form.
pub(in crate::web) async fn create(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(form): Input<NewNetwork>,
) -> Result<Response> {
    let made = match form.wanted() {
        Ok(wanted) => network_create::create(&app, &actor, &wanted).await,
        Err(error) => Err(error),
    };
    let (status, problem, problems) = match made {
        Ok(id) => {
            let text = format!("The network {} is made", form.name.trim());
            let json = json!({ "success": true, "message": text, "name": form.name.trim(), "id": id });
            let location = format!("/networks?search={}", escape(form.name.trim()));
            return shell.done(Done::new(text, location, json).leaving());
        }
        Err(error) if shell.client == Client::Api => return Err(error),
        Err(AppError::Invalid { fields, .. }) => (StatusCode::UNPROCESSABLE_ENTITY, None, fields),
        Err(AppError::Conflict(why)) => (StatusCode::CONFLICT, Some(why), BTreeMap::new()),
        Err(AppError::Impossible(why)) => (StatusCode::UNPROCESSABLE_ENTITY, Some(why), BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let dialog = shell.client == Client::Fragment;
    shell.again(&NewScreen { form, problems, problem, dialog }, status).await
}
