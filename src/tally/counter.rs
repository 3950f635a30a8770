//! What a message counts as: where it stands, and what else is known of it. Pure.
//!
//! A message counts as exactly one of the states; beside that it may count as registered, as
//! answered, as seen before its outcome, and in one step of the delay of its delivery.

use crate::event::FailureClass;

/// The steps in which delays of delivery are counted, in seconds: a delay counts in the first that
/// it does not exceed, and after the last in one more. What is called slow is one of these.
pub const DELAY_STEPS: [u32; 9] = [10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200];

/// What a message counts as: an index into [`Counters`](super::Counters).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter(u8);

impl Counter {
    /// How many there are.
    pub const COUNT: usize = 30;
    /// How many of them are states: a message counts as exactly one of the first so many.
    pub const STATES: usize = 17;
    /// Registered or reported in a word nobody knows.
    pub const UNKNOWN: Self = Self(0);
    /// The provider has it.
    pub const ACCEPTED: Self = Self(1);
    /// The operator has it.
    pub const SENT: Self = Self(2);
    /// The handset has it.
    pub const DELIVERED: Self = Self(3);
    /// Withdrawn.
    pub const CANCELED: Self = Self(4);
    /// Refused because the recipient had opted out.
    pub const BLOCKED: Self = Self(5);
    /// Delivered, and known before that: by a registered send, or by a receipt of another state.
    pub const SEEN: Self = Self(17);
    /// Its send was registered.
    pub const REGISTERED: Self = Self(18);
    /// Its send was registered, and there is a receipt.
    pub const ANSWERED: Self = Self(19);
    const DELAYS: u8 = 20;

    /// Failed, with this class.
    pub const fn failed(class: FailureClass) -> Self {
        Self(6 + class as u8)
    }

    /// Delivered, so many seconds after it was sent.
    pub const fn delay(seconds: u32) -> Self {
        let mut step = 0;
        while step < DELAY_STEPS.len() && seconds > DELAY_STEPS[step] {
            step += 1;
        }
        Self::delay_step(step)
    }

    /// Delivered within this one of [`DELAY_STEPS`] but not the one before; or after the last.
    #[expect(clippy::cast_possible_truncation, reason = "there are ten steps")]
    pub const fn delay_step(step: usize) -> Self {
        let last = DELAY_STEPS.len();
        Self(Self::DELAYS + if step < last { step } else { last } as u8)
    }

    /// True of a state in which a message is judged: delivered, or failed for whatever reason.
    pub const fn is_judged(self) -> bool {
        self.0 == Self::DELIVERED.0 || self.0 > Self::BLOCKED.0 && (self.0 as usize) < Self::STATES
    }

    /// Its index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The counter with this index.
    pub fn from_index(index: u8) -> Option<Self> {
        (usize::from(index) < Self::COUNT).then_some(Self(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_counts_in_the_first_step_it_does_not_exceed() {
        for (seconds, step) in [(0, 0), (10, 0), (11, 1), (300, 4), (301, 5), (7_200, 8), (7_201, 9)] {
            assert_eq!(Counter::delay(seconds), Counter::delay_step(step), "{seconds} s");
        }
        assert_eq!(Counter::delay(u32::MAX).index(), Counter::COUNT - 1);
    }

    #[test]
    fn delivered_and_failed_are_judged_and_nothing_else_is() {
        let all = (0..30).filter_map(Counter::from_index);
        let judged: Vec<_> = all.filter(|counter| counter.is_judged()).map(Counter::index).collect();
        assert_eq!(judged, [&[3][..], &(6..17).collect::<Vec<_>>()].concat());
    }
}
