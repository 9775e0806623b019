use std::{
    io::{Cursor, Write},
    sync::LazyLock,
};

use tch::{CModule, IValue, Tensor};
use zip::{CompressionMethod, ZipWriter, result::ZipResult, write::FileOptions};

/// Operations of LibTorch that tch has no function for, called by TorchScript.
static SCRIPT: LazyLock<CModule> = LazyLock::new(|| {
    let archive = archive().expect("a buffer in memory can be written");
    CModule::load_data(&mut Cursor::new(archive)).expect("the script is one")
});

/// The files of a TorchScript archive, which is an uncompressed zip: a class without fields, an instance of it, and its
/// source. <https://github.com/pytorch/pytorch/blob/v2.9.0/torch/csrc/jit/docs/serialization.md>
const FILES: [(&str, &[u8]); 5] = [
    ("version", b"3\n"),
    ("byteorder", b"little"),
    ("constants.pkl", b"\x80\x02)."),
    ("data.pkl", b"\x80\x02c__torch__\nOperations\n)\x81}b."),
    ("code/__torch__.py", include_bytes!("script.py")),
];

fn archive() -> ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = FileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, content) in FILES {
        zip.start_file(format!("kernels/{name}"), stored)?;
        zip.write_all(content)?;
    }
    Ok(zip.finish()?.into_inner())
}

/// The gradients of `x`, weight and bias from that of `layer_norm(x)`; a missing bias may be any tensor of its shape.
pub(super) fn layer_norm_backward(
    dy: &Tensor,
    x: &Tensor,
    [mean, inverse_deviation]: [&Tensor; 2],
    weight: &Tensor,
    bias: &Tensor,
) -> [Tensor; 3] {
    let arguments = [dy, x, mean, inverse_deviation, weight, bias].map(tensor);
    match call("layer_norm_backward", &arguments) {
        IValue::Tuple(gradients) => gradients
            .into_iter()
            .map(into_tensor)
            .collect::<Vec<_>>()
            .try_into()
            .expect("three gradients"),
        other => unreachable!("a tuple, not {other:?}"),
    }
}

/// The gradient of `x` from that of `y`, which LibTorch computed from `x` while its autograd recorded.
pub(super) fn vector_jacobian_product(y: &Tensor, x: &Tensor, dy: &Tensor) -> Tensor {
    into_tensor(call("vector_jacobian_product", &[y, x, dy].map(tensor)))
}

/// One update of `theta`, `m` and `v` by AdamW, in place; the numbers are lr, beta1, beta2, weight decay and epsilon.
pub(super) fn adamw([theta, g, m, v, t]: [&Tensor; 5], numbers: [f64; 5]) {
    // Lists from outside: what is written to the elements of a list of its own, the script's compiler takes for unused.
    let tensors = [theta, g, m, v, t].map(|tensor| IValue::TensorList(vec![tensor.shallow_clone()]));
    let arguments: Vec<IValue> = tensors.into_iter().chain(numbers.map(IValue::Double)).collect();
    call("adamw", &arguments);
}

fn call(method: &str, arguments: &[IValue]) -> IValue {
    // As with every other operation of tch, what fails here is a shape or a device that does not fit, or memory.
    SCRIPT
        .method_is(method, arguments)
        .unwrap_or_else(|error| panic!("{method}: {error}"))
}

fn tensor(tensor: &Tensor) -> IValue {
    IValue::Tensor(tensor.shallow_clone())
}

fn into_tensor(value: IValue) -> Tensor {
    match value {
        IValue::Tensor(tensor) => tensor,
        other => unreachable!("a tensor, not {other:?}"),
    }
}
