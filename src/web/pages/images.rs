//! Images: the list, deleting, cleaning up.

use std::borrow::Cow;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sort, parameters};
use crate::{
    app::App,
    docker::Removed,
    error::{AppError, Result},
    model::{image::Image, names::ImageRef},
    ops::{Actor, images},
    web::{
        client::Client,
        format::{When, filters, size},
        input::{Input, Path, Query, flag},
        shell::{Done, Nav, Screen, Shell, render},
    },
};

/// So many can be deleted at once.
const MOST: usize = 1000;

/// A row of the list.
struct Row {
    image: Image,
    created: Option<When>,
}

impl Row {
    fn of(shell: &Shell, image: Image) -> Self {
        Self { created: image.created.map(|at| shell.when(at)), image }
    }
}

/// The changing part of the list.
#[derive(Template)]
#[template(path = "images/results.html")]
struct Results {
    rows: Vec<Row>,
    total: usize,
    sort: Sort,
    address: String,
}

#[derive(Template)]
#[template(path = "images/list.html")]
struct ListScreen {
    results: Results,
    filter: Filter,
    summary: String,
    dangling: usize,
}

impl Screen for ListScreen {
    fn title(&self) -> Cow<'_, str> {
        "Images".into()
    }

    fn nav(&self) -> Nav {
        Nav::Images
    }
}

/// The list's query.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Filter {
    search: String,
    #[serde(rename = "use")]
    used: String,
    sort: String,
    order: String,
}

impl Filter {
    fn matches(&self, image: &Image) -> bool {
        let used = match self.used.as_str() {
            "used" => image.in_use,
            "unused" => !image.in_use,
            "dangling" => image.dangling,
            _ => true,
        };
        let search = self.search.to_lowercase();
        let names = image.tags.iter().chain(&image.digests).chain(&image.containers);
        let mut fields: Vec<String> = names.map(|name| name.to_lowercase()).collect();
        fields.push(image.id.clone());
        used && search.split_whitespace().all(|word| fields.iter().any(|field| field.contains(word)))
    }
}

/// `GET /images` and `GET /api/images`.
pub(in crate::web) async fn list(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Query(filter): Query<Filter>,
) -> Result<Response> {
    let screen = screen(&shell, images::list(&app).await?, filter);
    let json = |screen: &ListScreen| {
        let rows: Vec<_> = screen.results.rows.iter().map(|row| &row.image).collect();
        json!({ "images": rows, "total": screen.results.total })
    };
    shell.show(&screen, |screen| render(&screen.results), json).await
}

fn screen(shell: &Shell, all: Vec<Image>, filter: Filter) -> ListScreen {
    let total = all.len();
    let bytes: u64 = all.iter().map(|image| image.size).sum();
    let dangling = all.iter().filter(|image| image.dangling).count();
    let mut summary = match total {
        0 => "Docker has no images on this server.".to_owned(),
        1 => format!("1 image, {}.", size(bytes)),
        // Layers that several images share are counted with each of them.
        _ => format!("{total} images, up to {}.", size(bytes)),
    };
    match dangling {
        0 => {}
        1 => summary.push_str(" 1 is dangling: no tag and not used."),
        many => summary = format!("{summary} {many} are dangling: no tag and not used."),
    }
    let mut rows: Vec<Row> =
        all.into_iter().filter(|image| filter.matches(image)).map(|image| Row::of(shell, image)).collect();
    let by = if filter.sort.is_empty() { "name".to_owned() } else { filter.sort.clone() };
    rows.sort_by_cached_key(|Row { image, .. }| {
        let number = match by.as_str() {
            "size" => image.size.cast_signed(),
            "created" => image.created.map_or(0, |at| at.timestamp()),
            "used" => i64::try_from(image.containers.len()).unwrap_or(i64::MAX),
            _ => 0,
        };
        // What has no name comes last.
        (number, image.tags.is_empty(), image.name().to_lowercase(), image.id.clone())
    });
    let descending = filter.order == "desc";
    if descending {
        rows.reverse();
    }
    let rest = parameters(&[("search", &filter.search), ("use", &filter.used)]);
    let order = if descending { "desc" } else { "asc" };
    let address = format!("/images?sort={by}&order={order}{rest}");
    let results = Results { rows, total, sort: Sort { by, descending, rest }, address };
    ListScreen { results, filter, summary, dangling }
}

/// What will go.
#[derive(Template)]
#[template(path = "images/delete.html")]
struct DeleteScreen {
    rows: Vec<Row>,
    dialog: bool,
}

impl Screen for DeleteScreen {
    fn title(&self) -> Cow<'_, str> {
        "Delete images".into()
    }

    fn nav(&self) -> Nav {
        Nav::Images
    }
}

