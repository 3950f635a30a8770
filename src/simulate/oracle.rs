//! The naive expectation: from the list of everything that was acknowledged, how many messages of
//! each number must be counted in which state. Recomputed plainly, with nothing kept while running.

use std::collections::{BTreeMap, BTreeSet};

use super::fate::{Fact, State};
use super::traffic::Sender;

/// What must be counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expectation {
    /// By number and state. Where they differ, messages are in doubt.
    pub counts: BTreeMap<(String, State), Range>,
    /// Messages with a webhook that was never answered for good.
    pub uncertain: u64,
    /// Messages of no number, which no number's totals can show.
    pub unattributed: u64,
    /// Messages in all.
    pub messages: u64,
}

/// How many messages there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the bounds, both included")]
pub struct Range {
    pub least: u64,
    pub most: u64,
}

/// A state as states are ordered: rank, then the provider's time, then severity.
type Standing = (u8, u32, u8, State);

#[derive(Default)]
struct Heard {
    sender: u16,
    known: Option<Standing>,
    doubtful: Vec<Standing>,
}

/// What `acknowledged` facts must and `uncertain` ones may add up to.
pub fn expect(acknowledged: &[Fact], uncertain: &[Fact], senders: &[Sender]) -> Expectation {
    let mut messages: BTreeMap<u32, Heard> = BTreeMap::new();
    for fact in acknowledged {
        let heard = messages.entry(fact.message).or_default();
        heard.sender = fact.sender;
        heard.known = heard.known.max(Some(standing(fact)));
    }
    for fact in uncertain {
        let heard = messages.entry(fact.message).or_default();
        heard.sender = fact.sender;
        heard.doubtful.push(standing(fact));
    }
    let mut expectation = Expectation::default();
    for heard in messages.values() {
        add(&mut expectation, heard, senders);
    }
    expectation
}

/// Every number that traffic from `senders` is counted for.
pub fn numbers(senders: &[Sender]) -> BTreeSet<String> {
    senders.iter().filter_map(|sender| sender.number.as_ref()).map(ToString::to_string).collect()
}

fn standing(fact: &Fact) -> Standing {
    (fact.state.rank(), fact.second, fact.state.severity(), fact.state)
}

fn add(expectation: &mut Expectation, heard: &Heard, senders: &[Sender]) {
    let ends = ends(heard);
    expectation.messages += 1;
    expectation.uncertain += u64::from(!heard.doubtful.is_empty());
    let number = senders.get(usize::from(heard.sender)).and_then(|sender| sender.number.as_ref());
    let Some(number) = number else {
        expectation.unattributed += 1;
        return;
    };
    for end in ends.iter().flatten() {
        let range = expectation.counts.entry((number.to_string(), *end)).or_default();
        range.most += 1;
        range.least += u64::from(ends.len() == 1);
    }
}

/// Every state the message may have ended in; none among them: not known at all. Whichever of the
/// doubtful facts arrived, the end is the known maximum or one of theirs above it.
fn ends(heard: &Heard) -> BTreeSet<Option<State>> {
    let last = |standing: Option<Standing>| standing.map(|(.., state)| state);
    let doubtful = heard.doubtful.iter().map(|doubtful| last(heard.known.max(Some(*doubtful))));
    doubtful.chain([last(heard.known)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Number;
    use crate::simulate::scene;
    use crate::simulate::traffic::{Options, Traffic};

    fn senders() -> Vec<Sender> {
        let config = scene::config(std::path::Path::new("unused"), 7);
        let traffic = Traffic::new(&config, "http://localhost:1", Options::default()).unwrap();
        let mut senders = traffic.senders().to_vec();
        senders[0].number = Number::parse("+18005550100");
        senders[1].number = None;
        senders
    }

    fn fact(message: u32, state: State, second: u32) -> Fact {
        Fact { message, sender: 0, state, second }
    }

    fn end(acknowledged: &[Fact], uncertain: &[Fact]) -> Vec<(State, u64, u64)> {
        let expectation = expect(acknowledged, uncertain, &senders());
        expectation.counts.iter().map(|((_, state), range)| (*state, range.least, range.most)).collect()
    }

    #[test]
    fn the_greatest_state_wins_in_every_order() {
        use State::{Accepted, Blocked, Canceled, Delivered, Failed, Sent, Unknown};
        for (told, ends) in [
            (vec![(Sent, 9), (Delivered, 1)], Delivered),
            (vec![(Accepted, 9), (Sent, 0)], Sent),
            (vec![(Unknown, 9), (Accepted, 0)], Accepted),
            (vec![(Delivered, 0), (Failed, 0)], Failed),
            (vec![(Delivered, 5), (Failed, 4)], Delivered),
            (vec![(Delivered, 5), (Failed, 6)], Failed),
            (vec![(Delivered, 0), (Canceled, 0)], Canceled),
            (vec![(Canceled, 0), (Blocked, 0)], Blocked),
            (vec![(Blocked, 0), (Failed, 0)], Failed),
        ] {
            let mut facts: Vec<_> = told.iter().map(|(state, second)| fact(0, *state, *second)).collect();
            assert_eq!(end(&facts, &[]), [(ends, 1, 1)], "{told:?}");
            facts.reverse();
            facts.extend(facts.clone());
            assert_eq!(end(&facts, &[]), [(ends, 1, 1)], "{told:?}");
        }
    }

    #[test]
    fn a_doubtful_end_leaves_both_open() {
        let sent = [fact(0, State::Sent, 0)];
        let delivered = [fact(0, State::Delivered, 0)];
        assert_eq!(end(&sent, &delivered), [(State::Sent, 0, 1), (State::Delivered, 0, 1)]);
        assert_eq!(end(&[], &delivered), [(State::Delivered, 0, 1)]);
        assert_eq!(end(&delivered, &sent), [(State::Delivered, 1, 1)]);
    }

    #[test]
    fn messages_of_no_number_are_counted_apart() {
        let nobodys = Fact { sender: 1, ..fact(0, State::Sent, 0) };
        let expectation = expect(&[nobodys], &[], &senders());
        assert_eq!((expectation.unattributed, expectation.counts.len()), (1, 0));
    }
}
