//! The steps a number took and what was true → how well it was told. Pure.

use serde::Serialize;

use crate::config::Health;
use crate::health::{Band, Transition};

/// Minutes after a fall, beside the settling, for which the hour still holds it.
const AFTERMATH: f64 = 60.0;

/// How often, how soon and how rightly people were called.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Score {
    /// Pings.
    pub pings: u64,
    /// Pings while nothing was wrong, or no longer.
    pub false_pings: u64,
    /// Falls that nobody was called for.
    pub missed: u64,
    /// Number-days scored.
    #[serde(rename = "number_days")]
    pub days: f64,
    /// Minutes from each fall to its first ping.
    #[serde(skip)]
    pub first_ping: Vec<f64>,
    /// Minutes from each fall to the band it belongs in.
    #[serde(skip)]
    pub right_band: Vec<f64>,
    /// Minutes from each fall's end to the incident's.
    #[serde(skip)]
    pub recovery: Vec<f64>,
}

impl Score {
    /// Pings a number and day.
    pub fn pings_per_number_day(&self) -> f64 {
        if self.days > 0.0 { self.pings as f64 / self.days } else { 0.0 }
    }

    /// Adds what one number's days showed.
    pub(super) fn add(&mut self, seen: Watcher) {
        self.pings += seen.pings;
        self.false_pings += seen.false_pings;
        self.missed += u64::from(seen.fall.is_some() && seen.first_ping.is_none());
        self.first_ping.extend(seen.first_ping);
        self.right_band.extend(seen.right_band);
        self.recovery.extend(seen.recovery);
    }
}

/// The middle one; none of none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// Watches one number.
pub(super) struct Watcher {
    scored: u32,
    fall: Option<(f64, f64)>,
    aftermath: f64,
    right: Band,
    pings: u64,
    false_pings: u64,
    first_ping: Option<f64>,
    right_band: Option<f64>,
    recovery: Option<f64>,
}

impl Watcher {
    /// From a minute on; a fall has a begin, an end and a rate.
    pub(super) fn new(scored: u32, fall: Option<(f64, f64, f64)>, settings: &Health) -> Self {
        Self {
            scored,
            aftermath: settings.settle.as_secs_f64() / 60.0 + AFTERMATH,
            right: Band::of(fall.map(|(_, _, rate)| rate), &settings.thresholds),
            fall: fall.map(|(begins, ends, _)| (begins, ends)),
            pings: 0,
            false_pings: 0,
            first_ping: None,
            right_band: None,
            recovery: None,
        }
    }

    /// Sees where the number stands after an evaluation, and the step it took.
    pub(super) fn see(&mut self, minute: u32, band: Band, step: Option<&Transition>) {
        if minute < self.scored {
            return;
        }
        let now = f64::from(minute) + 0.5;
        let pings = step.is_some_and(|step| step.pings);
        self.pings += u64::from(pings);
        let Some((begins, ends)) = self.fall else {
            self.false_pings += u64::from(pings);
            return;
        };
        let during = (begins..ends + self.aftermath).contains(&now);
        self.false_pings += u64::from(pings && !during);
        if pings && during {
            self.first_ping.get_or_insert(now - begins);
        }
        if during && band >= self.right {
            self.right_band.get_or_insert(now - begins);
        }
        if now > ends && band <= Band::Healthy && self.first_ping.is_some() {
            self.recovery.get_or_insert(now - ends);
        }
    }
}
