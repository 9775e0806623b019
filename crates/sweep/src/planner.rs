//! From points to trials.

use std::{borrow::Cow, collections::HashMap};

use rayon::prelude::*;
use training::{
    Draft, RecipeHasher,
    config::{ConfigError, Node, NodeKind},
};

use crate::{
    History, Method, SweepFile, Trial, TrialId,
    keys::SEED,
    method::Search,
    plan::display,
    sequence::Sequence,
    space::{Point, Space},
    tpe::Estimator,
};

/// Points that are made into trials one after the other, by one thread.
const BLOCK: usize = 128;
/// Points that are made into trials at a time, by all threads.
const BLOCKS: usize = 64 * BLOCK;
/// For each point that is wanted, how many are tried where many are skipped or stand twice.
const TRIES: u64 = 100;

/// Trials for which room is made at once.
const MOST_RESERVED: usize = 1 << 18;

/// The trials of a sweep in the making.
pub(crate) struct Planner<'a> {
    file: &'a SweepFile,
    base: Draft,
    trials: Vec<Trial>,
    /// Each trial's place, by its hash.
    seen: HashMap<String, usize>,
    skipped: usize,
}

/// What one thread goes from point to point with: what does not change between them is not done again.
struct Worker {
    draft: Draft,
    hasher: RecipeHasher,
}

/// What becomes of a point.
enum Outcome {
    /// A trial for each seed.
    Trials(Vec<Trial>),
    /// A condition of `skip` holds.
    Skipped,
}

impl<'a> Planner<'a> {
    pub fn new(file: &'a SweepFile) -> Result<Self, ConfigError> {
        Ok(Self {
            file,
            base: Draft::new(file.base.clone())?,
            trials: Vec::new(),
            seen: HashMap::new(),
            skipped: 0,
        })
    }

    /// Adds the points of a space that the method takes; gives how many are still to come.
    pub fn add(&mut self, space: &Space, history: &History) -> Result<usize, ConfigError> {
        let width = space.axes.len();
        match &self.file.method {
            Method::Grid | Method::List => self.every(space.grid_len(), &|i| space.grid_point(i), true)?,
            Method::OneAtATime => {
                self.every(
                    space.one_at_a_time_len(),
                    &|i| space.one_at_a_time_point(i),
                    false,
                )?;
            }
            Method::Random(draw) => self.draw(space, draw.points, &Sequence::random(draw.seed, width))?,
            Method::Sobol(draw) => self.draw(space, draw.points, &Sequence::sobol(draw.seed, width))?,
            Method::Halton(draw) => self.draw(space, draw.points, &Sequence::halton(draw.seed, width))?,
            Method::Tpe(search) => return self.search(space, search, history),
        }
        Ok(0)
    }

    /// The trials, and how many points were skipped.
    pub fn finish(self) -> Result<(Vec<Trial>, usize), ConfigError> {
        match self.file.skip.first() {
            Some(skip) if self.trials.is_empty() => {
                Err(skip.error("no point of the sweep is left", "every one is skipped"))
            }
            _ => Ok((self.trials, self.skipped)),
        }
    }

    /// Adds `count` points. Where one stands twice, that is a mistake, or it is passed over.
    fn every<'p>(
        &mut self,
        count: usize,
        point: &(dyn Fn(usize) -> Point<'p> + Sync),
        twice_is_a_mistake: bool,
    ) -> Result<(), ConfigError> {
        self.reserve(count);
        for start in (0..count).step_by(BLOCKS) {
            let indices = start..count.min(start + BLOCKS);
            for (index, outcome) in indices.clone().zip(self.outcomes(indices, point)) {
                if let Err(again) = self.push(outcome?)
                    && twice_is_a_mistake
                {
                    return Err(self.same(&again, &point(index)));
                }
            }
        }
        Ok(())
    }

