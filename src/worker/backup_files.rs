//! Looks at files of a backup, as `files` does at those of a volume. Paths go down the backup's own tree, in which
//! nothing leads up or out.

use std::{
    io::{Read, Write},
    path::PathBuf,
};

use super::{
    files::{Opened, Pieces, answer, failure, finish, shown, text, unreadable, wrong_kind},
    order::{After, Failure, FailureKind, Glance, Look, Seen},
};
use crate::{
    model::{
        files::{EntryKind, Excerpt, InnerPath, StreamHead, decode},
        vault::Access,
    },
    vault::{Browser, Comparison, Found, Vault},
};

/// Opens the vault and finds the backup.
pub(super) fn open(vault: Option<&Access>, backup: &str) -> Result<Browser, Failure> {
    Ok(open_vault(vault)?.browse(backup)?)
}

/// The same for a backup and what it is compared with.
pub(super) fn open_two(vault: Option<&Access>, before: &str, after: After) -> Result<Opened, Failure> {
    let vault = open_vault(vault)?;
    Ok(match after {
        After::Backup(id) => Opened::Comparison(Box::new(vault.compare(before, Some(&id))?), Vec::new()),
        After::Now(sources) => Opened::Comparison(Box::new(vault.compare(before, None)?), sources),
    })
}

fn open_vault(vault: Option<&Access>) -> Result<Vault, Failure> {
    let no_vault =
        || failure(FailureKind::Worker, "The order names no vault.".to_owned(), &"a backup without a vault");
    Ok(Vault::open(vault.ok_or_else(no_vault)?)?)
}

/// Says what differs.
pub(super) fn compare(comparison: &Comparison, sources: &[PathBuf], glance: &Glance) -> Result<(), Failure> {
    let Look::Compare(wanted) = &glance.look else { return Err(not_compared()) };
    answer(Seen::Changes(comparison.changes(sources, wanted)?));
    Ok(())
}

fn not_compared() -> Failure {
    let message = "Files of one backup are looked at, those of two are compared.".to_owned();
    failure(FailureKind::Worker, message, &"")
}

/// Does one look.
pub(super) fn answer_to(browser: &Browser, glance: &Glance) -> Result<(), Failure> {
    let path = &glance.path;
    let missing = || failure(FailureKind::FileMissing, format!("{} in this backup", shown(path)), &"");
    let found = browser.find(path)?.ok_or_else(missing)?;
    let kind = found.entry().kind;
    match &glance.look {
        Look::List(_) if kind != EntryKind::Dir => return Err(wrong_kind(path, kind, "a folder")),
        Look::List(window) => answer(Seen::Listing(browser.list(&found, *window)?)),
        Look::Measure => answer(Seen::Measured { entry: found.entry(), measure: browser.measure(&found)? }),
        Look::Compare(_) => return Err(not_compared()),
        Look::Archive { compression, last } => {
            answer(Seen::Stream(StreamHead { size: None, part: None, ..head(browser, &found) }));
            let packed = Pieces::begin().and_then(|out| browser.archive(out, *compression, *last));
            finish(packed.and_then(Pieces::end));
        }
        Look::Send { prefix, .. } if kind == EntryKind::Dir => {
            answer(Seen::Stream(StreamHead { size: None, part: None, ..head(browser, &found) }));
            let packed = Pieces::begin().and_then(|out| browser.pack(&found, &decode(prefix), out));
            finish(packed.and_then(Pieces::end));
        }
        _ if kind != EntryKind::File => return Err(wrong_kind(path, kind, "a file")),
        Look::Read { limit } => answer(Seen::Excerpt(read(browser, &found, path, *limit)?)),
        Look::Send { range, if_tag, .. } => {
            let mut head = head(browser, &found);
            if let Some(range) = range.filter(|_| if_tag.as_ref().is_none_or(|tag| *tag == head.tag)) {
                head.part = range.within(head.size.unwrap_or(0));
                head.partial = true;
            }
            let (start, length) = head.part.unwrap_or((0, 0));
            let content = browser.reader(&found, start)?;
            answer(Seen::Stream(head));
            finish(copy(content.take(length), length));
        }
    }
    Ok(())
}

fn head(browser: &Browser, found: &Found) -> StreamHead {
    let entry = found.entry();
    StreamHead {
        size: Some(entry.size),
        part: Some((0, entry.size)),
        partial: false,
        tag: browser.tag(),
        modified: entry.modified,
    }
}

fn read(browser: &Browser, found: &Found, path: &InnerPath, limit: u64) -> Result<Excerpt, Failure> {
    let mut bytes = Vec::new();
    let read = browser.reader(found, 0)?.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(path, &error))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let truncated = bytes.len() > limit;
    bytes.truncate(limit);
    let (content, utf8) = text(&bytes, truncated);
    Ok(Excerpt { entry: found.entry(), content, utf8, truncated })
}

fn copy(mut content: impl Read, length: u64) -> std::io::Result<()> {
    let mut out = Pieces::begin()?;
    if std::io::copy(&mut content, &mut out)? < length {
        return Err(std::io::Error::other("the file is shorter in the vault than its entry says"));
    }
    out.flush()?;
    out.end()
}
