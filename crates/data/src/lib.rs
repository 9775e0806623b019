//! Corpora, tokenizers, and batches as pure functions of (seed, step, micro-step).
//!
//! ```
//! use data::{BatchShape, DataConfig, Dataset, OpenOptions, Position, TokenizerName};
//!
//! let cache = tempfile::tempdir()?;
//! let options = OpenOptions { data_directory: None, cache_directory: cache.path().to_owned() };
//! let config = DataConfig { tokenizer: TokenizerName::Byte, ..DataConfig::default() };
//! let dataset = Dataset::open(&config, &options)?;
//!
//! let shape = BatchShape { sequences: 4, context: 64 };
//! let batch = dataset.train().batch(shape, Position { seed: 0, step: 17, micro_step: 0 })?;
//! assert_eq!(batch.inputs.len(), 4 * 64);
//! assert_eq!(batch.inputs[1..64], batch.targets[..63]); // the target of a token is the next one
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod config;
mod corpus;
mod dataset;
mod error;
mod tokenizer;
mod tokens;

pub use batch::{Batch, BatchShape, Position};
pub use config::{DataConfig, InvalidFraction, TokenizerName};
pub use corpus::{Corpus, tinyshakespeare};
pub use dataset::{CorpusInfo, Dataset, OpenOptions};
pub use error::DataError;
pub use tokenizer::{Decoder, Tokenizer};
pub use tokens::Tokens;
