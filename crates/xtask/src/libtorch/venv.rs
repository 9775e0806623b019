//! PyTorch in a virtual environment of our own, made once in the user's cache directory.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Installation, TORCH_VERSION, python::Python, variable};
use crate::{error::Error, process};

/// What is installed. torch-sys asks setuptools where PyTorch is; tests hand arrays to PyTorch through numpy, and read
/// checkpoints with safetensors.
const PACKAGES: [&str; 4] = [
    "torch==2.9.0",
    "numpy==2.3.5",
    "setuptools==80.9.0",
    "safetensors==0.8.0",
];

/// The minor versions of Python 3 that all of `PACKAGES` have wheels for.
const OLDEST_PYTHON: u32 = 11;
const NEWEST_PYTHON: u32 = 14;

/// The last file to be written: without it the environment is half made. It lists what was installed.
const MARKER: &str = "complete";

/// On disk in the end, and while pip unpacks; PyPI's PyTorch for x86-64 Linux brings CUDA along.
const DISK_GB: u64 = if WITH_CUDA { 7 } else { 2 };
const NEEDED_GB: u64 = DISK_GB + 3;
const WITH_CUDA: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// The cached environment; makes it where there is none, or where what is there is half made, and installs what one
/// that an earlier version made lacks.
pub fn provision() -> Result<Installation, Error> {
    let cache = cache_directory()?;
    let venv = cache.join(format!("torch-{TORCH_VERSION}"));
    if let Some(installation) = complete(&venv) {
        return Ok(installation);
    }
    fs::create_dir_all(&cache).map_err(Error::file("create", &cache))?;
    let lock = lock(&venv.with_added_extension("lock"))?;
    // Whoever held the lock may have made it.
    if let Some(installation) = complete(&venv) {
        return Ok(installation);
    }
    make(&venv, &lock)
}

/// Where what is provisioned is kept: CUPEL_CACHE, or `cupel` in the user's cache directory.
pub fn cache_directory() -> Result<PathBuf, Error> {
    let in_users_cache = || Some(dirs::cache_dir()?.join("cupel"));
    let directory = variable("CUPEL_CACHE")
        .or_else(in_users_cache)
        .ok_or(Error::NoCacheDirectory)?;
    std::path::absolute(&directory).map_err(Error::file("find", directory))
}

fn complete(venv: &Path) -> Option<Installation> {
    let installed = fs::read_to_string(venv.join(MARKER)).ok()?;
    if installed != marker() {
        return None;
    }
    Python::ask(&interpreter(venv))?.into_installation()
}

/// Whether an environment was complete for an earlier version, with the same PyTorch: what it lacks is installed into it.
fn lacks_little(installed: &str, python: Option<Python>) -> bool {
    installed.lines().any(|package| package == PACKAGES[0])
        && python.is_some_and(|python| python.into_any_installation().is_some())
}

fn marker() -> String {
    PACKAGES.map(|package| format!("{package}\n")).concat()
}

fn interpreter(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// The lock is held for as long as the file is open.
fn lock(path: &Path) -> Result<File, Error> {
    let opened = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let file = opened.map_err(Error::file("create", path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            eprintln!("Waiting for another process that is installing PyTorch ...")
        }
        Err(TryLockError::Error(cause)) => return Err(Error::file("lock", path)(cause)),
    }
    file.lock().map_err(Error::file("lock", path))?;
    Ok(file)
}

/// A virtual environment cannot be moved, so it is made in place, and marked when it is complete.
fn make(venv: &Path, lock: &File) -> Result<Installation, Error> {
    let installed = fs::read_to_string(venv.join(MARKER)).unwrap_or_default();
    if !lacks_little(&installed, Python::ask(&interpreter(venv))) {
        create(venv, lock)?;
    }
    install(venv, lock)?;
    mark(venv)?;
    complete(venv).ok_or_else(|| {
        let cause = io::Error::other("PyTorch is installed, but its libraries are not where they should be");
        Error::file("use", venv)(cause)
    })
}

fn create(venv: &Path, lock: &File) -> Result<(), Error> {
    let python = suitable_python()?;
    if venv.exists() {
        eprintln!("Removing {}, which is not complete", venv.display());
        fs::remove_dir_all(venv).map_err(Error::file("remove", venv))?;
    }
    fs::create_dir(venv).map_err(Error::file("create", venv))?;
    enough_space(venv)?;
    eprintln!(
        "Installing PyTorch {TORCH_VERSION} in {}: about {DISK_GB} GB, once, some minutes",
        venv.display()
    );
    let mut make = Command::new(python);
    run(make.args(["-m", "venv"]).arg(venv), lock).map_err(|cause| Error::NoVenv {
        cause: Box::new(cause),
    })
}

fn install(venv: &Path, lock: &File) -> Result<(), Error> {
    let failed = |cause| Error::Install {
        path: venv.to_owned(),
        cause: Box::new(cause),
    };
    // /tmp may be small, and its disk is not the one that was found to have room.
    let scratch = venv.join("tmp");
    fs::create_dir_all(&scratch).map_err(Error::file("create", &scratch))?;
    let mut pip = Command::new(interpreter(venv));
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-cache-dir",
        "--disable-pip-version-check",
    ])
    .args(PACKAGES);
    run(pip.env("TMPDIR", &scratch), lock).map_err(failed)?;
    fs::remove_dir_all(&scratch).map_err(Error::file("remove", &scratch))?;

    let mut import = Command::new(interpreter(venv));
    let packages = "import numpy, safetensors.numpy, torch, torch.utils.cpp_extension";
    run(import.args(["-c", packages]), lock).map_err(failed)
}

