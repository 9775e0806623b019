use burn::{
    backend::flex::{FlexTensor, Layout},
    tensor::{DType, Shape},
};

use super::memory::Buffer;
use crate::cpu::sums;

/// The tensor with its elements in row-major order and nothing between them; itself, where that is so already.
pub(super) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    // The clone that this makes is the only one once `tensor` is gone, so a tensor that was unique stays so.
    tensor.to_contiguous()
}

/// The elements of a contiguous tensor.
pub(super) fn elements(tensor: &FlexTensor) -> &[f32] {
    tensor.storage()
}

/// The elements of a bias, of which an empty one is none.
pub(super) fn bias(tensor: &FlexTensor) -> Option<&[f32]> {
    Some(elements(tensor)).filter(|bias| !bias.is_empty())
}

/// Rows and columns.
pub(super) fn dimensions(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.layout().shape();
    [shape[0], shape[1]]
}

/// A tensor of these elements.
pub(super) fn tensor<const D: usize>(elements: Buffer, shape: [usize; D]) -> FlexTensor {
    FlexTensor::new(
        elements.into_bytes(),
        Layout::contiguous(Shape::from(shape)),
        DType::F32,
    )
}

/// The ids of an integer tensor, row-major.
pub(super) fn ids(tensor: &FlexTensor) -> Vec<u32> {
    let tensor = tensor.to_contiguous();
    match tensor.dtype() {
        DType::I32 => tensor.storage::<i32>().iter().map(|&id| id as u32).collect(),
        DType::I64 => tensor.storage::<i64>().iter().map(|&id| id as u32).collect(),
        other => unreachable!("Flex has integers of 32 or 64 bits, not {other:?}"),
    }
}

/// The sum of the squares of all elements, in one pass over memory.
pub(in crate::fused) fn sum_of_squares(tensor: FlexTensor) -> f64 {
    sums::sum_of_squares(elements(&contiguous(tensor)))
}

/// Every element times `factor`, in place where the tensor is unique.
pub(in crate::fused) fn scale(tensor: FlexTensor, factor: f32) -> FlexTensor {
    let mut tensor = contiguous(tensor);
    sums::scale(tensor.storage_mut(), factor);
    tensor
}
