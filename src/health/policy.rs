//! A number's view and where it stands → where it stands now, and the step between. Pure.
//!
//! A band is a point; an alert needs evidence. A worse band is confirmed by (a) long odds against
//! its failures on consecutive evaluations, or (b) a rate that stays low over two windows, or (d) failures that are too
//! many even before all has been heard, or with `gate = "volume"` by (c) the plain rate. A better one must last, one band at a time. Too little data changes nothing, ever.

use std::time::Duration;

use super::band::Band;
use super::early::{Early, Span, odds};
use super::rate::{Counts, Tally, wilson};
use super::standing::{Evidence, Rule, Standing, Transition};
use super::sums::Window;
use super::verdict::{BandVerdict, Finding, Hindrance, Lack, Measure, Recovery, Verdict};
use super::view::View;
use crate::clock::Timestamp;
use crate::config::{Gate, Health, NumberStatus};

/// One-sided 99 %: a quarter of an hour must be very sure.
const Z_QUARTER: f64 = 2.326;
/// One-sided 95 %.
const Z_LONGER: f64 = 1.645;
/// Messages rule (b) asks for, and rule (a) over a day.
const MANY: u64 = 50;
/// Messages rule (a) asks for.
const SOME: u64 = 20;

/// The windows of rule (a), each with its fewest messages.
const ODDS: [(Window, u64); 4] =
    [(Window::Quarter, SOME), (Window::Hour, SOME), (Window::SixHours, SOME), (Window::Day, MANY)];

/// The windows of `gate = "wilson"`: how sure, and with how many messages.
const INTERVALS: [(Window, f64, u64); 4] = [
    (Window::Quarter, Z_QUARTER, SOME),
    (Window::Hour, Z_LONGER, SOME),
    (Window::SixHours, Z_LONGER, SOME),
    (Window::Day, Z_LONGER, MANY),
];

/// Says what a view means for where its rate stands.
pub fn judge(
    view: &View,
    status: NumberStatus,
    settings: &Health,
    standing: &Standing,
    now: Timestamp,
) -> (Standing, Option<Transition>) {
    let look = Look::new(view, settings, standing, now);
    let mut next = standing.clone();
    if next.shown != view.band || next.shown_since.is_none() {
        (next.shown, next.shown_since) = (view.band, Some(now));
    }
    next.stale = look.is_stale();
    // A number that is not supposed to send calls nobody; what is open may still recover.
    let worse = match status {
        NumberStatus::Active => look.worse(&mut next),
        NumberStatus::Inactive | NumberStatus::Pending | NumberStatus::Suspended => {
            next.resume_escalation();
            None
        }
    };
    if let Some((band, evidence)) = worse {
        let transition = next.fall(band, evidence, settings.relapse_within);
        return (next, Some(transition));
    }
    let transition = look.better(&mut next).map(|evidence| next.rise(evidence));
    (next, transition)
}

/// Says what [`judge`] looks at, and what it makes of it: by the same rules, from where the number
/// stood at the last evaluation.
pub fn explain(
    view: &View,
    status: NumberStatus,
    settings: &Health,
    standing: &Standing,
    now: Timestamp,
) -> Verdict {
    let look = Look::new(view, settings, standing, now);
    let bands = Band::BAD.into_iter().enumerate().filter_map(|(index, band)| {
        Some(look.on_band(index, band, band.begins_below(&settings.thresholds)?, standing))
    });
    let recovery = standing.band.begins_below(&settings.thresholds).map(|threshold| Recovery {
        to: standing.band.one_better(),
        threshold,
        hindrance: look.hindrance(&Standing { stale: look.is_stale(), ..standing.clone() }, threshold),
        since: standing.recovering_since,
        needed_minutes: settings.recover_after.as_secs() / 60,
    });
    Verdict {
        at: now,
        status,
        shown: view.band,
        window: view.window(),
        counts: view.counts(),
        pending: view.pending(),
        confirmed: standing.band,
        since: standing.since,
        stale: look.is_stale(),
        bands: bands.collect(),
        recovery,
    }
}