/// Runs with stdout sent to stderr: our own stdout is for a shell to evaluate.
///
/// Its stdin is the lock, an empty file: should we be killed, the lock is held until this program has ended too.
fn run(command: &mut Command, lock: &File) -> Result<(), Error> {
    let stdin = lock.try_clone().map_err(Error::file("share", "the lock"))?;
    process::run(command.stdin(stdin).stdout(io::stderr()))
}

fn mark(venv: &Path) -> Result<(), Error> {
    let path = venv.join(MARKER);
    let half_written = path.with_added_extension("tmp");
    fs::write(&half_written, marker()).map_err(Error::file("write", &half_written))?;
    fs::rename(&half_written, &path).map_err(Error::file("write", &path))
}

/// `python3`, or else another Python on PATH, that PyTorch has wheels for.
fn suitable_python() -> Result<PathBuf, Error> {
    let versioned = (OLDEST_PYTHON..=NEWEST_PYTHON)
        .rev()
        .map(|minor| format!("python3.{minor}"));
    let candidates = std::iter::once("python3".to_owned()).chain(versioned);
    let found: Vec<Python> = candidates
        .filter_map(|name| Python::ask(Path::new(&name)))
        .collect();
    match found.iter().find(|python| is_suitable(python.version)) {
        Some(python) => Ok(python.executable.clone()),
        None => Err(no_python(&found)),
    }
}

fn is_suitable((major, minor): (u32, u32)) -> bool {
    major == 3 && (OLDEST_PYTHON..=NEWEST_PYTHON).contains(&minor)
}

fn no_python(found: &[Python]) -> Error {
    let found = match found.first() {
        Some(Python {
            version: (major, minor),
            ..
        }) => format!("python3 is {major}.{minor}"),
        None => "there is no python3 on PATH".to_owned(),
    };
    Error::NoPython {
        torch: TORCH_VERSION,
        oldest: OLDEST_PYTHON,
        newest: NEWEST_PYTHON,
        found,
    }
}

fn enough_space(path: &Path) -> Result<(), Error> {
    let free = fs4::available_space(path).map_err(Error::file("measure", path))? / 1_000_000_000;
    if free < NEEDED_GB {
        Err(Error::DiskFull {
            path: path.to_owned(),
            needed: NEEDED_GB,
            free,
        })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_torch_is_the_wanted_one() {
        assert_eq!(PACKAGES[0], format!("torch=={TORCH_VERSION}"));
    }

    #[test]
    fn pythons_with_wheels_are_suitable() {
        for (version, suitable) in [
            ((2, 12), false),
            ((3, 10), false),
            ((3, 11), true),
            ((3, 14), true),
            ((3, 15), false),
        ] {
            assert_eq!(is_suitable(version), suitable, "{version:?}");
        }
    }

    #[test]
    fn the_python_that_is_too_old_is_named() {
        let old = Python {
            version: (3, 9),
            ..Python::example()
        };
        let error = no_python(&[old]).to_string();
        assert!(
            error.contains("3.9") && error.contains("apt-get install"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_without_its_marker_is_not_complete() {
        let venv = tempfile::tempdir().unwrap();
        assert_eq!(complete(venv.path()), None);
    }

    #[test]
    fn a_marker_of_other_packages_does_not_count() {
        let venv = tempfile::tempdir().unwrap();
        fs::write(venv.path().join(MARKER), "torch==2.8.0\n").unwrap();
        assert_eq!(complete(venv.path()), None);
    }

    #[test]
    fn an_environment_of_the_same_pytorch_is_added_to() {
        let python = Python {
            safetensors: None,
            ..Python::example()
        };
        let broken = Python {
            lib: None,
            ..Python::example()
        };
        let installed = "torch==2.9.0\nnumpy==2.3.5\nsetuptools==80.9.0\n";
        assert!(lacks_little(installed, Some(python.clone())));
        assert!(!lacks_little("torch==2.8.0\n", Some(python.clone())));
        assert!(!lacks_little("", Some(python)));
        assert!(!lacks_little(installed, Some(broken)));
        assert!(!lacks_little(installed, None));
    }

    #[test]
    fn a_second_process_waits_for_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = lock(&path).unwrap();
        let other = File::open(&path).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        assert!(other.try_lock().is_ok());
    }
}
