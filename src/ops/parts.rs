//! The parts of a container's data, such as its volumes, in two states: which belongs to which.

use super::present::Data;
use crate::model::{
    backup::{Backup, ItemState},
    changes::{Pair, Spot},
    files::{InnerPath, encode},
    manifest::{Item, ItemKind, Manifest},
};

/// A part that is compared.
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is: a volume, a host path, the container's own file system.
    pub kind: ItemKind,
    /// The volume's name, or the host path.
    pub name: String,
    /// Where the container sees it.
    pub destination: Option<String>,
    /// Path in the earlier backup, if it has it.
    pub before: Option<InnerPath>,
    /// Path in the later backup, if there is one that has it.
    pub after: Option<InnerPath>,
}

impl Part {
    /// For people.
    pub fn label(&self) -> String {
        label(self.kind, &self.name, self.destination.as_deref())
    }
}

fn label(kind: ItemKind, name: &str, destination: Option<&str>) -> String {
    match (kind, destination) {
        (ItemKind::Volume, Some(at)) if is_hash(name) => format!("Anonymous volume at {at}"),
        (ItemKind::Volume, _) => format!("Volume {name}"),
        (ItemKind::Bind, _) => format!("Host path {name}"),
        _ => name.to_owned(),
    }
}

/// A name that the engine gave.
pub fn is_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A part in one of the two states.
pub(super) struct Piece {
    item: Item,
    /// Bytes, where that is known.
    bytes: u64,
    held: Held,
    /// The container that exists uses it; always so for a backup.
    in_use: bool,
}

enum Held {
    /// It is there.
    At(Spot),
    /// It would be there, but is not.
    Missing,
    /// It is not known what it holds, and why.
    Unknown(String),
}

/// The parts of a backup.
pub(super) fn of_backup(backup: &Backup, manifest: &Manifest, notes: &mut Vec<String>) -> Vec<Piece> {
    let data = |item: &&Item| !matches!(item.kind, ItemKind::Settings | ItemKind::Image);
    let piece = |item: &Item| {
        let outcome = backup.meta.items.iter().find(|outcome| outcome.path == item.path);
        let path = InnerPath::try_from(encode(item.path.as_bytes()));
        let held = match (&item.left_out, outcome, path) {
            (Some(why), ..) => Held::Unknown(why.clone()),
            (None, Some(outcome), Ok(path)) if is_saved(outcome.state) => {
                if outcome.state == ItemState::Warnings {
                    notes.push(format!(
                        "{} in the backup of {}: {} What could not be read then looks as if it was not there.",
                        label(item.kind, &item.name, item.destination.as_deref()),
                        backup.created.format("%Y-%m-%d %H:%M UTC"),
                        outcome.message
                    ));
                }
                Held::At(Spot::Backup(path))
            }
            (None, Some(outcome), _) => Held::Unknown(outcome.message.clone()),
            (None, None, _) => Held::Unknown("the backup was interrupted".to_owned()),
        };
        Piece { item: item.clone(), bytes: outcome.map_or(0, |outcome| outcome.bytes), held, in_use: true }
    };
    manifest.items.iter().filter(data).map(piece).collect()
}

const fn is_saved(state: ItemState) -> bool {
    matches!(state, ItemState::Saved | ItemState::Warnings)
}

/// The parts that are on this machine, and the paths that they name by their place.
pub(super) fn of_present(data: Vec<Data>) -> (Vec<Piece>, Vec<std::path::PathBuf>) {
    let mut paths = Vec::new();
    let pieces = data.into_iter().map(|Data { item, path, in_use }| {
        let held = match (&item.left_out, path) {
            (Some(why), _) => Held::Unknown(why.clone()),
            (None, None) => Held::Missing,
            (None, Some(path)) => {
                paths.push(path);
                Held::At(Spot::Host(paths.len() - 1))
            }
        };
        Piece { item, bytes: 0, held, in_use }
    });
    (pieces.collect(), paths)
}

/// What belongs together.
#[derive(Default)]
pub(super) struct Matched {
    /// For the worker.
    pub(super) pairs: Vec<Pair>,
    /// The same for people, in the same order.
    pub(super) parts: Vec<Part>,
    /// What is not compared, or gone as a whole, a sentence each.
    pub(super) notes: Vec<String>,
    /// Bytes of what is compared, as it was.
    pub(super) bytes: u64,
}

/// What the two states are called in a sentence.
pub(super) struct Names {
    pub(super) before: &'static str,
    pub(super) after: &'static str,
}

/// Whether two pieces belong together.
type Way<'a> = &'a dyn Fn(&Piece, &Piece) -> bool;

