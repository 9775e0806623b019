mod compare;
mod devices;
mod diff;
mod list;
mod lr_find;
mod schema;
mod show;
mod sweep;
mod train;

pub use compare::compare;
pub use devices::devices;
pub use diff::diff;
pub use list::list;
pub use lr_find::lr_find;
pub use schema::schema;
pub use show::show_schedule;
pub use sweep::sweep;
pub use train::train;