/// Whether rule (d) is on.
fn is_early_on(settings: &Health) -> bool {
    settings.gate == Gate::Confidence && settings.early_odds > 0.0
}

/// One view, looked at at one moment.
struct Look<'a> {
    view: &'a View,
    settings: &'a Health,
    now: Timestamp,
    tallies: [Tally; 5],
    early: [Option<Early>; 2],
    well_for: Option<Duration>,
}

impl<'a> Look<'a> {
    fn new(view: &'a View, settings: &'a Health, standing: &Standing, now: Timestamp) -> Self {
        let well_for = standing.resolved.as_ref().map(|resolved| now.since(resolved.at));
        let tallies = Window::ALL.map(|window| view.sums.tally(window));
        let on = is_early_on(settings);
        let early = Span::ALL.map(|span| Early::of(&view.sums, span).filter(|_| on));
        Self { view, settings, now, tallies, early, well_for }
    }

    const fn tally(&self, window: Window) -> Tally {
        self.tallies[window as usize]
    }

    /// True when nothing recent enough is known to change anything: silence proves nothing.
    fn is_stale(&self) -> bool {
        self.elastic().is_none() || self.tally(Window::Hour).judged() == 0
    }

    /// The window that is judged on.
    fn elastic(&self) -> Option<(Window, Tally)> {
        let least = match self.settings.gate {
            Gate::Confidence | Gate::Wilson => self.settings.elastic_min,
            Gate::Volume => self.settings.min_volume.max(self.settings.elastic_min),
        };
        let longer = Window::ALL.into_iter().skip(1).map(|window| (window, self.tally(window)));
        longer.into_iter().find(|(_, tally)| tally.judged() >= least.max(1))
    }

    /// Everything that is looked at for one band.
    fn on_band(&self, index: usize, band: Band, threshold: f64, standing: &Standing) -> BandVerdict {
        let persist = Lack::NotYet {
            since: standing.below_since[index].unwrap_or(self.now),
            needed_minutes: self.settings.persist_after.as_secs() / 60,
        };
        let low = self.low(threshold).map(|low| Finding { lack: low.lack.or(Some(persist)), ..low });
        let quiet = self.is_stale().then_some(Lack::Quiet);
        let matured = self.matured(threshold).chain(low);
        let matured = matured.map(|found| Finding { lack: quiet.or(found.lack), ..found });
        BandVerdict {
            band,
            threshold,
            is_confirmed: standing.band >= band,
            evaluations: standing.streaks[index],
            evaluations_needed: self.settings.confirm_evaluations.max(1),
            findings: matured.chain(self.early(threshold)).collect(),
        }
    }

    /// The worst band, worse than the confirmed one, that the evidence confirms now.
    fn worse(&self, next: &mut Standing) -> Option<(Band, Evidence)> {
        if next.stale {
            // Neither counted nor forgotten, but time alone must not make rule (b) true.
            next.below_since = [None; 3];
        }
        let mut found = None;
        for (index, band) in Band::BAD.into_iter().enumerate() {
            let Some(threshold) = band.begins_below(&self.settings.thresholds) else { continue };
            let matured = if next.stale { None } else { self.matured_below(index, threshold, next) };
            let confirmed = matured.or_else(|| self.early_below(threshold));
            if let Some(evidence) = confirmed.filter(|_| band > next.band) {
                found = Some((band, evidence));
            }
        }
        found
    }

    /// Rules (a), (b) and (c): what matured cohorts confirm.
    fn matured_below(&self, index: usize, threshold: f64, next: &mut Standing) -> Option<Evidence> {
        let held = self.matured(threshold).find(Finding::holds);
        let most = self.settings.confirm_evaluations.max(1);
        let streak = &mut next.streaks[index];
        *streak = if held.is_some() { (*streak + 1).min(most) } else { 0 };
        let confirmed = held.filter(|_| *streak >= most);
        let proof = confirmed.or_else(|| self.persisted(threshold, &mut next.below_since[index]));
        proof.map(|finding| self.evidence(&finding, threshold))
    }

