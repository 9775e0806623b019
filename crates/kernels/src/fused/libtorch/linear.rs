use burn::backend::{LibTorch, libtorch::TchTensor};
use tch::{Kind, Tensor};

use super::tensors::{bias, sum_of_rows};
use crate::{
    Precision,
    fused::{Linear, LinearTied, Operation},
};

/// What the backward pass of a linear layer reads: the operands as they were multiplied.
#[derive(Clone, Debug)]
pub struct SavedLinear {
    /// Where it was rounded; the backward pass reads the input itself where it was not.
    x: Option<TchTensor>,
    weight: TchTensor,
    has_bias: bool,
}

impl Operation<LibTorch, 3> for Linear {
    type Saved = SavedLinear;

    fn reads(&self) -> [bool; 3] {
        [!rounds(self.precision), false, false]
    }

    fn forward(&self, inputs: [TchTensor; 3]) -> (TchTensor, SavedLinear) {
        let [x, weight, offset] = inputs;
        let [x, weight] = [x, weight].map(|operand| rounded(operand, self.precision));
        let y = match (bias(&offset), self.precision) {
            (None, _) => product(&x.tensor, &weight.tensor),
            (Some(bias), Precision::Bf16) => product(&x.tensor, &weight.tensor).g_add_(bias),
            (Some(bias), _) => bias.addmm(&x.tensor, &weight.tensor),
        };
        let saved = SavedLinear {
            x: rounds(self.precision).then_some(x),
            weight,
            has_bias: bias(&offset).is_some(),
        };
        (TchTensor::new(y), saved)
    }

    fn backward(
        &self,
        [read, ..]: [Option<TchTensor>; 3],
        saved: SavedLinear,
        dy: TchTensor,
        wanted: [bool; 3],
    ) -> [Option<TchTensor>; 3] {
        let SavedLinear { x, weight, has_bias } = saved;
        let d_bias = (wanted[2] && has_bias).then(|| sum_of_rows(&dy.tensor));
        let dy = rounded(dy, self.precision).tensor;
        let dx = wanted[0].then(|| TchTensor::new(product(&dy, &weight.tensor.tr())));
        let d_weight = x.or(read).filter(|_| wanted[1]);
        let d_weight = d_weight.map(|x| TchTensor::new(product(&x.tensor.tr(), &dy)));
        [dx, d_weight, d_bias]
    }
}

impl Operation<LibTorch, 2> for LinearTied {
    /// The operands as they were multiplied; `x` only where it was rounded.
    type Saved = (Option<TchTensor>, TchTensor);

    fn reads(&self) -> [bool; 2] {
        [!rounds(self.precision), false]
    }

    fn forward(&self, inputs: [TchTensor; 2]) -> (TchTensor, Self::Saved) {
        let [x, embedding] = inputs.map(|operand| rounded(operand, self.precision));
        let y = product(&x.tensor, &embedding.tensor.tr());
        (
            TchTensor::new(y),
            (rounds(self.precision).then_some(x), embedding),
        )
    }

    fn backward(
        &self,
        [read, _]: [Option<TchTensor>; 2],
        (x, embedding): Self::Saved,
        dy: TchTensor,
        wanted: [bool; 2],
    ) -> [Option<TchTensor>; 2] {
        let dy = rounded(dy, self.precision).tensor;
        let dx = wanted[0].then(|| TchTensor::new(product(&dy, &embedding.tensor)));
        let d_embedding = x.or(read).filter(|_| wanted[1]);
        let d_embedding = d_embedding.map(|x| TchTensor::new(product(&dy.tr(), &x.tensor)));
        [dx, d_embedding]
    }
}

/// Whether operands of products are rounded to another type. The TensorFloat-32 of a GPU is a mode of its products, not a
/// type.
fn rounds(precision: Precision) -> bool {
    precision == Precision::Bf16
}

fn rounded(operand: TchTensor, precision: Precision) -> TchTensor {
    if rounds(precision) {
        TchTensor::new(operand.tensor.to_kind(Kind::BFloat16))
    } else {
        operand
    }
}

/// `a b`, in f32.
fn product(a: &Tensor, b: &Tensor) -> Tensor {
    match a.kind() {
        Kind::Float => a.mm(b),
        _ if a.device().is_cuda() => a.mm_dtype(b, Kind::Float),
        // The CPU's product of bfloat16 sums in f32 but returns bfloat16.
        _ => a.mm(b).to_kind(Kind::Float),
    }
}
