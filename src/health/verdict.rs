//! What the policy looked at, what held and what is missing: the reasons for its word, and the
//! sentence that says why it alerts or why it does not. Pure; [`explain`](super::policy::explain)
//! makes it, and nothing else may judge.

use serde::Serialize;

use super::band::Band;
use super::rate::{Counts, SHOWN_Z, Tally};
use super::standing::Rule;
use super::sums::Window;
use crate::clock::Timestamp;
use crate::config::NumberStatus;

/// The longest odds that are told apart.
const ODDS_MAX: f64 = 1e9;

/// One rule, looked at once: in one window, for one threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The window it looked at.
    pub window: Window,
    /// Messages in it that are judged; for rule (d) the ones failures are set against.
    pub judged: u64,
    /// Of those, the ones that failed.
    pub failed: u64,
    /// What is compared, beside the rate.
    #[serde(flatten)]
    pub measure: Measure,
    /// What is missing for the rule to hold; nothing when it holds.
    pub lack: Option<Lack>,
}

/// What a rule compares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Measure {
    /// How many to one the odds are against so many failures at the threshold.
    Odds {
        /// So many.
        odds: f64,
        /// So many are asked for.
        odds_needed: f64,
    },
    /// Where the interval ends.
    Bound {
        /// Its upper end, a share of one.
        upper: f64,
        /// The z it was made with.
        z: f64,
    },
    /// The rate alone.
    Rate {},
}

/// What is missing for a rule to hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// So many judged messages.
    TooFew {
        /// The fewest.
        needed: u64,
    },
    /// Failures that chance does not explain.
    Chance,
    /// A rate below the threshold.
    Above,
    /// A rate below the threshold over the next longer window.
    LongerAbove,
    /// A rate below the threshold now: the longer window still holds what is over.
    Over,
    /// The usual traffic: while there is clearly more nothing is said before maturity.
    Unusual,
    /// Anything judged of late.
    Quiet,
    /// Time.
    NotYet {
        /// It has been so since.
        since: Timestamp,
        /// And must have been for so long.
        needed_minutes: u64,
    },
}

/// One band the number could be confirmed to be in, or worse.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BandVerdict {
    /// The band.
    pub band: Band,
    /// The rate below which it begins.
    pub threshold: f64,
    /// Whether it, or a worse one, is confirmed: then there is an incident.
    pub is_confirmed: bool,
    /// Evaluations in a row on which rule (a) or (c) held.
    pub evaluations: u32,
    /// As many confirm the band.
    pub evaluations_needed: u32,
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
}

/// What an incident needs to get better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recovery {
    /// The band it would be in.
    pub to: Band,
    /// The rate from which that band begins.
    pub threshold: f64,
    /// What stands in the way.
    pub hindrance: Option<Hindrance>,
    /// Since when nothing has.
    pub since: Option<Timestamp>,
    /// For how long nothing must.
    pub needed_minutes: u64,
}

/// What stands in the way of recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hindrance {
    /// Nothing was judged of late, and silence proves nothing.
    Quiet,
    /// The evidence against it held on the last evaluation.
    Escalating,
    /// The rate lies neither surely nor clearly above the threshold.
    NotClear,
    /// The last minutes, which have not matured, lie below it.
    Early,
    /// The last hour lies below it.
    Hour,
}

/// What the policy makes of one number, or any other view, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// When.
    pub at: Timestamp,
    /// Whether it may send.
    pub status: NumberStatus,
    /// The band of the point rate.
    pub shown: Band,
    /// The window that is shown.
    pub window: Window,
    /// What was counted in it.
    pub counts: Counts,
    /// Messages too young to be judged.
    pub pending: u64,
    /// The band that is confirmed; unknown and healthy are both “no incident”.
    pub confirmed: Band,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Whether too little is known of late to change anything.
    pub stale: bool,
    /// Each bad band, mildest first.
    pub bands: Vec<BandVerdict>,
    /// What the open incident needs to get better.
    pub recovery: Option<Recovery>,
}

