//! What a receiver tells of itself, again and again → `receivers.v1`, for whoever has to know that
//! all receivers live and hold nothing back. It must never keep a webhook waiting.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::{Booked, SpoolAccount};
use crate::clock::Timestamp;
use crate::event::{Record, Topic};
use crate::ledger::Statement;

/// How often a receiver tells.
const BEAT_EVERY: Duration = Duration::from_secs(10);
/// How long the stream may take over it.
const BEAT_PATIENCE: Duration = Duration::from_secs(2);
/// The file that holds a receiver's name, in the directory of its spool.
const NAME_FILE: &str = "receiver";

/// What a receiver tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Its name: the same as long as it has the same spool.
    pub receiver: String,
    /// What it is about to do.
    pub stage: Stage,
    /// The version that runs.
    pub version: String,
    /// When it told this, by its own clock.
    pub at: Timestamp,
    /// Since when its ledger counts.
    pub started_at: Timestamp,
    /// What became of every event it ever spooled.
    pub spool: SpoolAccount,
    /// When the oldest event that waits in its spool was received.
    pub oldest_spooled_at: Option<Timestamp>,
    /// Its account, with the time of the last webhook of each connection.
    pub ledger: Statement,
}

/// What a receiver is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It receives.
    Receiving,
    /// It was told to stop, and this is its last word.
    Stopped,
}

/// Tells of a receiver, for as long as it lives.
#[derive(Debug)]
pub struct Heart {
    name: String,
    stream: Booked,
    started_at: Timestamp,
}

impl Heart {
    /// The heart of the receiver whose spool is in this directory. It gets a name if it has none.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn of(spool: &Path, stream: Booked) -> io::Result<Self> {
        let file = spool.join(NAME_FILE);
        let name = match fs::read_to_string(&file) {
            Ok(name) if ulid::Ulid::from_string(name.trim()).is_ok() => name.trim().to_owned(),
            // Another name costs nothing but that the old one is missed for a while.
            _ => {
                let name = ulid::Ulid::generate().to_string();
                fs::write(&file, &name)?;
                name
            }
        };
        let started_at = stream.clock.now();
        Ok(Self { name, stream, started_at })
    }

    /// Tells until `shutdown` turns true, and then a last time.
    pub async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut due = interval(BEAT_EVERY);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stage = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => Stage::Stopped,
                _ = due.tick() => Stage::Receiving,
            };
            self.beat(stage).await;
            if stage == Stage::Stopped {
                return;
            }
        }
    }

    async fn beat(&self, stage: Stage) {
        let Booked { publisher, ledger, clock, .. } = &self.stream;
        let heartbeat = Heartbeat {
            receiver: self.name.clone(),
            stage,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: clock.now(),
            started_at: self.started_at,
            oldest_spooled_at: publisher.oldest_spooled().await,
            spool: publisher.spool().unwrap_or_default(),
            ledger: ledger.statement(),
        };
        if let Err(error) = publisher.announce(heartbeat.record(), BEAT_PATIENCE).await {
            // Observers notice that they hear nothing, and say so.
            tracing::debug!(%error, "publish.heartbeat not told");
        }
    }
}

impl Heartbeat {
    /// The record that has compaction forget a receiver.
    pub fn forgotten(receiver: &str, at: Timestamp) -> Record {
        Record {
            topic: Topic::Receivers,
            key: receiver.to_owned(),
            id: format!("{receiver}-{}-forgotten", at.millis()),
            source: "/observer".into(),
            time: at,
            traceparent: None,
            value: bytes::Bytes::new(),
        }
    }

    /// The record that tells it.
    fn record(&self) -> Record {
        Record {
            topic: Topic::Receivers,
            key: self.receiver.clone(),
            id: format!("{}-{}", self.receiver, self.at.millis()),
            source: format!("/receivers/{}", self.receiver),
            time: self.at,
            traceparent: None,
            value: serde_json::to_vec(self).unwrap_or_default().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::clock::Clock;
    use crate::config::Kafka;
    use crate::ledger::Ledger;
    use crate::metrics::Metrics;
    use crate::publish::{Publisher, Spool};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_receiver_keeps_its_name_and_never_spools_its_heartbeats() {
        let cluster = MockCluster::new(1).unwrap();
        for topic in Topic::ALL {
            cluster.create_topic(&format!("sms.{}", topic.name()), 1, 1).unwrap();
        }
        let kafka = Kafka { brokers: cluster.bootstrap_servers(), ..Kafka::default() };
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), u64::MAX).unwrap();
        let stream = Booked {
            publisher: Publisher::spooled(&kafka, Duration::from_secs(60), spool).await.unwrap(),
            ledger: Arc::new(Ledger::default()),
            metrics: Metrics::new().unwrap(),
            clock: Clock::wall(),
            answer_deadline: Duration::from_secs(4),
        };
        let heart = Heart::of(dir.path(), stream.clone()).unwrap();
        assert_eq!(Heart::of(dir.path(), stream.clone()).unwrap().name, heart.name);
        let told = cluster.broker_down(1);
        told.unwrap();
        heart.beat(Stage::Receiving).await;
        let account = stream.publisher.spool().unwrap();
        assert_eq!((account.spooled, stream.ledger.statement()), (0, Statement::default()));
        fs::write(dir.path().join(NAME_FILE), "no name").unwrap();
        assert_ne!(Heart::of(dir.path(), stream).unwrap().name, heart.name);
    }
}
