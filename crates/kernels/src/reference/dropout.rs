use burn::tensor::{Tensor, TensorData};

use crate::Dropout;

/// Each element times its [`Dropout::factor`], by its row-major index.
pub(crate) fn dropout<const D: usize>(x: Tensor<D>, dropout: Dropout) -> Tensor<D> {
    if dropout.is_none() {
        return x;
    }
    let mask = mask(dropout, x.dims(), &x);
    x * mask
}

/// The factors of a tensor of this shape, on the device and in the type of another.
pub(super) fn mask<const D: usize, const E: usize>(
    dropout: Dropout,
    shape: [usize; D],
    like: &Tensor<E>,
) -> Tensor<D> {
    let factors = (0..shape.iter().product::<usize>() as u64).map(|index| dropout.factor(index));
    let mask = TensorData::new(factors.collect::<Vec<f32>>(), shape);
    Tensor::from_data(mask, (&like.device(), like.dtype()))
}

pub(crate) fn bias_dropout_add(
    x: Tensor<2>,
    bias: Option<Tensor<1>>,
    residual: Tensor<2>,
    probability: Dropout,
) -> Tensor<2> {
    let x = match bias {
        Some(bias) => x + bias.unsqueeze(),
        None => x,
    };
    residual + dropout(x, probability)
}
