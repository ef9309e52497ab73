//! One schedule: its form, which saves as it is changed, and what the plan means.

use std::borrow::Cow;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    schedule_api,
    schedule_input::{Draft, Input, Problems, refused},
    schedules::{RunLine, slot},
};
use crate::{
    app::App,
    error::{AppError, Result},
    model::{
        container::Container,
        names::ScheduleId,
        retention::Reason,
        schedule::{Plan, Selection, may_be_taken},
    },
    ops::{
        Actor, containers,
        schedules::{self, View, clean_up::Fate},
    },
    vaults,
    web::{
        client::Client,
        input::{Input as Body, Path, Query},
        shell::{Done, Nav, Screen, Shell, json_response, render},
    },
};

/// How many slots are shown ahead.
const AHEAD: usize = 5;

/// A container in the list of boxes.
struct Choice {
    name: String,
    stack: String,
    checked: bool,
    /// It can't be chosen.
    disabled: bool,
}

/// A backup in the preview.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) when: String,
    pub(super) why: String,
}

/// What the plan means.
pub(super) struct Side {
    pub(super) zone: String,
    pub(super) next: Vec<String>,
    pub(super) containers: Vec<String>,
    pub(super) missing: Vec<String>,
    pub(super) goes: Vec<Line>,
    pub(super) stays: Vec<Line>,
}

#[derive(Template)]
#[template(path = "schedules/edit.html")]
#[expect(clippy::struct_excessive_bools, reason = "each shows or hides one thing of the page")]
struct EditScreen {
    id: Option<ScheduleId>,
    enabled: bool,
    running: bool,
    heading: String,
    last: Vec<RunLine>,
    draft: Draft,
    problems: Problems,
    saved: Option<String>,
    choices: Vec<Choice>,
    stacks: Vec<(String, bool)>,
    engine: bool,
    s3: bool,
    side: Option<Side>,
    json: Value,
}

impl Screen for EditScreen {
    fn title(&self) -> Cow<'_, str> {
        self.heading.as_str().into()
    }

    fn nav(&self) -> Nav {
        Nav::Schedules
    }
}

impl EditScreen {
    fn problem(&self, field: &str) -> Option<&String> {
        self.problems.get(field)
    }

    fn clock_problem(&self) -> Option<&String> {
        self.problem("hour").or(self.problem("minute")).or(self.problem("schedule_type"))
    }

    fn chosen_problem(&self) -> Option<&String> {
        self.problem("selected_containers").or(self.problem("selection"))
    }

    /// Field, label, unit, value and place of the message of each number of the rules.
    fn keeps(&self) -> [(&'static str, &'static str, &'static str, &str, &'static str); 6] {
        let draft = &self.draft;
        [
            ("lifecycle", "Newest", "backups", &draft.last, "lifecycle"),
            ("keep_hourly", "Hourly", "hours", &draft.hourly, "hourly"),
            ("keep_daily", "Daily", "days", &draft.daily, "daily"),
            ("keep_weekly", "Weekly", "weeks", &draft.weekly, "weekly"),
            ("keep_monthly", "Monthly", "months", &draft.monthly, "monthly"),
            ("keep_yearly", "Yearly", "years", &draft.yearly, "yearly"),
        ]
    }

    fn address(&self) -> String {
        self.id.as_ref().map_or_else(|| "/schedules".to_owned(), |id| format!("/schedules/{id}"))
    }
}

/// Where a form stands: the schedule, the containers there are, what was typed.
struct Desk {
    view: Option<View>,
    /// `Err`: Docker does not answer.
    containers: Result<Vec<Container>>,
}

impl Desk {
    async fn of(app: &App, shell: &Shell, id: Option<&ScheduleId>) -> Result<Self> {
        let view = match id {
            Some(id) => Some(schedules::get(app, id, shell.now).await?),
            None => None,
        };
        Ok(Self { view, containers: containers::list(app).await })
    }

    fn all(&self) -> &[Container] {
        self.containers.as_deref().unwrap_or_default()
    }

    fn before(&self) -> Option<&Plan> {
        self.view.as_ref().map(|view| &view.schedule.plan)
    }

