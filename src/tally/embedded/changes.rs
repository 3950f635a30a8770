//! Which buckets changed, in order, for the mirrors that follow. Pure, but for what it is born with.

use std::collections::{HashMap, VecDeque};

use crate::tally::{Bucket, CellId, RollKey};

/// Changes of buckets that are remembered for mirrors; one that is further behind reads everything.
const LOG_MAX: usize = 1 << 20;

/// Which buckets changed, in order.
pub(super) struct Log {
    /// Stands for this opening of the store, so that no mirror goes on with another's sequence.
    pub(super) born: u64,
    /// How many entries there have ever been.
    pub(super) seen: u64,
    pub(super) entries: VecDeque<(CellId, Bucket)>,
    /// Rolls that changed, with how many entries there had been by then.
    rolls: HashMap<RollKey, u64>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { born: rand::random::<u64>() | 1, seen: 0, entries: VecDeque::new(), rolls: HashMap::new() }
    }

    pub(super) fn push(&mut self, cell: CellId, bucket: Bucket) {
        if self.entries.len() == LOG_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back((cell, bucket));
        self.seen += 1;
    }

    pub(super) fn push_roll(&mut self, key: &RollKey) {
        self.rolls.insert(key.clone(), self.seen);
    }

    /// Rolls that changed since there were so many entries, and those that changed just then.
    pub(super) fn rolls_since(&self, seen: u64) -> impl Iterator<Item = &RollKey> {
        self.rolls.iter().filter(move |(_, at)| **at >= seen).map(|(key, _)| key)
    }
}
