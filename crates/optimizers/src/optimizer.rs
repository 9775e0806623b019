use std::{collections::BTreeMap, ops::RangeInclusive};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::{Device, Tensor, TensorData},
};

use crate::{Algorithm, At, ParameterPath};

/// Parameters that are updated alike.
#[derive(Clone, Debug)]
pub struct ParameterGroup {
    /// How many dimensions its parameters have.
    pub ranks: RangeInclusive<usize>,
    /// What updates them.
    pub algorithm: Algorithm,
}

/// An algorithm at work on the parameters of a module, with its state.
#[derive(Clone, Debug)]
pub struct Optimizer {
    groups: Vec<ParameterGroup>,
    /// By the parameter's path.
    slots: BTreeMap<String, Slot>,
}

/// What an optimizer remembers of one parameter.
#[derive(Clone, Debug)]
struct Slot {
    /// Updates so far.
    t: u64,
    names: &'static [&'static str],
    state: Vec<Tensor<1>>,
}

/// Why a saved state is not a state of this optimizer.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A tensor of state is not there.
    #[error("the optimizer's state lacks `{0}`; it was saved by another optimizer, or is incomplete")]
    Missing(String),
    /// A tensor of state has another size than its parameter.
    #[error("the optimizer's state `{key}` should have {elements} elements; it was saved for another model")]
    WrongSize {
        /// The tensor's name.
        key: String,
        /// The number of elements of its parameter.
        elements: usize,
    },
    /// A tensor of state that belongs to no parameter.
    #[error(
        "the optimizer's state `{0}` belongs to no parameter; it was saved by another optimizer or for another model"
    )]
    Unknown(String),
    /// A counter that is not one whole number.
    #[error("the optimizer's state `{0}` should be one whole number")]
    NotACounter(String),
}

impl Optimizer {
    /// An optimizer with an empty state; a parameter belongs to the first group that holds its rank, and is not updated
    /// where none does.
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

    /// The whole state as named tensors: `PATH.NAME` for each tensor of state, flat, and `PATH.t` for the number of
    /// updates.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let mut state = BTreeMap::new();
        for (path, slot) in &self.slots {
            state.insert(format!("{path}.t"), TensorData::from([slot.t as i64]));
            for (name, tensor) in slot.names.iter().zip(&slot.state) {
                state.insert(format!("{path}.{name}"), tensor.to_data());
            }
        }
        state
    }

    /// Takes up the state that [`state`](Self::state) gave, for the parameters of `model`.
    ///
    /// # Errors
    /// Where a tensor is missing, has the wrong size, or belongs to no parameter.
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
        let Some(group) = self.groups.iter().find(|group| group.ranks.contains(&D)) else {
            return;
        };
        let path = self.path.join();
        let slot = self.slot(
            &path,
            group.algorithm.state_names(),
            param.shape().num_elements(),
            &param.device(),
        );
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
    fn slot(
        &mut self,
        path: &str,
        names: &'static [&'static str],
        elements: usize,
        device: &Device,
    ) -> Result<Option<Slot>, StateError> {
        let counter = format!("{path}.t");
        let Some(t) = self.state.remove(&counter) else {
            return Ok(None);
        };
        let t = match t.try_into_vec::<i64>().as_deref() {
            Ok(&[t]) if t >= 0 => t as u64,
            _ => return Err(StateError::NotACounter(counter)),
        };
        let mut state = Vec::with_capacity(names.len());
        for name in names {
            let key = format!("{path}.{name}");
            let data = self
                .state
                .remove(&key)
                .ok_or_else(|| StateError::Missing(key.clone()))?;
            if data.shape().as_slice() != [elements] {
                return Err(StateError::WrongSize { key, elements });
            }
            state.push(Tensor::from_data(data, &device.clone().inner()));
        }
        Ok(Some(Slot { t, names, state }))
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
        let Some(group) = self
            .optimizer
            .groups
            .iter()
            .find(|group| group.ranks.contains(&D))
        else {
            return param;
        };
        let Some(gradient) = self.gradients.remove::<D>(param.id) else {
            return param;
        };
        let path = self.path.join();
        let names = group.algorithm.state_names();
        let empty = || Slot {
            t: 0,
            names,
            state: Vec::new(),
        };
        let Slot { t, state, .. } = self.optimizer.slots.remove(&path).unwrap_or_else(empty);
        let at = At {
            t: t + 1,
            lr: self.lr,
        };

        let (id, parameter, mapper) = param.consume();
        let trained = parameter.is_autodiff();
        let shape = parameter.shape();
        let elements = shape.num_elements();
        let flat = parameter.without_autodiff().reshape([elements]);
        let (flat, state) = group
            .algorithm
            .step(at, flat, gradient.reshape([elements]), state);
        self.optimizer.slots.insert(
            path,
            Slot {
                t: at.t,
                names,
                state,
            },
        );

        let mut parameter = flat.reshape(shape);
        if trained {
            parameter = Tensor::from_inner(parameter).require_grad();
        }
        Param::from_mapped_value(id, parameter, mapper)
    }
}
