//! A schedule as people type it: the fields of the form and of the API, and what is wrong with them.

use std::{collections::BTreeMap, str::FromStr};

use chrono_tz::Tz;
use serde::{Deserialize, Deserializer};

use crate::{
    error::{AppError, Result},
    model::{
        container::Container,
        names::ContainerRef,
        retention::Rules,
        schedule::{Member, Plan, Selection},
        timing::Timing,
    },
    ops::containers::pick,
};

/// What came in. What is not said stays as it was.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Input {
    #[serde(deserialize_with = "word")]
    name: Option<String>,
    #[serde(alias = "kind", deserialize_with = "word")]
    schedule_type: Option<String>,
    /// "02:30", instead of `hour` and `minute`.
    #[serde(deserialize_with = "word")]
    time: Option<String>,
    #[serde(deserialize_with = "word")]
    hour: Option<String>,
    #[serde(deserialize_with = "word")]
    minute: Option<String>,
    #[serde(deserialize_with = "word")]
    day_of_week: Option<String>,
    #[serde(alias = "day", deserialize_with = "words")]
    days: Option<Vec<String>>,
    #[serde(deserialize_with = "word")]
    cron: Option<String>,
    #[serde(deserialize_with = "word")]
    time_zone: Option<String>,
    #[serde(deserialize_with = "word")]
    selection: Option<String>,
    #[serde(alias = "container", alias = "selected_containers", deserialize_with = "words")]
    containers: Option<Vec<String>>,
    #[serde(alias = "stack", deserialize_with = "words")]
    stacks: Option<Vec<String>>,
    #[serde(deserialize_with = "word")]
    consistency: Option<String>,
    #[serde(alias = "storage_location", deserialize_with = "word")]
    storage: Option<String>,
    #[serde(deserialize_with = "switch")]
    copy: Option<bool>,
    #[serde(deserialize_with = "switch")]
    include_layer: Option<bool>,
    #[serde(alias = "keep_last", deserialize_with = "word")]
    lifecycle: Option<String>,
    #[serde(deserialize_with = "word")]
    keep_hourly: Option<String>,
    #[serde(deserialize_with = "word")]
    keep_daily: Option<String>,
    #[serde(deserialize_with = "word")]
    keep_weekly: Option<String>,
    #[serde(deserialize_with = "word")]
    keep_monthly: Option<String>,
    #[serde(deserialize_with = "word")]
    keep_yearly: Option<String>,
    /// The API's switch.
    #[serde(deserialize_with = "switch")]
    pub(super) enabled: Option<bool>,
}

/// A field of a form, or a text or number of JSON.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    use serde::de::Error;
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text)),
        serde_json::Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(D::Error::custom("expected a text or a number")),
    }
}

/// A repeated field of a form, or a list of JSON. An empty one says that there are none.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    struct Word(#[serde(deserialize_with = "word")] Option<String>);
    let list = Option::<Vec<Word>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().filter_map(|word| word.0).filter(|word| !word.is_empty()).collect()))
}

fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    crate::web::input::flag(deserializer).map(Some)
}

impl Input {
    /// Whether nothing is selected by name.
    pub(super) fn selects_none(&self) -> bool {
        self.containers.as_ref().is_some_and(Vec::is_empty) && self.stacks.as_ref().is_none_or(Vec::is_empty)
    }

    /// Whether containers are named.
    pub(super) fn names_containers(&self) -> bool {
        self.containers.is_some()
    }
}

/// All fields, as the form shows them.
#[derive(Debug, Clone)]
pub(in crate::web) struct Draft {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) hour: String,
    pub(super) minute: String,
    pub(super) days: Vec<String>,
    pub(super) cron: String,
    pub(super) time_zone: String,
    pub(super) selection: String,
    pub(super) containers: Vec<String>,
    pub(super) stacks: Vec<String>,
    pub(super) consistency: String,
    pub(super) storage: String,
    pub(super) copy: bool,
    pub(super) include_layer: bool,
    pub(super) last: String,
    pub(super) hourly: String,
    pub(super) daily: String,
    pub(super) weekly: String,
    pub(super) monthly: String,
    pub(super) yearly: String,
}

/// What is wrong, by field.
pub(in crate::web) type Problems = BTreeMap<String, String>;

impl Draft {
    /// A new schedule.
    pub(super) fn new(zone: Tz) -> Self {
        Self::of(&Plan {
            name: String::new(),
            timing: Timing::Daily { hour: 2, minute: 30 },
            zone,
            selection: Selection::All,
            consistency: None,
            storage: None,
            copy: false,
            include_layer: true,
            rules: Rules { daily: 7, weekly: 4, monthly: 6, ..Rules::last(3) },
        })
    }

