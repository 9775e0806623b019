mod devices;
mod train;

pub use devices::devices;
pub use train::train;