    fn draft(&self, app: &App) -> Draft {
        self.before().map_or_else(|| Draft::new(app.zone), Draft::of)
    }

    /// The plan, or what is wrong. While Docker does not answer, nobody knows what a container's name means.
    fn plan(&self, draft: &Draft) -> Result<Result<Plan, Problems>> {
        let plan = draft.plan(self.all(), self.before());
        match (&plan, &self.containers) {
            (Err(problems), Err(error)) if problems.contains_key("selected_containers") => {
                Err(AppError::unavailable(error.to_string(), None))
            }
            _ => Ok(plan),
        }
    }

    async fn screen(self, app: &App, shell: &Shell, draft: Draft, problems: Problems) -> Result<EditScreen> {
        let side = match draft.plan(self.all(), self.before()) {
            Ok(plan) => Some(self.side(app, shell, &plan).await?),
            // A name that is still to be given is no reason to show nothing.
            Err(wrong) if wrong.keys().all(|field| field == "name") => {
                let named = Draft { name: "New".to_owned(), ..draft.clone() };
                match named.plan(self.all(), self.before()) {
                    Ok(plan) => Some(self.side(app, shell, &plan).await?),
                    Err(_) => None,
                }
            }
            Err(_) => None,
        };
        let id = self.view.as_ref().map(|view| view.schedule.id.clone());
        let last = match &id {
            Some(id) => schedules::history(app, id, 5).await?,
            None => Vec::new(),
        };
        Ok(EditScreen {
            heading: self.before().map_or_else(|| "New schedule".to_owned(), |plan| plan.name.clone()),
            enabled: self.view.as_ref().is_none_or(|view| view.schedule.enabled),
            running: self.view.as_ref().is_some_and(View::is_running),
            last: last.iter().map(|run| RunLine::of(shell, run)).collect(),
            choices: self.choices(&draft),
            stacks: self.stacks(&draft),
            engine: self.containers.is_ok(),
            s3: app.vaults.of(crate::model::vault::Storage::S3).state() != vaults::State::Absent,
            json: self.view.as_ref().map(schedule_api::schedule).unwrap_or_default(),
            saved: None,
            id,
            draft,
            problems,
            side,
        })
    }

    async fn side(&self, app: &App, shell: &Shell, plan: &Plan) -> Result<Side> {
        let chosen = schedules::chosen(plan, self.all());
        let fates = self.fates(app, shell, plan).await?;
        let (goes, stays): (Vec<_>, Vec<_>) = fates.iter().partition(|fate| fate.keep.is_empty());
        let line = |fate: &Fate| line(fate, plan);
        let next = plan.timing.upcoming(shell.now, plan.zone).take(AHEAD);
        Ok(Side {
            zone: plan.zone.name().to_owned(),
            next: next.map(|at| slot(at, plan.zone, shell.now)).collect(),
            containers: chosen.containers,
            missing: if self.containers.is_ok() { chosen.missing } else { Vec::new() },
            goes: goes.into_iter().map(line).collect(),
            stays: stays.into_iter().map(line).collect(),
        })
    }

    /// What the plan's rules would do to the backups there are.
    async fn fates(&self, app: &App, shell: &Shell, plan: &Plan) -> Result<Vec<Fate>> {
        let Some(view) = &self.view else { return Ok(Vec::new()) };
        schedules::clean_up::preview(app, &view.schedule.id, &plan.rules, plan.zone, shell.now).await
    }

