//! That the loops give the same bits without SIMD as with the widest: the order of every sum is written down, and a fused
//! multiply-add is one everywhere.

use super::{
    cross_entropy::{self, Softmax},
    embedding, gelu, layer_norm, residual,
    simd::portable::portably,
    sums,
};
use crate::Dropout;

/// Of several tasks and no multiple of any vector.
const ROWS: usize = 150;
const WIDTH: usize = 131;
const DROPOUT: Dropout = Dropout {
    probability: 0.3,
    key: 11,
};

/// Numbers in (-3, 3), others for every seed.
fn numbers(seed: u32, count: usize) -> Vec<f32> {
    (1..=count as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) ^ seed.wrapping_mul(40_503)) as f32 / 715_827_882.0 - 3.0)
        .collect()
}

/// All that the kernels write.
fn results() -> Vec<Vec<f32>> {
    let (x, dy, residual) = (
        numbers(1, ROWS * WIDTH),
        numbers(2, ROWS * WIDTH),
        numbers(3, ROWS * WIDTH),
    );
    let (weight, bias) = (numbers(4, WIDTH), numbers(5, WIDTH));
    let ids: Vec<u32> = (0..ROWS as u32).map(|i| i * 7 % 65).collect();
    let matrix = || vec![0.0; ROWS * WIDTH];
    let row = || vec![0.0; WIDTH];
    let column = || vec![0.0; ROWS];

    let mut sum = row();
    sums::sum_rows(&x, &mut sum);
    let norm = vec![sums::sum_of_squares(&x) as f32];

    let (mut normal, mut mean, mut inverse) = (matrix(), column(), column());
    layer_norm::forward(
        &x,
        &weight,
        Some(&bias),
        1e-5,
        &mut normal,
        &mut mean,
        &mut inverse,
    );
    let (mut d_normal, mut d_weight, mut d_shift) = (matrix(), row(), row());
    let saved = layer_norm::Saved {
        x: &x,
        weight: &weight,
        mean: &mean,
        inverse_deviation: &inverse,
    };
    layer_norm::backward(&dy, saved, &mut d_normal, &mut d_weight, Some(&mut d_shift));

    let (mut activation, mut d_activation, mut d_bias) = (matrix(), matrix(), row());
    gelu::forward(&x, Some(&bias), &mut activation);
    gelu::backward(&dy, &x, Some(&bias), &mut d_activation, Some(&mut d_bias));

    let (mut stream, mut d_branch, mut d_offset) = (matrix(), matrix(), row());
    residual::forward(&x, Some(&bias), &residual, DROPOUT, &mut stream);
    residual::backward(&dy, DROPOUT, &mut d_branch, Some(&mut d_offset), WIDTH);

    let (table, positions) = (numbers(6, 65 * WIDTH), numbers(7, 50 * WIDTH));
    let (mut embedded, mut d_table, mut d_positions) =
        (matrix(), vec![0.0; 65 * WIDTH], vec![0.0; 50 * WIDTH]);
    embedding::forward(&ids, &table, &positions, 50, DROPOUT, &mut embedded);
    embedding::backward(&dy, &ids, 50, DROPOUT, &mut d_table, &mut d_positions);

    let (mut nll, mut softmax, mut d_logits) = (column(), vec![Softmax::default(); ROWS], x.clone());
    cross_entropy::forward(&x, &ids, &mut nll, &mut softmax);
    cross_entropy::backward(&mut d_logits, &ids, &softmax, &numbers(8, ROWS));

    vec![
        sum,
        norm,
        normal,
        d_normal,
        d_weight,
        d_shift,
        activation,
        d_activation,
        d_bias,
        stream,
        d_branch,
        d_offset,
        embedded,
        d_table,
        d_positions,
        nll,
        d_logits,
    ]
}

#[test]
fn without_simd_the_bits_are_the_same() {
    let bits = |results: Vec<Vec<f32>>| -> Vec<Vec<u32>> {
        results
            .iter()
            .map(|floats| floats.iter().map(|x| x.to_bits()).collect())
            .collect()
    };
    let (simd, portable) = (bits(results()), bits(portably(results)));
    for (index, (simd, portable)) in simd.iter().zip(&portable).enumerate() {
        assert!(simd == portable, "result {index}");
    }
}
