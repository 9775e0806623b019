//! How work is divided among threads: by shape alone, so that sums are taken in the same order with any number of them.

/// Elements of a task: several times what it costs to hand one to another thread, and little enough for the first cache
/// level but one. A tensor of a single task stays on the thread that calls.
const TASK: usize = 16 * 1024;

/// Rows of a task over a matrix of this width.
pub(super) fn rows_per_task(width: usize) -> usize {
    (TASK / width.max(1)).max(1)
}

/// Rows of a task whose work does not grow with its rows (a scatter or a gather): at least 16 tasks where there are
/// rows for them.
pub(super) fn rows_per_gathering_task(rows: usize, width: usize) -> usize {
    rows_per_task(width).min(rows.div_ceil(16)).max(1)
}
