//! Finding or provisioning the one LibTorch that Burn's backend is built against.

mod environment;
mod python;
mod venv;

use std::{env, fs, path::PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};

use crate::error::Error;
pub use environment::Environment;
use python::Python;
pub use venv::cache_directory;

/// The version that tch, and so Burn's LibTorch backend, accepts.
const TORCH_VERSION: &str = "2.9.0";

/// The library that every LibTorch has.
const LIBRARY: &str = if cfg!(target_os = "macos") {
    "libtorch_cpu.dylib"
} else {
    "libtorch_cpu.so"
};

/// A LibTorch that can be built against and run with.
#[derive(Clone, Debug, PartialEq)]
enum Installation {
    /// An unpacked libtorch archive; no Python comes with it.
    Archive { root: PathBuf, version: String },
    /// The PyTorch of a Python.
    PyTorch {
        python: PathBuf,
        venv: Option<PathBuf>,
        lib: PathBuf,
        version: String,
    },
}

impl Installation {
    fn lib(&self) -> PathBuf {
        match self {
            Self::Archive { root, .. } => root.join("lib"),
            Self::PyTorch { lib, .. } => lib.clone(),
        }
    }

    fn version(&self) -> &str {
        match self {
            Self::Archive { version, .. } | Self::PyTorch { version, .. } => version,
        }
    }
}

/// What `LIBTORCH` names, as found on disk.
struct Archive {
    root: PathBuf,
    /// The text of its file `build-version`.
    version: Option<String>,
    has_library: bool,
}

impl Archive {
    fn probe(root: PathBuf) -> Self {
        let version = fs::read_to_string(root.join("build-version")).ok();
        let has_library = root.join("lib").join(LIBRARY).is_file();
        Self {
            root,
            version,
            has_library,
        }
    }
}

/// The environment to build and run with LibTorch in; provisions one where there is none.
pub fn environment() -> Result<Environment, Error> {
    let archive = variable("LIBTORCH").map(Archive::probe);
    let active = match &archive {
        Some(_) => None,
        None => Python::ask(&active_python()),
    };
    let installation = match choose(archive, active)? {
        Some(installation) => installation,
        None => venv::provision()?,
    };
    eprintln!(
        "LibTorch {}: {}",
        installation.version(),
        installation.lib().display()
    );
    Ok(Environment::new(
        &installation,
        workspace()?.target_directory.as_std_path(),
    ))
}

/// The environment to build against the PyTorch of the active Python in, of whatever version.
pub fn active_environment() -> Result<Environment, Error> {
    let python = active_python();
    let installation = Python::ask(&python).and_then(Python::into_any_installation);
    let installation = installation.ok_or(Error::NoActivePyTorch { python })?;
    eprintln!(
        "LibTorch {}: {}",
        installation.version(),
        installation.lib().display()
    );
    let target = workspace()?.target_directory;
    Ok(Environment::new(&installation, target.as_std_path()).for_any_version())
}

/// What Cargo knows of this workspace.
pub fn workspace() -> Result<Metadata, Error> {
    Ok(MetadataCommand::new().no_deps().exec()?)
}

/// What is here already: `LIBTORCH` before the active Python. `None` says that one must be provisioned.
///
/// A `LIBTORCH` that does not fit is an error, because somebody set it on purpose; a Python without a fitting PyTorch
/// is just a Python.
fn choose(archive: Option<Archive>, active: Option<Python>) -> Result<Option<Installation>, Error> {
    match archive {
        Some(archive) => usable_archive(archive).map(Some),
        None => Ok(active.and_then(Python::into_installation)),
    }
}

fn usable_archive(archive: Archive) -> Result<Installation, Error> {
    let Archive {
        root,
        version,
        has_library,
    } = archive;
    let wrong = |root, found| {
        Err(Error::WrongLibtorch {
            root,
            found,
            wanted: TORCH_VERSION,
        })
    };
    match version.map(|version| version.trim().to_owned()) {
        None => wrong(root, "has no file `build-version`".to_owned()),
        Some(version) if !is_wanted(&version) => wrong(root, format!("holds version {version}")),
        Some(_) if !has_library => wrong(root, format!("has no lib/{LIBRARY}")),
        Some(version) => Ok(Installation::Archive { root, version }),
    }
}

/// Python as torch-sys looks for it.
fn active_python() -> PathBuf {
    match variable("VIRTUAL_ENV") {
        Some(venv) => venv.join("bin/python"),
        None => PathBuf::from("python3"),
    }
}

/// The path that an environment variable names; an empty one names none.
pub fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// Whether the version is the wanted one, in whatever variant (`2.9.0+cpu`, `2.9.0+cu128`).
fn is_wanted(version: &str) -> bool {
    version.split('+').next() == Some(TORCH_VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(version: Option<&str>, has_library: bool) -> Archive {
        Archive {
            root: "/opt/libtorch".into(),
            version: version.map(str::to_owned),
            has_library,
        }
    }

    #[test]
    fn a_variant_of_the_version_is_wanted_and_another_version_is_not() {
        for (version, wanted) in [
            ("2.9.0", true),
            ("2.9.0+cpu", true),
            ("2.9.0+cu128", true),
            ("2.9.1", false),
            ("2.9.0a0", false),
            ("", false),
        ] {
            assert_eq!(is_wanted(version), wanted, "{version}");
        }
    }

    #[test]
    fn libtorch_comes_before_the_active_python() {
        let chosen = choose(Some(archive(Some("2.9.0+cpu\n"), true)), Some(Python::example())).unwrap();
        let expected = Installation::Archive {
            root: "/opt/libtorch".into(),
            version: "2.9.0+cpu".into(),
        };
        assert_eq!(chosen, Some(expected));
    }

    #[test]
    fn a_libtorch_that_does_not_fit_is_an_error_that_says_why() {
        for (archive, why) in [
            (archive(None, true), "build-version"),
            (archive(Some("2.8.0"), true), "2.8.0"),
            (archive(Some("2.9.0"), false), "lib/"),
        ] {
            let error = choose(Some(archive), Some(Python::example()))
                .unwrap_err()
                .to_string();
            assert!(error.contains(why) && error.contains("help:"), "{error}");
        }
    }

    #[test]
    fn the_active_python_comes_before_provisioning() {
        let chosen = choose(None, Some(Python::example())).unwrap();
        assert_eq!(
            chosen.map(|installation| installation.lib()),
            Python::example().lib
        );
    }

    #[test]
    fn without_anything_that_fits_one_is_provisioned() {
        let old = Python {
            torch: Some("2.8.0".into()),
            ..Python::example()
        };
        assert_eq!(choose(None, Some(old)).unwrap(), None);
        assert_eq!(choose(None, None).unwrap(), None);
    }

    #[test]
    fn an_archive_is_read_from_disk() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("build-version"), "2.9.0+cpu\n").unwrap();
        fs::create_dir(root.path().join("lib")).unwrap();
        fs::write(root.path().join("lib").join(LIBRARY), "").unwrap();
        assert!(usable_archive(Archive::probe(root.path().into())).is_ok());
    }
}
