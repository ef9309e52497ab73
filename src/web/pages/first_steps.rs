//! What a new installation still needs, on the dashboard.

use askama::Template;
use axum::{extract::State, response::Response};
use serde_json::json;

use crate::{
    app::App,
    error::Result,
    model::vault::{Access, Location, Storage},
    ops::{Actor, dashboard::Stats, first_steps},
    vaults,
    web::{
        format::size,
        shell::{Done, Shell},
    },
};

/// One step.
struct Step {
    done: bool,
    title: &'static str,
    text: String,
    /// Where it is done: words and address, the usual way first.
    ways: Vec<(&'static str, &'static str)>,
}

/// All of them.
#[derive(Template)]
#[template(path = "dashboard/first_steps.html")]
pub(super) struct FirstSteps {
    steps: Vec<Step>,
}

impl FirstSteps {
    /// Those of this server, while any is left and they are wanted.
    pub(super) async fn find(app: &App, shell: &Shell, stats: &Stats) -> Result<Option<Self>> {
        let Some(found) = first_steps::find(app, stats, shell.default_password).await? else {
            return Ok(None);
        };
        let step = |done, title, text: String, ways| Step { done, title, text, ways };
        let elsewhere = stats.backups > 0 && !found.backup;
        let backup = if elsewhere {
            let text =
                "The vault has backups of other servers. Restore what you miss, or back up what runs here.";
            let ways = vec![("Restore", "/vault"), ("Back up", "/containers")];
            step(found.backup, "Bring something back, or back it up", text.to_owned(), ways)
        } else {
            let text = "Its image, volumes and settings, encrypted. It goes on running.";
            let ways = vec![("Choose a container", "/containers")];
            step(found.backup, "Back up the first container", text.to_owned(), ways)
        };
        let steps = vec![
            step(
                found.password,
                "Change the first password",
                "It is printed in the documentation, and whoever signs in here controls this server."
                    .to_owned(),
                vec![("Change password", "/settings#account")],
            ),
            step(
                found.place,
                "Choose where backups go",
                place(app, stats),
                vec![
                    ("Use a bucket", "/settings/storage#s3"),
                    ("I have backups already: open their vault", "/settings/storage#kit"),
                ],
            ),
            backup,
            step(
                found.schedule,
                "Make a schedule",
                "Then backups are made without you, and old ones go.".to_owned(),
                vec![("New schedule", "/schedules/new")],
            ),
            step(
                found.kit,
                "Save the recovery kit",
                "If this server is lost, its backups can only be opened with it.".to_owned(),
                vec![("Save it", "/settings/vault-key")],
            ),
        ];
        Ok(Some(Self { steps }))
    }

    fn done(&self) -> usize {
        self.steps.iter().filter(|step| step.done).count()
    }

    /// `done`, `now` for the next one, `todo`.
    fn class(&self, step: &Step) -> &'static str {
        let next = self.steps.iter().find(|step| !step.done);
        match step.done {
            true => "done",
            false if next.is_some_and(|next| next.title == step.title) => "now",
            false => "todo",
        }
    }
}

/// Where new backups go now.
fn place(app: &App, stats: &Stats) -> String {
    match app.vaults.of(app.vaults.chosen()).state() {
        vaults::State::Ready(Access { location: location @ Location::S3(_), .. }) => {
            format!("Now they go to {location}.")
        }
        // Nothing goes there before it is opened.
        vaults::State::Locked(why) => why,
        _ if app.vaults.chosen() == Storage::S3 => "Now they go to a bucket that can't be used.".to_owned(),
        _ => {
            let free = stats.disk.map(|disk| format!(", {} free", size(disk.free_bytes))).unwrap_or_default();
            format!(
                "Now they go to this machine: {}{free}. That is fine to begin with, but what is there is lost with the \
                 machine.",
                app.config.local_vault().display()
            )
        }
    }
}

/// `POST /preferences/first-steps`: shows them no more.
pub(in crate::web) async fn hide(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    first_steps::hide(&app).await?;
    shell.done(Done::new("The first steps are hidden", "/", json!({ "success": true })).leaving())
}
