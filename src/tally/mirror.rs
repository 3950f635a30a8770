//! A store's cells in memory: changes of buckets in, cells to read out.
//!
//! Changes carry what a bucket holds, never differences, and one mirror takes them one refresh
//! after the other, so that concurrent callers cannot lose an update. Must never wait on a store
//! while it keeps readers out.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, MutexGuard};

use crate::clock::Timestamp;
use crate::event::ConnectionId;

use super::cell::{CellId, CellKey};
use super::roll::{RollCopy, RollKey};
use super::window::{Bucket, Cells, Counters};
use super::{Error, apart};

/// A mirror of the cells in memory, brought up to date by [`Store::refresh`](super::Store::refresh).
#[derive(Debug, Default)]
pub struct Mirror {
    cells: RwLock<Cells>,
    following: Mutex<Following>,
}

/// How far a mirror has followed a store, slot by slot. Holding it is the right to refresh.
#[derive(Debug, Default)]
pub(super) struct Following {
    parts: Vec<Part>,
    clock: Timestamp,
}

/// How far a mirror has followed one slot.
#[derive(Debug, Default)]
struct Part {
    /// Which store it was: another one, or the same one emptied, is read from the start.
    born: u64,
    /// The slot's sequence that has been seen.
    seen: u64,
    /// The slot's own share of the cells; kept only where there are several to be summed.
    cells: Cells,
}

/// What changed in one slot.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// How far the slot has been followed with this.
    pub(super) born: u64,
    /// The slot's sequence.
    pub(super) seen: u64,
    /// True when this is everything rather than what changed since.
    pub(super) whole: bool,
    /// Cells that are new.
    pub(super) cells: Vec<CellKey>,
    /// What buckets hold.
    pub(super) buckets: Vec<(CellId, Bucket, Counters)>,
    /// What rolls hold.
    pub(super) rolls: Vec<(RollKey, RollCopy)>,
    /// When connections' last receipts were received.
    pub(super) heard: BTreeMap<ConnectionId, Timestamp>,
    /// The slot's stream clock.
    pub(super) clock: Timestamp,
}

impl Mirror {
    /// Reads the cells as they were at the last refresh.
    pub fn read<T>(&self, look: impl FnOnce(&Cells) -> T) -> T {
        look(&self.cells.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same for whoever takes time over it: on a thread of its own, and with nobody refreshing
    /// meanwhile, so that nobody waits for it who has other things to do.
    ///
    /// # Errors
    /// When the runtime is ending.
    pub async fn study<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Cells) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let _nobody_else = self.following.lock().await;
        let mirror = Arc::clone(self);
        apart(move || mirror.read(look)).await
    }

    /// True when the share of this slot knows the cell.
    pub(super) fn knows(&self, following: &Following, slots: usize, slot: usize, cell: CellId) -> bool {
        match following.parts.get(slot) {
            Some(part) if slots > 1 => part.cells.knows(cell),
            Some(_) => self.read(|cells| cells.knows(cell)),
            None => false,
        }
    }

    /// Waits for the right to refresh.
    pub(super) async fn follow(&self) -> MutexGuard<'_, Following> {
        self.following.lock().await
    }

    /// Takes what changed, a delta a slot.
    pub(super) fn take(&self, following: &mut Following, deltas: Vec<Delta>) {
        let whole = deltas.iter().any(|delta| delta.whole);
        // Another store's clock says nothing about this one's buckets.
        let known = if whole { Timestamp::default() } else { following.clock };
        let clock = deltas.iter().map(|delta| delta.clock).fold(known, Timestamp::max);
        following.clock = clock;
        following.parts.resize_with(deltas.len(), Part::default);
        let single = deltas.len() == 1;
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        for (part, delta) in following.parts.iter_mut().zip(deltas) {
            (part.born, part.seen) = (delta.born, delta.seen);
            if single {
                set(&mut cells, &delta);
            } else {
                add(&mut cells, &mut part.cells, &delta);
                part.cells.expire(clock);
            }
        }
        if whole && !single {
            *cells = sum(&following.parts);
        }
        cells.expire(clock);
    }
}

impl Following {
    /// How far a slot has been followed: of which store, to which place in its sequence.
    pub(super) fn place(&self, slot: usize) -> (u64, u64) {
        self.parts.get(slot).map_or((0, 0), |part| (part.born, part.seen))
    }
}

fn set(cells: &mut Cells, delta: &Delta) {
    if delta.whole {
        *cells = Cells::default();
    }
    for key in &delta.cells {
        cells.register(key);
    }
    for (cell, bucket, counters) in &delta.buckets {
        cells.set(*cell, *bucket, *counters);
    }
    set_beside(cells, delta);
}

/// Rolls stand in one slot each, so there is nothing to sum.
fn set_beside(cells: &mut Cells, delta: &Delta) {
    for (key, copy) in &delta.rolls {
        cells.rolls.set(key.clone(), copy.clone());
    }
    cells.hear(&delta.heard);
}

/// Sets a slot's share and moves the sum by the difference.
fn add(sums: &mut Cells, share: &mut Cells, delta: &Delta) {
    if delta.whole {
        return set(share, delta);
    }
    for key in &delta.cells {
        sums.register(key);
        share.register(key);
    }
    set_beside(sums, delta);
    set_beside(share, delta);
    for (cell, bucket, counters) in &delta.buckets {
        let mut sum = sums.get(*cell, *bucket);
        sum.subtract(&share.get(*cell, *bucket));
        sum.merge(counters);
        sums.set(*cell, *bucket, sum);
        share.set(*cell, *bucket, *counters);
    }
}

fn sum(parts: &[Part]) -> Cells {
    let mut sums = Cells::default();
    for part in parts {
        let rolls = &part.cells.rolls;
        rolls.keys().for_each(|key| sums.rolls.set(key.clone(), rolls.copy(key)));
        sums.hear(&part.cells.heard);
    }
    for (id, cell) in parts.iter().flat_map(|part| part.cells.iter()) {
        sums.register(&cell.key);
        for (bucket, counters) in cell.buckets() {
            let mut sum = sums.get(id, bucket);
            sum.merge(&counters);
            sums.set(id, bucket, sum);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::tally::{Apply, Store};

    #[tokio::test]
    async fn what_is_being_counted_does_not_wait_for_whoever_studies_the_cells() {
        let dir = tempfile::tempdir().unwrap();
        let (store, mirror) = (Store::embedded(dir.path()).unwrap(), Arc::new(Mirror::default()));
        let ((begin, begun), (end, ended)) = (tokio::sync::oneshot::channel(), mpsc::channel::<()>());
        let studied = Arc::clone(&mirror);
        let study = tokio::spawn(async move {
            let look = move |cells: &Cells| {
                begin.send(()).unwrap();
                ended.recv().unwrap();
                cells.len()
            };
            studied.study(look).await
        });
        begun.await.unwrap();
        store.apply(&Apply::default()).await.unwrap();
        // Who refreshes waits, and holds no thread up by it.
        let refreshed = store.refresh(&mirror);
        tokio::pin!(refreshed);
        tokio::select! {
            biased;
            _ = &mut refreshed => panic!("the cells changed under somebody's eyes"),
            () = tokio::task::yield_now() => {}
        }
        end.send(()).unwrap();
        assert_eq!(study.await.unwrap().unwrap(), 0);
        refreshed.await.unwrap();
    }
}
