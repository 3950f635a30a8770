//! Cells and the registry → a view of everything, at one moment. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::band::Band;
use super::case::Case;
use super::response::{Complaints, OptOuts};
use super::scope::{Kind, Scope};
use super::settle::Settle;
use super::signal::Flag;
use super::sums::{Sums, Window};
use super::view::{ConnectionView, Leg, ListView, NumberView, ProviderView, View};
use crate::clock::Timestamp;
use crate::config::{Health, NumberKind, NumberStatus};
use crate::event::{ConnectionId, ListId, Number, Provider};
use crate::registry::Registry;
use crate::tally::{Cells, Notice, Subject};

/// Health at one moment. Everything but cells is a sum made here.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// When it was made.
    pub at: Timestamp,
    /// Why nothing is being judged at present, as a sentence.
    pub held: Option<String>,
    /// Every number that is configured or was heard of.
    pub numbers: BTreeMap<Number, NumberView>,
    /// Every list.
    pub lists: BTreeMap<ListId, ListView>,
    /// Every provider with a connection.
    pub providers: BTreeMap<Provider, ProviderView>,
    /// Every connection.
    pub connections: BTreeMap<ConnectionId, ConnectionView>,
    /// What carriers, registries and providers told in the last 31 days, newest first.
    #[serde(skip)]
    pub notices: Vec<Notice>,
    /// How many cells it was made of.
    pub cells: usize,
}

impl Report {
    /// Adds what only the policy knows: since when each number has been in its band, its incident, and
    /// what is not known because a webhook is broken.
    pub fn stand(&mut self, cases: &BTreeMap<String, Case>) {
        self.forget_the_silent(cases);
        for number in self.numbers.values_mut() {
            let Some(case) = cases.get(number.number.as_str()) else { continue };
            // Between evaluations the band shown may be newer than the one whose age is known.
            number.since = case.rate.shown_since.filter(|_| case.rate.shown == number.view.band);
            number.incident.clone_from(&case.rate.incident);
        }
    }

    /// A broken webhook looks green everywhere: what only it would tell is not known.
    fn forget_the_silent(&mut self, cases: &BTreeMap<String, Case>) {
        let is_silent = |connection: &ConnectionId| {
            let case = cases.get(&Scope::Connection { connection: connection.clone() }.key());
            case.and_then(|case| case.flags.get(&Kind::Silence)).is_some_and(Flag::is_up)
        };
        let silent: BTreeSet<_> = self.connections.keys().filter(|id| is_silent(id)).cloned().collect();
        if silent.is_empty() {
            return;
        }
        let mut heard = BTreeSet::new();
        for (id, connection) in &mut self.connections {
            match silent.contains(id) {
                true => connection.view.forget(),
                false => heard.extend(connection.provider),
            }
        }
        let unheard = |(provider, _): &(&Provider, &mut ProviderView)| !heard.contains(*provider);
        self.providers.iter_mut().filter(unheard).for_each(|(_, provider)| provider.view.forget());
        for number in self.numbers.values_mut() {
            let legs = number.legs.iter_mut().filter(|leg| silent.contains(&leg.connection));
            legs.for_each(|leg| leg.view.forget());
            let busy = |leg: &&Leg| leg.view.sums.tally(Window::Day).judged() > 0;
            if number.legs.iter().filter(busy).all(|leg| silent.contains(&leg.connection)) {
                number.view.forget();
            }
        }
        for list in self.lists.values_mut() {
            let known = |number: &Number| {
                self.numbers.get(number).is_some_and(|number| number.view.band != Band::Unknown)
            };
            if !list.numbers.iter().any(known) {
                list.view.forget();
            }
        }
    }
}

/// Sums the cells into views.
pub fn report(cells: &Cells, registry: &Registry, settings: &Health, now: Timestamp) -> Report {
    let mut gathered = Gathered::known(registry);
    let mut oldest = u32::MAX;
    for (_, cell) in cells.iter() {
        let key = &cell.key;
        let provider = registry.provider_of(&key.connection);
        let settle = provider.map_or(settings.settle, |provider| settings.settle_of(provider));
        let mut sums = Sums::of(cell, settle, now);
        if provider.is_some_and(|provider| settings.unreported_fails.contains(&provider)) {
            sums.fail_unreported();
        }
        oldest = oldest.min(cell.oldest_hour().unwrap_or(u32::MAX));
        gathered.add(key, provider, &sums);
    }
    let counting = now.minus(Window::Month.span()).minute() / 60 >= oldest;
    let frame = Frame { registry, settings, cells, now, counting };
    Report {
        at: now,
        held: None,
        numbers: gathered.numbers.into_iter().map(|(n, g)| (n.clone(), frame.number(n, g))).collect(),
        lists: gathered.lists.into_iter().map(|(id, g)| (id.clone(), frame.list(id, g))).collect(),
        providers: gathered.providers.into_iter().map(|(p, sums)| (p, frame.provider(p, sums))).collect(),
        connections: gathered
            .connections
            .into_iter()
            .map(|(id, sums)| (id.clone(), frame.connection(id, sums)))
            .collect(),
        notices: notices(cells),
        cells: cells.len(),
    }
}

