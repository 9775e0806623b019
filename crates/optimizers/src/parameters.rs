use burn::{
    module::{Module, ModuleVisitor, Param},
    tensor::Tensor,
};

/// The path of the parameter that a walk over a module is at, such as `blocks.0.attention.output.weight`.
///
/// Feed it from `enter_module` and `exit_module` of Burn's visitors and mappers.
#[derive(Clone, Debug, Default)]
pub struct ParameterPath {
    names: Vec<String>,
}

impl ParameterPath {
    /// Steps into the field or element `name`.
    pub fn enter(&mut self, name: &str) {
        self.names.push(name.to_owned());
    }

    /// Steps out again.
    pub fn exit(&mut self) {
        self.names.pop();
    }

    /// The path, its names joined by dots.
    pub fn join(&self) -> String {
        self.names.join(".")
    }

    /// The paths of all parameters of a module.
    pub fn all<M: Module>(module: &M) -> Vec<String> {
        Self::with_ranks(module)
            .into_iter()
            .map(|(path, _)| path)
            .collect()
    }

    /// The paths of all parameters, and how many dimensions each has.
    pub(crate) fn with_ranks<M: Module>(module: &M) -> Vec<(String, usize)> {
        let mut paths = Paths::default();
        module.visit(&mut paths);
        paths.all
    }
}

#[derive(Default)]
struct Paths {
    path: ParameterPath,
    all: Vec<(String, usize)>,
}

impl ModuleVisitor for Paths {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        self.all.push((self.path.join(), D));
    }
}
