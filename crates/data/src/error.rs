use std::{io, path::Path};

use crate::InvalidFraction;

/// Why there is no data to train on.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or directory cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// No text goes by that name.
    #[error(
        "there is no corpus `{0}`: it is neither `burn-source`, `tinyshakespeare` nor `synthetic`, and no file, \
         directory or glob matches it from here"
    )]
    NoSuchCorpus(String),
    /// A glob is malformed.
    #[error("the glob `{pattern}` is malformed: {reason}")]
    Glob {
        /// The glob.
        pattern: String,
        /// Where and why.
        reason: String,
    },
    /// A file is not text.
    #[error("{path} is not UTF-8 text from byte {offset} on; convert it, or leave it out")]
    NotText {
        /// The file.
        path: String,
        /// The first byte that is not UTF-8.
        offset: usize,
    },
    /// The corpus is too short to be split.
    #[error(
        "the corpus `{0}` is too short: both its training and its validation part need text; take a longer text, or \
         another data.validation_fraction"
    )]
    TooShort(String),
    /// A split has fewer tokens than a sequence and its target need.
    #[error(
        "the {split} split has {tokens} tokens, and a context of {context} needs {}: take a longer text, or a \
         shorter model.context",
        context.saturating_add(1)
    )]
    SplitTooShort {
        /// `training` or `validation`.
        split: &'static str,
        /// Its tokens.
        tokens: usize,
        /// The context asked for.
        context: usize,
    },
    /// A batch without a token is asked for.
    #[error(
        "{sequences} sequences of {context} tokens are no batch: training.batch_size and model.context must be at \
         least 1"
    )]
    EmptyBatch {
        /// The sequences asked for.
        sequences: usize,
        /// The context asked for.
        context: usize,
    },
    /// The configuration makes no sense.
    #[error("data.{0}")]
    Config(#[from] InvalidFraction),
    /// A known text has not its known checksum.
    #[error(
        "{path} has the SHA-256 {found}, and {name} has {expected}: remove it, or put the right file in its place"
    )]
    Checksum {
        /// The corpus.
        name: &'static str,
        /// The file, or the address it came from.
        path: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A known text can neither be found nor fetched.
    #[error(
        "{name} is not here and cannot be fetched from {url} ({reason}); put the file at {place}, with the SHA-256 \
         {expected}"
    )]
    Fetch {
        /// The corpus.
        name: &'static str,
        /// Where it was to come from.
        url: String,
        /// Why it did not.
        reason: String,
        /// Where it is looked for.
        place: String,
        /// Its checksum.
        expected: &'static str,
    },
    /// A prompt has characters that the training text of a `char` tokenizer does not have.
    #[error(
        "the prompt has {unknown:?}, which the training text of this model does not have; write it without, with \
         characters of {known:?}"
    )]
    UnknownCharacters {
        /// Each of them once.
        unknown: String,
        /// The vocabulary.
        known: String,
    },
    /// The byte-pair encoding cannot split a text, or a tokenizer does not know a token.
    #[error("the tokenizer: {0}")]
    Tokenizer(String),
}

impl DataError {
    pub(crate) fn io(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::Io {
            path: path.clone(),
            source,
        }
    }
}
