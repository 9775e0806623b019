//! What a Python says about itself.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use super::{Installation, is_wanted};

/// Reads package metadata and imports nothing: importing torch takes seconds.
const QUESTION: &str = r#"
import importlib.metadata, importlib.util, json, os, sys

def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

def lib():
    torch = importlib.util.find_spec("torch")
    directory = os.path.join(os.path.dirname(torch.origin), "lib") if torch and torch.origin else ""
    libraries = [os.path.join(directory, "libtorch_cpu." + kind) for kind in ("so", "dylib")]
    return directory if any(map(os.path.exists, libraries)) else None

print(json.dumps({
    "executable": sys.executable,
    "version": sys.version_info[:2],
    "venv": sys.prefix if sys.prefix != sys.base_prefix else None,
    "torch": version("torch"),
    "numpy": version("numpy"),
    "setuptools": version("setuptools"),
    "safetensors": version("safetensors"),
    "lib": lib(),
}))
"#;

/// A Python and the packages in it that matter here.
#[derive(Clone, Debug, Deserialize)]
pub struct Python {
    pub executable: PathBuf,
    pub version: (u32, u32),
    /// The virtual environment that it belongs to.
    pub venv: Option<PathBuf>,
    pub torch: Option<String>,
    pub numpy: Option<String>,
    pub setuptools: Option<String>,
    pub safetensors: Option<String>,
    /// Where torch's libraries are, if they are.
    pub lib: Option<PathBuf>,
}

impl Python {
    /// Asks the interpreter; `None` where there is none, or it is too old to answer.
    pub fn ask(program: &Path) -> Option<Self> {
        let output = Command::new(program).args(["-c", QUESTION]).output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Its PyTorch, where that has the wanted version and can be built against, compared with, and read checkpoints with.
    pub fn into_installation(self) -> Option<Installation> {
        self.safetensors.as_ref()?;
        self.into_any_installation()
            .filter(|installation| is_wanted(installation.version()))
    }

    /// Its PyTorch, where that can be built against (torch-sys asks setuptools for the paths) and compared with (numpy).
    pub fn into_any_installation(self) -> Option<Installation> {
        self.numpy?;
        self.setuptools?;
        Some(Installation::PyTorch {
            python: self.executable,
            venv: self.venv,
            lib: self.lib?,
            version: self.torch?,
        })
    }
}

#[cfg(test)]
impl Python {
    /// An active virtual environment with all that is needed.
    pub fn example() -> Self {
        Self {
            executable: "/venv/bin/python".into(),
            version: (3, 12),
            venv: Some("/venv".into()),
            torch: Some("2.9.0+cu128".into()),
            numpy: Some("2.3.5".into()),
            setuptools: Some("80.9.0".into()),
            safetensors: Some("0.8.0".into()),
            lib: Some("/venv/lib/python3.12/site-packages/torch/lib".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_answers() {
        let python = Python::ask(Path::new("python3")).unwrap();
        assert!(python.version >= (3, 8), "{python:?}");
    }

    #[test]
    fn what_is_not_a_python_does_not_answer() {
        assert!(Python::ask(Path::new("true")).is_none());
        assert!(Python::ask(Path::new("no-such-program")).is_none());
    }

    #[test]
    fn a_pytorch_without_its_companions_does_not_count() {
        let complete = Python::example;
        assert!(complete().into_installation().is_some());
        assert_eq!(
            Python {
                numpy: None,
                ..complete()
            }
            .into_installation(),
            None
        );
        assert_eq!(
            Python {
                setuptools: None,
                ..complete()
            }
            .into_installation(),
            None
        );
        assert_eq!(
            Python {
                safetensors: None,
                ..complete()
            }
            .into_installation(),
            None
        );
        assert_eq!(
            Python {
                lib: None,
                ..complete()
            }
            .into_installation(),
            None
        );
    }
}
