//! A look at the brokers that changes nothing: what `check --online` tells of Kafka.

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::Metadata;

use super::Error;
use super::broker::{START_TIMEOUT, client_config, refused_settings, scrub, secrets, topic_name};
use crate::config::Kafka;
use crate::event::Topic;

/// What the brokers answer, as a sentence.
///
/// # Errors
/// When they do not answer, or acks=all would mean less than it says.
pub async fn probe(kafka: &Kafka) -> Result<String, Error> {
    let hidden = secrets(kafka);
    let client: BaseConsumer =
        client_config(kafka, &[])?.create().map_err(|error| refused_settings(&error, &hidden))?;
    let asked = tokio::task::spawn_blocking(move || client.fetch_metadata(None, START_TIMEOUT));
    let metadata = match asked.await {
        Ok(Ok(metadata)) => metadata,
        Ok(Err(error)) => return Err(silent(kafka, &scrub(&error.to_string(), &hidden))),
        Err(error) => return Err(silent(kafka, &error.to_string())),
    };
    Ok(sentence(kafka, &metadata))
}

fn silent(kafka: &Kafka, reason: &str) -> Error {
    Error::Unreachable(format!(
        "no answer from {} within {} s ({reason}); check that the brokers run and that \
         `stream.kafka.brokers` and its `properties` (TLS, SASL) are right",
        kafka.brokers,
        START_TIMEOUT.as_secs()
    ))
}

fn sentence(kafka: &Kafka, metadata: &Metadata) -> String {
    let names = Topic::ALL.map(|topic| topic_name(kafka, topic));
    let ours = || metadata.topics().iter().filter(|topic| names.iter().any(|name| name == topic.name()));
    let missing = names.len() - ours().count();
    let copies =
        ours().flat_map(|topic| topic.partitions()).map(|partition| partition.replicas().len()).min();
    let copies = copies.unwrap_or(usize::try_from(kafka.replication_factor).unwrap_or(0));
    let mut text = format!("{} answers, with {} broker(s)", kafka.brokers, metadata.brokers().len());
    if missing > 0 {
        text.push_str(&format!("; {missing} of {} topics are missing and will be created", names.len()));
    }
    if copies < 2 {
        text.push_str(
            "; warning: topics have one copy, so acks=all survives no broker's loss: \
             set stream.kafka.replication_factor to 3",
        );
    }
    text
}
