//! Every metric, its labels and its meaning. Handles are resolved once, never per request.
//! No label holds a phone number.

mod series;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::event::{ConnectionId, Provider};
pub use series::Series;
use series::{Labelled, Resolved};

/// The metrics of one process. Tests make their own; nothing is global.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// By provider: a connection that was another's keeps its name.
    series: Arc<[Resolved<ConnectionId, Arc<Series>>; Provider::ALL.len()]>,
    /// Webhooks by how they ended: `provider`, `connection`, `outcome`.
    pub webhooks: IntCounterVec,
    /// Events made durable: `provider`, `kind`.
    pub events: IntCounterVec,
    /// Receipts made durable: `provider`, `state`.
    pub receipts: IntCounterVec,
    /// Failures made durable: `provider`, `class`.
    pub failures: IntCounterVec,
    /// Seconds from a webhook's last byte to its answer: `provider`.
    pub webhook_duration: HistogramVec,
    /// Failures under codes that are in no table: `provider`, `code`.
    pub unknown_codes: UnknownCodes,
    /// Seconds by which a provider's last time was ahead of this clock: `provider`.
    pub clock_ahead: GaugeVec,
    /// Webhooks that did not verify: `connection`, `reason`.
    pub verify_failures: IntCounterVec,
    /// Uses of each configured secret, by its place in the list: `connection`, `slot`.
    pub secret_uses: IntCounterVec,
    /// Opt-outs made durable: `provider`, `evidence`.
    pub opt_outs: IntCounterVec,
    /// Seconds until a webhook's events were durable.
    pub publish_duration: Histogram,
    /// Events made durable: `sink`.
    pub publish: IntCounterVec,
    /// Events that Kafka acknowledged after they had been given up, and spooled, sent again or refused.
    pub ghosts: Counter,
    /// Events that wait in the spool.
    pub spool_events: IntGauge,
    /// Bytes that wait in the spool.
    pub spool_bytes: IntGauge,
    /// Events in the stream that have not been applied: `topic`.
    pub consumer_lag: IntGaugeVec,
    /// Events applied to the state: `result`, a line of [`Account`](crate::tally::Account).
    pub applied: IntCounterVec,
    /// Terminal states that were replaced by others.
    pub corrections: Counter,
    /// Seconds to apply one batch.
    pub apply_duration: Histogram,
    /// Seconds from sending to the receipt of a delivery: `provider`.
    pub receipt_delay: HistogramVec,
    /// Delivered ÷ (delivered + failed) over the last hour's matured messages: `provider`.
    pub delivery_ratio: GaugeVec,
    /// Numbers by band: `band`.
    pub numbers: IntGaugeVec,
    /// Open incidents: `kind`, `band`.
    pub incidents_open: IntGaugeVec,
    /// Incidents' transitions: `kind`, `to`.
    pub incident_transitions: IntCounterVec,
    /// Answers of Discord by status: `code`.
    pub discord_requests: IntCounterVec,
    /// Alerts waiting to be delivered.
    pub alerts_pending: IntGauge,
    /// When Discord last took something.
    pub discord_last_success: Gauge,
    /// Alerts that may stand on Discord twice.
    pub alerts_maybe_doubled: Counter,
    /// Seconds one evaluation took.
    pub evaluation_duration: Histogram,
    /// Cells in the state.
    pub cells: IntGauge,
    /// Receivers by how they are: `condition`.
    pub receivers: IntGaugeVec,
    /// What the account is out by; 0, always.
    pub ledger_imbalance: IntGauge,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// When two metrics have one name, which a test excludes.
    #[expect(clippy::too_many_lines, reason = "a table, a metric a row")]
    pub fn new() -> Result<Self, prometheus::Error> {
        let make = Maker(Registry::new_custom(Some("sounder".into()), None)?);
        let build = make.gauges("build_info", "Always 1: the version that runs", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            webhooks: make.counters(
                "webhooks_total",
                "Webhooks by how they ended",
                &["provider", "connection", "outcome"],
            )?,
            events: make.counters("events_total", "Events made durable", &["provider", "kind"])?,
            receipts: make.counters("receipts_total", "Receipts made durable", &["provider", "state"])?,
            failures: make.counters("failures_total", "Failures made durable", &["provider", "class"])?,
            webhook_duration: make.histograms(
                "webhook_duration_seconds",
                "From a webhook's last byte to its answer",
                &["provider"],
                FAST,
            )?,
            unknown_codes: UnknownCodes::new(make.counters(
                "unknown_codes_total",
                "Failures under codes that are in no table",
                &["provider", "code"],
            )?),
            clock_ahead: make.floats(
                "provider_clock_ahead_seconds",
                "By how much the last time a provider told was ahead of this machine's clock",
                &["provider"],
            )?,
            verify_failures: make.counters(
                "verify_failures_total",
                "Webhooks that did not verify",
                &["connection", "reason"],
            )?,
            secret_uses: make.counters(
                "secret_uses_total",
                "Uses of each configured secret",
                &["connection", "slot"],
            )?,
            opt_outs: make.counters("opt_outs_total", "Opt-outs made durable", &["provider", "evidence"])?,
            publish_duration: make.histogram(
                "publish_duration_seconds",
                "Until a webhook's events were durable",
                FAST,
            )?,
            publish: make.counters("publish_total", "Events made durable", &["sink"])?,
            ghosts: make.counter(
                "ghosts_total",
                "Events that Kafka acknowledged after they had been given up; they may stand in the stream twice",
            )?,
            spool_events: make.gauge("spool_events", "Events that wait in the spool")?,
            spool_bytes: make.gauge("spool_bytes", "Bytes that wait in the spool")?,
            consumer_lag: make.gauges(
                "consumer_lag_events",
                "Events in the stream that have not been applied",
                &["topic"],
            )?,
            applied: make.counters("applied_total", "Events applied to the state", &["result"])?,
            corrections: make.counter("corrections_total", "Terminal states that were replaced by others")?,
            apply_duration: make.histogram("apply_duration_seconds", "To apply one batch", FAST)?,
            receipt_delay: make.histograms(
                "receipt_delay_seconds",
                "From sending to the receipt of a delivery",
                &["provider"],
                SLOW,
            )?,
            delivery_ratio: make.floats(
                "delivery_ratio",
                "Delivered share of the last hour's matured messages",
                &["provider"],
            )?,
            numbers: make.gauges("numbers", "Numbers by band", &["band"])?,
            incidents_open: make.gauges("incidents_open", "Open incidents", &["kind", "band"])?,
            incident_transitions: make.counters(
                "incident_transitions_total",
                "Incidents' transitions",
                &["kind", "to"],
            )?,
            discord_requests: make.counters(
                "discord_requests_total",
                "Answers of Discord by status",
                &["code"],
            )?,
            alerts_pending: make.gauge("alerts_pending", "Alerts waiting to be delivered")?,
            discord_last_success: make
                .float("discord_last_success_timestamp_seconds", "When Discord last took something")?,
            alerts_maybe_doubled: make
                .counter("alerts_maybe_doubled_total", "Alerts that may stand on Discord twice")?,
            evaluation_duration: make.histogram("evaluation_duration_seconds", "One evaluation", FAST)?,
            cells: make.gauge("cells", "Cells in the state")?,
            receivers: make.gauges("receivers", "Receivers by how they are", &["condition"])?,
            ledger_imbalance: make.gauge("ledger_imbalance", "What the account is out by; 0, always")?,
            registry: make.0,
            series: Arc::default(),
        })
    }

    /// The counters of one connection.
    pub fn of(&self, connection: &ConnectionId, provider: Provider) -> Arc<Series> {
        self.series[provider as usize].get(connection, || {
            let labelled = Labelled {
                webhooks: self.webhooks.clone(),
                webhook_duration: self.webhook_duration.clone(),
                secret_uses: self.secret_uses.clone(),
                events: self.events.clone(),
                receipts: self.receipts.clone(),
                failures: self.failures.clone(),
                clock_ahead: self.clock_ahead.clone(),
                receipt_delay: self.receipt_delay.clone(),
            };
            Arc::new(Series::new(provider, connection, labelled))
        })
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// Most codes that get a label of their own: what comes from outside must not grow without bound.
const UNKNOWN_CODES_MAX: usize = 200;

/// Counts codes that nobody knows, a bounded number of them by name and the rest as `other`.
#[derive(Clone, Debug)]
pub struct UnknownCodes {
    counts: IntCounterVec,
    named: Arc<Mutex<BTreeSet<(&'static str, String)>>>,
}

impl UnknownCodes {
    fn new(counts: IntCounterVec) -> Self {
        Self { counts, named: Arc::default() }
    }

    /// Counts one.
    pub fn count(&self, provider: &'static str, code: &str) {
        let plain =
            code.len() <= 32 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-:.".contains(&b));
        let label = if plain && self.is_named(provider, code) { code } else { "other" };
        self.counts.with_label_values(&[provider, label]).inc();
    }

    fn is_named(&self, provider: &'static str, code: &str) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = (provider, code.to_owned());
        named.contains(&entry) || named.len() < UNKNOWN_CODES_MAX && named.insert(entry)
    }
}

/// Seconds; a webhook takes 0.2 ms to 4 s.
const FAST: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0];
/// Seconds; a receipt takes 1 s to a day.
const SLOW: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0];

