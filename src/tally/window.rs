//! Cells' counts over time: minute buckets for 25 h, hour buckets for 31 d, and sums of them. Pure.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::event::{ConnectionId, FailureClass};

use super::cell::{CellId, CellKey};
use super::counter::Counter;
use super::message::Contribution;
use super::roll::Rolls;
use super::run::Run;

/// How long a minute is kept.
pub const MINUTES_KEPT: Duration = Duration::from_secs(25 * 3600);
/// How long an hour is kept.
pub const HOURS_KEPT: Duration = Duration::from_secs(31 * 86_400);
/// How old a cohort may be for a late receipt to correct it.
pub const CORRECTED_FOR: Duration = Duration::from_secs(4 * 86_400);

/// How many messages count as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters([i64; Counter::COUNT]);

impl Counters {
    /// Nothing.
    pub const NONE: Self = Self([0; Counter::COUNT]);

    /// Adds `change` messages.
    pub fn add(&mut self, counter: Counter, change: i64) {
        self.0[counter.index()] += change;
    }

    /// Takes all of `other` away.
    pub fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine -= theirs;
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// Messages that count as this.
    pub fn get(&self, counter: Counter) -> u64 {
        u64::try_from(self.0[counter.index()]).unwrap_or(0)
    }

    /// The same, as it is added up: negative where more was taken away than was there.
    pub fn signed(&self, counter: Counter) -> i64 {
        self.0[counter.index()]
    }

    /// Messages that failed with this class.
    pub fn failed(&self, class: FailureClass) -> u64 {
        self.get(Counter::failed(class))
    }

    /// Messages of every state.
    pub fn total(&self) -> u64 {
        self.0[..Counter::STATES].iter().map(|n| u64::try_from(*n).unwrap_or(0)).sum()
    }

    /// True when nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|n| *n == 0)
    }

    /// Every counter with its count, in order.
    pub fn iter(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        self.0.iter().copied().enumerate()
    }
}

/// One cell's buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What is counted in it.
    pub key: CellKey,
    minutes: Run,
    hours: Run,
}

/// Every cell: the state's counts, or a mirror of them; and what is counted beside the cells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cells {
    cells: HashMap<CellId, Cell>,
    /// Who opted out or complained, and what was told of numbers.
    pub rolls: Rolls,
    /// When each connection's last receipt was received.
    pub heard: BTreeMap<ConnectionId, Timestamp>,
}

/// A bucket of a cell: the unit in which counts are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// A minute since the epoch.
    Minute(u32),
    /// An hour since the epoch.
    Hour(u32),
}

impl Cells {
    /// Makes a cell known; its id is returned.
    pub fn register(&mut self, key: &CellKey) -> CellId {
        let id = key.id();
        self.cells.entry(id).or_insert_with(|| Cell {
            key: key.clone(),
            minutes: Run::default(),
            hours: Run::default(),
        });
        id
    }

    /// Counts one message more (`change` 1) or less (−1), in its minute unless that has been
    /// dropped at `clock`, and in its hour. The cell must be registered.
    pub fn count(&mut self, message: Contribution, change: i64, clock: Timestamp) {
        let Some(cell) = self.cells.get_mut(&message.cell) else { return };
        for bucket in buckets_of(message.minute, clock) {
            let (run, at) = cell.run(bucket);
            run.add(at, message.counter, change);
        }
    }

    /// Sets a bucket to what the store holds.
    pub fn set(&mut self, cell: CellId, bucket: Bucket, counters: Counters) {
        let Some(cell) = self.cells.get_mut(&cell) else { return };
        let (run, at) = cell.run(bucket);
        run.set(at, &counters);
    }

    /// What a bucket holds.
    pub fn get(&self, cell: CellId, bucket: Bucket) -> Counters {
        let Some(cell) = self.cells.get(&cell) else { return Counters::default() };
        match bucket {
            Bucket::Minute(at) => cell.minutes.get(at),
            Bucket::Hour(at) => cell.hours.get(at),
        }
    }

    /// Notes when connections' last receipts were received.
    pub fn hear(&mut self, heard: &BTreeMap<ConnectionId, Timestamp>) {
        for (connection, at) in heard {
            let latest = self.heard.entry(connection.clone()).or_default();
            *latest = at.max(latest).to_owned();
        }
    }

    /// Drops the buckets whose time is over.
    pub fn expire(&mut self, clock: Timestamp) {
        for cell in self.cells.values_mut() {
            cell.minutes.drop_before(oldest_minute(clock));
            cell.hours.drop_before(oldest_hour(clock));
        }
        self.rolls.expire(clock);
    }

    /// The key of a cell that is known.
    pub fn key(&self, cell: CellId) -> Option<&CellKey> {
        self.cells.get(&cell).map(|cell| &cell.key)
    }

    /// True when a cell is known.
    pub fn knows(&self, cell: CellId) -> bool {
        self.cells.contains_key(&cell)
    }

    /// Every cell, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (CellId, &Cell)> {
        self.cells.iter().map(|(id, cell)| (*id, cell))
    }

    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }
}

impl Cell {
    fn run(&mut self, bucket: Bucket) -> (&mut Run, u32) {
        match bucket {
            Bucket::Minute(at) => (&mut self.minutes, at),
            Bucket::Hour(at) => (&mut self.hours, at),
        }
    }

