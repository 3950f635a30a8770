//! An incident: everything that is known of one time something was not healthy. Pure; kept as JSON.
//!
//! It holds all a card or an explanation needs, and never a recipient.

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::cause::{Cause, advice};
use super::scene::Scene;
use crate::clock::Timestamp;
use crate::event::{ConnectionId, FailureClass, ListId, Number, Provider};
use crate::health::{Band, Case, Change, Evidence, Kind, Rule, Scope, Transition, View, Window};

/// Steps kept in a timeline; more than a bad day has.
const TIMELINE_MAX: usize = 20;
/// Messages a second window must hold to be shown beside the one that is judged on.
const BESIDE_MIN: u64 = 20;

/// One time a number, a list, a provider or a connection was not healthy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id, a ULID.
    pub id: String,
    /// What kind of thing went wrong.
    pub kind: Kind,
    /// Where it went wrong.
    #[serde(flatten)]
    pub scope: Scope,
    /// Its band now.
    pub band: Band,
    /// The worst it has been in.
    pub worst: Band,
    /// When it opened.
    pub opened: Timestamp,
    /// When its band last changed.
    pub changed: Timestamp,
    /// When it ended.
    pub resolved: Option<Timestamp>,
    /// True while there is too little data to say more.
    pub stale: bool,
    /// What proved the last step.
    pub evidence: Evidence,
    /// The counts of now, in the window that is judged on.
    pub current: Evidence,
    /// The counts of now in the window that proved the last step, or in the last quarter of an hour
    /// where that is the window judged on; none while that window holds too little to speak of.
    #[serde(default)]
    pub beside: Option<Evidence>,
    /// Messages that have not matured.
    pub pending: u64,
    /// Why.
    pub cause: Cause,
    /// What to do.
    pub advice: String,
    /// The lists it concerns.
    pub lists: Vec<ListLine>,
    /// The legs it concerns.
    pub legs: Vec<LegLine>,
    /// Signals beside the rate that say something bad, or did when it ended.
    #[serde(default)]
    pub signals: Vec<SignalLine>,
    /// True while the rate itself is part of it.
    #[serde(default)]
    pub is_of_rate: bool,
    /// Of a provider's incident, the numbers that fare worst.
    #[serde(default)]
    pub numbers: Vec<NumberLine>,
    /// How many more there are.
    #[serde(default)]
    pub numbers_more: usize,
    /// The provider whose incident explains it, and took it over.
    #[serde(default)]
    pub part_of: Option<Provider>,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Who has taken it on, if anybody has since it was at its worst.
    #[serde(default)]
    pub acknowledged: Option<Acknowledgement>,
    /// When its card was last asked to be posted or edited.
    pub told: Timestamp,
    /// Its card on Discord.
    pub discord: Option<Posted>,
}

/// That somebody has taken an incident on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A message on Discord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// The message's id.
    pub message: String,
    /// Its channel's id, where Discord said so.
    pub channel: Option<String>,
}

/// A list as a card names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListLine {
    /// Its id.
    pub list: ListId,
    /// Its name.
    pub name: String,
    /// Its brand.
    pub brand: Option<String>,
    /// Whether this is the first that is sent to it in a month.
    #[serde(default)]
    pub first_send: bool,
}

/// A signal as a card shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalLine {
    /// Which.
    pub kind: Kind,
    /// How bad it is.
    pub band: Band,
    /// The counts.
    pub sentence: String,
}

/// A number as a provider's card names it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberLine {
    /// The number.
    pub number: Number,
    /// Its rate on this provider, of the last quarter of an hour or hour, whichever is lower.
    pub rate: f64,
    /// Messages that failed.
    pub failed: u64,
}

/// A leg as a card shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LegLine {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its provider.
    pub provider: Option<Provider>,
    /// Its band.
    pub band: Band,
    /// Its rate.
    pub rate: Option<f64>,
    /// Messages that rate is made of.
    pub judged: u64,
    /// Messages judged over a day.
    #[serde(default)]
    pub day: u64,
    /// Messages sent over a week.
    #[serde(default)]
    pub week: u64,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub change: Change,
    /// The band it led to.
    pub band: Band,
    /// The rate then.
    pub rate: f64,
}

impl Incident {
    /// Opens an incident. `random` makes its id unlike others of the same millisecond.
    pub fn open(about: (Scope, Kind), transition: &Transition, random: u128) -> Self {
        let ((scope, kind), now) = (about, transition.evidence.at);
        let id = Ulid::from_parts(u64::try_from(now.millis()).unwrap_or(0), random);
        let mut incident = Self {
            id: id.to_string(),
            kind,
            scope,
            band: transition.to,
            worst: transition.to,
            opened: now,
            changed: now,
            resolved: None,
            stale: false,
            current: transition.evidence.clone(),
            beside: None,
            evidence: transition.evidence.clone(),
            pending: 0,
            cause: Cause::default(),
            advice: String::new(),
            lists: Vec::new(),
            legs: Vec::new(),
            signals: Vec::new(),
            is_of_rate: kind == Kind::DeliveryRate,
            numbers: Vec::new(),
            numbers_more: 0,
            part_of: None,
            timeline: Vec::new(),
            acknowledged: None,
            told: now,
            discord: None,
        };
        incident.step(transition);
        incident
    }

