//! The figures that have a goal, each beside it.

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use serde::Serialize;

use super::{peer::Peer, peers::Sitting, statistics::Summary, turns::Comparison, workload::Shape};

/// What a figure is of.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// Tokens a second of one peer over another's.
    Throughput(Peer, Peer),
    /// FLOP/s in training over those of the machine's fastest product.
    Mfu(Peer),
    /// Peak memory of one peer over another's.
    Memory(Peer, Peer),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn reached(self, value: f64) -> bool {
        match self {
            Self::AtLeast(goal) => value >= goal,
            Self::AtMost(goal) => value <= goal,
        }
    }
}

use Goal::{AtLeast, AtMost};
use Peer::{FlexFused, FlexFusedBf16, LibtorchFused, PytorchCompile, PytorchEager};

/// Every figure of a comparison that has a goal, with the shapes that it has one for.
const GOALS: [(Figure, &[Shape], Goal); 8] = [
    (
        Figure::Throughput(FlexFused, PytorchEager),
        &[Shape::NanogptCpu],
        AtLeast(1.6),
    ),
    (
        Figure::Throughput(FlexFused, PytorchCompile),
        &[Shape::NanogptCpu],
        AtLeast(1.4),
    ),
    (
        Figure::Throughput(FlexFusedBf16, PytorchEager),
        &[Shape::NanogptCpu],
        AtLeast(2.2),
    ),
    (
        Figure::Throughput(FlexFused, PytorchEager),
        &[Shape::Small],
        AtLeast(1.3),
    ),
    (
        Figure::Throughput(FlexFused, PytorchEager),
        &[Shape::Gpt2_124m],
        AtLeast(1.1),
    ),
    (Figure::Throughput(LibtorchFused, PytorchEager), ALL, AtLeast(1.1)),
    (Figure::Mfu(FlexFused), ALL, AtLeast(0.7)),
    (Figure::Memory(FlexFused, PytorchEager), ALL, AtMost(0.8)),
];

const ALL: &[Shape] = &[Shape::NanogptCpu, Shape::Small, Shape::Gpt2_124m];

const ADAMW: Goal = AtLeast(0.7);
const START: Goal = AtMost(0.3);

impl Figure {
    fn of(self, comparison: &Comparison, sgemm: f64) -> Option<Summary> {
        match self {
            Self::Throughput(of, to) => Summary::of_ratios(
                &comparison.tokens_per_second(of)?,
                &comparison.tokens_per_second(to)?,
            ),
            Self::Mfu(peer) => {
                let tokens_per_second = Summary::of(&comparison.tokens_per_second(peer)?)?;
                Some(tokens_per_second.scaled(comparison.workload.flops_per_token() / sgemm))
            }
            Self::Memory(of, to) => {
                let memory = |peer| Some(comparison.result(peer)?.peak_memory? as f64);
                Some(Summary::exactly(memory(of)? / memory(to)?))
            }
        }
    }

    fn name(self) -> String {
        match self {
            Self::Throughput(of, to) => format!("tokens/s, {of} / {to}"),
            Self::Mfu(peer) => format!("MFU of {peer}, against the machine's own sgemm"),
            Self::Memory(of, to) => format!("peak memory, {of} / {to}"),
        }
    }
}

/// A row of `summary.csv`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SummaryRow {
    figure: String,
    shape: Option<Shape>,
    dropout: Option<f64>,
    median: f64,
    lower_quartile: f64,
    upper_quartile: f64,
    /// `>= 1.6`
    goal: String,
    reached: bool,
}

impl SummaryRow {
    fn new(figure: String, at: Option<&Comparison>, summary: Summary, goal: Goal) -> Self {
        Self {
            figure,
            shape: at.map(|comparison| comparison.shape),
            dropout: at.map(|comparison| comparison.dropout),
            median: summary.median,
            lower_quartile: summary.lower_quartile,
            upper_quartile: summary.upper_quartile,
            goal: match goal {
                AtLeast(goal) => format!(">= {goal}"),
                AtMost(goal) => format!("<= {goal}"),
            },
            reached: goal.reached(summary.median),
        }
    }
}

/// Every figure with a goal that the sitting has measured.
pub fn rows(sitting: &Sitting) -> Vec<SummaryRow> {
    let mut rows = Vec::new();
    for (figure, shapes, goal) in GOALS {
        for &shape in Shape::value_variants()
            .iter()
            .filter(|shape| shapes.contains(shape))
        {
            let comparisons = sitting
                .comparisons
                .iter()
                .filter(|comparison| comparison.shape == shape);
            rows.extend(comparisons.filter_map(|comparison| {
                let summary = figure.of(comparison, sitting.machine.sgemm)?;
                Some(SummaryRow::new(figure.name(), Some(comparison), summary, goal))
            }));
        }
    }
    if let Some(summary) = sitting.machine.adamw_over_copy(0) {
        let figure = "bandwidth of AdamW on 124M parameters / of a memory copy".to_owned();
        rows.push(SummaryRow::new(figure, None, summary, ADAMW));
    }
    let figure = "seconds from the start of `cupel train` to its first step".to_owned();
    rows.push(SummaryRow::new(figure, None, sitting.start, START));
    rows
}

/// The rows as a person reads them.
pub fn table(rows: &[SummaryRow]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "figure",
        "shape",
        "dropout",
        "median",
        "quartiles",
        "goal",
        "reached",
    ]);
    for row in rows {
        table.add_row([
            row.figure.clone(),
            row.shape.map(|shape| shape.to_string()).unwrap_or_default(),
            row.dropout.map(|dropout| dropout.to_string()).unwrap_or_default(),
            format!("{:.2}", row.median),
            format!("{:.2} to {:.2}", row.lower_quartile, row.upper_quartile),
            row.goal.clone(),
            if row.reached { "yes" } else { "no" }.to_owned(),
        ]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
