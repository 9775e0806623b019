//! Named tensors: out of a module, into a module, and to and from safetensors files.

use std::{borrow::Cow, cell::RefCell, collections::BTreeMap, fmt, fs::File, io, path::Path, rc::Rc};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Tensor, TensorData},
};
use optimizers::{Optimizer, ParameterPath};
use safetensors::{Dtype, SafeTensors, View};

/// Tensors by name, such as `blocks.0.attention.output.weight`.
pub type Tensors = BTreeMap<String, TensorData>;

/// Tensors by name that are fetched from their device when they are written, one at a time.
pub type LazyTensors<'a> = BTreeMap<String, LazyTensor<'a>>;

/// A tensor whose values are fetched when they are asked for.
pub struct LazyTensor<'a> {
    dtype: DType,
    shape: Vec<usize>,
    fetch: Box<dyn Fn() -> TensorData + 'a>,
}

impl fmt::Debug for LazyTensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LazyTensor({:?}, {:?})", self.dtype, self.shape)
    }
}

/// Why named tensors could not be read, written or taken up.
#[derive(Debug, thiserror::Error)]
pub enum TensorsError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is no safetensors file, or a damaged one.
    #[error("{path} is not an intact safetensors file: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What the parser says.
        reason: String,
    },
    /// A tensor of the model is not there.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A tensor has not the shape that the model's has.
    #[error("`{name}` has the shape {found:?} instead of {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The file's.
        found: Vec<usize>,
        /// The model's.
        expected: Vec<usize>,
    },
    /// A tensor that the model does not have.
    #[error("`{0}` belongs to no parameter of this model")]
    Unknown(String),
}

/// The parameters of a module.
pub fn parameters<M: Module>(module: &M) -> Tensors {
    let parameters = lazy_parameters(module).into_iter();
    parameters
        .map(|(name, tensor)| (name, (tensor.fetch)()))
        .collect()
}

/// The parameters of a module, each fetched when it is written.
pub fn lazy_parameters<M: Module>(module: &M) -> LazyTensors<'static> {
    let mut collect = Collect {
        path: ParameterPath::default(),
        tensors: LazyTensors::new(),
    };
    module.visit(&mut collect);
    collect.tensors
}

/// The state of an optimizer, that of each parameter fetched when it is written.
pub fn lazy_state(optimizer: &Optimizer) -> LazyTensors<'_> {
    // Tensors are written in the order of their names, so that those of one parameter follow one another: they are fetched
    // together.
    let fetched = Rc::new(RefCell::new(("", Tensors::new())));
    let mut tensors = LazyTensors::new();
    for path in optimizer.paths() {
        for (name, data) in optimizer.state_of(path) {
            let (dtype, shape) = (data.dtype(), data.shape().to_vec());
            let fetch: Box<dyn Fn() -> TensorData> = if data.num_elements() == 1 {
                Box::new(move || data.clone())
            } else {
                let (key, fetched) = (name.clone(), Rc::clone(&fetched));
                Box::new(move || {
                    let mut fetched = fetched.borrow_mut();
                    if fetched.0 != path || !fetched.1.contains_key(&key) {
                        *fetched = (path, optimizer.state_of(path));
                    }
                    let tensor = fetched.1.remove(&key);
                    tensor.expect("no update was made since its names were read")
                })
            };
            let tensor = LazyTensor { dtype, shape, fetch };
            tensors.insert(name, tensor);
        }
    }
    tensors
}

/// The module with its parameters replaced by `tensors`, which must be exactly its own in name and shape.
///
/// # Errors
/// The first parameter that is missing, has another shape, or belongs to no parameter.
pub fn with_parameters<M: Module>(module: M, tensors: Tensors) -> Result<M, TensorsError> {
    let mut replace = Replace {
        path: ParameterPath::default(),
        tensors,
        error: None,
    };
    let module = module.map(&mut replace);
    match (replace.error, replace.tensors.pop_first()) {
        (Some(error), _) => Err(error),
        (None, Some((name, _))) => Err(TensorsError::Unknown(name)),
        (None, None) => Ok(module),
    }
}

