use std::collections::{BTreeSet, HashMap};

use crate::{
    EffectRow,
    found::Found,
    keys::SEED,
    statistics::{Factorial, f_test},
    table::Table,
};

/// Between the keys of an interaction, and between their levels.
const TIMES: &str = " × ";

/// What each key does, or why that cannot be said.
pub(crate) struct Effects {
    pub table: Table,
    pub note: Option<String>,
}

/// Takes the losses of a grid apart into the effects of its keys.
///
/// The seed is one more axis: its own effect is what all configurations share, and what it does together with keys is noise. An
/// analysis of variance is only one where every cell is there, so levels with missing cells are left out, as few as need be; where less
/// than half a grid is there, none is made.
pub(crate) fn effects<'a>(keys: &[String], trials: impl IntoIterator<Item = &'a Found>) -> Effects {
    let trials: Vec<&Found> = trials.into_iter().collect();
    let (grid, notes) = match Grid::new(keys, &trials).and_then(Grid::full) {
        Ok(found) => found,
        Err(reason) => {
            return Effects {
                table: Table::of(&[], Vec::<(Vec<String>, EffectRow)>::new()),
                note: reason.map(|reason| format!("no effects: {reason}")),
            };
        }
    };
    let rows = grid.rows().unwrap_or_default();
    let note = (!notes.is_empty()).then(|| format!("effects: {}", notes.join("; ")));
    Effects {
        table: Table::of(&[], rows.into_iter().map(|row| (Vec::new(), row)).collect()),
        note,
    }
}

/// Why there are no effects; nothing where nobody would expect any.
type Nothing = Option<String>;

/// The cells of a grid that are there.
struct Grid {
    /// The last one is the seed.
    axes: Vec<Axis>,
    /// Of each cell its levels, and the loss.
    cells: Vec<(Vec<usize>, f64)>,
    notes: Vec<String>,
}

#[derive(Clone)]
struct Axis {
    name: String,
    levels: Vec<String>,
}

impl Grid {
    fn new(keys: &[String], trials: &[&Found]) -> Result<Self, Nothing> {
        let (keys, mut notes) = independent(keys, trials);
        if keys.is_empty() {
            return Err(None);
        }
        let names = keys.iter().map(String::as_str).chain([SEED]);
        let axes: Vec<Axis> = names
            .map(|name| {
                let mut levels: Vec<String> = Vec::new();
                for value in trials.iter().map(|trial| value(trial, name)) {
                    if !levels.contains(&value) {
                        levels.push(value);
                    }
                }
                Axis {
                    name: name.to_owned(),
                    levels,
                }
            })
            .collect();
        let mut cells = HashMap::new();
        for trial in trials {
            let levels: Option<Vec<usize>> = axes
                .iter()
                .map(|axis| {
                    let value = value(trial, &axis.name);
                    axis.levels.iter().position(|level| *level == value)
                })
                .collect();
            if let Some((levels, loss)) = levels.zip(trial.val_loss()) {
                cells.insert(levels, loss);
            }
        }
        let whole: f64 = axes.iter().map(|axis| axis.levels.len() as f64).product();
        if 2.0 * (cells.len() as f64) < whole {
            return Err(Some(format!(
                "{} of the {whole} cells of the grid of {} have completed, and effects need a grid",
                cells.len(),
                keys.join(TIMES)
            )));
        }
        let mut cells: Vec<(Vec<usize>, f64)> = cells.into_iter().collect();
        cells.sort_by(|(a, _), (b, _)| a.cmp(b));
        notes.extend(without_noise(&axes));
        Ok(Self { axes, cells, notes })
    }

