//! How fast a run trains: tokens a second, percentiles of a step's time, model FLOP/s utilisation, and the memory at its
//! highest.

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use kernels::{Operations, Precision};

/// What [`CurveRow`](crate::CurveRow) and [`TrialResult`](crate::TrialResult) say of the steps' speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speed {
    pub(crate) tokens_per_second: Option<f64>,
    pub(crate) step_seconds_p50: Option<f64>,
    pub(crate) step_seconds_p90: Option<f64>,
    pub(crate) step_seconds_p99: Option<f64>,
    pub(crate) mfu: Option<f64>,
}

/// The steps of which a [`Speed`] is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepTimes {
    seconds: Vec<f64>,
}

impl StepTimes {
    pub(crate) fn add(&mut self, seconds: f64) {
        self.seconds.push(seconds);
    }

    /// Seconds of all steps.
    pub(crate) fn total(&self) -> f64 {
        self.seconds.iter().sum()
    }

    /// The speed at `tokens` a step, where a token takes `flops`, on a device whose peak is `peak` FLOP/s if known.
    pub(crate) fn speed(&self, tokens: u64, flops: f64, peak: Option<f64>) -> Speed {
        let total = self.total();
        let tokens_per_second = (total > 0.0).then(|| (tokens * self.seconds.len() as u64) as f64 / total);
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        Speed {
            tokens_per_second,
            step_seconds_p50: percentile(&sorted, 0.50),
            step_seconds_p90: percentile(&sorted, 0.90),
            step_seconds_p99: percentile(&sorted, 0.99),
            mfu: tokens_per_second
                .zip(peak)
                .map(|(speed, peak)| speed * flops / peak),
        }
    }
}

/// The value below which a `share` of the sorted ones lie, linear between neighbours as NumPy's and R's default
/// (definition 7 of Hyndman and Fan 1996); none of none.
fn percentile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

/// The device's peak, and what measuring it left of the memory's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peak {
    /// FLOP/s.
    pub(crate) flops: f64,
    before: Option<u64>,
    after: Option<u64>,
}

impl Peak {
    pub(crate) fn measure(device: &Device, precision: Precision) -> Self {
        let before = process_peak_memory();
        let flops = peak_flops(device, precision);
        Self {
            flops,
            before,
            after: process_peak_memory(),
        }
    }
}

/// The most bytes that this process has had in memory, where the system tells; not for measuring the device's peak.
pub(crate) fn peak_memory(peak: Option<&Peak>) -> Option<u64> {
    let most = process_peak_memory();
    match peak {
        Some(peak) if most <= peak.after => peak.before,
        _ => most,
    }
}

/// The high-water mark of the resident memory, in bytes.
fn process_peak_memory() -> Option<u64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    let most = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
    Some(u64::try_from(most).ok()? * unit)
}

/// The FLOP/s of the fastest product of square matrices that the device makes, its operands of that precision.
///
/// The matrices grow until a product takes 4 ms; then the best of eight counts. It is what a run could reach on this
/// machine beside whatever else runs on it, with as many threads: no figure of a data sheet.
fn peak_flops(device: &Device, precision: Precision) -> f64 {
    const FIRST: usize = 256;
    const LARGEST: usize = 8192;
    const LONG: f64 = 4e-3;
    const ROUNDS: usize = 8;
    let operations = Operations {
        precision,
        ..Operations::default()
    };
    let mut size = FIRST;
    loop {
        let [a, b] = [(); 2].map(|()| Tensor::<2>::random([size; 2], Distribution::Default, device));
        let product = || {
            let clock = Instant::now();
            let c = operations.linear(a.clone(), b.clone(), None);
            // Reading a number waits for the product, on a GPU too.
            let _: f64 = c.slice([0..1, 0..1]).into_scalar();
            clock.elapsed().as_secs_f64()
        };
        let fastest = |rounds: usize| (0..rounds).map(|_| product()).fold(f64::INFINITY, f64::min);
        // The first round touches new memory.
        if fastest(2) < LONG && size < LARGEST {
            size *= 2;
            continue;
        }
        return 2.0 * (size as f64).powi(3) / fastest(ROUNDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numpys() {
        // numpy.percentile([1, 2, 4, 8], [50, 90, 99])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| percentile(&sorted, share));
        assert_eq!(p50, Some(3.0));
        // 2.7 and 2.97 of three steps on: off by a rounding of the place, times the distance of the neighbours.
        for (actual, expected) in [(p90, 6.8), (p99, 7.88)] {
            assert!((actual.unwrap_or_default() - expected).abs() < 4.0 * 4.0 * f64::EPSILON);
        }
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[3.0], 0.99), Some(3.0));
    }

    #[test]
    fn a_speed_counts_the_time_of_steps_alone() {
        let mut times = StepTimes::default();
        assert_eq!(times.speed(10, 1.0, Some(1.0)).tokens_per_second, None);
        for seconds in [0.25, 0.25, 0.5] {
            times.add(seconds);
        }
        let speed = times.speed(100, 6.0, Some(1200.0));
        assert_eq!(speed.tokens_per_second, Some(300.0));
        assert_eq!(speed.mfu, Some(1.5));
        assert_eq!(speed.step_seconds_p50, Some(0.25));
    }

    #[test]
    fn memory_at_its_highest_includes_what_was_given_back_but_not_the_measuring() {
        const BYTES: usize = 64 << 20;
        drop(std::hint::black_box(vec![1_u8; BYTES]));
        let most = peak_memory(None);
        assert!(most >= Some(BYTES as u64));

        let peak = |before, after| Peak {
            flops: 1.0,
            before,
            after,
        };
        // Nothing has gone beyond what the measuring took.
        assert_eq!(peak_memory(Some(&peak(Some(7), Some(u64::MAX)))), Some(7));
        // Something has.
        assert!(peak_memory(Some(&peak(Some(7), Some(8)))) >= most);
    }
}
