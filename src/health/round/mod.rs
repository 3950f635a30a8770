//! One evaluation of everything: a report, the settings, where everything stood and what people have
//! said go in; where everything stands and the steps between come out. Pure.
//!
//! Connections first, since a silent one explains what is missing; then providers, since a sick one
//! explains its numbers; then numbers, and last lists, which are nobody's but their own.

mod group;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Timestamp;
use crate::config::{Health, NumberStatus};
use crate::event::{ConnectionId, Number, Provider};
use crate::health::band::Band;
use crate::health::case::{Calls, Case};
use crate::health::early::odds;
use crate::health::orders::Orders;
use crate::health::outage::{self, OnLeg};
use crate::health::policy::judge;
use crate::health::report::Report;
use crate::health::scope::{Kind, Scope};
use crate::health::signal::{Flag, Signal};
use crate::health::signals;
use crate::health::standing::{Evidence, Resolved, Rule, Transition};
use crate::health::sums::Window;
use crate::health::view::{NumberView, View};
use crate::tally::Notice;

/// What an evaluation found.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// The cases that have changed, by their scope's key.
    pub cases: BTreeMap<String, Case>,
    /// The steps that were taken, in the order of telling.
    pub steps: Vec<Step>,
}

/// A step of one scope.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Whose.
    pub scope: Scope,
    /// What it is about.
    pub kind: Kind,
    /// The step.
    pub transition: Transition,
}

/// Evaluates everything once.
pub fn decide(
    report: &Report,
    settings: &Health,
    before: &BTreeMap<String, Case>,
    orders: &Orders,
    now: Timestamp,
) -> Decision {
    let mut round = Round::new(report, settings, before, (orders, now));
    round.connections();
    round.providers();
    round.numbers();
    round.lists();
    round.decision
}

struct Round<'a> {
    report: &'a Report,
    settings: &'a Health,
    before: &'a BTreeMap<String, Case>,
    orders: &'a Orders,
    now: Timestamp,
    /// The legs at work, by provider.
    legs: BTreeMap<Provider, Vec<OnLeg<'a>>>,
    /// What was told of late, by the number it is about.
    notices: BTreeMap<&'a Number, Vec<&'a Notice>>,
    /// Providers with an open incident.
    sick: BTreeSet<Provider>,
    /// Providers that will have one when they have waited.
    opening: BTreeSet<Provider>,
    /// Providers that may be about to have one.
    suspects: BTreeSet<Provider>,
    /// Connections whose webhook is broken, or was while what is looked at was sent.
    silent: BTreeSet<&'a ConnectionId>,
    decision: Decision,
}

/// A number that is about to open an incident of its own.
struct Opening<'a> {
    number: &'a NumberView,
    case: Case,
    evidence: Option<Evidence>,
}