    /// The grid without the levels that have missing cells, and what a reader must know of it.
    fn full(mut self) -> Result<(Self, Vec<String>), Nothing> {
        let before = self.cells.len();
        let mut left_out: Vec<String> = Vec::new();
        while self.cells.len() < self.size() {
            let (axis, level) = self.poorest();
            let Axis { name, levels } = &mut self.axes[axis];
            left_out.push(format!("{name} = {}", levels.remove(level)));
            self.cells.retain(|(levels, _)| levels[axis] != level);
            for (levels, _) in &mut self.cells {
                levels[axis] -= usize::from(levels[axis] > level);
            }
        }
        let varied = self.axes.split_last().map_or(0, |(_, keys)| {
            keys.iter().filter(|axis| axis.levels.len() > 1).count()
        });
        if varied == 0 || 2 * self.cells.len() < before {
            return Err(Some(
                "too many trials of the grid have no loss, because they diverged, failed or did not run yet"
                    .to_owned(),
            ));
        }
        let mut notes = std::mem::take(&mut self.notes);
        if !left_out.is_empty() {
            notes.push(format!(
                "without {}, of which trials diverged, failed or did not run",
                left_out.join(", ")
            ));
        }
        Ok((self, notes))
    }

    fn size(&self) -> usize {
        self.axes.iter().map(|axis| axis.levels.len()).product()
    }

    /// The level of which the largest share is missing; of several, the one that takes the fewest trials along, and of those the last,
    /// which is the seed's.
    fn poorest(&self) -> (usize, usize) {
        let size = self.size();
        let all = self
            .axes
            .iter()
            .enumerate()
            .flat_map(|(axis, Axis { levels, .. })| {
                let whole = size / levels.len();
                (0..levels.len()).map(move |level| (axis, level, whole))
            });
        let judged = all.map(|(axis, level, whole)| {
            let there = self
                .cells
                .iter()
                .filter(|(levels, _)| levels[axis] == level)
                .count();
            (there as f64 / whole as f64, there, (axis, level))
        });
        judged
            .min_by(|(share, there, place), (other_share, other_there, other_place)| {
                share
                    .total_cmp(other_share)
                    .then(there.cmp(other_there))
                    .then(other_place.cmp(place))
            })
            .map_or((0, 0), |(_, _, place)| place)
    }

    fn rows(&self) -> Option<Vec<EffectRow>> {
        let sizes: Vec<usize> = self.axes.iter().map(|axis| axis.levels.len()).collect();
        // Cells are sorted by their levels, the last axis fastest.
        let losses = self.cells.iter().map(|(_, loss)| *loss).collect();
        let factorial = Factorial::new(sizes.clone(), losses)?;
        let total = factorial.total();
        if total == 0.0 {
            return None;
        }
        let seed = sizes.len() - 1;
        let keys: Vec<usize> = (0..seed).filter(|axis| sizes[*axis] > 1).collect();
        let between = factorial.between(&keys);
        let of_seed = factorial.between(&[seed]);
        let seeds = sizes[seed] - 1;
        let combinations: usize = keys.iter().map(|axis| sizes[*axis]).product();
        let noise = Noise {
            total,
            squares: (total - between - of_seed).max(0.0),
            degrees_of_freedom: seeds * (combinations - 1),
        };

        let mut sets: Vec<Vec<usize>> = keys.iter().map(|axis| vec![*axis]).collect();
        for (i, a) in keys.iter().enumerate() {
            sets.extend(keys[i + 1..].iter().map(|b| vec![*a, *b]));
        }
        let mut effects: Vec<Vec<EffectRow>> = Vec::new();
        let (mut rest, mut degrees) = (between, combinations - 1);
        for axes in sets {
            let effect = factorial.effect(&axes);
            rest -= effect.sum_of_squares;
            degrees -= effect.degrees_of_freedom;
            let row = noise.row(self.name(&axes), effect.sum_of_squares, effect.degrees_of_freedom);
            let levels = effect.means.iter().zip(&effect.deviations).enumerate();
            let level = |(index, (mean, deviation)): (usize, (&f64, &f64))| EffectRow {
                level: self.level(&axes, index),
                mean: Some(*mean),
                deviation: Some(*deviation),
                ..row.clone()
            };
            effects.push(levels.map(level).collect());
        }
        if keys.len() > 2 {
            effects.push(vec![noise.row(
                "three or more keys".to_owned(),
                rest.max(0.0),
                degrees,
            )]);
        }
        effects.sort_by(|a, b| b[0].share.total_cmp(&a[0].share));
        if seeds > 0 {
            effects.push(vec![noise.row(SEED.to_owned(), of_seed, seeds)]);
            let of_noise = noise.row("noise".to_owned(), noise.squares, noise.degrees_of_freedom);
            effects.push(vec![EffectRow {
                f: None,
                p_value: None,
                ..of_noise
            }]);
        }
        Some(effects.concat())
    }

