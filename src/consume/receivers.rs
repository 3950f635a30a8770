//! `receivers.v1` → what is known of the receivers, for every observer: read whole, by nobody's
//! group, committed nowhere. That it cannot be read keeps nobody from counting. What receivers told
//! that are gone for good is taken out of it.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::progress::Herald;
use crate::clock::Clock;
use crate::config::Kafka;
use crate::event::Topic;
use crate::publish::{Heartbeat, Publisher, client_config, scrub, secrets, topic_name};

/// What is set unless `stream.kafka.properties` says otherwise.
const DEFAULTS: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
    ("fetch.wait.max.ms", "1000"),
];
/// How long the brokers may take to say which partitions there are.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// Receivers tell every 10 s. When nothing was heard for so long, a new client looks whether it is
/// this one that is deaf: librdkafka may lose its brokers for good.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How long the stream may take to acknowledge that one is forgotten.
const BURY_PATIENCE: Duration = Duration::from_secs(2);
/// How long after a failure it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Reads what receivers tell of themselves.
#[derive(Debug)]
pub struct Receivers {
    /// Where they tell it.
    pub kafka: Kafka,
    /// Who passes it on.
    pub herald: Herald,
    /// Where it is written that a receiver is forgotten.
    pub publisher: Publisher,
    /// Receivers that are forgotten, of which that has not been written.
    pub forgotten: BTreeSet<String>,
    /// The daemon's clock.
    pub clock: Clock,
}

impl Receivers {
    /// Reads until `shutdown` turns true.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let stop = async move {
            // The sender going away means the same as its word.
            drop(shutdown.wait_for(|stop| *stop).await);
        };
        tokio::select! {
            () = stop => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        loop {
            if let Err(reason) = self.read().await {
                tracing::warn!(reason, "consume.receivers cannot be read; it is tried again");
                sleep(RETRY_AFTER).await;
            }
        }
    }

    /// Reads from the beginning until nothing is heard any more.
    async fn read(&mut self) -> Result<(), String> {
        let hidden = secrets(&self.kafka);
        let said = |error: &KafkaError| scrub(&error.to_string(), &hidden);
        let (consumer, mut unread) = self.assigned().await?;
        let consumer = Deaf(Some(consumer));
        let Some(client) = &consumer.0 else { return Ok(()) };
        loop {
            match timeout(SILENCE_MAX, client.recv()).await {
                Err(_) => return Ok(()),
                Ok(Ok(message)) => {
                    self.hear(&message, &unread);
                    self.bury(&unread).await;
                }
                Ok(Err(KafkaError::PartitionEOF(partition))) => {
                    unread.remove(&partition);
                }
                Ok(Err(error)) => return Err(said(&error)),
            }
        }
    }

    /// Passes a heartbeat on, read while these partitions had not been read to their end.
    fn hear(&mut self, message: &BorrowedMessage<'_>, unread: &BTreeSet<i32>) {
        let Some(told) = message.payload() else {
            let name = message.key().and_then(|key| std::str::from_utf8(key).ok());
            name.into_iter().for_each(|name| self.herald.forgotten(name));
            return;
        };
        let Ok(heartbeat) = serde_json::from_slice::<Heartbeat>(told) else {
            tracing::debug!("consume.receivers a heartbeat of another version is passed over");
            return;
        };
        let now = self.clock.now();
        // What is read at first may have been told any time ago; what comes later, just now.
        let heard_at = if unread.is_empty() { now } else { heartbeat.at.min(now) };
        self.forgotten.remove(&heartbeat.receiver);
        self.forgotten.extend(self.herald.heard(heartbeat, heard_at));
    }

    /// Writes that receivers are forgotten, so that compaction may forget them as well: not before all
    /// was read, since a later word of theirs may be among it.
    async fn bury(&mut self, unread: &BTreeSet<i32>) {
        while let Some(name) = self.forgotten.first().filter(|_| unread.is_empty()) {
            let record = Heartbeat::forgotten(name, self.clock.now());
            if let Err(error) = self.publisher.announce(record, BURY_PATIENCE).await {
                tracing::debug!(%error, "consume.receivers one that is gone is not taken out yet");
                return;
            }
            tracing::info!(
                receiver = name,
                "consume.receivers nothing was heard of it for a day; it is forgotten"
            );
            self.forgotten.pop_first();
        }
    }

    /// A client that reads every partition from its beginning, and the partitions.
    async fn assigned(&self) -> Result<(StreamConsumer, BTreeSet<i32>), String> {
        let (kafka, hidden) = (self.kafka.clone(), secrets(&self.kafka));
        let assign = move || {
            let said = |error: KafkaError| scrub(&error.to_string(), &hidden);
            let mut client = client_config(&kafka, &DEFAULTS).map_err(|error| error.to_string())?;
            // It joins no group, and commits nothing; but a consumer must have one.
            client.set("group.id", &kafka.group);
            let consumer: StreamConsumer = client.create().map_err(said)?;
            let topic = topic_name(&kafka, Topic::Receivers);
            let metadata = consumer.fetch_metadata(Some(&topic), METADATA_TIMEOUT).map_err(said)?;
            let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            let partitions: BTreeSet<i32> = partitions.map(|partition| partition.id()).collect();
            if partitions.is_empty() {
                return Err(format!("topic {topic} is missing"));
            }
            let mut list = TopicPartitionList::new();
            for partition in &partitions {
                list.add_partition_offset(&topic, *partition, Offset::Beginning).map_err(said)?;
            }
            consumer.assign(&list).map_err(said)?;
            Ok((consumer, partitions))
        };
        tokio::task::spawn_blocking(assign).await.map_err(|error| error.to_string())?
    }
}

/// A client that is let go of on a thread of its own: its end may wait for others.
struct Deaf(Option<StreamConsumer>);

impl Drop for Deaf {
    fn drop(&mut self) {
        let client = self.0.take();
        std::thread::spawn(move || drop(client));
    }
}
