//! `layers.csv`: how the layers of a model fare; and where a run diverged.

use std::{collections::BTreeMap, io, path::Path};

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Int, Tensor},
};
use data::{BatchShape, Dataset};
use model::{BlockProbe, Gpt2, Mode};
use optimizers::ParameterPath;
use serde::{Deserialize, Serialize};

use crate::{
    curve::{AtStep, rows},
    trainer::{Gradient, Trainer, TrainerError, Uploaded},
};

/// Sequences of the step's first micro-batch that activations and attention are looked at with: a full forward pass
/// would say little more, and whole attention weights are large.
const PROBED_SEQUENCES: usize = 4;

/// The layer that stands for all parameters together.
const MODEL: &str = "model";

/// A row of `layers.csv`: a layer at a step that is a multiple of `training.diagnose_every`.
///
/// A layer is a parameter tensor (`blocks.0.mlp.input.weight`), a block (`blocks.0`), or the `model`. All norms are
/// Euclidean, over all numbers of the layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRow {
    /// Updates made.
    pub step: u64,
    /// The layer.
    pub layer: String,
    /// The norm of the step's gradient before clipping.
    pub grad_norm: f64,
    /// The norm of the parameters before the step's update.
    pub parameter_norm: f64,
    /// The norm of the update, over that of the parameters: 1e-3 is usual, much more is unstable, much less learns
    /// slowly. Empty where the parameters are zero, as biases are at first.
    pub update_ratio: Option<f64>,
    /// Of a block, `sqrt(mean x^2)` of the residual stream behind it.
    pub activation_rms: Option<f64>,
    /// Of a block, the mean entropy of its attention, in nats: 0 where every query attends to one token. Like
    /// `activation_rms` before the update, on the first four sequences of the step's batch, dropout off.
    pub attention_entropy: Option<f64>,
    /// Of the model, the share of the steps since the last such row, this one included, whose gradients were clipped by
    /// their global norm.
    pub clipped_share: Option<f64>,
}

impl AtStep for LayerRow {
    fn step(&self) -> u64 {
        self.step
    }
}

/// The rows of `layers.csv`, up to the first that a kill has cut short; none where there is no file.
///
/// # Errors
/// Where the file cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<LayerRow>> {
    rows(path)
}

/// How many steps were clipped since the last rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clipped {
    steps: u64,
    clipped: u64,
}

impl Clipped {
    pub(crate) fn add(&mut self, clipped: bool) {
        self.steps += 1;
        self.clipped += u64::from(clipped);
    }

    fn share(self) -> f64 {
        self.clipped as f64 / self.steps as f64
    }
}

/// What is to be seen of a step before its update.
pub(crate) struct Diagnosis {
    gradients: Norms,
    parameters: Norms,
    /// The parameters themselves. They share memory with the model's, so that the update cannot write over them; it finds
    /// room of its own.
    before: GradientsParams,
    blocks: Vec<BlockProbe>,
}

impl Diagnosis {
    pub(crate) fn before(
        trainer: &Trainer,
        dataset: &Dataset,
        step: u64,
        gradient: &Gradient,
    ) -> Result<Self, TrainerError> {
        let before = values(trainer.model());
        Ok(Self {
            gradients: norms(trainer.model(), &gradient.gradients),
            parameters: norms(trainer.model(), &before),
            before,
            blocks: trainer.probe(dataset, step)?,
        })
    }

    /// The rows, the update made: the model, then every block and parameter tensor in the model's order.
    pub(crate) fn after(self, model: &Gpt2, step: u64, clipped: Option<Clipped>) -> Vec<LayerRow> {
        let updates = norms(model, &differences(model, &self.before));
        let row = |layer: &str| {
            let parameter_norm = norm_of(&self.parameters, layer);
            LayerRow {
                step,
                layer: layer.to_owned(),
                grad_norm: norm_of(&self.gradients, layer),
                parameter_norm,
                update_ratio: (parameter_norm > 0.0).then(|| norm_of(&updates, layer) / parameter_norm),
                activation_rms: None,
                attention_entropy: None,
                clipped_share: None,
            }
        };
        let mut rows = vec![LayerRow {
            clipped_share: clipped.map(Clipped::share),
            ..row(MODEL)
        }];
        let mut blocks = self.blocks.iter().enumerate();
        let mut next = blocks.next();
        for (path, _) in &self.parameters {
            if let Some((i, probe)) = next
                && within(path, &format!("blocks.{i}"))
            {
                rows.push(LayerRow {
                    activation_rms: Some(probe.activation_rms),
                    attention_entropy: Some(probe.attention_entropy),
                    ..row(&format!("blocks.{i}"))
                });
                next = blocks.next();
            }
            rows.push(row(path));
        }
        rows
    }
}

