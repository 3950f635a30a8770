//! What every 2xx obliges Sounder to: the acknowledged webhooks go in; out comes what must stand in
//! the stream and what must be counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

/// How long the broker may take over each step of being read whole.
const PATIENCE: Duration = Duration::from_secs(60);

/// An event that must be in the stream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Obligation {
    pub(crate) topic: &'static str,
    /// The provider's id of the message, or the sender's reference.
    pub(crate) id: String,
    /// The receipt's state, or what the recipient wants.
    pub(crate) says: String,
}

/// Everything that was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Each with who acknowledged it and when: the latest.
    owed: BTreeMap<Obligation, String>,
    /// Delivered and failed messages by number.
    pub(crate) counts: BTreeMap<&'static str, (u64, u64)>,
    /// Webhooks answered 2xx.
    pub(crate) acknowledged: u64,
    /// Attempts that were answered 503 or not at all, and repeated.
    pub(crate) repeated: u64,
    /// Answers that no provider should ever see.
    pub(crate) wrong: Vec<String>,
    /// Events found in the stream after having been acknowledged.
    pub(crate) found: u64,
}

impl Book {
    pub(crate) fn owes(&mut self, obligations: &[Obligation], whose: &str) {
        self.owed.extend(obligations.iter().map(|one| (one.clone(), whose.to_owned())));
    }

    /// Settles what stands in the stream, and returns what does not, with who acknowledged it and when.
    pub(crate) fn settle(&mut self, there: &BTreeSet<Obligation>) -> Vec<(Obligation, String)> {
        let owed = std::mem::take(&mut self.owed);
        let (found, lost): (Vec<_>, Vec<_>) = owed.into_iter().partition(|(one, _)| there.contains(one));
        self.found += found.len() as u64;
        lost
    }
}

/// Every receipt and every opt-out there is in the stream. Blocks.
pub(crate) fn read_stream(brokers: &str, prefix: &str) -> Result<BTreeSet<Obligation>, String> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "oracle").set("enable.partition.eof", "true");
    // It reads as nobody: a coordinator that is away must not hold it up.
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    let mut found = BTreeSet::new();
    for topic in ["receipts.v1", "consent.v1"] {
        // One each: what is still under way of one topic must not be taken for the other's.
        found.extend(read_topic(&config.create().unwrap(), prefix, topic)?);
    }
    Ok(found)
}

fn read_topic(consumer: &BaseConsumer, prefix: &str, topic: &'static str) -> Result<Vec<Obligation>, String> {
    let name = format!("{prefix}{topic}");
    let metadata = consumer.fetch_metadata(Some(&name), PATIENCE).unwrap();
    let mut unread = BTreeSet::new();
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        unread.insert(partition.id());
        list.add_partition_offset(&name, partition.id(), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut found, mut last_error) = (Vec::new(), None);
    while !unread.is_empty() {
        match consumer.poll(PATIENCE) {
            None => return Err(format!("{name}: {}", standing(consumer, &name, &unread, last_error))),
            // Not the offset of the last record tells: compaction may have taken that.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
            Some(Err(error)) => last_error = Some(error),
            Some(Ok(message)) => found.extend(obligation(topic, message.payload().unwrap_or_default())),
        }
    }
    Ok(found)
}

/// Where partitions stand that could not be read to their end.
fn standing(
    consumer: &BaseConsumer,
    topic: &str,
    unread: &BTreeSet<i32>,
    last_error: Option<KafkaError>,
) -> String {
    let at = consumer.position();
    let leaders = consumer.fetch_metadata(Some(topic), PATIENCE);
    let of = |partition: &i32| {
        let position = at.as_ref().ok().and_then(|at| Some(at.find_partition(topic, *partition)?.offset()));
        let leader = leaders.as_ref().ok().and_then(|leaders| {
            let all = leaders.topics().first()?.partitions();
            let one = all.iter().find(|one| one.id() == *partition)?;
            Some((one.leader(), one.error().map(|code| format!("{code:?}"))))
        });
        let ends = consumer.fetch_watermarks(topic, *partition, PATIENCE);
        format!("partition {partition} at {position:?}, leader {leader:?}, ends {ends:?}")
    };
    let parts: Vec<_> = unread.iter().map(of).collect();
    format!("cannot be read to its end: {}; the last error: {last_error:?}", parts.join("; "))
}

fn obligation(topic: &'static str, payload: &[u8]) -> Option<Obligation> {
    let event: Value = serde_json::from_slice(payload).ok()?;
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    let id = text("message_id").or_else(|| text("reference"))?;
    let says = text("state").or_else(|| text("action"))?;
    Some(Obligation { topic, id, says })
}