impl<'a> Round<'a> {
    fn new(
        report: &'a Report,
        settings: &'a Health,
        before: &'a BTreeMap<String, Case>,
        said: (&'a Orders, Timestamp),
    ) -> Self {
        let (orders, now) = said;
        let mut legs: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for number in report.numbers.values() {
            for leg in number.legs.iter().filter(|leg| outage::is_at_work(leg)) {
                if let Some(provider) = leg.provider {
                    legs.entry(provider).or_default().push((number, leg));
                }
            }
        }
        let mut notices: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for notice in &report.notices {
            notices
                .extend(notice.number.as_ref().filter(|n| !notices.contains_key(n)).map(|n| (n, Vec::new())));
            if let Some(of_number) = notice.number.as_ref().and_then(|number| notices.get_mut(number)) {
                of_number.push(notice);
            }
        }
        let (sick, opening, suspects, silent, decision) = Default::default();
        Self {
            report,
            settings,
            before,
            orders,
            now,
            legs,
            notices,
            sick,
            opening,
            suspects,
            silent,
            decision,
        }
    }

    fn connections(&mut self) {
        for (connection, view) in &self.report.connections {
            let told = |notice: &&Notice| notice.connection == *connection && notice.number.is_none();
            let notices: Vec<_> = self.report.notices.iter().filter(told).collect();
            let signals = signals::of_connection(view, &notices, self.settings, self.now);
            let scope = Scope::Connection { connection: connection.clone() };
            let mut case = self.case(&scope);
            case.see(&signals, self.settings, self.now);
            let aftermath = Window::Hour.span() + self.settings.settle;
            let was = case.ended.as_ref().is_some_and(|ended| self.now.since(ended.at) <= aftermath);
            if was || case.flags.get(&Kind::Silence).is_some_and(Flag::is_up) {
                self.silent.insert(connection);
            }
            self.finish(scope, case, &view.view, None);
        }
    }

    fn providers(&mut self) {
        for (provider, view) in &self.report.providers {
            let legs = self.legs.get(provider).map_or(&[][..], Vec::as_slice);
            let scope = Scope::Provider { provider: *provider };
            let mut case = self.case(&scope);
            let many = legs.len() >= outage::NUMBERS_MIN;
            if !many && !case.is_open() {
                continue;
            }
            let settings = self.settings.with(self.settings.thresholds_of(None, Some(*provider)));
            let judged = match many {
                true => Cow::Owned(outage::without_the_worst(&view.view, legs, &settings)),
                false => Cow::Borrowed(&view.view),
            };
            let was_open = case.is_open();
            let (rate, step) = judge(&judged, NumberStatus::Active, &settings, &case.rate, self.now);
            let opens = !was_open && rate.band > Band::Healthy;
            if many && (rate.streaks[0] > 0 || outage::is_suspect(&judged, &settings)) {
                self.suspects.insert(*provider);
            }
            if many && opens && self.waits(&mut case) {
                // By then it is known how bad it is: one call, not one a band.
                self.opening.insert(*provider);
                self.decision.cases.insert(scope.key(), case);
                continue;
            }
            (case.rate, case.grouping_since) = (rate, None);
            if case.is_open() {
                self.sick.insert(*provider);
            }
            self.finish(scope, case, &view.view, step.map(|step| step.evidence));
        }
    }

    fn numbers(&mut self) {
        let mut openings = Vec::new();
        for number in self.report.numbers.values() {
            let scope = Scope::from(number.number.clone());
            let mut case = self.case(&scope);
            if self.is_explained(number, &mut case) {
                continue;
            }
            let (view, status) = self.judged(number, &mut case);
            let settings = self.settings_of(number);
            let (rate, step) = judge(&view, status, &settings, &case.rate, self.now);
            let was_open = case.is_open();
            case.rate = rate;
            case.see(&self.signals_of(number, &case), self.settings, self.now);
            let evidence = step.map(|step| step.evidence);
            let of_delivery =
                case.rate.band > Band::Healthy || case.signals().any(|(kind, _)| kind.is_of_delivery());
            if !was_open && case.is_open() && of_delivery {
                openings.push(Opening { number, case, evidence });
            } else {
                case.grouping_since = None;
                self.finish(scope, case, &number.view, evidence);
            }
        }
        self.group(openings);
    }

    fn lists(&mut self) {
        for (list, view) in &self.report.lists {
            let scope = Scope::List { list: list.clone() };
            let mut case = self.case(&scope);
            case.see(&signals::of_list(view, self.settings), self.settings, self.now);
            self.finish(scope, case, &view.view, None);
        }
    }

    /// Whether a sick provider explains whatever is wrong with a number; its own incident, if it has
    /// one, then becomes part of the provider's.
    fn is_explained(&mut self, number: &NumberView, case: &mut Case) -> bool {
        let sick = |provider: Provider| self.sick.contains(&provider);
        let on_sick = number.legs.iter().filter(|leg| outage::is_at_work(leg));
        let on_sick: Vec<_> =
            on_sick.filter_map(|leg| leg.provider.filter(|p| sick(*p)).map(|p| (leg, p))).collect();
        let Some((_, provider)) = on_sick.first().copied() else {
            if case.absorbed.take().is_some() {
                // Nor do windows longer than the one judged on find it again, for as long as they hold it.
                let (incident, worst) = (String::new(), Band::Unknown);
                case.rate.resolved = Some(Resolved { incident, at: self.now, worst });
                case.released = Some(self.now);
            }
            case.apart = 0;
            return false;
        };
        let is_apart = on_sick.iter().any(|(leg, provider)| {
            let whole = self.report.providers.get(provider);
            whole.is_some_and(|whole| outage::is_apart(&leg.view, &whole.view, self.settings))
        });
        let most = self.settings.confirm_evaluations.max(1);
        let stays_apart = case.apart >= most && case.is_open();
        case.apart = if is_apart || stays_apart { (case.apart + 1).min(most) } else { 0 };
        if case.apart >= most || (is_apart && case.is_open()) {
            return false;
        }
        let rest = outage::rest(number, sick, self.settings);
        if rest.band > Band::Healthy {
            return false;
        }
        let before = case.clone();
        let evidence = Evidence::new(Rule::Grouped, number.view.window(), number.view.counts(), self.now);
        let step = case.absorb(provider, evidence);
        self.keep(Scope::from(number.number.clone()), case.clone(), &before, step);
        true
    }

    /// What a number is judged on, and whether it may open anything. Of one whose provider is sick,
    /// its other legs; of one whose provider was, nothing that its windows still hold of that.
    fn judged(&self, number: &'a NumberView, case: &mut Case) -> (Cow<'a, View>, NumberStatus) {
        let most = self.settings.confirm_evaluations.max(1);
        let sick = |provider: Provider| self.sick.contains(&provider);
        let touched = number.legs.iter().any(|leg| leg.provider.is_some_and(sick) && outage::is_at_work(leg));
        if touched && case.apart < most && !case.is_open() {
            return (Cow::Owned(outage::rest(number, sick, self.settings)), number.status);
        }
        let Some(released) = case.released else { return (Cow::Borrowed(&number.view), number.status) };
        let (since, settle) = (self.now.since(released), self.settings.settle);
        let quarter = number.view.sums.tally(Window::Quarter);
        let against = odds(quarter.failed, quarter.judged(), self.settings.thresholds.healthy);
        let anew = since >= Window::Quarter.span() + settle
            && quarter.judged() >= self.settings.elastic_min
            && against >= self.settings.odds;
        if anew || since >= number.view.window().span() + settle {
            case.released = None;
        }
        let status = if case.released.is_some() { NumberStatus::Inactive } else { number.status };
        (Cow::Borrowed(&number.view), status)
    }

    /// What is said of a number beside its rate. One that may not send opens nothing.
    fn signals_of(&self, number: &NumberView, case: &Case) -> Vec<Signal> {
        let notices = self.notices.get(&number.number).map_or(&[][..], Vec::as_slice);
        let silent = number.legs.iter().any(|leg| self.silent.contains(&leg.connection));
        let mut signals = signals::of_number(number, notices, self.settings, self.now);
        signals.retain(|signal| {
            let flagged = case.flags.get(&signal.kind).map_or(Band::Healthy, |flag| flag.band);
            let active = number.status == NumberStatus::Active && case.released.is_none();
            let explained = silent && signal.kind == Kind::Unreported;
            (active && !explained) || signal.band <= flagged
        });
        signals
    }

    fn settings_of(&self, number: &NumberView) -> Cow<'a, Health> {
        let list = number.lists.first();
        let thresholds = self.settings.thresholds_of(list, number.only_provider());
        let first = list.and_then(|list| self.report.lists.get(list)).is_some_and(|list| list.first_send);
        self.settings.with(if first { thresholds.one_milder() } else { thresholds })
    }

