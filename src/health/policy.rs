//! A number's view and where it stands → where it stands now, and the step between. Pure.
//!
//! A band is a point; an alert needs evidence. A worse band is confirmed by (a) long odds against
//! its failures on consecutive evaluations, or (b) a rate that stays low over two windows, or (d) failures that are too
//! many even before all has been heard, or with `gate = "volume"` by (c) the plain rate. A better one must last, one band at a time. Too little data changes nothing, ever.

use std::time::Duration;

use super::band::Band;
use super::early::{Early, Span, odds};
use super::rate::{Counts, Tally, wilson};
use super::standing::{Change, Evidence, Resolved, Rule, Standing, Transition};
use super::sums::Window;
use super::view::{NumberView, View};
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

/// Says what a view means for where its number stands.
pub fn judge(
    number: &NumberView,
    settings: &Health,
    standing: &Standing,
    now: Timestamp,
) -> (Standing, Option<Transition>) {
    let look = Look::new(&number.view, settings, standing, now);
    let mut next = standing.clone();
    if next.shown != number.view.band || next.shown_since.is_none() {
        (next.shown, next.shown_since) = (number.view.band, Some(now));
    }
    next.stale = look.is_stale();
    // A number that is not supposed to send calls nobody; what is open may still recover.
    let worse = match number.status {
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
        let on = settings.gate == Gate::Confidence && settings.early_odds > 0.0;
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
        let evidence = match self.settings.gate {
            Gate::Confidence => self.odds_below(threshold),
            Gate::Wilson => self.interval_below(threshold),
            Gate::Volume => self.volume_below(threshold),
        };
        let most = self.settings.confirm_evaluations.max(1);
        let streak = &mut next.streaks[index];
        *streak = if evidence.is_some() { (*streak + 1).min(most) } else { 0 };
        let confirmed = evidence.filter(|_| *streak >= most);
        confirmed.or_else(|| self.persisted(threshold, &mut next.below_since[index]))
    }

    /// Rule (a), on one evaluation: some window holds more failures than the threshold explains.
    fn odds_below(&self, threshold: f64) -> Option<Evidence> {
        let (elastic, judged) = self.elastic()?;
        let low = judged.rate()? < threshold;
        ODDS.into_iter().find_map(|(window, least)| {
            let tally = self.tally(window);
            // A window longer than the one judged on still holds an outage that is over; it counts
            // only while the rate of now agrees, and not for an incident that has been resolved.
            let fresh = self.well_for.is_none_or(|well_for| well_for >= window.span());
            let current = window <= elastic || (low && fresh);
            let against = odds(tally.failed, tally.judged(), threshold);
            (current && tally.judged() >= least && against >= self.settings.odds)
                .then(|| self.evidence(Rule::Odds, window, threshold))
        })
    }

    /// The same by Wilson's interval.
    fn interval_below(&self, threshold: f64) -> Option<Evidence> {
        let (elastic, judged) = self.elastic()?;
        let low = judged.rate()? < threshold;
        INTERVALS.into_iter().find_map(|(window, z, least)| {
            let tally = self.tally(window);
            let current = window <= elastic || low;
            let [_, upper] = wilson(tally.delivered, tally.judged(), z);
            (current && tally.judged() >= least && upper < threshold)
                .then(|| Evidence { z, ..self.evidence(Rule::Interval, window, threshold) })
        })
    }

    /// Rule (d): the last minutes hold more failures than the threshold explains, even if everything
    /// that has not been heard of yet arrives.
    fn early_below(&self, threshold: f64) -> Option<Evidence> {
        let telling = |early: &Early| early.odds(threshold) >= self.settings.early_odds;
        let early = self.early.into_iter().flatten().find(telling)?;
        let (rule, counters) = match early.span {
            Span::Latest => (Rule::Sudden, &self.view.sums.latest),
            Span::Quarter => (Rule::Early, &self.view.sums.recent),
        };
        let mut counts = Counts::of(counters);
        counts.delivered = early.of.saturating_sub(counts.failed);
        Some(Evidence { threshold, ..Evidence::new(rule, Window::Quarter, counts, self.now) })
    }

    /// Rule (c), on one evaluation.
    fn volume_below(&self, threshold: f64) -> Option<Evidence> {
        let (window, tally) = self.elastic()?;
        (tally.judged() >= self.settings.min_volume && tally.rate()? < threshold)
            .then(|| self.evidence(Rule::Volume, window, threshold))
    }

    /// Rule (b): the plain rate of enough messages has stayed below the threshold, and over the next
    /// longer window it lies there too, so that one unlucky hour is not enough.
    fn persisted(&self, threshold: f64, since: &mut Option<Timestamp>) -> Option<Evidence> {
        let below = |tally: Tally| tally.rate().is_some_and(|rate| rate < threshold);
        let low = self
            .elastic()
            .filter(|(_, tally)| tally.judged() >= MANY && below(*tally))
            .filter(|(window, _)| below(self.tally(window.longer())))
            .filter(|_| self.settings.gate != Gate::Volume);
        let Some((window, _)) = low else {
            *since = None;
            return None;
        };
        let began = *since.get_or_insert(self.now);
        (self.now.since(began) >= self.settings.persist_after)
            .then(|| self.evidence(Rule::Persisted, window, threshold))
    }

    fn evidence(&self, rule: Rule, window: Window, threshold: f64) -> Evidence {
        Evidence { threshold, ..Evidence::new(rule, window, self.view.sums.window(window), self.now) }
    }

    /// Evidence that the band one better than the confirmed one has held for long enough.
    fn better(&self, next: &mut Standing) -> Option<Evidence> {
        let Some(threshold) = next.band.begins_below(&self.settings.thresholds) else {
            next.recovering_since = None;
            return None;
        };
        let Some((window, tally)) = self.elastic().filter(|_| !next.stale) else {
            next.recovering_since = None;
            return None;
        };
        let bad = Band::BAD.into_iter().position(|band| band == next.band);
        let escalating = bad.is_some_and(|index| next.streaks[index] > 0);
        if escalating || !self.is_above(threshold, tally) {
            next.recovering_since = None;
            return None;
        }
        let began = *next.recovering_since.get_or_insert(self.now);
        (self.now.since(began) >= self.settings.recover_after)
            .then(|| self.evidence(Rule::Recovered, window, threshold))
    }

    /// Whether the rate lies surely, or clearly, above the threshold, and the last hour's too: an
    /// hour that fell silent while bad must not be outweighed by the good hours before it. What has
    /// not matured must agree, or an early alert would take itself back before the hour shows it.
    fn is_above(&self, threshold: f64, tally: Tally) -> bool {
        let [lower, _] = wilson(tally.delivered, tally.judged(), 1.0);
        let clearly = threshold + self.settings.recover_margin;
        let above = lower >= threshold || tally.rate().is_some_and(|rate| rate >= clearly);
        let recent = self.tally(Window::Hour).rate();
        let early = self.early.into_iter().flatten().all(|early| early.at_most() >= threshold);
        above && early && recent.is_some_and(|rate| rate >= threshold)
    }
}

