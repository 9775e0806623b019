mod compare;
mod devices;
mod generate;
mod list;
mod show;
mod sweep;
mod train;

pub use compare::compare;
pub use devices::devices;
pub use generate::generate;
pub use list::list;
pub use show::show_schedule;
pub use sweep::sweep;
pub use train::train;
