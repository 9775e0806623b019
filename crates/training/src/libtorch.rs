//! What is known of the LibTorch that this process has loaded.

use std::{fs, path::PathBuf};

/// The version that the backend is made for.
pub const WANTED: &str = "2.9.0";

/// The number of GPUs that LibTorch finds; 0 where it was built without CUDA or there is no driver.
pub fn gpus() -> usize {
    usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
}

/// Whether LibTorch was built with CUDA and finds a driver.
pub fn cuda_is_available() -> bool {
    tch::Cuda::is_available()
}

/// The version of the loaded library; none where it cannot be found out.
///
/// LibTorch does not say its version through C. A distribution of LibTorch has it in the file `build-version`, and
/// PyTorch's wheel in `version.py`, each beside the directory `lib`.
pub fn version() -> Option<String> {
    let library = path()?;
    let root = library.parent()?.parent()?;
    if let Ok(version) = fs::read_to_string(root.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let python = fs::read_to_string(root.join("version.py")).ok()?;
    let line = python.lines().find(|line| line.starts_with("__version__"))?;
    line.split('\'').nth(1).map(str::to_owned)
}

/// The path of the loaded `libtorch_cpu`, from the process's memory map; Linux alone has one.
pub fn path() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    path.filter(|path| path.contains("libtorch_cpu"))
        .map(PathBuf::from)
        .next()
}
