use std::{fmt, fs, io, path::Path};

/// The longest readable part; a file's name may have 255 bytes.
const LONGEST: usize = 160;

/// A trial's name: the hash of its resolved recipe, which identifies it, and what varies, for a reader.
///
/// Two names are equal where their hashes are.
#[derive(Clone, Debug)]
pub struct TrialId {
    hash: String,
    slug: String,
}

impl TrialId {
    /// The name of the recipe with that hash, among others that differ in `varied` keys.
    pub(crate) fn new(hash: String, varied: &[(&str, String)]) -> Self {
        let last = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
        let short = |key: &str| {
            let ambiguous = varied
                .iter()
                .filter(|(other, _)| last(other) == last(key))
                .count()
                > 1;
            if ambiguous { key.to_owned() } else { last(key) }
        };
        let parts: Vec<String> = varied
            .iter()
            .map(|(key, value)| format!("{}={value}", short(key)))
            .collect();
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || "._=-".contains(c) {
                c
            } else {
                '_'
            }
        };
        let slug: String = parts.join("-").chars().map(safe).take(LONGEST).collect();
        Self { hash, slug }
    }

    /// The first 12 hexadecimal digits of the SHA-256 of the trial's `recipe.toml`.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What the trial's directory is called in `trials`: the one that is there for this hash, whatever else it is called,
    /// or the name of a new one.
    ///
    /// # Errors
    /// Where `trials` cannot be read.
    pub(crate) fn directory_name(&self, trials: &Path) -> io::Result<String> {
        let entries = match fs::read_dir(trials) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(self.to_string()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.split('-').next() == Some(&self.hash) {
                return Ok(name);
            }
        }
        Ok(self.to_string())
    }
}

impl PartialEq for TrialId {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for TrialId {}

impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hash)?;
        if !self.slug.is_empty() {
            write!(f, "-{}", self.slug)?;
        }
        Ok(())
    }
}
