//! `[health]`: what healthy means, and what confirms that a number is not.

use std::collections::BTreeMap;
use std::time::Duration;

use super::mistake::Wrong;
use super::section::{Field, Section};
use super::value::{choice, duration, percent, span, whole};
use crate::event::Provider;

/// What health means: `[health]`. Durations are spans of the daemon's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// How long a cohort waits before it is judged, unless its provider says otherwise.
    pub settle: Duration,
    /// `settle` by provider.
    pub settle_by_provider: BTreeMap<Provider, Duration>,
    /// Where the bands lie.
    pub thresholds: Thresholds,
    /// What confirms a worse band.
    pub gate: Gate,
    /// Messages a window must hold before it is judged on, with `gate = "volume"`.
    pub min_volume: u64,
    /// Messages a window must hold to be the one that is judged on.
    pub elastic_min: u64,
    /// How often health is evaluated.
    pub evaluate_every: Duration,
    /// Consecutive evaluations that confirm a worse band.
    pub confirm_evaluations: u32,
    /// How many to one the odds against a window's failures must be to confirm a worse band.
    pub odds: f64,
    /// The same for the last minutes, before they mature; nought: never.
    pub early_odds: f64,
    /// How long a better band must last.
    pub recover_after: Duration,
    /// How far above a threshold the rate recovers at once, in shares of one (0.02).
    pub recover_margin: f64,
    /// How long the plain rate below a threshold confirms by itself.
    pub persist_after: Duration,
    /// A relapse within this re-opens the incident without a ping.
    pub relapse_within: Duration,
    /// Evaluation holds while the consumer lags by more than this.
    pub lag_max: Duration,
}

impl Health {
    /// How long this provider's cohorts wait before they are judged.
    pub fn settle_of(&self, provider: Provider) -> Duration {
        self.settle_by_provider.get(&provider).copied().unwrap_or(self.settle)
    }
}

impl Default for Health {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            settle: 10 * MINUTE,
            settle_by_provider: BTreeMap::new(),
            thresholds: Thresholds { healthy: 0.95, degraded: 0.90, critical: 0.80 },
            gate: Gate::Confidence,
            min_volume: 50,
            elastic_min: 20,
            evaluate_every: MINUTE,
            confirm_evaluations: 3,
            odds: 20.0,
            early_odds: 150.0,
            recover_after: 15 * MINUTE,
            recover_margin: 0.02,
            persist_after: 60 * MINUTE,
            relapse_within: 120 * MINUTE,
            lag_max: MINUTE,
        }
    }
}

/// Where the bands lie, as shares of one: healthy ≥ `healthy` > watch ≥ `degraded` > degraded ≥
/// `critical` > critical.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "explained together above")]
pub struct Thresholds {
    pub healthy: f64,
    pub degraded: f64,
    pub critical: f64,
}

/// What confirms a worse band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The odds against so many failures at the threshold are long.
    Confidence,
    /// The Wilson interval lies below the threshold.
    Wilson,
    /// The plain rate does, with `min_volume` messages.
    Volume,
}

/// The longest a cohort may wait: windows reach back from it.
const SETTLE_MAX: Duration = Duration::from_secs(3600);

pub(super) fn read(mut section: Section<'_>) -> Health {
    let default = Health::default();
    let gates = [("confidence", Gate::Confidence), ("wilson", Gate::Wilson), ("volume", Gate::Volume)];
    let health = Health {
        settle: section.or("settle", settle, default.settle),
        settle_by_provider: read_providers(section.section("provider")),
        thresholds: read_thresholds(section.section("thresholds")),
        gate: section.or("gate", choice(&gates), default.gate),
        min_volume: section.or("min_volume", whole(1..=1_000_000), default.min_volume),
        elastic_min: section.or("elastic_min", whole(1..=1_000_000), default.elastic_min),
        evaluate_every: section.or("evaluate_every", duration, default.evaluate_every),
        confirm_evaluations: section.or("confirm_evaluations", whole(1..=1000), default.confirm_evaluations),
        odds: section.or("odds", odds, default.odds),
        early_odds: section.or("early_odds", odds, default.early_odds),
        recover_after: section.or("recover_after", span, default.recover_after),
        recover_margin: section.or("recover_margin", percent(0.0..=20.0), default.recover_margin),
        persist_after: section.or("persist_after", duration, default.persist_after),
        relapse_within: section.or("relapse_within", span, default.relapse_within),
        lag_max: section.or("lag_max", duration, default.lag_max),
    };
    if health.evaluate_every > SETTLE_MAX {
        section.wrong("evaluate_every", "is too long to notice anything", "write at most \"1h\"");
    }
    section.later("reminders", "an open incident's card is edited, and pings once a band");
    health
}

fn read_providers(mut section: Section<'_>) -> BTreeMap<Provider, Duration> {
    let settles = Provider::ALL.map(|provider| {
        let settle = section.optional(provider.name()).and_then(|mut own| own.get("settle", settle));
        settle.map(|settle| (provider, settle))
    });
    settles.into_iter().flatten().collect()
}

fn read_thresholds(mut section: Section<'_>) -> Thresholds {
    let default = Health::default().thresholds;
    let thresholds = Thresholds {
        healthy: section.or("healthy", percent(0.0..=100.0), default.healthy),
        degraded: section.or("degraded", percent(0.0..=100.0), default.degraded),
        critical: section.or("critical", percent(0.0..=100.0), default.critical),
    };
    let order = "keep healthy > degraded > critical > 0";
    if thresholds.healthy <= thresholds.degraded {
        section.wrong("degraded", "is not below healthy", order);
    }
    if thresholds.degraded <= thresholds.critical {
        section.wrong("critical", "is not below degraded", order);
    }
    if thresholds.critical <= 0.0 {
        section.wrong("critical", "is not above nought", order);
    }
    thresholds
}

fn odds(field: &Field<'_>) -> Result<f64, Wrong> {
    whole::<u32>(0..=1_000_000_000)(field).map(f64::from)
}

fn settle(field: &Field<'_>) -> Result<Duration, Wrong> {
    duration(field).and_then(|settle| match settle <= SETTLE_MAX {
        true => Ok(settle),
        false => Err(Wrong::new("is longer than an hour", "write at most \"1h\"")),
    })
}
