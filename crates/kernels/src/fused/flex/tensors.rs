use burn::{
    backend::flex::{FlexTensor, Layout},
    tensor::{Bytes, DType, Shape},
};

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

/// Room for `elements` numbers that are about to be written.
pub(super) fn buffer(elements: usize) -> Vec<f32> {
    vec![0.0; elements]
}

/// A tensor of these elements.
pub(super) fn tensor<const D: usize>(elements: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(elements),
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
