//! Everything that was measured, as CSV and as a table.

use std::{env, fs, path::Path};

use clap::ValueEnum;
use comfy_table::{Table, presets::ASCII_MARKDOWN};
use serde::Serialize;
use serde_json::json;

use super::{
    peer::Peer, peers::Sitting, statistics::Summary, summary::SummaryRow, turns::Comparison, workload::Shape,
};
use crate::error::Error;

/// A row of `throughput.csv`: one peer in one comparison; the ratios are medians of ratios of the same alternation.
#[derive(Debug, Default, Serialize)]
struct ThroughputRow {
    shape: Option<Shape>,
    dropout: f64,
    peer: Option<Peer>,
    parameters: usize,
    tokens_per_step: usize,
    tokens_per_second: Option<f64>,
    lower_quartile: Option<f64>,
    upper_quartile: Option<f64>,
    over_eager: Option<f64>,
    over_eager_lower_quartile: Option<f64>,
    over_eager_upper_quartile: Option<f64>,
    over_compile: Option<f64>,
    mfu: Option<f64>,
    peak_memory: Option<u64>,
    peak_memory_over_eager: Option<f64>,
    /// Why there are no numbers.
    absent: String,
}

/// A row of `turns.csv`.
#[derive(Serialize)]
struct TurnRow {
    shape: Shape,
    dropout: f64,
    alternation: usize,
    peer: Peer,
    steps: usize,
    seconds: f64,
}

/// A row of `losses.csv`: the losses by which the peers agree.
#[derive(Serialize)]
struct LossRow {
    shape: Shape,
    peer: Peer,
    step: usize,
    loss: f64,
}

/// A row of `machine.csv`.
#[derive(Serialize)]
struct MachineRow {
    round: usize,
    by: &'static str,
    sgemm_flops: f64,
    copy_bytes_per_second: f64,
    adamw_seconds: f64,
}

impl ThroughputRow {
    fn new(comparison: &Comparison, peer: Peer, sgemm: f64) -> Self {
        let row = Self {
            shape: Some(comparison.shape),
            dropout: comparison.dropout,
            peer: Some(peer),
            parameters: comparison.workload.parameters,
            tokens_per_step: comparison.workload.tokens_per_step(),
            ..Self::default()
        };
        let (Some(result), Some(samples)) = (comparison.result(peer), comparison.tokens_per_second(peer))
        else {
            let reason = comparison.absent.iter().find(|(absent, _)| *absent == peer);
            let absent = reason.map(|(_, reason)| reason.clone()).unwrap_or_default();
            return Self { absent, ..row };
        };
        let over = |other| Summary::of_ratios(&samples, &comparison.tokens_per_second(other)?);
        let eager = comparison.result(Peer::PytorchEager);
        let eager_memory = eager.and_then(|eager| eager.peak_memory);
        let (own, over_eager) = (Summary::of(&samples), over(Peer::PytorchEager));
        Self {
            tokens_per_second: own.map(|own| own.median),
            lower_quartile: own.map(|own| own.lower_quartile),
            upper_quartile: own.map(|own| own.upper_quartile),
            over_eager: over_eager.map(|over| over.median),
            over_eager_lower_quartile: over_eager.map(|over| over.lower_quartile),
            over_eager_upper_quartile: over_eager.map(|over| over.upper_quartile),
            over_compile: over(Peer::PytorchCompile).map(|over| over.median),
            mfu: own.map(|own| own.median * comparison.workload.flops_per_token() / sgemm),
            peak_memory: result.peak_memory,
            peak_memory_over_eager: result
                .peak_memory
                .zip(eager_memory)
                .map(|(memory, eager)| memory as f64 / eager as f64),
            ..row
        }
    }
}

fn throughput_rows(sitting: &Sitting) -> impl Iterator<Item = ThroughputRow> {
    let sgemm = sitting.machine.sgemm;
    sitting.comparisons.iter().flat_map(move |comparison| {
        let took_part = |peer: &Peer| {
            comparison.result(*peer).is_some() || comparison.absent.iter().any(|(absent, _)| absent == peer)
        };
        let peers = Peer::value_variants().iter().copied().filter(took_part);
        peers
            .map(|peer| ThroughputRow::new(comparison, peer, sgemm))
            .collect::<Vec<_>>()
    })
}

