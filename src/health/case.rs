//! Where one scope stands in the whole policy: its rate, its signals, and the one incident they
//! share. Pure; kept as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::band::Band;
use super::scope::Kind;
use super::signal::{Flag, Patience, Signal};
use super::standing::{Change, Evidence, Resolved, Standing, Transition};
use crate::clock::Timestamp;
use crate::config::Health;
use crate::event::Provider;

/// Where one scope stands: everything an evaluation must remember of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Case {
    /// Its delivery rate, and its open incident.
    #[serde(flatten)]
    pub rate: Standing,
    /// The signals beside the rate that say something, or are about to.
    pub flags: BTreeMap<Kind, Flag>,
    /// The worst band of the open incident that people were called for.
    pub called: Band,
    /// When they were called last.
    pub called_at: Option<Timestamp>,
    /// How often they were reminded of it since.
    pub reminders: u32,
    /// When the open incident opened.
    pub opened_at: Option<Timestamp>,
    /// The incident before, which a relapse re-opens.
    pub ended: Option<Resolved>,
    /// The provider whose incident explains what is wrong.
    pub absorbed: Option<Provider>,
    /// When that incident ended: what its windows still hold is not the scope's own.
    pub released: Option<Timestamp>,
    /// Evaluations in a row on which it was worse than the provider's incident explains.
    pub apart: u32,
    /// Since when it has been about to open, and waits for whatever opens with it.
    pub grouping_since: Option<Timestamp>,
}

/// Whether people may be called about a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// They are.
    Allowed,
    /// Somebody silenced it.
    Silenced,
    /// Somebody has acknowledged the incident: it is called about only when it gets worse.
    Acknowledged,
}

impl Case {
    /// The worst of the rate and the signals that are confirmed.
    pub fn level(&self) -> Band {
        self.flags.values().map(|flag| flag.band).fold(self.rate.band, Band::max)
    }

    /// True while an incident is open.
    pub fn is_open(&self) -> bool {
        self.level() > Band::Healthy
    }

    /// Forgets what was under way: time that nobody watched proves nothing.
    pub fn resume(&mut self) {
        self.rate.resume();
        self.flags.values_mut().for_each(Flag::resume);
        (self.apart, self.grouping_since) = (0, None);
    }

    /// Takes what the signals say now.
    pub(super) fn see(&mut self, signals: &[Signal], settings: &Health, now: Timestamp) {
        for signal in signals {
            let patience = patience(signal.kind, settings);
            let quiet = signal.band <= Band::Healthy;
            if quiet && !self.flags.contains_key(&signal.kind) {
                continue;
            }
            let flag = self.flags.entry(signal.kind).or_default();
            flag.see(signal, patience, now);
            if flag.is_idle() {
                self.flags.remove(&signal.kind);
            }
        }
    }

    /// The step from where it stood before, if it is one; the one incident of rate and signals goes
    /// with it. `evidence` is the rate's.
    pub(super) fn step(
        &mut self,
        before: &Self,
        evidence: Evidence,
        settings: &Health,
        calls: Calls,
    ) -> Option<Transition> {
        // The rate's own idea of its incident does not know of the signals.
        self.rate.incident.clone_from(&before.rate.incident);
        let (from, to, now) = (before.level(), self.level(), evidence.at);
        let change = match (from > Band::Healthy, to > Band::Healthy) {
            (false, false) => return None,
            (false, true) => self.open(now, settings),
            (true, false) => self.close(now),
            (true, true) if to > from => Change::Worsened,
            (true, true) if to < from => Change::Improved,
            (true, true) if self.kinds() != before.kinds() => Change::Joined,
            (true, true) if self.reminds(settings, calls, now) => Change::Reminded,
            (true, true) => return None,
        };
        let falls = matches!(change, Change::Opened | Change::Reopened | Change::Worsened);
        let news = falls && to > self.called && calls != Calls::Silenced;
        let pings = news || change == Change::Reminded;
        if pings {
            self.reminders = if to > self.called { 0 } else { self.reminders.saturating_add(1) };
            (self.called, self.called_at) = (self.called.max(to), Some(now));
        }
        Some(Transition { change, from, to, pings, evidence })
    }

    /// The kind whose band changed, or that is worst.
    pub(super) fn kind(&self, before: &Self) -> Kind {
        if self.rate.band != before.rate.band {
            return Kind::DeliveryRate;
        }
        let was = |kind| before.flags.get(kind).map_or(Band::Unknown, |flag| flag.band);
        let changed = self.flags.iter().filter(|(kind, flag)| flag.is_up() && was(kind) != flag.band);
        let up = || self.flags.iter().filter(|(_, flag)| flag.is_up());
        let worst =
            changed.max_by_key(|(_, flag)| flag.band).or_else(|| up().max_by_key(|(_, flag)| flag.band));
        match worst {
            Some((kind, flag)) if flag.band >= self.rate.band => *kind,
            _ => Kind::DeliveryRate,
        }
    }

