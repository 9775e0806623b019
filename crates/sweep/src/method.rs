use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[method]` table of a sweep file: which points of the axes' space become trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Method {
    /// Every combination of the axes' values, the last axis fastest.
    Grid,
    /// The trials of `[[trials]]`, as they are spelt out.
    List,
    /// The base, then every value of every axis, all other keys as the base has them.
    OneAtATime,
    /// Points drawn at random, each by itself (Bergstra & Bengio 2012).
    Random(Draw),
    /// The Sobol sequence, shifted at random: the first 2^k points have one in each of 2^k equal parts of every axis.
    Sobol(Draw),
    /// The Halton sequence, shifted at random: any number of points is spread evenly over every axis.
    Halton(Draw),
    /// Points proposed from the losses of those before them: the tree-structured Parzen estimator (Bergstra et al. 2011).
    Tpe(Search),
}

/// How many points are drawn, and from which seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Draw {
    /// Points, each of them run with every one of `seeds`. A point that is skipped, or stands twice, is passed over for the
    /// next.
    #[schemars(range(min = 1))]
    pub points: usize,
    /// What the points are drawn from; more points go on from where fewer end.
    #[serde(default)]
    pub seed: u64,
}

/// A search that learns from its own trials.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Search {
    /// Points, each of them run with every one of `seeds`.
    #[schemars(range(min = 1))]
    pub points: usize,
    /// What the points are drawn from.
    #[serde(default)]
    pub seed: u64,
    /// Points drawn at random before any is proposed.
    #[serde(default = "startup")]
    #[schemars(range(min = 1))]
    pub startup: usize,
    /// Points proposed at a time: all before them are finished, and they can run side by side.
    #[serde(default = "batch")]
    #[schemars(range(min = 1))]
    pub batch: usize,
}

/// Optuna's.
fn startup() -> usize {
    10
}

fn batch() -> usize {
    4
}
