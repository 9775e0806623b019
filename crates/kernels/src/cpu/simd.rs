//! Loops compiled for each width of SIMD, the widest that the processor has chosen at run time.

/// Runs `work` compiled for the widest SIMD of this processor.
///
/// `work` should be a loop over slices that inlines completely: what it calls must be `#[inline(always)]`.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
