//! Random operations.

use std::ops::Range;

use kernels::{Activation, AttentionShape, Dropout};
use proptest::{prelude::*, sample::select};

use super::{Case, EPSILON, Kind, Layout, Matrix};

/// How large the random operations are.
#[derive(Clone, Debug)]
pub struct Sizes {
    pub rows: Range<usize>,
    pub width: Range<usize>,
}

/// For central differences, which evaluate the loops twice for every number.
pub const SMALL: Sizes = Sizes {
    rows: 1..5,
    width: 1..8,
};
/// Beyond a vector's lanes and the blocks of every kernel, and no multiples of them.
pub const LARGE: Sizes = Sizes {
    rows: 1..71,
    width: 1..131,
};

/// Several tasks of every kernel.
pub const DIVIDED: Sizes = Sizes {
    rows: 250..300,
    width: 200..300,
};

fn matrix(rows: usize, columns: usize) -> impl Strategy<Value = Matrix> {
    let element = prop_oneof![8 => -2.0f32..2.0, 1 => Just(0.0f32), 1 => -1e-6f32..1e-6];
    prop::collection::vec(element.prop_map(f64::from), rows * columns).prop_map(move |elements| Matrix {
        rows,
        columns,
        elements,
    })
}

fn dropout() -> impl Strategy<Value = Dropout> {
    (select(vec![0.0, 0.1, 0.25, 0.5, 0.9]), any::<u64>())
        .prop_map(|(probability, key)| Dropout { probability, key })
}

fn layout() -> impl Strategy<Value = Layout> {
    select(vec![Layout::Contiguous, Layout::Transposed, Layout::Sliced])
}

/// A case of matrices of these shapes, the last of them only sometimes where it is a bias.
fn case(
    kind: Kind,
    shapes: Vec<[usize; 2]>,
    has_bias: bool,
    output: [usize; 2],
) -> impl Strategy<Value = Case> {
    let matrices: Vec<_> = shapes
        .into_iter()
        .map(|[rows, columns]| matrix(rows, columns))
        .collect();
    (matrices, matrix(output[0], output[1]), layout(), any::<bool>()).prop_map(
        move |(mut inputs, weights, layout, with_bias)| {
            if has_bias && !with_bias {
                inputs.pop();
            }
            Case {
                kind: kind.clone(),
                inputs,
                weights,
                layout,
            }
        },
    )
}

pub fn linear(sizes: Sizes) -> impl Strategy<Value = Case> {
    (sizes.rows, sizes.width.clone(), sizes.width).prop_flat_map(|(rows, inputs, outputs)| {
        let shapes = vec![[rows, inputs], [inputs, outputs], [1, outputs]];
        case(Kind::Linear, shapes, true, [rows, outputs])
    })
}

pub fn linear_tied(sizes: Sizes) -> impl Strategy<Value = Case> {
    (sizes.rows, sizes.width.clone(), sizes.width).prop_flat_map(|(rows, inputs, outputs)| {
        let shapes = vec![[rows, inputs], [outputs, inputs]];
        case(Kind::LinearTied, shapes, false, [rows, outputs])
    })
}

/// Rows of one element, which is its own mean, or of a deviation above 0.3: where it vanishes, so do the digits of the
/// differences that the gradient is compared to.
pub fn layer_norm(sizes: Sizes) -> impl Strategy<Value = Case> {
    let spread = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / row.len() as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
        row.len() == 1 || (variance + EPSILON).sqrt() > 0.3
    };
    (sizes.rows, sizes.width)
        .prop_flat_map(|(rows, width)| {
            case(
                Kind::LayerNorm,
                vec![[rows, width], [1, width], [1, width]],
                true,
                [rows, width],
            )
        })
        .prop_map(move |mut case| {
            // A row without spread gets one.
            let x = &mut case.inputs[0];
            for row in x.elements.chunks_exact_mut(x.columns) {
                if !spread(row) {
                    row.iter_mut()
                        .zip(0..)
                        .for_each(|(x, i)| *x = f64::from(i % 2) - 0.25);
                }
            }
            case
        })
}

pub fn bias_gelu(sizes: Sizes) -> impl Strategy<Value = Case> {
    (sizes.rows, sizes.width).prop_flat_map(|(rows, width)| {
        case(
            Kind::BiasGelu,
            vec![[rows, width], [1, width]],
            true,
            [rows, width],
        )
    })
}

