//! That a receiver is about to go: first said to whoever sends it traffic, then done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether it was said that this receiver is about to go. From then on it is not ready, and asks its
/// clients to connect anew, so that they go elsewhere; it serves them all the same. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Departure(Arc<AtomicBool>);

impl Departure {
    /// Says it.
    pub fn announce(&self) {
        self.0.store(true, Relaxed);
    }

    /// Whether it was said.
    pub fn is_announced(&self) -> bool {
        self.0.load(Relaxed)
    }
}