impl Trainer {
    fn probe(&self, dataset: &Dataset, step: u64) -> Result<Vec<BlockProbe>, TrainerError> {
        let model = self.model().valid();
        let shape = self.batch_shape();
        let shape = BatchShape {
            sequences: shape.sequences.min(PROBED_SEQUENCES),
            ..shape
        };
        let batch = dataset.train().batch(shape, self.position(step, 0))?;
        Ok(model.probe(Uploaded::new(batch, &model.token_embedding.device()).inputs))
    }

    /// Where the numbers of a step stopped being finite. If its loss is not, the first place of the forward pass, found
    /// by making that again: `embedding`, `blocks.0.attention`, `blocks.0.mlp`, `final_norm` or `head`. Otherwise the
    /// parameter whose gradient is the first in the order of the backward pass; none where each by itself is finite, and
    /// only their norm overflows.
    ///
    /// # Errors
    /// Where the training text is too short for the context.
    pub(crate) fn where_diverged(
        &self,
        dataset: &Dataset,
        step: u64,
        gradient: &Gradient,
    ) -> Result<Option<String>, TrainerError> {
        if gradient.step.loss.is_finite() {
            return Ok(last_non_finite(self.model(), &gradient.gradients));
        }
        let model = self.model().valid();
        for micro_step in 0..self.recipe.accumulate() {
            let at = self.position(step, micro_step);
            let batch = dataset.train().batch(self.batch_shape(), at)?;
            let inputs = Uploaded::new(batch, &model.token_embedding.device()).inputs;
            if let Some(place) = place(&model, inputs, self.training_mode(step, micro_step)) {
                return Ok(Some(place));
            }
        }
        // The hidden states are finite, so it is the product with the head, or the loss of it.
        Ok(Some(HEAD.to_owned()))
    }

    /// As [`where_diverged`](Self::where_diverged), for a validation loss that is not finite.
    ///
    /// # Errors
    /// Where the validation text is too short for the context.
    pub(crate) fn where_evaluation_diverged(
        &self,
        dataset: &Dataset,
    ) -> Result<Option<String>, TrainerError> {
        let model = self.optimizer.averaged(self.model().valid());
        for batch in self.evaluation_batches(dataset)? {
            let inputs = Uploaded::new(batch, &model.token_embedding.device()).inputs;
            if let Some(place) = place(&model, inputs, Mode::Evaluation) {
                return Ok(Some(place));
            }
        }
        Ok(Some(HEAD.to_owned()))
    }
}

const HEAD: &str = "head";

fn place(model: &Gpt2, inputs: Tensor<2, Int>, mode: Mode) -> Option<String> {
    model
        .first_non_finite(inputs, mode)
        .map(|place| place.to_string())
}

/// Every parameter's path and norm, in the model's order.
type Norms = Vec<(String, f64)>;

/// The norm of a layer: of the tensors of that path, or below it.
fn norm_of(norms: &Norms, layer: &str) -> f64 {
    let inside = norms
        .iter()
        .filter(|(path, _)| layer == MODEL || within(path, layer));
    // A largest number is divided out, so that no square overflows or vanishes.
    let largest = inside.clone().map(|(_, norm)| *norm).fold(0.0, f64::max);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest
        * inside
            .map(|(_, norm)| (norm / largest).powi(2))
            .sum::<f64>()
            .sqrt()
}

fn within(path: &str, layer: &str) -> bool {
    path.strip_prefix(layer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The norm of each parameter's tensor in `tensors`, which Burn's container for gradients holds.
fn norms(model: &Gpt2, tensors: &GradientsParams) -> Norms {
    let mut measure = Measure {
        tensors,
        path: ParameterPath::default(),
        norms: Vec::new(),
        there: BTreeMap::new(),
    };
    model.visit(&mut measure);
    let (places, there): (Vec<usize>, Vec<Tensor<1>>) = measure.there.into_iter().unzip();
    if !there.is_empty() {
        // One read from the device.
        let values = Tensor::cat(there, 0).into_data();
        for (place, norm) in places.into_iter().zip(values.iter::<f64>()) {
            measure.norms[place].1 = norm;
        }
    }
    measure.norms
}

struct Measure<'a> {
    tensors: &'a GradientsParams,
    path: ParameterPath,
    norms: Norms,
    /// By their places among the norms, those that the device has still to be asked for.
    there: BTreeMap<usize, Tensor<1>>,
}

impl ModuleVisitor for Measure<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(tensor) = self.tensors.get::<D>(param.id) else {
            return;
        };
        let here = kernels::sum_of_squares(&tensor);
        if here.is_none() {
            let largest = tensor.clone().max_abs().clamp_min(f32::MIN_POSITIVE);
            let tensor = tensor / largest.clone().reshape([1; D]);
            self.there
                .insert(self.norms.len(), tensor.square().sum().sqrt() * largest);
        }
        self.norms.push((self.path.join(), here.unwrap_or(0.0).sqrt()));
    }
}

