//! A view → what its failures are, in plain words, and what to do about them. Pure.

use serde::{Deserialize, Serialize};

use super::scene::Scene;
use super::text::spaced;
use crate::event::{ConnectionId, FailureClass};
use crate::health::{Band, Leg, NumberView, Scope, View, Window};

/// Messages the usual share must be made of to be compared with.
const USUAL_MIN: u64 = 50;
/// Messages a leg must have had in a day to be called healthy or not.
const LEG_MIN: u64 = 20;

/// Why the rate is low, as far as the counts say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    /// The failure class that dominates.
    pub class: Option<FailureClass>,
    /// One sentence.
    pub sentence: String,
    /// The leg that alone is to blame: the others are healthy.
    pub leg: Option<ConnectionId>,
}

impl Cause {
    /// Names the class with the largest excess over the week's usual share, or, where nothing is
    /// usual yet, the largest share; and the one number that most of it is on, where there is one.
    pub(super) fn of(scope: &Scope, whole: &View, scene: &Scene<'_>) -> Self {
        let leg = scene.number(scope).and_then(sick_leg);
        let view = leg.map_or(whole, |leg| &leg.view);
        let (counts, week) = (view.counts(), view.sums.window(Window::Week));
        let usual_of = |class| week.failures.get(&class).copied().unwrap_or(0);
        let before = week.judged().saturating_sub(counts.judged());
        let usual = |class, count: u64| match before {
            USUAL_MIN.. => usual_of(class).saturating_sub(count) as f64 / before as f64,
            _ => 0.0,
        };
        let excess: Vec<_> = counts
            .failures
            .iter()
            .map(|(class, count)| {
                let expected = usual(*class, *count) * counts.judged() as f64;
                (*class, (*count as f64 - expected).max(0.0))
            })
            .collect();
        let all: f64 = excess.iter().map(|(_, extra)| extra).sum();
        let most = excess.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let whose = if before >= USUAL_MIN { "the extra failures" } else { "the failures" };
        let on = leg.map_or_else(|| on_a_number(scope, scene), |leg| format!(" on {}", leg_name(leg)));
        match most.filter(|(_, extra)| *extra > 0.0) {
            Some((class, extra)) => Self {
                class: Some(class),
                sentence: format!(
                    "{:.0} % of {whose}{on}: {} ({}).",
                    100.0 * extra / all,
                    label(class),
                    words(class)
                ),
                leg: leg.map(|leg| leg.connection.clone()),
            },
            None => Self {
                class: None,
                sentence: "No failure in this window stands out.".into(),
                leg: leg.map(|leg| leg.connection.clone()),
            },
        }
    }
}

/// The number that most of a provider's or a list's extra failures are on, if there is one.
fn on_a_number(scope: &Scope, scene: &Scene<'_>) -> String {
    let views: Vec<_> = match scope {
        Scope::Provider { provider } => {
            scene.legs_of(*provider).map(|(number, leg)| (number, &leg.view)).collect()
        }
        Scope::List { list } => {
            let on_list = scene.report.numbers.values().filter(|number| number.lists.contains(list));
            on_list.map(|number| (&number.number, &number.view)).collect()
        }
        Scope::Number { .. } | Scope::Leg { .. } | Scope::Connection { .. } | Scope::State {} => {
            return String::new();
        }
    };
    let mut excess: Vec<_> = views.into_iter().map(|(number, view)| (extra(view), number)).collect();
    excess.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all: f64 = excess.iter().map(|(extra, _)| extra).sum();
    match excess.first() {
        Some((most, number)) if excess.len() > 1 && *most > 0.0 && *most >= all / 2.0 => {
            format!(", {:.0} % of them on {}", 100.0 * most / all, spaced(number))
        }
        _ => String::new(),
    }
}

