use std::{fmt, str::FromStr};

use burn::tensor::Device;
use kernels::cpu::pool;

/// A device, as `--device` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceName {
    /// `flex`: the embedded CPU backend in pure Rust.
    #[default]
    Flex,
    /// `libtorch`: LibTorch on the CPU.
    Libtorch,
    /// `libtorch:cuda:N`: LibTorch on the GPU of that index.
    LibtorchCuda(usize),
}

/// Why there is no such device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum DeviceError {
    /// No device is called that.
    #[error(
        "there is no device `{0}`: the devices are flex, libtorch and libtorch:cuda:N; `cupel devices` shows what is here"
    )]
    Unknown(String),
    /// This build lacks the backend.
    #[error("this build has no LibTorch backend, which `{0}` needs")]
    #[diagnostic(help(
        "build with the feature `tch`: cargo xtask libtorch -- cargo run --release --features tch -- ..."
    ))]
    NotInThisBuild(DeviceName),
    /// LibTorch does not see that GPU.
    #[error("LibTorch finds {found} GPUs, so there is no `{name}`")]
    #[diagnostic(help("`cupel devices` shows what LibTorch finds, and what may be missing"))]
    NoSuchGpu {
        /// The device.
        name: DeviceName,
        /// How many there are.
        found: usize,
    },
}

impl DeviceName {
    /// The device itself.
    ///
    /// # Errors
    /// Where this build or this machine has no such device.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Flex => Ok(Device::flex()),
            Self::Libtorch | Self::LibtorchCuda(_) => open_libtorch(self),
        }
    }

    /// Runs the training steps of `work` as they run fastest: on Flex with rayon's threads kept awake; elsewhere those
    /// would only be in the way of the backend's own.
    pub fn attend<R: Send>(self, work: impl FnOnce() -> R + Send) -> R {
        match self {
            Self::Flex => pool::awake(work),
            Self::Libtorch | Self::LibtorchCuda(_) => work(),
        }
    }
}

/// The one place where LibTorch devices are made.
#[cfg(feature = "tch")]
#[expect(
    deprecated,
    reason = "Burn's LibTorch backend is in its last release; a successor takes this place"
)]
fn open_libtorch(name: DeviceName) -> Result<Device, DeviceError> {
    match name {
        DeviceName::LibtorchCuda(index) => {
            let found = crate::libtorch::gpus();
            if index < found {
                Ok(Device::libtorch_cuda(index))
            } else {
                Err(DeviceError::NoSuchGpu { name, found })
            }
        }
        _ => Ok(Device::libtorch()),
    }
}

#[cfg(not(feature = "tch"))]
fn open_libtorch(name: DeviceName) -> Result<Device, DeviceError> {
    Err(DeviceError::NotInThisBuild(name))
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flex => f.write_str("flex"),
            Self::Libtorch => f.write_str("libtorch"),
            Self::LibtorchCuda(index) => write!(f, "libtorch:cuda:{index}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "flex" => Ok(Self::Flex),
            "libtorch" => Ok(Self::Libtorch),
            _ => text
                .strip_prefix("libtorch:cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::LibtorchCuda)
                .ok_or_else(|| DeviceError::Unknown(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [
            DeviceName::Flex,
            DeviceName::Libtorch,
            DeviceName::LibtorchCuda(3),
        ] {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for text in ["", "cuda", "libtorch:cuda:", "libtorch:cuda:-1", "Flex"] {
            assert_eq!(
                text.parse::<DeviceName>(),
                Err(DeviceError::Unknown(text.to_owned()))
            );
        }
    }
}
