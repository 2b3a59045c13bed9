//! Counts what is under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many there are just now.
#[derive(Clone, Default)]
pub(super) struct Tally(Arc<AtomicUsize>);

/// One of them, until it is dropped.
pub(super) struct Tallied(Tally);

impl Tally {
    /// One more.
    pub fn one(&self) -> Tallied {
        self.0.fetch_add(1, Ordering::Relaxed);
        Tallied(self.clone())
    }

    /// How many there are.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Tallied {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
