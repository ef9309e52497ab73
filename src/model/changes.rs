//! What is different between a backup and another one, or between a backup and what is on this machine now.

use serde::{Deserialize, Serialize};

use super::{
    backup::words,
    files::{Entry, InnerPath, Measure},
};

/// What happened to a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was not there before.
    Added,
    /// It is not what it was.
    Changed,
    /// It is not there any more.
    Removed,
}

words!(ChangeKind { Added => "added", Changed => "changed", Removed => "removed" });

/// In what something differs that is there before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// A file and a folder, for example.
    Type,
    /// The bytes of a file.
    Content,
    /// Where a link points to.
    Target,
    /// Permissions.
    Mode,
    /// User or group.
    Owner,
    /// Extended attributes.
    Attributes,
    /// Time of the last change, and the content is not known to differ.
    Time,
}

words!(Aspect {
    Type => "type",
    Content => "content",
    Target => "target",
    Mode => "mode",
    Owner => "owner",
    Attributes => "attributes",
    Time => "time",
});

/// A part of a container's data, such as a volume, in both states. Where it is in one only, all of it was added or
/// removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Path in the backup that was before.
    pub before: Option<InnerPath>,
    /// Where it is afterwards.
    pub after: Option<Spot>,
}

/// Where a part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// Path in the other backup.
    Backup(InnerPath),
    /// On this machine: the place in the list of paths that goes with it.
    Host(usize),
}

/// What is to be compared, and which of the changes are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The parts, in the order in which they are told.
    pub pairs: Vec<Pair>,
    /// Only these changes.
    pub kind: Option<ChangeKind>,
    /// Changes to pass over.
    pub offset: usize,
    /// Changes at most.
    pub limit: usize,
}

/// A file or folder in one of the two states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What it is.
    pub entry: Entry,
    /// How much is in it.
    pub measure: Measure,
}

/// A file or folder that is not the same. A folder that was added or removed stands for all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Which of the parts it is in.
    pub pair: usize,
    /// Path in that part; empty for the part itself.
    pub path: InnerPath,
    /// What happened.
    pub kind: ChangeKind,
    /// What was there.
    pub before: Option<State>,
    /// What is there.
    pub after: Option<State>,
    /// In what the two differ.
    pub aspects: Vec<Aspect>,
}

/// What changes of one kind come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sum {
    /// Rows in the list of changes.
    pub rows: usize,
    /// How much it was.
    pub before: Measure,
    /// How much it is.
    pub after: Measure,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// What is new.
    pub added: Sum,
    /// What is different.
    pub changed: Sum,
    /// What is gone.
    pub removed: Sum,
    /// The changes asked for, parts in their order, names in that of their bytes.
    pub rows: Vec<Change>,
    /// What could not be compared, a sentence each.
    pub problems: Vec<String>,
    /// Further problems that are only counted.
    pub more_problems: u64,
}

impl Changes {
    /// Those of one kind.
    pub const fn of(&self, kind: ChangeKind) -> &Sum {
        match kind {
            ChangeKind::Added => &self.added,
            ChangeKind::Changed => &self.changed,
            ChangeKind::Removed => &self.removed,
        }
    }

    /// How many changes there are, of one kind or of all.
    pub const fn count(&self, kind: Option<ChangeKind>) -> usize {
        match kind {
            Some(kind) => self.of(kind).rows,
            None => self.added.rows + self.changed.rows + self.removed.rows,
        }
    }

    /// What `bytes` before came to afterwards.
    pub fn bytes_after(&self, bytes: u64) -> u64 {
        let sums = [self.added, self.changed, self.removed];
        let (more, less) = sums
            .iter()
            .fold((bytes, 0), |(more, less), sum| (more + sum.after.bytes, less + sum.before.bytes));
        more.saturating_sub(less)
    }
}
