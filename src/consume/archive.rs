//! The stream as it stands → its records once more, from a moment on to where it ended when asked.
//!
//! Belongs to no group and moves no position, so it can be read beside observers. Must never wait
//! for a record that is not there yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::broker::{ANSWER_TIMEOUT, Client};
use super::kafka::decode;
use super::{Batch, Error, Partition, Taken, broker};
use crate::clock::Timestamp;
use crate::config::Kafka;
use crate::event::Topic;
use crate::publish::{Log, topic_name};

/// The stream as it stands.
#[derive(Clone, Debug)]
pub enum Archive {
    /// Segment files.
    Embedded(Log),
    /// Kafka.
    Kafka(Kafka),
}

/// Records of some topics, one batch after the other, oldest first: each time the oldest of what comes
/// next in any partition. The order depends on what the stream holds and on nothing else.
#[derive(Debug)]
pub struct Scan(Reading);

#[derive(Debug)]
enum Reading {
    Embedded { log: Log, topics: Vec<Topic>, next: u64, end: u64 },
    Asked { kafka: Box<Kafka>, topics: Vec<Topic>, from: Option<Timestamp> },
    Kafka(Vec<Section>),
}

impl Archive {
    /// The records of these topics. With `from`, records received before it may still be among them,
    /// but none received later is left out.
    pub fn scan(&self, topics: &[Topic], from: Option<Timestamp>) -> Scan {
        Scan(match self {
            Self::Embedded(log) => Reading::Embedded {
                log: log.clone(),
                topics: topics.to_vec(),
                next: log.start(),
                end: log.end(),
            },
            Self::Kafka(kafka) => {
                Reading::Asked { kafka: Box::new(kafka.clone()), topics: topics.to_vec(), from }
            }
        })
    }

    /// The newest value under each key of a topic; a key whose newest value is empty is not there.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn newest(&self, topic: Topic) -> Result<BTreeMap<String, Bytes>, Error> {
        let mut newest = BTreeMap::new();
        let mut scan = self.scan(&[topic], None);
        while let Some(batch) = scan.next(RECORDS_AT_ONCE).await? {
            newest
                .extend(batch.records.into_iter().filter_map(|taken| taken.record).map(|r| (r.key, r.value)));
        }
        newest.retain(|_, value| !value.is_empty());
        Ok(newest)
    }
}

/// One topic of Kafka, being read.
struct Section {
    topic: Topic,
    name: String,
    client: Client,
    /// The offset behind the last record there was, of each partition that is not read to there yet.
    ends: BTreeMap<i32, i64>,
    /// What was read and not handed out.
    ahead: BTreeMap<i32, VecDeque<Taken>>,
    /// Partitions that are read no further for now.
    paused: BTreeSet<i32>,
}

/// Records of one partition that are read before their turn.
const AHEAD_MAX: usize = 2_000;
/// Records that [`Archive::newest`] takes at once.
const RECORDS_AT_ONCE: usize = 1_000;

impl Scan {
    /// Up to `max` records, or nothing when all there was has been read. A batch may be empty.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn next(&mut self, max: usize) -> Result<Option<Batch>, Error> {
        if let Reading::Asked { kafka, topics, from } = &self.0 {
            let mut sections = Vec::new();
            for topic in topics {
                sections.push(Section::open(kafka, *topic, *from).await?);
            }
            self.0 = Reading::Kafka(sections);
        }
        match &mut self.0 {
            Reading::Asked { .. } => Ok(None),
            Reading::Embedded { log, topics, next, end } => {
                if *next >= *end {
                    return Ok(None);
                }
                let (reader, from) = (log.clone(), *next);
                let read = tokio::task::spawn_blocking(move || reader.read(from, max)).await;
                let unusable = |error: String| Error::Unusable(error);
                let read = read.map_err(|e| unusable(e.to_string()))?.map_err(|e| unusable(e.to_string()))?;
                *next = read.last().map_or(*end, |(offset, _)| offset + 1);
                let taken = |(offset, record)| Taken { partition: Partition::EMBEDDED, offset, record };
                let wanted = |taken: &Taken| {
                    taken.offset < *end && taken.record.as_ref().is_none_or(|r| topics.contains(&r.topic))
                };
                let records = read.into_iter().map(taken).filter(wanted).collect();
                Ok(Some(Batch { records, caught_up: *next >= *end }))
            }
            Reading::Kafka(sections) => {
                let mut taken = std::mem::take(sections);
                let merged = tokio::task::spawn_blocking(move || {
                    let records = merge(&mut taken, max)?;
                    Ok((taken, records))
                });
                let merged = merged.await.map_err(|error| Error::Unusable(error.to_string()))?;
                let (rest, records) = merged?;
                *sections = rest;
                Ok((!records.is_empty()).then_some(Batch { records, caught_up: false }))
            }
        }
    }
}

