//! Sweeps: file -> plan -> one process a trial -> CSV comparisons.
