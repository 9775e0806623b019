//! SciPy beside a Python that lacks it, as those have that were made, or found, for PyTorch.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{error::Error, libtorch, process};

/// The version whose numbers are committed.
const VERSION: &str = "1.16.3";

/// Says which SciPy there is, if any, and for which Python another has to be.
const QUESTION: &str = "
import importlib.metadata, sys
try:
    version = importlib.metadata.version('scipy')
except importlib.metadata.PackageNotFoundError:
    version = 'none'
print(version, sys.implementation.cache_tag)
";

/// The directory that PYTHONPATH is to name, so that `python` imports the pinned SciPy; none where it does so already.
///
/// It is installed once, into the cache and not into the Python's environment, which may be the user's own.
pub fn directory(python: &Path) -> Result<Option<PathBuf>, Error> {
    let answer = Command::new(python)
        .args(["-c", QUESTION])
        .output()
        .map_err(Error::file("ask", python))?;
    let answer = String::from_utf8_lossy(&answer.stdout);
    let (installed, tag) = answer.trim().split_once(' ').unwrap_or(("none", "python"));
    if installed == VERSION {
        return Ok(None);
    }
    let cache = libtorch::cache_directory()?;
    let directory = cache.join(format!("scipy-{VERSION}-{tag}"));
    if !directory.is_dir() {
        install(python, &cache, &directory)?;
    }
    Ok(Some(directory))
}

/// Complete, or not at all: under another name first.
fn install(python: &Path, cache: &Path, directory: &Path) -> Result<(), Error> {
    fs::create_dir_all(cache).map_err(Error::file("create", cache))?;
    let fresh = tempfile::Builder::new()
        .prefix("scipy-")
        .suffix(".tmp")
        .tempdir_in(cache)
        .map_err(Error::file("write to", cache))?;
    let mut pip = Command::new(python);
    // numpy is there, and torch was built for that one.
    pip.args(["-m", "pip", "install", "--no-deps", "--disable-pip-version-check"])
        .arg("--target")
        .arg(fresh.path())
        .arg(format!("scipy=={VERSION}"));
    process::run(&mut pip).map_err(|cause| Error::InstallScipy {
        cause: Box::new(cause),
    })?;
    match fs::rename(fresh.path(), directory) {
        // Another process was faster.
        Err(_) if directory.is_dir() => Ok(()),
        renamed => renamed.map_err(Error::file("write", directory)),
    }
}

/// A PYTHONPATH with a directory in front of what is there.
pub fn python_path(directory: &Path) -> std::ffi::OsString {
    let before = env::var_os("PYTHONPATH").filter(|path| !path.is_empty());
    let mut path = directory.as_os_str().to_owned();
    if let Some(before) = before {
        path.push(":");
        path.push(before);
    }
    path
}