    /// Takes a step.
    pub fn step(&mut self, transition: &Transition) {
        let now = transition.evidence.at;
        if transition.to != self.band {
            self.changed = now;
        }
        self.band = transition.to;
        self.worst = self.worst.max(transition.to);
        let ends = matches!(transition.change, Change::Resolved | Change::Absorbed);
        self.resolved = ends.then_some(now);
        if transition.pings {
            // What people are called for anew, nobody has taken on yet.
            self.acknowledged = None;
        }
        // What only joins or reminds proves nothing new of the rate.
        if transition.evidence.rule != Rule::Signal || !self.is_of_rate {
            self.evidence = transition.evidence.clone();
        }
        if self.timeline.len() == TIMELINE_MAX {
            // How it began is worth more than what came second.
            self.timeline.remove(1);
        }
        self.timeline.push(TimelineEntry {
            at: now,
            change: transition.change,
            band: transition.to,
            rate: transition.evidence.rate,
        });
    }

    /// Brings what is shown beside the steps up to date.
    pub(super) fn observe(&mut self, case: &Case, scene: &Scene<'_>) {
        self.stale = case.rate.stale && self.is_of_rate;
        self.part_of = case.absorbed.filter(|_| !self.is_open());
        // What it was is shown when it is over.
        if self.is_open() {
            self.is_of_rate = case.rate.band > Band::Healthy;
            self.signals = case
                .signals()
                .map(|(kind, flag)| SignalLine { kind, band: flag.band, sentence: flag.sentence.clone() })
                .collect();
        }
        let Some(view) = scene.view(&self.scope) else { return };
        self.current = current(view, view.window(), scene.now);
        self.beside = self.beside(view, scene.now);
        self.pending = view.pending();
        self.explain(view, scene);
        self.lists = scene.lists(&self.scope);
        self.legs = scene.legs(&self.scope);
        if self.is_open() || self.numbers.is_empty() {
            (self.numbers, self.numbers_more) = scene.numbers(&self.scope);
        }
    }

    /// Says why. The failures of a number that is recovering are not why it was ill.
    fn explain(&mut self, view: &View, scene: &Scene<'_>) {
        let cause = Cause::of(&self.scope, view, scene);
        let telling = self.is_open() && self.is_ailing(view) && cause.class.is_some();
        if telling || self.cause.class.is_none() {
            // What only meets a provider's numbers together is not their lists' doing.
            let of_provider = matches!(self.scope, Scope::Provider { .. });
            let class = if of_provider { Some(FailureClass::ProviderError) } else { cause.class };
            self.advice = advice(class).to_owned();
            self.cause = cause;
        }
        let of_signals = self.signals.iter().max_by_key(|signal| signal.band);
        if let Some(advice) = of_signals.filter(|_| !self.is_of_rate).and_then(|signal| signal.kind.advice())
        {
            advice.clone_into(&mut self.advice);
        }
    }

    /// True until it is resolved.
    pub const fn is_open(&self) -> bool {
        self.resolved.is_none()
    }

    /// The leg that alone is to blame.
    pub fn sick_leg(&self) -> Option<&LegLine> {
        let sick = self.cause.leg.as_ref()?;
        self.legs.iter().find(|leg| leg.connection == *sick)
    }

    /// Whether it is no better of late than it was; without a second window to tell, whether it is bad.
    fn is_ailing(&self, view: &View) -> bool {
        match &self.beside {
            Some(beside) if beside.window < self.current.window => beside.rate <= self.current.rate,
            Some(beside) => self.current.rate <= beside.rate,
            None => view.band > Band::Healthy,
        }
    }

    fn beside(&self, view: &View, now: Timestamp) -> Option<Evidence> {
        let window = match self.evidence.window {
            same if same == view.window() => Window::Quarter,
            other => other,
        };
        let counts = view.sums.window(window);
        (window != view.window() && counts.judged() >= BESIDE_MIN).then(|| current(view, window, now))
    }

    /// The windows a card shows, the telling one first: while the incident is open the one with the
    /// lower rate, which is the one that agrees with the band, and afterwards the one judged on.
    pub fn shown(&self) -> (&Evidence, Option<&Evidence>) {
        match &self.beside {
            Some(beside) if self.is_open() && beside.rate < self.current.rate => {
                (beside, Some(&self.current))
            }
            Some(beside) => (&self.current, Some(beside)),
            None => (&self.current, None),
        }
    }

