//! The threads that share the work.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::Yield;

/// Runs `work` inside rayon's pool, whose other threads stay awake until it is done.
///
/// A step is hundreds of parallel loops of some ten microseconds with a little serial work between them. Left alone, a
/// thread falls asleep in such a gap, and to wake it takes as long as a loop; so idle threads look for work, and offer
/// their time to other processes in between.
///
/// ```
/// use kernels::cpu::pool::awake;
///
/// assert_eq!(awake(|| rayon::join(|| 1, || 2)), (1, 2));
/// ```
pub fn awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let done = AtomicBool::new(false);
    rayon::scope(|scope| {
        let (here, done) = (rayon::current_thread_index(), &done);
        scope.spawn_broadcast(move |_, context| {
            // The thread that works must not look for this, its own end.
            if Some(context.index()) != here {
                while !done.load(Ordering::Relaxed) {
                    if rayon::yield_now() != Some(Yield::Executed) {
                        std::thread::yield_now();
                    }
                }
            }
        });
        let _end = SetOnDrop(done);
        work()
    })
}

/// So that the other threads end even where `work` panics.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::awake;

    #[test]
    fn parallel_loops_in_parallel_loops_end() {
        fn fibonacci(n: u32) -> u32 {
            if n < 2 {
                return n;
            }
            let (a, b) = rayon::join(|| fibonacci(n - 1), || fibonacci(n - 2));
            a + b
        }
        for threads in 1..=3 {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            assert_eq!(pool.install(|| awake(|| fibonacci(15))), 610);
        }
    }

    #[test]
    #[should_panic(expected = "of the work")]
    fn a_panic_ends_it() {
        awake(|| panic!("of the work"));
    }
}
