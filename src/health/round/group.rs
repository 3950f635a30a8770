//! Several of a provider's numbers that open together: whether they wait for each other, and the one
//! incident that opens for all of them. Pure.

use super::{Opening, Round};
use crate::event::Provider;
use crate::health::case::Case;
use crate::health::outage::{self, OnLeg};
use crate::health::scope::Scope;
use crate::health::sums::Window;
use crate::health::view::NumberView;
use crate::health::{Evidence, Rule};

impl<'a> Round<'a> {
    /// Opens what is to be opened: numbers of one provider that open together are one story.
    pub(super) fn group(&mut self, mut openings: Vec<Opening<'_>>) {
        let mut providers: Vec<_> = self.legs.keys().copied().collect();
        providers.retain(|provider| !self.sick.contains(provider));
        for provider in providers {
            let at_work = self.legs.get(&provider).map_or(0, Vec::len);
            let mine =
                openings.iter().filter(|opening| outage::blamed(opening.number) == Some(provider)).count();
            let recent = self.opened_of_late(provider);
            let is_group = mine > 0 && outage::is_group(mine + recent.len(), at_work);
            let is_opening = self.opening.contains(&provider);
            if !is_group && !is_opening && !self.suspects.contains(&provider) {
                continue;
            }
            let (together, others): (Vec<_>, Vec<_>) =
                openings.into_iter().partition(|opening| outage::blamed(opening.number) == Some(provider));
            openings = others;
            let mut before: Vec<_> = together.iter().map(|opening| self.stood(opening.number)).collect();
            let waiting: Vec<_> = before.iter_mut().map(|case| self.waits(case) || is_opening).collect();
            if is_group && !is_opening && waiting.iter().any(|waits| !waits) {
                self.open_for_all(provider, together, recent);
                continue;
            }
            for ((opening, case), waits) in together.into_iter().zip(before).zip(waiting) {
                // Who waits stands where it stood, and is found again when the wait is over.
                match waits {
                    true => drop(self.decision.cases.insert(opening.number.number.to_string(), case)),
                    false => openings.push(opening),
                }
            }
        }
        for Opening { number, mut case, evidence } in openings {
            case.grouping_since = None;
            self.finish(Scope::from(number.number.clone()), case, &number.view, evidence);
        }
    }

    /// One incident for a provider, into which its numbers' go.
    fn open_for_all(&mut self, provider: Provider, together: Vec<Opening<'_>>, recent: Vec<&NumberView>) {
        let Some(view) = self.report.providers.get(&provider).map(|of| &of.view) else { return };
        let bands: Vec<_> = together.iter().map(|opening| opening.case.level()).collect();
        let mut case = self.case(&Scope::Provider { provider });
        (case.rate.band, case.rate.since) = (outage::middle(&bands), Some(self.now));
        self.sick.insert(provider);
        let evidence =
            Evidence::new(Rule::Grouped, Window::Quarter, view.sums.window(Window::Quarter), self.now);
        self.finish(Scope::Provider { provider }, case, view, Some(evidence));
        for number in together.iter().map(|opening| opening.number).chain(recent) {
            let mut case = self.case(&Scope::from(number.number.clone()));
            if !self.is_explained(number, &mut case) {
                self.finish(Scope::from(number.number.clone()), case, &number.view, None);
            }
        }
    }

    /// Numbers whose incident opened within `group_within`, and is this provider's doing.
    fn opened_of_late(&self, provider: Provider) -> Vec<&'a NumberView> {
        let late = |(number, _): &&OnLeg<'_>| {
            let case = self.before.get(number.number.as_str());
            let opened = case.filter(|case| case.is_open()).and_then(|case| case.opened_at);
            let fresh = opened.is_some_and(|at| self.now.since(at) <= self.settings.group_within);
            fresh && outage::blamed(number) == Some(provider)
        };
        let legs = self.legs.get(&provider).map_or(&[][..], Vec::as_slice);
        legs.iter().filter(late).map(|(number, _)| *number).collect()
    }

    /// Whether what is about to open still waits for others to do so.
    pub(super) fn waits(&self, before: &mut Case) -> bool {
        let since = *before.grouping_since.get_or_insert(self.now);
        self.now.since(since) < self.settings.group_wait
    }

    /// Where a number stood before.
    fn stood(&self, number: &NumberView) -> Case {
        self.before.get(number.number.as_str()).cloned().unwrap_or_default()
    }
}
