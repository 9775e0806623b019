//! The GPT-2 decoder: configuration, presets, initialisation, forward pass, generation.
//!
//! Pre-norm blocks, learned positions, tied embeddings, GELU, dropout in three places, and the initialisation of
//! "Language Models are Unsupervised Multitask Learners" (Radford et al. 2019); each of these can be switched, to see what
//! it is good for.
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use model::{Gpt2, Mode, Preset};
//!
//! let device = Device::flex();
//! let model = Gpt2::new(&Preset::Tiny.config(), 65, 0, &device)?;
//! let tokens = Tensor::<2, Int>::from_ints([[1, 2, 3, 4], [5, 6, 7, 8]], &device);
//! assert_eq!(model.logits(tokens, Mode::Evaluation).dims(), [8, 65]); // [batch * context, vocabulary]
//! # Ok::<(), model::ModelError>(())
//! ```

mod block;
mod cache;
mod config;
mod dropout;
mod generate;
mod gpt2;
mod init;
mod layers;
mod probe;
mod sampling;

pub use block::{Attention, Block, Mlp};
pub use cache::Cache;
pub use config::{DropoutRates, ModelConfig, ModelError, Norm, Preset};
pub use dropout::Dropouts;
pub use generate::{GenerateError, Generation};
pub use gpt2::{Gpt2, Mode};
pub use layers::{LayerNorm, Linear};
pub use probe::{BlockProbe, Place};
pub use sampling::{Sampling, SamplingError};