    /// The schedule that a script makes with the first call of the old interface.
    pub(super) fn first(zone: Tz) -> Self {
        Self::of(&Plan {
            name: "Backups".to_owned(),
            timing: Timing::Daily { hour: 2, minute: 0 },
            zone,
            selection: Selection::Named { containers: Vec::new(), stacks: Vec::new() },
            consistency: None,
            storage: None,
            copy: false,
            include_layer: true,
            rules: Rules::last(7),
        })
    }

    /// An existing one.
    pub(super) fn of(plan: &Plan) -> Self {
        let every_day = || (0..7).collect::<Vec<u8>>();
        let (kind, hour, minute, days, cron) = match &plan.timing {
            Timing::Daily { hour, minute } => ("daily", *hour, *minute, every_day(), ""),
            Timing::Weekly { weekdays, hour, minute } => ("weekly", *hour, *minute, weekdays.clone(), ""),
            Timing::Cron { expression } => ("cron", 2, 30, every_day(), expression.as_str()),
        };
        let names = |members: &[Member]| members.iter().map(|member| member.name.clone()).collect();
        let (selection, containers, stacks) = match &plan.selection {
            Selection::All => ("all", Vec::new(), Vec::new()),
            Selection::AllExcept { containers } => ("all_except", names(containers), Vec::new()),
            Selection::Named { containers, stacks } => ("named", names(containers), stacks.clone()),
            Selection::Labelled => ("labelled", Vec::new(), Vec::new()),
        };
        let rules = &plan.rules;
        Self {
            name: plan.name.clone(),
            kind: kind.to_owned(),
            hour: hour.to_string(),
            minute: minute.to_string(),
            days: days.iter().map(ToString::to_string).collect(),
            cron: cron.to_owned(),
            time_zone: plan.zone.name().to_owned(),
            selection: selection.to_owned(),
            containers,
            stacks,
            consistency: plan.consistency.map(|how| how.to_string()).unwrap_or_default(),
            storage: plan.storage.map(|storage| storage.to_string()).unwrap_or_default(),
            copy: plan.copy,
            include_layer: plan.include_layer,
            last: rules.last.to_string(),
            hourly: rules.hourly.to_string(),
            daily: rules.daily.to_string(),
            weekly: rules.weekly.to_string(),
            monthly: rules.monthly.to_string(),
            yearly: rules.yearly.to_string(),
        }
    }

    /// With what came in.
    pub(super) fn with(mut self, input: Input) -> Self {
        let set = |field: &mut String, value: Option<String>| {
            if let Some(value) = value {
                value.trim().clone_into(field);
            }
        };
        if let Some(time) = &input.time {
            let (hour, minute) = time.split_once(':').unwrap_or((time, ""));
            hour.trim().clone_into(&mut self.hour);
            // A browser may add seconds.
            minute.split(':').next().unwrap_or_default().clone_into(&mut self.minute);
        }
        // A single day for a schedule of several: that day.
        if let Some(day) = input.day_of_week.filter(|day| !day.is_empty()) {
            self.days = vec![day];
        }
        // A script that names containers means those.
        if input.containers.is_some() && input.selection.is_none() && !self.selection.contains("except") {
            "named".clone_into(&mut self.selection);
        }
        self.days = input.days.unwrap_or(self.days);
        self.containers = input.containers.unwrap_or(self.containers);
        self.stacks = input.stacks.unwrap_or(self.stacks);
        self.copy = input.copy.unwrap_or(self.copy);
        self.include_layer = input.include_layer.unwrap_or(self.include_layer);
        for (field, value) in [
            (&mut self.name, input.name),
            (&mut self.kind, input.schedule_type),
            (&mut self.hour, input.hour),
            (&mut self.minute, input.minute),
            (&mut self.cron, input.cron),
            (&mut self.time_zone, input.time_zone),
            (&mut self.selection, input.selection),
            (&mut self.consistency, input.consistency),
            (&mut self.storage, input.storage),
            (&mut self.last, input.lifecycle),
            (&mut self.hourly, input.keep_hourly),
            (&mut self.daily, input.keep_daily),
            (&mut self.weekly, input.keep_weekly),
            (&mut self.monthly, input.keep_monthly),
            (&mut self.yearly, input.keep_yearly),
        ] {
            set(field, value);
        }
        self
    }

    /// The time as a browser's field wants it.
    pub(super) fn time(&self) -> String {
        match (self.hour.parse::<u8>(), self.minute.parse::<u8>()) {
            (Ok(hour), Ok(minute)) => format!("{hour:02}:{minute:02}"),
            _ => format!("{}:{}", self.hour, self.minute),
        }
    }

