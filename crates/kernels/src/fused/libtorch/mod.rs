//! The operations on LibTorch.