    /// True while what proved the last step is worse than any window shows, because its messages have
    /// not matured.
    pub fn is_early(&self) -> bool {
        let (proof, (shown, _)) = (&self.evidence, self.shown());
        let is_early = matches!(proof.rule, Rule::Early | Rule::Sudden) && proof.rate < shown.rate;
        is_early && self.is_open() && self.current.at.since(proof.at) < Window::Quarter.span()
    }

    /// True when a card made of `other` would say the same, times aside.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let same_counts = self.current.counts == other.current.counts && self.pending == other.pending;
        let beside = |incident: &Self| incident.beside.as_ref().map(|beside| beside.counts.clone());
        let same_counts = same_counts && beside(self) == beside(other);
        let same_counts = same_counts && self.signals == other.signals && self.numbers == other.numbers;
        same_counts && self.band == other.band && self.stale == other.stale && self.legs == other.legs
    }
}

fn current(view: &View, window: Window, now: Timestamp) -> Evidence {
    Evidence::new(Rule::Odds, window, view.sums.window(window), now)
}

#[cfg(test)]
pub(super) mod sample {
    use super::*;
    use std::collections::BTreeMap;

    use crate::health::story::{Story, number};
    use crate::health::{Orders, decide};

    pub(in crate::alert) const NUMBER: &str = "+18005550100";

    /// A story in which the number's Infobip leg is sick and its Twilio leg is not.
    pub(in crate::alert) fn sick() -> Story {
        let mut story = Story::new();
        story.send("tw", Some(NUMBER), 99, 1).send("ib", Some(NUMBER), 40, 81);
        story.fail("ib", NUMBER, FailureClass::Unreachable, 12);
        story.fail("ib", NUMBER, FailureClass::Expired, 3).fail("ib", NUMBER, FailureClass::Unknown, 1);
        story
    }

    /// The incident of that story.
    pub(in crate::alert) fn incident() -> Incident {
        of(&sick(), &number(NUMBER).into())
    }

    /// A scope's first incident of a story that goes on as it is.
    pub(in crate::alert) fn of(story: &Story, scope: &Scope) -> Incident {
        let report = story.report();
        let scene = Scene { report: &report, registry: &story.registry, now: story.now };
        let mut cases = BTreeMap::new();
        for _ in 0..12 {
            let mut decision = decide(&report, &story.settings, &cases, &Orders::default(), story.now);
            cases.append(&mut decision.cases);
            if let Some(step) = decision.steps.into_iter().find(|step| step.scope == *scope) {
                let mut incident = Incident::open((step.scope, step.kind), &step.transition, 7);
                incident.observe(&cases[&scope.key()], &scene);
                return incident;
            }
        }
        unreachable!("the story is a sick one")
    }
}

#[cfg(test)]
mod tests {
    use super::sample::incident;
    use super::*;

    #[test]
    fn an_incident_names_the_cause_and_the_leg_that_is_to_blame() {
        let incident = incident();
        assert_eq!(incident.band, Band::Critical);
        assert_eq!(incident.sick_leg().map(|leg| leg.connection.as_str()), Some("ib"));
        assert!(incident.cause.sentence.contains("filtered by carriers"), "{}", incident.cause.sentence);
        assert!(incident.advice.contains("content"), "{}", incident.advice);
    }

    #[test]
    fn the_window_that_agrees_with_the_band_is_shown_first() {
        let mut incident = incident();
        let window = |window, rate| Evidence { window, rate, ..incident.current.clone() };
        let (quarter, hour) = (window(Window::Quarter, 0.928), window(Window::Hour, 0.966));
        (incident.current, incident.beside) = (hour.clone(), Some(quarter.clone()));
        assert_eq!(incident.shown(), (&quarter, Some(&hour)));
        incident.resolved = Some(incident.opened);
        assert_eq!(incident.shown(), (&hour, Some(&quarter)));
        incident.beside = None;
        assert_eq!(incident.shown(), (&hour, None));
    }

    #[test]
    fn a_timeline_keeps_its_beginning_and_its_end() {
        let mut incident = incident();
        let evidence = incident.evidence.clone();
        let step = |change| Transition {
            change,
            from: Band::Watch,
            to: Band::Watch,
            pings: false,
            evidence: evidence.clone(),
        };
        (0..50).for_each(|_| incident.step(&step(Change::Improved)));
        incident.step(&step(Change::Resolved));
        assert_eq!(incident.timeline.len(), TIMELINE_MAX);
        assert_eq!(incident.timeline[0].change, Change::Opened);
        assert_eq!(incident.timeline[TIMELINE_MAX - 1].change, Change::Resolved);
        assert!(!incident.is_open());
    }

    #[test]
    fn an_incident_survives_being_written_down() {
        let incident = incident();
        let text = serde_json::to_string(&incident).unwrap();
        assert_eq!(serde_json::from_str::<Incident>(&text).unwrap(), incident);
    }
}
