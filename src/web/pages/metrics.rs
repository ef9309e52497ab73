//! `GET /metrics`, for Prometheus and what reads the same text.

use std::sync::atomic::AtomicU64;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use prometheus_client::{
    encoding::text::encode,
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};
use sha2::{Digest, Sha256};

use crate::{
    app::App,
    error::{AppError, Result},
    model::{progress::Level, secret::Secret},
    ops::metrics::{self, Figures},
};

const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;
type Number = Family<Labels, Gauge<f64, AtomicU64>>;

/// `GET /metrics`.
pub(in crate::web) async fn show(State(app): State<App>, headers: HeaderMap) -> Result<Response> {
    // Who has not asked for it does not learn that it could be.
    let settings = metrics::settings(&app).await?;
    if !settings.on {
        return Err(AppError::NotFound("This address".into()));
    }
    if let Some(token) = &settings.token {
        let given =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if !given.is_some_and(|given| same(given, token)) {
            let why = "Send the token that is set for monitoring: Authorization: Bearer …\n";
            let headers = [(header::WWW_AUTHENTICATE, "Bearer")];
            return Ok((StatusCode::UNAUTHORIZED, headers, why).into_response());
        }
    }
    let figures = metrics::figures(&app, Utc::now()).await?;
    let mut text = String::new();
    encode(&mut text, &registry(&figures)).map_err(AppError::internal)?;
    Ok(([(header::CONTENT_TYPE, TYPE)], text).into_response())
}

/// Compares what no clock can tell apart.
fn same(given: &str, token: &Secret) -> bool {
    Sha256::digest(given) == Sha256::digest(token.reveal())
}

/// A gauge with what it is for.
struct Gauges<'a>(&'a mut Registry);

impl Gauges<'_> {
    fn add(&mut self, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
        let family = Number::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.0.register(name, help, family);
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only such numbers")]
const fn float(number: u64) -> f64 {
    number as f64
}

fn count(number: usize) -> f64 {
    float(number as u64)
}

#[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
fn seconds(at: chrono::DateTime<Utc>) -> f64 {
    at.timestamp() as f64
}

fn registry(figures: &Figures) -> Registry {
    let mut registry = Registry::with_prefix("container_monkey");
    let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The program that runs", build);
    let mut gauges = Gauges(&mut registry);
    containers(&mut gauges, figures);
    schedules(&mut gauges, figures);
    vaults(&mut gauges, figures);
    gauges.add("jobs_queued", "Jobs that wait", [(vec![], count(figures.queued))]);
    gauges.add("jobs_running", "Jobs that are being done", [(vec![], count(figures.running))]);
    gauges.add(
        "notifications_waiting",
        "Notifications that have not arrived yet",
        [(vec![], count(figures.notices))],
    );
    registry
}

fn containers(gauges: &mut Gauges<'_>, figures: &Figures) {
    let labels = |name: &str| vec![("container", name.to_owned())];
    let each = |value: fn(&crate::model::backup::Backup) -> f64| {
        figures.newest.iter().map(move |(name, backup)| (labels(name), value(backup))).collect::<Vec<_>>()
    };
    gauges.add(
        "backup_last_success_timestamp_seconds",
        "When the newest good backup was made",
        each(|backup| seconds(backup.created)),
    );
    gauges.add(
        "backup_last_success_duration_seconds",
        "How long the newest good backup took",
        each(|backup| backup.duration_seconds),
    );
    gauges.add(
        "backup_last_success_size_bytes",
        "What is in the newest good backup",
        each(|backup| float(backup.size)),
    );
    gauges.add(
        "backup_last_success_added_bytes",
        "What the newest good backup added to its vault",
        each(|backup| float(backup.stored_size)),
    );
    let outcomes = figures.outcomes.iter();
    gauges.add(
        "backup_last_outcome",
        "How the last backup job ended: 1 good, 0 not",
        outcomes.map(|(name, state)| (labels(name), f64::from(u8::from(state.is_good())))),
    );
}

fn schedules(gauges: &mut Gauges<'_>, figures: &Figures) {
    let all = &figures.schedules;
    let labels = |schedule: &metrics::Schedule| vec![("schedule", schedule.name.clone())];
    gauges.add(
        "schedule_enabled",
        "Whether it is switched on",
        all.iter().map(|one| (labels(one), f64::from(u8::from(one.enabled)))),
    );
    gauges.add(
        "schedule_interval_seconds",
        "How far apart its last two times are: how often it should run",
        all.iter().filter_map(|one| Some((labels(one), float(one.interval?)))),
    );
    gauges.add(
        "schedule_next_timestamp_seconds",
        "When it runs next",
        all.iter().filter_map(|one| Some((labels(one), seconds(one.next?)))),
    );
    let ended = || all.iter().filter_map(|one| Some((one, one.last.as_ref()?, one.last.as_ref()?.finished?)));
    gauges.add(
        "schedule_last_end_timestamp_seconds",
        "When its last run ended",
        ended().map(|(one, _, finished)| (labels(one), seconds(finished))),
    );
    gauges.add(
        "schedule_last_duration_seconds",
        "How long its last run took",
        ended().map(|(one, run, finished)| (labels(one), seconds(finished) - seconds(run.started))),
    );
    gauges.add(
        "schedule_last_outcome",
        "How its last run ended: 1 good, at most with warnings; 0 not",
        ended().map(|(one, run, _)| (labels(one), f64::from(u8::from(run.report.level() != Level::Error)))),
    );
}

fn vaults(gauges: &mut Gauges<'_>, figures: &Figures) {
    let all = &figures.vaults;
    let labels = |vault: &metrics::Vault| vec![("storage", vault.storage.to_string())];
    let mut each = |name: &str, help: &str, value: fn(&metrics::Vault) -> f64| {
        gauges.add(name, help, all.iter().map(|vault| (labels(vault), value(vault))).collect::<Vec<_>>());
    };
    each("vault_usable", "Whether it can be used", |vault| f64::from(u8::from(vault.usable)));
    each("vault_backups", "Backups in it", |vault| count(vault.backups));
    each("vault_logical_bytes", "What its backups were", |vault| float(vault.size));
    each("vault_stored_bytes", "What its backups added to it", |vault| float(vault.stored));
    let free = all.iter().filter_map(|vault| Some((labels(vault), float(vault.free?))));
    gauges.add("vault_free_bytes", "Bytes that are free on its disk", free.collect::<Vec<_>>());
}
