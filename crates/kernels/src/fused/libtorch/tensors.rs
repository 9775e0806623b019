use std::sync::{Mutex, PoisonError};

use burn::backend::libtorch::TchTensor;
use tch::{Kind, Tensor};

use crate::Dropout;

/// A bias, of which an empty one is none.
pub(super) fn bias(tensor: &TchTensor) -> Option<&Tensor> {
    Some(&tensor.tensor).filter(|bias| bias.numel() > 0)
}

/// Rows and columns.
pub(super) fn dimensions(tensor: &TchTensor) -> [i64; 2] {
    let (rows, columns) = tensor.tensor.size2().expect("a matrix");
    [rows, columns]
}

/// The tensor with its elements in row-major order and nothing between them; itself, where that is so already.
pub(super) fn contiguous(tensor: TchTensor) -> TchTensor {
    if tensor.tensor.is_contiguous() {
        tensor
    } else {
        TchTensor::new(tensor.tensor.contiguous())
    }
}

/// The tensor to write over; a copy where its memory is shared.
pub(super) fn writable(tensor: TchTensor) -> TchTensor {
    if tensor.can_mut() {
        tensor
    } else {
        TchTensor::new(tensor.tensor.copy())
    }
}

/// The sum of all rows: the gradient of a bias.
pub(super) fn sum_of_rows(matrix: &Tensor) -> TchTensor {
    TchTensor::new(matrix.sum_dim_intlist(0, false, Kind::Float))
}

/// `dropout(x)`, and the mask that was drawn for it.
pub(super) fn dropped(x: &Tensor, dropout: Dropout) -> (Tensor, Tensor) {
    drawn(dropout, || x.native_dropout(dropout.probability, true))
}

/// The gradient of `x` from that of `dropout(x)`.
pub(super) fn dropped_backward(dy: &Tensor, mask: &Tensor, dropout: Dropout) -> Tensor {
    Tensor::native_dropout_backward(dy, mask, f64::from(dropout.scale()))
}

/// What `draw` draws where the generators of all devices, of which a process has one each, start from the key.
pub(super) fn drawn<T>(dropout: Dropout, draw: impl FnOnce() -> T) -> T {
    static GENERATORS: Mutex<()> = Mutex::new(());
    let _held = GENERATORS.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(dropout.key as i64);
    draw()
}
