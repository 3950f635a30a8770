//! The stream as it stands → its records once more, from a moment on to where it ended when asked.
//!
//! Belongs to no group and moves no position, so it can be read beside observers. Must never wait
//! for a record that is not there yet.

use std::collections::{BTreeMap, VecDeque};

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

/// Records of some topics, one batch after the other. Within a partition they are in order.
#[derive(Debug)]
pub struct Scan(Reading);

#[derive(Debug)]
enum Reading {
    Embedded { log: Log, topics: Vec<Topic>, next: u64, end: u64 },
    Kafka { kafka: Box<Kafka>, topics: VecDeque<Topic>, from: Option<Timestamp>, now: Option<Section> },
}

/// One topic of Kafka, being read.
struct Section {
    topic: Topic,
    client: Client,
    /// The offset behind the last record there was, of each partition that is not read to there yet.
    ends: BTreeMap<i32, i64>,
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
            Self::Kafka(kafka) => Reading::Kafka {
                kafka: Box::new(kafka.clone()),
                topics: topics.iter().copied().collect(),
                from,
                now: None,
            },
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

/// Records that [`Archive::newest`] takes at once.
const RECORDS_AT_ONCE: usize = 1_000;

impl Scan {
    /// Up to `max` records, or nothing when all there was has been read. A batch may be empty.
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn next(&mut self, max: usize) -> Result<Option<Batch>, Error> {
        match &mut self.0 {
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
            Reading::Kafka { kafka, topics, from, now } => {
                let section = match now.take() {
                    Some(section) => section,
                    None => match topics.pop_front() {
                        Some(topic) => Section::open(kafka, topic, *from).await?,
                        None => return Ok(None),
                    },
                };
                let read = tokio::task::spawn_blocking(move || section.take(max)).await;
                let (section, records) = read.map_err(|error| Error::Unusable(error.to_string()))??;
                *now = (!section.ends.is_empty()).then_some(section);
                Ok(Some(Batch { records, caught_up: now.is_none() && topics.is_empty() }))
            }
        }
    }
}

impl Section {
    async fn open(kafka: &Kafka, topic: Topic, from: Option<Timestamp>) -> Result<Self, Error> {
        let name = topic_name(kafka, topic);
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
        .map(|(client, ends)| Self { topic, client, ends })
    }

    /// Up to `max` records, fewer where there are no more.
    fn take(mut self, max: usize) -> Result<(Self, Vec<Taken>), Error> {
        let mut records = Vec::new();
        while records.len() < max && !self.ends.is_empty() {
            match self.client.poll(ANSWER_TIMEOUT) {
                Some(Ok(message)) => {
                    let (index, offset) = (message.partition(), message.offset());
                    let Some(end) = self.ends.get(&index).copied() else { continue };
                    if offset < end {
                        records.push(Taken {
                            partition: Partition { topic: self.topic, index },
                            offset: u64::try_from(offset).unwrap_or_default(),
                            record: decode(self.topic, &message),
                        });
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
        }
        Ok((self, records))
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
