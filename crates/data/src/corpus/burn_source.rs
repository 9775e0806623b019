/// The `.rs` files of burn-core, burn-nn, burn-optim and burn-tensor at the locked version, in the order of their
/// paths.
pub(super) const TEXT: &str = include_str!(concat!(env!("OUT_DIR"), "/burn-source.txt"));

#[cfg(test)]
mod tests {
    use super::TEXT;

    #[test]
    fn it_is_the_source_of_four_crates() {
        for sign in [
            "pub trait Module",
            "pub struct Linear",
            "pub struct AdamW",
            "pub struct Tensor<",
        ] {
            assert!(TEXT.contains(sign), "{sign}");
        }
        assert!((1 << 20..4 << 20).contains(&TEXT.len()), "{} bytes", TEXT.len());
    }
}
