//! Sweeps: a file becomes a plan, the plan becomes trials, each a process of its own, and the trials become CSVs.
//!
//! [`SweepFile`] reads the file, [`Plan`] spells every trial out, [`run()`] runs those that have no result yet,
//! [`run_sweep()`] goes on for as long as the method proposes more, and [`compare()`] rebuilds the CSVs from what the
//! trials left on disk.

mod algoperf;
mod compare;
mod configuration;
mod curves;
mod diff;
mod effects;
mod expression;
mod file;
mod found;
mod groups;
mod history;
mod id;
mod keys;
mod method;
mod plan;
mod planner;
mod process;
mod provenance;
mod records;
mod results;
mod run;
mod schema;
mod search;
mod sequence;
mod space;
pub mod statistics;
mod table;
mod target;
mod tpe;

pub use algoperf::{Algoperf, algoperf};
pub use compare::{CompareError, Comparison, compare};
pub use diff::{Diff, DiffRow, Test, Verdict, diff};
pub use file::SweepFile;
pub use history::History;
pub use id::TrialId;
pub use method::{Draw, Method, Search};
pub use plan::{Plan, Trial};
pub use process::Ending;
pub use provenance::{Machine, Provenance};
pub use records::{ComparisonRow, EffectRow, Failure, TargetRow, TrialRow, TrialStatus};
pub use results::ResultsFiles;
pub use run::{Observer, RunOptions, Summary, SweepError, run};
pub use schema::sweep_schema;
pub use search::run_sweep;
pub use table::Table;
pub use target::{ToTarget, to_target};
