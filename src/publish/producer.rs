//! librdkafka's producer with its thread: made from the configuration, asked for topics, and let go of
//! when it breaks. Must never be sent to by anybody but `kafka.rs`, which keeps account.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::producer::{Producer, ThreadedProducer};
use tokio::sync::Notify;

use super::Error;
use super::broker::{client_config, refused_settings, scrub, secrets};
use super::delivery::{Reports, Told};
use crate::config::Kafka;

/// What is set unless `stream.kafka.properties` says otherwise.
const DEFAULTS: [(&str, &str); 10] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("linger.ms", "5"),
    ("message.timeout.ms", "3000"),
    ("compression.type", "lz4"),
    // Java's producers put a key on the same partition.
    ("partitioner", "murmur2_random"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
    // How soon it is noticed that no broker is connected, and that one is again.
    ("statistics.interval.ms", "500"),
    // An outage is to be over within 2 s of the brokers' return.
    ("reconnect.backoff.max.ms", "500"),
];

/// A producer. Another takes its place when it breaks.
pub(super) struct Live(Option<ThreadedProducer<Reports>>);

impl Live {
    /// A producer that connects; `trouble` is what the one before it suffered from.
    pub(super) fn new(config: &Kafka, ailing: &Arc<Notify>, trouble: Option<String>) -> Result<Self, Error> {
        let hidden = secrets(config);
        let client = client_config(config, &DEFAULTS)?;
        let reports = Reports::new(hidden.clone(), Arc::clone(ailing), trouble);
        let producer = ThreadedProducer::from_config_and_context(&client, reports)
            .map_err(|error| refused_settings(&error, &hidden))?;
        Ok(Self(Some(producer)))
    }

    /// The topics there are; an error if no broker answers in time, or all refuse us.
    pub(super) async fn topics(
        self: &Arc<Self>,
        config: &Kafka,
        within: Duration,
    ) -> Result<BTreeSet<String>, Error> {
        let (live, hidden) = (Arc::clone(self), secrets(config));
        let brokers = config.brokers.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let closed = || Error::NotAcknowledged("the producer is closed".into());
            let producer = live.producer().ok_or_else(closed)?;
            let metadata = producer.client().fetch_metadata(None, within).map_err(|error| {
                let unheard = || Told::Trouble(scrub(&error.to_string(), &hidden));
                unanswered(&brokers, within, producer.context().heard().unwrap_or_else(unheard))
            })?;
            Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
        });
        asked.await.unwrap_or_else(|error| Err(Error::Unusable(error.to_string())))
    }

    /// The producer, until this is dropped.
    pub(super) fn producer(&self) -> Option<&ThreadedProducer<Reports>> {
        self.0.as_ref()
    }

    /// Whether it will never send again.
    pub(super) fn is_broken(&self) -> bool {
        self.producer().is_none_or(|producer| producer.context().is_broken())
    }

    /// Leaves the place to another.
    pub(super) fn gives_up(&self) {
        if let Some(producer) = self.producer() {
            producer.context().is_to_be_replaced();
        }
    }

    /// Why no broker takes records, if none does.
    pub(super) fn trouble(&self) -> Option<String> {
        self.producer().and_then(|producer| producer.context().trouble())
    }
}

/// Why brokers gave no answer.
fn unanswered(brokers: &str, within: Duration, told: Told) -> Error {
    match told {
        Told::Refusal(reason) => Error::Unusable(format!(
            "{brokers} refuses Sounder ({reason}); correct the credentials and TLS settings in \
             `stream.kafka.properties`"
        )),
        Told::Trouble(reason) => Error::Unreachable(format!(
            "no answer from {brokers} within {} s ({reason}); check that the brokers run and that \
             `stream.kafka.brokers` and its `properties` (TLS, SASL) are right",
            within.as_secs()
        )),
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Dropping a producer joins its thread and gives up what it holds, which may take half a
        // second: not on a runtime's worker.
        if let (Some(producer), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn_blocking(move || drop(producer));
        }
    }
}
