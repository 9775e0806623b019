use std::{
    io::{self, Write},
    path::Path,
};

use rayon::prelude::*;
use training::{CurveRow, read_curve};

use crate::{CompareError, found::Found, table};

/// Trials whose curves stand in memory at a time.
const AT_A_TIME: usize = 64;

/// Writes the curves of all trials, one after the other, each row behind its trial's name.
pub(crate) fn write(path: &Path, trials: &[Found]) -> Result<(), CompareError> {
    table::write_streaming(path, |file| {
        let header: Vec<String> = std::iter::once("trial".to_owned()).chain(columns()).collect();
        file.write_all(&csv_bytes(|writer| writer.write_record(&header))?)?;
        for trials in trials.chunks(AT_A_TIME) {
            let written: io::Result<Vec<Vec<u8>>> = trials.par_iter().map(rows).collect();
            for bytes in written? {
                file.write_all(&bytes)?;
            }
        }
        Ok(())
    })
}

fn rows(trial: &Found) -> io::Result<Vec<u8>> {
    let rows = read_curve(&trial.files.curve())?;
    csv_bytes(|writer| {
        rows.iter()
            .try_for_each(|row| writer.serialize((&trial.name, row)))
    })
}

/// The names of a curve's columns, where there is no row to ask.
fn columns() -> Vec<String> {
    let row: Result<CurveRow, _> = serde_json::from_str(r#"{"step": 0, "tokens": 0}"#);
    row.map(|row| table::names(&row)).unwrap_or_default()
}

fn csv_bytes(fill: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> csv::Result<()>) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(Vec::new());
    fill(&mut writer)?;
    writer.into_inner().map_err(|error| error.into_error())
}
