//! Counters → how long delivery took: the share that was slow, and where most were done. Pure.
//!
//! Delays are counted in [steps](DELAY_STEPS), so a limit means the step it reaches into.

use std::time::Duration;

use super::rate::share;
use crate::tally::{Counter, Counters, DELAY_STEPS};

/// Delivered messages of which both ends are known, by how long it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays([u64; DELAY_STEPS.len() + 1]);

impl Delays {
    /// Reads a window's counters.
    pub fn of(counters: &Counters) -> Self {
        Self(std::array::from_fn(|step| counters.get(Counter::delay_step(step))))
    }

    /// Messages whose delay is known.
    pub fn known(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Messages that took longer than a limit.
    pub fn over(&self, limit: Duration) -> u64 {
        let within = DELAY_STEPS.iter().take_while(|step| u64::from(**step) <= limit.as_secs()).count();
        self.0[within..].iter().sum()
    }

    /// The share that took longer than a limit; none where no delay is known.
    pub fn share_over(&self, limit: Duration) -> Option<f64> {
        (self.known() > 0).then(|| share(self.over(limit), self.known()))
    }

    /// The time within which this share was delivered, rounded up to a step; none where that is not
    /// known, or is longer than the last step.
    pub fn within(&self, share: f64) -> Option<Duration> {
        let wanted = share * self.known() as f64;
        let mut done = 0;
        let step = DELAY_STEPS.iter().zip(self.0).find(|(_, count)| {
            done += count;
            done > 0 && done as f64 >= wanted
        });
        step.map(|(step, _)| Duration::from_secs(u64::from(*step)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(seconds: &[u32]) -> Delays {
        let mut counters = Counters::default();
        seconds.iter().for_each(|second| counters.add(Counter::delay(*second), 1));
        Delays::of(&counters)
    }

    #[test]
    fn the_slow_share_is_of_the_messages_whose_delay_is_known() {
        let delays = delays(&[1, 10, 11, 299, 300, 301, 7_200, 9_000]);
        for (limit, over) in [(10, 6), (300, 3), (7_200, 1)] {
            assert_eq!(delays.over(Duration::from_secs(limit)), over, "{limit} s");
        }
        assert_eq!(delays.share_over(Duration::from_secs(300)), Some(0.375));
        assert_eq!(self::delays(&[]).share_over(Duration::ZERO), None);
    }

    #[test]
    fn most_are_done_within_a_step() {
        let within = |delays: &Delays, share| delays.within(share).map(|limit| limit.as_secs());
        let delays = delays(&[5, 5, 5, 5, 5, 5, 5, 5, 5, 100]);
        assert_eq!((within(&delays, 0.9), within(&delays, 0.95)), (Some(10), Some(120)));
        assert_eq!(within(&self::delays(&[9_000]), 0.95), None);
        assert_eq!(within(&self::delays(&[]), 0.95), None);
    }
}