impl Measure {
    /// Odds, as far as they are told apart.
    pub(super) const fn odds(against: f64, needed: f64) -> Self {
        Self::Odds { odds: against.min(ODDS_MAX), odds_needed: needed }
    }
}

impl Finding {
    pub(super) const fn new(rule: Rule, window: Window, tally: Tally, lack: Option<Lack>) -> Self {
        let (judged, failed) = (tally.judged(), tally.failed);
        Self { rule, window, judged, failed, measure: Measure::Rate {}, lack }
    }

    pub(super) const fn measured(mut self, measure: Measure) -> Self {
        self.measure = measure;
        self
    }

    /// Whether the rule holds.
    pub const fn holds(&self) -> bool {
        self.lack.is_none()
    }

    /// How near the rule is to holding, of those that look at the same: from 0 to 1.
    fn nearness(&self) -> f64 {
        match (self.lack, self.measure) {
            (None, _) => 1.0,
            (Some(Lack::NotYet { .. }), _) => 0.99,
            (Some(Lack::Chance), Measure::Odds { odds, odds_needed }) => 0.9 * (odds / odds_needed).min(1.0),
            (Some(Lack::Chance), Measure::Bound { upper, .. }) => 0.9 * (1.0 - upper),
            (Some(Lack::Over | Lack::LongerAbove), _) => 0.2,
            (Some(_), _) => 0.0,
        }
    }

    /// What was looked at and what came of it, in words that follow a colon.
    pub fn sentence(&self, threshold: f64) -> String {
        let Self { judged, failed, .. } = *self;
        let (over, limit) = (self.over(), percent(threshold));
        let told = match self.measure {
            Measure::Odds { odds, odds_needed } => format!(
                "{failed} of {judged} failed over {over}; at a true {limit} % the odds against that are {} to 1, \
                 and {odds_needed} to 1 are asked for",
                told(odds)
            ),
            Measure::Bound { upper, .. } => {
                format!(
                    "{failed} of {judged} failed over {over}; the interval ends at {} %, to lie below {limit} %",
                    percent(upper)
                )
            }
            Measure::Rate {} => format!("{failed} of {judged} failed over {over}, against {limit} %"),
        };
        match self.lack {
            None => told,
            Some(Lack::Chance) => format!("{told}: chance explains it"),
            Some(Lack::TooFew { needed }) => {
                format!("{judged} messages are judged over {over}, and {needed} are asked for")
            }
            Some(Lack::Above) => format!("the rate over {over} is not below {limit} %"),
            Some(Lack::LongerAbove) => format!(
                "the rate over {over} is below {limit} %, but over {} it is not",
                self.window.longer().name()
            ),
            Some(Lack::Over) => format!("{told}; but that is over: the rate of now is not below {limit} %"),
            Some(Lack::Unusual) => {
                format!("more was sent within {over} than is usual, so nothing is said before it matures")
            }
            Some(Lack::Quiet) => "nothing was judged within the last hour".to_owned(),
            Some(Lack::NotYet { since, needed_minutes }) => format!(
                "the rate over {over} has been below {limit} % since {since}, and {needed_minutes} min are asked for"
            ),
        }
    }

    const fn over(&self) -> &'static str {
        match self.rule {
            Rule::Sudden => "5m",
            _ => self.window.name(),
        }
    }
}

