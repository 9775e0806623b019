//! Loops compiled for each width of SIMD, the widest that the processor has chosen at run time.

/// Runs `work` compiled for the widest SIMD of this processor.
///
/// `work` should be a loop over slices that inlines completely: what it calls must be `#[inline(always)]`, and so must the
/// closure itself, or the compiler may leave it a function of its own, compiled for any processor. On a processor
/// without fused multiply-add every `f32::mul_add` becomes a call of the C library: slow, and the same bits.
#[inline(always)]
pub fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(test)]
    if portable::CHOSEN.load(std::sync::atomic::Ordering::Relaxed) {
        return work();
    }
    pulp::Arch::new().dispatch(work)
}

/// For tests: without SIMD beyond what every processor of the target has.
#[cfg(test)]
pub(crate) mod portable {
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Whether loops run as compiled for any processor. Other tests may run meanwhile: they get the same bits.
    pub(super) static CHOSEN: AtomicBool = AtomicBool::new(false);

    pub(crate) fn portably<R>(work: impl FnOnce() -> R) -> R {
        CHOSEN.store(true, Ordering::Relaxed);
        let result = work();
        CHOSEN.store(false, Ordering::Relaxed);
        result
    }
}
