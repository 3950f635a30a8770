//! Webhooks → durable events: verify, normalise, publish, answer.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::event::{Action, Body, Event, State};
use crate::ledger::{Ledger, Sink};
use crate::metrics::Metrics;
use crate::provider::{self, Normalized, Proved, Unproved};
use crate::publish::{self, Durable, Publisher};
use crate::receive::{Answer, Ingest, RateLimits, RawWebhook, Unavailable};
use crate::registry::Registry;

/// Webhooks → durable events.
#[derive(Debug)]
pub struct Ingestion {
    /// Connections and their secrets.
    pub registry: Arc<ArcSwap<Registry>>,
    /// The stream.
    pub publisher: Publisher,
    /// The account.
    pub ledger: Arc<Ledger>,
    /// The metrics.
    pub metrics: Metrics,
    /// The daemon's clock.
    pub clock: Clock,
    /// What connections with a `rate_limit` have had of this second.
    pub rates: RateLimits,
    /// Time from the last body byte to the answer.
    pub answer_deadline: Duration,
}

impl Ingest for Ingestion {
    async fn ingest(&self, webhook: RawWebhook) -> Answer {
        let trace = traceparent(&webhook);
        let proved = match self.verify(webhook) {
            Ok(proved) => proved,
            Err(Unproved::Unreadable) => return Answer::Unavailable(Unavailable::SecretsUnreadable),
            Err(_) => return Answer::Unauthorized,
        };
        // Only now: a stranger must neither use up a connection's share nor learn that it exists.
        if !self.rates.admit(proved.webhook.connection(), self.clock.now()) {
            return Answer::RateLimited;
        }
        let registry = self.registry.load_full();
        let normalized = provider::normalize(&proved.webhook, &registry);
        match self.publish(&normalized.events, trace.as_deref()).await {
            Ok(durable) => {
                self.count(&proved, &normalized);
                Answer::accepted(normalized.reply, &durable)
            }
            Err(error) => {
                tracing::debug!(%error, connection.id = %proved.webhook.connection().id, "a webhook was not made durable");
                Answer::Unavailable(Unavailable::NotDurable)
            }
        }
    }
}

impl Ingestion {
    fn verify(&self, webhook: RawWebhook) -> Result<Proved, Unproved> {
        let connection = webhook.connection.clone();
        provider::verify(webhook).inspect_err(|unproved| {
            // An unknown name is a stranger's word: it must not become a label.
            let id = connection.as_ref().map_or("", |found| found.id.as_str());
            self.metrics.verify_failures.with_label_values(&[id, unproved.label()]).inc();
        })
    }

    async fn publish(&self, events: &[Event], trace: Option<&str>) -> Result<Durable, publish::Error> {
        let records: Vec<_> = events.iter().map(|event| event.record(trace)).collect();
        let offered = records.len();
        let started = self.clock.ticks();
        let result = timeout(self.answer_deadline, self.publisher.publish(records))
            .await
            .unwrap_or_else(|_| Err(publish::Error::NotAcknowledged("the answer's deadline passed".into())));
        let (durable, spooled) = result.as_ref().map_or((0, 0), |durable| (durable.records, durable.spooled));
        let sink = self.publisher.sink();
        self.ledger.published(offered, durable, spooled, sink);
        self.metrics.publish.with_label_values(&[sink.name()]).inc_by((durable - spooled) as u64);
        if spooled > 0 {
            self.metrics.publish.with_label_values(&[Sink::Spool.name()]).inc_by(spooled as u64);
        }
        self.metrics.publish_duration.observe(self.clock.ticks().saturating_sub(started).as_secs_f64());
        result
    }

    fn count(&self, proved: &Proved, normalized: &Normalized) {
        let connection = proved.webhook.connection();
        let provider = connection.provider.name();
        for slot in &proved.proof.slots {
            self.metrics.secret_uses.with_label_values(&[connection.id.as_str(), &slot.to_string()]).inc();
        }
        for event in &normalized.events {
            self.metrics.events.with_label_values(&[provider, event.topic().name()]).inc();
            match &event.body {
                Body::Receipt(receipt) => {
                    self.metrics.receipts.with_label_values(&[provider, receipt.state.name()]).inc();
                    if let Some(failure) = &receipt.failure {
                        self.metrics.failures.with_label_values(&[provider, failure.class.name()]).inc();
                        if !failure.code.is_empty()
                            && provider::explain(connection.provider, &failure.code).is_none()
                        {
                            self.metrics.unknown_codes.count(provider, &failure.code);
                        }
                    }
                    if let Some(at) = receipt.occurred_at {
                        let ahead = at.since(receipt.received_at).as_secs_f64();
                        self.metrics.clock_ahead.with_label_values(&[provider]).set(ahead);
                    }
                    if let (State::Delivered, Some(sent), Some(at)) =
                        (receipt.state, receipt.sent_at, receipt.occurred_at)
                    {
                        let delay = at.since(sent).as_secs_f64();
                        self.metrics.receipt_delay.with_label_values(&[provider]).observe(delay);
                    }
                }
                Body::Consent(consent) if consent.action == Action::OptOut => {
                    self.metrics.opt_outs.with_label_values(&[provider, consent.evidence.name()]).inc();
                }
                _ => {}
            }
        }
    }
}

/// The caller's W3C trace context, when it has the one shape version 00 allows.
fn traceparent(webhook: &RawWebhook) -> Option<String> {
    let text = std::str::from_utf8(webhook.only_header("traceparent")?).ok()?;
    let shape = text.len() == 55
        && text.starts_with("00-")
        && text.bytes().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        });
    shape.then(|| text.to_owned())
}
