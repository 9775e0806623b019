//! TOML that knows where each of its values was written.
//!
//! A recipe is put together from several sources: a file, the axes of a sweep, `--set` on the command line. A
//! [`Node`] keeps with every value the source and the place it came from, so that an error, found however late, points
//! at the line to mend.

mod check;
mod error;
mod node;
mod schema;

pub use check::{check, check_entry, nearest};
pub use error::ConfigError;
pub use node::{Node, NodeKind, Place};
pub use schema::{close_tables, table_keys};