/// Finds for each part the other: of the same name, else the one that the container sees at the same place.
pub(super) fn matched(before: Vec<Piece>, mut after: Vec<Piece>, names: &Names) -> Matched {
    let mut found: Vec<(Piece, Option<Piece>)> = before.into_iter().map(|piece| (piece, None)).collect();
    let by_name = |was: &Piece, is: &Piece| was.item.name == is.item.name;
    let seen = |was: &Piece, is: &Piece| {
        was.item.destination.is_some() && was.item.destination == is.item.destination
    };
    let ways: [Way<'_>; 3] =
        [&|was, is| is.in_use && by_name(was, is), &|was, is| is.in_use && seen(was, is), &|was, is| {
            !is.in_use && by_name(was, is)
        }];
    for way in ways {
        for (was, other) in found.iter_mut().filter(|(_, other)| other.is_none()) {
            let place = after.iter().position(|is| was.item.kind == is.item.kind && way(was, is));
            *other = place.map(|place| after.remove(place));
        }
    }
    let mut matched = Matched::default();
    for (was, is) in found {
        matched.add(Some(was), is, names);
    }
    for is in after.into_iter().filter(|piece| piece.in_use) {
        matched.add(None, Some(is), names);
    }
    matched
}

impl Matched {
    fn add(&mut self, was: Option<Piece>, is: Option<Piece>, names: &Names) {
        let Some(item) = was.as_ref().or(is.as_ref()).map(|piece| piece.item.clone()) else { return };
        let bytes = was.as_ref().map_or(0, |piece| piece.bytes);
        let label = label(item.kind, &item.name, item.destination.as_deref());
        let absent = || Held::Missing;
        let held = [was, is].map(|piece| piece.map_or_else(absent, |piece| piece.held));
        let unknown = |state: &str, why: &str| {
            format!("{label} is not compared, as {state} does not hold it: {}.", why.trim_end_matches('.'))
        };
        let (before, after) = match held {
            // Left out of both, for good reasons, or of the only one that has it.
            [Held::Unknown(_), Held::Unknown(_) | Held::Missing] | [Held::Missing, Held::Unknown(_)] => {
                return;
            }
            [Held::Missing, Held::Missing] => return,
            [Held::Unknown(why), Held::At(_)] => {
                self.notes.push(unknown(names.before, &why));
                return;
            }
            [Held::At(_), Held::Unknown(why)] => {
                self.notes.push(unknown(names.after, &why));
                return;
            }
            [Held::At(before), Held::At(after)] => (Some(before), Some(after)),
            [Held::At(before), Held::Missing] => {
                // What a container changed in its own file system goes with it, which is said already.
                if item.kind != ItemKind::Layer {
                    self.notes.push(format!("{label} is missing: {} does not have it.", names.after));
                }
                (Some(before), None)
            }
            [Held::Missing, Held::At(after)] => (None, Some(after)),
        };
        let path = |spot: &Option<Spot>| match spot {
            Some(Spot::Backup(path)) => Some(path.clone()),
            _ => None,
        };
        let before = path(&before);
        let Item { kind, name, destination, .. } = item;
        self.parts.push(Part { kind, name, destination, before: before.clone(), after: path(&after) });
        self.pairs.push(Pair { before, after });
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names { before: "the backup", after: "this machine" };

    fn piece(name: &str, destination: &str, held: Held) -> Piece {
        let item = Item {
            kind: ItemKind::Volume,
            name: name.to_owned(),
            path: format!("web/volumes/{name}"),
            destination: Some(destination.to_owned()),
            left_out: None,
        };
        Piece { item, bytes: 1, held, in_use: true }
    }

    fn saved(name: &str) -> Held {
        Held::At(Spot::Backup(InnerPath::default().join(name)))
    }

    fn here(place: usize) -> Held {
        Held::At(Spot::Host(place))
    }

    fn pairs(matched: &Matched) -> Vec<(Option<&str>, Option<usize>)> {
        let pair = |pair: &'_ Pair| match &pair.after {
            Some(Spot::Host(place)) => Some(*place),
            _ => None,
        };
        matched.pairs.iter().map(|it| (it.before.as_ref().map(InnerPath::as_str), pair(it))).collect()
    }

    #[test]
    fn a_part_is_known_by_its_name_and_else_by_its_place() {
        let before = || vec![piece("a", "/a", saved("a")), piece("old", "/data", saved("old"))];
        let is = vec![
            piece("new", "/data", here(0)),
            piece("a", "/elsewhere", here(1)),
            piece("c", "/c", here(2)),
        ];
        let found = matched(before(), is, &NAMES);
        assert_eq!(pairs(&found), [(Some("a"), Some(1)), (Some("old"), Some(0)), (None, Some(2))]);
        assert_eq!((found.notes.len(), found.bytes), (0, 2));

        // What the container does not use now is the other half of what it was, and no news.
        let unused = |name: &str, place| Piece { in_use: false, ..piece(name, "/x", here(place)) };
        let found = matched(before(), vec![unused("old", 0), unused("b", 1)], &NAMES);
        assert_eq!(pairs(&found), [(Some("a"), None), (Some("old"), Some(0))]);
        assert_eq!(found.notes, ["Volume a is missing: this machine does not have it."]);
    }

    #[test]
    fn what_a_state_does_not_hold_is_said_and_not_called_removed() {
        let unknown = || Held::Unknown("not chosen for this backup".to_owned());
        let before =
            vec![piece("a", "/a", saved("a")), piece("b", "/b", unknown()), piece("c", "/c", unknown())];
        let after = vec![piece("a", "/a", unknown()), piece("b", "/b", here(0)), piece("c", "/c", unknown())];
        let found = matched(before, after, &NAMES);
        assert_eq!((pairs(&found), found.bytes), (vec![], 0));
        let why = "does not hold it: not chosen for this backup.";
        let notes = [
            format!("Volume a is not compared, as this machine {why}"),
            format!("Volume b is not compared, as the backup {why}"),
        ];
        assert_eq!(found.notes, notes);
    }
}
