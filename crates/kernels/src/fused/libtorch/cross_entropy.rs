use burn::backend::{LibTorch, libtorch::TchTensor};
use tch::Tensor;

use super::tensors::writable;
use crate::fused::{CrossEntropy, Operation};

/// The logarithms of the probabilities.
#[derive(Clone, Debug)]
pub struct SavedCrossEntropy(TchTensor);

impl Operation<LibTorch, 1> for CrossEntropy<TchTensor> {
    type Saved = SavedCrossEntropy;

    fn forward(&self, inputs: [TchTensor; 1]) -> (TchTensor, SavedCrossEntropy) {
        let [logits] = inputs;
        let log_p = if logits.can_mut() && logits.tensor.is_contiguous() {
            // Each row is read to its end before it is written.
            let _ = logits.tensor.internal_log_softmax_out(&logits.tensor, 1, false);
            logits
        } else {
            TchTensor::new(logits.tensor.internal_log_softmax(1, false))
        };
        let nll = log_p
            .tensor
            .gather(1, &self.targets(), false)
            .squeeze_dim(1)
            .neg();
        (TchTensor::new(nll), SavedCrossEntropy(log_p))
    }

    /// `(softmax(logits) - one_hot(target)) d_nll`, written over the logarithms.
    fn backward(
        &self,
        _: [Option<TchTensor>; 1],
        SavedCrossEntropy(log_p): SavedCrossEntropy,
        d_nll: TchTensor,
        _: [bool; 1],
    ) -> [Option<TchTensor>; 1] {
        let mut gradient = writable(log_p);
        let d_nll = d_nll.tensor.unsqueeze(1); // [tokens, 1]
        scale_exponential(&gradient.tensor, &d_nll);
        let _ = gradient.tensor.scatter_add_(1, &self.targets(), &d_nll.neg());
        [Some(gradient)]
    }
}

impl CrossEntropy<TchTensor> {
    /// A column.
    fn targets(&self) -> Tensor {
        self.targets.tensor.unsqueeze(1)
    }
}

/// `factor e^x` in the place of `x`, none of whose elements is positive, in one pass: there ELU is `e^x - 1`, and this its
/// backward kernel.
fn scale_exponential(x: &Tensor, factor: &Tensor) {
    const IS_RESULT: bool = false;
    let factor = factor.expand_as(x);
    let _ = Tensor::elu_backward_grad_input(x, &factor, 1.0, 1.0, 1.0, IS_RESULT, x);
}
