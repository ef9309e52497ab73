//! What changed between two backups, or between a backup and now.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{login::escape, parameters};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        backup::{Backup, Kind, Trigger},
        changes::{Aspect, Change, ChangeKind, Changes, State as Side},
        difference::Difference,
        files::{EntryKind, InnerPath, Measure, shown},
        manifest::ItemKind,
        names::BackupRef,
        token::Scope,
    },
    ops::{
        Actor,
        changes::{self, Asked, Comparison, Found, Part, is_hash},
        containers,
        file_restores::is_restorable,
    },
    web::{
        client::Client,
        format::{When, filters, size, thousands},
        input::{Path, Query, choice, flag},
        shell::{Nav, Screen, Shell, render},
    },
};

/// Changes on one page.
const PAGE: usize = 200;

/// Changes that a script gets at most; it goes on with `offset`.
const MOST: usize = 10_000;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct ChangesQuery {
    /// Another backup, or `now`; nothing = the one before.
    base: String,
    kind: String,
    offset: usize,
    limit: Option<usize>,
    #[serde(deserialize_with = "flag")]
    reveal: bool,
}

/// A backup that can be chosen.
struct Choice {
    value: String,
    label: String,
    selected: bool,
}

#[derive(Template)]
#[template(path = "vault/changes.html")]
struct ChangesScreen {
    backup: Backup,
    when: When,
    choices: Vec<Choice>,
    part: FoundPart,
}

impl Screen for ChangesScreen {
    fn title(&self) -> Cow<'_, str> {
        format!("Changes of {}", self.backup.meta.container).into()
    }

    fn nav(&self) -> Nav {
        Nav::Vault
    }
}

/// What was found; changes while the rest of the page stays.
#[derive(Template)]
#[template(path = "vault/changes_found.html")]
struct FoundPart {
    found: Option<View>,
    /// What was backed up.
    subject: String,
    is_network: bool,
}

/// A setting that differs.
struct Setting {
    label: String,
    field: String,
    was: Vec<String>,
    now: Vec<String>,
}

/// A row of the list.
struct Line {
    /// Sign, its class, word.
    sign: (&'static str, &'static str, &'static str),
    /// The part it is in, and the path in that.
    place: (String, String),
    /// In what it differs, or how much is in a folder.
    detail: String,
    before: String,
    after: String,
    open: Option<String>,
    restore: Option<String>,
}

struct Tile {
    count: String,
    size: String,
}

struct View {
    before: When,
    /// `None`: it is compared with what is there now.
    after: Option<When>,
    settings: Option<Vec<Setting>>,
    revealed: bool,
    /// Where secrets are shown or hidden, if there are some.
    reveal: Option<String>,
    notes: Vec<String>,
    problems: Vec<String>,
    more_problems: u64,
    /// Added, changed, removed.
    tiles: [Tile; 3],
    size: (String, String),
    lines: Vec<Line>,
    /// Address, word, how many, whether it is shown.
    shown: Vec<(String, &'static str, usize, bool)>,
    total: usize,
    offset: usize,
    previous: Option<String>,
    next: Option<String>,
}

/// `GET /vault/{id}/changes` and `GET /api/backup/{id}/changes`.
pub(in crate::web) async fn show(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<BackupRef>,
    Query(query): Query<ChangesQuery>,
) -> Result<Response> {
    // Values of settings are for whoever may see those of containers.
    let values = shell.scope == Scope::Admin;
    if query.reveal && !values {
        return Err(AppError::Forbidden("Only who may “admin” sees secrets.".into()));
    }
    let most = if shell.client == Client::Api { MOST } else { PAGE };
    let kind = choice("kind", Some(&query.kind), |word| {
        format!("“{word}” is no kind of change. Use added, changed or removed.")
    })?;
    let base = (!query.base.is_empty()).then(|| query.base.parse()).transpose();
    let asked = Asked {
        base: base.map_err(|error| AppError::field("base", format!("{error}")))?,
        kind,
        offset: query.offset,
        limit: query.limit.unwrap_or(most).clamp(1, most),
    };
    let mut comparison = changes::compare(&app, &id, &asked).await?;
    if query.reveal {
        containers::record_reveal(&app, &actor, &comparison.backup.meta.container).await?;
    }
    let choices = choices(&shell, &comparison);
    let json = json(&comparison, &asked, values.then_some(query.reveal));
    let own = format!("/vault/{}", comparison.backup.reference());
    let view = comparison.found.take().map(|found| {
        let base = match &found.after {
            None => "now".to_owned(),
            Some(after) if after.id == comparison.backup.id => found.before.reference(),
            Some(after) => after.reference(),
        };
        View::of(&shell, found, &asked, &format!("{own}/changes?base={}", escape(&base)), query.reveal)
    });
    let backup = comparison.backup;
    let part = FoundPart {
        found: view,
        subject: backup.meta.container.clone(),
        is_network: backup.meta.kind == Kind::Network,
    };
    let screen = ChangesScreen { when: shell.when(backup.created), backup, choices, part };
    shell.show(&screen, |screen| render(&screen.part), |_| json).await
}

fn choices(shell: &Shell, comparison: &Comparison) -> Vec<Choice> {
    let (backup, found) = (&comparison.backup, comparison.found.as_ref());
    let now = found.is_some_and(|found| found.after.is_none());
    let is_base = |other: &Backup| {
        found.is_some_and(|found| {
            found.before.id == other.id || found.after.as_ref().is_some_and(|after| after.id == other.id)
        })
    };
    let mut choices = Vec::new();
    if comparison.is_here || now {
        let label = format!("The {} as it is now", backup.meta.kind);
        choices.push(Choice { value: "now".to_owned(), label, selected: now });
    }
    choices.extend(comparison.others.iter().map(|other| {
        let trigger = match other.trigger {
            Trigger::Manual => "manual",
            Trigger::Scheduled => "scheduled",
            Trigger::Import => "uploaded",
            Trigger::Safety => "before a restore",
        };
        let mut label = format!("{} ({trigger})", shell.when(other.created).full);
        if other.server_name != backup.server_name {
            label = format!("{label} from {}", other.server_name);
        }
        Choice { value: other.reference(), label, selected: is_base(other) }
    }));
    choices
}

impl View {
    /// Whether no file changed at all.
    fn is_unchanged(&self) -> bool {
        self.shown.iter().all(|(_, _, count, _)| *count == 0)
    }

