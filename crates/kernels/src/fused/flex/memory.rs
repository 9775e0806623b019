//! Memory that is used again: what a step allocates and frees, the next step takes without asking the system for pages, and
//! without clearing them.
#![expect(
    unsafe_code,
    reason = "a tensor's memory is bytes, which f32 can always be read and written as"
)]

use std::{
    collections::HashMap,
    mem::{MaybeUninit, take},
    slice,
    sync::{LazyLock, Mutex, PoisonError},
};

use burn_std::{AccessError, AccessPolicy, AllocationController, AllocationProperty, Bytes};

/// Buffers that no tensor holds, by their length.
#[derive(Default)]
struct Pool {
    free: HashMap<usize, Vec<Vec<f32>>>,
    /// Elements of buffers that tensors hold, the most that they ever held, and those of `free`.
    used: usize,
    most_used: usize,
    unused: usize,
}

static POOL: LazyLock<Mutex<Pool>> = LazyLock::new(Mutex::default);

impl Pool {
    fn take(&mut self, length: usize) -> Option<Vec<f32>> {
        self.used += length;
        self.most_used = self.most_used.max(self.used);
        let buffer = self.free.get_mut(&length)?.pop()?;
        self.unused -= length;
        Some(buffer)
    }

    /// Keeps a buffer; gives it back where the pool has as much as was ever in use, as when shapes change for good.
    fn give(&mut self, buffer: Vec<f32>) -> Option<Vec<f32>> {
        let length = buffer.len();
        self.used -= length;
        if self.unused + length > self.most_used {
            return Some(buffer);
        }
        self.unused += length;
        self.free.entry(length).or_default().push(buffer);
        None
    }
}

fn pool<T>(work: impl FnOnce(&mut Pool) -> T) -> T {
    // The pool is consistent between any two of its methods, which do not panic.
    work(&mut POOL.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Room for numbers that are about to be written; it holds anything.
pub(super) struct Buffer(Vec<f32>);

impl Buffer {
    pub(super) fn new(length: usize) -> Self {
        Self(pool(|pool| pool.take(length)).unwrap_or_else(|| vec![0.0; length]))
    }

    /// The buffer as the memory of a tensor, from which it comes back when the last tensor that holds it is gone.
    pub(super) fn into_bytes(self) -> Bytes {
        let length = size_of_val(self.0.as_slice());
        // SAFETY: all of the controller's bytes are initialised.
        unsafe { Bytes::from_controller(Box::new(self), length) }
    }
}

impl std::ops::Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl std::ops::DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = take(&mut self.0);
        // What the pool does not want is freed when its lock is released.
        drop(pool(|pool| pool.give(buffer)));
    }
}

impl AllocationController for Buffer {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    unsafe fn memory_mut(&mut self, _: AccessPolicy) -> Result<&mut [MaybeUninit<u8>], AccessError> {
        let bytes = size_of_val(self.0.as_slice());
        // SAFETY: the numbers are so many bytes, borrowed mutably; the caller writes initialised ones.
        Ok(unsafe { slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), bytes) })
    }

    fn memory(&self, _: AccessPolicy) -> Result<&[MaybeUninit<u8>], AccessError> {
        let bytes = size_of_val(self.0.as_slice());
        // SAFETY: the numbers are so many bytes, borrowed.
        Ok(unsafe { slice::from_raw_parts(self.0.as_ptr().cast(), bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffer, Pool};

    #[test]
    fn a_tensors_memory_comes_back() {
        // A length that no other test uses.
        let buffer = Buffer::new(12_347);
        let first = buffer.as_ptr();
        let bytes = buffer.into_bytes();
        let copy = bytes.clone();
        drop(bytes);
        assert_eq!(copy.len(), 4 * 12_347);
        assert_eq!(Buffer::new(12_347).as_ptr(), first);
    }

    #[test]
    fn the_pool_keeps_no_more_than_was_ever_in_use() {
        let mut pool = Pool::default();
        assert!(pool.take(10).is_none());
        assert!(pool.give(vec![0.0; 10]).is_none());
        // Of other shapes, while the first is unused.
        assert!(pool.take(8).is_none());
        assert!(
            pool.give(vec![0.0; 8]).is_some(),
            "18 would be unused, and 10 were in use"
        );
        assert!(pool.take(10).is_some());
    }
}
