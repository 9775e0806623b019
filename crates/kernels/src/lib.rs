//! The training operations that model and losses call.
