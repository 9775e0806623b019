//! End-to-end tests of Cupel; see `tests/`.
