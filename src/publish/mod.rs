//! Events → the stream. What returns from [`Publisher::publish`] is durable: acknowledged by Kafka
//! with acks=all, or fsynced. There is no other way to a 2xx.

mod frame;
mod segment;
mod cursor;
mod writer;
mod log;
mod forsaken;
mod delivery;
mod broker;
mod probe;
mod producer;
mod kafka;
mod mark;
mod spool;
#[cfg(test)]
mod model;
mod relay;
mod booked;
mod heartbeat;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config;
use crate::event::Record;
use crate::ledger::Sink;
use crate::receive::DurableProof;

pub use booked::Booked;
use broker::START_TIMEOUT;
pub(crate) use broker::{client_config, refused_settings, scrub, secrets, topic_name};
pub(crate) use forsaken::{Brokers, Heard};
#[cfg(test)]
pub(crate) use forsaken::{TICKS, statistics};
pub use heartbeat::{Heart, Heartbeat, Stage};
pub use kafka::KafkaPublisher;
pub use log::Log;
pub use probe::probe;
pub use relay::Relay;
pub use spool::{Spool, SpoolAccount};

/// How often a full queue is asked for room while closing.
const CLOSE_RETRY: Duration = Duration::from_millis(10);
/// How long brokers may take to answer at the start of a receiver, whose spool takes events meanwhile.
const EARLY_TIMEOUT: Duration = Duration::from_secs(3);

/// Where events are made durable. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Publisher {
    /// Segment files.
    Embedded(Log),
    /// Kafka.
    Kafka(KafkaPublisher),
    /// Kafka, and a spool for when it does not answer.
    Spooled(Relay),
}

/// Proof that every record handed in is durable. Only this module makes one.
#[derive(Debug)]
#[must_use = "a 2xx may leave only with this"]
pub struct Durable {
    /// How many records.
    pub records: usize,
    /// What holds them, but for those that are in the spool.
    pub sink: Sink,
    /// How many of them are in the spool.
    pub spooled: usize,
}

impl DurableProof for Durable {}

/// Why records are not durable; the webhook is answered 503 and its provider tries again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The queue to the stream is full.
    #[error("failed to queue: the stream is not taking events")]
    Full,
    /// No acknowledgement in time, or a refusal.
    #[error("failed to make events durable: {0}")]
    NotAcknowledged(String),
    /// The stream will never take such an event.
    #[error("failed to make events durable: {0}")]
    Refused(String),
    /// The stream cannot be opened or read; a person has to look.
    #[error("failed to use the stream: {0}")]
    Unusable(String),
    /// Kafka does not answer.
    #[error("failed to reach the stream: {0}")]
    Unreachable(String),
}

impl Publisher {
    /// Publishes into the embedded stream.
    pub const fn embedded(log: Log) -> Self {
        Self::Embedded(log)
    }

    /// Publishes to Kafka, and creates the topics that are missing. Brokers that do not answer within
    /// 10 seconds are waited for: nothing is published before they do.
    ///
    /// # Errors
    /// When the brokers answer and refuse.
    pub async fn kafka(kafka: &config::Kafka, retention: Duration) -> Result<Self, Error> {
        KafkaPublisher::start(kafka, retention, START_TIMEOUT).await.map(Self::Kafka)
    }

    /// Publishes to Kafka as [`Publisher::kafka`] does, and into a spool what Kafka does not
    /// acknowledge in time, be it because no broker is there yet. What the spool holds is drained from
    /// now on.
    ///
    /// # Errors
    /// When the brokers answer and refuse.
    pub async fn spooled(kafka: &config::Kafka, retention: Duration, spool: Spool) -> Result<Self, Error> {
        let publisher = KafkaPublisher::start(kafka, retention, EARLY_TIMEOUT).await?;
        Ok(Self::Spooled(Relay::start(publisher, spool, kafka)))
    }

