//! Token plus position embeddings, with dropout.

use rayon::prelude::*;

use super::{
    simd::vectorised,
    tasks::{rows_per_gathering_task, rows_per_task},
};
use crate::Dropout;

/// `y[t] = (table[tokens[t]] + positions[t % context]) factor`, the factor of an element being its [`Dropout::factor`].
///
/// Shapes: `tokens` `[batch * context]`, `table` `[vocabulary, width]`, `positions` `[at least context, width]`, `y`
/// `[batch * context, width]`.
///
/// # Panics
/// Where a token is not below the vocabulary.
pub fn forward(
    tokens: &[u32],
    table: &[f32],
    positions: &[f32],
    context: usize,
    dropout: Dropout,
    y: &mut [f32],
) {
    let width = (y.len() / tokens.len().max(1)).max(1);
    let rows = rows_per_task(width);
    tokens
        .par_chunks(rows)
        .zip(y.par_chunks_mut(rows * width))
        .enumerate()
        .for_each(|(task, (tokens, y))| {
            vectorised(
                #[inline(always)]
                || {
                    for (row, (&token, y)) in
                        (task * rows..).zip(tokens.iter().zip(y.chunks_exact_mut(width)))
                    {
                        let content = &table[token as usize * width..][..width];
                        let position = &positions[row % context * width..][..width];
                        if dropout.is_none() {
                            for ((y, content), position) in y.iter_mut().zip(content).zip(position) {
                                *y = content + position;
                            }
                        } else {
                            dropout.factors((row * width) as u64, y);
                            for ((y, content), position) in y.iter_mut().zip(content).zip(position) {
                                *y *= content + position;
                            }
                        }
                    }
                },
            );
        });
}

/// `d_table[v]`, the sum of `dy factor` over the tokens that are `v`, and `d_positions[p]`, that over the tokens at `p`.
///
/// Every element of both is written, zeros included, whatever they hold: each task owns rows of the result and adds the
/// tokens of each in their order.
///
/// Shapes: `dy` as `y` of [`forward`], the gradients as what they are of.
pub fn backward(
    dy: &[f32],
    tokens: &[u32],
    context: usize,
    dropout: Dropout,
    d_table: &mut [f32],
    d_positions: &mut [f32],
) {
    let width = (dy.len() / tokens.len().max(1)).max(1);
    let mut by_token: Vec<(u32, u32)> = tokens.iter().copied().zip(0..).collect();
    by_token.sort_unstable();
    let rows = rows_per_gathering_task(d_table.len() / width, width);
    d_table
        .par_chunks_mut(rows * width)
        .enumerate()
        .for_each(|(task, d_table)| {
            let first = task * rows;
            let below = |id: usize| by_token.partition_point(|&(token, _)| (token as usize) < id);
            let own = &by_token[below(first)..below(first + rows)];
            let own = own
                .iter()
                .map(|&(token, row)| (token as usize - first, row as usize));
            gather(dy, own, dropout, width, d_table);
        });
    let rows = rows_per_gathering_task(d_positions.len() / width, width);
    d_positions
        .par_chunks_mut(rows * width)
        .enumerate()
        .for_each(|(task, d_positions)| {
            let own = (task * rows..context.min((task + 1) * rows)).flat_map(|position| {
                (position..tokens.len())
                    .step_by(context)
                    .map(move |row| (position - task * rows, row))
            });
            gather(dy, own, dropout, width, d_positions);
        });
}

/// `sums[to]` becomes the sum of `dy[from] factor` over the pairs of `(to, from)`.
fn gather(
    dy: &[f32],
    pairs: impl Iterator<Item = (usize, usize)>,
    dropout: Dropout,
    width: usize,
    sums: &mut [f32],
) {
    vectorised(
        #[inline(always)]
        || {
            sums.fill(0.0);
            let mut factors = vec![1.0; if dropout.is_none() { 0 } else { width }];
            for (to, from) in pairs {
                let sums = &mut sums[to * width..][..width];
                let dy = &dy[from * width..][..width];
                if dropout.is_none() {
                    for (sum, dy) in sums.iter_mut().zip(dy) {
                        *sum += dy;
                    }
                } else {
                    dropout.factors((from * width) as u64, &mut factors);
                    for ((sum, dy), factor) in sums.iter_mut().zip(dy).zip(&factors) {
                        *sum = dy.mul_add(*factor, *sum);
                    }
                }
            }
        },
    );
}