    fn choices(&self, draft: &Draft) -> Vec<Choice> {
        let is = |name: &str| draft.containers.iter().any(|chosen| chosen == name);
        let taken: Vec<&str> = match self.before().map(|plan| &plan.selection) {
            // A member that compose has under another name now.
            Some(selection @ (Selection::Named { .. } | Selection::AllExcept { .. })) => {
                let named = matches!(selection, Selection::Named { stacks, .. } if stacks.is_empty());
                let members = self.all().iter().filter(|container| named && selection.takes(container));
                members.map(|container| container.name.as_str()).collect()
            }
            _ => Vec::new(),
        };
        let fresh = self.before().is_some_and(|plan| Draft::of(plan).containers == draft.containers);
        let mut choices: Vec<Choice> = self
            .all()
            .iter()
            .map(|container| Choice {
                name: container.name.clone(),
                stack: match &container.stack_info {
                    _ if container.is_self => "Container Monkey itself".to_owned(),
                    _ if container.marks.exclude => "left out by its label".to_owned(),
                    Some(stack) => stack.name.clone(),
                    None => "no stack".to_owned(),
                },
                checked: is(&container.name) || (fresh && taken.contains(&container.name.as_str())),
                disabled: !may_be_taken(container),
            })
            .collect();
        let gone = draft.containers.iter().filter(|name| !choices.iter().any(|choice| choice.name == **name));
        let stack = if self.containers.is_ok() { "not there any more" } else { "" };
        let gone: Vec<Choice> = gone
            .map(|name| Choice {
                name: name.clone(),
                stack: stack.to_owned(),
                checked: true,
                disabled: false,
            })
            .collect();
        choices.extend(gone);
        choices.sort_by(|a, b| a.name.cmp(&b.name));
        choices
    }

    fn stacks(&self, draft: &Draft) -> Vec<(String, bool)> {
        let there = self.all().iter().filter_map(|container| container.stack_info.as_ref());
        let mut names: Vec<String> = there.map(|stack| stack.name.clone()).collect();
        names.extend(draft.stacks.iter().cloned());
        names.sort();
        names.dedup();
        names.into_iter().map(|name| (name.clone(), draft.stacks.contains(&name))).collect()
    }
}

/// A backup and why it stays.
pub(super) fn line(fate: &Fate, plan: &Plan) -> Line {
    let local = fate.backup.created.with_timezone(&plan.zone);
    Line {
        name: fate.backup.meta.container.clone(),
        when: local.format("%-d %b %Y, %H:%M").to_string(),
        why: fate.keep.iter().map(Reason::words).collect::<Vec<_>>().join("; "),
    }
}

/// What the form before has done.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Saved {
    saved: Option<String>,
}

/// `GET /schedules/new`.
pub(in crate::web) async fn new(_: Actor, shell: Shell, State(app): State<App>) -> Result<Response> {
    let desk = Desk::of(&app, &shell, None).await?;
    let draft = desk.draft(&app);
    let screen = desk.screen(&app, &shell, draft, Problems::new()).await?;
    shell.page(&screen, StatusCode::OK).await
}

/// `GET /schedules/{id}` and `GET /api/schedules/{id}`.
pub(in crate::web) async fn show(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
    Query(Saved { saved }): Query<Saved>,
) -> Result<Response> {
    let desk = Desk::of(&app, &shell, Some(&id)).await?;
    let draft = desk.draft(&app);
    let mut screen = desk.screen(&app, &shell, draft, Problems::new()).await?;
    screen.saved = saved.map(|_| shell.when(shell.now).clock);
    shell.show(&screen, render, |screen| screen.json.clone()).await
}

/// `POST /schedules` and `POST /api/schedules`.
pub(in crate::web) async fn create(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Body(input): Body<Input>,
) -> Result<Response> {
    let desk = Desk::of(&app, &shell, None).await?;
    let draft = desk.draft(&app).with(input);
    let plan = match desk.plan(&draft)? {
        Ok(plan) => plan,
        Err(problems) => return wrong(&app, &shell, desk, draft, problems).await,
    };
    match schedules::create(&app, &actor, plan, shell.now).await {
        Ok(schedule) => {
            let text = format!("The schedule {} is made", schedule.plan.name);
            let view = schedules::get(&app, &schedule.id, shell.now).await?;
            let json = json!({ "success": true, "message": text, "schedule": schedule_api::schedule(&view) });
            shell.done(Done::new(text, format!("/schedules/{}", schedule.id), json).leaving())
        }
        Err(AppError::Invalid { fields, .. }) if !fields.is_empty() => {
            wrong(&app, &shell, desk, draft, fields).await
        }
        Err(error) => Err(error),
    }
}

