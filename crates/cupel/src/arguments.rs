use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use model::Sampling;
use training::{DeviceName, config::Node};

/// Trains GPT-2-style language models, sweeps their recipes, and compares them.
#[derive(Debug, Parser)]
#[command(name = "cupel", version = training::VERSION, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train one recipe; a directory that holds an unfinished run of it goes on from its newest checkpoint.
    Train(TrainArguments),
    /// Run every trial of a sweep that is not finished, and compare them.
    Sweep(SweepArguments),
    /// Rebuild the CSVs of results directories from their trials, and print the table.
    Compare(CompareArguments),
    /// Compare the same sweep in two results directories, of two commits, machines or backends: what moved beyond the noise.
    Diff(DiffArguments),
    /// Find a learning rate for a recipe: a short run with a rising one, and where its loss falls.
    LrFind(LrFindArguments),
    /// Write on from a prompt with a trained model, token by token.
    Generate(GenerateArguments),
    /// Check which devices this build and this machine have, and what is missing.
    Devices,
    /// List what recipes can name.
    List(ListArguments),
    /// Show what a recipe means.
    Show(ShowArguments),
    /// Print the JSON Schema of recipe or sweep files, with which editors complete and check them.
    Schema(SchemaArguments),
}

#[derive(Debug, Args)]
pub struct TrainArguments {
    /// The recipe, a TOML file.
    pub recipe: PathBuf,
    /// Set a key of the recipe, such as schedule.lr=3e-4; may be repeated.
    ///
    /// A trial under way takes another training.steps, log_every, checkpoint_every, keep_last or keep_every from here.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// flex, libtorch or libtorch:cuda:N.
    #[arg(long, default_value_t)]
    pub device: DeviceName,
    /// The directory of the trial [default: results/ and the recipe file's name].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SweepArguments {
    /// The sweep, a TOML file.
    pub sweep: PathBuf,
    /// Set a key of the base recipe, such as training.steps=100; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// flex, libtorch or libtorch:cuda:N.
    #[arg(long, default_value_t)]
    pub device: DeviceName,
    /// Trials at a time, which share the cores [default: half the cores, at least 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// The results directory [default: results/ and the sweep's name].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print the plan, every trial and what it costs, and run nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct CompareArguments {
    /// Results directories.
    #[arg(required = true, value_name = "DIR")]
    pub directories: Vec<PathBuf>,
    /// The column to sort the table by.
    #[arg(long, value_name = "COLUMN", default_value = "rank")]
    pub sort: String,
    /// A validation loss: print, and write as target.csv, the steps, tokens and seconds that each configuration took to it.
    #[arg(long, value_name = "LOSS")]
    pub target: Vec<f64>,
    /// Score the configurations over the directories, each a workload with a --target of its own, or one for all.
    #[arg(long, value_enum, requires = "target")]
    pub protocol: Option<Protocol>,
    /// Where a protocol's CSVs go.
    #[arg(
        long,
        value_name = "DIR",
        default_value = "results/algoperf",
        requires = "protocol"
    )]
    pub out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Protocol {
    /// Time to the target, and performance profiles over the workloads, as AlgoPerf scores submissions.
    Algoperf,
}

#[derive(Debug, Args)]
pub struct DiffArguments {
    /// A results directory.
    #[arg(value_name = "DIR_A")]
    pub a: PathBuf,
    /// Another one.
    #[arg(value_name = "DIR_B")]
    pub b: PathBuf,
    /// The directory of diff.csv [default: results/diff- and the names of both].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct LrFindArguments {
    /// The recipe, a TOML file.
    pub recipe: PathBuf,
    /// Set a key of the recipe, such as optimizer.name=lion; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// flex, libtorch or libtorch:cuda:N.
    #[arg(long, default_value_t)]
    pub device: DeviceName,
    /// The first learning rate.
    #[arg(long, value_name = "LR", default_value_t = 1e-6, value_parser = learning_rate)]
    pub from: f64,
    /// The last learning rate, if the loss has not diverged before.
    #[arg(long, value_name = "LR", default_value_t = 1.0, value_parser = learning_rate)]
    pub to: f64,
    /// Steps from the first to the last.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u64).range(20..))]
    pub steps: u64,
    /// The directory of lr-find.csv [default: results/ and the recipe file's name with -lr-find].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct GenerateArguments {
    /// A checkpoint, such as results/x/checkpoints/best, or a trial's directory, which means its best one.
    pub checkpoint: PathBuf,
    /// The text to go on from.
    #[arg(long, value_name = "TEXT")]
    pub prompt: String,
    /// What logits are divided by before a token is drawn; 0 takes the most likely token.
    #[arg(long, value_name = "T", default_value_t = Sampling::default().temperature)]
    pub temperature: f64,
    /// Draw among the K most likely tokens [default: among all].
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Draw among the fewest most likely tokens whose probabilities sum to P.
    #[arg(long, value_name = "P", default_value_t = Sampling::default().top_p)]
    pub top_p: f64,
    /// How many tokens to write.
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub tokens: usize,
    /// What tokens are drawn with; the same seed writes the same text.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// flex, libtorch or libtorch:cuda:N.
    #[arg(long, default_value_t)]
    pub device: DeviceName,
}

#[derive(Debug, Args)]
pub struct ListArguments {
    /// What to list.
    pub what: Catalogue,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Catalogue {
    /// Every optimizer, its hyper-parameters and their defaults.
    Optimizers,
}

#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// Of which files.
    pub of: FileKind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FileKind {
    /// Recipes, such as `cupel train` takes.
    Recipe,
    /// Sweeps, such as `cupel sweep` takes.
    Sweep,
}

#[derive(Debug, Args)]
pub struct ShowArguments {
    #[command(subcommand)]
    pub what: Show,
}

#[derive(Debug, Subcommand)]
pub enum Show {
    /// Draw the learning rate over the steps, and write it as CSV.
    Schedule(ShowScheduleArguments),
}

#[derive(Debug, Args)]
pub struct ShowScheduleArguments {
    /// The recipe, a TOML file.
    pub recipe: PathBuf,
    /// Set a key of the recipe, such as schedule.name=wsd; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The CSV file [default: schedule.csv in results/ and the recipe file's name].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Parses every `--set`.
pub fn assignments(set: &[String]) -> miette::Result<Vec<Node>> {
    set.iter().map(|text| Ok(Node::parse_assignment(text)?)).collect()
}

/// A positive number.
fn learning_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(lr) if f64::is_finite(lr) && lr > 0.0 => Ok(lr),
        _ => Err("a learning rate is a number above 0".to_owned()),
    }
}