/// Up to `max` records of all sections, oldest first.
fn merge(sections: &mut [Section], max: usize) -> Result<Vec<Taken>, Error> {
    let mut records = Vec::new();
    while records.len() < max {
        for section in &mut *sections {
            section.fill()?;
        }
        let oldest =
            sections.iter().enumerate().filter_map(|(at, section)| Some((section.oldest()?, at))).min();
        let Some(((_, index), at)) = oldest else { break };
        records.extend(sections[at].pop(index)?);
    }
    Ok(records)
}

impl Section {
    async fn open(kafka: &Kafka, topic: Topic, from: Option<Timestamp>) -> Result<Self, Error> {
        let name = topic_name(kafka, topic);
        let asked = name.clone();
        broker::ask_with(kafka, &DEFAULTS, move |client| {
            let metadata = client.fetch_metadata(Some(&name), ANSWER_TIMEOUT)?;
            let indices: Vec<i32> = metadata
                .topics()
                .iter()
                .flat_map(|topic| topic.partitions())
                .map(|found| found.id())
                .collect();
            let (mut list, mut ends) = (TopicPartitionList::new(), BTreeMap::new());
            let since = from.map(|from| from.millis());
            for index in indices {
                let (start, end) = client.fetch_watermarks(&name, index, ANSWER_TIMEOUT)?;
                if start < end {
                    ends.insert(index, end);
                    list.add_partition_offset(&name, index, since.map_or(Offset::Beginning, Offset::Offset))?;
                }
            }
            if since.is_some() && !ends.is_empty() {
                list = client.offsets_for_times(list, ANSWER_TIMEOUT)?;
            }
            client.assign(&list)?;
            // Nothing is to come of a partition that ends before the moment asked for.
            for element in list.elements().iter().filter(|element| element.offset() == Offset::End) {
                ends.remove(&element.partition());
            }
            Ok(ends)
        })
        .await
        .map(|(client, ends)| {
            let (ahead, paused) = Default::default();
            Self { topic, name: asked, client, ends, ahead, paused }
        })
    }

    /// Reads until something is known of what comes next in each partition that goes on.
    fn fill(&mut self) -> Result<(), Error> {
        while self.ends.keys().any(|index| self.ahead.get(index).is_none_or(VecDeque::is_empty)) {
            match self.client.poll(ANSWER_TIMEOUT) {
                Some(Ok(message)) => {
                    let (index, offset) = (message.partition(), message.offset());
                    let Some(end) = self.ends.get(&index).copied() else { continue };
                    if offset < end {
                        let record = decode(self.topic, &message);
                        let partition = Partition { topic: self.topic, index };
                        let offset = u64::try_from(offset).unwrap_or_default();
                        self.ahead.entry(index).or_default().push_back(Taken { partition, offset, record });
                    }
                    if offset + 1 >= end {
                        self.ends.remove(&index);
                    }
                }
                // What compaction took away may have been the last.
                Some(Err(KafkaError::PartitionEOF(index))) => drop(self.ends.remove(&index)),
                Some(Err(error)) => return Err(Error::Unusable(error.to_string())),
                None => {
                    return Err(Error::Unusable(format!(
                        "the brokers give no more of {} before its end; try again",
                        self.topic.name()
                    )));
                }
            }
            self.bound()?;
        }
        Ok(())
    }

    /// Reads no further in partitions of which much is known already, and on where little is.
    fn bound(&mut self) -> Result<(), Error> {
        let (mut full, mut low) = (TopicPartitionList::new(), TopicPartitionList::new());
        for (index, ahead) in &self.ahead {
            if ahead.len() >= AHEAD_MAX && self.paused.insert(*index) {
                full.add_partition(&self.name, *index);
            } else if ahead.len() < AHEAD_MAX / 4 && self.paused.remove(index) {
                low.add_partition(&self.name, *index);
            }
        }
        let paused = if full.count() > 0 { self.client.pause(&full) } else { Ok(()) };
        let resumed = if low.count() > 0 { self.client.resume(&low) } else { Ok(()) };
        paused.and(resumed).map_err(|error| Error::Unusable(error.to_string()))
    }

    /// The oldest of what comes next, by time, then topic, then partition; its partition's index.
    fn oldest(&self) -> Option<((Timestamp, u8), i32)> {
        let next = |(index, ahead): (&i32, &VecDeque<Taken>)| {
            // What nobody can read has no time, and keeps nobody waiting.
            let time = ahead.front()?.record.as_ref().map_or(Timestamp::default(), |record| record.time);
            Some(((time, self.topic.number()), *index))
        };
        self.ahead.iter().filter_map(next).min()
    }

    fn pop(&mut self, index: i32) -> Result<Option<Taken>, Error> {
        let taken = self.ahead.get_mut(&index).and_then(VecDeque::pop_front);
        if self.paused.contains(&index) {
            self.bound()?;
        }
        Ok(taken)
    }
}

impl std::fmt::Debug for Section {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Section")
            .field("topic", &self.topic)
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

/// What is set unless `stream.kafka.properties` says otherwise. A group is named since librdkafka wants
/// one; nothing joins it, and nothing is committed.
const DEFAULTS: [(&str, &str); 5] = [
    ("group.id", "sounder-archive"),
    ("enable.auto.commit", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
    ("fetch.wait.max.ms", "100"),
];
