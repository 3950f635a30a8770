//! What came of a run: counts, latencies, and what was acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Outcome;
use crate::simulate::fate::Fact;
use crate::simulate::traffic::{Expect, Webhook};

/// The longest latency told apart, in microseconds; longer ones count as this.
const LATENCY_MAX: u64 = 120_000_000;

/// What came of a run, or of one connection's part of it.
#[derive(Debug)]
pub struct Report {
    /// How long it took.
    pub elapsed: Duration,
    /// Webhooks sent, forged ones among them.
    pub sent: u64,
    /// Webhooks answered 2xx that had to be.
    pub acknowledged: u64,
    /// Webhooks never answered for good.
    pub unacknowledged: u64,
    /// Webhooks that had to be believed and were refused.
    pub refused: u64,
    /// Forged webhooks sent.
    pub forged: u64,
    /// Forged webhooks answered other than 401: there must be none.
    pub forged_not_refused: u64,
    /// Answers by status, those of every attempt.
    pub statuses: BTreeMap<u16, u64>,
    /// Attempts without an answer.
    pub broken: u64,
    /// Further attempts.
    pub retries: u64,
    /// Connections' tasks that ended badly: a fault of the simulator.
    pub workers_lost: u64,
    /// What must be counted.
    pub facts: Vec<Fact>,
    /// What may have been counted.
    pub uncertain: Vec<Fact>,
    latency: Option<Histogram<u64>>,
}

/// Latencies from when a webhook was due to its final answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "percentiles in milliseconds")]
pub struct Latency {
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            elapsed: Duration::ZERO,
            sent: 0,
            acknowledged: 0,
            unacknowledged: 0,
            refused: 0,
            forged: 0,
            forged_not_refused: 0,
            statuses: BTreeMap::new(),
            broken: 0,
            retries: 0,
            workers_lost: 0,
            facts: Vec::new(),
            uncertain: Vec::new(),
            // Two digits: a hundredth is finer than a repetition of the run, and 64 of these are small.
            latency: Histogram::new_with_bounds(1, LATENCY_MAX, 2).ok(),
        }
    }
}

impl Report {
    /// Webhooks answered for good, a second.
    pub fn per_second(&self) -> f64 {
        let answered = u32::try_from(self.sent - self.unacknowledged.min(self.sent)).unwrap_or(u32::MAX);
        f64::from(answered) / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// The latencies.
    pub fn latency(&self) -> Latency {
        let Some(histogram) = &self.latency else { return Latency::default() };
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        Latency {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: millis(histogram.max()),
        }
    }

    /// Books an answer to one attempt.
    pub(super) fn answered(&mut self, status: u16) {
        *self.statuses.entry(status).or_default() += 1;
    }

    /// Books how one webhook ended, `latency` after it was due.
    pub(super) fn book(&mut self, webhook: &Webhook, outcome: Outcome, latency: Duration) {
        self.sent += 1;
        if let Some(histogram) = &mut self.latency {
            let micros = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX);
            histogram.saturating_record(micros.clamp(1, LATENCY_MAX));
        }
        match webhook.expect {
            Expect::Acceptance => self.book_genuine(&webhook.facts, outcome),
            Expect::Refusal => self.book_forged(outcome),
        }
    }

    fn book_genuine(&mut self, facts: &[Fact], outcome: Outcome) {
        match outcome {
            Outcome::Acknowledged(_) => {
                self.acknowledged += 1;
                self.facts.extend_from_slice(facts);
            }
            Outcome::Refused(_) => self.refused += 1,
            Outcome::Uncertain(status) => {
                match status {
                    Some(_) => self.refused += 1,
                    None => self.unacknowledged += 1,
                }
                self.uncertain.extend_from_slice(facts);
            }
        }
    }

    fn book_forged(&mut self, outcome: Outcome) {
        self.forged += 1;
        match outcome {
            Outcome::Refused(401) => {}
            // Not asked again: that it was not believed cannot be said of it.
            Outcome::Uncertain(_) => self.unacknowledged += 1,
            Outcome::Acknowledged(_) | Outcome::Refused(_) => self.forged_not_refused += 1,
        }
    }

    /// Adds another connection's part.
    pub(super) fn add(&mut self, part: Self) {
        self.sent += part.sent;
        self.acknowledged += part.acknowledged;
        self.unacknowledged += part.unacknowledged;
        self.refused += part.refused;
        self.forged += part.forged;
        self.forged_not_refused += part.forged_not_refused;
        self.broken += part.broken;
        self.retries += part.retries;
        self.workers_lost += part.workers_lost;
        self.facts.extend(part.facts);
        self.uncertain.extend(part.uncertain);
        for (status, count) in part.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        if let (Some(all), Some(part)) = (&mut self.latency, &part.latency)
            && all.add(part).is_err()
        {
            self.workers_lost += 1;
        }
    }
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}