/// The table of all peers, as a person reads it.
pub fn throughput_table(sitting: &Sitting) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "shape",
        "dropout",
        "peer",
        "tokens/s",
        "quartiles",
        "/ eager",
        "/ compile",
        "MFU",
        "MB",
    ]);
    let ratio = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    for row in throughput_rows(sitting) {
        let Some((own, (lower, upper))) = row
            .tokens_per_second
            .zip(row.lower_quartile.zip(row.upper_quartile))
        else {
            table.add_row([
                row.shape.map(|shape| shape.to_string()).unwrap_or_default(),
                row.dropout.to_string(),
                row.peer.map(|peer| peer.to_string()).unwrap_or_default(),
                "cannot run here".to_owned(),
                row.absent.lines().next().unwrap_or_default().to_owned(),
            ]);
            continue;
        };
        table.add_row([
            row.shape.map(|shape| shape.to_string()).unwrap_or_default(),
            row.dropout.to_string(),
            row.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            format!("{own:.0}"),
            format!("{lower:.0} to {upper:.0}"),
            ratio(row.over_eager),
            ratio(row.over_compile),
            ratio(row.mfu),
            row.peak_memory
                .map(|bytes| format!("{:.0}", bytes as f64 / 1e6))
                .unwrap_or_default(),
        ]);
    }
    table
}

/// Writes all CSVs and `provenance.json`.
pub fn write(out: &Path, sitting: &Sitting, goals: &[SummaryRow]) -> Result<(), Error> {
    fs::create_dir_all(out).map_err(Error::file("create", out))?;
    let comparisons = &sitting.comparisons;
    write_csv(&out.join("summary.csv"), goals)?;
    write_csv(&out.join("throughput.csv"), throughput_rows(sitting))?;
    write_csv(&out.join("turns.csv"), comparisons.iter().flat_map(turn_rows))?;
    write_csv(
        &out.join("losses.csv"),
        comparisons
            .iter()
            .filter(|comparison| comparison.dropout == 0.0)
            .flat_map(loss_rows),
    )?;
    let rounds = sitting.machine.rounds.iter().enumerate();
    let machine = rounds.flat_map(|(round, by)| {
        [("cupel", by[0]), ("pytorch", by[1])].map(|(by, measured)| MachineRow {
            round,
            by,
            sgemm_flops: measured.sgemm,
            copy_bytes_per_second: measured.copy,
            adamw_seconds: measured.adamw,
        })
    });
    write_csv(&out.join("machine.csv"), machine)?;

    let [cupel, pytorch] = &sitting.machine.versions;
    let provenance = json!({
        "cupel": cupel["cupel"],
        "burn": cupel["burn"],
        "pytorch": pytorch["pytorch"],
        "python": pytorch["python"],
        "machine": cupel["machine"],
        "threads": sitting.threads,
        "sgemm_flops": sitting.machine.sgemm,
        "command": env::args().skip(1).collect::<Vec<_>>(),
        "finished": jiff::Timestamp::now(),
    });
    let path = out.join("provenance.json");
    fs::write(&path, format!("{provenance:#}\n")).map_err(Error::file("write", &path))?;
    println!("in {}", out.display());
    Ok(())
}

fn turn_rows(comparison: &Comparison) -> impl Iterator<Item = TurnRow> {
    comparison.results.iter().flat_map(|result| {
        let seconds = result.seconds.iter().enumerate();
        seconds.map(|(alternation, &seconds)| TurnRow {
            shape: comparison.shape,
            dropout: comparison.dropout,
            alternation,
            peer: result.peer,
            steps: comparison.steps,
            seconds,
        })
    })
}

fn loss_rows(comparison: &Comparison) -> impl Iterator<Item = LossRow> {
    comparison.losses.iter().flat_map(|(peer, losses)| {
        let losses = losses.iter().enumerate();
        losses.map(|(step, &loss)| LossRow {
            shape: comparison.shape,
            peer: *peer,
            step,
            loss,
        })
    })
}

/// Writes rows with a header.
pub fn write_csv<R: Serialize>(path: &Path, rows: impl IntoIterator<Item = R>) -> Result<(), Error> {
    let write = || -> csv::Result<()> {
        let mut writer = csv::Writer::from_path(path)?;
        for row in rows {
            writer.serialize(row)?;
        }
        writer.flush()?;
        Ok(())
    };
    write().map_err(|cause| Error::File {
        doing: "write",
        path: path.to_owned(),
        cause: cause.into(),
    })
}