/// No sum near zero, where a rectifier has no derivative.
pub fn bias_activation(sizes: Sizes) -> impl Strategy<Value = Case> {
    (sizes.rows, sizes.width, select(Activation::ALL.to_vec()))
        .prop_flat_map(|(rows, width, activation)| {
            case(
                Kind::BiasActivation(activation),
                vec![[rows, width], [1, width]],
                true,
                [rows, width],
            )
        })
        .prop_map(|mut case| {
            let bias = case.inputs.get(1).cloned();
            let x = &mut case.inputs[0];
            for (index, x) in x.elements.iter_mut().enumerate() {
                let bias = bias
                    .as_ref()
                    .map_or(0.0, |bias| bias.elements[index % bias.columns]);
                if (*x + bias).abs() < 1e-3 {
                    *x += 0.5;
                }
            }
            case
        })
}

pub fn bias_dropout(sizes: Sizes) -> impl Strategy<Value = Case> {
    (sizes.rows, sizes.width, dropout()).prop_flat_map(|(rows, width, dropout)| {
        let shapes = vec![[rows, width], [1, width]];
        case(Kind::BiasDropout(dropout), shapes, true, [rows, width])
    })
}

pub fn cached_attention(sizes: Sizes) -> impl Strategy<Value = Case> {
    let channels = 1..(sizes.width.end / 4 + 2);
    (sizes.rows.clone(), sizes.rows, 1..4usize, channels).prop_flat_map(|(new, past, heads, channels)| {
        let (tokens, width) = (new + past - 1, heads * channels);
        case(
            Kind::CachedAttention { new, heads },
            vec![[tokens, 3 * width]],
            false,
            [new, width],
        )
    })
}

pub fn bias_dropout_add(sizes: Sizes) -> impl Strategy<Value = Case> {
    (sizes.rows, sizes.width, dropout()).prop_flat_map(|(rows, width, dropout)| {
        let shapes = vec![[rows, width], [rows, width], [1, width]];
        case(Kind::BiasDropoutAdd(dropout), shapes, true, [rows, width])
    })
}

/// Few ids, so that tokens repeat, and more positions than are used.
pub fn embedding(sizes: Sizes) -> impl Strategy<Value = Case> {
    (1..4usize, sizes.rows, sizes.width, 1..40usize, dropout())
        .prop_flat_map(|(batch, context, width, vocabulary, dropout)| {
            let tokens = prop::collection::vec(0..vocabulary, batch * context);
            (tokens, Just((context, width, vocabulary, dropout)))
        })
        .prop_flat_map(|(tokens, (context, width, vocabulary, dropout))| {
            let output = [tokens.len(), width];
            let kind = Kind::Embedding {
                tokens,
                context,
                dropout,
            };
            case(
                kind,
                vec![[vocabulary, width], [context + 2, width]],
                false,
                output,
            )
        })
}

pub fn attention(sizes: Sizes) -> impl Strategy<Value = Case> {
    let channels = 1..(sizes.width.end / 4 + 2);
    (1..3usize, sizes.rows, 1..4usize, channels, dropout()).prop_flat_map(
        |(batch, context, heads, channels, dropout)| {
            let shape = AttentionShape {
                batch,
                context,
                heads,
            };
            let (rows, width) = (batch * context, heads * channels);
            case(
                Kind::Attention { shape, dropout },
                vec![[rows, 3 * width]],
                false,
                [rows, width],
            )
        },
    )
}

pub fn cross_entropy(sizes: Sizes) -> impl Strategy<Value = Case> {
    (sizes.rows, sizes.width)
        .prop_flat_map(|(rows, width)| (prop::collection::vec(0..width, rows), Just(width)))
        .prop_flat_map(|(targets, width)| {
            let rows = targets.len();
            case(
                Kind::CrossEntropy { targets },
                vec![[rows, width]],
                false,
                [rows, 1],
            )
        })
}

/// Any operation.
pub fn any_operation(sizes: Sizes) -> impl Strategy<Value = Case> {
    prop_oneof![
        linear(sizes.clone()),
        linear_tied(sizes.clone()),
        layer_norm(sizes.clone()),
        bias_gelu(sizes.clone()),
        bias_activation(sizes.clone()),
        bias_dropout(sizes.clone()),
        cached_attention(sizes.clone()),
        bias_dropout_add(sizes.clone()),
        embedding(sizes.clone()),
        attention(sizes.clone()),
        cross_entropy(sizes),
    ]
}
