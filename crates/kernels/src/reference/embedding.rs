use burn::tensor::{Int, Tensor};

use super::dropout::dropout;
use crate::Dropout;

pub(crate) fn embedding(
    tokens: Tensor<2, Int>,
    table: Tensor<2>,
    positions: Tensor<2>,
    probability: Dropout,
) -> Tensor<2> {
    let [batch, context] = tokens.dims();
    let width = table.dims()[1];
    let content = table.select(0, tokens.reshape([batch * context]));
    let position = positions.slice([0..context, 0..width]);
    let sum = content.reshape([batch, context, width]) + position.unsqueeze();
    dropout(sum.reshape([batch * context, width]), probability)
}
