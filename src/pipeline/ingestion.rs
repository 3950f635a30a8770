//! Webhooks → durable events: verify, normalise, publish, answer.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::event::{Action, Body, State};
use crate::failpoint::{self, Point};
use crate::metrics::Metrics;
use crate::provider::{self, Normalized, Proved, Unproved};
use crate::publish::Booked;
use crate::receive::{Answer, Ingest, Load, RateLimits, RawWebhook, Unavailable};
use crate::registry::Registry;

/// Webhooks → durable events.
#[derive(Debug)]
pub struct Ingestion {
    /// Connections and their secrets.
    pub registry: Arc<ArcSwap<Registry>>,
    /// The stream.
    pub stream: Booked,
    /// The metrics.
    pub metrics: Metrics,
    /// The daemon's clock.
    pub clock: Clock,
    /// What connections with a `rate_limit` have had of this second.
    pub rates: RateLimits,
}

impl Ingest for Ingestion {
    async fn ingest(&self, webhook: RawWebhook) -> Answer {
        let trace = traceparent(&webhook);
        let proved = match self.verify(webhook) {
            Ok(proved) => proved,
            Err(Unproved::Unreadable) => return Answer::Unavailable(Unavailable::SecretsUnreadable),
            Err(_) => return Answer::Unauthorized,
        };
        failpoint::reach(Point::WebhookProved).await;
        // Only now: a stranger must neither use up a connection's share nor learn that it exists.
        if !self.rates.admit(proved.webhook.connection(), self.clock.now()) {
            return Answer::RateLimited;
        }
        let registry = self.registry.load_full();
        let normalized = provider::normalize(&proved.webhook, &registry);
        if proved.webhook.load() == Load::Overload && !tells_of_an_opt_out(&normalized) {
            return Answer::Unavailable(Unavailable::Overloaded);
        }
        failpoint::reach(Point::WebhookNormalized).await;
        match self.stream.publish(&normalized.events, trace.as_deref()).await {
            Ok(durable) => {
                failpoint::reach(Point::EventsDurable).await;
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

/// What cannot wait: until it is known, people go on getting messages that they have refused.
fn tells_of_an_opt_out(normalized: &Normalized) -> bool {
    normalized
        .events
        .iter()
        .any(|event| matches!(&event.body, Body::Consent(consent) if consent.action == Action::OptOut))
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