impl Standing {
    /// Moves to a worse band.
    fn fall(&mut self, band: Band, evidence: Evidence, relapse_within: Duration) -> Transition {
        let (from, now) = (self.band, evidence.at);
        (self.band, self.since, self.recovering_since) = (band, Some(now), None);
        let open = from > Band::Healthy;
        let relapse = self.resolved.take_if(|resolved| !open && now.since(resolved.at) <= relapse_within);
        let change = match relapse {
            _ if open => Change::Worsened,
            Some(resolved) => {
                (self.incident, self.worst) = (Some(resolved.incident), resolved.worst);
                Change::Reopened
            }
            None => {
                self.worst = Band::Unknown;
                Change::Opened
            }
        };
        let pings = band > self.worst;
        self.worst = self.worst.max(band);
        Transition { change, from, to: band, pings, evidence }
    }

    /// Moves one band up.
    fn rise(&mut self, evidence: Evidence) -> Transition {
        let (from, to, now) = (self.band, self.band.one_better(), evidence.at);
        (self.band, self.since, self.recovering_since) = (to, Some(now), None);
        if to > Band::Healthy {
            return Transition { change: Change::Improved, from, to, pings: false, evidence };
        }
        let worst = std::mem::take(&mut self.worst);
        let incident = self.incident.take().unwrap_or_default();
        self.resolved = Some(Resolved { incident, at: now, worst });
        Transition { change: Change::Resolved, from, to, pings: false, evidence }
    }

    /// Forgets evidence for anything worse.
    fn resume_escalation(&mut self) {
        self.streaks = [0; 3];
        self.below_since = [None; 3];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::story::{Story, number};

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
            let (next, step) = judge(view, &self.story.settings, &self.standing, self.story.now);
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