fn notices(cells: &Cells) -> Vec<Notice> {
    let mut notices: Vec<_> = cells.rolls.notices().cloned().collect();
    notices.sort_by_key(|notice| std::cmp::Reverse(notice.at));
    notices
}

/// Sums under way, by what they are of.
#[derive(Default)]
struct Gathered {
    numbers: BTreeMap<Number, OfNumber>,
    lists: BTreeMap<ListId, OfList>,
    providers: BTreeMap<Provider, Arc<Sums>>,
    connections: BTreeMap<ConnectionId, OfConnection>,
}

#[derive(Default)]
struct OfNumber {
    legs: BTreeMap<ConnectionId, Arc<Sums>>,
    lists: BTreeSet<ListId>,
}

#[derive(Default)]
struct OfList {
    sums: Arc<Sums>,
    numbers: BTreeSet<Number>,
}

#[derive(Default)]
struct OfConnection {
    sums: Arc<Sums>,
    unattributed: Arc<Sums>,
}

impl Gathered {
    /// What is configured, with nothing counted yet.
    fn known(registry: &Registry) -> Self {
        let mut gathered = Self::default();
        for entry in registry.numbers() {
            let number = gathered.numbers.entry(entry.number.clone()).or_default();
            for leg in &entry.legs {
                number.legs.entry(leg.clone()).or_default();
            }
            number.lists.extend(registry.list_of(&entry.number).cloned());
        }
        for list in registry.lists() {
            let of_list = gathered.lists.entry(list.id.clone()).or_default();
            of_list.numbers.extend(list.numbers.iter().cloned());
        }
        for connection in registry.connections() {
            gathered.connections.entry(connection.id.clone()).or_default();
            gathered.providers.entry(connection.provider).or_default();
        }
        gathered
    }

    /// Adds one cell to everything it is part of.
    fn add(&mut self, key: &crate::tally::CellKey, provider: Option<Provider>, sums: &Sums) {
        let connection = self.connections.entry(key.connection.clone()).or_default();
        Arc::make_mut(&mut connection.sums).merge(sums);
        if let Some(provider) = provider {
            Arc::make_mut(self.providers.entry(provider).or_default()).merge(sums);
        }
        match &key.number {
            Some(number) => {
                let of_number = self.numbers.entry(number.clone()).or_default();
                of_number
                    .legs
                    .entry(key.connection.clone())
                    .and_modify(|leg| Arc::make_mut(leg).merge(sums))
                    .or_insert_with(|| Arc::new(sums.clone()));
                of_number.lists.extend(key.list.clone());
            }
            None => Arc::make_mut(&mut connection.unattributed).merge(sums),
        }
        if let Some(list) = &key.list {
            let of_list = self.lists.entry(list.clone()).or_default();
            Arc::make_mut(&mut of_list.sums).merge(sums);
            of_list.numbers.extend(key.number.clone());
        }
    }
}

/// What turns sums into views.
struct Frame<'a> {
    registry: &'a Registry,
    settings: &'a Health,
    cells: &'a Cells,
    now: Timestamp,
    /// Whether counting began so long ago that what is new now is new indeed.
    counting: bool,
}

