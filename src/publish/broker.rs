//! `[stream.kafka]` → librdkafka's settings, topics' names, and the topics themselves.
//!
//! The one place where Kafka's secrets are exposed. None of their values may stand in a message.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};

use super::Error;
use crate::config::Kafka;
use crate::event::Topic;

/// How long brokers may take to answer at start.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Properties the promises rest on, which are Sounder's to set.
const OURS: [&str; 11] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "metadata.broker.list",
    "request.required.acks",
    "statistics.interval.ms",
];

/// A topic's name on the brokers.
pub(crate) fn topic_name(kafka: &Kafka, topic: Topic) -> String {
    format!("{}{}", kafka.topic_prefix, topic.name())
}

/// librdkafka's settings: what `defaults` says, what the configuration's `properties` say over it.
///
/// # Errors
/// When `properties` set what the promises rest on.
pub(crate) fn client_config(kafka: &Kafka, defaults: &[(&str, &str)]) -> Result<ClientConfig, Error> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &kafka.brokers).set("client.id", "sounder");
    client.set("reconnect.backoff.max.ms", "2000");
    for (name, value) in defaults {
        client.set(*name, *value);
    }
    for (name, value) in &kafka.properties {
        if OURS.contains(&name.as_str()) {
            return Err(Error::Unusable(format!(
                "`stream.kafka.properties` may not set {name}, on which Sounder's promises rest; remove it"
            )));
        }
        client.set(name, value.expose());
    }
    Ok(client)
}

/// The values of properties, none of which may be shown.
pub(crate) fn secrets(kafka: &Kafka) -> Vec<String> {
    kafka.properties.values().map(|value| value.expose().to_owned()).filter(|v| v.len() > 3).collect()
}

/// A text without the secrets that librdkafka may have quoted in it.
pub(crate) fn scrub(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "(secret)"))
}

/// Puts librdkafka's refusal of its settings in words that quote no value.
pub(crate) fn refused_settings(error: &KafkaError, secrets: &[String]) -> Error {
    match error {
        KafkaError::ClientConfig(_, _, name, _) => Error::Unusable(format!(
            "librdkafka does not take the value of {name}; correct it in `stream.kafka.properties`"
        )),
        other => Error::Unusable(format!("{}; check `stream.kafka`", scrub(&other.to_string(), secrets))),
    }
}

/// Creates the topics that are not among `there`.
pub(super) async fn create_missing(
    kafka: &Kafka,
    there: &BTreeSet<String>,
    retention: Duration,
) -> Result<(), Error> {
    let missing: Vec<_> = Topic::ALL
        .into_iter()
        .map(|topic| (topic, topic_name(kafka, topic)))
        .filter(|(_, name)| !there.contains(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let (insync, retention) = (kafka.min_insync_replicas.to_string(), retention.as_millis().to_string());
    let topics: Vec<_> = missing
        .iter()
        .map(|(topic, name)| {
            let replication = TopicReplication::Fixed(kafka.replication_factor);
            let new = NewTopic::new(name, kafka.partitions, replication).set("min.insync.replicas", &insync);
            match topic.is_compacted() {
                true => new.set("cleanup.policy", "compact"),
                false => new.set("retention.ms", &retention),
            }
        })
        .collect();
    let secrets = secrets(kafka);
    let admin: AdminClient<DefaultClientContext> =
        client_config(kafka, &[])?.create().map_err(|error| refused_settings(&error, &secrets))?;
    let options =
        AdminOptions::new().request_timeout(Some(START_TIMEOUT)).operation_timeout(Some(START_TIMEOUT));
    let created = admin.create_topics(&topics, &options).await;
    // Dropping it joins a thread that looks up every 100 ms.
    tokio::task::spawn_blocking(move || drop(admin));
    judge(created, &secrets)
}

fn judge(created: KafkaResult<Vec<TopicResult>>, secrets: &[String]) -> Result<(), Error> {
    let results = created.map_err(|error| {
        let error = scrub(&error.to_string(), secrets);
        Error::Unusable(format!("the topics could not be created ({error}); create them, or see why"))
    })?;
    for result in results {
        match result {
            // Another process of the fleet was first.
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                return Err(Error::Unusable(format!(
                    "topic {name} could not be created ({code}); create it, grant Sounder the right to, \
                     or correct `stream.kafka.partitions` and `replication_factor`"
                )));
            }
        }
    }
    Ok(())
}
