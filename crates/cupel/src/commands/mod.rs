mod compare;
mod devices;
mod list;
mod lr_find;
mod show;
mod sweep;
mod train;

pub use compare::compare;
pub use devices::devices;
pub use list::list;
pub use lr_find::lr_find;
pub use show::show_schedule;
pub use sweep::sweep;
pub use train::train;
