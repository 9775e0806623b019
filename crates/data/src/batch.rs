use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{DataError, Tokens};

/// The shape of a micro-batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchShape {
    /// Sequences.
    pub sequences: usize,
    /// Tokens of a sequence.
    pub context: usize,
}

/// A place in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The recipe's seed.
    pub seed: u64,
    /// The optimizer update, counted from 0.
    pub step: u64,
    /// The micro-batch of the step, counted from 0.
    pub micro_step: u64,
}

/// Sequences and, for each of their tokens, the next one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[sequences, context]`, row by row.
    pub inputs: Vec<i32>,
    /// The inputs moved on by one token, `[sequences, context]`.
    pub targets: Vec<i32>,
    /// Rows.
    pub sequences: usize,
    /// Columns.
    pub context: usize,
}

impl Tokens {
    /// The micro-batch at a position: windows whose starts are drawn uniformly, a pure function of the position.
    ///
    /// Sequence i of a step, counted through its micro-batches, is a function of (seed, step, i) alone: 8 sequences in
    /// 4 micro-batches are the 32 sequences of one.
    ///
    /// # Errors
    /// Where the shape has no tokens, or the split is shorter than one sequence and its last target.
    pub fn batch(&self, shape: BatchShape, at: Position) -> Result<Batch, DataError> {
        self.check(shape)?;
        let starts = (self.len() - shape.context) as u128;
        let mut generator = ChaCha8Rng::seed_from_u64(at.seed);
        generator.set_stream(at.step);
        // A draw takes two of the generator's 32-bit words.
        generator.set_word_pos(2 * u128::from(at.micro_step) * shape.sequences as u128);
        // The upper half of a 64-bit product is uniform but for a bias of starts / 2^64.
        let draw = |_| ((u128::from(generator.next_u64()) * starts) >> 64) as usize;
        let starts: Vec<usize> = (0..shape.sequences).map(draw).collect();
        Ok(self.windows(&starts, shape.context))
    }

