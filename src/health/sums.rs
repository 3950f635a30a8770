//! Cells → sums over the windows, which add up to those of numbers, lists and providers. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rate::{Counts, Tally};
use crate::clock::Timestamp;
use crate::event::FailureClass;
use crate::tally::{Cell, Counter, Counters};

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
    /// Only what people do in response is looked at over so long.
    #[serde(rename = "30d")]
    Month,
}

impl Window {
    /// Every window that a rate is shown of, shortest first.
    pub const ALL: [Self; 5] = [Self::Quarter, Self::Hour, Self::SixHours, Self::Day, Self::Week];
    /// The windows over which opt-outs are looked at, shortest first.
    pub const OPT_OUTS: [Self; 3] = [Self::Day, Self::Week, Self::Month];

    /// The next longer one that a rate is shown of; the longest is followed by itself.
    pub const fn longer(self) -> Self {
        match self {
            Self::Quarter => Self::Hour,
            Self::Hour => Self::SixHours,
            Self::SixHours => Self::Day,
            Self::Day | Self::Week | Self::Month => Self::Week,
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
            Self::Month => 30 * 24 * 3600,
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
            Self::Month => "30d",
        }
    }

    /// The name as people write it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Quarter => "15 min",
            Self::Hour => "1 h",
            Self::SixHours => "6 h",
            Self::Day => "24 h",
            Self::Week => "7 d",
            Self::Month => "30 d",
        }
    }
}

/// Weeks whose same hour says what is usual; as many as are kept.
const USUAL_WEEKS: usize = 4;

/// What [`Sums::latest`] spans.
pub(super) const LATEST: Duration = Duration::from_secs(5 * 60);

/// What was counted in each window, is pending, and was counted at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Matured cohorts, window by window.
    pub windows: [Counters; 6],
    /// Cohorts that have not matured.
    pub pending: Counters,
    /// Cohorts of the last five minutes up to now, whether matured or not.
    pub latest: Counters,
    /// Cohorts of the last quarter of an hour up to now, whether matured or not.
    pub recent: Counters,
    /// Every cohort that is kept, matured or not.
    pub totals: Counters,
    /// Messages of the hour that began a week before this one, two, three and four weeks before.
    pub usual: [u64; USUAL_WEEKS],
}

impl Sums {
    /// The sums of one cell whose cohorts mature after `settle`.
    pub fn of(cell: &Cell, settle: Duration, now: Timestamp) -> Self {
        let newest = now.minus(settle).minute();
        let first = |window: Window| first_minute(now.minus(settle).minus(window.span()));
        let mut sums = Self { totals: cell.totals(), ..Self::default() };
        // The longest first, from one end to the other: what is looked for afterwards is at hand then.
        let week = cell.sum(first(Window::Week)..=newest, now);
        sums.windows[Window::Week as usize] = week;
        // Both are the same minutes, and whole hours before those.
        let hour = |window| first(window).div_ceil(60);
        let mut month = cell.hours(hour(Window::Month)..hour(Window::Week));
        month.merge(&week);
        sums.windows[Window::Month as usize] = month;
        // Each window up to a day holds the one before, so every minute is visited once.
        let (mut sum, mut end) = (Counters::default(), newest);
        for window in [Window::Quarter, Window::Hour, Window::SixHours, Window::Day] {
            sum.merge(&cell.sum(first(window)..=end, now));
            end = first(window).saturating_sub(1);
            sums.windows[window as usize] = sum;
        }
        // A provider's clock may run ahead of this one, by a zone at worst.
        let latest = now.minute() + 24 * 60;
        sums.pending = cell.sum(newest + 1..=latest, now);
        let since = |span| cell.sum(first_minute(now.minus(span))..=latest, now);
        (sums.latest, sums.recent) = (since(LATEST), since(Window::Quarter.span()));
        sums.usual = usual(cell, now);
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
        for (mine, theirs) in self.usual.iter_mut().zip(other.usual) {
            *mine += theirs;
        }
    }

    /// Takes another cell's sums away again.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (mine, theirs) in self.windows.iter_mut().zip(&other.windows) {
            mine.subtract(theirs);
        }
        self.pending.subtract(&other.pending);
        self.latest.subtract(&other.latest);
        self.recent.subtract(&other.recent);
        self.totals.subtract(&other.totals);
        for (mine, theirs) in self.usual.iter_mut().zip(other.usual) {
            *mine = mine.saturating_sub(theirs);
        }
    }

    /// Counts, among matured cohorts, what has no final receipt as failed.
    pub(super) fn fail_unreported(&mut self) {
        for window in &mut self.windows {
            for open in [Counter::UNKNOWN, Counter::ACCEPTED, Counter::SENT] {
                let count = window.signed(open);
                window.add(open, -count);
                window.add(Counter::failed(FailureClass::Expired), count);
            }
        }
    }

    /// Messages an hour that are usual at this hour of the week: the median of the four weeks before.
    /// Nothing is usual until it has happened in two of them.
    pub fn usual_an_hour(&self) -> f64 {
        let mut weeks = self.usual;
        weeks.sort_unstable();
        (weeks[1] + weeks[2]) as f64 / 2.0
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

/// What was sent at this hour of the week, in each of the weeks before.
fn usual(cell: &Cell, now: Timestamp) -> [u64; USUAL_WEEKS] {
    const WEEK_HOURS: u32 = 7 * 24;
    let hour = now.minute() / 60;
    std::array::from_fn(|week| {
        let before = (1..).nth(week).unwrap_or(1) * WEEK_HOURS;
        hour.checked_sub(before).map_or(0, |then| cell.hour(then).total())
    })
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
    use crate::tally::{Cells, Contribution};

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
    fn the_usual_is_the_median_of_this_hour_of_the_week() {
        let now = Timestamp::from_seconds(60 * 100_000);
        let week = 7 * 24 * 60;
        let of = |weeks: [usize; 4]| {
            let minutes = (1..).zip(weeks).flat_map(|(n, count)| vec![100_000 - n * week + 5; count]);
            sums(minutes, now)
        };
        assert_eq!(of([9, 2, 4, 7]).usual, [9, 2, 4, 7]);
        for (weeks, usual) in [([9, 2, 4, 7], 5.5), ([100, 0, 0, 0], 0.0), ([10, 20, 0, 0], 5.0)] {
            assert!((of(weeks).usual_an_hour() - usual).abs() < 1e-9, "{weeks:?}");
        }
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