impl BandVerdict {
    /// Why the band is not confirmed, in words that follow a colon.
    pub fn sentence(&self) -> String {
        if self.evaluations > 0 && self.evaluations < self.evaluations_needed {
            let holding = self.findings.iter().find(|finding| finding.holds());
            let held =
                holding.map_or_else(String::new, |held| format!(" ({})", held.sentence(self.threshold)));
            return format!(
                "the evidence has held on {} of {} evaluations in a row{held}",
                self.evaluations, self.evaluations_needed
            );
        }
        let (waiting, others): (Vec<&Finding>, Vec<&Finding>) =
            self.findings.iter().partition(|found| matches!(found.lack, Some(Lack::NotYet { .. })));
        let nearest = others.into_iter().max_by(|a, b| a.nearness().total_cmp(&b.nearness()));
        let said = nearest.into_iter().chain(waiting).map(|found| found.sentence(self.threshold));
        said.collect::<Vec<_>>().join("; and ")
    }
}

impl Verdict {
    /// Why it alerts, or why it does not.
    pub fn sentence(&self) -> String {
        let rate = self.rate();
        if self.confirmed > Band::Healthy {
            let since = self.since.map_or_else(String::new, |since| format!(" since {since}"));
            let worse = self.bands.iter().find(|band| !band.is_confirmed && band.band <= self.shown);
            let worse = worse.map_or_else(String::new, |worse| {
                format!(" It is not confirmed to be {}: {}.", worse.band.name(), worse.sentence())
            });
            return format!(
                "It alerts: {} is confirmed{since}; now {rate}.{worse}{}",
                self.confirmed.name(),
                self.recovery.map_or_else(String::new, |recovery| format!(" {}", recovery.sentence()))
            );
        }
        if self.status != NumberStatus::Active {
            return format!(
                "It does not alert: it is {}, and such a number calls nobody.",
                self.status.name()
            );
        }
        if self.stale {
            return format!(
                "It does not alert: nothing was judged within the last hour, and silence proves nothing. Last {rate}."
            );
        }
        let (shown, threshold) = match self.bands.iter().find(|band| !band.is_confirmed) {
            None => return format!("It does not alert: {rate}."),
            Some(mildest) if self.shown < mildest.band => (None, mildest.threshold),
            Some(mildest) => (Some(mildest), mildest.threshold),
        };
        match shown {
            None => format!("It does not alert: {rate}, not below {} %.", percent(threshold)),
            Some(mildest) => {
                format!(
                    "It does not alert: {rate}, below {} %; but {}.",
                    percent(threshold),
                    mildest.sentence()
                )
            }
        }
    }

    fn rate(&self) -> String {
        let (Some(rate), Some([low, high])) = (self.counts.rate(), self.counts.interval(SHOWN_Z)) else {
            return "nothing is judged".to_owned();
        };
        let [rate, low, high] = [rate, low, high].map(percent);
        let (judged, window) = (self.counts.judged(), self.window.name());
        format!("{rate} % ({low}–{high}) of {judged} judged over {window}")
    }
}

impl Recovery {
    /// What is missing for it, as a sentence.
    pub fn sentence(&self) -> String {
        let (to, limit) = (self.to.name(), percent(self.threshold));
        let why = match (self.hindrance, self.since) {
            (Some(Hindrance::Quiet), _) => "nothing was judged within the last hour".to_owned(),
            (Some(Hindrance::Escalating), _) => {
                "the evidence against it held on the last evaluation".to_owned()
            }
            (Some(Hindrance::NotClear), _) => format!("the rate is not clearly above {limit} %"),
            (Some(Hindrance::Early), _) => format!("the last minutes lie below {limit} %"),
            (Some(Hindrance::Hour), _) => format!("the last hour lies below {limit} %"),
            (None, since) => {
                let since = since.map_or_else(String::new, |since| format!(" since {since}"));
                return format!(
                    "It is recovering to {to}{since}, which must last {} min.",
                    self.needed_minutes
                );
            }
        };
        format!("It is not recovering to {to}: {why}.")
    }
}

/// Odds in a number that can be read.
fn told(odds: f64) -> String {
    match odds {
        ..10.0 => format!("{odds:.1}"),
        10.0..1e6 => format!("{odds:.0}"),
        _ => "over a million".to_owned(),
    }
}

