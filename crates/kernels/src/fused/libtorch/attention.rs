use burn::backend::{LibTorch, libtorch::TchTensor};
use tch::{Kind, Tensor};

use super::{
    script::vector_jacobian_product,
    tensors::{contiguous, drawn},
};
use crate::{
    Precision,
    fused::{CausalAttention, Operation},
};

/// What LibTorch's autograd recorded of an attention.
#[derive(Clone, Debug)]
pub struct SavedAttention {
    /// A leaf of its graph.
    qkv: TchTensor,
    out: TchTensor,
}

/// Scaled dot-product attention chooses among LibTorch's kernels by device, type and shape: flash attention on a CPU, flash
/// or memory-efficient attention on a GPU, and products with a softmax between them where neither can do it, as on a CPU
/// with dropout. Each keeps something else for its backward pass, so LibTorch's autograd keeps it.
impl Operation<LibTorch, 1> for CausalAttention {
    type Saved = SavedAttention;

    fn forward(&self, inputs: [TchTensor; 1]) -> (TchTensor, SavedAttention) {
        let [input] = inputs.map(contiguous);
        let kind = match self.precision {
            Precision::F32 | Precision::Tf32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        let qkv = input.tensor.to_kind(kind).detach().set_requires_grad(true);
        let attend = || tch::with_grad(|| self.attend(&qkv));
        let out = if self.dropout.is_none() {
            attend()
        } else {
            drawn(self.dropout, attend)
        };
        let y = out.detach().to_kind(Kind::Float);
        // Where nothing was rounded they share their memory.
        let qkv = TchTensor::from_existing(qkv, input.storage);
        let out = TchTensor::new(out);
        let y = TchTensor::from_existing(y, out.storage.clone());
        (y, SavedAttention { qkv, out })
    }

    fn backward(
        &self,
        _: [Option<TchTensor>; 1],
        saved: SavedAttention,
        dy: TchTensor,
        _: [bool; 1],
    ) -> [Option<TchTensor>; 1] {
        let SavedAttention { qkv, out } = saved;
        let dy = dy.tensor.to_kind(out.tensor.kind());
        let d_qkv = vector_jacobian_product(&out.tensor, &qkv.tensor, &dy);
        [Some(TchTensor::new(d_qkv.to_kind(Kind::Float)))]
    }
}

impl CausalAttention {
    /// `[batch * context, 3 * width]` to `[batch * context, width]`, without a transposed copy.
    fn attend(&self, qkv: &Tensor) -> Tensor {
        const SCALE: Option<f64> = None; // 1 / sqrt(channels)
        let [batch, context, heads] =
            [self.shape.batch, self.shape.context, self.shape.heads].map(|size| size as i64);
        // Three of [batch, heads, context, channels]; one copy gathers their gradients.
        let parts = qkv.view([batch, context, 3, heads, -1]).unbind(2);
        let parts: Vec<Tensor> = parts.iter().map(|part| part.transpose(1, 2)).collect();
        let out = Tensor::scaled_dot_product_attention(
            &parts[0],
            &parts[1],
            &parts[2],
            None::<Tensor>,
            self.dropout.probability,
            true,
            SCALE,
            false,
        );
        out.transpose(1, 2).reshape([batch * context, -1])
    }
}