    /// The plan, or everything that is wrong. `all`: the containers there are; `before`: members that may be gone.
    pub(super) fn plan(&self, all: &[Container], before: Option<&Plan>) -> Result<Plan, Problems> {
        let mut wrong = Problems::new();
        let timing = self.timing(&mut wrong);
        let zone = self.time_zone.parse::<Tz>().ok();
        if zone.is_none() {
            let text =
                format!("“{}” is not a time zone. They look like Europe/Berlin.", short(&self.time_zone));
            wrong.insert("time_zone".to_owned(), text);
        }
        let selection = self.selection(all, before, &mut wrong);
        let consistency = chosen("consistency", &self.consistency, "Choose live, pause or stop.", &mut wrong);
        let storage = chosen("storage", &self.storage, "Choose local or s3.", &mut wrong);
        let mut count = |field: &str, text: &str| {
            text.parse::<u32>().ok().filter(|count| *count <= Rules::MOST).unwrap_or_else(|| {
                let why = format!("A whole number from 0 to {}.", Rules::MOST);
                wrong.insert(field.to_owned(), why);
                1
            })
        };
        let rules = Rules {
            last: count("lifecycle", &self.last),
            hourly: count("keep_hourly", &self.hourly),
            daily: count("keep_daily", &self.daily),
            weekly: count("keep_weekly", &self.weekly),
            monthly: count("keep_monthly", &self.monthly),
            yearly: count("keep_yearly", &self.yearly),
        };
        let plan = Plan {
            name: self.name.clone(),
            timing,
            zone: zone.unwrap_or(Tz::UTC),
            selection,
            consistency,
            storage,
            copy: self.copy,
            include_layer: self.include_layer,
            rules,
        };
        for (field, why) in crate::ops::schedules::problems(&plan) {
            wrong.entry(field.to_owned()).or_insert(why);
        }
        if wrong.is_empty() { Ok(plan) } else { Err(wrong) }
    }

    fn timing(&self, wrong: &mut Problems) -> Timing {
        let mut number = |field: &str, text: &str, most: u8, what: &str| {
            text.trim().parse::<u8>().ok().filter(|number| *number <= most).unwrap_or_else(|| {
                wrong.insert(field.to_owned(), format!("The {what} goes from 0 to {most}."));
                0
            })
        };
        match self.kind.as_str() {
            "daily" => Timing::Daily {
                hour: number("hour", &self.hour, 23, "hour"),
                minute: number("minute", &self.minute, 59, "minute"),
            },
            "weekly" => Timing::Weekly {
                hour: number("hour", &self.hour, 23, "hour"),
                minute: number("minute", &self.minute, 59, "minute"),
                weekdays: self
                    .days
                    .iter()
                    .map(|day| number("day_of_week", day, 6, "day of the week (0 = Monday)"))
                    .collect(),
            },
            "cron" => Timing::Cron { expression: self.cron.trim().to_owned() },
            _ => {
                wrong.insert("schedule_type".to_owned(), "Choose daily, weekly or cron.".to_owned());
                Timing::Daily { hour: 0, minute: 0 }
            }
        }
    }

    fn selection(&self, all: &[Container], before: Option<&Plan>, wrong: &mut Problems) -> Selection {
        let mut members = Vec::new();
        for name in &self.containers {
            match member(name, all, before) {
                Ok(member) if members.contains(&member) => {}
                Ok(member) => members.push(member),
                Err(why) => {
                    wrong.insert("selected_containers".to_owned(), why);
                }
            }
        }
        match self.selection.as_str() {
            "all" => {
                wrong.remove("selected_containers");
                Selection::All
            }
            "labelled" => {
                wrong.remove("selected_containers");
                Selection::Labelled
            }
            "all_except" => Selection::AllExcept { containers: members },
            "named" => Selection::Named { containers: members, stacks: self.stacks.clone() },
            _ => {
                let text = "Choose all, all_except, named or labelled.".to_owned();
                wrong.insert("selection".to_owned(), text);
                Selection::All
            }
        }
    }
}

/// The word that was chosen; nothing is none.
fn chosen<T: FromStr>(field: &str, word: &str, why: &str, wrong: &mut Problems) -> Option<T> {
    let parsed = word.parse().ok();
    if parsed.is_none() && !word.is_empty() {
        wrong.insert(field.to_owned(), why.to_owned());
    }
    parsed
}

/// A container that there is, or one that was selected before and is gone.
fn member(name: &str, all: &[Container], before: Option<&Plan>) -> Result<Member, String> {
    let wanted: ContainerRef =
        name.parse().map_err(|error: crate::model::names::BadName| error.to_string())?;
    let found = match pick(all, &wanted) {
        Ok(container) => return Ok(Member::of(container)),
        Err(error) => error,
    };
    let known = match before.map(|plan| &plan.selection) {
        Some(Selection::AllExcept { containers } | Selection::Named { containers, .. }) => {
            containers.iter().find(|member| member.name == name)
        }
        _ => None,
    };
    known.cloned().ok_or_else(|| format!("{found}."))
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The same as an error of the request.
pub(super) fn refused(problems: Problems) -> AppError {
    let message = problems.values().cloned().collect::<Vec<_>>().join(" ");
    AppError::Invalid { message, fields: problems }
}