/// One decimal, rounded down towards the worse so that 94.96 never reads as 95.0.
pub fn percent(share: f64) -> String {
    format!("{:.1}", (share * 1000.0 + 1e-9).floor() / 10.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::health::policy::{explain, judge};
    use crate::health::story::{Story, number};
    use crate::health::{NumberView, Standing};

    const NUMBER: &str = "+18005550100";

    fn view(story: &Story) -> NumberView {
        story.report().numbers[&number(NUMBER)].clone()
    }

    fn verdict(story: &Story, standing: &Standing) -> Verdict {
        let number = view(story);
        explain(&number.view, number.status, &story.settings, standing, story.now)
    }

    /// The verdict after so many evaluations.
    fn after(story: &Story, evaluations: u32) -> Verdict {
        let mut standing = Standing::default();
        for _ in 0..evaluations {
            (standing, _) =
                judge(&view(story).view, view(story).status, &story.settings, &standing, story.now);
        }
        verdict(story, &standing)
    }

    fn story(good: i64, bad: i64) -> Story {
        let mut story = Story::new();
        story.send("ib", Some(NUMBER), good, bad);
        story
    }

    #[test]
    fn why_it_does_not_alert_is_one_sentence() {
        for (good, bad, evaluations, said) in [
            (98, 2, 1, "It does not alert: 98.0 % (92.9–99.4) of 100 judged over 1h, not below 95.0 %."),
            (
                94,
                6,
                1,
                "chance explains it; and the rate over 1h has been below 95.0 % since 2026-11-23T10:00:00.000Z, and 60 min are asked for.",
            ),
            (88, 12, 1, "but the evidence has held on 1 of 3 evaluations in a row (12 of 100 failed over 1h"),
            (3, 7, 1, "It does not alert: nothing was judged within the last hour"),
            (80, 20, 4, "It alerts: degraded is confirmed since 2026-11-23T10:00:00"),
        ] {
            let sentence = after(&story(good, bad), evaluations).sentence();
            assert!(sentence.contains(said), "{good}/{bad}: {sentence}");
        }
        let mut quiet = Story::with_status(NumberStatus::Inactive);
        quiet.send("ib", Some(NUMBER), 50, 50);
        assert!(after(&quiet, 4).sentence().contains("it is inactive, and such a number calls nobody"));
    }

    #[test]
    fn an_alert_says_what_keeps_it_from_worse_and_from_better() {
        let sentence = after(&story(860, 140), 4).sentence();
        assert!(sentence.starts_with("It alerts: degraded is confirmed"), "{sentence}");
        assert!(
            sentence.ends_with(
                "It is not recovering to watch: the evidence against it held on the last evaluation."
            ),
            "{sentence}"
        );
    }

    #[test]
    fn the_verdict_looks_at_what_the_policy_looks_at() {
        // Traffic that worsens by the minute: whenever the policy confirms a band, the verdict of the
        // moment before knows a finding of that rule that holds, and lacks nothing but repetition.
        let mut story = Story::new();
        let (mut standing, mut steps) = (Standing::default(), 0);
        for minute in 0..200_i64 {
            story.now = story.now.plus(Duration::from_secs(60));
            let bad = minute / 10;
            story.send_now("ib", NUMBER, 20 - bad.min(20), bad.min(20));
            let before = verdict(&story, &standing);
            let (next, step) =
                judge(&view(&story).view, view(&story).status, &story.settings, &standing, story.now);
            standing = next;
            let Some(step) = step else { continue };
            steps += 1;
            let band = before.bands.iter().find(|band| band.band == step.to).unwrap();
            let found = band.findings.iter().find(|finding| finding.rule == step.evidence.rule);
            assert!(!band.is_confirmed && found.is_some_and(|found| found.nearness() > 0.9), "{band:#?}");
        }
        assert_eq!(steps, 3, "watch, degraded, critical");
    }
}
