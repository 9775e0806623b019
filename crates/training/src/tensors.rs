//! Named tensors: out of a module, into a module, and to and from safetensors files.

use std::{collections::BTreeMap, fs::File, io, path::Path};

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{DType, Tensor, TensorData},
};
use optimizers::ParameterPath;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

/// Tensors by name, such as `blocks.0.attention.output.weight`.
pub type Tensors = BTreeMap<String, TensorData>;

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
    let mut collect = Collect {
        path: ParameterPath::default(),
        tensors: Tensors::new(),
    };
    module.visit(&mut collect);
    collect.tensors
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
    let damaged = |reason: String| TensorsError::Damaged {
        path: path.display().to_string(),
        reason,
    };
    let mut views = Vec::with_capacity(tensors.len());
    for (name, data) in tensors {
        let dtype = safetensors_type(data.dtype())
            .ok_or_else(|| damaged(format!("`{name}` has the type {:?}", data.dtype())))?;
        let view = TensorView::new(dtype, data.shape().to_vec(), data.as_bytes())
            .map_err(|error| damaged(error.to_string()))?;
        views.push((name, view));
    }
    let io = |source: io::Error| TensorsError::Io {
        path: path.display().to_string(),
        source,
    };
    safetensors::serialize_to_file(views, None, path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(source) => io(source),
        other => damaged(other.to_string()),
    })?;
    File::open(path).and_then(|file| file.sync_all()).map_err(io)
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
    tensors: Tensors,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.tensors.insert(self.path.join(), param.val().into_data());
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