    /// Messages of the cohorts in these minutes. Where minutes have been dropped, whole hours are
    /// counted from the first that starts within.
    pub fn sum(&self, minutes: RangeInclusive<u32>, clock: Timestamp) -> Counters {
        let mut sum = Counters::default();
        let (from, to) = minutes.into_inner();
        let oldest = oldest_minute(clock);
        // Minutes are complete from here on; before, only whole hours are.
        let complete = if from < oldest { oldest.div_ceil(60) * 60 } else { from };
        let split = from.max(complete.min(to + 1));
        self.minutes.sum(split..to.saturating_add(1), &mut sum);
        if from < split {
            self.hours.sum(from.div_ceil(60)..split / 60, &mut sum);
        }
        sum
    }

    /// Messages of the cohorts in these hours.
    pub fn hours(&self, hours: Range<u32>) -> Counters {
        let mut sum = Counters::default();
        self.hours.sum(hours, &mut sum);
        sum
    }

    /// Messages of one hour's cohorts.
    pub fn hour(&self, hour: u32) -> Counters {
        self.hours.get(hour)
    }

    /// The oldest hour in which anything is counted.
    pub fn oldest_hour(&self) -> Option<u32> {
        self.hours.first()
    }

    /// Messages of every cohort that is kept.
    pub fn totals(&self) -> Counters {
        self.hours(0..u32::MAX)
    }

    /// The buckets that hold something, in order: minutes, then hours.
    pub fn buckets(&self) -> impl Iterator<Item = (Bucket, Counters)> {
        let minutes = self.minutes.iter().map(|(at, counters)| (Bucket::Minute(at), counters));
        minutes.chain(self.hours.iter().map(|(at, counters)| (Bucket::Hour(at), counters)))
    }
}

/// The buckets a message of this minute is counted in: none that has been dropped at `clock`.
pub(super) fn buckets_of(minute: u32, clock: Timestamp) -> impl Iterator<Item = Bucket> {
    [Bucket::Minute(minute), Bucket::Hour(minute / 60)].into_iter().filter(move |b| b.is_kept(clock))
}

impl Bucket {
    /// True until the bucket's time is over.
    pub(super) fn is_kept(self, clock: Timestamp) -> bool {
        match self {
            Self::Minute(at) => at >= oldest_minute(clock),
            Self::Hour(at) => at >= oldest_hour(clock),
        }
    }
}

/// The first minute that is still kept at `clock`.
pub(super) fn oldest_minute(clock: Timestamp) -> u32 {
    clock.minus(MINUTES_KEPT).minute()
}

/// The first hour that is still kept at `clock`.
pub(super) fn oldest_hour(clock: Timestamp) -> u32 {
    clock.minus(HOURS_KEPT).minute() / 60
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ConnectionId;

    fn cells() -> (Cells, CellId) {
        let mut cells = Cells::default();
        let connection = ConnectionId::parse("a").unwrap();
        let id = cells.register(&CellKey { number: None, connection, list: None });
        (cells, id)
    }

    fn delivered(cell: CellId, minute: u32) -> Contribution {
        Contribution { cell, minute, counter: Counter::DELIVERED }
    }

    #[test]
    fn a_window_holds_exactly_its_minutes() {
        let (mut cells, id) = cells();
        let clock = Timestamp::from_seconds(60 * 100_000);
        for minute in 99_000..=100_000 {
            cells.count(delivered(id, minute), 1, clock);
        }
        let (_, cell) = cells.iter().next().unwrap();
        assert_eq!(cell.sum(99_930..=99_990, clock).get(Counter::DELIVERED), 61);
        assert_eq!(cell.totals().get(Counter::DELIVERED), 1001);
    }

    #[test]
    fn a_week_is_whole_hours_where_minutes_are_gone() {
        let (mut cells, id) = cells();
        let start = Timestamp::from_seconds(60 * 100_000);
        let clock = start.plus(Duration::from_secs(48 * 3600));
        for minute in 100_000..100_000 + 48 * 60 {
            cells.count(delivered(id, minute), 1, start);
        }
        cells.expire(clock);
        let (_, cell) = cells.iter().next().unwrap();
        let sum = cell.sum(100_000..=clock.minute(), clock).get(Counter::DELIVERED);
        // 100,000 minutes is 40 past the hour: the 20 minutes before the next one are not counted.
        assert_eq!(sum, 48 * 60 - 20);
    }

    #[test]
    fn a_day_is_whole_at_every_minute_of_the_hour() {
        let (mut cells, id) = cells();
        for minute in 98_000..=100_060 {
            cells.count(delivered(id, minute), 1, Timestamp::from_seconds(60 * 98_000));
        }
        let (_, cell) = cells.iter().next().unwrap();
        for now in 100_000..100_060 {
            let clock = Timestamp::from_seconds(60 * i64::from(now));
            let sum = cell.sum(now - 10 - 24 * 60..=now - 10, clock);
            assert_eq!(sum.get(Counter::DELIVERED), 24 * 60 + 1, "{now}");
        }
    }

    #[test]
    fn a_dropped_minute_is_never_written_again() {
        let (mut cells, id) = cells();
        let clock = Timestamp::from_seconds(60 * 100_000);
        cells.count(delivered(id, 100_000 - 26 * 60), -1, clock);
        let (_, cell) = cells.iter().next().unwrap();
        assert!(cell.buckets().all(|(bucket, _)| matches!(bucket, Bucket::Hour(_))));
    }
}