impl DeleteScreen {
    fn used(&self) -> usize {
        self.rows.iter().filter(|row| row.image.in_use).count()
    }
}

async fn ask(shell: &Shell, app: &App, ids: &[ImageRef]) -> Result<Response> {
    let found = images::find_all(app, ids).await?;
    let rows = found.into_iter().map(|image| Row::of(shell, image)).collect();
    let screen = DeleteScreen { rows, dialog: shell.client == Client::Fragment };
    shell.show(&screen, render, |_| Value::Null).await
}

/// `GET /images/{id}/delete`.
pub(in crate::web) async fn confirm(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ImageRef>,
) -> Result<Response> {
    ask(&shell, &app, &[id]).await
}

/// How to delete.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct How {
    #[serde(deserialize_with = "flag")]
    force: bool,
}

/// `POST /images/{id}/delete`.
pub(in crate::web) async fn delete_form(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ImageRef>,
    Input(how): Input<How>,
) -> Result<Response> {
    delete(&actor, &shell, &app, &[id], how.force).await
}

/// `DELETE /api/image/{id}/delete`.
pub(in crate::web) async fn delete_api(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ImageRef>,
    Query(how): Query<How>,
) -> Result<Response> {
    delete(&actor, &shell, &app, &[id], how.force).await
}

/// Several images.
#[derive(Debug, Deserialize)]
pub(in crate::web) struct Many {
    #[serde(default, alias = "ids")]
    image_ids: Vec<ImageRef>,
    #[serde(default, deserialize_with = "flag")]
    force: bool,
    #[serde(default, deserialize_with = "flag")]
    confirmed: bool,
}

/// `POST /images/-/delete` asks first and deletes when confirmed; `POST /api/images/delete` deletes.
pub(in crate::web) async fn delete_many(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(many): Input<Many>,
) -> Result<Response> {
    let mut ids = many.image_ids;
    ids.sort();
    ids.dedup();
    if ids.is_empty() || ids.len() > MOST {
        return Err(AppError::field("image_ids", format!("Choose between 1 and {MOST} images.")));
    }
    if shell.client != Client::Api && !many.confirmed {
        return ask(&shell, &app, &ids).await;
    }
    delete(&actor, &shell, &app, &ids, many.force).await
}

async fn delete(actor: &Actor, shell: &Shell, app: &App, ids: &[ImageRef], force: bool) -> Result<Response> {
    let removed = images::delete(app, actor, ids, force).await?;
    let text = match (ids, removed.deleted.is_empty()) {
        ([_], true) => {
            format!("{} is no longer a name of the image; the image has others", removed.untagged.join(", "))
        }
        ([_], false) => "The image is deleted".to_owned(),
        (many, _) => format!("{} images are deleted", many.len()),
    };
    shell.done(Done::new(text.clone(), "/images", shape(&removed, &text)).leaving())
}

fn shape(removed: &Removed, text: &str) -> Value {
    json!({
        "success": true, "message": text, "deleted": removed.deleted, "untagged": removed.untagged,
        "space_reclaimed": removed.freed,
    })
}

#[derive(Template)]
#[template(path = "images/clean_up.html")]
struct CleanUpScreen {
    rows: Vec<Row>,
    size: String,
    dialog: bool,
}

impl Screen for CleanUpScreen {
    fn title(&self) -> Cow<'_, str> {
        "Clean up images".into()
    }

    fn nav(&self) -> Nav {
        Nav::Images
    }
}

/// `GET /images/-/clean-up`: what will go.
pub(in crate::web) async fn confirm_clean_up(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
) -> Result<Response> {
    let dangling: Vec<_> = images::list(&app).await?.into_iter().filter(|image| image.dangling).collect();
    let screen = CleanUpScreen {
        size: size(dangling.iter().map(|image| image.size).sum()),
        rows: dangling.into_iter().map(|image| Row::of(&shell, image)).collect(),
        dialog: shell.client == Client::Fragment,
    };
    shell.show(&screen, render, |_| Value::Null).await
}

/// Which of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Which {
    /// Only images with this label, `name` or `name=value`.
    label: Option<String>,
}

/// `POST /images/-/clean-up` and `POST /api/cleanup/dangling-images`.
pub(in crate::web) async fn clean_up(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Input(which): Input<Which>,
) -> Result<Response> {
    let label = which.label.as_deref().filter(|label| !label.is_empty());
    let removed = images::clean_up(&app, &actor, label).await?;
    let text = if removed.deleted.is_empty() {
        "There was nothing to clean up".to_owned()
    } else {
        format!("The images are cleaned up, {} freed", size(removed.freed))
    };
    shell.done(Done::new(text.clone(), "/images", shape(&removed, &text)).leaving())
}
