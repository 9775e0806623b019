//! Causal self-attention from the packed projection.
//!
//! Every head of every sequence is a task. A task works through its queries in blocks of 16; the scores of a block,
//! one row for each key that it may see and one lane for each query, are all that exists of the `[context, context]` matrix
//! at a time, so they stay in the core's cache, and what softmax sums over is summed without leaving a lane. The backward
//! pass computes them again, from the logarithm of the softmax's denominator that the forward pass keeps for each query
//! (arXiv 2205.14135).
//!
//! The dropout mask of the weights has the order in which they are computed: `[batch, heads, blocks, context, BLOCK]`, keys
//! before the queries of a block.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    math::exp,
    matmul::Onto,
    matrix::{Matrix, MatrixMut},
    product::product,
};
use crate::{AttentionShape, Dropout};

/// Queries of a block: the lanes of the widest register.
pub(crate) const BLOCK: usize = 16;

/// One number of each query of a block.
type Lanes = [f32; BLOCK];

/// `dropout(softmax(Q K^T / sqrt(d) + mask)) V` in each head.
///
/// Shapes: `qkv` `[batch * context, 3 * width]`, `out` `[batch * context, width]`, `log_sum_exp` `[batch, heads, context]`:
/// the logarithm of each softmax's denominator.
///
/// # Panics
/// Where the lengths do not fit the shape.
pub fn forward(
    qkv: &[f32],
    shape: AttentionShape,
    dropout: Dropout,
    out: &mut [f32],
    log_sum_exp: &mut [f32],
) {
    let Dimensions { tokens, width } = dimensions(qkv, shape);
    let out = heads(MatrixMut::new(out, [tokens, width]), shape);
    out.into_par_iter()
        .zip(log_sum_exp.par_chunks_exact_mut(shape.context))
        .enumerate()
        .for_each(|(index, (out, log_sum_exp))| {
            Arch::new().dispatch(Forward {
                head: Head::new(qkv, shape, index, dropout),
                out,
                log_sum_exp,
            });
        });
}

/// The gradient of `qkv` from that of the output.
///
/// Shapes: `d_out` `[batch * context, width]`, `qkv` and `d_qkv` `[batch * context, 3 * width]`, `log_sum_exp` as
/// [`forward`] gave it.
///
/// # Panics
/// Where the lengths do not fit the shape.
pub fn backward(
    d_out: &[f32],
    qkv: &[f32],
    log_sum_exp: &[f32],
    shape: AttentionShape,
    dropout: Dropout,
    d_qkv: &mut [f32],
) {
    let Dimensions { tokens, width } = dimensions(qkv, shape);
    let d_out = Matrix::new(d_out, [tokens, width]);
    // The queries of all heads of a sequence come first, then its keys, then its values.
    let strips = heads(
        MatrixMut::new(d_qkv, [tokens, 3 * width]),
        AttentionShape {
            heads: 3 * shape.heads,
            ..shape
        },
    );
    let mut strips = strips.into_iter();
    let mut gradients = Vec::with_capacity(shape.batch * shape.heads);
    for _ in 0..shape.batch {
        let queries: Vec<_> = strips.by_ref().take(shape.heads).collect();
        let keys: Vec<_> = strips.by_ref().take(shape.heads).collect();
        let values = strips.by_ref().take(shape.heads);
        for ((d_queries, d_keys), d_values) in queries.into_iter().zip(keys).zip(values) {
            gradients.push([d_queries, d_keys, d_values]);
        }
    }
    gradients
        .into_par_iter()
        .zip(log_sum_exp.par_chunks_exact(shape.context))
        .enumerate()
        .for_each(|(index, (gradients, log_sum_exp))| {
            let head = Head::new(qkv, shape, index, dropout);
            Arch::new().dispatch(Backward {
                d_out: head.of(d_out),
                head,
                log_sum_exp,
                gradients,
            });
        });
}

struct Dimensions {
    tokens: usize,
    width: usize,
}

