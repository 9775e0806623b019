use std::{fs, io, path::Path};

use super::{Damage, name::Name};
use crate::records::write_atomically;

/// A pointer to a checkpoint: a file that holds its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// The newest.
    Latest,
    /// The best by validation loss.
    Best,
}

impl Pointer {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Best => "best",
        }
    }

    pub(super) fn read(self, checkpoints: &Path) -> Result<Name, Damage> {
        let path = checkpoints.join(self.file());
        let bytes = fs::read(&path).map_err(Damage::reading(&path))?;
        let text = String::from_utf8_lossy(&bytes);
        text.parse().map_err(|_| Damage::Garbled {
            path: path.display().to_string(),
            reason: format!("`{}` is no name of a checkpoint", text.escape_debug()),
        })
    }

    pub(super) fn write(self, checkpoints: &Path, name: Name) -> io::Result<()> {
        write_atomically(&checkpoints.join(self.file()), name.to_string().as_bytes())
    }
}