    fn of(shell: &Shell, found: Found, asked: &Asked, address: &str, reveal: bool) -> Self {
        let Found { before, after, settings, parts, mut changes, notes, bytes } = found;
        let settings = settings.map(|list| list.iter().map(|it| setting(it, reveal)).collect::<Vec<_>>());
        let hidden =
            |setting: &Setting| setting.was.iter().chain(&setting.now).any(|it| it.ends_with("=***"));
        let secrets = reveal || settings.iter().flatten().any(hidden);
        let rows = std::mem::take(&mut changes.rows);
        let states = Links { before: &before, after: after.as_ref() };
        let lines: Vec<_> =
            rows.iter().filter_map(|row| Some(line(&states, parts.get(row.pair)?, row))).collect();
        let at = |kind: Option<ChangeKind>, offset: usize| {
            let (kind, offset) = (kind.map_or("", ChangeKind::as_str), offset.to_string());
            let offset = if offset == "0" { "" } else { &offset };
            let reveal = if reveal { "1" } else { "" };
            format!("{address}{}", parameters(&[("kind", kind), ("offset", offset), ("reveal", reveal)]))
        };
        let total = changes.count(asked.kind);
        let next = asked.offset.saturating_add(asked.limit);
        let filters = [
            (None, "All"),
            (Some(ChangeKind::Added), "Added"),
            (Some(ChangeKind::Changed), "Changed"),
            (Some(ChangeKind::Removed), "Removed"),
        ];
        Self {
            before: shell.when(before.created),
            after: after.as_ref().map(|after| shell.when(after.created)),
            settings,
            revealed: reveal,
            reveal: secrets.then(|| if reveal { address.to_owned() } else { format!("{address}&reveal=1") }),
            notes,
            tiles: tiles(&changes),
            size: (size(bytes), size(changes.bytes_after(bytes))),
            lines,
            shown: filters
                .iter()
                .map(|(kind, word)| (at(*kind, 0), *word, changes.count(*kind), *kind == asked.kind))
                .collect(),
            total,
            offset: asked.offset,
            previous: (asked.offset > 0).then(|| at(asked.kind, asked.offset.saturating_sub(asked.limit))),
            next: (next < total).then(|| at(asked.kind, next)),
            problems: changes.problems,
            more_problems: changes.more_problems,
        }
    }
}

fn tiles(changes: &Changes) -> [Tile; 3] {
    // A folder with nothing in it is a change as well.
    let whole = |rows: usize, measure: Measure| match (rows, measure.files) {
        (rows, 0) if rows > 0 => Tile { count: thousands(rows as u64), size: "empty folders".to_owned() },
        (_, files) => Tile { count: thousands(files), size: size(measure.bytes) },
    };
    let different = &changes.changed;
    [
        whole(changes.added.rows, changes.added.after),
        Tile { count: thousands(different.rows as u64), size: size(different.after.bytes) },
        whole(changes.removed.rows, changes.removed.before),
    ]
}

fn setting(difference: &Difference, reveal: bool) -> Setting {
    let (was, now) = difference.lines(reveal);
    Setting { label: difference.label().to_owned(), field: difference.field.clone(), was, now }
}

/// The two states, for the addresses of their files.
struct Links<'a> {
    before: &'a Backup,
    after: Option<&'a Backup>,
}

fn line(links: &Links<'_>, part: &Part, change: &Change) -> Line {
    let sign = match change.kind {
        ChangeKind::Added => ("+", "add", "Added"),
        ChangeKind::Changed => ("~", "mod", "Changed"),
        ChangeKind::Removed => ("−", "del", "Removed"),
    };
    let inside = |path: &InnerPath| {
        change.path.steps().into_iter().fold(path.clone(), |path, (_, step)| path.join(step.name()))
    };
    let (was, is) = (part.before.as_ref().map(inside), part.after.as_ref().map(inside));
    let last = change.after.as_ref().or(change.before.as_ref()).map(|side| side.entry.kind);
    let folder = last == Some(EntryKind::Dir);
    let (open, restore) = match (links.after, &is, &was) {
        (Some(after), Some(path), _) if change.after.is_some() => (Some(address(after, folder, path)), None),
        (None, ..) if change.before.is_none() => (in_volume(part, folder, &change.path), None),
        (after, _, Some(path)) => {
            let was_folder = change.before.as_ref().is_some_and(|side| side.entry.kind == EntryKind::Dir);
            let own = format!("/vault/{}/restore-files?path=/", links.before.reference());
            let restorable = after.is_none() && is_restorable(path);
            let restore = restorable.then(|| format!("{own}{}", escape(path.as_str())));
            (Some(address(links.before, was_folder, path)), restore)
        }
        _ => (None, None),
    };
    let openable = last.is_some_and(|kind| matches!(kind, EntryKind::Dir | EntryKind::File));
    Line {
        sign,
        place: place(part, &change.path, folder),
        detail: detail(change, links.after.is_some()),
        before: amount(change.before.as_ref()),
        after: amount(change.after.as_ref()),
        open: open.filter(|_| openable),
        restore,
    }
}

/// A file or folder of a backup.
fn address(backup: &Backup, folder: bool, path: &InnerPath) -> String {
    let page = if folder { "files" } else { "file" };
    format!("/vault/{}/{page}?path=/{}", backup.reference(), escape(path.as_str()))
}

/// What no backup has stands in the volume itself.
fn in_volume(part: &Part, folder: bool, path: &InnerPath) -> Option<String> {
    let page = if folder { "" } else { "/file" };
    (part.kind == ItemKind::Volume)
        .then(|| format!("/volumes/{}{page}?path={}", part.name, escape(&path.absolute())))
}

fn place(part: &Part, path: &InnerPath, folder: bool) -> (String, String) {
    let name = match (part.kind, &part.destination) {
        (ItemKind::Volume, Some(at)) if is_hash(&part.name) => format!("anonymous volume at {at}"),
        (ItemKind::Layer, _) => "own file system".to_owned(),
        _ => part.name.clone(),
    };
    let slash = if folder { "/" } else { "" };
    if path.is_root() {
        (format!("{}{slash}", shown(&name)), String::new())
    } else {
        (format!("{}/", shown(&name)), format!("{}{slash}", shown(path.as_str())))
    }
}

fn amount(side: Option<&Side>) -> String {
    match side {
        Some(side) if side.entry.kind == EntryKind::File || side.measure.files > 1 => {
            size(side.measure.bytes)
        }
        Some(side) if side.entry.kind == EntryKind::Dir && side.measure.bytes > 0 => size(side.measure.bytes),
        _ => String::new(),
    }
}

/// In what it differs; of a folder that was added or removed, how much is in it.
fn detail(change: &Change, two_backups: bool) -> String {
    let (before, after) = match (&change.before, &change.after) {
        (Some(before), Some(after)) => (before, after),
        (before, after) => {
            let side = before.as_ref().or(after.as_ref());
            return side.filter(|side| side.entry.kind == EntryKind::Dir).map(files).unwrap_or_default();
        }
    };
    let (was, is) = (&before.entry, &after.entry);
    let word = |aspect: &Aspect| match aspect {
        Aspect::Type => format!("{} became {}", noun(was.kind), noun(is.kind)),
        Aspect::Content => "content".to_owned(),
        Aspect::Target => {
            let target = |target: &Option<String>| shown(target.as_deref().unwrap_or_default());
            format!("link to {}, before to {}", target(&is.target), target(&was.target))
        }
        Aspect::Mode => format!("mode {:04o}, before {:04o}", is.mode, was.mode),
        Aspect::Owner => format!("owner {}:{}, before {}:{}", is.uid, is.gid, was.uid, was.gid),
        Aspect::Attributes => "extended attributes".to_owned(),
        Aspect::Time if two_backups => "only its time".to_owned(),
        Aspect::Time => "its time".to_owned(),
    };
    change.aspects.iter().map(word).collect::<Vec<_>>().join("; ")
}

fn files(side: &Side) -> String {
    match side.measure.files {
        0 => "empty".to_owned(),
        1 => "1 file".to_owned(),
        files => format!("{} files", thousands(files)),
    }
}

const fn noun(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Dir => "folder",
        EntryKind::File => "file",
        EntryKind::Symlink => "link",
        EntryKind::Fifo => "pipe",
        EntryKind::Socket => "socket",
        EntryKind::Device => "device",
    }
}

