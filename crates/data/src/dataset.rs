use std::{env, path::PathBuf};

use crate::{Corpus, DataConfig, DataError, Tokenizer, TokenizerName, Tokens, tokens::sha256};

/// Changes with anything that changes the tokens of a text.
const CACHE_VERSION: u32 = 1;

/// Where data is looked for and kept.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// A directory with `tinyshakespeare.txt`, read only.
    pub data_directory: Option<PathBuf>,
    /// Where downloads and token streams are kept.
    pub cache_directory: PathBuf,
}

impl OpenOptions {
    /// The data directory from `CUPEL_DATA`; the cache directory from `CUPEL_CACHE`, else `cupel` in the user's own.
    pub fn from_env() -> Self {
        let given = |name: &str| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let default = || dirs::cache_dir().unwrap_or_else(env::temp_dir).join("cupel");
        Self {
            data_directory: given("CUPEL_DATA"),
            cache_directory: given("CUPEL_CACHE").unwrap_or_else(default),
        }
    }
}

/// What identifies a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusInfo {
    /// As `data.corpus` names it.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// A text, split and tokenized.
#[derive(Debug)]
pub struct Dataset {
    train: Tokens,
    validation: Tokens,
    tokenizer: Tokenizer,
    corpus: CorpusInfo,
    validation_bytes: usize,
    unknown_characters: usize,
    true_entropy: Option<f64>,
    unigram_entropy: f64,
}

impl Dataset {
    /// Opens the text, splits it by characters, and tokenizes each part; token streams are kept for the next time.
    ///
    /// # Errors
    /// Where the configuration makes no sense, or the text is not there, is no text, is too short to be split, or
    /// cannot be tokenized.
    pub fn open(config: &DataConfig, options: &OpenOptions) -> Result<Self, DataError> {
        let Corpus { text, entropy } = open_text(config, options)?;
        let (training_text, validation_text) = split(&text, config)?;
        let tokenizer = Tokenizer::new(config.tokenizer, training_text);
        let digest = sha256(text.as_bytes());

        let key = format!(
            "{CACHE_VERSION} {:?} {} {digest}",
            config.tokenizer,
            training_text.len()
        );
        let key = sha256(key.as_bytes());
        let open = |split: &'static str, text: &str| {
            let path = options
                .cache_directory
                .join("tokens")
                .join(format!("{}-{split}", &key[..32]));
            Tokens::open(&path, split, || tokenizer.encode(text))
        };
        let (train, validation) = (
            open("training", training_text)?,
            open("validation", validation_text)?,
        );
        Ok(Self {
            unigram_entropy: unigram_entropy(&train, &validation, tokenizer.vocabulary()),
            corpus: CorpusInfo {
                name: config.corpus.clone(),
                bytes: text.len() as u64,
                sha256: digest,
            },
            validation_bytes: validation_text.len(),
            unknown_characters: tokenizer.unknown_characters(validation_text),
            // A token of GPT-2 is several characters, and what the source says of one of those says little of it.
            true_entropy: entropy.filter(|_| config.tokenizer != TokenizerName::Gpt2),
            train,
            validation,
            tokenizer,
        })
    }

    /// The tokens to train on.
    pub fn train(&self) -> &Tokens {
        &self.train
    }

    /// The tokens to validate on.
    pub fn validation(&self) -> &Tokens {
        &self.validation
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The number of token ids.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.vocabulary()
    }

    /// Which text it is.
    pub fn corpus(&self) -> &CorpusInfo {
        &self.corpus
    }

    /// Bytes of validation text a validation token.
    pub fn validation_bytes_per_token(&self) -> f64 {
        self.validation_bytes as f64 / self.validation.len() as f64
    }

    /// Validation characters that the tokenizer had never seen, and read as the most frequent one it had.
    pub fn unknown_characters(&self) -> usize {
        self.unknown_characters
    }

    /// The entropy rate of a synthetic source in nats per token: what no model can beat.
    pub fn true_entropy(&self) -> Option<f64> {
        self.true_entropy
    }

    /// The loss on the validation tokens, in nats per token, of a model that knows only the training tokens' frequencies,
    /// `-1/n sum_i ln((c(x_i) + 1) / (N + V))`: what a model that has learnt anything of order must beat.
    pub fn unigram_entropy(&self) -> f64 {
        self.unigram_entropy
    }
}

/// The text of a configuration that makes sense.
pub(crate) fn open_text(config: &DataConfig, options: &OpenOptions) -> Result<Corpus, DataError> {
    config.validate()?;
    Corpus::open(&config.corpus, options)
}

/// The training text, the first `1 - validation_fraction` of the characters, and the validation text.
pub(crate) fn split<'a>(text: &'a str, config: &DataConfig) -> Result<(&'a str, &'a str), DataError> {
    let characters = text.chars().count();
    let training = (characters as f64 * (1.0 - config.validation_fraction)) as usize;
    let middle = text
        .char_indices()
        .nth(training)
        .map_or(text.len(), |(byte, _)| byte);
    let (training_text, validation_text) = text.split_at(middle);
    if training_text.is_empty() || validation_text.is_empty() {
        return Err(DataError::TooShort(config.corpus.clone()));
    }
    Ok((training_text, validation_text))
}

fn unigram_entropy(train: &Tokens, validation: &Tokens, vocabulary: usize) -> f64 {
    let mut counts = vec![1u64; vocabulary];
    for token in train.iter() {
        counts[token as usize] += 1;
    }
    let total = (train.len() + vocabulary) as f64;
    let nll = |token: u32| -(counts[token as usize] as f64 / total).ln();
    validation.iter().map(nll).sum::<f64>() / validation.len() as f64
}