    /// Rules (a) and (c), on one evaluation: what every window says that the gate looks at.
    fn matured(&self, threshold: f64) -> impl Iterator<Item = Finding> {
        let gate = self.settings.gate;
        let odds = ODDS.into_iter().filter(move |_| gate == Gate::Confidence);
        let intervals = INTERVALS.into_iter().filter(move |_| gate == Gate::Wilson);
        let volume = self.elastic().filter(|_| gate == Gate::Volume);
        odds.map(move |(window, least)| self.odds_below(window, least, threshold))
            .chain(intervals.map(move |of| self.interval_below(of, threshold)))
            .chain(volume.map(move |(window, _)| self.volume_below(window, threshold)))
    }

    /// Rule (a): a window holds more failures than the threshold explains.
    fn odds_below(&self, window: Window, least: u64, threshold: f64) -> Finding {
        let tally = self.tally(window);
        // A window longer than the one judged on still holds an outage that is over; it counts
        // only while the rate of now agrees, and not for an incident that has been resolved.
        let fresh = self.well_for.is_none_or(|well_for| well_for >= window.span());
        let current = self.is_within(window) || (self.is_low(threshold) && fresh);
        let (against, needed) = (odds(tally.failed, tally.judged(), threshold), self.settings.odds);
        let lack = match () {
            () if tally.judged() < least => Some(Lack::TooFew { needed: least }),
            () if against < needed => Some(Lack::Chance),
            () if !current => Some(Lack::Over),
            () => None,
        };
        Finding::new(Rule::Odds, window, tally, lack).measured(Measure::odds(against, needed))
    }

    /// The same by Wilson's interval.
    fn interval_below(&self, of: (Window, f64, u64), threshold: f64) -> Finding {
        let (window, z, least) = of;
        let tally = self.tally(window);
        let current = self.is_within(window) || self.is_low(threshold);
        let [_, upper] = wilson(tally.delivered, tally.judged(), z);
        let lack = match () {
            () if tally.judged() < least => Some(Lack::TooFew { needed: least }),
            () if upper >= threshold => Some(Lack::Chance),
            () if !current => Some(Lack::Over),
            () => None,
        };
        Finding::new(Rule::Interval, window, tally, lack).measured(Measure::Bound { upper, z })
    }

    /// Whether a window is no longer than the one that is judged on.
    fn is_within(&self, window: Window) -> bool {
        self.elastic().is_some_and(|(judged_on, _)| window <= judged_on)
    }

    /// Whether the rate of now is below the threshold.
    fn is_low(&self, threshold: f64) -> bool {
        self.elastic().is_some_and(|(_, judged)| judged.rate().is_some_and(|rate| rate < threshold))
    }

    /// Rule (d): the last minutes hold more failures than the threshold explains, even if everything
    /// that has not been heard of yet arrives.
    fn early_below(&self, threshold: f64) -> Option<Evidence> {
        let (index, _) = self.early(threshold).enumerate().find(|(_, finding)| finding.holds())?;
        let early = self.early[index]?;
        let (rule, counters) = match early.span {
            Span::Latest => (Rule::Sudden, &self.view.sums.latest),
            Span::Quarter => (Rule::Early, &self.view.sums.recent),
        };
        let mut counts = Counts::of(counters);
        counts.delivered = early.of.saturating_sub(counts.failed);
        Some(Evidence { threshold, ..Evidence::new(rule, Window::Quarter, counts, self.now) })
    }

    /// What either span says by rule (d), in their order; nothing where the rule is off.
    fn early(&self, threshold: f64) -> impl Iterator<Item = Finding> {
        let on = is_early_on(self.settings);
        let spans = Span::ALL.into_iter().zip(self.early).filter(move |_| on);
        spans.map(move |(span, early)| {
            let rule = if span == Span::Latest { Rule::Sudden } else { Rule::Early };
            let Some(early) = early else {
                return Finding::new(rule, Window::Quarter, Tally::default(), Some(Lack::Unusual));
            };
            let (against, needed) = (early.odds(threshold), self.settings.early_odds);
            let delivered = early.of.saturating_sub(early.failed);
            let tally = Tally { delivered, failed: early.failed, seen: early.of };
            let lack = (against < needed).then_some(Lack::Chance);
            Finding::new(rule, Window::Quarter, tally, lack).measured(Measure::odds(against, needed))
        })
    }

