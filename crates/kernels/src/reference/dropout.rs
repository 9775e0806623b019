use burn::tensor::{Tensor, TensorData};

use crate::Dropout;

/// Each element times its [`Dropout::factor`], by its row-major index.
pub(crate) fn dropout<const D: usize>(x: Tensor<D>, dropout: Dropout) -> Tensor<D> {
    if dropout.is_none() {
        return x;
    }
    let factors = (0..x.shape().num_elements() as u64).map(|index| dropout.factor(index));
    let mask = TensorData::new(factors.collect::<Vec<f32>>(), x.shape());
    let mask = Tensor::from_data(mask, (&x.device(), x.dtype()));
    x * mask
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
