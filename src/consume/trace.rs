//! The last record taken of each partition → whether a partition that is taken up again is still the
//! one that was read. Pure.
//!
//! A broker whose disk was lost, or a topic that was deleted and made anew, begins its offsets at 0
//! again. Once it holds as many records as were applied of the old one, nothing but the records
//! themselves tells the two apart, and reading would go on in the middle of what nobody has counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Partition;
use crate::event::{Record, Topic};

/// What tells a record from any other: a checksum of its id, and its time.
type Print = (u32, i64);

/// Where a record stood, and what it was.
type Place = (u64, Print);

/// The last record of a partition, as it is kept for the next process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark(Place);

impl Mark {
    /// What a partition's mark is kept under.
    pub fn key(partition: Partition) -> String {
        format!("{}/{}", partition.topic.name(), partition.index)
    }

    /// The partition that a mark was kept under.
    pub fn partition(key: &str) -> Option<Partition> {
        let (name, index) = key.rsplit_once('/')?;
        let topic = Topic::ALL.into_iter().find(|topic| topic.name() == name)?;
        Some(Partition { topic, index: index.parse().ok()? })
    }
}

/// Knows the last record of each partition.
#[derive(Debug, Default)]
pub(super) struct Trace {
    last: BTreeMap<Partition, Place>,
    /// Partitions that begin with the last record once more, to see whether it is still there.
    asked: BTreeMap<Partition, Place>,
}

/// What a record says of its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A record to be taken.
    Next,
    /// The one that was taken last: the partition is the same.
    Again,
    /// Another one in its place: the partition is to be read from its beginning.
    Replaced,
}

impl Trace {
    /// Learns what other processes took last.
    pub(super) fn learn(&mut self, marks: BTreeMap<Partition, Mark>) {
        self.last.extend(marks.into_iter().map(|(partition, Mark(place))| (partition, place)));
    }

    /// What the next process has to know.
    pub(super) fn marks(&self) -> BTreeMap<Partition, Mark> {
        self.last.iter().map(|(partition, place)| (*partition, Mark(*place))).collect()
    }

    /// Where to begin in a partition that was just assigned and is to go on from `from`.
    pub(super) fn begin(&mut self, partition: Partition, from: Option<u64>) -> Option<u64> {
        self.asked.remove(&partition);
        let place = self.last.get(&partition).copied().filter(|(offset, _)| Some(offset + 1) == from);
        let Some((offset, print)) = place else { return from };
        self.asked.insert(partition, (offset, print));
        Some(offset)
    }

    /// Notes a record and says what it means.
    pub(super) fn take(&mut self, partition: Partition, offset: u64, record: Option<&Record>) -> Seen {
        let print =
            record.map_or((0, 0), |record| (crc32c::crc32c(record.id.as_bytes()), record.time.millis()));
        let asked = self.asked.remove(&partition).filter(|(at, _)| *at == offset);
        match asked.map(|(_, last)| last == print) {
            Some(true) => return Seen::Again,
            Some(false) => {
                self.last.remove(&partition);
                return Seen::Replaced;
            }
            // Compaction or retention took it, or the partition is shorter and begun anew already.
            None => {}
        }
        self.last.insert(partition, (offset, print));
        Seen::Next
    }

    /// Notes a partition's end, and says whether the record that was asked for should have stood there.
    pub(super) fn ends(&mut self, partition: Partition, end: u64) -> bool {
        let is_replaced = self.asked.get(&partition).is_some_and(|(at, _)| *at == end);
        if is_replaced {
            self.asked.remove(&partition);
            self.last.remove(&partition);
        }
        is_replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::Topic;

    const PARTITION: Partition = Partition { topic: Topic::Sends, index: 2 };

    fn record(id: &str) -> Record {
        Record {
            topic: PARTITION.topic,
            key: "k".into(),
            id: id.into(),
            source: "/connections/a".into(),
            time: Timestamp::from_seconds(1),
            traceparent: None,
            value: bytes::Bytes::new(),
        }
    }

    fn read_to(offset: u64) -> Trace {
        let mut trace = Trace::default();
        assert_eq!(trace.begin(PARTITION, None), None);
        for at in 0..=offset {
            assert_eq!(trace.take(PARTITION, at, Some(&record(&at.to_string()))), Seen::Next);
        }
        trace
    }

    #[test]
    fn a_partition_that_is_the_same_goes_on_behind_its_last_record() {
        let mut trace = read_to(7);
        assert_eq!(trace.begin(PARTITION, Some(8)), Some(7));
        assert_eq!(trace.take(PARTITION, 7, Some(&record("7"))), Seen::Again);
        assert_eq!(trace.take(PARTITION, 8, Some(&record("8"))), Seen::Next);
        assert_eq!(trace.begin(PARTITION, Some(9)), Some(8));
        assert!(!trace.ends(PARTITION, 9));
    }

    #[test]
    fn one_that_holds_another_record_there_or_none_is_another() {
        let mut trace = read_to(7);
        trace.begin(PARTITION, Some(8));
        assert_eq!(trace.take(PARTITION, 7, Some(&record("new"))), Seen::Replaced);
        assert_eq!(trace.take(PARTITION, 0, Some(&record("first"))), Seen::Next);
        let mut trace = read_to(7);
        trace.begin(PARTITION, Some(8));
        assert!(trace.ends(PARTITION, 7) && !trace.ends(PARTITION, 7));
        assert_eq!(trace.take(PARTITION, 0, Some(&record("first"))), Seen::Next);
    }

    #[test]
    fn another_process_knows_what_this_one_wrote_down() {
        let kept: BTreeMap<_, _> = read_to(7)
            .marks()
            .into_iter()
            .map(|(partition, mark)| (Mark::key(partition), serde_json::to_string(&mark).unwrap()))
            .collect();
        let read = kept
            .iter()
            .map(|(key, mark)| (Mark::partition(key).unwrap(), serde_json::from_str::<Mark>(mark).unwrap()));
        let mut trace = Trace::default();
        trace.learn(read.collect());
        assert_eq!(trace.begin(PARTITION, Some(8)), Some(7));
        assert_eq!(trace.take(PARTITION, 7, Some(&record("new"))), Seen::Replaced);
        assert_eq!(Mark::partition("receipts.v1"), None);
    }

    #[test]
    fn what_another_observer_took_is_asked_about_when_its_partition_comes_here() {
        let mut trace = read_to(7);
        trace.learn(read_to(40).marks());
        assert_eq!(trace.begin(PARTITION, Some(41)), Some(40));
        assert_eq!(trace.take(PARTITION, 40, Some(&record("new"))), Seen::Replaced);
    }

    #[test]
    fn what_others_applied_meanwhile_is_not_asked_about() {
        let mut trace = read_to(7);
        assert_eq!(trace.begin(PARTITION, Some(40)), Some(40));
        assert_eq!(trace.take(PARTITION, 40, None), Seen::Next);
        let mut trace = read_to(7);
        trace.begin(PARTITION, Some(8));
        assert_eq!(trace.take(PARTITION, 12, Some(&record("12"))), Seen::Next, "compacted");
    }
}