fn dimensions(qkv: &[f32], shape: AttentionShape) -> Dimensions {
    let tokens = shape.batch * shape.context;
    let width = qkv.len() / (3 * tokens);
    assert_eq!(
        qkv.len(),
        3 * tokens * width,
        "a packed projection of {tokens} tokens"
    );
    assert_eq!(width % shape.heads, 0, "heads divide the width");
    Dimensions { tokens, width }
}

/// The part of each head of each sequence, sequence by sequence.
fn heads(matrix: MatrixMut<'_>, shape: AttentionShape) -> Vec<MatrixMut<'_>> {
    let channels = matrix.columns() / shape.heads;
    matrix.blocks([shape.context, channels]).collect()
}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct Head<'a> {
    queries: Matrix<'a>,
    keys: Matrix<'a>,
    values: Matrix<'a>,
    /// Its first row and column in a matrix of `[tokens, width]`.
    corner: [usize; 2],
    scale: f32,
    dropout: Dropout,
    /// Among all heads of all sequences.
    index: usize,
}

impl<'a> Head<'a> {
    fn new(qkv: &'a [f32], shape: AttentionShape, index: usize, dropout: Dropout) -> Self {
        let AttentionShape { context, heads, .. } = shape;
        let Dimensions { tokens, width } = dimensions(qkv, shape);
        let channels = width / heads;
        let corner = [index / heads * context, index % heads * channels];
        let qkv = Matrix::new(qkv, [tokens, 3 * width]);
        let part = |part: usize| {
            let column = part * width + corner[1];
            qkv.block(corner[0]..corner[0] + context, column..column + channels)
        };
        Self {
            queries: part(0),
            keys: part(1),
            values: part(2),
            corner,
            scale: 1.0 / (channels as f32).sqrt(),
            dropout,
            index,
        }
    }

    fn context(&self) -> usize {
        self.queries.rows()
    }

    fn channels(&self) -> usize {
        self.queries.columns()
    }

    /// Its part of a matrix of `[tokens, width]`.
    fn of<'b>(&self, matrix: Matrix<'b>) -> Matrix<'b> {
        let [row, column] = self.corner;
        matrix.block(row..row + self.context(), column..column + self.channels())
    }

    /// What the weights of the queries from `first` on are multiplied with, by key and query.
    #[inline(always)]
    fn dropout_factors(&self, first: usize, factors: &mut [Lanes]) {
        let rows_before = (self.index * self.context().div_ceil(BLOCK) + first / BLOCK) * self.context();
        self.dropout
            .factors((rows_before * BLOCK) as u64, factors.as_flattened_mut());
    }
}

/// The blocks of queries, as their first and the one after their last.
fn blocks(context: usize) -> impl DoubleEndedIterator<Item = (usize, usize)> {
    (0..context.div_ceil(BLOCK)).map(move |block| (block * BLOCK, (block * BLOCK + BLOCK).min(context)))
}

struct Forward<'a> {
    head: Head<'a>,
    out: MatrixMut<'a>,
    log_sum_exp: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            head,
            mut out,
            log_sum_exp,
        } = self;
        let (context, channels) = (head.context(), head.channels());
        let mut queries = vec![[0.0; BLOCK]; channels];
        let mut weights = vec![[0.0; BLOCK]; context];
        let mut factors = vec![[0.0; BLOCK]; if head.dropout.is_none() { 0 } else { context }];

        for (first, end) in blocks(context) {
            let rows = end - first;
            let weights = &mut weights[..end];
            transpose(head.queries.block(first..end, 0..channels), &mut queries);
            let keys = head.keys.block(0..end, 0..channels);
            product(simd, keys, lanes(&queries), Onto::Zero, &mut lanes_mut(weights));
            let Denominators { sums, logarithms } = softmax(weights, first, head.scale);
            log_sum_exp[first..end].copy_from_slice(&logarithms[..rows]);
            if !head.dropout.is_none() {
                let factors = &mut factors[..end];
                head.dropout_factors(first, factors);
                multiply(weights, factors);
            }
            let values = head.values.block(0..end, 0..channels);
            let mut out = out.block(first..end, 0..channels);
            product(
                simd,
                lanes(weights).block(0..end, 0..rows).transposed(),
                values,
                Onto::Zero,
                &mut out,
            );
            for (row, sum) in (0..rows).zip(sums) {
                let inverse = 1.0 / sum;
                out.row_mut(row).iter_mut().for_each(|out| *out *= inverse);
            }
        }
    }
}

