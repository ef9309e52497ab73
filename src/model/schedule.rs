//! A schedule: what is backed up when, and which of its backups are kept. Pure rules, no clock: `now` is given.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{
    backup::words, container::Container, manifest::Consistency, names::ScheduleId, retention::Rules,
    timing::Timing, vault::Storage,
};

/// A clock that is further ahead of a slot's than this was wrong when that slot was taken.
const AHEAD: TimeDelta = TimeDelta::hours(24);

/// A slot that is taken later than this after its time was missed.
const LATE: TimeDelta = TimeDelta::minutes(5);

/// A schedule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// Whether it runs on its own.
    pub enabled: bool,
    /// What the user chose.
    pub plan: Plan,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Slots up to this moment are not owed: it was made, switched on or given other times then.
    pub since: DateTime<Utc>,
}

/// What a user chooses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name, unique.
    pub name: String,
    /// When.
    pub timing: Timing,
    /// Whose wall clock.
    pub zone: Tz,
    /// What.
    pub selection: Selection,
    /// How containers are kept still; `None` = as their label says, else not at all.
    #[serde(default)]
    pub consistency: Option<Consistency>,
    /// The vault; `None` = the one that is chosen for new backups when it runs.
    #[serde(default)]
    pub storage: Option<Storage>,
    /// After a run, what it made is copied into the other vault.
    #[serde(default)]
    pub copy: bool,
    /// What containers changed in their own file systems goes into the backups.
    #[serde(default = "yes")]
    pub include_layer: bool,
    /// What is kept, in each vault.
    pub rules: Rules,
}

const fn yes() -> bool {
    true
}

/// Which containers. What is labelled `container-monkey.exclude=true` and the program's own container never are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Selection {
    /// All, also those made later.
    All,
    /// All but these, also those made later.
    AllExcept {
        /// These are left out.
        containers: Vec<Member>,
    },
    /// These.
    Named {
        /// Containers.
        containers: Vec<Member>,
        /// All containers of these compose projects, also those made later.
        #[serde(default)]
        stacks: Vec<String>,
    },
    /// Those labelled `container-monkey.enable=true`.
    Labelled,
}

/// One container, so that it is found again after it was recreated: by its name, or by its place in compose.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Compose project, service and number, if it has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<(String, String, u32)>,
}

impl Member {
    /// This container.
    pub fn of(container: &Container) -> Self {
        Self { name: container.name.clone(), place: place(container) }
    }

    /// Whether this is the container. A container that took the name of one that compose has under another name
    /// is one, too.
    fn is(&self, container: &Container) -> bool {
        self.name == container.name || (self.place.is_some() && self.place == place(container))
    }
}

fn place(container: &Container) -> Option<(String, String, u32)> {
    let stack = container.stack_info.as_ref()?;
    Some((stack.name.clone(), stack.service.clone(), container.marks.number?))
}

/// What a selection means now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Names of containers, sorted.
    pub containers: Vec<String>,
    /// What is selected by name and is not there, a sentence each.
    pub missing: Vec<String>,
}

impl Selection {
    /// Which of these containers are meant.
    pub fn choose(&self, all: &[Container]) -> Chosen {
        let mut chosen = Chosen::default();
        let names: BTreeSet<&str> =
            all.iter().filter(|container| self.takes(container)).map(|c| c.name.as_str()).collect();
        chosen.containers = names.into_iter().map(str::to_owned).collect();
        if let Self::Named { containers, stacks } = self {
            for member in containers {
                match all.iter().find(|container| member.is(container)) {
                    None => chosen.missing.push(format!(
                        "{} is not there any more. It stays selected and is backed up again when it is back.",
                        member.name
                    )),
                    Some(container) if !may_be_taken(container) => {
                        chosen.missing.push(format!(
                            "{} is selected, but {}.",
                            member.name,
                            why_not(container)
                        ));
                    }
                    Some(_) => {}
                }
            }
            let gone = stacks.iter().filter(|stack| !all.iter().any(|container| in_stack(container, stack)));
            chosen.missing.extend(
                gone.map(|stack| format!("The stack {stack} has no containers any more. It stays selected.")),
            );
        }
        chosen
    }