/// Writes a safetensors file and syncs it.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(path: &Path, tensors: &Tensors) -> Result<(), TensorsError> {
    let tensors = tensors.iter().map(|(name, data)| {
        let tensor = LazyTensor {
            dtype: data.dtype(),
            shape: data.shape().to_vec(),
            fetch: Box::new(|| data.clone()),
        };
        (name.clone(), tensor)
    });
    write_lazily(path, tensors.collect())
}

/// Writes a safetensors file and syncs it; no more than one tensor is in memory at a time.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_lazily(path: &Path, tensors: LazyTensors<'_>) -> Result<(), TensorsError> {
    let damaged = |reason: String| TensorsError::Damaged {
        path: path.display().to_string(),
        reason,
    };
    let io = |source: io::Error| TensorsError::Io {
        path: path.display().to_string(),
        source,
    };
    let mut views = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let dtype = safetensors_type(tensor.dtype)
            .ok_or_else(|| damaged(format!("`{name}` has the type {:?}", tensor.dtype)))?;
        views.push((name, Viewed { dtype, tensor }));
    }
    safetensors::serialize_to_file(views, None, path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(source) => io(source),
        other => damaged(other.to_string()),
    })?;
    File::open(path).and_then(|file| file.sync_all()).map_err(io)
}

/// A tensor as the writer of safetensors files sees it.
struct Viewed<'a> {
    dtype: Dtype,
    tensor: LazyTensor<'a>,
}

impl View for Viewed<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.tensor.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        (self.tensor.fetch)().as_bytes().to_vec().into()
    }

    fn data_len(&self) -> usize {
        self.tensor.shape.iter().product::<usize>() * self.tensor.dtype.size()
    }
}

/// Reads a safetensors file.
///
/// # Errors
/// Where the file cannot be read, is damaged, or holds a type that no checkpoint has.
pub fn read(path: &Path) -> Result<Tensors, TensorsError> {
    let damaged = |reason: String| TensorsError::Damaged {
        path: path.display().to_string(),
        reason,
    };
    let bytes = std::fs::read(path).map_err(|source| TensorsError::Io {
        path: path.display().to_string(),
        source,
    })?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
    file.iter()
        .map(|(name, view)| {
            let dtype = burn_type(view.dtype())
                .ok_or_else(|| damaged(format!("`{name}` has the type {:?}", view.dtype())))?;
            let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
            Ok((name.to_owned(), data))
        })
        .collect()
}

fn safetensors_type(dtype: DType) -> Option<Dtype> {
    match dtype {
        DType::F32 => Some(Dtype::F32),
        DType::F64 => Some(Dtype::F64),
        DType::I64 => Some(Dtype::I64),
        _ => None,
    }
}

fn burn_type(dtype: Dtype) -> Option<DType> {
    match dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F64 => Some(DType::F64),
        Dtype::I64 => Some(DType::I64),
        _ => None,
    }
}

struct Collect {
    path: ParameterPath,
    tensors: LazyTensors<'static>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let lazy = LazyTensor {
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            fetch: Box::new(move || tensor.clone().into_data()),
        };
        self.tensors.insert(self.path.join(), lazy);
    }
}

struct Replace {
    path: ParameterPath,
    tensors: Tensors,
    error: Option<TensorsError>,
}

impl ModuleMapper for Replace {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.join();
        let expected = param.shape().to_vec();
        match self.tensors.remove(&name) {
            Some(data) if data.shape().to_vec() == expected => {
                param.map(|tensor| Tensor::from_data(data, &tensor.device()).require_grad())
            }
            Some(data) => {
                let found = data.shape().to_vec();
                self.error.get_or_insert(TensorsError::Shape {
                    name,
                    found,
                    expected,
                });
                param
            }
            None => {
                self.error.get_or_insert(TensorsError::Missing(name));
                param
            }
        }
    }
}
