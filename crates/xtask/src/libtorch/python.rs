//! What a Python says about itself.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use super::{Installation, has_library, is_wanted};

/// Reads package metadata and imports nothing: importing torch takes seconds.
const QUESTION: &str = r#"
import importlib.metadata, importlib.util, json, os, sys

def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None

torch = importlib.util.find_spec("torch")
print(json.dumps({
    "executable": sys.executable,
    "version": sys.version_info[:2],
    "venv": sys.prefix if sys.prefix != sys.base_prefix else None,
    "torch": version("torch"),
    "numpy": version("numpy"),
    "setuptools": version("setuptools"),
    "lib": os.path.join(os.path.dirname(torch.origin), "lib") if torch and torch.origin else None,
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
    /// Where torch's libraries are.
    pub lib: Option<PathBuf>,
}

impl Python {
    /// Asks the interpreter; `None` where there is none, or it is too old to answer.
    pub fn ask(program: &Path) -> Option<Self> {
        let output = Command::new(program).args(["-c", QUESTION]).output().ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }

    /// Its PyTorch, where that can be built against (torch-sys asks setuptools for the paths) and compared with (numpy).
    pub fn into_installation(self) -> Option<Installation> {
        let version = self.torch.filter(|version| is_wanted(version))?;
        let lib = self.lib?;
        self.numpy?;
        self.setuptools?;
        Some(Installation::PyTorch { python: self.executable, venv: self.venv, lib, version })
            .filter(|installation| cfg!(test) || has_library(&installation.lib()))
    }
}
