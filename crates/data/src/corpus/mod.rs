mod burn_source;
mod file;
mod synthetic;
pub mod tinyshakespeare;

use std::borrow::Cow;

use crate::{DataError, OpenOptions};

/// A text, and what is known of it.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The text.
    pub text: Cow<'static, str>,
    /// The entropy rate of its source in nats per character, where that is known.
    pub entropy: Option<f64>,
}

impl Corpus {
    /// Opens the corpus that `data.corpus` names.
    ///
    /// # Errors
    /// Where there is none of that name, or its files cannot be read.
    pub fn open(name: &str, options: &OpenOptions) -> Result<Self, DataError> {
        let unknown_entropy = |text: Cow<'static, str>| Self { text, entropy: None };
        match name {
            "burn-source" => Ok(unknown_entropy(Cow::Borrowed(burn_source::TEXT))),
            "tinyshakespeare" => {
                let text = tinyshakespeare::open(options, tinyshakespeare::URL)?;
                Ok(unknown_entropy(Cow::Owned(text)))
            }
            "synthetic" => {
                let source = synthetic::Source::standard();
                Ok(Self {
                    text: Cow::Owned(source.text()),
                    entropy: Some(source.entropy_rate()),
                })
            }
            path => Ok(unknown_entropy(Cow::Owned(file::open(path)?))),
        }
    }
}
