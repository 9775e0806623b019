//! The command line of Cupel.

fn main() {}