/// `POST /schedules/{id}` and `POST /api/schedules/{id}`: what is not said stays as it was.
pub(in crate::web) async fn save(
    actor: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
    Body(input): Body<Input>,
) -> Result<Response> {
    let desk = Desk::of(&app, &shell, Some(&id)).await?;
    let enabled = input.enabled;
    let draft = desk.draft(&app).with(input);
    let plan = match desk.plan(&draft)? {
        Ok(plan) => plan,
        Err(problems) => return wrong(&app, &shell, desk, draft, problems).await,
    };
    match schedules::change(&app, &actor, &id, plan, shell.now).await {
        Ok(_) => {}
        Err(AppError::Invalid { fields, .. }) if !fields.is_empty() => {
            return wrong(&app, &shell, desk, draft, fields).await;
        }
        Err(error) => return Err(error),
    }
    if let Some(enabled) = enabled {
        schedules::set_enabled(&app, &actor, &id, enabled, shell.now).await?;
    }
    if shell.client == Client::Fragment {
        let desk = Desk::of(&app, &shell, Some(&id)).await?;
        let mut screen = desk.screen(&app, &shell, draft, Problems::new()).await?;
        screen.saved = Some(shell.when(shell.now).clock);
        return Ok(Html(render(&screen)?).into_response());
    }
    let view = schedules::get(&app, &id, shell.now).await?;
    let text = format!("{} is saved", view.schedule.plan.name);
    let json = json!({ "success": true, "message": text, "schedule": schedule_api::schedule(&view) });
    shell.done(Done::new(text, format!("/schedules/{id}?saved=1"), json))
}

/// The form again, with what was typed and what is wrong with it. What was saved before stays.
async fn wrong(app: &App, shell: &Shell, desk: Desk, draft: Draft, problems: Problems) -> Result<Response> {
    if shell.client == Client::Api {
        return Err(refused(problems));
    }
    let screen = desk.screen(app, shell, draft, problems).await?;
    shell.again(&screen, StatusCode::UNPROCESSABLE_ENTITY).await
}

/// `POST /schedules/preview` and `POST /api/schedules/preview`: what a new schedule would mean. Saves nothing.
pub(in crate::web) async fn preview(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Body(input): Body<Input>,
) -> Result<Response> {
    let desk = Desk::of(&app, &shell, None).await?;
    let mut draft = desk.draft(&app).with(input);
    if draft.name.is_empty() {
        // It is still to be given.
        "New schedule".clone_into(&mut draft.name);
    }
    let plan = match desk.plan(&draft)? {
        Ok(plan) => plan,
        Err(problems) => return wrong(&app, &shell, desk, draft, problems).await,
    };
    if shell.client == Client::Api {
        return Ok(json_response(StatusCode::OK, &meaning(&app, &shell, &desk, &plan).await?));
    }
    let screen = desk.screen(&app, &shell, draft, Problems::new()).await?;
    Ok(Html(render(&screen)?).into_response())
}

/// `GET /api/schedules/{id}/preview`.
pub(in crate::web) async fn show_preview(
    _: Actor,
    shell: Shell,
    State(app): State<App>,
    Path(id): Path<ScheduleId>,
) -> Result<Response> {
    let desk = Desk::of(&app, &shell, Some(&id)).await?;
    let plan = desk.before().cloned().ok_or(AppError::NotFound("This schedule".into()))?;
    Ok(json_response(StatusCode::OK, &meaning(&app, &shell, &desk, &plan).await?))
}

async fn meaning(app: &App, shell: &Shell, desk: &Desk, plan: &Plan) -> Result<Value> {
    if let Err(error) = &desk.containers {
        return Err(AppError::unavailable(error.to_string(), None));
    }
    let chosen = schedules::chosen(plan, desk.all());
    let next: Vec<_> = plan
        .timing
        .upcoming(shell.now, plan.zone)
        .take(AHEAD)
        .map(|at| at.with_timezone(&plan.zone).to_rfc3339())
        .collect();
    let fates = desk.fates(app, shell, plan).await?;
    let fates: Vec<_> = fates.iter().map(schedule_api::fate).collect();
    Ok(json!({
        "next_runs": next, "containers": chosen.containers, "missing": chosen.missing, "backups": fates,
    }))
}
