//! A store that lost something → an incident of its own: opened when the loss is noticed, over when
//! everything is counted again. Pure.
//!
//! The policy knows nothing of it: while it is open, nothing may be judged.

use std::time::Duration;

use super::incident::{Incident, SignalLine};
use crate::clock::Timestamp;
use crate::consume::Loss;
use crate::health::{Band, Change, Counts, Evidence, Kind, Rule, Scope, Transition, Window};

/// A loss that nothing could be said of for so long, and that has been made good, is left unsaid:
/// incidents are kept longer, so it is certain that none is told twice.
const TOLD_WITHIN: Duration = Duration::from_secs(86_400);

/// Whether a store lost something, and how far that has been made good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What was lost last, if anything was.
    pub lost: Option<Loss>,
    /// True while it is being counted again.
    pub is_rebuilding: bool,
}

/// The step that follows, and the incident after it. `random` makes a new one's id unlike others.
pub(super) fn step<'a>(
    known: impl Iterator<Item = &'a Incident> + Clone,
    standing: &Standing,
    now: Timestamp,
    random: u128,
) -> Option<(Incident, Transition)> {
    let ours = known.filter(|incident| incident.kind == Kind::StateLost);
    if let Some(open) = ours.clone().find(|incident| incident.is_open()) {
        if standing.is_rebuilding {
            return None;
        }
        let transition = transition(Change::Resolved, (open.band, Band::Healthy), now);
        let mut incident = open.clone();
        incident.step(&transition);
        incident.told = now;
        return Some((incident, transition));
    }
    let loss = standing.lost.as_ref()?;
    // Another observer may have noticed it a moment earlier, and told of it.
    let is_told = ours.clone().any(|incident| incident.resolved.is_some_and(|ended| ended >= loss.at));
    if is_told || (!standing.is_rebuilding && now.since(loss.at) > TOLD_WITHIN) {
        return None;
    }
    let transition = transition(Change::Opened, (Band::Healthy, Band::Degraded), loss.at);
    let mut incident = Incident::open((Scope::State {}, Kind::StateLost), &transition, random);
    let sentence = format!("{}. Nothing is judged until that is done.", capitalized(&loss.what));
    incident.signals = vec![SignalLine { kind: Kind::StateLost, band: Band::Degraded, sentence }];
    incident.advice = Kind::StateLost.advice().unwrap_or_default().to_owned();
    Some((incident, transition))
}

/// Nobody is called: it mends itself.
fn transition(change: Change, (from, to): (Band, Band), at: Timestamp) -> Transition {
    let evidence = Evidence::new(Rule::Signal, Window::Hour, Counts::default(), at);
    Transition { change, from, to, pings: false, evidence }
}

fn capitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::card;

    const NOW: Timestamp = Timestamp::from_seconds(1_764_000_000);

    fn lost(second: i64) -> Standing {
        let at = Timestamp::from_seconds(1_764_000_000 + second);
        Standing {
            lost: Some(Loss { at, what: "the state was lost: it is counted again".into() }),
            is_rebuilding: true,
        }
    }

    #[test]
    fn a_loss_is_told_once_and_ends_when_everything_is_counted_again() {
        let (opened, transition) = step([].iter(), &lost(0), NOW, 1).unwrap();
        assert_eq!((opened.opened, transition.pings, opened.is_open()), (NOW, false, true));
        let known = [opened];
        assert_eq!(
            step(known.iter(), &lost(5), NOW, 2),
            None,
            "one incident for losses that follow each other"
        );
        let whole = Standing { is_rebuilding: false, ..lost(0) };
        let (ended, transition) = step(known.iter(), &whole, NOW, 2).unwrap();
        assert_eq!((transition.change, ended.is_open(), &ended.id), (Change::Resolved, false, &known[0].id));
        let known = [ended];
        assert_eq!(step(known.iter(), &whole, NOW, 3), None);
        assert!(step(known.iter(), &lost(1), NOW, 3).is_some(), "a later loss is another");
        let later = NOW.plus(TOLD_WITHIN * 2);
        assert_eq!(step([].iter(), &whole, later, 3), None, "its incident is forgotten by then");
    }

    #[test]
    fn its_card_speaks_of_the_loss_and_of_no_rate() {
        let (opened, _) = step([].iter(), &lost(0), NOW, 1).unwrap();
        let whole = Standing { is_rebuilding: false, ..lost(0) };
        let (ended, _) = step([&opened].into_iter(), &whole, NOW, 2).unwrap();
        for (incident, says) in
            [(&opened, "Degraded · Sounder · state lost"), (&ended, "Resolved · Sounder · state lost")]
        {
            let card = card::render(incident).to_string();
            assert!(card.contains(says) && card.contains("The state was lost"), "{card}");
            assert!(!card.contains(" %") && !card.contains("elivery rate"), "{card}");
            let line = card::sentence(incident);
            assert!(!line.contains(" %") && !line.contains("rate"), "{line}");
        }
    }
}
