//! The vault page: all backups, searched, sorted, filtered.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde_json::json;

use super::{Sort, parameters};
use crate::{
    app::App,
    error::Result,
    model::{
        backup::{Backup, Kind},
        backup_list::Filter,
        vault::Storage,
    },
    ops::{Actor, backups},
    vaults,
    web::{
        api_shapes,
        format::{When, filters, size},
        input::Query,
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// Rows of one page.
const PAGE: u32 = 100;

#[derive(Template)]
#[template(path = "vault/results.html")]
struct Results {
    rows: Vec<(Backup, When)>,
    /// Where this page of the list comes from.
    address: String,
    /// What copies of the chosen ones are called, where there is another vault.
    copy_to: Option<&'static str>,
    /// Number of the first row, from 1.
    first: usize,
    total: usize,
    empty_vault: bool,
    sort: Sort,
    previous: Option<String>,
    next: Option<String>,
}

impl Results {
    /// What tells a row from all others.
    fn short(backup: &Backup) -> String {
        format!("{}-{}", backup.storage, &backup.id[..16.min(backup.id.len())])
    }
}

/// What is told of all backups.
#[derive(Template)]
#[template(path = "vault/head.html")]
struct Head {
    servers: Vec<String>,
    size: String,
    stored: String,
    /// Some of them are in a bucket.
    in_bucket: bool,
    count: usize,
    /// How many that were deleted can be brought back.
    deleted: usize,
}

#[derive(Template)]
#[template(path = "vault/list.html")]
struct VaultScreen {
    head: Head,
    results: Results,
    filter: Filter,
}

impl VaultScreen {
    /// The list, and beside it what changes with it.
    fn part(&self) -> Result<String> {
        let (results, head) = (render(&self.results)?, render(&self.head)?);
        Ok(format!(
            "{results}<hx-partial hx-target=\"#vault-head\" hx-swap=\"outerHTML\">{head}</hx-partial>"
        ))
    }
}

impl Screen for VaultScreen {
    fn title(&self) -> Cow<'_, str> {
        "Backup vault".into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// `GET /vault` and `GET /api/backups`.
pub(in crate::web) async fn list(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(mut filter): Query<Filter>,
) -> Result<Response> {
    // A form sends what is not chosen as an empty field.
    filter.sort = filter.sort.filter(|by| !by.is_empty());
    let asked = filter.limit;
    let wanted = Filter {
        limit: if shell.client == crate::web::client::Client::Api {
            asked
        } else {
            Some(asked.unwrap_or(PAGE).clamp(1, 500))
        },
        ..filter.clone()
    };
    let page = backups::list(&app, &wanted).await?;
    let by = filter.column().as_str().to_owned();
    let descending = filter.descending();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let rest = parameters(&[
        ("search", &text(&filter.search)),
        ("type", &text(&filter.kind)),
        ("backup_type", &text(&filter.backup_type)),
        ("storage", &text(&filter.storage)),
        ("server", &text(&filter.server)),
        ("container", &text(&filter.container)),
        ("state", &text(&filter.state)),
    ]);
    let from = wanted.offset.unwrap_or(0);
    let most = wanted.limit.unwrap_or(PAGE);
    let order = if descending { "desc" } else { "asc" };
    let at = |offset: u32| format!("/vault?sort={by}&order={order}{rest}&offset={offset}");
    let shown = u32::try_from(page.backups.len()).unwrap_or(0);
    let total = u32::try_from(page.total).unwrap_or(u32::MAX);
    let screen = VaultScreen {
        results: Results {
            previous: (from > 0).then(|| at(from.saturating_sub(most))),
            next: (from + shown < total).then(|| at(from + most)),
            rows: page
                .backups
                .into_iter()
                .map(|backup| (shell.when(backup.created), backup))
                .map(|(w, b)| (b, w))
                .collect(),
            address: at(from),
            copy_to: copy_to(&app, &filter),
            first: from as usize + 1,
            total: page.total,
            empty_vault: page.sums.count() == 0,
            sort: Sort { by, descending, rest },
        },
        filter,
        head: Head {
            servers: page.sums.servers(),
            size: size(page.sums.size()),
            stored: size(page.sums.stored_size()),
            in_bucket: page.sums.of(Storage::S3).count() > 0,
            count: page.sums.count(),
            deleted: backups::deleted(&app).await?,
        },
    };
    let json = |screen: &VaultScreen| {
        let rows: Vec<_> = screen.results.rows.iter().map(|(backup, _)| api_shapes::backup(backup)).collect();
        json!({ "backups": rows, "total": screen.results.total })
    };
    shell.show(&screen, VaultScreen::part, json).await
}

/// "Copy to S3", where both vaults are set up.
fn copy_to(app: &App, filter: &Filter) -> Option<&'static str> {
    let set_up = |storage: &Storage| app.vaults.of(*storage).state() != vaults::State::Absent;
    if !Storage::ALL.iter().all(set_up) {
        return None;
    }
    // Without a filter, those of both are shown.
    Some(match filter.storage.as_deref() {
        Some("local") => "Copy to S3",
        Some("s3") => "Copy to Local",
        _ => "Copy to the other vault",
    })
}

/// `POST /vault/refresh`.
pub(in crate::web) async fn refresh(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let count = backups::refresh(&app).await?;
    let json = json!({ "success": true, "total": count });
    shell.done(Done::new(format!("The vault holds {count} backups"), "/vault", json))
}