/// `settings`: whether values of settings are told, and if so whether secrets among them.
fn json(comparison: &Comparison, asked: &Asked, settings: Option<bool>) -> Value {
    let state = |backup: &Backup| {
        json!({
            "id": backup.id, "created": backup.created.to_rfc3339(), "container_name": backup.meta.container,
        })
    };
    let Some(found) = &comparison.found else {
        return json!({ "backup_id": comparison.backup.id, "before": null, "after": null, "items": [], "total": 0 });
    };
    let changes = &found.changes;
    let differing = |difference: &Difference| {
        let mut body = json!({ "field": difference.field, "label": difference.label() });
        if let Some(reveal) = settings {
            let (was, now) = difference.lines(reveal);
            body["before"] = json!(was);
            body["after"] = json!(now);
        }
        body
    };
    let sum = |kind: ChangeKind| {
        let sum = changes.of(kind);
        let measure = if kind == ChangeKind::Removed { sum.before } else { sum.after };
        json!({ "rows": sum.rows, "files": measure.files, "bytes": measure.bytes })
    };
    let items = changes.rows.iter().filter_map(|row| Some(item(found.parts.get(row.pair)?, row)));
    json!({
        "backup_id": comparison.backup.id,
        "before": state(&found.before),
        "after": found.after.as_ref().map_or_else(|| json!("now"), state),
        "added": sum(ChangeKind::Added), "changed": sum(ChangeKind::Changed),
        "removed": sum(ChangeKind::Removed),
        "size_before": found.bytes, "size_after": changes.bytes_after(found.bytes),
        "settings": found.settings.as_ref().map(|list| list.iter().map(differing).collect::<Vec<_>>()),
        "notes": found.notes, "problems": changes.problems, "more_problems": changes.more_problems,
        "items": items.collect::<Vec<_>>(), "total": changes.count(asked.kind),
        "offset": asked.offset, "limit": asked.limit,
    })
}

fn item(part: &Part, row: &Change) -> Value {
    let side = |side: &Option<Side>, top: &Option<InnerPath>| {
        side.as_ref().map(|Side { entry, measure }| {
            let folder = top.as_ref().map(|top| {
                if row.path.is_root() {
                    top.absolute()
                } else {
                    format!("{}{}", top.absolute(), row.path.absolute())
                }
            });
            json!({
                "path": folder, "type": entry.kind, "files": measure.files, "size": measure.bytes,
                "mode": format!("{:04o}", entry.mode), "uid": entry.uid, "gid": entry.gid,
                "modified": chrono::DateTime::from_timestamp(entry.modified, 0).map(|at| at.to_rfc3339()),
                "target": entry.target,
            })
        })
    };
    json!({
        "part": { "type": part.kind, "name": part.name, "destination": part.destination },
        "path": row.path.absolute(), "change": row.kind, "differs": row.aspects,
        "before": side(&row.before, &part.before), "after": side(&row.after, &part.after),
    })
}