    /// The signals that say something bad.
    pub fn signals(&self) -> impl Iterator<Item = (Kind, &Flag)> {
        self.flags.iter().filter(|(_, flag)| flag.is_up()).map(|(kind, flag)| (*kind, flag))
    }

    fn kinds(&self) -> Vec<(Kind, Band)> {
        let signals = self.signals().map(|(kind, flag)| (kind, flag.band));
        signals.chain([(Kind::DeliveryRate, self.rate.band.max(Band::Healthy))]).collect()
    }

    fn open(&mut self, now: Timestamp, settings: &Health) -> Change {
        self.opened_at = Some(now);
        let soon = |ended: &mut Resolved| now.since(ended.at) <= settings.relapse_within;
        match self.ended.take_if(soon) {
            Some(ended) if !ended.incident.is_empty() => {
                (self.rate.incident, self.called) = (Some(ended.incident), ended.worst);
                Change::Reopened
            }
            _ => {
                (self.rate.incident, self.called) = (None, Band::Unknown);
                Change::Opened
            }
        }
    }

    fn close(&mut self, now: Timestamp) -> Change {
        let incident = self.rate.incident.take().unwrap_or_default();
        let worst = std::mem::take(&mut self.called);
        self.ended = Some(Resolved { incident, at: now, worst });
        (self.opened_at, self.called_at, self.reminders) = (None, None, 0);
        Change::Resolved
    }

    /// Whether people are to be called again: they were not when it got so bad, because it was
    /// silenced, or they were long ago and nobody has said that they saw to it.
    fn reminds(&self, settings: &Health, calls: Calls, now: Timestamp) -> bool {
        let level = self.level();
        let wait = match level {
            Band::Degraded => settings.reminders.degraded,
            Band::Critical => settings.reminders.critical,
            Band::Unknown | Band::Healthy | Band::Watch => Duration::ZERO,
        };
        let due = |at: Timestamp| now.since(at) >= wait.saturating_mul(2_u32.saturating_pow(self.reminders));
        calls == Calls::Allowed
            && !self.rate.stale
            && (level > self.called || (!wait.is_zero() && self.called_at.is_some_and(due)))
    }

    /// Gives the open incident over to a provider's, which explains it.
    pub(super) fn absorb(&mut self, provider: Provider, evidence: Evidence) -> Option<Transition> {
        let (from, now) = (self.level(), evidence.at);
        self.absorbed = Some(provider);
        self.rate.resume_escalation();
        if from <= Band::Healthy {
            return None;
        }
        (self.rate.band, self.rate.since, self.rate.recovering_since) = (Band::Healthy, Some(now), None);
        self.flags.retain(|kind, _| !kind.is_of_delivery());
        let to = self.level();
        if to > Band::Healthy {
            return Some(Transition { change: Change::Improved, from, to, pings: false, evidence });
        }
        self.close(now);
        Some(Transition { change: Change::Absorbed, from, to, pings: false, evidence })
    }
}

