use burn::tensor::{Int, Tensor, TensorData};
use kernels::Operations;

use crate::Gpt2;

/// The keys and values of the tokens that a model has read, so that reading on does not begin again: a token costs one
/// row of every product instead of all rows.
#[derive(Clone, Debug)]
pub struct Cache {
    blocks: Vec<BlockCache>,
    tokens: usize,
}

/// The keys and values of one block, `[tokens, width]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockCache {
    keys: Option<Tensor<2>>,
    values: Option<Tensor<2>>,
}

impl Cache {
    /// Of nothing read yet.
    pub fn new(model: &Gpt2) -> Self {
        Self {
            blocks: vec![BlockCache::default(); model.blocks.len()],
            tokens: 0,
        }
    }

    /// Tokens that were read.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.blocks.fill_with(BlockCache::default);
        self.tokens = 0;
    }
}

impl BlockCache {
    /// Takes up the keys and values of a packed projection `[new, 3 * width]`, and lets its queries attend to all.
    pub(crate) fn attend(&mut self, qkv: Tensor<2>, heads: usize, operations: Operations) -> Tensor<2> {
        let [new, packed] = qkv.dims();
        let width = packed / 3;
        let part = |part: usize| qkv.clone().slice([0..new, part * width..(part + 1) * width]);
        let keys = appended(self.keys.take(), part(1));
        let values = appended(self.values.take(), part(2));
        self.keys = Some(keys.clone());
        self.values = Some(values.clone());
        operations.cached_attention(part(0), keys, values, heads)
    }
}

fn appended(past: Option<Tensor<2>>, new: Tensor<2>) -> Tensor<2> {
    match past {
        Some(past) => Tensor::cat(vec![past, new], 0),
        None => new,
    }
}

impl Gpt2 {
    /// The [`logits`](Self::logits) after each of the `tokens` that come next in a sequence, whose earlier tokens are in
    /// the cache; dropout is off.
    ///
    /// There are at most as many tokens as the model's context has room for behind those of the cache, and at least one.
    /// Gives `[tokens, vocabulary]`.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use model::{Cache, Gpt2, Preset};
    ///
    /// let model = Gpt2::new(&Preset::Tiny.config(), 65, 0, &Device::flex())?;
    /// let mut cache = Cache::new(&model);
    /// assert_eq!(model.logits_cached(&[1, 2, 3], &mut cache).dims(), [3, 65]);
    /// assert_eq!(model.logits_cached(&[4], &mut cache).dims(), [1, 65]);
    /// assert_eq!(cache.tokens(), 4);
    /// # Ok::<(), model::ModelError>(())
    /// ```
    pub fn logits_cached(&self, tokens: &[u32], cache: &mut Cache) -> Tensor<2> {
        let hidden = self.hidden_cached(tokens, cache);
        self.operations.linear_tied(hidden, self.head_weight())
    }

    /// [`hidden`](Self::hidden) of the tokens that come next: `[tokens, width]`.
    pub(crate) fn hidden_cached(&self, tokens: &[u32], cache: &mut Cache) -> Tensor<2> {
        let device = self.token_embedding.device();
        let (past, new) = (cache.tokens, tokens.len());
        // Token ids are below the vocabulary, far below 2^31.
        let ids: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, new]), &device);
        let positions = self.position_embedding.val().slice(past..past + new);
        let no_dropout = kernels::Dropout::NONE;
        let mut x = self
            .operations
            .embedding(ids, self.token_embedding.val(), positions, no_dropout);
        for (block, cache) in self.blocks.iter().zip(&mut cache.blocks) {
            x = block.forward_cached(x, cache, self.heads, self.operations);
        }
        cache.tokens += new;
        self.normalised(x)
    }
}
