//! Counters → how well receipts and registered sends cover each other. Pure.

use serde::Serialize;

use super::rate::share;
use crate::tally::{Counter, Counters};

/// Registered sends against receipts, in one span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Messages whose send was registered.
    pub sends: u64,
    /// Of those, the ones there is a receipt of.
    pub answered: u64,
    /// Of those, the ones there is none of.
    pub missing: u64,
    /// Messages there is a receipt of and no registered send.
    pub orphans: u64,
}

impl Coverage {
    /// Reads a window's counters.
    pub fn of(counters: &Counters) -> Self {
        let (sends, answered) = (counters.get(Counter::REGISTERED), counters.get(Counter::ANSWERED));
        Self {
            sends,
            answered,
            missing: sends.saturating_sub(answered),
            orphans: counters.total().saturating_sub(sends),
        }
    }

    /// Receipts ÷ sends; none where no send was registered.
    pub fn share(&self) -> Option<f64> {
        (self.sends > 0).then(|| share(self.answered, self.sends))
    }
}

/// The share of delivered messages that were known before their outcome; none where nothing was
/// delivered. The fast path is no lower bound where it is small.
pub fn seen_before(counters: &Counters) -> Option<f64> {
    let delivered = counters.get(Counter::DELIVERED);
    (delivered > 0).then(|| share(counters.get(Counter::SEEN), delivered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_and_what_was_heard_of_are_set_against_each_other() {
        let mut counters = Counters::default();
        for (counter, count) in [
            (Counter::UNKNOWN, 3),
            (Counter::DELIVERED, 10),
            (Counter::REGISTERED, 9),
            (Counter::ANSWERED, 6),
            (Counter::SEEN, 8),
        ] {
            counters.add(counter, count);
        }
        let coverage = Coverage::of(&counters);
        assert_eq!(coverage, Coverage { sends: 9, answered: 6, missing: 3, orphans: 4 });
        assert_eq!((coverage.share(), seen_before(&counters)), (Some(6.0 / 9.0), Some(0.8)));
        assert_eq!((Coverage::default().share(), seen_before(&Counters::default())), (None, None));
    }
}
