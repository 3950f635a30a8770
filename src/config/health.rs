//! `[health]`: what healthy means, and what confirms that a number is not.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::mistake::Wrong;
use super::section::{Field, Section};
use super::value::{choice, duration, percent, span, whole};
use crate::event::{ListId, Provider};

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
    /// Where the bands lie for a provider's messages, unless their list says otherwise.
    pub thresholds_by_provider: BTreeMap<Provider, Thresholds>,
    /// Where the bands lie for a list's messages.
    pub thresholds_by_list: BTreeMap<ListId, Thresholds>,
    /// Providers whose matured messages without a final receipt count as failed.
    pub unreported_fails: BTreeSet<Provider>,
    /// How long after people were called they are called again.
    pub reminders: Reminders,
    /// Numbers of one provider that open within this are looked at together.
    pub group_within: Duration,
    /// How long such a group waits before one incident is opened for all.
    pub group_wait: Duration,
    /// How far below its provider's rate a number must be to be worse than an outage explains, in
    /// shares of one.
    pub outage_margin: f64,
    /// How long no receipt of any kind must have come in where some should.
    pub silence_after: Duration,
    /// Carrier-filtered ÷ judged, over an hour.
    pub carrier_filtered: Limits,
    /// Invalid and unreachable ÷ judged of a list, over a day.
    pub bad_contacts: Limits,
    /// Points above the route's usual share without a final receipt, over an hour.
    pub unreported: Limits,
    /// Opted out ÷ delivered, over a day.
    pub opt_outs: Limits,
    /// The same over seven and thirty days.
    pub opt_outs_long: Limits,
    /// Delivered too late ÷ delivered, over an hour.
    pub slow: Limits,
    /// What is too late for a marketing list.
    pub slow_marketing: Duration,
    /// What is too late for any other.
    pub slow_transactional: Duration,
}

/// Shares of one from which a signal is watch, and critical.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "explained together above")]
pub struct Limits {
    pub watch: f64,
    pub critical: f64,
}

impl Limits {
    /// Both, the milder first.
    pub const fn shares(self) -> [f64; 2] {
        [self.watch, self.critical]
    }
}

/// How long after people were called they are called again, by band; doubled each time. Nought is
/// never, and watch is never reminded of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reminders {
    /// While degraded.
    pub degraded: Duration,
    /// While critical.
    pub critical: Duration,
}

impl Health {
    /// How long this provider's cohorts wait before they are judged.
    pub fn settle_of(&self, provider: Provider) -> Duration {
        self.settle_by_provider.get(&provider).copied().unwrap_or(self.settle)
    }

    /// Where the bands lie for what is on this list, or else on this provider.
    pub fn thresholds_of(&self, list: Option<&ListId>, provider: Option<Provider>) -> Thresholds {
        let of_list = list.and_then(|list| self.thresholds_by_list.get(list));
        let of_provider = || provider.and_then(|provider| self.thresholds_by_provider.get(&provider));
        of_list.or_else(of_provider).copied().unwrap_or(self.thresholds)
    }

    /// The same with other thresholds; nothing is copied where they are no others.
    pub fn with(&self, thresholds: Thresholds) -> Cow<'_, Self> {
        match thresholds == self.thresholds {
            true => Cow::Borrowed(self),
            false => Cow::Owned(Self { thresholds, ..self.clone() }),
        }
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
            thresholds_by_provider: BTreeMap::new(),
            thresholds_by_list: BTreeMap::new(),
            unreported_fails: BTreeSet::new(),
            reminders: Reminders { degraded: 720 * MINUTE, critical: 240 * MINUTE },
            group_within: 10 * MINUTE,
            group_wait: Duration::from_secs(45),
            outage_margin: 0.05,
            silence_after: 15 * MINUTE,
            carrier_filtered: Limits { watch: 0.05, critical: 0.10 },
            bad_contacts: Limits { watch: 0.05, critical: 0.10 },
            unreported: Limits { watch: 0.05, critical: 0.20 },
            opt_outs: Limits { watch: 0.02, critical: 0.05 },
            opt_outs_long: Limits { watch: 0.01, critical: 0.03 },
            slow: Limits { watch: 0.10, critical: 0.15 },
            slow_marketing: 120 * MINUTE,
            slow_transactional: 5 * MINUTE,
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

impl Thresholds {
    /// One band more lenient: watch begins where degraded did, and critical never.
    #[must_use]
    pub const fn one_milder(self) -> Self {
        Self { healthy: self.degraded, degraded: self.critical, critical: 0.0 }
    }
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
    let thresholds = read_thresholds(section.section("thresholds"), default.thresholds);
    let rules = Health {
        settle: section.or("settle", settle, default.settle),
        thresholds,
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
        reminders: read_reminders(section.section("reminders")),
        group_within: section.or("group_within", span, default.group_within),
        group_wait: section.or("group_wait", span, default.group_wait),
        outage_margin: section.or("outage_margin", percent(0.0..=50.0), default.outage_margin),
        silence_after: section.or("silence_after", duration, default.silence_after),
        slow_marketing: section.or("slow_marketing", duration, default.slow_marketing),
        slow_transactional: section.or("slow_transactional", duration, default.slow_transactional),
        ..default
    };
    if rules.evaluate_every > SETTLE_MAX {
        section.wrong("evaluate_every", "is too long to notice anything", "write at most \"1h\"");
    }
    let mut health = read_limits(section.section("limits"), rules);
    read_providers(section.section("provider"), &mut health);
    health
}

/// The limits of the signals beside the rate.
fn read_limits(mut section: Section<'_>, rules: Health) -> Health {
    Health {
        carrier_filtered: limits(section.section("carrier_filtered"), rules.carrier_filtered),
        bad_contacts: limits(section.section("bad_contacts"), rules.bad_contacts),
        unreported: limits(section.section("unreported"), rules.unreported),
        opt_outs: limits(section.section("opt_outs"), rules.opt_outs),
        opt_outs_long: limits(section.section("opt_outs_long"), rules.opt_outs_long),
        slow: limits(section.section("slow"), rules.slow),
        ..rules
    }
}

fn limits(mut section: Section<'_>, default: Limits) -> Limits {
    let limits = Limits {
        watch: section.or("watch", percent(0.0..=100.0), default.watch),
        critical: section.or("critical", percent(0.0..=100.0), default.critical),
    };
    if limits.watch > limits.critical || limits.watch <= 0.0 {
        section.wrong("watch", "is above critical, or nought", "keep critical ≥ watch > 0");
    }
    limits
}

fn read_reminders(mut section: Section<'_>) -> Reminders {
    let default = Health::default().reminders;
    Reminders {
        degraded: section.or("degraded", span, default.degraded),
        critical: section.or("critical", span, default.critical),
    }
}

fn read_providers(mut section: Section<'_>, health: &mut Health) {
    let fates = [("pending", false), ("failed", true)];
    for provider in Provider::ALL {
        let Some(mut own) = section.optional(provider.name()) else { continue };
        health.settle_by_provider.extend(own.get("settle", settle).map(|settle| (provider, settle)));
        if own.or("unreported", choice(&fates), false) {
            health.unreported_fails.insert(provider);
        }
        if let Some(thresholds) = own.optional("thresholds") {
            let thresholds = read_thresholds(thresholds, health.thresholds);
            health.thresholds_by_provider.insert(provider, thresholds);
        }
    }
}

/// Where the bands lie; what is not written is as in `default`.
pub(super) fn read_thresholds(mut section: Section<'_>, default: Thresholds) -> Thresholds {
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