    /// Rule (c), on one evaluation.
    fn volume_below(&self, window: Window, threshold: f64) -> Finding {
        let (tally, least) = (self.tally(window), self.settings.min_volume);
        let lack = match tally.rate() {
            _ if tally.judged() < least => Some(Lack::TooFew { needed: least }),
            Some(rate) if rate < threshold => None,
            Some(_) | None => Some(Lack::Above),
        };
        Finding::new(Rule::Volume, window, tally, lack)
    }

    /// Rule (b), over time: what [low](Self::low) says has been so for long enough.
    fn persisted(&self, threshold: f64, since: &mut Option<Timestamp>) -> Option<Finding> {
        let Some(low) = self.low(threshold).filter(Finding::holds) else {
            *since = None;
            return None;
        };
        let began = *since.get_or_insert(self.now);
        (self.now.since(began) >= self.settings.persist_after).then_some(low)
    }

    /// Rule (b), on one evaluation: the plain rate of enough messages is below the threshold, and over
    /// the next longer window it lies there too, so that one unlucky hour is not enough.
    fn low(&self, threshold: f64) -> Option<Finding> {
        let (window, tally) = self.elastic().filter(|_| self.settings.gate != Gate::Volume)?;
        let below = |tally: Tally| tally.rate().is_some_and(|rate| rate < threshold);
        let lack = match () {
            () if tally.judged() < MANY => Some(Lack::TooFew { needed: MANY }),
            () if !below(tally) => Some(Lack::Above),
            () if !below(self.tally(window.longer())) => Some(Lack::LongerAbove),
            () => None,
        };
        Some(Finding::new(Rule::Persisted, window, tally, lack))
    }

    fn evidence(&self, found: &Finding, threshold: f64) -> Evidence {
        let proof = Evidence::new(found.rule, found.window, self.view.sums.window(found.window), self.now);
        let z = if let Measure::Bound { z, .. } = found.measure { z } else { proof.z };
        Evidence { threshold, z, ..proof }
    }

    /// Evidence that the band one better than the confirmed one has held for long enough.
    fn better(&self, next: &mut Standing) -> Option<Evidence> {
        let threshold = next.band.begins_below(&self.settings.thresholds);
        let (Some(threshold), Some((window, tally))) = (threshold, self.elastic()) else {
            next.recovering_since = None;
            return None;
        };
        if self.hindrance(next, threshold).is_some() {
            next.recovering_since = None;
            return None;
        }
        let began = *next.recovering_since.get_or_insert(self.now);
        (self.now.since(began) >= self.settings.recover_after)
            .then(|| self.evidence(&Finding::new(Rule::Recovered, window, tally, None), threshold))
    }