    /// Adds the first `points` points of a sequence that are neither skipped nor there already, if there are as many.
    fn draw(&mut self, space: &Space, points: usize, sequence: &Sequence) -> Result<(), ConfigError> {
        self.reserve(points);
        let last = (points as u64).saturating_mul(TRIES);
        let (mut found, mut next) = (0, 0);
        while found < points && next < last {
            // As many as are wanted at least, so that few wanted ones are not sought one by one.
            let tried = (points - found).clamp(BLOCK, BLOCKS) as u64;
            let indices = next as usize..(next + tried).min(last) as usize;
            next = indices.end as u64;
            for outcome in self.outcomes(indices, &|i| space.point(&sequence.point(i as u64))) {
                if found < points && self.push(outcome?).is_ok_and(|trials| trials > 0) {
                    found += 1;
                }
            }
        }
        Ok(())
    }

    /// Adds points that are drawn at random, and while all of them have their results, points that are proposed from
    /// these, a batch at a time. Gives how many are still to come.
    fn search(&mut self, space: &Space, search: &Search, history: &History) -> Result<usize, ConfigError> {
        let random = Sequence::random(search.seed, space.axes.len());
        let last = (search.points as u64).saturating_mul(TRIES);
        let mut observed: Vec<(Vec<f64>, f64)> = Vec::new();
        let mut next = 0;
        loop {
            let startup = observed.is_empty();
            let batch = if startup { search.startup } else { search.batch };
            let wanted = batch.min(search.points - observed.len());
            let mut estimator = Estimator::new(space);
            for (point, loss) in &observed {
                estimator.tell(point, *loss);
            }
            let mut proposed: Vec<(Vec<f64>, usize)> = Vec::new();
            while proposed.len() < wanted && next < last {
                let unit = match startup {
                    true => random.point(next),
                    false => estimator.ask(search.seed, next),
                };
                next += 1;
                let outcome = self.outcome(&mut self.worker(), &space.point(&unit))?;
                let first = self.trials.len();
                if self.push(outcome).is_ok_and(|trials| trials > 0) {
                    // Until its loss is known it counts as bad, so that the batch spreads.
                    estimator.tell(&unit, f64::INFINITY);
                    proposed.push((unit, first));
                }
            }
            if proposed.is_empty() {
                return Ok(0);
            }
            let ends = proposed
                .iter()
                .skip(1)
                .map(|(_, first)| *first)
                .chain([self.trials.len()]);
            let losses: Option<Vec<f64>> = proposed
                .iter()
                .zip(ends)
                .map(|((_, first), end)| mean_loss(&self.trials[*first..end], history))
                .collect();
            let Some(losses) = losses else {
                return Ok(search.points - observed.len() - proposed.len());
            };
            observed.extend(proposed.into_iter().map(|(unit, _)| unit).zip(losses));
        }
    }

    /// What becomes of the points of a space at these indices, in their order.
    fn outcomes<'p>(
        &self,
        indices: std::ops::Range<usize>,
        point: &(dyn Fn(usize) -> Point<'p> + Sync),
    ) -> Vec<Result<Outcome, ConfigError>> {
        // Where every point sets the same keys, the next one only changes what differs.
        let same_keys = self.file.derived.is_empty() && self.file.method != Method::OneAtATime;
        let block = |indices: &[usize]| {
            let mut worker = self.worker();
            let outcome = |&index: &usize| {
                if !same_keys {
                    worker.draft = self.base.clone();
                }
                self.outcome(&mut worker, &point(index))
            };
            indices.iter().map(outcome).collect::<Vec<_>>()
        };
        let indices: Vec<usize> = indices.collect();
        indices.par_chunks(BLOCK).flat_map_iter(block).collect()
    }

    /// Makes room for the trials of so many points, so that a large plan is not copied as it grows.
    fn reserve(&mut self, points: usize) {
        let trials = points.saturating_mul(self.file.seeds.len().max(1));
        self.trials.reserve(trials.min(MOST_RESERVED));
    }

    fn worker(&self) -> Worker {
        Worker {
            draft: self.base.clone(),
            hasher: RecipeHasher::default(),
        }
    }