impl Frame<'_> {
    fn number(&self, number: Number, gathered: OfNumber) -> NumberView {
        let sums = together(gathered.legs.values());
        let legs = gathered.legs.into_iter().map(|(connection, sums)| Leg {
            provider: self.registry.provider_of(&connection),
            connection,
            view: self.view(sums),
        });
        let entry = self.registry.number(&number);
        let legs: Vec<_> = legs.collect();
        let first = legs.first().and_then(|leg| leg.provider);
        let provider = first.filter(|_| legs.iter().all(|leg| leg.provider == first));
        let thresholds = self.settings.thresholds_of(gathered.lists.first(), provider);
        let (optouts, complaints) = self.response(&[Subject::Number(number.clone())], &sums);
        NumberView {
            kind: entry.map_or_else(|| NumberKind::of(&number), |entry| entry.kind),
            // A number nobody declared sends all the same, so it is judged all the same.
            status: entry.map_or(NumberStatus::Active, |entry| entry.status),
            registered: entry.is_some(),
            since: None,
            view: self.view(sums).within(&thresholds, self.settings),
            legs,
            lists: gathered.lists.into_iter().collect(),
            optouts,
            complaints,
            incident: None,
            number,
        }
    }

    fn list(&self, list: ListId, gathered: OfList) -> ListView {
        let known = self.registry.list(&list);
        let thresholds = self.settings.thresholds_of(Some(&list), None);
        let mut subjects: Vec<_> = gathered.numbers.iter().cloned().map(Subject::Number).collect();
        subjects.push(Subject::List(list.clone()));
        let (optouts, complaints) = self.response(&subjects, &gathered.sums);
        ListView {
            name: known.map_or_else(|| list.to_string(), |known| known.name.clone()),
            brand: known.map(|known| known.brand.clone()),
            purpose: known.map(|known| known.purpose),
            numbers: gathered.numbers.into_iter().collect(),
            optouts,
            complaints,
            first_send: self.counting && is_first_send(&gathered.sums),
            view: self.view(gathered.sums).within(&thresholds, self.settings),
            list,
        }
    }

    fn provider(&self, provider: Provider, sums: Arc<Sums>) -> ProviderView {
        let thresholds = self.settings.thresholds_of(None, Some(provider));
        let settle = Settle::of(&sums, provider, self.settings);
        ProviderView { settle, provider, view: self.view(sums).within(&thresholds, self.settings) }
    }

    fn connection(&self, connection: ConnectionId, gathered: OfConnection) -> ConnectionView {
        let subject = [Subject::Connection(connection.clone())];
        let (optouts, complaints) = self.response(&subject, &gathered.unattributed);
        ConnectionView {
            provider: self.registry.provider_of(&connection),
            optouts,
            complaints,
            heard: self.cells.heard.get(&connection).copied(),
            connection,
            view: self.view(gathered.sums),
            unattributed: self.view(gathered.unattributed),
        }
    }

    /// What people did in response to these subjects' messages.
    fn response(&self, subjects: &[Subject], sums: &Sums) -> (OptOuts, Complaints) {
        let rolls = &self.cells.rolls;
        (OptOuts::of(rolls, subjects, sums, self.now), Complaints::of(rolls, subjects, sums, self.now))
    }

    fn view(&self, sums: Arc<Sums>) -> View {
        View::new(sums, self.settings)
    }
}

/// The sums of a number with these legs; those of an only leg are the same.
fn together<'a>(mut legs: impl Iterator<Item = &'a Arc<Sums>>) -> Arc<Sums> {
    let mut sums = legs.next().cloned().unwrap_or_default();
    legs.for_each(|leg| Arc::make_mut(&mut sums).merge(leg));
    sums
}