    /// What keeps the band one better from being recovered to: the rate must lie surely, or clearly,
    /// above the threshold, and the last hour's too: an hour that fell silent while bad must not be
    /// outweighed by the good hours before it. What has not matured must agree, or an early alert
    /// would take itself back before the hour shows it.
    fn hindrance(&self, standing: &Standing, threshold: f64) -> Option<Hindrance> {
        let bad = Band::BAD.into_iter().position(|band| band == standing.band);
        let (_, tally) = match self.elastic() {
            Some(judged) if !standing.stale => judged,
            _ => return Some(Hindrance::Quiet),
        };
        let [lower, _] = wilson(tally.delivered, tally.judged(), 1.0);
        let clearly = threshold + self.settings.recover_margin;
        let above = lower >= threshold || tally.rate().is_some_and(|rate| rate >= clearly);
        let early = self.early.into_iter().flatten().all(|early| early.at_most() >= threshold);
        let hour = self.tally(Window::Hour).rate().is_some_and(|rate| rate >= threshold);
        match () {
            () if bad.is_some_and(|index| standing.streaks[index] > 0) => Some(Hindrance::Escalating),
            () if !above => Some(Hindrance::NotClear),
            () if !early => Some(Hindrance::Early),
            () if !hour => Some(Hindrance::Hour),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::story::{Story, number};
    use crate::health::{Change, Resolved};

    const NUMBER: &str = "+18005550100";

    /// One number's traffic, minute by minute, and every step it takes.
    struct Life {
        story: Story,
        standing: Standing,
        minute: u64,
    }

    impl Life {
        fn new() -> Self {
            Self { story: Story::new(), standing: Standing::default(), minute: 0 }
        }

        /// `minutes` in which every `every`th brings so many good and bad messages.
        fn live(&mut self, minutes: u64, every: u64, good: i64, bad: i64) -> Vec<(u64, Change, Band, bool)> {
            let mut steps = Vec::new();
            for _ in 0..minutes {
                self.minute += 1;
                self.story.now = self.story.now.plus(Duration::from_secs(60));
                if self.minute.is_multiple_of(every) {
                    self.story.send_now("ib", NUMBER, good, bad);
                }
                if let Some(step) = self.judge() {
                    steps.push((self.minute, step.change, step.to, step.pings));
                }
            }
            steps
        }

        fn judge(&mut self) -> Option<Transition> {
            let report = self.story.report();
            let view = &report.numbers[&number(NUMBER)];
            let (next, step) =
                judge(&view.view, view.status, &self.story.settings, &self.standing, self.story.now);
            self.standing = next;
            step
        }
    }

    fn changes(steps: &[(u64, Change, Band, bool)]) -> Vec<(Change, Band, bool)> {
        steps.iter().map(|(_, change, band, pings)| (*change, *band, *pings)).collect()
    }

    #[test]
    fn a_healthy_number_takes_no_step() {
        let mut life = Life::new();
        assert_eq!(life.live(200, 1, 97, 3), []);
        assert_eq!((life.standing.shown, life.standing.band), (Band::Healthy, Band::Unknown));
    }

    #[test]
    fn a_total_outage_pings_within_minutes_of_maturing_and_each_worse_band_once() {
        let mut life = Life::new();
        life.live(120, 1, 17, 0);
        let steps = life.live(90, 1, 0, 17);
        let pings: Vec<_> = steps.iter().filter(|step| step.3).map(|step| step.2).collect();
        assert_eq!(steps[0].1, Change::Opened);
        assert!(steps[0].0 <= 120 + 10 + 5, "{steps:?}");
        assert_eq!(steps.last().unwrap().2, Band::Critical);
        assert!(pings.len() <= 3, "{steps:?}");
    }

    #[test]
    fn recovery_goes_band_by_band_without_a_ping_and_takes_its_time() {
        let mut life = Life::new();
        life.live(120, 1, 17, 0);
        life.live(60, 1, 0, 17);
        let steps = life.live(200, 1, 17, 0);
        assert_eq!(
            changes(&steps)[..],
            [
                (Change::Improved, Band::Degraded, false),
                (Change::Improved, Band::Watch, false),
                (Change::Resolved, Band::Healthy, false),
            ]
        );
        assert!(steps[1].0 - steps[0].0 >= 15 && steps[2].0 - steps[1].0 >= 15, "{steps:?}");
        // The day still holds the outage; it must not be found again.
        assert_eq!(life.live(400, 1, 17, 0), []);
    }

    #[test]
    fn silence_neither_resolves_nor_opens() {
        let mut life = Life::new();
        life.live(300, 1, 17, 0);
        life.live(45, 1, 0, 17);
        let open = life.standing.band;
        assert!(open >= Band::Degraded);
        life.live(12, 1, 0, 0);
        let band = life.standing.band;
        assert_eq!(life.live(1200, 1, 0, 0), []);
        assert_eq!((life.standing.band, life.standing.stale), (band, true));

        let mut healthy = Life::new();
        assert_eq!(healthy.live(600, 1, 0, 0), []);
        assert!(healthy.standing.stale);
    }

    #[test]
    fn a_relapse_reopens_without_a_ping_unless_worse_than_ever() {
        let mut life = Life::new();
        life.standing.resolved =
            Some(Resolved { incident: "i".into(), at: life.story.now, worst: Band::Degraded });
        let steps = life.live(30, 1, 85, 15);
        assert_eq!(steps[0].1, Change::Reopened);
        assert!(steps.iter().all(|step| !step.3), "{steps:?}");
        assert_eq!(life.standing.incident.as_deref(), Some("i"));
        let steps = life.live(60, 1, 10, 90);
        assert_eq!(changes(&steps), [(Change::Worsened, Band::Critical, true)]);
    }

    #[test]
    fn a_relapse_after_two_hours_is_a_new_incident() {
        let mut life = Life::new();
        let at = life.story.now.minus(Duration::from_secs(3 * 3600));
        life.standing.resolved = Some(Resolved { incident: "i".into(), at, worst: Band::Critical });
        let steps = life.live(30, 1, 50, 50);
        assert_eq!((steps[0].1, steps[0].3), (Change::Opened, true));
    }

    #[test]
    fn a_rate_just_below_is_confirmed_only_by_lasting() {
        let mut life = Life::new();
        // 94.0 % of 100 an hour: no interval of up to six hours lies below 95.
        let steps = life.live(170, 60, 94, 6);
        let (minute, ..) = steps[0];
        assert_eq!(changes(&steps), [(Change::Opened, Band::Watch, true)]);
        assert!((130..=135).contains(&minute), "60 to begin, 10 to settle, 60 to last: {steps:?}");
    }

    #[test]
    fn the_plain_gate_asks_for_volume_and_repetition_only() {
        let mut life = Life::new();
        life.story.settings.gate = Gate::Volume;
        let steps = life.live(100, 1, 94, 6);
        assert_eq!(changes(&steps), [(Change::Opened, Band::Watch, true)]);
        assert_eq!(steps[0].0, 13, "ten minutes to settle and the third evaluation with the first minute");
        let mut few = Life::new();
        few.story.settings.gate = Gate::Volume;
        assert_eq!(few.live(60, 60, 30, 19), []);
        assert_eq!(few.live(60, 1, 0, 0), []);
    }

    #[test]
    fn nineteen_messages_are_too_few_and_twenty_are_not() {
        for (messages, opened) in [(19, false), (20, true)] {
            let mut life = Life::new();
            life.story.settings.early_odds = 0.0;
            life.story.send_now("ib", NUMBER, 0, messages);
            assert_eq!(!life.live(30, 1000, 0, 0).is_empty(), opened, "{messages}");
        }
    }

    #[test]
    fn too_many_failures_are_told_before_they_mature_and_not_taken_back_at_once() {
        let mut life = Life::new();
        assert_eq!(life.live(120, 1, 2, 0), []);
        let steps = life.live(9, 1, 0, 2);
        assert_eq!((steps[0].0, steps[0].1, steps[0].3), (123, Change::Opened, true));
        assert!(life.live(60, 1, 0, 2).iter().all(|step| step.1 == Change::Worsened));
    }

    #[test]
    fn an_outage_that_is_over_is_not_found_again_in_a_longer_window() {
        let mut life = Life::new();
        life.live(26 * 60, 1, 2, 0);
        life.live(180, 1, 0, 2);
        let steps = life.live(240, 1, 2, 0);
        assert_eq!(steps.last().unwrap().1, Change::Resolved, "{steps:?}");
        // A slightly bad hour while the six-hour window still holds the outage.
        assert_eq!(life.live(60, 1, 47, 3), []);
    }

    #[test]
    fn a_number_that_should_not_send_opens_nothing() {
        for status in [NumberStatus::Inactive, NumberStatus::Pending, NumberStatus::Suspended] {
            let mut life = Life { story: Story::with_status(status), ..Life::new() };
            assert_eq!(life.live(60, 1, 0, 20), [], "{status:?}");
            assert_eq!(life.standing.shown, Band::Critical);
        }
    }

    #[test]
    fn a_standing_survives_being_written_down() {
        let mut life = Life::new();
        life.live(12, 1, 50, 50);
        let text = serde_json::to_string(&life.standing).unwrap();
        assert_eq!(serde_json::from_str::<Standing>(&text).unwrap(), life.standing);
        assert_eq!(serde_json::from_str::<Standing>("{}").unwrap(), Standing::default());
    }
}