/// Failures of the last hour beyond what the week before makes usual.
fn extra(view: &View) -> f64 {
    let (hour, week) = (view.sums.tally(Window::Hour), view.sums.tally(Window::Week));
    let before = week.judged().saturating_sub(hour.judged());
    let usual = match before {
        USUAL_MIN.. => week.failed.saturating_sub(hour.failed) as f64 / before as f64,
        _ => 0.0,
    };
    (hour.failed as f64 - usual * hour.judged() as f64).max(0.0)
}

/// The one leg that is in a bad band while every other with traffic is healthy.
fn sick_leg(number: &NumberView) -> Option<&Leg> {
    let busy = |leg: &&Leg| leg.view.sums.window(Window::Day).judged() >= LEG_MIN;
    let busy: Vec<_> = number.legs.iter().filter(busy).collect();
    let mut sick = busy.iter().filter(|leg| leg.view.band > Band::Healthy);
    match (busy.len(), sick.next(), sick.next()) {
        (2.., Some(leg), None) => Some(leg),
        _ => None,
    }
}

/// A leg as people call it.
pub(super) fn leg_name(leg: &Leg) -> String {
    match leg.provider {
        Some(provider) => format!("the {} leg", provider.title()),
        None => format!("the leg `{}`", leg.connection),
    }
}

/// A failure class in as few plain words as name it.
pub(super) const fn label(class: FailureClass) -> &'static str {
    match class {
        FailureClass::InvalidRecipient => "invalid recipient",
        FailureClass::Unreachable => "handset unreachable",
        FailureClass::CarrierFiltered => "filtered by carriers",
        FailureClass::OptedOut => "recipient opted out",
        FailureClass::SenderUnregistered => "sender not registered",
        FailureClass::Throttled => "sent too fast",
        FailureClass::Account => "provider account",
        FailureClass::Content => "content refused",
        FailureClass::ProviderError => "provider or carrier error",
        FailureClass::Expired => "expired undelivered",
        FailureClass::Unknown => "no known reason",
    }
}

/// A failure class explained.
pub(super) const fn words(class: FailureClass) -> &'static str {
    match class {
        FailureClass::InvalidRecipient => "the recipient's number does not exist or takes no SMS",
        FailureClass::Unreachable => "the handset is off, out of range or full",
        FailureClass::CarrierFiltered => "a carrier or the provider took it for spam or forbidden content",
        FailureClass::OptedOut => "the recipient had opted out",
        FailureClass::SenderUnregistered => "the number, its brand or its campaign is not registered",
        FailureClass::Throttled => "sent faster than a limit allows",
        FailureClass::Account => "the provider account's balance, status or credentials",
        FailureClass::Content => "malformed, too long or not allowed in form",
        FailureClass::ProviderError => "the provider or a carrier failed",
        FailureClass::Expired => "not delivered within its validity",
        FailureClass::Unknown => "the provider gave no reason that is known",
    }
}

/// What to do, by the class that dominates.
pub const fn advice(class: Option<FailureClass>) -> &'static str {
    match class {
        Some(FailureClass::CarrierFiltered) => {
            "Pause campaigns on this number; check content, links, registration and opt-in proof."
        }
        Some(FailureClass::Throttled) => "Slow the sends down, or spread them over more numbers.",
        Some(FailureClass::Account) => "Check the provider account's balance, status and credentials.",
        Some(FailureClass::SenderUnregistered) => "Register the number's brand and campaign, or verify it.",
        Some(FailureClass::InvalidRecipient | FailureClass::Unreachable) => {
            "Clean the list: the contacts fail, not the number. Validate them before the next send."
        }
        Some(FailureClass::OptedOut) => {
            "Stop sending to opted-out contacts: the sender's list is out of date."
        }
        Some(FailureClass::Content) => "Check the message's length, encoding and template.",
        Some(FailureClass::ProviderError) => {
            "See the provider's status page; shift to another leg while it lasts."
        }
        Some(FailureClass::Expired) => "Check validity periods, and whether the provider queues.",
        Some(FailureClass::Unknown) | None => "Look at the provider's log for this number.",
    }
}
