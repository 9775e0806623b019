use burn::backend::{Flex, flex::FlexTensor};

use super::{
    memory::Buffer,
    tensors::{bias, contiguous, dimensions, elements, tensor},
};
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

    fn reads(&self) -> [bool; 3] {
        [true, false, false]
    }

    fn forward(&self, inputs: [FlexTensor; 3]) -> (FlexTensor, SavedLinear) {
        let [x, weight, offset] = inputs.map(contiguous);
        let onto = bias(&offset).map_or(Onto::Zero, Onto::Row);
        let y = product(matrix(&x), matrix(&weight), onto, self.precision);
        let has_bias = bias(&offset).is_some();
        (y, SavedLinear { weight, has_bias })
    }

    fn backward(
        &self,
        [x, ..]: [Option<FlexTensor>; 3],
        saved: SavedLinear,
        dy: FlexTensor,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        let SavedLinear { weight, has_bias } = saved;
        let x = x.map(contiguous).filter(|_| wanted[1]);
        let dy = contiguous(dy);
        let multiply = |a, b| product(a, b, Onto::Zero, self.precision);
        let dx = wanted[0].then(|| multiply(matrix(&dy), matrix(&weight).transposed()));
        let d_weight = x.as_ref().map(|x| multiply(matrix(x).transposed(), matrix(&dy)));
        let d_bias = (wanted[2] && has_bias).then(|| {
            let mut sums = Buffer::new(dimensions(&dy)[1]);
            sum_rows(elements(&dy), &mut sums);
            let width = sums.len();
            tensor(sums, [width])
        });
        [dx, d_weight, d_bias]
    }
}

impl Operation<Flex, 2> for LinearTied {
    /// The embedding.
    type Saved = FlexTensor;

    fn reads(&self) -> [bool; 2] {
        [true, false]
    }

    fn forward(&self, inputs: [FlexTensor; 2]) -> (FlexTensor, FlexTensor) {
        let [x, embedding] = inputs.map(contiguous);
        let y = product(
            matrix(&x),
            matrix(&embedding).transposed(),
            Onto::Zero,
            self.precision,
        );
        (y, embedding)
    }

    fn backward(
        &self,
        [x, _]: [Option<FlexTensor>; 2],
        embedding: FlexTensor,
        dy: FlexTensor,
        wanted: [bool; 2],
    ) -> [Option<FlexTensor>; 2] {
        let x = x.map(contiguous).filter(|_| wanted[1]);
        let dy = contiguous(dy);
        let multiply = |a, b| product(a, b, Onto::Zero, self.precision);
        let dx = wanted[0].then(|| multiply(matrix(&dy), matrix(&embedding)));
        let d_embedding = x.as_ref().map(|x| multiply(matrix(&dy).transposed(), matrix(x)));
        [dx, d_embedding]
    }
}

/// What the backward pass of a linear layer reads besides its input.
#[derive(Clone, Debug)]
pub struct SavedLinear {
    weight: FlexTensor,
    has_bias: bool,
}

fn matrix(tensor: &FlexTensor) -> Matrix<'_> {
    Matrix::new(elements(tensor), dimensions(tensor))
}

fn product(a: Matrix, b: Matrix, onto: Onto, precision: Precision) -> FlexTensor {
    let shape = [a.rows(), b.columns()];
    let mut out = Buffer::new(shape[0] * shape[1]);
    matmul(a, b, onto, &mut out, precision);
    tensor(out, shape)
}
