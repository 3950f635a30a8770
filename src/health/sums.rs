//! Cells → sums over the windows, which add up to those of numbers, lists and providers. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rate::{Counts, Tally};
use crate::clock::Timestamp;
use crate::tally::{Cell, Counters};

/// A span of cohorts that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Window {
    /// Shows a fall first; may only escalate.
    #[serde(rename = "15m")]
    Quarter,
    /// The primary one.
    #[serde(rename = "1h")]
    Hour,
    /// For numbers that send little.
    #[serde(rename = "6h")]
    SixHours,
    /// For numbers that send less.
    #[serde(rename = "24h")]
    Day,
    /// What is usual.
    #[serde(rename = "7d")]
    Week,
}

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Self; 5] = [Self::Quarter, Self::Hour, Self::SixHours, Self::Day, Self::Week];

    /// The next longer one; the longest is followed by itself.
    pub const fn longer(self) -> Self {
        match self {
            Self::Quarter => Self::Hour,
            Self::Hour => Self::SixHours,
            Self::SixHours => Self::Day,
            Self::Day | Self::Week => Self::Week,
        }
    }

    /// How much it spans.
    pub const fn span(self) -> Duration {
        Duration::from_secs(match self {
            Self::Quarter => 15 * 60,
            Self::Hour => 3600,
            Self::SixHours => 6 * 3600,
            Self::Day => 24 * 3600,
            Self::Week => 7 * 24 * 3600,
        })
    }

    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quarter => "15m",
            Self::Hour => "1h",
            Self::SixHours => "6h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }
}

/// What [`Sums::latest`] spans.
pub(super) const LATEST: Duration = Duration::from_secs(5 * 60);

/// What was counted in each window, is pending, and was counted at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Matured cohorts, window by window.
    pub windows: [Counters; 5],
    /// Cohorts that have not matured.
    pub pending: Counters,
    /// Cohorts of the last five minutes up to now, whether matured or not.
    pub latest: Counters,
    /// Cohorts of the last quarter of an hour up to now, whether matured or not.
    pub recent: Counters,
    /// Every cohort that is kept, matured or not.
    pub totals: Counters,
}

impl Sums {
    /// The sums of one cell whose cohorts mature after `settle`.
    pub fn of(cell: &Cell, settle: Duration, now: Timestamp) -> Self {
        let newest = now.minus(settle).minute();
        let first = |window: Window| first_minute(now.minus(settle).minus(window.span()));
        let mut sums = Self { totals: cell.totals(), ..Self::default() };
        // Each window up to a day holds the one before, so every minute is visited once.
        let (mut sum, mut end) = (Counters::default(), newest);
        for window in [Window::Quarter, Window::Hour, Window::SixHours, Window::Day] {
            sum.merge(&cell.sum(first(window)..=end, now));
            end = first(window).saturating_sub(1);
            sums.windows[window as usize] = sum;
        }
        sums.windows[Window::Week as usize] = cell.sum(first(Window::Week)..=newest, now);
        // A provider's clock may run ahead of this one, by a zone at worst.
        let latest = now.minute() + 24 * 60;
        sums.pending = cell.sum(newest + 1..=latest, now);
        let since = |span| cell.sum(first_minute(now.minus(span))..=latest, now);
        (sums.latest, sums.recent) = (since(LATEST), since(Window::Quarter.span()));
        sums
    }

    /// Adds another cell's sums.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.windows.iter_mut().zip(&other.windows) {
            mine.merge(theirs);
        }
        self.pending.merge(&other.pending);
        self.latest.merge(&other.latest);
        self.recent.merge(&other.recent);
        self.totals.merge(&other.totals);
    }

    /// What was counted in a window.
    pub fn window(&self, window: Window) -> Counts {
        Counts::of(&self.windows[window as usize])
    }

    /// The two sides of a window's rate, without the classes: what the policy looks at every time.
    pub fn tally(&self, window: Window) -> Tally {
        Tally::of(&self.windows[window as usize])
    }

    /// The shortest window of an hour or more that holds at least `least` judged messages.
    pub fn elastic(&self, least: u64) -> Option<(Window, Tally)> {
        Window::ALL
            .into_iter()
            .skip(1)
            .map(|window| (window, self.tally(window)))
            .find(|(_, tally)| tally.judged() >= least.max(1))
    }
}

/// The first whole minute at or after a moment.
fn first_minute(at: Timestamp) -> u32 {
    at.plus(Duration::from_millis(59_999)).minute()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::ConnectionId;
    use crate::tally::CellKey;
    use crate::tally::{Cells, Contribution, Counter};

    const SETTLE: Duration = Duration::from_secs(600);

    fn sums(minutes: impl IntoIterator<Item = u32>, now: Timestamp) -> Sums {
        let mut cells = Cells::default();
        let connection = ConnectionId::parse("a").unwrap();
        let cell = cells.register(&CellKey { number: None, connection, list: None });
        for minute in minutes {
            cells.count(Contribution { cell, minute, counter: Counter::DELIVERED }, 1, now);
        }
        let cell = cells.iter().next().unwrap().1;
        Sums::of(cell, SETTLE, now)
    }

    #[test]
    fn a_window_begins_and_ends_settle_ago() {
        // 100,000 is no whole hour; half a minute past, so that edges are not on minutes.
        let now = Timestamp::from_seconds(60 * 100_000 + 30);
        let sums = sums(99_000..=100_003, now);
        // From 99,975.5 on, so 99,976, to 99,990.
        assert_eq!(sums.window(Window::Quarter).delivered, 15);
        assert_eq!(sums.window(Window::Hour).delivered, 60);
        assert_eq!(sums.window(Window::SixHours).delivered, 360);
        assert_eq!(sums.pending.get(Counter::DELIVERED), 13);
        assert_eq!(sums.totals.get(Counter::DELIVERED), 1004);
        // From 99,985.5 on, so 99,986, to the end.
        assert_eq!(sums.recent.get(Counter::DELIVERED), 18);
    }

    #[test]
    fn on_a_whole_minute_both_edges_belong_to_the_window() {
        let now = Timestamp::from_seconds(60 * 100_000);
        assert_eq!(sums(99_000..=100_000, now).window(Window::Quarter).delivered, 16);
    }

    #[test]
    fn the_elastic_window_is_the_shortest_that_holds_enough() {
        let now = Timestamp::from_seconds(60 * 100_000);
        let sparse = |every: usize| sums((90_000..=100_000).step_by(every), now);
        let window = |sums: &Sums| sums.elastic(20).map(|(window, _)| window);
        assert_eq!(window(&sparse(2)), Some(Window::Hour));
        assert_eq!(window(&sparse(10)), Some(Window::SixHours));
        assert_eq!(window(&sparse(60)), Some(Window::Day));
        assert_eq!(window(&sparse(400)), Some(Window::Week));
        assert_eq!(window(&sparse(5000)), None);
    }
}
