//! What an incident can see when its card is written: the report, and what is configured. Pure.

use super::incident::{LegLine, ListLine, NumberLine};
use crate::clock::Timestamp;
use crate::event::{ListId, Number, Provider};
use crate::health::{Band, Leg, NumberView, Report, Scope, Tally, View, Window};
use crate::registry::Registry;

/// Numbers an incident of a provider names.
pub(super) const NUMBERS_NAMED: usize = 10;

/// What an incident can see.
pub(super) struct Scene<'a> {
    /// Health at this moment.
    pub(super) report: &'a Report,
    /// What is configured.
    pub(super) registry: &'a Registry,
    /// The moment.
    pub(super) now: Timestamp,
}

impl<'a> Scene<'a> {
    /// What is counted of a scope; none when it is no more.
    pub(super) fn view(&self, scope: &Scope) -> Option<&'a View> {
        let report = self.report;
        match scope {
            Scope::Provider { provider } => report.providers.get(provider).map(|of| &of.view),
            Scope::Connection { connection } => report.connections.get(connection).map(|of| &of.view),
            Scope::State {} => None,
            Scope::List { list } => report.lists.get(list).map(|of| &of.view),
            Scope::Number { number } => report.numbers.get(number).map(|of| &of.view),
            Scope::Leg { number, connection } => {
                let legs = &report.numbers.get(number)?.legs;
                legs.iter().find(|leg| leg.connection == *connection).map(|leg| &leg.view)
            }
        }
    }

    /// The number a scope is about.
    pub(super) fn number(&self, scope: &Scope) -> Option<&'a NumberView> {
        self.report.numbers.get(scope.number()?)
    }

    /// The lists a scope concerns.
    pub(super) fn lists(&self, scope: &Scope) -> Vec<ListLine> {
        match scope {
            Scope::List { list } => vec![self.list(list)],
            Scope::Number { .. } | Scope::Leg { .. } => {
                let lists = self.number(scope).map_or(&[][..], |number| &number.lists);
                lists.iter().map(|list| self.list(list)).collect()
            }
            Scope::Provider { .. } | Scope::Connection { .. } | Scope::State {} => Vec::new(),
        }
    }

    fn list(&self, id: &ListId) -> ListLine {
        let known = self.registry.list(id);
        ListLine {
            list: id.clone(),
            name: known.map_or_else(|| id.to_string(), |known| known.name.clone()),
            brand: known.map(|known| known.brand.clone()),
            first_send: self.report.lists.get(id).is_some_and(|list| list.first_send),
        }
    }

    /// The legs of the number a scope is about.
    pub(super) fn legs(&self, scope: &Scope) -> Vec<LegLine> {
        let legs = self.number(scope).map_or(&[][..], |number| &number.legs);
        let line = |leg: &Leg| LegLine {
            connection: leg.connection.clone(),
            provider: leg.provider,
            band: leg.view.band,
            rate: leg.view.counts().rate(),
            judged: leg.view.counts().judged(),
            day: leg.view.sums.window(Window::Day).judged(),
            week: leg.view.sums.window(Window::Week).matured + leg.view.pending(),
        };
        legs.iter().map(line).collect()
    }

    /// The numbers a provider's incident is made of: the worst, and how many more.
    pub(super) fn numbers(&self, scope: &Scope) -> (Vec<NumberLine>, usize) {
        let Scope::Provider { provider } = scope else { return (Vec::new(), 0) };
        let mut lines: Vec<_> =
            self.legs_of(*provider).filter_map(|(number, leg)| bad(number, leg)).collect();
        lines.sort_by(|a, b| b.failed.cmp(&a.failed).then_with(|| a.number.cmp(&b.number)));
        let more = lines.len().saturating_sub(NUMBERS_NAMED);
        lines.truncate(NUMBERS_NAMED);
        (lines, more)
    }

    /// Every number's leg on a provider.
    pub(super) fn legs_of(&self, provider: Provider) -> impl Iterator<Item = (&'a Number, &'a Leg)> {
        let numbers = self.report.numbers.values();
        numbers
            .flat_map(|number| number.legs.iter().map(move |leg| (&number.number, leg)))
            .filter(move |(_, leg)| leg.provider == Some(provider))
    }
}

/// A leg that fares badly, whether its cohorts have matured or not.
fn bad(number: &Number, leg: &Leg) -> Option<NumberLine> {
    let [quarter, matured] = [Window::Quarter, Window::Hour].map(|window| leg.view.sums.tally(window));
    let recent = Tally::of(&leg.view.sums.recent);
    let lower = |tally: Tally| tally.rate().filter(|_| tally.failed > 0);
    let rate = [recent, quarter, matured].into_iter().filter_map(lower).reduce(f64::min)?;
    (leg.view.band > Band::Healthy || recent.failed > recent.delivered / 4).then(|| NumberLine {
        number: number.clone(),
        rate,
        failed: matured.failed.max(recent.failed),
    })
}
