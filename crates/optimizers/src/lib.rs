//! Optimizers as scalar update rules, parameter groups, and global-norm clipping.
