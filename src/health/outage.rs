//! A provider's numbers together: whether the provider itself is sick, which of its numbers are worse
//! than that explains, and when several open at once. Pure.

use std::sync::Arc;

use super::band::Band;
use super::early::{Early, Span, odds};
use super::rate::Tally;
use super::sums::{Sums, Window};
use super::view::{Leg, NumberView, View};
use crate::config::Health;
use crate::event::Provider;

/// Numbers a provider must have at work to be judged by itself: below, its numbers tell.
pub(super) const NUMBERS_MIN: usize = 3;
/// Numbers about to open that are a group.
const GROUP_MIN: usize = 5;
/// The share of a provider's numbers at work that makes them one.
const GROUP_SHARE: f64 = 0.30;
/// Of how many numbers one is left out when a provider is judged.
const LEFT_OUT_OF: usize = 10;
/// Odds to one that a number is worse than its provider's incident explains: there may be hundreds
/// of numbers, and hours to be wrong in.
const APART_ODDS: f64 = 1_000.0;
/// Messages that take.
const APART_MIN: u64 = 20;

/// A number's leg on the provider in question.
pub(super) type OnLeg<'a> = (&'a NumberView, &'a Leg);

/// True of a leg that carries traffic now.
pub(super) fn is_at_work(leg: &Leg) -> bool {
    leg.view.sums.tally(Window::Hour).judged() > 0 || leg.view.sums.recent.total() > 0
}

/// A provider's view without its worst numbers, a tenth of them: one sick number is no outage,
/// however much it sends.
pub(super) fn without_the_worst(view: &View, legs: &[OnLeg<'_>], settings: &Health) -> View {
    let mut failing: Vec<_> = legs.iter().map(|(_, leg)| (failures(&leg.view), leg)).collect();
    failing.sort_by_key(|(failures, _)| std::cmp::Reverse(*failures));
    let mut sums = Sums::clone(&view.sums);
    for (_, leg) in failing.iter().take(legs.len().div_ceil(LEFT_OUT_OF)) {
        sums.subtract(&leg.view.sums);
    }
    View::new(Arc::new(sums), settings)
}

/// Messages that have failed within the hour, as far as is known.
pub(super) fn failures(view: &View) -> u64 {
    view.sums.tally(Window::Hour).failed + Tally::of(&view.sums.recent).failed
}

/// Whether a leg is clearly worse than its provider's incident explains.
pub(super) fn is_apart(leg: &View, provider: &View, settings: &Health) -> bool {
    [Window::Quarter, Window::Hour].into_iter().any(|window| {
        let (of_leg, of_all) = (leg.sums.tally(window), provider.sums.tally(window));
        let limit = of_all.rate().map(|rate| rate - settings.outage_margin).filter(|limit| *limit > 0.0);
        let against = |limit| odds(of_leg.failed, of_leg.judged(), limit);
        of_leg.judged() >= APART_MIN && limit.is_some_and(|limit| against(limit) >= APART_ODDS)
    })
}

/// Whether the last minutes hold more failures than chance explains, though not enough to be sure.
pub(super) fn is_suspect(view: &View, settings: &Health) -> bool {
    let threshold = settings.thresholds.healthy;
    let early = Span::ALL.into_iter().filter_map(|span| Early::of(&view.sums, span));
    early.into_iter().any(|early| early.odds(threshold) >= settings.odds)
}

/// The provider of the leg on which most of a number's messages fail.
pub(super) fn blamed(number: &NumberView) -> Option<Provider> {
    let worst = number.legs.iter().max_by_key(|leg| failures(&leg.view))?;
    worst.provider
}

/// What is left of a number without its legs on sick providers.
pub(super) fn rest(number: &NumberView, sick: impl Fn(Provider) -> bool, settings: &Health) -> View {
    let mut sums = Sums::default();
    let well = number.legs.iter().filter(|leg| !leg.provider.is_some_and(&sick));
    well.for_each(|leg| sums.merge(&leg.view.sums));
    View::new(Arc::new(sums), settings)
}

/// Whether so many of a provider's numbers at work, opening or just opened, are one story.
pub(super) fn is_group(numbers: usize, at_work: usize) -> bool {
    numbers >= GROUP_MIN && numbers as f64 >= GROUP_SHARE * at_work as f64
}

/// How bad most of a group's numbers are.
pub(super) fn middle(bands: &[Band]) -> Band {
    let mut bands = bands.to_vec();
    bands.sort_unstable();
    bands.get(bands.len() / 2).copied().unwrap_or(Band::Watch).max(Band::Watch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::story::{Story, number};

    #[test]
    fn one_sick_number_is_no_outage_however_much_it_sends() {
        let mut story = Story::new();
        for index in 0..9 {
            story.send("ib", Some(&format!("+1800555020{index}")), 100, 1);
        }
        story.send("ib", Some("+18005550100"), 100, 900);
        let report = story.report();
        let legs: Vec<_> =
            report.numbers.values().flat_map(|n| n.legs.iter().map(move |leg| (n, leg))).collect();
        let legs: Vec<_> = legs.into_iter().filter(|(_, leg)| is_at_work(leg)).collect();
        let whole = &report.providers[&Provider::Infobip].view;
        assert_eq!(whole.band, Band::Critical);
        assert_eq!(legs.len(), 10);
        let judged = without_the_worst(whole, &legs, &story.settings);
        assert_eq!(judged.band, Band::Healthy);
    }

    #[test]
    fn a_number_is_apart_when_it_is_worse_than_the_outage_explains() {
        let mut story = Story::new();
        story.send("ib", Some("+18005550100"), 7_000, 3_000).send("tw", Some("+18005550101"), 0, 0);
        let provider = story.report().numbers[&number("+18005550100")].view.clone();
        for (good, bad, apart) in [(70, 30, false), (55, 45, false), (20, 80, true), (3, 12, false)] {
            let mut story = Story::new();
            story.send("ib", Some("+18005550101"), good, bad);
            let leg = story.report().numbers[&number("+18005550101")].view.clone();
            assert_eq!(is_apart(&leg, &provider, &story.settings), apart, "{good} {bad}");
        }
    }

    #[test]
    fn five_numbers_and_three_in_ten_are_a_group() {
        for (numbers, at_work, group) in [(4, 4, false), (5, 16, true), (5, 17, false), (60, 200, true)] {
            assert_eq!(is_group(numbers, at_work), group, "{numbers} of {at_work}");
        }
        assert_eq!(middle(&[Band::Watch, Band::Critical, Band::Degraded]), Band::Degraded);
    }
}