/// What confirms and ends a signal of this kind.
fn patience(kind: Kind, settings: &Health) -> Patience {
    let recover_after = settings.recover_after;
    let confirm = match kind {
        // Facts need no second look.
        Kind::Silence | Kind::Account | Kind::Complaints | Kind::Registry | Kind::StateLost => 1,
        // As GOV.UK Notify does.
        Kind::SlowDelivery => 10,
        Kind::DeliveryRate | Kind::CarrierFiltered | Kind::BadContacts | Kind::Unreported | Kind::OptOuts => {
            settings.confirm_evaluations
        }
    };
    Patience { confirm, recover_after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::story::NOW;
    use crate::health::{Counts, Rule, Window};

    /// A case whose flags are set, and the steps that follow.
    #[derive(Default)]
    struct Life {
        case: Case,
        minute: u64,
    }

    impl Life {
        fn set(
            &mut self,
            minutes: u64,
            flags: &[(Kind, Band)],
            calls: Calls,
        ) -> Option<(Change, Band, bool)> {
            self.minute += minutes;
            let before = self.case.clone();
            let flag = |band| Flag { band, ..Flag::default() };
            self.case.flags = flags.iter().map(|(kind, band)| (*kind, flag(*band))).collect();
            let now = NOW.plus(Duration::from_secs(60 * self.minute));
            let evidence = Evidence::new(Rule::Signal, Window::Hour, Counts::default(), now);
            let step = self.case.step(&before, evidence, &Health::default(), calls)?;
            if step.change == Change::Opened {
                self.case.rate.incident = Some("i".into());
            }
            Some((step.change, step.to, step.pings))
        }
    }

    const FILTERED: (Kind, Band) = (Kind::CarrierFiltered, Band::Watch);
    const COMPLAINTS: (Kind, Band) = (Kind::Complaints, Band::Watch);
    const GRAVE: (Kind, Band) = (Kind::Complaints, Band::Critical);
    use Calls::{Acknowledged, Allowed, Silenced};

    #[test]
    fn a_second_signal_joins_the_incident_without_a_call_unless_it_is_worse() {
        let mut life = Life::default();
        assert_eq!(life.set(1, &[], Allowed), None);
        assert_eq!(life.set(1, &[FILTERED], Allowed), Some((Change::Opened, Band::Watch, true)));
        assert_eq!(life.set(1, &[FILTERED], Allowed), None);
        assert_eq!(life.set(1, &[FILTERED, COMPLAINTS], Allowed), Some((Change::Joined, Band::Watch, false)));
        assert_eq!(life.set(1, &[FILTERED, GRAVE], Allowed), Some((Change::Worsened, Band::Critical, true)));
        assert_eq!(life.set(1, &[FILTERED], Allowed), Some((Change::Improved, Band::Watch, false)));
        assert_eq!(life.set(1, &[], Allowed), Some((Change::Resolved, Band::Unknown, false)));
        assert_eq!(life.set(60, &[GRAVE], Allowed), Some((Change::Reopened, Band::Critical, false)));
        assert_eq!(life.case.rate.incident.as_deref(), Some("i"));
        assert_eq!(life.set(1, &[], Allowed).map(|step| step.0), Some(Change::Resolved));
        assert_eq!(life.set(121, &[FILTERED], Allowed), Some((Change::Opened, Band::Watch, true)));
    }

    #[test]
    fn reminders_double_until_somebody_has_seen_to_it() {
        let mut life = Life::default();
        life.set(0, &[GRAVE], Allowed);
        let mut reminded = Vec::new();
        for minute in 1..=24 * 60 {
            reminded.extend(life.set(1, &[GRAVE], Allowed).map(|step| (minute, step)));
        }
        let step = (Change::Reminded, Band::Critical, true);
        assert_eq!(reminded, [(240, step), (720, step)]);
        assert_eq!(life.set(100_000, &[GRAVE], Acknowledged), None);
        let mut watch = Life::default();
        watch.set(0, &[FILTERED], Allowed);
        assert_eq!(watch.set(100_000, &[FILTERED], Allowed), None, "watch is never reminded of");
    }

    #[test]
    fn a_silenced_scope_opens_and_calls_only_when_the_silence_is_over() {
        let mut life = Life::default();
        assert_eq!(life.set(1, &[FILTERED], Silenced), Some((Change::Opened, Band::Watch, false)));
        assert_eq!(life.set(1, &[FILTERED], Silenced), None);
        assert_eq!(life.set(1, &[FILTERED], Allowed), Some((Change::Reminded, Band::Watch, true)));
        assert_eq!(life.set(1, &[FILTERED], Allowed), None);
    }

    #[test]
    fn an_absorbed_incident_ends_and_what_is_not_of_delivery_goes_on() {
        let evidence = Evidence::new(Rule::Signal, Window::Hour, Counts::default(), NOW);
        let mut life = Life::default();
        life.set(1, &[FILTERED], Allowed);
        let step = life.case.absorb(Provider::Cm, evidence.clone()).unwrap();
        assert_eq!(
            (step.change, step.pings, life.case.absorbed),
            (Change::Absorbed, false, Some(Provider::Cm))
        );
        assert_eq!(life.case.ended.as_ref().map(|ended| ended.incident.as_str()), Some("i"));
        let mut life = Life::default();
        life.set(1, &[FILTERED, GRAVE], Allowed);
        let step = life.case.absorb(Provider::Cm, evidence).unwrap();
        assert_eq!((step.change, step.to), (Change::Improved, Band::Critical));
    }

    #[test]
    fn a_case_survives_being_written_down_and_reads_what_only_knew_of_a_rate() {
        let mut life = Life::default();
        life.set(1, &[FILTERED], Allowed);
        let text = serde_json::to_string(&life.case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), life.case);
        let standing = Standing { band: Band::Watch, ..Standing::default() };
        let text = serde_json::to_string(&standing).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&text).unwrap().rate, standing);
    }
}