/// The parameters outside of the autodiff graph.
fn values(model: &Gpt2) -> GradientsParams {
    let mut values = Values(GradientsParams::new());
    model.visit(&mut values);
    values.0
}

struct Values(GradientsParams);

impl ModuleVisitor for Values {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val().without_autodiff());
    }
}

/// What was added to the parameters since they were `before`.
fn differences(model: &Gpt2, before: &GradientsParams) -> GradientsParams {
    let mut differences = Differences {
        before,
        differences: GradientsParams::new(),
    };
    model.visit(&mut differences);
    differences.differences
}

struct Differences<'a> {
    before: &'a GradientsParams,
    differences: GradientsParams,
}

impl ModuleVisitor for Differences<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(before) = self.before.get::<D>(param.id) {
            let difference = param.val().without_autodiff() - before;
            self.differences.register(param.id, difference);
        }
    }
}

/// The path of the last parameter, which the backward pass comes to first, whose gradient is not finite. The token
/// embedding, which is the head as well, counts as what the backward pass comes to last.
fn last_non_finite(model: &Gpt2, gradients: &GradientsParams) -> Option<String> {
    let mut search = NonFinite {
        gradients,
        path: ParameterPath::default(),
        last: None,
    };
    model.visit(&mut search);
    search.last
}

struct NonFinite<'a> {
    gradients: &'a GradientsParams,
    path: ParameterPath,
    last: Option<String>,
}

impl ModuleVisitor for NonFinite<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id)
            && !gradient.is_finite().all().into_scalar::<bool>()
        {
            self.last = Some(self.path.join());
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use model::Preset;

    use super::*;

    /// Gradients of ones, but for some paths, of which one number is not finite.
    struct Spoil<'a> {
        path: ParameterPath,
        spoilt: &'a [&'a str],
        gradients: GradientsParams,
    }

    impl ModuleVisitor for Spoil<'_> {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.enter(name);
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.exit();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let mut gradient = param.val().ones_like();
            if self.spoilt.contains(&self.path.join().as_str()) {
                let corner = [(); D].map(|()| 0..1);
                let values = gradient.clone().slice(corner.clone()).full_like(f32::NAN);
                gradient = gradient.slice_assign(corner, values);
            }
            self.gradients.register(param.id, gradient);
        }
    }

    #[test]
    fn the_gradient_that_is_not_finite_first_is_the_last_in_the_model() {
        let model = Gpt2::new(&Preset::Tiny.config(), 10, 0, &Device::flex());
        let Ok(model) = model else {
            panic!("the preset is a model")
        };
        let found = |spoilt: &[&str]| {
            let mut spoil = Spoil {
                path: ParameterPath::default(),
                spoilt,
                gradients: GradientsParams::new(),
            };
            model.visit(&mut spoil);
            last_non_finite(&model, &spoil.gradients)
        };
        assert_eq!(found(&[]), None);
        // What a fault spreads to: everything before it.
        let reached = [
            "token_embedding",
            "blocks.0.mlp.input.weight",
            "blocks.1.attention.qkv.bias",
        ];
        assert_eq!(found(&reached).as_deref(), Some("blocks.1.attention.qkv.bias"));
        assert_eq!(found(&["token_embedding"]).as_deref(), Some("token_embedding"));
    }

    #[test]
    fn a_layer_holds_the_paths_below_it_alone() {
        // Their squares are beyond f64.
        let large = 2f64.powi(600);
        let norms = vec![
            ("blocks.1.a".to_owned(), 3.0 * large),
            ("blocks.1.b".to_owned(), 4.0 * large),
            ("blocks.11.a".to_owned(), 1.0),
        ];
        assert_eq!(norm_of(&norms, "blocks.1"), 5.0 * large);
        assert_eq!(norm_of(&norms, "blocks.11.a"), 1.0);
        assert_eq!(norm_of(&norms, "blocks.2"), 0.0);
        assert_eq!(norm_of(&norms, "model"), 5.0 * large);
    }
}
