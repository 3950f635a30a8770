//! Where a number stands in the alert policy, and the steps between. Pure; kept as JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::band::Band;
use super::rate::{Counts, SHOWN_Z};
use super::sums::Window;
use crate::clock::Timestamp;

/// Where a number stands in the alert policy: everything an evaluation must remember.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// The band of the point rate, which alerts nobody by itself.
    pub shown: Band,
    /// Since when.
    pub shown_since: Option<Timestamp>,
    /// The band that is confirmed; unknown and healthy are both “no incident”.
    pub band: Band,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Evaluations in a row with evidence for watch, degraded and critical.
    pub streaks: [u32; 3],
    /// Since when the plain rate has been below each of those thresholds.
    pub below_since: [Option<Timestamp>; 3],
    /// Since when the next better band has held.
    pub recovering_since: Option<Timestamp>,
    /// True while there is too little data to change anything.
    pub stale: bool,
    /// The open incident.
    pub incident: Option<String>,
    /// The worst band of the open incident.
    pub worst: Band,
    /// The incident before, which a relapse re-opens.
    pub resolved: Option<Resolved>,
}

/// An incident that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// Its id.
    pub incident: String,
    /// When it ended.
    pub at: Timestamp,
    /// Its worst band.
    pub worst: Band,
}

impl Standing {
    /// Forgets what was under way: after a hold, time that nobody watched proves nothing.
    pub fn resume(&mut self) {
        self.streaks = [0; 3];
        self.below_since = [None; 3];
        self.recovering_since = None;
    }

    /// Moves to a worse band.
    pub(super) fn fall(&mut self, band: Band, evidence: Evidence, relapse_within: Duration) -> Transition {
        let (from, now) = (self.band, evidence.at);
        (self.band, self.since, self.recovering_since) = (band, Some(now), None);
        let open = from > Band::Healthy;
        let relapse = self.resolved.take_if(|resolved| !open && now.since(resolved.at) <= relapse_within);
        let change = match relapse {
            _ if open => Change::Worsened,
            Some(resolved) => {
                (self.incident, self.worst) = (Some(resolved.incident), resolved.worst);
                Change::Reopened
            }
            None => {
                self.worst = Band::Unknown;
                Change::Opened
            }
        };
        let pings = band > self.worst;
        self.worst = self.worst.max(band);
        Transition { change, from, to: band, pings, evidence }
    }

    /// Moves one band up.
    pub(super) fn rise(&mut self, evidence: Evidence) -> Transition {
        let (from, to, now) = (self.band, self.band.one_better(), evidence.at);
        (self.band, self.since, self.recovering_since) = (to, Some(now), None);
        if to > Band::Healthy {
            return Transition { change: Change::Improved, from, to, pings: false, evidence };
        }
        let worst = std::mem::take(&mut self.worst);
        let incident = self.incident.take().unwrap_or_default();
        self.resolved = Some(Resolved { incident, at: now, worst });
        Transition { change: Change::Resolved, from, to, pings: false, evidence }
    }

    /// Forgets evidence for anything worse.
    pub(super) fn resume_escalation(&mut self) {
        self.streaks = [0; 3];
        self.below_since = [None; 3];
    }
}

/// A step of a number in the alert policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Which.
    pub change: Change,
    /// The band it was in.
    pub from: Band,
    /// The band it is in.
    pub to: Band,
    /// Whether people are called.
    pub pings: bool,
    /// What proves it.
    pub evidence: Evidence,
}

/// The kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// A healthy number is no longer.
    Opened,
    /// It got worse.
    Worsened,
    /// It got better, but is not healthy.
    Improved,
    /// It is healthy again.
    Resolved,
    /// It is bad again soon after, which continues the same incident.
    Reopened,
    /// Another signal says so too, or one no longer does; it is as bad as it was.
    Joined,
    /// Its provider's incident explains it, and takes it over.
    Absorbed,
    /// It is still as bad, and people are called again.
    Reminded,
}

impl Change {
    /// The name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Worsened => "worsened",
            Self::Improved => "improved",
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Joined => "joined",
            Self::Absorbed => "absorbed",
            Self::Reminded => "reminded",
        }
    }
}

/// Which rule said so; `health.md` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// (a) The odds against so many failures were long on consecutive evaluations.
    Odds,
    /// With `gate = "wilson"`: the interval's upper end lay below the threshold as often.
    Interval,
    /// (b) The plain rate stayed below the threshold for `persist_after`.
    Persisted,
    /// (c) The plain rate lay below the threshold with `min_volume` messages.
    Volume,
    /// (d) More failed within a quarter of an hour than the threshold explains, whatever is still
    /// to be heard.
    Early,
    /// (d) The same within five minutes.
    Sudden,
    /// The better band held for `recover_after`.
    Recovered,
    /// Several of a provider's numbers fell together.
    Grouped,
    /// A signal beside the rate.
    Signal,
}

impl Rule {
    /// The rule in words that fit behind a rate.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Interval => "the whole interval lay below the threshold on consecutive evaluations",
            Self::Persisted => "the rate stayed below the threshold",
            Self::Volume => "the rate was below the threshold on consecutive evaluations",
            Self::Odds => "more failed than the threshold explains, on consecutive evaluations",
            Self::Early => "more failed within 15 min than the threshold explains",
            Self::Sudden => "more failed within 5 min than the threshold explains",
            Self::Recovered => "the better band held",
            Self::Grouped => "several of the provider's numbers fell together",
            Self::Signal => "another signal than the rate",
        }
    }
}

/// What proves a step: enough to explain it by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// When it was found.
    pub at: Timestamp,
    /// The rule.
    pub rule: Rule,
    /// The window it looked at.
    pub window: Window,
    /// The threshold in question.
    pub threshold: f64,
    /// The z of the interval the rule looked at.
    pub z: f64,
    /// Delivered ÷ (delivered + failed).
    pub rate: f64,
    /// The interval that is shown, 95 %.
    pub interval: [f64; 2],
    /// What was counted in the window.
    pub counts: Counts,
}

impl Evidence {
    /// Evidence from a window's counts.
    pub fn new(rule: Rule, window: Window, counts: Counts, at: Timestamp) -> Self {
        Self {
            at,
            rule,
            window,
            threshold: 0.0,
            z: SHOWN_Z,
            rate: counts.rate().unwrap_or_default(),
            interval: counts.interval(SHOWN_Z).unwrap_or([0.0, 1.0]),
            counts,
        }
    }
}
