//! Counters → the delivery rate with its interval. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::FailureClass;
use crate::tally::{Counter, Counters};

/// The z of intervals that are shown: 95 %, two-sided.
pub const SHOWN_Z: f64 = 1.96;

/// The messages of a window, in the rate's own terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Arrived.
    pub delivered: u64,
    /// Did not, for a reason that says something of the number; class `account` is not among them.
    pub failed: u64,
    /// Refused because the recipient had opted out; outside the rate.
    pub blocked: u64,
    /// Withdrawn; outside the rate.
    pub canceled: u64,
    /// Failed because of the account; outside the rate, an incident of the connection.
    pub account: u64,
    /// Everything in the window.
    pub matured: u64,
    /// Of those, the ones without a terminal state.
    pub unreported: u64,
    /// Failures by class, `account` not among them.
    pub failures: BTreeMap<FailureClass, u64>,
}

impl Counts {
    /// Sorts a window's counters into the terms of the rate.
    pub fn of(counters: &Counters) -> Self {
        let failures: BTreeMap<_, _> = FailureClass::ALL
            .into_iter()
            .filter(|class| *class != FailureClass::Account)
            .map(|class| (class, counters.failed(class)))
            .filter(|(_, count)| *count > 0)
            .collect();
        Self {
            delivered: counters.get(Counter::DELIVERED),
            failed: failures.values().sum(),
            blocked: counters.get(Counter::BLOCKED),
            canceled: counters.get(Counter::CANCELED),
            account: counters.failed(FailureClass::Account),
            matured: counters.total(),
            unreported: [Counter::UNKNOWN, Counter::ACCEPTED, Counter::SENT]
                .into_iter()
                .map(|counter| counters.get(counter))
                .sum(),
            failures,
        }
    }

    /// Messages the rate is made of.
    pub const fn judged(&self) -> u64 {
        self.delivered + self.failed
    }

    /// Delivered ÷ (delivered + failed); none when there are neither.
    pub fn rate(&self) -> Option<f64> {
        (self.judged() > 0).then(|| share(self.delivered, self.judged()))
    }

    /// Where the true rate lies, with the confidence of `z`.
    pub fn interval(&self, z: f64) -> Option<[f64; 2]> {
        (self.judged() > 0).then(|| wilson(self.delivered, self.judged(), z))
    }
}

/// The two sides of a rate, without what the failures were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Arrived.
    pub delivered: u64,
    /// Did not, for a reason that says something of the number.
    pub failed: u64,
    /// Everything inside the rate, whether it has ended or not.
    pub seen: u64,
}

impl Tally {
    /// Sorts counters into the two sides, as [`Counts::of`] does.
    pub fn of(counters: &Counters) -> Self {
        let outside = counters.get(Counter::BLOCKED)
            + counters.get(Counter::CANCELED)
            + counters.failed(FailureClass::Account);
        let open = [Counter::UNKNOWN, Counter::ACCEPTED, Counter::SENT].map(|counter| counters.get(counter));
        let (delivered, open) = (counters.get(Counter::DELIVERED), open.iter().sum::<u64>());
        let seen = counters.total().saturating_sub(outside);
        Self { delivered, failed: seen.saturating_sub(delivered + open), seen }
    }

    /// Messages the rate is made of.
    pub const fn judged(self) -> u64 {
        self.delivered + self.failed
    }

    /// Delivered ÷ (delivered + failed); none when there are neither.
    pub fn rate(self) -> Option<f64> {
        (self.judged() > 0).then(|| share(self.delivered, self.judged()))
    }
}

/// `part` of `whole`, as a share of one; 0 of nothing.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Wilson's score interval of `hits` in `trials` (Wilson 1927): unlike the textbook interval it
/// stays inside 0–1 and is honest at the small counts and high rates that occur here.
pub fn wilson(hits: u64, trials: u64, z: f64) -> [f64; 2] {
    if trials == 0 {
        return [0.0, 1.0];
    }
    let n = trials as f64;
    let p = hits as f64 / n;
    let scale = 1.0 + z * z / n;
    let centre = (p + z * z / (2.0 * n)) / scale;
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    [(centre - half).max(0.0), (centre + half).min(1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_published_one() {
        let [low, high] = wilson(870, 996, SHOWN_Z);
        assert!((low - 0.8514).abs() < 0.0005 && (high - 0.8927).abs() < 0.0005, "{low} {high}");
        // Newcombe 1998, table I: 81 of 263, and 0 of 20.
        let [low, high] = wilson(81, 263, 1.959_964);
        assert!((low - 0.2553).abs() < 0.0001 && (high - 0.3662).abs() < 0.0001, "{low} {high}");
        let [low, high] = wilson(0, 20, 1.959_964);
        assert!(low == 0.0 && (high - 0.1611).abs() < 0.0001, "{low} {high}");
    }

    #[test]
    fn what_stands_outside_the_rate_is_counted_but_not_judged() {
        let mut counters = Counters::default();
        for (counter, count) in [
            (Counter::DELIVERED, 90),
            (Counter::failed(FailureClass::CarrierFiltered), 8),
            (Counter::failed(FailureClass::Unreachable), 2),
            (Counter::failed(FailureClass::Account), 50),
            (Counter::BLOCKED, 3),
            (Counter::CANCELED, 4),
            (Counter::SENT, 5),
            (Counter::UNKNOWN, 1),
        ] {
            counters.add(counter, count);
        }
        let counts = Counts::of(&counters);
        assert_eq!(counts.rate(), Some(0.9));
        assert_eq!(Tally::of(&counters), Tally { delivered: 90, failed: 10, seen: 106 });
        assert_eq!((counts.judged(), counts.matured, counts.unreported), (100, 163, 6));
        assert_eq!((counts.blocked, counts.canceled, counts.account), (3, 4, 50));
        assert!(!counts.failures.contains_key(&FailureClass::Account));
    }

    #[test]
    fn nothing_has_no_rate() {
        assert_eq!((Counts::default().rate(), Counts::default().interval(SHOWN_Z)), (None, None));
    }
}