    /// Whether this container is meant.
    pub fn takes(&self, container: &Container) -> bool {
        may_be_taken(container)
            && match self {
                Self::All => true,
                Self::AllExcept { containers } => !containers.iter().any(|member| member.is(container)),
                Self::Named { containers, stacks } => {
                    containers.iter().any(|member| member.is(container))
                        || stacks.iter().any(|stack| in_stack(container, stack))
                }
                Self::Labelled => container.marks.enable,
            }
    }

    /// In words: "All, also new ones".
    pub fn words(&self) -> String {
        match self {
            Self::All => "all, and new ones".to_owned(),
            Self::AllExcept { containers } => format!("all but {}, and new ones", containers.len()),
            Self::Named { containers, stacks } => {
                let count = |number: usize, one: &str| match number {
                    1 => format!("1 {one}"),
                    many => format!("{many} {one}s"),
                };
                match (containers.len(), stacks.len()) {
                    (containers, 0) => count(containers, "container"),
                    (0, stacks) => count(stacks, "stack"),
                    (containers, stacks) => {
                        format!("{}, {}", count(containers, "container"), count(stacks, "stack"))
                    }
                }
            }
            Self::Labelled => "those with the label".to_owned(),
        }
    }
}

/// What no schedule ever takes.
pub fn may_be_taken(container: &Container) -> bool {
    !container.is_self && !container.marks.exclude
}

fn why_not(container: &Container) -> &'static str {
    if container.is_self {
        "Container Monkey never backs up itself"
    } else {
        "its label container-monkey.exclude=true leaves it out"
    }
}

fn in_stack(container: &Container, stack: &str) -> bool {
    container.stack_info.as_ref().is_some_and(|info| info.name == stack)
}

/// A slot whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The slot.
    pub slot: DateTime<Utc>,
    /// It is later than it should be.
    pub late: bool,
    /// So many slots before it were missed, too; they are not made up for.
    pub missed: usize,
}

impl Schedule {
    /// What it owes. `taken`: the newest of its slots that was ever taken and is not further ahead than
    /// [`Schedule::horizon`].
    ///
    /// A clock that was set back finds its slots taken. One that had jumped far ahead and came back does not wait
    /// for that future: slots from there are beyond the horizon.
    pub fn due(&self, taken: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Due> {
        if !self.enabled {
            return None;
        }
        let floor = self.floor(taken, now);
        let slot = self.plan.timing.latest_at_or_before(now, self.plan.zone)?;
        if floor.is_some_and(|floor| slot <= floor) {
            return None;
        }
        let missed = floor.map_or(0, |floor| {
            let earlier = self.plan.timing.upcoming(floor, self.plan.zone);
            earlier.take_while(|earlier| *earlier < slot).take(10_000).count()
        });
        Some(Due { slot, late: now - slot > LATE, missed })
    }

    /// The next slot it will take; now or in the past when it is due already.
    pub fn next(&self, taken: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if !self.enabled {
            return None;
        }
        if let Some(due) = self.due(taken, now) {
            return Some(due.slot);
        }
        let floor = self.floor(taken, now).map_or(now, |floor| floor.max(now));
        self.plan.timing.next_after(floor, self.plan.zone)
    }

    /// Slots taken beyond this moment were taken by a wrong clock.
    pub fn horizon(now: DateTime<Utc>) -> DateTime<Utc> {
        now.checked_add_signed(AHEAD).unwrap_or(now)
    }

    /// Up to here nothing is owed.
    fn floor(&self, taken: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let believed = |moment: &DateTime<Utc>| *moment <= Self::horizon(now);
        taken.into_iter().chain([self.since]).filter(believed).max()
    }
}

/// Why a schedule ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its time had come.
    Slot,
    /// Somebody asked.
    Now,
    /// A slot was missed: the server was off, asleep, or still busy with the run before.
    CatchUp,
}

words!(Cause { Slot => "slot", Now => "now", CatchUp => "catch_up" });

#[cfg(test)]
#[path = "schedule_tests.rs"]
pub(super) mod tests;
