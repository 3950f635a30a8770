//! Webhooks → durable events: verify, normalise, publish, answer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderName;

use crate::config::Connection;
use crate::event::{Action, Body, Event, Receipt, State};
use crate::failpoint::{self, Point};
use crate::metrics::{Metrics, Series};
use crate::provider::{self, Normalized, Proof, Proved, Unproved};
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
        if !self.rates.admit(proved.webhook.connection(), proved.webhook.received_at()) {
            return Answer::RateLimited;
        }
        let normalized = provider::normalize(&proved.webhook, &self.registry.load());
        if proved.webhook.load() == Load::Overload && !tells_of_an_opt_out(&normalized) {
            return Answer::Unavailable(Unavailable::Overloaded);
        }
        failpoint::reach(Point::WebhookNormalized).await;
        // What was read is let go of: what waits for the stream should hold little memory.
        let Proved { webhook, proof } = proved;
        let connection = webhook.into_connection();
        match self.stream.publish(&normalized.events, trace.as_deref()).await {
            Ok(durable) => {
                failpoint::reach(Point::EventsDurable).await;
                self.count(&connection, &proof, &normalized.events);
                Answer::accepted(normalized.reply, &durable)
            }
            Err(error) => {
                tracing::debug!(%error, connection.id = %connection.id, "a webhook was not made durable");
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

    fn count(&self, connection: &Connection, proof: &Proof, events: &[Event]) {
        let series = self.metrics.of(&connection.id, connection.provider);
        for slot in &proof.slots {
            series.proved(slot.kind, slot.index);
        }
        for event in events {
            series.event(event.topic());
            match &event.body {
                Body::Receipt(receipt) => self.count_receipt(&series, receipt),
                Body::Consent(consent) if consent.action == Action::OptOut => {
                    let labels = [connection.provider.name(), consent.evidence.name()];
                    self.metrics.opt_outs.with_label_values(&labels).inc();
                }
                _ => {}
            }
        }
    }

    fn count_receipt(&self, series: &Series, receipt: &Receipt) {
        series.receipt(receipt.state);
        if let Some(failure) = &receipt.failure {
            series.failure(failure.class);
            if !failure.code.is_empty() && provider::explain(receipt.provider, &failure.code).is_none() {
                self.metrics.unknown_codes.count(receipt.provider.name(), &failure.code);
            }
        }
        if let Some(at) = receipt.occurred_at {
            series.clock_ahead(at.since(receipt.received_at).as_secs_f64());
        }
        if let (State::Delivered, Some(sent), Some(at)) =
            (receipt.state, receipt.sent_at, receipt.occurred_at)
        {
            series.receipt_delay(at.since(sent).as_secs_f64());
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

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The caller's W3C trace context, when it has the one shape version 00 allows.
fn traceparent(webhook: &RawWebhook) -> Option<String> {
    let text = std::str::from_utf8(webhook.only_header(&TRACEPARENT)?).ok()?;
    let shape = text.len() == 55
        && text.starts_with("00-")
        && text.bytes().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        });
    shape.then(|| text.to_owned())
}
