use burn::backend::{Flex, flex::FlexTensor};

use super::tensors::{bias, buffer, contiguous, dimensions, elements, tensor};
use crate::{
    Precision,
    cpu::{
        matmul::{Onto, matmul},
        matrix::Matrix,
        sums::sum_rows,
    },
    fused::{Linear, LinearTied, Operation},
};

impl Operation<Flex, 3> for Linear {
    type Saved = SavedLinear;

    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, SavedLinear) {
        let [x, weight, offset] = inputs.map(contiguous);
        let onto = bias(&offset).map_or(Onto::Zero, Onto::Row);
        let y = product(matrix(&x), matrix(&weight), onto, self.precision);
        let has_bias = bias(&offset).is_some();
        (y, SavedLinear { x, weight, has_bias })
    }

    fn backward(&self, saved: SavedLinear, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let SavedLinear { x, weight, has_bias } = saved;
        let dy = contiguous(dy);
        let multiply = |a, b| product(a, b, Onto::Zero, self.precision);
        let dx = wanted[0].then(|| multiply(matrix(&dy), matrix(&weight).transposed()));
        let d_weight = wanted[1].then(|| multiply(matrix(&x).transposed(), matrix(&dy)));
        let d_bias = (wanted[2] && has_bias).then(|| {
            let mut sums = buffer(dimensions(&dy)[1]);
            sum_rows(elements(&dy), &mut sums);
            let width = sums.len();
            tensor(sums, [width])
        });
        [dx, d_weight, d_bias]
    }
}

impl Operation<Flex, 2> for LinearTied {
    type Saved = [FlexTensor; 2];

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, [FlexTensor; 2]) {
        let [x, embedding] = inputs.map(contiguous);
        let y = product(
            matrix(&x),
            matrix(&embedding).transposed(),
            Onto::Zero,
            self.precision,
        );
        (y, [x, embedding])
    }

    fn backward(
        &self,
        [x, embedding]: [FlexTensor; 2],
        dy: FlexTensor,
        wanted: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let dy = contiguous(dy);
        let multiply = |a, b| product(a, b, Onto::Zero, self.precision);
        let dx = wanted[0].then(|| multiply(matrix(&dy), matrix(&embedding)));
        let d_embedding = wanted[1].then(|| multiply(matrix(&dy).transposed(), matrix(&x)));
        [dx, d_embedding]
    }
}

/// What the backward pass of a linear layer reads.
#[derive(Clone, Debug)]
pub struct SavedLinear {
    x: FlexTensor,
    weight: FlexTensor,
    has_bias: bool,
}

fn matrix(tensor: &FlexTensor) -> Matrix<'_> {
    Matrix::new(elements(tensor), dimensions(tensor))
}

fn product(a: Matrix, b: Matrix, onto: Onto, precision: Precision) -> FlexTensor {
    let shape = [a.rows(), b.columns()];
    let mut out = buffer(shape[0] * shape[1]);
    matmul(a, b, onto, &mut out, precision);
    tensor(out, shape)
}
