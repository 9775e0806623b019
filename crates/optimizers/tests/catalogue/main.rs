//! The catalogue under its laws, its references, and PyTorch; and Burn's own optimizers under the same.
#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps an error has failed, as it should"
)]

mod burns;
mod drawn;
mod laws;
mod pytorch;
mod reference;
mod table;