    fn name(&self, axes: &[usize]) -> String {
        let names: Vec<&str> = axes.iter().map(|axis| self.axes[*axis].name.as_str()).collect();
        names.join(TIMES)
    }

    /// The levels of a combination, the last axis fastest.
    fn level(&self, axes: &[usize], mut index: usize) -> String {
        let mut levels = Vec::new();
        for axis in axes.iter().rev() {
            let all = &self.axes[*axis].levels;
            levels.push(all[index % all.len()].as_str());
            index /= all.len();
        }
        levels.reverse();
        levels.join(TIMES)
    }
}

/// What is left of the losses once keys and seeds are taken off.
struct Noise {
    total: f64,
    squares: f64,
    degrees_of_freedom: usize,
}

impl Noise {
    /// An effect beside the noise, of no level.
    fn row(&self, effect: String, squares: f64, degrees_of_freedom: usize) -> EffectRow {
        let there = self.degrees_of_freedom > 0 && self.squares > 0.0 && degrees_of_freedom > 0;
        let f = there
            .then(|| squares / degrees_of_freedom as f64 / (self.squares / self.degrees_of_freedom as f64));
        EffectRow {
            effect,
            level: String::new(),
            mean: None,
            deviation: None,
            degrees_of_freedom,
            share: squares / self.total,
            f,
            p_value: f.and_then(|f| f_test(f, degrees_of_freedom, self.degrees_of_freedom)),
        }
    }
}

/// The keys that vary on their own, and the device where there are several; a key that another one decides, as in axes that move
/// together, has no effect of its own.
fn independent(keys: &[String], trials: &[&Found]) -> (Vec<String>, Vec<String>) {
    let mut notes = Vec::new();
    let mut left: Vec<String> = keys.iter().filter(|key| *key != SEED).cloned().collect();
    if !left.iter().any(|key| key == DEVICE) {
        left.push(DEVICE.to_owned());
    }
    left.retain(|key| {
        let distinct: BTreeSet<String> = trials.iter().map(|trial| value(trial, key)).collect();
        distinct.len() > 1
    });
    let mut index = left.len();
    while index > 0 {
        index -= 1;
        let decides = left
            .iter()
            .find(|other| **other != left[index] && decided_by(&left[index], other, trials));
        if let Some(other) = decides {
            notes.push(format!("{} moves with {other}", left[index]));
            left.remove(index);
        }
    }
    (left, notes)
}

const DEVICE: &str = "device";

fn decided_by(key: &str, other: &str, trials: &[&Found]) -> bool {
    let mut values: HashMap<String, String> = HashMap::new();
    trials.iter().all(|trial| {
        let own = value(trial, key);
        *values.entry(value(trial, other)).or_insert_with(|| own.clone()) == own
    })
}

fn value(trial: &Found, key: &str) -> String {
    match key {
        SEED => trial.seed.to_string(),
        DEVICE => trial.device().unwrap_or_default(),
        key => trial.configuration.get(key).cloned().unwrap_or_default(),
    }
}

/// One seed leaves no noise to see the effects beside.
fn without_noise(axes: &[Axis]) -> Option<String> {
    let seeds = axes.last().map_or(0, |axis| axis.levels.len());
    (seeds < 2)
        .then(|| "one seed: there is no noise to test them against, and every share holds some".to_owned())
}