    /// Sets the point in the draft, and resolves it for every seed.
    fn outcome(&self, worker: &mut Worker, point: &Point<'_>) -> Result<Outcome, ConfigError> {
        let draft = &mut worker.draft;
        draft.set(point.iter().map(|(key, value)| (*key, &**value)))?;
        for (key, expression) in &self.file.derived {
            let value = expression.node(&|key| draft.value(key))?;
            draft.set([(key.as_str(), &value)])?;
        }
        for condition in &self.file.skip {
            if condition.holds(&|key| draft.value(key))? {
                return Ok(Outcome::Skipped);
            }
        }
        // Tables and lists would make long names, and the hash tells trials apart.
        let scalar = |(_, value): &&(&str, Cow<'_, Node>)| matches!(value.kind, NodeKind::Scalar(_));
        let named: Vec<(&str, String)> = point
            .iter()
            .filter(scalar)
            .map(|(key, value)| (*key, display(value)))
            .collect();
        if self.file.seeds.is_empty() {
            return Ok(Outcome::Trials(vec![worker.trial(&named)?]));
        }
        let several = self.file.seeds.len() > 1;
        let mut trials = Vec::with_capacity(self.file.seeds.len());
        for seed in &self.file.seeds {
            worker.draft.set([(SEED, seed)])?;
            let seed = several.then(|| (SEED, display(seed)));
            let named: Vec<_> = named.iter().cloned().chain(seed).collect();
            trials.push(worker.trial(&named)?);
        }
        Ok(Outcome::Trials(trials))
    }

    /// Adds the trials of a point, and gives how many they are; the first that is there already is an error.
    fn push(&mut self, outcome: Outcome) -> Result<usize, Box<Trial>> {
        let Outcome::Trials(trials) = outcome else {
            self.skipped += 1;
            return Ok(0);
        };
        let mut hashes: Vec<&str> = Vec::new();
        for trial in &trials {
            let hash = trial.id.hash();
            if self.seen.contains_key(hash) || hashes.contains(&hash) {
                return Err(Box::new(trial.clone()));
            }
            hashes.push(hash);
        }
        let count = trials.len();
        for trial in trials {
            self.seen.insert(trial.id.hash().to_owned(), self.trials.len());
            self.trials.push(trial);
        }
        Ok(count)
    }

    fn same(&self, again: &Trial, point: &Point<'_>) -> ConfigError {
        let seed = self.file.seeds.iter().find(|seed| {
            self.file.seeds.len() > 1 && display(seed) == again.recipe.training.seed.to_string()
        });
        let last = seed.map(|seed| (SEED, seed));
        let Some((key, value)) = last.or_else(|| point.last().map(|(key, value)| (*key, &**value))) else {
            return ConfigError::nowhere("two trials are the same");
        };
        let first = self.seen.get(again.id.hash()).map(|&first| &self.trials[first]);
        if first.is_some_and(|first| first.recipe != again.recipe) {
            return ConfigError::at(
                &value.place,
                "two different recipes have the same hash",
                "the second of them here",
            )
            .help(format!(
                "change any key that does not matter, such as training.log_every, to tell {key} apart"
            ));
        }
        ConfigError::at(
            &value.place,
            "two points of the sweep are the same recipe",
            "the second of them ends here",
        )
        .help("remove a value that stands twice, or an axis that another key overrides")
    }
}

impl Worker {
    fn trial(&mut self, named: &[(&str, String)]) -> Result<Trial, ConfigError> {
        let recipe = self.draft.resolve()?;
        Ok(Trial {
            id: TrialId::new(self.hasher.hash(&recipe), named),
            recipe,
        })
    }
}

/// The mean over the seeds of a point; none while one of them has no result.
fn mean_loss(trials: &[Trial], history: &History) -> Option<f64> {
    let losses: Option<Vec<f64>> = trials.iter().map(|trial| history.loss(&trial.id)).collect();
    let losses = losses?;
    Some(losses.iter().sum::<f64>() / losses.len() as f64)
}