/// Whether everything there is was sent within the last day.
fn is_first_send(sums: &Sums) -> bool {
    let all = sums.totals.total();
    all > 0 && all == sums.windows[Window::Day as usize].total() + sums.pending.total()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::FailureClass;
    use crate::health::story::{NOW, Story, number};
    use crate::tally::{RollKey, RollKind};

    #[test]
    fn every_view_is_a_sum_of_the_same_cells() {
        let mut story = Story::new();
        story.send("tw", Some("+18005550100"), 99, 1).send("ib", Some("+18005550100"), 71, 29);
        story.send("tw", Some("+18005550101"), 50, 0).send("tw", None, 7, 0);
        let report = story.report();
        let sick = &report.numbers[&number("+18005550100")];
        assert_eq!((sick.view.counts().delivered, sick.view.counts().failed), (170, 30));
        assert_eq!((sick.view.band, sick.registered), (Band::Degraded, true));
        let bands: Vec<_> = sick.legs.iter().map(|l| (l.connection.as_str(), l.view.band)).collect();
        assert_eq!(bands, [("ib", Band::Critical), ("tw", Band::Healthy)]);
        let list = &report.lists[&ListId::parse("acme").unwrap()];
        assert_eq!(list.view.counts().judged(), 250);
        assert_eq!(report.providers[&Provider::Twilio].view.counts().judged(), 157);
        let connection = &report.connections[&ConnectionId::parse("tw").unwrap()];
        assert_eq!((connection.view.counts().judged(), connection.unattributed.counts().judged()), (157, 7));
    }

    #[test]
    fn opt_outs_are_set_against_what_was_delivered_and_a_list_is_the_sum_of_its_numbers() {
        let mut story = Story::new();
        story.send("tw", Some("+18005550100"), 400, 0).send("tw", Some("+18005550101"), 100, 0);
        let hours = |n: u64| NOW.minus(std::time::Duration::from_secs(n * 3600)).seconds();
        for (kind, to, at) in [
            (RollKind::OptOuts, "+18005550100", hours(1)),
            (RollKind::OptOuts, "+18005550100", hours(25)),
            (RollKind::OptOuts, "+18005550101", hours(24 * 8)),
            (RollKind::LikelyOptOuts, "+18005550100", hours(2)),
            (RollKind::Complaints, "+18005550101", hours(24 * 6)),
            (RollKind::Complaints, "+18005550101", hours(24 * 8)),
        ] {
            let key = RollKey { kind, subject: Subject::Number(number(to)) };
            story.cells.rolls.roll(&key).put(None, at);
        }
        let report = story.report();
        let sick = serde_json::to_value(&report.numbers[&number("+18005550100")]).unwrap();
        let list = serde_json::to_value(&report.lists[&ListId::parse("acme").unwrap()]).unwrap();
        for (from, pointer, expected) in [
            (&sick, "/optouts/24h", serde_json::json!({"count": 1, "rate": 0.0025, "likely": 1})),
            (&sick, "/optouts/30d/count", 2.into()),
            (&sick, "/complaints", serde_json::json!({"7d": 0})),
            (&list, "/optouts/24h/rate", 0.002.into()),
            (&list, "/optouts/7d/count", 2.into()),
            (&list, "/optouts/30d/count", 3.into()),
            (&list, "/complaints/7d", 1.into()),
        ] {
            assert_eq!(from.pointer(pointer), Some(&expected), "{pointer} in {from:#}");
        }
    }

    #[test]
    fn a_number_nobody_declared_and_one_that_never_sent_are_both_shown() {
        let mut story = Story::new();
        story.send("tw", Some("71441"), 30, 0);
        let report = story.report();
        assert!(!report.numbers[&number("71441")].registered);
        let silent = &report.numbers[&number("+18005550101")];
        assert_eq!((silent.view.band, silent.view.counts().rate()), (Band::Unknown, None));
    }

    #[test]
    fn each_provider_settles_in_its_own_time() {
        let mut story = Story::new();
        story.settings.settle_by_provider.insert(Provider::Infobip, std::time::Duration::from_secs(3600));
        story.send("tw", Some("+18005550100"), 40, 0).send("ib", Some("+18005550100"), 40, 0);
        let view = &story.report().numbers[&number("+18005550100")].view;
        assert_eq!((view.sums.window(Window::Hour).delivered, view.pending()), (40, 40));
    }

    #[test]
    fn the_json_is_the_one_of_the_contract() {
        let mut story = Story::new();
        story.send("ib", Some("+18005550100"), 870, 126);
        story.fail("ib", "+18005550100", FailureClass::Account, 3);
        let report = story.report();
        let json = serde_json::to_value(&report.numbers[&number("+18005550100")]).unwrap();
        assert_eq!(report.at, NOW);
        for (pointer, expected) in [
            ("/number", serde_json::json!("+18005550100")),
            ("/kind", "toll_free".into()),
            ("/status", "active".into()),
            ("/band", "degraded".into()),
            ("/window", "1h".into()),
            ("/rate", 0.8735.into()),
            ("/interval", serde_json::json!([0.8514, 0.8927])),
            ("/delivered", 870.into()),
            ("/failed", 126.into()),
            ("/failures", serde_json::json!({"carrier_filtered": 126})),
            ("/totals/account", 3.into()),
            ("/windows/24h/delivered", 870.into()),
            ("/legs/0/connection", "ib".into()),
            ("/legs/0/provider", "infobip".into()),
            ("/legs/0/band", "degraded".into()),
            ("/lists", serde_json::json!(["acme"])),
        ] {
            assert_eq!(json.pointer(pointer), Some(&expected), "{pointer} in {json:#}");
        }
    }
}
