//! Minutes' counts → the sums of every window, moved on a minute at a time. Pure.
//!
//! The same sums as [`Sums::of`] a cell, without visiting every minute of it every time. It must
//! never differ from that; a test compares the two at every step.

use crate::config::Health;
use crate::health::{Sums, Window};
use crate::tally::{Counter, Counters};

/// Minutes kept: a week, the longest settle, and an hour to round to.
const KEPT: u32 = 7 * 24 * 60 + 3 * 60;

/// One number's minutes.
pub(super) struct Ring {
    minutes: Vec<Counters>,
    start: u32,
    now: u32,
    settle: u32,
}

impl Ring {
    /// Nothing yet, the first minute being `start`.
    pub(super) fn new(start: u32, settings: &Health) -> Self {
        let settle = u32::try_from(settings.settle.as_secs() / 60).unwrap_or(60);
        Self { minutes: vec![Counters::default(); KEPT as usize], start, now: start, settle }
    }

    /// Moves on to a minute that is the next one, or the first.
    pub(super) fn advance(&mut self, minute: u32, sums: &mut Sums) {
        if minute == self.now {
            return;
        }
        let before = self.now;
        self.now = minute;
        for window in Window::ALL {
            let sum = &mut sums.windows[window as usize];
            sum.merge(self.at(minute - self.settle));
            for gone in self.first(window, before)..self.first(window, minute) {
                sum.subtract(self.at(gone));
            }
        }
        sums.pending.subtract(self.at(minute - self.settle));
        sums.recent.subtract(self.at(minute - 15));
        sums.latest.subtract(self.at(minute - 5));
        self.minutes[(minute % KEPT) as usize] = Counters::default();
    }

    /// Counts a message of a minute.
    pub(super) fn count(&mut self, cohort: u32, counter: Counter, sums: &mut Sums) {
        if cohort + KEPT <= self.now + 60 {
            return;
        }
        self.minutes[(cohort % KEPT) as usize].add(counter, 1);
        for window in Window::ALL {
            if (self.first(window, self.now)..=self.now - self.settle).contains(&cohort) {
                sums.windows[window as usize].add(counter, 1);
            }
        }
        if cohort > self.now - self.settle {
            sums.pending.add(counter, 1);
        }
        if cohort > self.now - 15 {
            sums.recent.add(counter, 1);
        }
        if cohort > self.now - 5 {
            sums.latest.add(counter, 1);
        }
    }

    /// The first minute of a window; a week begins with a whole hour, as it does where minutes
    /// have been dropped.
    fn first(&self, window: Window, now: u32) -> u32 {
        let span = u32::try_from(window.span().as_secs() / 60).unwrap_or(KEPT);
        let first = now - self.settle - span + 1;
        if window == Window::Week { first.div_ceil(60) * 60 } else { first }
    }

    /// What a minute holds: nothing before the first.
    fn at(&self, minute: u32) -> &Counters {
        const NOTHING: &Counters = &Counters::NONE;
        if minute < self.start { NOTHING } else { &self.minutes[(minute % KEPT) as usize] }
    }
}