    fn case(&self, scope: &Scope) -> Case {
        let key = scope.key();
        self.decision.cases.get(&key).or_else(|| self.before.get(&key)).cloned().unwrap_or_default()
    }

    /// Takes the step, if it is one, and keeps where the scope stands now.
    fn finish(&mut self, scope: Scope, mut case: Case, view: &View, evidence: Option<Evidence>) {
        let (all, none) = (self.before, Case::default());
        let before = all.get(&scope.key()).unwrap_or(&none);
        let step = match before.is_open() || case.is_open() {
            true => {
                let now = || Evidence::new(Rule::Signal, view.window(), view.counts(), self.now);
                let calls = self.calls(&scope, before);
                case.step(before, evidence.unwrap_or_else(now), self.settings, calls)
            }
            false => None,
        };
        self.keep(scope, case, before, step);
    }

    fn keep(&mut self, scope: Scope, case: Case, before: &Case, step: Option<Transition>) {
        let key = scope.key();
        if let Some(transition) = step {
            self.decision.steps.push(Step { scope, kind: case.kind(before), transition });
        }
        if self.before.get(&key) != Some(&case) {
            self.decision.cases.insert(key, case);
        }
    }

    fn calls(&self, scope: &Scope, before: &Case) -> Calls {
        let acknowledged = |incident: &String| self.orders.acknowledged.contains(incident);
        match () {
            () if self.orders.silence(scope, self.report, self.now).is_some() => Calls::Silenced,
            () if before.rate.incident.as_ref().is_some_and(acknowledged) => Calls::Acknowledged,
            () => Calls::Allowed,
        }
    }
}

#[cfg(test)]
mod tests;
