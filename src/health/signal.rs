//! A signal beside the rate: what its rule says at one evaluation, and what has been confirmed of it
//! over several. Pure; kept as JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::band::Band;
use super::scope::Kind;
use crate::clock::Timestamp;

/// What a rule says at one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Which rule.
    pub kind: Kind,
    /// How bad it is; unknown when too little is known to change anything.
    pub band: Band,
    /// The counts, in one sentence.
    pub sentence: String,
}

/// What has been confirmed of a signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flag {
    /// How bad it is.
    pub band: Band,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Evaluations in a row on which it was watch, or critical.
    pub streaks: [u32; 2],
    /// Since when it has been better than that.
    pub better_since: Option<Timestamp>,
    /// What its rule said last.
    pub sentence: String,
}

/// What confirms a signal, and what ends it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Evaluations in a row that confirm it.
    pub(super) confirm: u32,
    /// How long it must be better.
    pub(super) recover_after: Duration,
}

impl Flag {
    /// Takes what the rule says now.
    pub(super) fn see(&mut self, signal: &Signal, patience: Patience, now: Timestamp) {
        if signal.band == Band::Unknown {
            self.better_since = None;
            return;
        }
        let most = patience.confirm.max(1);
        for (streak, band) in self.streaks.iter_mut().zip([Band::Watch, Band::Critical]) {
            *streak = if signal.band >= band { (*streak + 1).min(most) } else { 0 };
        }
        let confirmed = match self.streaks {
            [_, critical] if critical >= most => Band::Critical,
            [watch, _] if watch >= most => Band::Watch,
            _ => Band::Healthy,
        };
        if signal.band > Band::Healthy {
            self.sentence.clone_from(&signal.sentence);
        }
        if confirmed > self.band {
            (self.band, self.since, self.better_since) = (confirmed, Some(now), None);
        } else if signal.band < self.band {
            let began = *self.better_since.get_or_insert(now);
            if now.since(began) >= patience.recover_after {
                (self.band, self.since, self.better_since) = (signal.band, Some(now), None);
            }
        } else {
            self.better_since = None;
        }
    }

    /// True while it says something bad.
    pub fn is_up(&self) -> bool {
        self.band > Band::Healthy
    }

    /// True when forgetting it changes nothing.
    pub(super) fn is_idle(&self) -> bool {
        !self.is_up() && self.streaks == [0; 2]
    }

    /// Forgets what was under way: time that nobody watched proves nothing.
    pub(super) fn resume(&mut self) {
        (self.streaks, self.better_since) = ([0; 2], None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::story::NOW;

    /// What is confirmed after each of these evaluations, a minute apart.
    fn life(bands: &[Band]) -> Vec<Band> {
        let patience = Patience { confirm: 3, recover_after: Duration::from_secs(120) };
        let mut flag = Flag::default();
        let see = |(minute, band): (u64, &Band)| {
            let signal = Signal { kind: Kind::CarrierFiltered, band: *band, sentence: String::new() };
            flag.see(&signal, patience, NOW.plus(Duration::from_secs(60 * minute)));
            flag.band
        };
        (0..).zip(bands).map(see).collect()
    }

    #[test]
    fn a_signal_is_confirmed_by_repetition_and_ends_by_lasting() {
        use Band::{Critical as C, Healthy as H, Unknown as U, Watch as W};
        assert_eq!(life(&[W, W, W]), [H, H, W]);
        assert_eq!(life(&[W, W, H, W, W]), [H; 5]);
        assert_eq!(life(&[C, C, W, C, C, C]), [H, H, W, W, W, C]);
        assert_eq!(life(&[C, C, C, H, H, H]), [H, H, C, C, C, H]);
        // What cannot be said neither confirms nor ends.
        assert_eq!(life(&[W, W, U, W, U, H, U, H, U, H]), [H, H, H, W, W, W, W, W, W, W]);
    }
}
