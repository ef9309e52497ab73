//! The volumes page.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sort, parameters};
use crate::{
    app::App,
    error::Result,
    model::volume::{Protection, Volume},
    ops::{Actor, volume_sizes, volumes},
    web::{
        client::Client,
        format::{When, filters, size},
        input::{Query, flag},
        shell::{Nav, Screen, Shell, render},
    },
};

/// How long a script that asks for sizes waits for the engine to measure.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(2);

/// A row of the list.
pub(super) struct Row {
    pub(super) volume: Volume,
    pub(super) created: Option<When>,
    pub(super) backup: Option<When>,
}

impl Row {
    pub(super) fn of(shell: &Shell, volume: Volume) -> Self {
        Self {
            created: volume.created.map(|at| shell.when(at)),
            backup: volume.backup.as_ref().map(|held| shell.when(held.created)),
            volume,
        }
    }

    /// Its name; the 64 digits that Docker gives a volume without one are cut.
    pub(super) fn name(&self) -> String {
        let name = self.volume.name.as_str();
        let made_up = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if made_up { format!("{}…{}", &name[..12], &name[60..]) } else { name.to_owned() }
    }

    /// Why it can't be deleted.
    fn refused(&self) -> Option<String> {
        volumes::refused(&self.volume)
    }

    /// Class, icon and words of its protection.
    pub(super) fn protection(&self) -> (&'static str, &'static str, String) {
        let ago = || self.backup.as_ref().map(|when| when.ago.clone()).unwrap_or_default();
        match self.volume.protection {
            Protection::Protected => ("ok", "shield-check", ago()),
            Protection::Stale => ("warn", "shield-alert", ago()),
            Protection::LeftOut => ("off", "minus", "left out".to_owned()),
            Protection::Unprotected => ("off", "shield-off", "never".to_owned()),
        }
    }

    /// The same as a sentence.
    pub(super) fn sentence(&self) -> String {
        match self.volume.protection {
            Protection::LeftOut => "left out of backups".to_owned(),
            Protection::Unprotected => "never backed up".to_owned(),
            _ => format!("backed up {}", self.protection().2),
        }
    }
}

/// The changing part of the list.
#[derive(Template)]
#[template(path = "volumes/results.html")]
struct Results {
    rows: Vec<Row>,
    total: usize,
    sort: Sort,
    address: String,
    measured: Option<When>,
    measuring: bool,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "volumes/list.html")]
struct ListScreen {
    results: Results,
    filter: Filter,
    stacks: Vec<String>,
    summary: String,
}

impl Screen for ListScreen {
    fn title(&self) -> Cow<'_, str> {
        "Volumes".into()
    }

    fn nav(&self) -> Nav {
        Nav::Volumes
    }
}

/// The list's query.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Filter {
    search: String,
    #[serde(rename = "use")]
    used: String,
    protection: String,
    stack: String,
    container: String,
    sort: String,
    order: String,
    /// Have the engine measure them.
    #[serde(deserialize_with = "flag")]
    sizes: bool,
}

impl Filter {
    fn matches(&self, volume: &Volume) -> bool {
        let search = self.search.to_lowercase();
        let mut fields = vec![volume.name.to_lowercase(), volume.driver.to_lowercase()];
        fields.extend(volume.containers.iter().map(|name| name.to_lowercase()));
        fields.extend(volume.stack.iter().map(|name| name.to_lowercase()));
        let used = match self.used.as_str() {
            "used" => volume.in_use,
            "unused" => !volume.in_use,
            _ => true,
        };
        used && (self.protection.is_empty() || self.protection == volume.protection.as_str())
            && (self.stack.is_empty() || volume.stack.as_deref() == Some(self.stack.as_str()))
            && (self.container.is_empty() || volume.containers.contains(&self.container))
            && search.split_whitespace().all(|word| fields.iter().any(|field| field.contains(word)))
    }
}

/// `GET /volumes` and `GET /api/volumes`.
pub(in crate::web) async fn list(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Response> {
    if filter.sizes {
        volume_sizes::measure(&app);
        if shell.client == Client::Api {
            // What is not known by then is null.
            let _ = tokio::time::timeout(PATIENCE, volume_sizes::measured()).await;
        }
    }
    let screen = screen(&shell, volumes::list(&app).await?, filter);
    let part = |screen: &ListScreen| render(&screen.results);
    shell.show(&screen, part, |screen| shape(&screen.results)).await
}

fn screen(shell: &Shell, all: Vec<Volume>, filter: Filter) -> ListScreen {
    let total = all.len();
    let unused = all.iter().filter(|volume| !volume.in_use).count();
    let bytes: Option<u64> = all.iter().map(|volume| volume.size_bytes).sum();
    let mut summary = match total {
        0 => "Docker has no volumes on this server.".to_owned(),
        1 => "1 volume".to_owned(),
        _ => format!("{total} volumes"),
    };
    if let Some(bytes) = bytes.filter(|_| total > 0) {
        summary = format!("{summary}, {}", size(bytes));
    }
    match unused {
        0 => {}
        1 => summary.push_str(". 1 is not used by any container."),
        many => summary = format!("{summary}. {many} are not used by any container."),
    }
    let mut stacks: Vec<String> = all.iter().filter_map(|volume| volume.stack.clone()).collect();
    stacks.sort();
    stacks.dedup();
    let mut rows: Vec<Row> = all
        .into_iter()
        .filter(|volume| filter.matches(volume))
        .map(|volume| Row::of(shell, volume))
        .collect();
    let by = if filter.sort.is_empty() { "name".to_owned() } else { filter.sort.clone() };
    rows.sort_by_cached_key(|Row { volume, .. }| {
        let held = volume.backup.as_ref();
        let number = match by.as_str() {
            "size" => volume.size_bytes.or(held.map(|held| held.bytes)).map_or(-1, u64::cast_signed),
            "created" => volume.created.map_or(-1, |at| at.timestamp()),
            "backup" => held.map_or(-1, |held| held.created.timestamp()),
            "used" => i64::try_from(volume.containers.len()).unwrap_or(i64::MAX),
            _ => 0,
        };
        let driver = if by == "driver" { volume.driver.clone() } else { String::new() };
        (number, driver, volume.name.to_lowercase())
    });
    let descending = filter.order == "desc";
    if descending {
        rows.reverse();
    }
    let rest = parameters(&[
        ("search", &filter.search),
        ("use", &filter.used),
        ("protection", &filter.protection),
        ("stack", &filter.stack),
        ("container", &filter.container),
    ]);
    let order = if descending { "desc" } else { "asc" };
    let address = format!("/volumes?sort={by}&order={order}{rest}");
    let sizes = volume_sizes::now();
    let results = Results {
        rows,
        total,
        sort: Sort { by, descending, rest },
        address,
        measured: sizes.known.map(|(_, at)| shell.when(at)),
        measuring: sizes.measuring,
        problem: sizes.problem,
    };
    ListScreen { results, filter, stacks, summary }
}

fn shape(results: &Results) -> Value {
    let rows: Vec<_> = results
        .rows
        .iter()
        .map(|row| {
            let mut body = json!(row.volume);
            body["last_backup"] = json!(row.backup.as_ref().map(|when| &when.iso));
            body
        })
        .collect();
    json!({ "volumes": rows, "total": results.total, "sizes_measured": results.measured.as_ref().map(|when| &when.iso) })
}
