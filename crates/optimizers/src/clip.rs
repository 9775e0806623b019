use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

/// Scales all gradients together so that their global norm is at most `max_norm`, and returns the norm as it was.
///
/// `g * (max_norm / norm)` where `norm > max_norm`, and `g` otherwise, with `norm = sqrt(sum of g^2 over all
/// parameters)`, summed in the gradients' precision (arXiv 1211.5063). A norm that is not finite is returned and nothing
/// is scaled; `max_norm = 0` only measures.
pub fn clip_global_norm<M: Module>(
    model: &M,
    gradients: GradientsParams,
    max_norm: f64,
) -> (GradientsParams, f64) {
    let mut squares = SumOfSquares {
        gradients: &gradients,
        sum: None,
    };
    model.visit(&mut squares);
    let sum: f64 = squares.sum.map_or(0.0, |sum| sum.into_scalar());
    let norm = sum.sqrt();
    if max_norm == 0.0 || !norm.is_finite() || norm <= max_norm {
        return (gradients, norm);
    }
    let mut scale = Scale {
        from: gradients,
        to: GradientsParams::new(),
        factor: max_norm / norm,
    };
    model.visit(&mut scale);
    (scale.to, norm)
}

struct SumOfSquares<'a> {
    gradients: &'a GradientsParams,
    /// One number on the device, so that the norm costs a single read.
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let squares = gradient.square().sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
}

struct Scale {
    from: GradientsParams,
    to: GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.from.remove::<D>(param.id) {
            self.to.register(param.id, gradient * self.factor);
        }
    }
}
