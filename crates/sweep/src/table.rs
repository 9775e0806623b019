use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use serde::Serialize;

use crate::{CompareError, configuration::compare_values};

/// What a CSV file holds, and a person reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The cells, row by row.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// The records in their order, each behind cells of its own under `keys`.
    pub(crate) fn of<R: Serialize>(keys: &[String], records: Vec<(Vec<String>, R)>) -> Self {
        let columns = records
            .first()
            .map(|(_, record)| names(record))
            .unwrap_or_default();
        Self {
            columns: keys.iter().cloned().chain(columns).collect(),
            rows: records
                .into_iter()
                .map(|(cells, record)| cells.into_iter().chain(values(&record)).collect())
                .collect(),
        }
    }

    /// Where a column stands.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// Sorts the rows by a column: numbers by size, an empty cell last.
    ///
    /// # Errors
    /// Where there is no such column.
    pub fn sort_by(&mut self, column: &str) -> Result<(), CompareError> {
        let index = self.column(column).ok_or_else(|| CompareError::NoSuchColumn {
            column: column.to_owned(),
            columns: self.columns.join(", "),
        })?;
        self.rows
            .sort_by(|a, b| match (a[index].is_empty(), b[index].is_empty()) {
                (false, false) => compare_values(&a[index], &b[index]),
                (a, b) => a.cmp(&b),
            });
        Ok(())
    }

    /// Writes the table as CSV, at once; the directory is made where it is not there.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), CompareError> {
        write_csv(path, |writer| {
            writer.write_record(&self.columns)?;
            self.rows.iter().try_for_each(|row| writer.write_record(row))
        })
    }
}

/// Writes a CSV file as it comes, to a temporary name that is synced and renamed: large ones never stand in memory.
pub(crate) fn write_csv(
    path: &Path,
    fill: impl FnOnce(&mut csv::Writer<&mut File>) -> csv::Result<()>,
) -> Result<(), CompareError> {
    write_streaming(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        fill(&mut writer)?;
        writer.flush()
    })
}

/// Writes a file as it comes, to a temporary name that is synced and renamed.
pub(crate) fn write_streaming(
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), CompareError> {
    let write = || {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::create_dir_all(directory)?;
        let mut file = tempfile::Builder::new()
            .prefix(".cupel-")
            .suffix(".tmp")
            .tempfile_in(directory)?;
        fill(file.as_file_mut())?;
        file.as_file_mut().flush()?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(CompareError::at(path))
}

/// The names of a record's fields.
pub(crate) fn names(record: &impl Serialize) -> Vec<String> {
    written(record, true)
}

/// The values of a record's fields, as CSV writes them.
pub(crate) fn values(record: &impl Serialize) -> Vec<String> {
    written(record, false)
}

/// A number as CSV has it; empty where there is none.
pub(crate) fn number(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn written(record: &impl Serialize, header: bool) -> Vec<String> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(header)
        .from_writer(Vec::new());
    // Writing a flat record to memory cannot fail.
    let _ = writer.serialize(record);
    let bytes = writer.into_inner().unwrap_or_default();
    let row = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(&bytes[..])
        .into_records()
        .next();
    row.and_then(Result::ok)
        .map(|row| row.iter().map(str::to_owned).collect())
        .unwrap_or_default()
}