    /// The fixed batches of an evaluation: at least `tokens` tokens, or the whole split but an incomplete last window, in
    /// windows that do not overlap and lie evenly over the split.
    ///
    /// Which windows they are depends on the split, the context and `tokens` alone; `shape.sequences` only says how many
    /// of them a batch holds, and the last may hold fewer.
    ///
    /// # Errors
    /// Where the shape has no tokens, or the split is shorter than one sequence and its last target.
    pub fn evaluation_batches(
        &self,
        shape: BatchShape,
        tokens: usize,
    ) -> Result<impl Iterator<Item = Batch> + '_, DataError> {
        let BatchShape { sequences, context } = shape;
        self.check(shape)?;
        let windows = (self.len() - 1) / context;
        let wanted = tokens.div_ceil(context).clamp(1, windows);
        let start = move |k: usize| (k as u128 * windows as u128 / wanted as u128) as usize * context;
        let batches = wanted.div_ceil(sequences);
        Ok((0..batches).map(move |batch| {
            let from = batch * sequences;
            let starts: Vec<usize> = (from..wanted.min(from + sequences)).map(start).collect();
            self.windows(&starts, context)
        }))
    }

    fn windows(&self, starts: &[usize], context: usize) -> Batch {
        // Token ids are below the vocabulary, far below 2^31.
        let tokens = |offset: usize| {
            starts
                .iter()
                .flat_map(move |s| self.window(s + offset, context))
                .map(|t| t as i32)
        };
        Batch {
            inputs: tokens(0).collect(),
            targets: tokens(1).collect(),
            sequences: starts.len(),
            context,
        }
    }

    fn check(&self, BatchShape { sequences, context }: BatchShape) -> Result<(), DataError> {
        if sequences == 0 || context == 0 {
            return Err(DataError::EmptyBatch { sequences, context });
        }
        if self.len() > context {
            return Ok(());
        }
        Err(DataError::SplitTooShort {
            split: self.split(),
            tokens: self.len(),
            context,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(length: u32) -> (tempfile::TempDir, Tokens) {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(&directory.path().join("t"), "training", || {
            Ok((0..length).collect())
        })
        .unwrap();
        (directory, tokens)
    }

    proptest! {
        #[test]
        fn micro_batches_only_partition_the_sequences_of_a_step(
            seed: u64, step in 0..1000u64, micro_steps in 1..6usize, sequences in 1..6usize, context in 1..20usize,
        ) {
            let (_directory, tokens) = stream(100);
            let whole = BatchShape { sequences: micro_steps * sequences, context };
            let whole = tokens.batch(whole, Position { seed, step, micro_step: 0 }).unwrap();
            // In any order: each micro-batch is a function of its position alone.
            let mut parts: Vec<(usize, Batch)> = (0..micro_steps)
                .rev()
                .map(|m| {
                    let at = Position { seed, step, micro_step: m as u64 };
                    (m, tokens.batch(BatchShape { sequences, context }, at).unwrap())
                })
                .collect();
            parts.sort_by_key(|(m, _)| *m);
            let inputs: Vec<i32> = parts.iter().flat_map(|(_, b)| b.inputs.clone()).collect();
            let targets: Vec<i32> = parts.iter().flat_map(|(_, b)| b.targets.clone()).collect();
            prop_assert_eq!((inputs, targets), (whole.inputs, whole.targets));
        }

        #[test]
        fn targets_are_the_inputs_moved_on_by_one(seed: u64, step: u64, sequences in 1..6usize, context in 1..99usize) {
            let (_directory, tokens) = stream(100);
            let at = Position { seed, step, micro_step: 0 };
            let batch = tokens.batch(BatchShape { sequences, context }, at).unwrap();
            prop_assert_eq!(batch.inputs.len(), sequences * context);
            // The stream counts up, so a window does too.
            for (row, targets) in batch.inputs.chunks(context).zip(batch.targets.chunks(context)) {
                for (i, (input, target)) in row.iter().zip(targets).enumerate() {
                    prop_assert_eq!((*input, *target), (row[0] + i as i32, row[0] + i as i32 + 1));
                }
            }
        }

        #[test]
        fn an_evaluation_sees_the_same_windows_whatever_its_batches(
            length in 30..400u32, context in 1..20usize, wanted in 1..500usize, sequences in 1..9usize,
        ) {
            let (_directory, tokens) = stream(length);
            let all = |sequences| -> Vec<i32> {
                let shape = BatchShape { sequences, context };
                tokens.evaluation_batches(shape, wanted).unwrap().flat_map(|b| b.inputs).collect()
            };
            let windows = all(1);
            prop_assert_eq!(&all(sequences), &windows);
            // Enough of them, and none twice.
            let complete = (length as usize - 1) / context * context;
            prop_assert!(windows.len() >= wanted.min(complete) && windows.len() < wanted + context);
            prop_assert!(windows.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }

    #[test]
    fn starts_are_uniform() {
        let (_directory, tokens) = stream(11);
        let mut counts = [0u32; 10];
        let n = 20_000;
        for step in 0..n {
            let at = Position {
                seed: 3,
                step,
                micro_step: 0,
            };
            let batch = tokens
                .batch(
                    BatchShape {
                        sequences: 1,
                        context: 1,
                    },
                    at,
                )
                .unwrap();
            counts[batch.inputs[0] as usize] += 1;
        }
        let expected = n as f64 / 10.0;
        let chi_squared: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - expected).powi(2) / expected)
            .sum();
        // The 99.9th percentile of chi-squared with 9 degrees of freedom.
        assert!(chi_squared < 27.9, "{counts:?}: {chi_squared}");
    }

    #[test]
    fn a_split_that_is_too_short_says_so() {
        let (_directory, tokens) = stream(8);
        let shape = BatchShape {
            sequences: 1,
            context: 8,
        };
        let error = tokens
            .batch(
                shape,
                Position {
                    seed: 0,
                    step: 0,
                    micro_step: 0,
                },
            )
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("training split has 8 tokens") && error.contains("needs 9"),
            "{error}"
        );
        assert!(tokens.evaluation_batches(shape, 10).is_err());
    }

    #[test]
    fn shapes_that_cannot_be_are_errors() {
        let (_directory, tokens) = stream(8);
        let at = Position {
            seed: 0,
            step: 0,
            micro_step: 0,
        };
        for (sequences, context, cure) in [
            (0, 4, "training.batch_size"),
            (4, 0, "model.context"),
            (1, usize::MAX, "8 tokens"),
        ] {
            let shape = BatchShape { sequences, context };
            let drawn = tokens.batch(shape, at).unwrap_err().to_string();
            assert!(drawn.contains(cure), "{drawn}");
            let fixed = tokens
                .evaluation_batches(shape, 10)
                .err()
                .map(|error| error.to_string());
            assert_eq!(fixed, Some(drawn));
        }
    }
}
