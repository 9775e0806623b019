use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{FloatDType, Tensor},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What gradients are clipped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClipBy {
    /// All gradients together: `g * (limit / norm)` where their norm is above the limit (arXiv 1211.5063).
    #[default]
    GlobalNorm,
    /// Each number: held between -limit and limit.
    Value,
    /// Each unit by itself, relative to its weights: `g * (limit * max(|w|, 1e-3) / |g|)` where `|g|` is above that
    /// (AGC, arXiv 2102.06171). A unit is a column of a weight `[inputs, outputs]`, and a whole vector.
    Adaptive,
}

/// How gradients are clipped.
///
/// ```
/// use burn::{module::Param, optim::GradientsParams, tensor::{Device, Tensor}};
/// use optimizers::{Clip, ClipBy};
///
/// let device = Device::flex();
/// let parameter = Param::from_tensor(Tensor::<1>::zeros([2], &device));
/// let mut gradients = GradientsParams::new();
/// gradients.register(parameter.id, Tensor::<1>::from_floats([60.0, 80.0], &device));
///
/// let clip = Clip { by: ClipBy::GlobalNorm, limit: 50.0 };
/// let (gradients, norm) = clip.apply(&parameter, gradients);
/// assert_eq!(norm, 100.0); // before clipping
/// let clipped = gradients.get::<1>(parameter.id).unwrap().into_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(clipped, [30.0, 40.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// What is clipped.
    pub by: ClipBy,
    /// The largest norm, value, or norm relative to the weights'; 0 only measures.
    pub limit: f64,
}

/// The least norm of a unit's weights, as in the paper: a unit of zeros must be able to grow.
const LEAST_UNIT: f64 = 1e-3;

impl Clip {
    /// The gradients after clipping, and their global norm before it.
    ///
    /// The norm is `sqrt(sum of g^2 over all parameters)`, in f32 whatever the gradients' type. One that is not finite is
    /// returned, and nothing is scaled.
    pub fn apply<M: Module>(self, model: &M, gradients: GradientsParams) -> (GradientsParams, f64) {
        let norm = global_norm(model, &gradients);
        (self.clip(model, gradients, norm), norm)
    }

    /// The gradients after clipping, their global norm known.
    pub fn clip<M: Module>(self, model: &M, gradients: GradientsParams, norm: f64) -> GradientsParams {
        if self.limit == 0.0 || !norm.is_finite() || self.scales(norm) == Some(false) {
            return gradients;
        }
        let mut clipping = Clipping {
            clip: self,
            norm,
            from: gradients,
            to: GradientsParams::new(),
        };
        model.visit(&mut clipping);
        clipping.to
    }

    /// Whether gradients of this global norm are scaled down; none where something else than that norm is clipped.
    pub fn scales(self, norm: f64) -> Option<bool> {
        (self.by == ClipBy::GlobalNorm).then_some(self.limit > 0.0 && norm > self.limit)
    }
}

/// `sqrt(sum of g^2 over all parameters)`; the gradients' largest number is divided out, so that it overflows only where
/// it is itself beyond f32.
pub fn global_norm<M: Module>(model: &M, gradients: &GradientsParams) -> f64 {
    let plain = sum_of_squares(model, gradients, 1.0).sqrt();
    // Between these bounds no square that counts was lost to overflow or underflow.
    if plain.is_nan() || (1e-15..1e18).contains(&plain) {
        return plain;
    }
    let mut largest = Largest {
        gradients,
        largest: 0.0,
    };
    model.visit(&mut largest);
    let largest = largest.largest;
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * sum_of_squares(model, gradients, 1.0 / largest).sqrt()
}

/// The sum of `(factor g)^2`.
fn sum_of_squares<M: Module>(model: &M, gradients: &GradientsParams, factor: f64) -> f64 {
    let mut squares = SumOfSquares {
        gradients,
        factor,
        here: 0.0,
        there: None,
    };
    model.visit(&mut squares);
    squares.here * factor * factor + squares.there.map_or(0.0, |sum| sum.into_scalar::<f64>())
}

struct SumOfSquares<'a> {
    gradients: &'a GradientsParams,
    factor: f64,
    /// Of the tensors in this process' memory, without the factor: f64 does not overflow.
    here: f64,
    /// One number on the device, so that the norm costs a single read.
    there: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            if let Some(sum) = kernels::sum_of_squares(&gradient) {
                self.here += sum;
                return;
            }
            let gradient = gradient.cast(FloatDType::F32);
            let gradient = if self.factor == 1.0 {
                gradient
            } else {
                gradient * self.factor
            };
            let squares = gradient.square().sum();
            self.there = Some(match self.there.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
}

struct Largest<'a> {
    gradients: &'a GradientsParams,
    largest: f64,
}

impl ModuleVisitor for Largest<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.largest = self.largest.max(gradient.max_abs().into_scalar());
        }
    }
}

struct Clipping {
    clip: Clip,
    norm: f64,
    from: GradientsParams,
    to: GradientsParams,
}

impl ModuleVisitor for Clipping {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.from.remove::<D>(param.id) else {
            return;
        };
        let limit = self.clip.limit;
        let clipped = match self.clip.by {
            ClipBy::GlobalNorm => kernels::scale(gradient, limit / self.norm),
            ClipBy::Value => gradient.clamp(-limit, limit),
            ClipBy::Adaptive => adaptive(gradient, param.val().without_autodiff(), limit),
        };
        self.to.register(param.id, clipped);
    }
}

fn adaptive<const D: usize>(gradient: Tensor<D>, weight: Tensor<D>, limit: f64) -> Tensor<D> {
    let largest = unit_norms(weight).clamp_min(LEAST_UNIT) * limit;
    let length = unit_norms(gradient.clone());
    let within = length.clone().lower_equal(largest.clone());
    // Where the unit is within its limit the quotient is not used, and may be 0 / 0.
    let factor = (largest / length).mask_fill(within, 1.0);
    gradient * factor
}

/// The norm of each unit, with the dimensions that it spans kept as 1.
fn unit_norms<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    let mut squares = tensor.square();
    for dim in 0..if D == 1 { 1 } else { D.saturating_sub(1) } {
        squares = squares.sum_dim(dim);
    }
    squares.sqrt()
}
