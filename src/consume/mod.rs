//! The stream → batches of records. The position moves only after tally has applied them.

mod archive;
mod broker;
mod embedded;
mod kafka;
mod progress;
mod assignment;
mod fleet;
mod receivers;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Timestamp;
use crate::config;
use crate::event::{Record, Topic};
use crate::publish::Log;

pub use archive::{Archive, Scan};
pub use embedded::EmbeddedConsumer;
pub use fleet::{Condition, Fleet, Receiver};
pub use kafka::KafkaConsumer;
pub use progress::{Herald, Loss, Progress, Reading, Reporter, progress};
pub use receivers::Receivers;
pub use trace::Mark;

/// One ordered part of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// Its topic.
    pub topic: Topic,
    /// Its index.
    pub index: i32,
}

impl Partition {
    /// The one part of the embedded stream, which holds every topic's records in one order.
    pub const EMBEDDED: Self = Self { topic: Topic::Receipts, index: 0 };
}

/// A record with its place in the stream.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The part it stands in.
    pub partition: Partition,
    /// Its place there.
    pub offset: u64,
    /// The record; `None` when what stands there is no record of ours (it is skipped, as `dead`).
    pub record: Option<Record>,
}

/// Records taken together, in order within each partition.
#[derive(Debug, Default)]
pub struct Batch {
    /// The records.
    pub records: Vec<Taken>,
    /// True when nothing more was waiting behind them in any partition.
    pub caught_up: bool,
}

/// Where the store goes on in each partition, kept current by whoever applies batches. The store
/// knows better than the broker: a partition that is not in it is read from its beginning.
pub type Positions = Arc<Mutex<BTreeMap<Partition, u64>>>;

/// Why the stream cannot be read; a person has to look. What passes by itself is waited out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream refuses, or is broken.
    #[error("failed to read the stream: {0}")]
    Unusable(String),
}

/// The topics that are counted, or otherwise applied to the state.
pub const APPLIED: [Topic; 4] = kafka::TOPICS;

/// How many observers are in the group, dead ones whose session has not ended included; `None` while
/// the brokers do not know.
///
/// # Errors
/// When the brokers do not say.
pub async fn members(kafka: &config::Kafka) -> Result<Option<usize>, Error> {
    kafka::members(kafka).await
}

/// Where records are taken from.
#[derive(Debug)]
#[non_exhaustive]
pub enum Consumer {
    /// Segment files.
    Embedded(EmbeddedConsumer),
    /// Kafka.
    Kafka(Box<KafkaConsumer>),
}

impl Consumer {
    /// Takes from the embedded stream, from a position on.
    pub fn embedded(log: Log, position: u64) -> Self {
        Self::Embedded(EmbeddedConsumer::new(log, position))
    }

    /// Joins the group on Kafka; call it within the runtime. Returns before anything is assigned.
    ///
    /// # Errors
    /// When librdkafka does not take the settings.
    pub fn kafka(kafka: &config::Kafka, positions: Positions) -> Result<Self, Error> {
        KafkaConsumer::join(kafka, positions).map(Box::new).map(Self::Kafka)
    }

    /// Learns which records other observers took last of the partitions that are not read here: where
    /// others stand in their places when a partition comes here, the stream lost its records, and it is
    /// read from its beginning.
    pub fn learn(&self, marks: BTreeMap<Partition, Mark>) {
        if let Self::Kafka(consumer) = self {
            consumer.learn(marks);
        }
    }

    /// The record taken last of each partition that is read here, for the next process to know.
    pub fn marks(&self) -> BTreeMap<Partition, Mark> {
        match self {
            Self::Embedded(_) => BTreeMap::new(),
            Self::Kafka(consumer) => consumer.marks(),
        }
    }

    /// Waits for a record, then takes what is there, up to `max`. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When a person has to look; what passes by itself is waited out.
    pub async fn next(&mut self, max: usize) -> Result<Batch, Error> {
        match self {
            Self::Embedded(consumer) => consumer.next(max).await,
            Self::Kafka(consumer) => consumer.next(max).await,
        }
    }

    /// Tells the stream how far its records are applied: where to go on in each partition.
    ///
    /// # Errors
    /// When a person has to look.
    pub async fn commit(&mut self, positions: &BTreeMap<Partition, u64>) -> Result<(), Error> {
        match self {
            Self::Embedded(consumer) => consumer.commit(positions),
            Self::Kafka(consumer) => consumer.commit(positions)?,
        }
        Ok(())
    }

    /// The offset the next record will get in each partition that is being read; none for a
    /// partition whose end has not been heard of yet. Cheap.
    pub fn ends(&self) -> BTreeMap<Partition, u64> {
        match self {
            Self::Embedded(consumer) => consumer.ends(),
            Self::Kafka(consumer) => consumer.ends(),
        }
    }

    /// How far each partition is that is read here: no record from before that moment is still to
    /// come. The time of its last record, or `now` where it is read to its end; `None` while nobody
    /// knows. The least of all partitions, wherever they are read, is the stream clock.
    pub fn clocks(&self, now: Timestamp) -> BTreeMap<Partition, Option<Timestamp>> {
        match self {
            Self::Embedded(consumer) => consumer.clocks(now),
            Self::Kafka(consumer) => consumer.clocks(now),
        }
    }

    /// Every partition there is, read here or elsewhere.
    ///
    /// # Errors
    /// When the brokers do not say; it can be asked again.
    pub async fn partitions(&self) -> Result<BTreeSet<Partition>, Error> {
        match self {
            Self::Embedded(_) => Ok(BTreeSet::from([Partition::EMBEDDED])),
            Self::Kafka(consumer) => consumer.partitions().await,
        }
    }

    /// Goes on from the store's positions, which have been moved back.
    ///
    /// # Errors
    /// When librdkafka does not take the settings.
    pub fn go_back(&mut self, positions: &Positions) -> Result<(), Error> {
        match self {
            Self::Embedded(consumer) => {
                consumer.go_back(&positions.lock().unwrap_or_else(PoisonError::into_inner));
                Ok(())
            }
            // Another client, for records that librdkafka holds already are from the wrong places.
            Self::Kafka(consumer) => consumer.replace("the state was moved back"),
        }
    }

    /// Whether everything there was has been taken, as far as was heard lately.
    pub fn caught_up(&self) -> bool {
        match self {
            Self::Embedded(consumer) => consumer.caught_up(),
            Self::Kafka(consumer) => consumer.caught_up(),
        }
    }

    /// Whether the stream answers, as far as was heard lately.
    ///
    /// # Errors
    /// The sentence that says why not.
    pub fn ready(&self) -> Result<(), String> {
        match self {
            Self::Embedded(_) => Ok(()),
            Self::Kafka(consumer) => consumer.ready(),
        }
    }

    /// Leaves the group, without keeping a runtime's worker waiting.
    pub async fn close(self) {
        match self {
            Self::Embedded(consumer) => drop(consumer),
            Self::Kafka(consumer) => consumer.close().await,
        }
    }
}
