mod compare;
mod devices;
mod sweep;
mod train;

pub use compare::compare;
pub use devices::devices;
pub use sweep::sweep;
pub use train::train;
