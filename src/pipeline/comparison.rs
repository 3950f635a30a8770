//! Two mirrors of cells → how they differ, and a digest of one of them. Hours are compared: they are
//! kept long enough for both to have them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;
use crate::event::FailureClass;
use crate::tally::{Bucket, CellKey, Cells, Counter, Mirror};

/// How replayed cells differ from live ones.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Replayed cells.
    pub cells: usize,
    /// SHA-256 of every replayed cell and bucket, equal for equal cells.
    pub digest: String,
    /// Counts that are not the same, by cell and counter, over the hours that were replayed whole.
    pub differences: Vec<Difference>,
}

/// A count that is not the same.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The cell.
    #[serde(flatten)]
    pub cell: CellKey,
    /// What is counted.
    pub counter: String,
    /// Live messages.
    pub live: i64,
    /// Replayed messages.
    pub replayed: i64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.cell.number.as_ref().map_or("(unattributed)", |number| number.as_str());
        let list = self.cell.list.as_ref().map_or("-", |list| list.as_str());
        let (connection, counter) = (&self.cell.connection, &self.counter);
        write!(f, "{number}  {connection}  {list}  {counter}: live {}, replayed {}", self.live, self.replayed)
    }
}

/// Compares the hours that start at `from` or later, or all of them.
pub fn compare(live: &Mirror, replayed: &Mirror, from: Option<Timestamp>) -> Comparison {
    let first = from.map_or(0, |from| from.minute().div_ceil(60));
    let (live, cells) = (live.read(|cells| sums(cells, first)), replayed.read(|cells| sums(cells, first)));
    let keys: BTreeSet<_> = live.keys().chain(cells.keys()).collect();
    let differences = keys.into_iter().filter_map(|at| {
        let of = |sums: &Sums| sums.get(at).copied().unwrap_or(0);
        let (live, replayed) = (of(&live), of(&cells));
        let (cell, counter) = at.clone();
        (live != replayed).then(|| Difference { cell, counter: name(counter), live, replayed })
    });
    let differences = differences.collect();
    let (cells, digest) = replayed.read(|cells| (cells.len(), digest(cells)));
    Comparison { cells, digest, differences }
}

/// Messages by cell and counter.
type Sums = BTreeMap<(CellKey, usize), i64>;

fn sums(cells: &Cells, first: u32) -> Sums {
    let mut sums = Sums::new();
    for (_, cell) in cells.iter() {
        let hours = cell.buckets().filter(|(bucket, _)| matches!(bucket, Bucket::Hour(at) if *at >= first));
        for (_, counters) in hours {
            for (counter, count) in counters.iter() {
                *sums.entry((cell.key.clone(), counter)).or_default() += count;
            }
        }
    }
    sums
}

fn digest(cells: &Cells) -> String {
    let mut all: Vec<_> = cells.iter().map(|(_, cell)| cell).collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    let mut hash = Sha256::new();
    for cell in all {
        hash.update(format!("{:?}\n", cell.key));
        for (bucket, counters) in cell.buckets() {
            let counts: Vec<_> = counters.iter().filter(|(_, count)| *count != 0).collect();
            hash.update(format!("{bucket:?} {counts:?}\n"));
        }
    }
    hex::encode(hash.finalize())
}

/// What a counter is called.
fn name(counter: usize) -> String {
    let states = ["unknown", "accepted", "sent", "delivered", "canceled", "blocked"];
    let class = || counter.checked_sub(states.len()).and_then(|class| FailureClass::ALL.get(class));
    match (states.get(counter), class()) {
        (Some(state), _) => (*state).to_owned(),
        (None, Some(class)) => format!("failed, {}", class.name()),
        (None, None) if counter < Counter::COUNT => format!("detail {counter}"),
        (None, None) => "unknown counter".to_owned(),
    }
}
