//! The configuration → the stream and the state it names, opened; also for commands that need them
//! without a daemon.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::StartError;
use crate::config::{Config, Kafka, Role, StateKind, StreamKind};
use crate::consume::{self, Archive, Consumer, Mark, Partition, Positions};
use crate::pipeline;
use crate::publish::{Log, Publisher, Spool};
use crate::tally::{self, Store};

/// How long an observer that was killed may still be in its group: its session, and a little.
const COMPANY_WAIT_MAX: Duration = Duration::from_secs(13);
/// How often the group is looked at meanwhile.
const COMPANY_LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long Kafka is left alone that could not say who else observes.
const JOIN_RETRY: Duration = Duration::from_secs(1);

/// The stream, opened once for whoever writes to it and whoever reads from it. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Stream {
    Embedded(Log),
    Kafka(Kafka),
}

impl Stream {
    pub(crate) async fn publisher(&self, config: &Config, role: Role) -> Result<Publisher, StartError> {
        let (dir, retention) = (&config.stream.dir, config.stream.retention);
        match self {
            Self::Embedded(log) => Ok(Publisher::embedded(log.clone())),
            Self::Kafka(kafka) if role.receives() => {
                make_directory(dir)?;
                let spool = Spool::open(&dir.join("spool"), kafka.spool_bytes_max)?;
                Ok(Publisher::spooled(kafka, retention, spool).await?)
            }
            Self::Kafka(kafka) => Ok(Publisher::kafka(kafka, retention).await?),
        }
    }

    pub(crate) fn archive(&self) -> Archive {
        match self {
            Self::Embedded(log) => Archive::Embedded(log.clone()),
            Self::Kafka(kafka) => Archive::Kafka(kafka.clone()),
        }
    }

    fn consumer(
        &self,
        positions: &Positions,
        marks: BTreeMap<Partition, Mark>,
    ) -> Result<Consumer, consume::Error> {
        match self {
            Self::Embedded(log) => {
                let positions = positions.lock().unwrap_or_else(PoisonError::into_inner);
                let position = positions.get(&Partition::EMBEDDED).copied();
                Ok(Consumer::embedded(log.clone(), position.unwrap_or_else(|| log.start())))
            }
            Self::Kafka(kafka) => {
                let consumer = Consumer::kafka(kafka, Arc::clone(positions))?;
                consumer.learn(marks);
                Ok(consumer)
            }
        }
    }
}

/// What it takes to begin to read the stream.
pub(super) struct Joining {
    pub(super) stream: Stream,
    pub(super) config: Config,
    pub(super) positions: Positions,
    pub(super) store: Store,
}

impl Joining {
    /// Begins to read, unless somebody else does who must not.
    pub(super) async fn join(&self) -> Result<Consumer, StartError> {
        refuse_company(&self.config).await?;
        let marks = pipeline::marks(&self.store).await?;
        Ok(self.stream.consumer(&self.positions, marks)?)
    }

    /// The same, once the stream that `publisher` writes to is there.
    pub(super) async fn join_later(self, publisher: Publisher) -> Result<Consumer, StartError> {
        loop {
            publisher.met().await?;
            match self.join().await {
                Err(StartError::Consume(error)) => {
                    tracing::warn!(%error, "consume.kafka cannot begin yet; it is tried again");
                    tokio::time::sleep(JOIN_RETRY).await;
                }
                joined => return joined,
            }
        }
    }
}

/// Embedded state is one observer's: a second would count its part of the stream into cells that
/// the first never sees. One that was killed is forgotten by the group after its session.
async fn refuse_company(config: &Config) -> Result<(), StartError> {
    let (StreamKind::Kafka(kafka), StateKind::Embedded) = (&config.stream.kind, &config.state.kind) else {
        return Ok(());
    };
    let waited = timeout(COMPANY_WAIT_MAX, async {
        while consume::members(kafka).await? != Some(0) {
            tokio::time::sleep(COMPANY_LOOK_EVERY).await;
        }
        Ok(())
    });
    waited.await.unwrap_or_else(|_| {
        Err(StartError::Refused(format!(
            "another observer is (or may be) in the consumer group {}, and embedded state has one observer only: \
             set state.kind = \"redis\" for several, stop the other one, or name another stream.kafka.group",
            kafka.group
        )))
    })
}

pub(crate) async fn open_stream(config: &Config) -> Result<Stream, StartError> {
    match &config.stream.kind {
        StreamKind::Embedded => {
            let stream = &config.stream;
            make_directory(&stream.dir)?;
            Ok(Stream::Embedded(Log::open(
                &stream.dir.join("stream"),
                stream.retention,
                stream.retention_bytes,
            )?))
        }
        StreamKind::Kafka(kafka) => Ok(Stream::Kafka(kafka.clone())),
    }
}

pub(crate) async fn open_store(config: &Config) -> Result<Store, StartError> {
    match &config.state.kind {
        StateKind::Embedded => {
            make_directory(&config.stream.dir)?;
            Ok(Store::embedded(&config.stream.dir.join("state"))?)
        }
        StateKind::Redis(redis) => {
            Store::redis(redis, config.state.slots).await.map_err(|error| match error {
                tally::Error::Unreachable(_) => StartError::Redis(error),
                _ => error.into(),
            })
        }
    }
}

fn make_directory(directory: &Path) -> Result<(), StartError> {
    std::fs::create_dir_all(directory)
        .map_err(|source| StartError::Directory { directory: directory.to_owned(), source })
}
