//! Scopes beside each other: numbers that fall together, and lists that are new.

use std::time::Duration;

use super::*;
use crate::event::{FailureClass, ListId};
use crate::health::standing::Change;
use crate::health::story::{NOW, Story, number};
use crate::tally::Counter;

/// Numbers of one provider that send a hundred messages each, of which so many of the first fail.
fn fallen(numbers: usize, fallen: usize) -> Story {
    let mut story = Story::new();
    for index in 0..numbers {
        let failed = if index < fallen { 12 } else { 0 };
        story.send("ib", Some(&name(index)), 100 - failed, failed);
    }
    story
}

fn name(index: usize) -> String {
    format!("+180055502{index:02}")
}

/// Evaluates a story that goes on as it is, a minute apart: the steps with the minute they were taken in.
fn live(
    story: &Story,
    cases: &mut BTreeMap<String, Case>,
    minutes: std::ops::Range<u64>,
) -> Vec<(u64, Step)> {
    let report = story.report();
    let mut steps = Vec::new();
    for minute in minutes {
        let now = NOW.plus(Duration::from_secs(60 * minute));
        let mut decision = decide(&report, &story.settings, cases, &Orders::default(), now);
        cases.append(&mut decision.cases);
        steps.extend(decision.steps.into_iter().map(|step| (minute, step)));
    }
    steps
}

/// Who was called about, when.
fn calls(steps: &[(u64, Step)]) -> Vec<(u64, Scope)> {
    let called = steps.iter().filter(|(_, step)| step.transition.pings);
    called.map(|(minute, step)| (*minute, step.scope.clone())).collect()
}

#[test]
fn five_numbers_that_fall_together_wait_and_are_one_call() {
    let steps = live(&fallen(16, 5), &mut BTreeMap::new(), 0..30);
    let provider = Scope::Provider { provider: Provider::Infobip };
    // Confirmed on the third evaluation, and told of one wait later.
    assert_eq!(calls(&steps), [(3, provider)], "{steps:?}");
    let (_, step) = &steps[0];
    assert_eq!((step.transition.change, step.transition.evidence.rule), (Change::Opened, Rule::Grouped));
    assert!(steps.iter().all(|(_, step)| step.scope.name() == "provider"), "{steps:?}");
}

#[test]
fn four_numbers_or_too_few_of_many_each_call_for_themselves_at_once() {
    for (numbers, sick) in [(16, 4), (17, 5)] {
        let calls = calls(&live(&fallen(numbers, sick), &mut BTreeMap::new(), 0..30));
        let expected: Vec<_> = (0..sick).map(|index| (2, Scope::from(number(&name(index))))).collect();
        assert_eq!(calls, expected, "{sick} of {numbers}");
    }
}

#[test]
fn a_fifth_number_makes_one_incident_of_those_that_opened_before_it() {
    let mut cases = BTreeMap::new();
    let before = live(&fallen(16, 4), &mut cases, 0..5);
    assert_eq!(calls(&before).len(), 4);
    let steps = live(&fallen(16, 5), &mut cases, 5..15);
    let provider = Scope::Provider { provider: Provider::Infobip };
    assert_eq!(
        calls(&steps).into_iter().map(|(_, scope)| scope).collect::<Vec<_>>(),
        [provider],
        "{steps:?}"
    );
    let absorbed = steps.iter().filter(|(_, step)| step.transition.change == Change::Absorbed);
    assert_eq!(absorbed.count(), 4, "{steps:?}");
}

/// A list's numbers send for the first time in a month, while others have been counted for longer.
fn sent_to_a_new_list(good: i64, bad: i64, counted_for_days: u64) -> Story {
    let mut story = Story::new();
    story.send("ib", Some("+18005550100"), good, bad);
    story.tell(("tw", None), counted_for_days * 24 * 60, Counter::DELIVERED, 1);
    story
}

#[test]
fn the_first_send_to_a_list_in_a_month_alerts_one_band_more_lenient() {
    let first = |report: &Report| report.lists[&ListId::parse("acme").unwrap()].first_send;
    for (good, bad, counted_for, is_first, called) in [
        (930, 70, 30, true, None),
        (930, 70, 29, false, Some(Band::Watch)),
        (860, 140, 30, true, Some(Band::Watch)),
        (860, 140, 29, false, Some(Band::Degraded)),
        (700, 300, 30, true, Some(Band::Degraded)),
    ] {
        let mut story = sent_to_a_new_list(good, bad, counted_for);
        let what = format!("{good} of 1,000, counted for {counted_for} days");
        // Only the rate is looked at here.
        let filtered = Counter::failed(FailureClass::CarrierFiltered);
        let expired = Counter::failed(FailureClass::Expired);
        let on_leg = ("ib", Some("+18005550100"));
        story.tell(on_leg, 30, filtered, -bad).tell(on_leg, 30, expired, bad);
        let report = story.report();
        assert_eq!(first(&report), is_first, "{what}");
        let shown = report.numbers[&number("+18005550100")].view.band;
        assert_eq!(shown, Band::of(Some(good as f64 / 1_000.0), &story.settings.thresholds), "{what}");
        let steps = live(&story, &mut BTreeMap::new(), 0..10);
        assert_eq!(steps.last().map(|(_, step)| step.transition.to), called, "{what}: {steps:?}");
    }
    let mut used = sent_to_a_new_list(930, 70, 30);
    used.tell(("ib", Some("+18005550100")), 29 * 24 * 60, Counter::DELIVERED, 1);
    assert!(!first(&used.report()), "a message in the thirty days before");
}
