//! The audit log as a file, written while it is read.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use serde::Deserialize;

use super::pages::audit::entry;
use crate::{
    error::{AppError, Result, chain},
    model::audit::Record,
};

/// What kind of file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// For spreadsheets.
    #[default]
    Csv,
    /// As the API shows entries.
    Json,
}

impl Format {
    /// Its name's ending.
    pub(super) const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    /// Its content type.
    pub(super) const fn kind(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// Columns of the CSV file.
const COLUMNS: [&str; 10] =
    ["id", "time", "operation", "target", "status", "user", "address", "error", "details", "hash"];

/// The file's bytes. An error on the way breaks the connection off, so that nobody takes a part for the whole.
pub(super) fn write(
    batches: BoxStream<'static, Result<Vec<Record>>>,
    format: Format,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    let first = match format {
        Format::Csv => line(COLUMNS),
        Format::Json => b"{\"logs\":[".to_vec(),
    };
    let last: &[u8] = if format == Format::Json { b"\n]}\n" } else { b"" };
    let mut count = 0_u64;
    let middle = batches.map(move |batch| {
        let batch = batch.inspect_err(|error| {
            tracing::error!(error = chain(error), "the audit log's export broke off");
        });
        let mut bytes = Vec::new();
        for record in batch.map_err(|error: AppError| std::io::Error::other(error.to_string()))? {
            match format {
                Format::Csv => bytes.extend(row(&record)),
                Format::Json => {
                    bytes.extend_from_slice(if count == 0 { b"\n" } else { b",\n" });
                    bytes.extend_from_slice(entry(&record).to_string().as_bytes());
                }
            }
            count += 1;
        }
        Ok(Bytes::from(bytes))
    });
    let fixed = |bytes: Vec<u8>| stream::iter([Ok(Bytes::from(bytes))]);
    fixed(first).chain(middle).chain(fixed(last.to_vec()))
}

fn row(record: &Record) -> Vec<u8> {
    let id = record.id.to_string();
    let time = record.at.to_rfc3339();
    line([
        &id,
        &time,
        &record.operation,
        &record.target,
        &record.outcome,
        &record.actor,
        &record.address,
        record.error.as_deref().unwrap_or_default(),
        &record.details,
        &record.hash,
    ])
}

/// One line of CSV. What a spreadsheet would take for a formula gets an apostrophe in front: names of users who
/// tried to sign in stand here, too.
fn line<const N: usize>(cells: [&str; N]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let cells = cells.map(|cell| match cell.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{cell}"),
        _ => cell.to_owned(),
    });
    // Writing to memory does not fail.
    let _ = writer.write_record(&cells);
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_neither_a_formula_nor_two_cells() {
        let text = String::from_utf8(line(["=1+1", "a,\"b\"\nc", "plain", ""])).unwrap();
        assert_eq!(text, "'=1+1,\"a,\"\"b\"\"\nc\",plain,\n");
    }
}