struct Backward<'a> {
    head: Head<'a>,
    d_out: Matrix<'a>,
    log_sum_exp: &'a [f32],
    /// Of queries, keys and values.
    gradients: [MatrixMut<'a>; 3],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    /// With weights P, dropout factors F and scores S: dV = (F P)^T dO, dP = F (dO V^T),
    /// dS = P (dP - rowsum(P dP)) / sqrt(d), dQ = dS K, dK = dS^T Q.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            head,
            d_out,
            log_sum_exp,
            gradients: [mut d_queries, mut d_keys, mut d_values],
        } = self;
        let (context, channels) = (head.context(), head.channels());
        let mut columns = vec![[0.0; BLOCK]; channels];
        let mut weights = vec![[0.0; BLOCK]; context];
        let mut d_scores = vec![[0.0; BLOCK]; context];
        let mut factors = vec![[0.0; BLOCK]; if head.dropout.is_none() { 0 } else { context }];

        // From the last block, which sees every key, so that the first products set what the others add to.
        for (first, end) in blocks(context).rev() {
            let rows = end - first;
            let (weights, d_scores) = (&mut weights[..end], &mut d_scores[..end]);
            let queries = head.queries.block(first..end, 0..channels);
            let keys = head.keys.block(0..end, 0..channels);
            let values = head.values.block(0..end, 0..channels);
            let d_out = d_out.block(first..end, 0..channels);

            transpose(queries, &mut columns);
            product(simd, keys, lanes(&columns), Onto::Zero, &mut lanes_mut(weights));
            softmax_again(weights, first, head.scale, &log_sum_exp[first..end]);
            transpose(d_out, &mut columns);
            product(
                simd,
                values,
                lanes(&columns),
                Onto::Zero,
                &mut lanes_mut(d_scores),
            );
            if head.dropout.is_none() {
                scores_backward(weights, d_scores, head.scale);
            } else {
                let factors = &mut factors[..end];
                head.dropout_factors(first, factors);
                multiply(d_scores, factors);
                scores_backward(weights, d_scores, head.scale);
                multiply(weights, factors);
            }

            let weights = lanes(weights).block(0..end, 0..rows);
            let d_scores = lanes(d_scores).block(0..end, 0..rows);
            let mut d_queries = d_queries.block(first..end, 0..channels);
            let mut d_keys = d_keys.block(0..end, 0..channels);
            let mut d_values = d_values.block(0..end, 0..channels);
            product(simd, d_scores.transposed(), keys, Onto::Zero, &mut d_queries);
            let onto = if end == context { Onto::Zero } else { Onto::Output };
            product(simd, d_scores, queries, onto, &mut d_keys);
            product(simd, weights, d_out, onto, &mut d_values);
        }
    }
}

/// A number for each lane. `std::array::from_fn` would do, but is not inlined into code for other SIMD than the crate's.
#[inline(always)]
fn each(f: impl Fn(usize) -> f32) -> Lanes {
    let mut lanes = [0.0; BLOCK];
    for (lane, number) in lanes.iter_mut().enumerate() {
        *number = f(lane);
    }
    lanes
}

/// Rows of lanes as a matrix.
#[inline(always)]
fn lanes(rows: &[Lanes]) -> Matrix<'_> {
    Matrix::new(rows.as_flattened(), [rows.len(), BLOCK])
}

#[inline(always)]
fn lanes_mut(rows: &mut [Lanes]) -> MatrixMut<'_> {
    let shape = [rows.len(), BLOCK];
    MatrixMut::new(rows.as_flattened_mut(), shape)
}