struct Maker(Registry);

impl Maker {
    fn register<C: prometheus::core::Collector + Clone + 'static>(
        &self,
        metric: C,
    ) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str) -> Result<Counter, prometheus::Error> {
        self.register(Counter::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn floats(&self, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec, prometheus::Error> {
        self.register(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    fn float(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.register(Gauge::new(name, help)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_get_labels_until_there_are_too_many() {
        let metrics = Metrics::new().unwrap();
        for code in 0..UNKNOWN_CODES_MAX + 5 {
            metrics.unknown_codes.count("cm", &code.to_string());
        }
        metrics.unknown_codes.count("cm", "7");
        metrics.unknown_codes.count("cm", "+15005550001 said \"hello\"");
        let text = metrics.render();
        assert!(text.contains("unknown_codes_total{code=\"7\",provider=\"cm\"} 2"), "{text}");
        assert!(text.contains("unknown_codes_total{code=\"other\",provider=\"cm\"} 6"), "{text}");
        assert!(!text.contains("hello"));
    }

    #[test]
    fn every_metric_has_its_own_name_and_the_prefix() {
        let metrics = Metrics::new().unwrap();
        metrics.webhooks.with_label_values(&["twilio", "a", "accepted"]).inc();
        let text = metrics.render();
        assert!(text.contains("sounder_webhooks_total{"), "{text}");
        assert!(text.contains("sounder_build_info{version="), "{text}");
    }
}
