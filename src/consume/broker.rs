//! Questions to the brokers that belong to no group: a client of their own asks, beside the runtime.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, DefaultConsumerContext};
use rdkafka::error::KafkaResult;

use super::Error;
use crate::config::Kafka;
use crate::publish::{client_config, refused_settings, scrub, secrets};

/// How long the brokers may take to answer one question.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A client that asks.
pub(super) type Client = BaseConsumer<DefaultConsumerContext>;

/// Asks something; what the brokers refuse is told without a secret.
pub(super) async fn ask<T: Send + 'static>(
    kafka: &Kafka,
    question: impl FnOnce(&Client) -> KafkaResult<T> + Send + 'static,
) -> Result<T, Error> {
    ask_with(kafka, &[], question).await.map(|(_, answer)| answer)
}

/// Asks through a client with settings of its own, and hands it out for more.
pub(super) async fn ask_with<T: Send + 'static>(
    kafka: &Kafka,
    defaults: &[(&str, &str)],
    question: impl FnOnce(&Client) -> KafkaResult<T> + Send + 'static,
) -> Result<(Client, T), Error> {
    let hidden = secrets(kafka);
    let client = client_config(kafka, defaults).map_err(|error| Error::Unusable(error.to_string()))?;
    let asked = tokio::task::spawn_blocking(move || {
        let client: Client = client
            .create()
            .map_err(|error| Error::Unusable(refused_settings(&error, &hidden).to_string()))?;
        let answer = question(&client);
        answer
            .map(|answer| (client, answer))
            .map_err(|error| Error::Unusable(scrub(&error.to_string(), &hidden)))
    });
    asked.await.unwrap_or_else(|error| Err(Error::Unusable(error.to_string())))
}
