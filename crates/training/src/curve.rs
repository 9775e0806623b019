use std::{
    fs::{File, OpenOptions},
    io,
    marker::PhantomData,
    path::Path,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{CurveRow, records::write_atomically};

/// A row that belongs to a step.
pub(crate) trait AtStep {
    fn step(&self) -> u64;
}

impl AtStep for CurveRow {
    fn step(&self) -> u64 {
        self.step
    }
}

/// `curve.csv`.
pub(crate) type Curve = Rows<CurveRow>;

/// A CSV file of a run; rows are in the file when [`push`](Self::push) returns to its caller.
pub(crate) struct Rows<R> {
    writer: csv::Writer<File>,
    row: PhantomData<R>,
}

impl<R: AtStep + Serialize + DeserializeOwned> Rows<R> {
    /// Opens the rows of a run that stands before `step`: those of that step and later ones, which a killed run may
    /// have left, are dropped.
    pub(crate) fn open(path: &Path, step: u64) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows::<R>(path)?.iter().filter(|row| row.step() < step) {
            writer.serialize(row)?;
        }
        let kept = writer.into_inner().map_err(|error| error.into_error())?;
        write_atomically(path, &kept)?;
        let file = OpenOptions::new().append(true).open(path)?;
        let writer = csv::WriterBuilder::new()
            .has_headers(kept.is_empty())
            .from_writer(file);
        Ok(Self {
            writer,
            row: PhantomData,
        })
    }

    pub(crate) fn push(&mut self, rows: &[R]) -> io::Result<()> {
        for row in rows {
            self.writer.serialize(row)?;
        }
        self.writer.flush()
    }

    /// Has the disk hold every row, so that no checkpoint is ahead of its curve.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.writer.get_ref().sync_data()
    }
}

/// The rows of a curve, up to the first that a kill has cut short; none where there is no file.
///
/// # Errors
/// Where the file cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<CurveRow>> {
    rows(path)
}

/// As [`read`], of any file of rows.
pub(crate) fn rows<R: DeserializeOwned>(path: &Path) -> io::Result<Vec<R>> {
    match File::open(path) {
        Ok(file) => {
            let rows = csv::Reader::from_reader(file).into_deserialize();
            Ok(rows.map_while(Result::ok).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
