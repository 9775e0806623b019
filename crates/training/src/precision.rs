use std::env;

use burn::tensor::Device;
use kernels::Precision;

/// What LibTorch reads at its start, once, and cannot be told in any other way through C.
const ENABLES_TF32: &str = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE";

/// Why a device does not compute with a precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrecisionError {
    /// Not one of NVIDIA's GPUs.
    #[error(
        "training.precision = \"tf32\" is for LibTorch on a GPU; set it to \"f32\" or \"bf16\", or train with --device \
         libtorch:cuda:0"
    )]
    NeedsGpu,
    /// LibTorch was not started for it.
    #[error(
        "LibTorch takes up TensorFloat-32 at its start alone: for training.precision = \"tf32\" set {ENABLES_TF32}=1"
    )]
    NotEnabled,
    /// LibTorch was started for another one.
    #[error(
        "{ENABLES_TF32} is set, with which LibTorch rounds what training.precision = \"f32\" should not; unset it, or \
         set training.precision = \"tf32\""
    )]
    Rounds,
}

/// Whether products on `device` are computed with `precision`.
///
/// # Errors
/// Where they are not.
pub fn check_precision(precision: Precision, device: &Device) -> Result<(), PrecisionError> {
    let enabled = env::var_os(ENABLES_TF32).is_some_and(|value| value == "1");
    check(precision, is_cuda(device), enabled)
}

fn check(precision: Precision, is_cuda: bool, enabled: bool) -> Result<(), PrecisionError> {
    match precision {
        Precision::Tf32 if !is_cuda => Err(PrecisionError::NeedsGpu),
        Precision::Tf32 if !enabled => Err(PrecisionError::NotEnabled),
        Precision::F32 if is_cuda && enabled => Err(PrecisionError::Rounds),
        _ => Ok(()),
    }
}

#[cfg(feature = "tch")]
#[expect(deprecated, reason = "Burn's LibTorch backend is in its last release")]
fn is_cuda(device: &Device) -> bool {
    use burn::backend::{DispatchDevice, libtorch::LibTorchDevice};
    matches!(
        device.clone().inner().as_dispatch(),
        DispatchDevice::LibTorch(LibTorchDevice::Cuda(_))
    )
}

#[cfg(not(feature = "tch"))]
fn is_cuda(_: &Device) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tf32_is_for_a_gpu_that_was_started_for_it_and_f32_for_one_that_was_not() {
        use Precision::{Bf16, F32, Tf32};
        for (precision, is_cuda, enabled, expected) in [
            (F32, false, false, Ok(())),
            (F32, false, true, Ok(())),
            (F32, true, false, Ok(())),
            (F32, true, true, Err(PrecisionError::Rounds)),
            (Bf16, false, false, Ok(())),
            (Bf16, true, true, Ok(())),
            (Tf32, false, true, Err(PrecisionError::NeedsGpu)),
            (Tf32, true, false, Err(PrecisionError::NotEnabled)),
            (Tf32, true, true, Ok(())),
        ] {
            assert_eq!(check(precision, is_cuda, enabled), expected, "{precision:?}");
        }
    }

    #[test]
    fn flex_has_no_tf32() {
        assert_eq!(
            check_precision(Precision::Tf32, &Device::flex().autodiff()),
            Err(PrecisionError::NeedsGpu)
        );
    }
}
