//! Rolls and sums → opt-outs and complaints, set against what was delivered. Pure.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::rate::share;
use super::sums::{Sums, Window};
use super::view::four_decimals;
use crate::clock::Timestamp;
use crate::tally::{Counter, RollKind, Rolls, Subject};

/// Recipients who opted out, over three windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptOuts([OptOut; 3]);

/// Recipients who opted out within a window, each counted once, and what they are set against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptOut {
    /// Those who certainly did.
    pub count: u64,
    /// Those who probably did: shown, never judged.
    pub likely: u64,
    /// Delivered messages of the matured cohorts of the same window.
    pub delivered: u64,
}

/// Complaints, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Complaints {
    /// Within seven days.
    pub week: u64,
    /// Delivered messages of the matured cohorts of that week.
    pub delivered: u64,
}

impl OptOuts {
    /// Counts of everybody on the rolls of these subjects.
    pub fn of<'a>(
        rolls: &Rolls,
        subjects: impl IntoIterator<Item = &'a Subject> + Clone,
        sums: &Sums,
        now: Timestamp,
    ) -> Self {
        let within = |kind, window: Window| {
            let of = |subject: &Subject| rolls.within(kind, subject, window.span(), now);
            subjects.clone().into_iter().map(of).sum()
        };
        Self(Window::OPT_OUTS.map(|window| OptOut {
            count: within(RollKind::OptOuts, window),
            likely: within(RollKind::LikelyOptOuts, window),
            delivered: sums.windows[window as usize].get(Counter::DELIVERED),
        }))
    }

    /// A window's; nothing for one that is not [looked at](Window::OPT_OUTS).
    pub fn window(&self, window: Window) -> OptOut {
        let place = Window::OPT_OUTS.iter().position(|known| *known == window);
        place.map_or_else(OptOut::default, |place| self.0[place])
    }
}

impl OptOut {
    /// Opt-outs ÷ delivered; none where nothing was delivered.
    pub fn rate(&self) -> Option<f64> {
        (self.delivered > 0).then(|| share(self.count, self.delivered))
    }
}

impl Complaints {
    /// Counts of everything on the rolls of these subjects.
    pub fn of<'a>(
        rolls: &Rolls,
        subjects: impl IntoIterator<Item = &'a Subject>,
        sums: &Sums,
        now: Timestamp,
    ) -> Self {
        let of = |subject: &Subject| rolls.within(RollKind::Complaints, subject, Window::Week.span(), now);
        Self {
            week: subjects.into_iter().map(of).sum(),
            delivered: sums.windows[Window::Week as usize].get(Counter::DELIVERED),
        }
    }

    /// Complaints ÷ delivered; none where nothing was delivered.
    pub fn rate(&self) -> Option<f64> {
        (self.delivered > 0).then(|| share(self.week, self.delivered))
    }
}

impl Serialize for OptOuts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown {
            count: u64,
            rate: Option<f64>,
            likely: u64,
        }
        let shown = |window: Window| {
            let OptOut { count, likely, .. } = self.window(window);
            let rate = self.window(window).rate().map(four_decimals);
            (window, Shown { count, rate, likely })
        };
        serializer.collect_map(Window::OPT_OUTS.map(shown))
    }
}

impl Serialize for Complaints {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BTreeMap::from([(Window::Week, self.week)]).serialize(serializer)
    }
}
