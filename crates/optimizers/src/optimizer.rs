use std::{collections::BTreeMap, sync::Arc};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::{DynOptimizer, DynState, GradientsParams, StateSink, StateSource},
    tensor::{DType, Device, Tensor, TensorData},
};
use burn_pack::Scalar;

use crate::{ParameterGroup, ParameterPath};

/// Optimizers at work on the parameters of a module, with their state.
///
/// ```
/// use burn::{module::Param, optim::GradientsParams, tensor::{Device, Tensor}};
/// use optimizers::{Lion, Optimizer, ParameterGroup};
///
/// let algorithm = optimizers::Algorithm::Lion(Lion::default());
/// let mut optimizer = Optimizer::new(vec![ParameterGroup::all(algorithm.into())]);
/// let device = Device::flex().autodiff();
/// let mut parameter = Param::from_tensor(Tensor::<1>::from_floats([1.0, -2.0], &device));
/// for _ in 0..10 {
///     let gradients = parameter.val().square().sum().backward();
///     let gradients = GradientsParams::from_grads(gradients, &parameter);
///     parameter = optimizer.step(0.1, parameter, gradients);
/// }
/// assert!(parameter.val().abs().sum().into_scalar::<f32>() < 3.0);
/// ```
#[derive(Clone, Debug)]
pub struct Optimizer {
    groups: Vec<ParameterGroup>,
    /// By the parameter's path.
    slots: BTreeMap<String, Slot>,
}

/// What updates one parameter, and what it remembers of it.
#[derive(Clone)]
struct Slot {
    optimizer: Arc<dyn DynOptimizer>,
    state: Option<DynState>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// Why a saved state is not a state of this optimizer.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A tensor of state is not there.
    #[error("the optimizer's state lacks `{0}`; it was saved by another optimizer, or is incomplete")]
    Missing(String),
    /// A tensor of state has another shape than the parameter's.
    #[error("the optimizer's state `{key}` should have the shape {shape:?}; it was saved for another model")]
    WrongShape {
        /// The tensor's name.
        key: String,
        /// The shape that the parameter asks for.
        shape: Vec<usize>,
    },
    /// A tensor of state that belongs to no parameter.
    #[error(
        "the optimizer's state `{0}` belongs to no parameter; it was saved by another optimizer or for another model"
    )]
    Unknown(String),
    /// A counter that is not one number.
    #[error("the optimizer's state `{0}` should be one number")]
    NotANumber(String),
}

impl Optimizer {
    /// An optimizer with an empty state; a parameter belongs to the first group that holds it, and is not updated where
    /// none does.
    pub fn new(groups: Vec<ParameterGroup>) -> Self {
        Self {
            groups,
            slots: BTreeMap::new(),
        }
    }

    /// Updates every parameter of `model` that has a gradient.
    pub fn step<M: Module>(&mut self, lr: f64, model: M, gradients: GradientsParams) -> M {
        model.map(&mut Step {
            optimizer: self,
            lr,
            gradients,
            path: ParameterPath::default(),
        })
    }

    /// The parameters to evaluate with: those of `model`, or the averages that its optimizer promises to be good.
    pub fn averaged<M: Module>(&self, model: M) -> M {
        model.map(&mut Averaged {
            optimizer: self,
            path: ParameterPath::default(),
        })
    }

    /// The patterns of the groups that hold no parameter of `model`.
    pub fn unused_groups<M: Module>(&self, model: &M) -> Vec<String> {
        let paths = ParameterPath::with_ranks(model);
        let used = |pattern: &str| {
            let mut groups = self
                .groups
                .iter()
                .filter(|group| group.parameters.as_str() == pattern);
            groups.any(|group| paths.iter().any(|(path, rank)| group.holds(path, *rank)))
        };
        let patterns = self.groups.iter().map(|group| group.parameters.as_str());
        patterns
            .filter(|pattern| *pattern != "*" && !used(pattern))
            .map(str::to_owned)
            .collect()
    }

    /// The whole state as named tensors: `PATH.NAME` for each tensor or number of state, `PATH.t` for the number of
    /// updates.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        self.paths().flat_map(|path| self.state_of(path)).collect()
    }

    /// The paths of the parameters that were updated.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.slots.keys().map(String::as_str)
    }

    /// The state of the parameter at `path` alone, its names as in [`state`](Self::state); empty where it has none.
    pub fn state_of(&self, path: &str) -> BTreeMap<String, TensorData> {
        let slot = self.slots.get(path);
        slot.map(|slot| slot.named(path).into_iter().collect())
            .unwrap_or_default()
    }

    /// Takes up the state that [`state`](Self::state) gave, for the parameters of `model`.
    ///
    /// # Errors
    /// Where a tensor is missing, has the wrong shape, or belongs to no parameter.
    pub fn load_state<M: Module>(
        &mut self,
        model: &M,
        state: BTreeMap<String, TensorData>,
    ) -> Result<(), StateError> {
        let mut load = Load {
            groups: &self.groups,
            state,
            path: ParameterPath::default(),
            slots: Ok(BTreeMap::new()),
        };
        model.visit(&mut load);
        let slots = load.slots?;
        if let Some((key, _)) = load.state.pop_first() {
            return Err(StateError::Unknown(key));
        }
        self.slots = slots;
        Ok(())
    }
}

impl Slot {
    fn new(group: &ParameterGroup, rank: usize) -> Self {
        Self {
            optimizer: group.update.for_rank(rank),
            state: None,
        }
    }

