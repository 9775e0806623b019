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
}