    /// Whether the stream has answered since the start, which it need not have.
    ///
    /// # Errors
    /// Why not.
    pub fn is_met(&self) -> Result<(), Error> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Kafka(kafka) => kafka.is_met(),
            Self::Spooled(relay) => relay.is_met(),
        }
    }

    /// Waits until the stream has answered since the start.
    ///
    /// # Errors
    /// When it refuses, and nothing is received here that a spool could keep until it does not.
    pub async fn met(&self) -> Result<(), Error> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Kafka(kafka) => kafka.answered().await,
            Self::Spooled(relay) => {
                relay.met().await;
                Ok(())
            }
        }
    }

    /// Makes records durable, all of them, or says why not (some may be durable all the same).
    /// Dropping the future is harmless; the records may then still become durable.
    ///
    /// # Errors
    /// When the stream does not acknowledge every record.
    pub async fn publish(&self, records: Vec<Record>) -> Result<Durable, Error> {
        let count = records.len();
        let spooled = match self {
            Self::Embedded(log) => log.append(&records).await.map(|()| 0)?,
            Self::Kafka(kafka) => kafka.publish(&records).await.map(|()| 0)?,
            Self::Spooled(relay) => relay.publish(records).await?,
        };
        Ok(Durable { records: count, sink: self.sink(), spooled })
    }

    /// Tells the stream of this process itself, if others read it. Such a record is on no books and
    /// in no spool: the next one replaces it.
    ///
    /// # Errors
    /// When the stream does not take it in time.
    pub async fn announce(&self, record: Record, patience: Duration) -> Result<(), Error> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Kafka(kafka) => kafka.attempt(&[record], patience).await.map_err(|left| left.error),
            Self::Spooled(relay) => relay.announce(record, patience).await,
        }
    }

    /// When the oldest event that waits in the spool was received.
    pub async fn oldest_spooled(&self) -> Option<Timestamp> {
        let Self::Spooled(relay) = self else { return None };
        let spool = Arc::clone(relay.spool());
        if spool.events() == 0 {
            return None;
        }
        tokio::task::spawn_blocking(move || spool.oldest()).await.ok().flatten()
    }

    /// What it publishes to.
    pub const fn sink(&self) -> Sink {
        match self {
            Self::Embedded(_) => Sink::Embedded,
            Self::Kafka(_) | Self::Spooled(_) => Sink::Kafka,
        }
    }

    /// Events the stream acknowledged after they had been given up, and spooled, sent again or refused:
    /// those since this was asked last.
    pub fn take_ghosts(&self) -> u64 {
        match self {
            Self::Embedded(_) => 0,
            Self::Kafka(kafka) => kafka.take_ghosts(),
            Self::Spooled(relay) => relay.take_ghosts(),
        }
    }

    /// What waits for the stream, if this publisher has a spool.
    pub fn spool(&self) -> Option<SpoolAccount> {
        match self {
            Self::Embedded(_) | Self::Kafka(_) => None,
            Self::Spooled(relay) => Some(relay.spool().account()),
        }
    }

    /// Whether events can be made durable, in the stream or else in the spool. Cheap.
    ///
    /// # Errors
    /// The sentence that says why not.
    pub fn accepts(&self) -> Result<(), String> {
        match self {
            Self::Embedded(_) | Self::Kafka(_) => self.ready(),
            Self::Spooled(relay) => relay.accepts(),
        }
    }

    /// Whether the stream takes events, as far as was heard lately. Cheap.
    ///
    /// # Errors
    /// The sentence that says why not.
    pub fn ready(&self) -> Result<(), String> {
        match self {
            Self::Embedded(log) => log.ready(),
            Self::Kafka(kafka) => kafka.ready(),
            Self::Spooled(relay) => relay.ready(),
        }
    }

    /// Waits until everything handed in is durable or given up, at most as long as told.
    pub async fn close(&self, budget: Duration) {
        match self {
            Self::Embedded(log) => {
                // The writer answers in order: when it has answered this, it has answered all. It
                // has to get in first, though.
                let answered = async {
                    while log.append(&[]).await == Err(Error::Full) {
                        tokio::time::sleep(CLOSE_RETRY).await;
                    }
                };
                if tokio::time::timeout(budget, answered).await.is_err() && !budget.is_zero() {
                    tracing::warn!("stream.log closed before every event was durable");
                }
            }
            Self::Kafka(kafka) => kafka.close(budget).await,
            Self::Spooled(relay) => relay.close(budget).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Topic;

    #[tokio::test]
    async fn closing_waits_for_room_in_a_full_queue() {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path(), Duration::from_secs(60), u64::MAX).unwrap();
        // The writer opens its first segment, and hangs until somebody reads from it.
        let segment = dir.path().join(format!("{:020}.log", 0));
        assert!(std::process::Command::new("mkfifo").arg(&segment).status().unwrap().success());
        let record = Record {
            topic: Topic::Receipts,
            key: "k".into(),
            id: "i".into(),
            source: "/connections/a".into(),
            time: Timestamp::from_seconds(1),
            traceparent: None,
            value: bytes::Bytes::from_static(b"{}"),
        };
        let mut queued = vec![record];
        loop {
            let full = tokio::select! {
                biased;
                refused = log.append(&queued) => Some(refused),
                () = std::future::ready(()) => None,
            };
            queued.clear();
            if full == Some(Err(Error::Full)) {
                break;
            }
        }
        let publisher = Publisher::embedded(log);
        let soon = Duration::from_millis(50);
        let closed = tokio::time::timeout(soon, publisher.close(Duration::from_secs(60))).await;
        assert!(closed.is_err(), "it was not waited for");
        let _reader = std::fs::File::open(&segment).unwrap();
        let patience = Duration::from_secs(30);
        tokio::time::timeout(patience, publisher.close(2 * patience)).await.unwrap();
    }
}