/// The columns of a block, as lanes; the lanes of the rows that a last block lacks are zero.
#[inline(always)]
fn transpose(block: Matrix, columns: &mut [Lanes]) {
    if block.rows() == BLOCK {
        let mut rows = [[].as_slice(); BLOCK];
        for (row, elements) in rows.iter_mut().enumerate() {
            *elements = &block.row(row)[..columns.len()];
        }
        for (column, lanes) in columns.iter_mut().enumerate() {
            *lanes = each(|row| rows[row][column]);
        }
    } else {
        columns.fill([0.0; BLOCK]);
        for row in 0..block.rows() {
            for (lanes, &element) in columns.iter_mut().zip(block.row(row)) {
                lanes[row] = element;
            }
        }
    }
}

struct Denominators {
    sums: Lanes,
    logarithms: Lanes,
}

/// Turns the scores of the queries from `first` on into the numerators of their weights, 0 for the keys after the query.
#[inline(always)]
fn softmax(scores: &mut [Lanes], first: usize, scale: f32) -> Denominators {
    let (past, diagonal) = scores.split_at_mut(first);
    let mut largest = [f32::NEG_INFINITY; BLOCK];
    for scores in &*past {
        largest = each(|lane| larger(largest[lane], scores[lane]));
    }
    for (key, scores) in diagonal.iter().enumerate() {
        largest = each(|lane| {
            larger(
                largest[lane],
                if lane < key {
                    f32::NEG_INFINITY
                } else {
                    scores[lane]
                },
            )
        });
    }
    largest = each(|lane| largest[lane] * scale);
    let mut sums = [0.0; BLOCK];
    for scores in past {
        *scores = each(|lane| exp(scores[lane].mul_add(scale, -largest[lane])));
        sums = each(|lane| sums[lane] + scores[lane]);
    }
    for (key, scores) in diagonal.iter_mut().enumerate() {
        *scores = seen(key, each(|lane| exp(scores[lane].mul_add(scale, -largest[lane]))));
        sums = each(|lane| sums[lane] + scores[lane]);
    }
    Denominators {
        sums,
        logarithms: each(|lane| largest[lane] + sums[lane].ln()),
    }
}

/// The weights that [`softmax`] made of the scores, divided by their denominators.
#[inline(always)]
fn softmax_again(scores: &mut [Lanes], first: usize, scale: f32, log_sum_exp: &[f32]) {
    let mut logarithms = [0.0; BLOCK];
    logarithms[..log_sum_exp.len()].copy_from_slice(log_sum_exp);
    let (past, diagonal) = scores.split_at_mut(first);
    for scores in past {
        *scores = each(|lane| exp(scores[lane].mul_add(scale, -logarithms[lane])));
    }
    for (key, scores) in diagonal.iter_mut().enumerate() {
        *scores = seen(
            key,
            each(|lane| exp(scores[lane].mul_add(scale, -logarithms[lane]))),
        );
    }
}

/// The weights of a key of the diagonal, 0 for the queries before it. Not by scores of minus infinity: where `exp` comes
/// out below the normal numbers, the processor takes a hundred times as long.
#[inline(always)]
fn seen(key: usize, weights: Lanes) -> Lanes {
    each(|lane| if lane < key { 0.0 } else { weights[lane] })
}

/// The gradient of the scores, in place of that of the weights.
#[inline(always)]
fn scores_backward(weights: &[Lanes], d_weights: &mut [Lanes], scale: f32) {
    let mut sums = [0.0f32; BLOCK];
    for (weights, d_weights) in weights.iter().zip(&*d_weights) {
        sums = each(|lane| weights[lane].mul_add(d_weights[lane], sums[lane]));
    }
    for (weights, d_weights) in weights.iter().zip(d_weights) {
        *d_weights = each(|lane| weights[lane] * (d_weights[lane] - sums[lane]) * scale);
    }
}

#[inline(always)]
fn multiply(values: &mut [Lanes], factors: &[Lanes]) {
    for (value, factor) in values.as_flattened_mut().iter_mut().zip(factors.as_flattened()) {
        *value *= factor;
    }
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}
