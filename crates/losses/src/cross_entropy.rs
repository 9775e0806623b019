use burn::tensor::{Bool, Int, Tensor};
use kernels::Operations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Cross-entropy of the next token, with label smoothing and z-loss; in a recipe `name = "cross-entropy"`.
///
/// With a = `label_smoothing`, z = `z_loss` and the target y, a token with the logits x costs
///
/// ```text
/// (1 - a) (-log p[y]) + a mean_v(-log p[v]) + z (log sum_v e^x[v])^2,    p = softmax(x)
/// ```
///
/// and its gradient with respect to `x` is `(1 + 2 z log sum e^x) p - (1 - a) one_hot(y) - a / vocabulary`.
///
/// The smoothing is that of Szegedy et al. 2016 (arXiv 1512.00567) as PyTorch has it, the z-loss that of PaLM
/// (Chowdhery et al. 2022, arXiv 2204.02311, section 5), there with z = 1e-4.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use losses::CrossEntropy;
///
/// let device = Device::flex();
/// let logits = Tensor::from_floats([[0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()], [0.0, 0.0, 0.0]], &device);
/// let targets = Tensor::from_ints([0, -100], &device);
/// let loss = CrossEntropy { ignore_index: Some(-100), ..CrossEntropy::default() };
/// assert_eq!(loss.tokens(&targets), 1);
/// assert!((loss.mean(logits, targets).into_scalar::<f32>() - 0.357).abs() < 5e-4); // -ln 0.7
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CrossEntropy {
    /// The target that does not count: tokens that have it add nothing to sum, count or gradient. Not in recipes, whose
    /// texts have a target for every token.
    #[serde(skip)]
    pub ignore_index: Option<i64>,
    /// The share of the target that is spread evenly over the vocabulary; 0 if left out.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub label_smoothing: f64,
    /// The coefficient of the squared logarithm of the softmax's denominator, which keeps logits near zero; 0 if left
    /// out.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0.0))]
    pub z_loss: f64,
    /// Vocabulary entries whose logits exist at a time, which bounds their memory to `[tokens, chunk]`; 0, or left out,
    /// means all of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub chunk: usize,
    /// How the operations are computed.
    #[serde(skip)]
    pub operations: Operations,
}

/// A key at its default stays out of resolved recipes, whose hashes are older than the key.
fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl CrossEntropy {
    /// The loss of every token, 0 where the target is ignored.
    ///
    /// Shapes: `logits` `[tokens, vocabulary]`, `targets` `[tokens]`; gives `[tokens]`.
    pub fn per_token(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let tokens = targets.dims()[0];
        let (targets, ignored) = self.without_ignored(targets);
        if self.label_smoothing == 0.0 && self.z_loss == 0.0 {
            // Given away, so that their memory can become the gradient's.
            return zero_where(ignored, self.operations.cross_entropy(logits, targets));
        }
        let nll = self.operations.cross_entropy(logits.clone(), targets.clone());
        let mut loss = nll.clone();
        // Both terms follow from the negative log-likelihood and the target's logit, x[y], without another softmax:
        // mean(-log p) = nll + x[y] - mean(x) and log sum e^x = nll + x[y].
        let target_logit = || {
            let column = targets.clone().reshape([tokens, 1]);
            logits.clone().gather(1, column).reshape([tokens])
        };
        if self.label_smoothing > 0.0 {
            let mean = logits.clone().mean_dim(1).reshape([tokens]);
            loss = loss + (target_logit() - mean) * self.label_smoothing;
        }
        if self.z_loss > 0.0 {
            loss = loss + (nll + target_logit()).square() * self.z_loss;
        }
        zero_where(ignored, loss)
    }

    /// The sum of the losses of all tokens, `[1]`; for the shapes see [`per_token`](Self::per_token).
    pub fn sum(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        self.per_token(logits, targets).sum()
    }

    /// The mean over the tokens that count, `[1]`, and 0 where none does; for the shapes see
    /// [`per_token`](Self::per_token).
    pub fn mean(&self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let tokens = self.tokens(&targets).max(1);
        self.sum(logits, targets) / tokens as f64
    }

    /// How many of the `targets`, `[tokens]`, count.
    pub fn tokens(&self, targets: &Tensor<1, Int>) -> usize {
        let all = targets.dims()[0];
        match self.ignore_index {
            None => all,
            Some(index) => {
                let ignored: i64 = targets.clone().equal_elem(index).int().sum().into_scalar();
                all - ignored as usize
            }
        }
    }

    /// The targets with token 0 in the place of each ignored one, which may be no token at all, and where those were.
    pub(crate) fn without_ignored(
        &self,
        targets: Tensor<1, Int>,
    ) -> (Tensor<1, Int>, Option<Tensor<1, Bool>>) {
        match self.ignore_index {
            None => (targets, None),
            Some(index) => {
                let ignored = targets.clone().equal_elem(index);
                (targets.mask_fill(ignored.clone(), 0), Some(ignored))
            }
        }
    }
}

/// `values`, `[tokens]`, with 0 where `mask` says so.
pub(crate) fn zero_where(mask: Option<Tensor<1, Bool>>, values: Tensor<1>) -> Tensor<1> {
    match mask {
        None => values,
        Some(mask) => values.mask_fill(mask, 0.0),
    }
}
