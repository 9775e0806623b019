use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use crate::{CrossEntropy, cross_entropy::zero_where};

impl CrossEntropy {
    /// [`sum`](Self::sum) of the logits `hidden output^T`, of which never more than `[tokens, chunk]` exist at once,
    /// neither forward nor backward.
    ///
    /// Shapes: `hidden` `[tokens, width]`, `output` `[vocabulary, width]` (the embedding, where it is tied), `targets`
    /// `[tokens]`; gives `[1]`.
    ///
    /// The first pass over the vocabulary finds every token's `log sum e^x` on line (Milakov & Gimelshein 2018, arXiv
    /// 1805.02867). The second computes each chunk's logits again, for the two gradients; it runs at once rather than
    /// in `backward`, and not at all without autodiff. One more product with `output` is the price of the memory.
    ///
    /// ```
    /// use burn::tensor::{Device, Distribution, Tensor};
    /// use losses::CrossEntropy;
    ///
    /// let device = Device::flex();
    /// let hidden = Tensor::<2>::random([4, 8], Distribution::Default, &device);
    /// let output = Tensor::<2>::random([11, 8], Distribution::Default, &device);
    /// let targets = Tensor::from_ints([0, 3, 10, 3], &device);
    /// let loss = CrossEntropy { chunk: 3, ..CrossEntropy::default() };
    /// let chunked: f32 = loss.sum_from_hidden(hidden.clone(), output.clone(), targets.clone()).into_scalar();
    /// let whole: f32 = loss.sum(hidden.matmul(output.transpose()), targets).into_scalar();
    /// assert!((chunked - whole).abs() < 1e-5);
    /// ```
    pub fn sum_from_hidden(
        &self,
        hidden: Tensor<2>,
        output: Tensor<2>,
        targets: Tensor<1, Int>,
    ) -> Tensor<1> {
        if self.chunk == 0 {
            return self.sum(self.operations.linear_tied(hidden, output), targets);
        }
        let pass = Pass::new(
            self,
            hidden.clone().inner(),
            output.clone().inner(),
            targets.inner(),
        );
        let sum = pass.sum();
        if !(hidden.is_autodiff() || output.is_autodiff()) {
            return sum;
        }
        let (of_hidden, of_output) = pass.gradients();
        sum + with_gradient(hidden, of_hidden) + with_gradient(output, of_output)
    }
}

/// Zero, `[1]`, whose gradient with respect to `x` is `gradient`: a loss plus this term is the loss's own expansion to
/// the first order around `x`, and autodiff differentiates the expansion instead of the loss.
fn with_gradient(x: Tensor<2>, gradient: Tensor<2>) -> Tensor<1> {
    // The difference is exactly zero, and not only up to rounding.
    ((x.clone() - x.inner()) * gradient).sum()
}

/// Both passes over the chunks of the vocabulary, on tensors without autodiff. A column is `[tokens, 1]`.
struct Pass<'a> {
    loss: &'a CrossEntropy,
    hidden: Tensor<2>,
    output: Tensor<2>,
    targets: Tensor<1, Int>,
    /// 1 for a token that counts and 0 for an ignored one; a column.
    counts: Tensor<2>,
    /// The largest logit of every token; a column.
    maximum: Tensor<2>,
    /// `sum_v e^(x[v] - maximum)`; a column.
    denominator: Tensor<2>,
}

impl<'a> Pass<'a> {
    /// The first pass.
    fn new(loss: &'a CrossEntropy, hidden: Tensor<2>, output: Tensor<2>, targets: Tensor<1, Int>) -> Self {
        let (tokens, device) = (hidden.dims()[0], hidden.device());
        let (targets, ignored) = loss.without_ignored(targets);
        let counts = zero_where(ignored, Tensor::ones([tokens], &device)).reshape([tokens, 1]);
        let mut pass = Self {
            loss,
            maximum: Tensor::full([tokens, 1], f32::NEG_INFINITY, &device),
            denominator: Tensor::zeros([tokens, 1], &device),
            hidden,
            output,
            targets,
            counts,
        };
        for rows in pass.chunks() {
            let logits = pass.logits(rows);
            let maximum = pass.maximum.clone().max_pair(logits.clone().max_dim(1));
            let rescaled = pass.denominator * (pass.maximum - maximum.clone()).exp();
            pass.denominator = rescaled + (logits - maximum.clone()).exp().sum_dim(1);
            pass.maximum = maximum;
        }
        pass
    }

    /// `sum_t nll_t + z (log sum e^x_t)^2` over the tokens that count, where smoothing replaces the target's logit in
    /// the negative log-likelihood by the logit of the target's smoothed row.
    fn sum(&self) -> Tensor<1> {
        let target_logit = (self.hidden.clone() * self.target_rows()).sum_dim(1);
        let log = self.denominator.clone().log();
        // The two large terms first: their difference is small where the target is likely.
        let mut loss = (self.maximum.clone() - target_logit) + log;
        if self.loss.z_loss > 0.0 {
            loss = loss + self.log_sum_exp().square() * self.loss.z_loss;
        }
        (loss * self.counts.clone()).sum()
    }

    /// The second pass: the sum's gradients with respect to `hidden`, `[tokens, width]`, and `output`, `[vocabulary,
    /// width]`, from each chunk of the logits' gradient, without its part in the targets until the end.
    fn gradients(&self) -> (Tensor<2>, Tensor<2>) {
        let log_sum_exp = self.log_sum_exp();
        let weight = (log_sum_exp.clone() * (2.0 * self.loss.z_loss) + 1.0) * self.counts.clone();
        let counted = self.hidden.clone() * self.counts.clone();

        let mut of_hidden = -(self.target_rows() * self.counts.clone());
        let mut of_output = Vec::new();
        for rows in self.chunks() {
            let probabilities = (self.logits(rows.clone()) - log_sum_exp.clone()).exp() * weight.clone();
            of_hidden = of_hidden + probabilities.clone().matmul(rows);
            of_output.push(probabilities.transpose().matmul(self.hidden.clone()));
        }
        let smoothing = self.loss.label_smoothing;
        let vocabulary = self.output.dims()[0] as f64;
        let everywhere = counted.clone().sum_dim(0) * (smoothing / vocabulary);
        let at_target = counted * (smoothing - 1.0);
        let of_output = (Tensor::cat(of_output, 0) - everywhere).select_assign(
            0,
            self.targets.clone(),
            at_target,
            IndexingUpdateOp::Add,
        );
        (of_hidden, of_output)
    }

    /// The rows of `output`, `chunk` at a time.
    fn chunks(&self) -> Vec<Tensor<2>> {
        self.output.clone().split(self.loss.chunk, 0)
    }

    /// The logits of some rows of `output`: `[tokens, rows]`.
    fn logits(&self, rows: Tensor<2>) -> Tensor<2> {
        self.loss.operations.linear_tied(self.hidden.clone(), rows)
    }

    /// The row of `output` at every target, mixed with the mean row by the smoothing: `[tokens, width]`.
    fn target_rows(&self) -> Tensor<2> {
        let smoothing = self.loss.label_smoothing;
        let rows = self.output.clone().select(0, self.targets.clone());
        if smoothing > 0.0 {
            rows * (1.0 - smoothing) + self.output.clone().mean_dim(0) * smoothing
        } else {
            rows
        }
    }

    /// A column.
    fn log_sum_exp(&self) -> Tensor<2> {
        self.maximum.clone() + self.denominator.clone().log()
    }
}