    /// The state, its names below `path`.
    fn named(&self, path: &str) -> Vec<(String, TensorData)> {
        let mut sink = StateSink::default();
        if let Some(state) = &self.state {
            self.optimizer.state_flatten(path, state, &mut sink);
        }
        let numbers = sink.scalars.into_iter().map(|(name, number)| {
            let data = match number {
                Scalar::Int(number) => TensorData::from([number]),
                Scalar::UInt(number) => TensorData::from([number as i64]),
                Scalar::Float(number) => TensorData::from([number]),
                Scalar::Bool(number) => TensorData::from([i64::from(number)]),
            };
            (name, data)
        });
        numbers.chain(sink.tensors).collect()
    }

    /// The state that a step of zeros leaves: what names and shapes a saved one must have.
    fn template<const D: usize>(&self, path: &str, parameter: &Tensor<D>) -> Vec<(String, TensorData)> {
        let zeros = parameter.clone().without_autodiff().zeros_like();
        let (_, state) =
            self.optimizer
                .step_dyn(D, 1.0, zeros.clone().into_bridge(), zeros.into_bridge(), None);
        let slot = Self {
            optimizer: self.optimizer.clone(),
            state,
        };
        slot.named(path)
    }
}

struct Load<'a> {
    groups: &'a [ParameterGroup],
    state: BTreeMap<String, TensorData>,
    path: ParameterPath,
    slots: Result<BTreeMap<String, Slot>, StateError>,
}

impl ModuleVisitor for Load<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join();
        let Some(group) = self.groups.iter().find(|group| group.holds(&path, D)) else {
            return;
        };
        let slot = self.slot(Slot::new(group, D), &path, &param.val());
        if let Ok(slots) = &mut self.slots {
            match slot {
                Ok(Some(slot)) => {
                    slots.insert(path, slot);
                }
                Ok(None) => {}
                Err(error) => self.slots = Err(error),
            }
        }
    }
}

impl Load<'_> {
    /// The slot of one parameter; none where it was never updated.
    fn slot<const D: usize>(
        &mut self,
        slot: Slot,
        path: &str,
        parameter: &Tensor<D>,
    ) -> Result<Option<Slot>, StateError> {
        let template = slot.template(path, parameter);
        if !template.iter().any(|(name, _)| self.state.contains_key(name)) {
            return Ok(None);
        }
        let mut numbers = BTreeMap::new();
        let mut tensors = Vec::new();
        for (name, like) in template {
            let Some(data) = self.state.remove(&name) else {
                return Err(StateError::Missing(name));
            };
            if data.shape() != like.shape() {
                let shape = like.shape().as_slice().to_vec();
                return Err(StateError::WrongShape { key: name, shape });
            }
            if is_number(&like) {
                let number = number(&data).ok_or_else(|| StateError::NotANumber(name.clone()))?;
                numbers.insert(name, number);
            } else {
                tensors.push((name, data));
            }
        }
        let mut source = StateSource::new(numbers);
        for (name, data) in tensors {
            source.insert_tensor(name, data);
        }
        let device: Device = parameter.device().inner();
        let state = slot.optimizer.state_unflatten(D, path, &mut source, &device);
        match state {
            Some(state) => Ok(Some(Slot {
                state: Some(state),
                ..slot
            })),
            None => Err(StateError::Missing(path.to_owned())),
        }
    }
}

/// Whether this is a number rather than a tensor of state: tensors have the parameter's type, f32.
fn is_number(data: &TensorData) -> bool {
    matches!(data.dtype(), DType::I64 | DType::F64)
}

fn number(data: &TensorData) -> Option<Scalar> {
    match data.dtype() {
        DType::I64 => match data.try_to_vec::<i64>().ok()?.as_slice() {
            &[number] if number >= 0 => Some(Scalar::UInt(number as u64)),
            _ => None,
        },
        DType::F64 => data.try_to_vec::<f64>().ok()?.first().copied().map(Scalar::Float),
        _ => None,
    }
}

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    lr: f64,
    gradients: GradientsParams,
    path: ParameterPath,
}

impl ModuleMapper for Step<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join();
        let Some(group) = self.optimizer.groups.iter().find(|group| group.holds(&path, D)) else {
            return param;
        };
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let lr = self.lr * group.lr_scale;
        let slot = self.optimizer.slots.remove(&path);
        let Slot { optimizer, state } = slot.unwrap_or_else(|| Slot::new(group, D));
        let (param, state) = mapped(param, |parameter| {
            let (parameter, state) =
                optimizer.step_dyn(D, lr, parameter.into_bridge(), gradient.into_bridge(), state);
            (Tensor::from_bridge(parameter), state)
        });
        self.optimizer.slots.insert(path, Slot { optimizer, state });
        param
    }
}

struct Averaged<'a> {
    optimizer: &'a Optimizer,
    path: ParameterPath,
}

impl ModuleMapper for Averaged<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join();
        let slot = self
            .optimizer
            .slots
            .get(&path)
            .and_then(|slot| slot.state.as_ref());
        let group = self.optimizer.groups.iter().find(|group| group.holds(&path, D));
        match (group, slot) {
            (Some(group), Some(state)) => {
                mapped(param, |parameter| (group.update.averaged(parameter, state), ())).0
            }
            _ => param,
        }
    }
}

/// A parameter with another value, outside of the autodiff graph and back in it.
fn mapped<const D: usize, T>(
    param: Param<Tensor<D>>,
    map: impl FnOnce(Tensor<D>) -> (Tensor<D>, T),
) -> (Param<Tensor<D>>, T) {
    let (id, parameter, mapper) = param.consume();
    let checkpointing = parameter.gradient_checkpointing_strategy();
    let (mut parameter, rest) = map(parameter.without_autodiff());
    if let Some(strategy) = checkpointing {
        parameter = Tensor::from_inner(parameter)
            .with_gradient_checkpointing_strategy(strategy)
            .require_grad();
    }
    (Param::from_mapped_value(id, parameter, mapper), rest)
}
