//! One cell's buckets of one kind, packed: what each counts, by time, in one sorted run. Pure.
//!
//! A bucket has a few of the counters, and a cell has hundreds of buckets, of which every evaluation
//! adds up most: a word a count is a tenth of the memory of buckets with room for every counter, and is
//! read from one end to the other.

use std::collections::VecDeque;
use std::ops::Range;

use super::counter::Counter;
use super::window::Counters;

/// Bits of a word that are the count, and below those of the counter and of the time.
const COUNT_BITS: u32 = 32;
const COUNTER_BITS: u32 = 6;
/// The first minute there is no room for, in the year 2097.
const AT_MAX: u32 = (1 << (u64::BITS - COUNT_BITS - COUNTER_BITS)) - 1;

/// Counts by time and counter, none of them zero. A count ends at two thousand million.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Run(VecDeque<u64>);

impl Run {
    /// Adds to what a bucket counts as this.
    pub(super) fn add(&mut self, at: u32, counter: Counter, change: i64) {
        let place = place(at.min(AT_MAX - 1), counter.index());
        let index = self.0.partition_point(|word| *word >> COUNT_BITS < place);
        match self.0.get_mut(index).filter(|word| **word >> COUNT_BITS == place) {
            Some(word) => match count(*word).saturating_add(change) {
                0 => drop(self.0.remove(index)),
                sum => *word = packed(place, sum),
            },
            None if change != 0 => self.0.insert(index, packed(place, change)),
            None => {}
        }
    }

    /// Sets a bucket.
    pub(super) fn set(&mut self, at: u32, counters: &Counters) {
        let at = at.min(AT_MAX - 1);
        let old = self.range(at..at + 1);
        let new = counters.iter().filter(|(_, count)| *count != 0);
        if old.end == self.0.len() {
            // As it is with nearly all: they are the newest.
            self.0.truncate(old.start);
            self.0.extend(new.map(|(counter, count)| packed(place(at, counter), count)));
            return;
        }
        let tail = self.0.split_off(old.end);
        self.0.truncate(old.start);
        self.0.extend(new.map(|(counter, count)| packed(place(at, counter), count)));
        self.0.extend(tail);
    }

    /// What a bucket holds.
    pub(super) fn get(&self, at: u32) -> Counters {
        let mut counters = Counters::default();
        self.sum(at..at.saturating_add(1), &mut counters);
        counters
    }

    /// Adds up buckets.
    pub(super) fn sum(&self, at: Range<u32>, into: &mut Counters) {
        self.0.range(self.range(at)).for_each(|word| into.add(counter(*word), count(*word)));
    }

    /// Drops every bucket before `oldest`.
    pub(super) fn drop_before(&mut self, oldest: u32) {
        // Most have nothing to drop most of the time.
        if self.first().is_some_and(|first| first < oldest) {
            drop(self.0.drain(self.range(0..oldest)));
        }
    }

    /// The oldest bucket that holds anything.
    pub(super) fn first(&self) -> Option<u32> {
        self.0.front().map(|word| at(*word))
    }

    /// Every bucket that holds anything, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Counters)> + '_ {
        let mut words = self.0.iter().peekable();
        std::iter::from_fn(move || {
            let first = at(**words.peek()?);
            let mut counters = Counters::default();
            while let Some(word) = words.next_if(|word| at(**word) == first) {
                counters.add(counter(*word), count(*word));
            }
            Some((first, counters))
        })
    }

    fn range(&self, at: Range<u32>) -> Range<usize> {
        let index = |at: u32| self.0.partition_point(|word| *word >> COUNT_BITS < place(at, 0));
        let start = index(at.start);
        start..index(at.end).max(start)
    }
}

/// What a word is sorted by.
fn place(at: u32, counter: usize) -> u64 {
    u64::from(at.min(AT_MAX)) << COUNTER_BITS | counter as u64
}

fn packed(place: u64, count: i64) -> u64 {
    let most = i64::from(i32::MAX);
    #[expect(clippy::cast_possible_truncation, reason = "it is clamped")]
    let count = count.clamp(-most, most) as i32;
    place << COUNT_BITS | u64::from(count.cast_unsigned())
}

#[expect(clippy::cast_possible_truncation, reason = "it is the lower half that is meant")]
fn count(word: u64) -> i64 {
    i64::from((word as u32).cast_signed())
}

const fn at(word: u64) -> u32 {
    (word >> (COUNT_BITS + COUNTER_BITS)) as u32
}

fn counter(word: u64) -> Counter {
    let index = word >> COUNT_BITS & ((1 << COUNTER_BITS) - 1);
    u8::try_from(index).ok().and_then(Counter::from_index).unwrap_or(Counter::UNKNOWN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const _: () = assert!(Counter::COUNT <= 1 << COUNTER_BITS);

    #[derive(Clone, Debug)]
    enum Deed {
        Add(u32, u8, i64),
        Set(u32, Vec<(u8, i64)>),
        Drop(u32),
    }

    fn deeds() -> impl Strategy<Value = Vec<Deed>> {
        let (at, counter, change) = (0..12_u32, 0..30_u8, -3..4_i64);
        let few = prop::collection::vec((0..30_u8, -3..4_i64), 0..4);
        let deed = prop_oneof![
            6 => (at.clone(), counter, change).prop_map(|(at, counter, change)| Deed::Add(at, counter, change)),
            3 => (at.clone(), few).prop_map(|(at, counts)| Deed::Set(at, counts)),
            1 => at.prop_map(Deed::Drop),
        ];
        prop::collection::vec(deed, 0..60)
    }

    fn counters(counts: &[(u8, i64)]) -> Counters {
        let mut counters = Counters::default();
        counts.iter().for_each(|(index, n)| counters.add(Counter::from_index(*index).unwrap(), *n));
        counters
    }

    proptest! {
        #[test]
        fn a_run_is_what_a_map_of_counters_is(deeds in deeds()) {
            let (mut run, mut naive) = (Run::default(), BTreeMap::<u32, Counters>::new());
            for deed in deeds {
                match deed {
                    Deed::Add(at, index, change) => {
                        let counter = Counter::from_index(index).unwrap();
                        run.add(at, counter, change);
                        naive.entry(at).or_default().add(counter, change);
                    }
                    Deed::Set(at, counts) => {
                        run.set(at, &counters(&counts));
                        naive.insert(at, counters(&counts));
                    }
                    Deed::Drop(oldest) => {
                        run.drop_before(oldest);
                        naive = naive.split_off(&oldest);
                    }
                }
                naive.retain(|_, counters| !counters.is_empty());
                prop_assert_eq!(run.iter().collect::<BTreeMap<_, _>>(), naive.clone());
                prop_assert_eq!(run.first(), naive.keys().next().copied());
                for at in 0..12 {
                    prop_assert_eq!(run.get(at), naive.get(&at).copied().unwrap_or_default());
                }
                let (mut sum, mut expected) = (Counters::default(), Counters::default());
                run.sum(3..9, &mut sum);
                naive.range(3..9).for_each(|(_, counters)| expected.merge(counters));
                prop_assert_eq!(sum, expected);
            }
        }
    }

    #[test]
    fn what_is_too_much_for_a_word_is_the_most_there_is() {
        let mut run = Run::default();
        run.add(29_000_000, Counter::DELIVERED, i64::MAX);
        run.add(29_000_000, Counter::DELIVERED, 5);
        assert_eq!(run.get(29_000_000).get(Counter::DELIVERED), i32::MAX as u64);
        run.add(u32::MAX, Counter::SENT, -7);
        assert_eq!(run.get(AT_MAX - 1).signed(Counter::SENT), -7);
    }
}
