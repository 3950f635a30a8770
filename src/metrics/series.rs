//! One connection's counters, each looked up by its labels once: to look one up hashes them, takes a
//! lock and counts references, all of which cost more than to count. A webhook counts eight times.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::{Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec};

use crate::event::{ConnectionId, FailureClass, Provider, State, Topic};

/// What is counted of one connection's webhooks.
#[derive(Debug)]
pub struct Series {
    provider: &'static str,
    connection: ConnectionId,
    metrics: Labelled,
    duration: Histogram,
    clock_ahead: OnceLock<Gauge>,
    receipt_delay: OnceLock<Histogram>,
    outcomes: Resolved<&'static str, IntCounter>,
    secrets: Resolved<(&'static str, usize), IntCounter>,
    topics: Resolved<Topic, IntCounter>,
    states: Resolved<State, IntCounter>,
    classes: Resolved<FailureClass, IntCounter>,
}

/// The metrics that the counters are of.
#[derive(Clone, Debug)]
pub(super) struct Labelled {
    pub(super) webhooks: IntCounterVec,
    pub(super) webhook_duration: HistogramVec,
    pub(super) secret_uses: IntCounterVec,
    pub(super) events: IntCounterVec,
    pub(super) receipts: IntCounterVec,
    pub(super) failures: IntCounterVec,
    pub(super) clock_ahead: GaugeVec,
    pub(super) receipt_delay: HistogramVec,
}

impl Series {
    pub(super) fn new(provider: Provider, connection: &ConnectionId, metrics: Labelled) -> Self {
        Self {
            provider: provider.name(),
            connection: connection.clone(),
            duration: metrics.webhook_duration.with_label_values(&[provider.name()]),
            metrics,
            clock_ahead: OnceLock::new(),
            receipt_delay: OnceLock::new(),
            outcomes: Resolved::default(),
            secrets: Resolved::default(),
            topics: Resolved::default(),
            states: Resolved::default(),
            classes: Resolved::default(),
        }
    }

    /// A webhook was answered.
    pub fn answered(&self, outcome: &'static str, taken: Duration) {
        let labels = [self.provider, self.connection.as_str(), outcome];
        self.outcomes.count(outcome, || self.metrics.webhooks.with_label_values(&labels));
        self.duration.observe(taken.as_secs_f64());
    }

    /// A webhook was proved with the secret that is this one of its kind.
    pub fn proved(&self, kind: &'static str, index: usize) {
        self.secrets.count((kind, index), || {
            let slot = format!("{kind}:{index}");
            self.metrics.secret_uses.with_label_values(&[self.connection.as_str(), &slot])
        });
    }

    /// An event is durable.
    pub fn event(&self, topic: Topic) {
        self.topics.count(topic, || self.metrics.events.with_label_values(&[self.provider, topic.name()]));
    }

    /// A receipt is durable.
    pub fn receipt(&self, state: State) {
        self.states.count(state, || self.metrics.receipts.with_label_values(&[self.provider, state.name()]));
    }

    /// A failure is durable.
    pub fn failure(&self, class: FailureClass) {
        self.classes.count(class, || self.metrics.failures.with_label_values(&[self.provider, class.name()]));
    }

    /// By how many seconds the provider's clock was ahead.
    pub fn clock_ahead(&self, seconds: f64) {
        let resolve = || self.metrics.clock_ahead.with_label_values(&[self.provider]);
        self.clock_ahead.get_or_init(resolve).set(seconds);
    }

    /// Seconds from sending to the receipt of a delivery.
    pub fn receipt_delay(&self, seconds: f64) {
        let resolve = || self.metrics.receipt_delay.with_label_values(&[self.provider]);
        self.receipt_delay.get_or_init(resolve).observe(seconds);
    }
}

/// What keys stand for, found without a lock once it was looked up. It never forgets: the keys must
/// be of a bounded set, as labels are.
#[derive(Debug)]
pub(super) struct Resolved<K, V>(ArcSwap<HashMap<K, V>>);

impl<K, V> Default for Resolved<K, V> {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(HashMap::new()))
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Resolved<K, V> {
    /// What `key` stands for; `look_up` says so when nobody has asked before.
    pub(super) fn get(&self, key: &K, look_up: impl FnOnce() -> V) -> V {
        if let Some(known) = self.0.load().get(key) {
            return known.clone();
        }
        let found = look_up();
        self.0.rcu(|known| {
            let mut more = HashMap::clone(known);
            // Whoever was first is kept, so that all have the same.
            more.entry(key.clone()).or_insert_with(|| found.clone());
            Arc::new(more)
        });
        found
    }
}

impl<K: Clone + Eq + Hash> Resolved<K, IntCounter> {
    /// Adds one to what `key` stands for.
    fn count(&self, key: K, look_up: impl FnOnce() -> IntCounter) {
        match self.0.load().get(&key) {
            Some(known) => known.inc(),
            None => self.get(&key, look_up).inc(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn what_is_counted_by_its_place_stands_under_its_labels() {
        let metrics = Metrics::new().unwrap();
        let acme = ConnectionId::parse("acme").unwrap();
        for _ in 0..2 {
            let series = metrics.of(&acme, Provider::Cm);
            series.answered("accepted", Duration::ZERO);
            series.proved("token", 1);
            series.event(Topic::Receipts);
            series.receipt(State::Failed);
            series.failure(FailureClass::Expired);
        }
        let text = metrics.render();
        for line in [
            r#"webhooks_total{connection="acme",outcome="accepted",provider="cm"} 2"#,
            r#"webhook_duration_seconds_count{provider="cm"} 2"#,
            r#"secret_uses_total{connection="acme",slot="token:1"} 2"#,
            r#"events_total{kind="receipts.v1",provider="cm"} 2"#,
            r#"receipts_total{provider="cm",state="failed"} 2"#,
            r#"failures_total{class="expired",provider="cm"} 2"#,
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains("provider_clock_ahead"), "nothing was said of it");
    }
}
