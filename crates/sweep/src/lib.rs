//! Sweeps: a file becomes a plan, the plan becomes trials, each a process of its own, and the trials become CSVs.
//!
//! [`SweepFile`] reads the file, [`Plan`] spells every trial out, [`run()`] runs those that have no result yet,
//! [`run_sweep()`] goes on for as long as the method proposes more, and [`compare()`] rebuilds the CSVs from what the
//! trials left on disk.

mod compare;
mod configuration;
mod expression;
mod file;
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
mod tpe;

pub use compare::{CompareError, Comparison, compare};
pub use file::SweepFile;
pub use history::History;
pub use id::TrialId;
pub use method::{Draw, Method, Search};
pub use plan::{Plan, Trial};
pub use process::Ending;
pub use provenance::{Machine, Provenance};
pub use records::{ComparisonRow, Failure, TrialRow, TrialStatus};
pub use results::ResultsFiles;
pub use run::{Observer, RunOptions, Summary, SweepError, run};
pub use schema::sweep_schema;
pub use search::run_sweep;
