//! One message's state: the maximum of everything heard about it. Pure.
//!
//! Three facts are kept, each packed into one integer so that “better” is a comparison, in Rust and
//! in the store's own function alike. All are below 2^53, which a double holds exactly.
//!
//! | fact | layout, most significant first | the better one is |
//! |---|---|---|
//! | [`Outcome`] | rank 2, event second 32, severity 2, class 4 | greater |
//! | [`Cohort`] | 2 − source 2, minute 26 | smaller |
//! | [`Placement`] | 3 − source 2, cell 48 | smaller |
//!
//! Because maxima and minima do not depend on order or repetition, neither does a message's state.

use crate::clock::Timestamp;
use crate::event::{FailureClass, State};

use super::Touch;
use super::cell::CellId;
use super::counter::Counter;
use super::window::CORRECTED_FOR;

/// What was heard about a message once, or all that was heard so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heard {
    /// What happened to it.
    pub outcome: Outcome,
    /// When it belongs.
    pub cohort: Cohort,
    /// Where it is counted.
    pub placement: Placement,
}

impl Heard {
    /// Both, as one: what is better of each fact.
    pub fn with(self, other: Self) -> Self {
        Self {
            outcome: self.outcome.max(other.outcome),
            cohort: self.cohort.min(other.cohort),
            placement: self.placement.min(other.placement),
        }
    }

    /// As the stores keep it: outcome 5 bytes, cohort 4, placement 7, each most significant first.
    pub(super) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..5].copy_from_slice(&self.outcome.packed().to_be_bytes()[3..]);
        bytes[5..9].copy_from_slice(&self.cohort.packed().to_be_bytes());
        bytes[9..].copy_from_slice(&self.placement.packed().to_be_bytes()[1..]);
        bytes
    }

    /// Reads what [`Heard::to_bytes`] wrote; `None` for anything of another length.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 16] = bytes.try_into().ok()?;
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        Some(Self {
            outcome: Outcome::from_packed(number(0..5)),
            cohort: Cohort::from_packed(u32::try_from(number(5..9)).ok()?),
            placement: Placement::from_packed(number(9..16)),
        })
    }

    /// What a message in this state adds to the count.
    pub fn contribution(self) -> Contribution {
        Contribution {
            cell: self.placement.cell(),
            minute: self.cohort.minute(),
            counter: self.outcome.counter(),
        }
    }
}

/// What an event does to a message's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The state is this from now on.
    Applied(Heard),
    /// Everything it says had been heard.
    Duplicate,
    /// Nothing is known of the message, and it may have been counted and forgotten: not applied.
    Late,
}

/// Judges an event by what is known of its message at the stream clock `clock`. The function in
/// `redis/functions.lua` is the same; the contract suite holds them together.
pub(super) fn judge(known: Option<Heard>, touch: &Touch, clock: Timestamp) -> Verdict {
    let horizon = clock.minus(CORRECTED_FOR);
    match known {
        None if touch.received_at.seconds() < horizon.seconds() => Verdict::Late,
        None if touch.heard.cohort.minute() < horizon.minute() => Verdict::Late,
        None => Verdict::Applied(touch.heard),
        Some(known) => match known.with(touch.heard) {
            state if state == known => Verdict::Duplicate,
            state => Verdict::Applied(state),
        },
    }
}

/// One message counted: in which cell, in which minute, as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contribution {
    /// The cell.
    pub cell: CellId,
    /// The cohort's minute since the epoch.
    pub minute: u32,
    /// What it counts as.
    pub counter: Counter,
}

/// What happened to a message: rank, then the provider's event time in whole seconds (none is the
/// earliest), then failed > blocked > canceled > delivered, then the failure class listed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outcome(u64);

impl Outcome {
    /// A send that nothing has been heard of.
    pub const SILENT: Self = Self(0);

    /// A provider's word, with its own event time.
    pub fn new(state: State, class: Option<FailureClass>, occurred_at: Option<Timestamp>) -> Self {
        let (rank, severity) = match state {
            State::Unknown => (0, 0),
            State::Accepted => (1, 0),
            State::Sent => (2, 0),
            State::Delivered => (3, 0),
            State::Canceled => (3, 1),
            State::Blocked => (3, 2),
            State::Failed => (3, 3),
        };
        let class = match state {
            State::Failed => 15 - class.unwrap_or(FailureClass::Unknown) as u64,
            _ => 0,
        };
        let second = u64::from(occurred_at.map_or(0, Timestamp::seconds));
        Self(rank << 38 | second << 6 | severity << 4 | class)
    }

    /// The packed form.
    pub const fn packed(self) -> u64 {
        self.0
    }

    /// From the packed form.
    pub const fn from_packed(packed: u64) -> Self {
        Self(packed & ((1 << 40) - 1))
    }

    /// What it counts as.
    pub fn counter(self) -> Counter {
        match (self.0 >> 38, self.0 >> 4 & 3) {
            (0, _) => Counter::UNKNOWN,
            (1, _) => Counter::ACCEPTED,
            (2, _) => Counter::SENT,
            (_, 0) => Counter::DELIVERED,
            (_, 1) => Counter::CANCELED,
            (_, 2) => Counter::BLOCKED,
            (..) => {
                let index = usize::try_from(15 - (self.0 & 15)).unwrap_or(usize::MAX);
                Counter::failed(FailureClass::ALL.get(index).copied().unwrap_or(FailureClass::Unknown))
            }
        }
    }
}

/// When a message belongs: the earliest time named by the best source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cohort(u32);

/// Who says when a message was sent, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CohortSource {
    /// Nobody: the moment the first news of it was received.
    ReceivedAt,
    /// The provider.
    ProviderSent,
    /// Whoever registered the send.
    RegisteredSend,
}

impl Cohort {
    /// A time and who says so.
    pub fn new(source: CohortSource, at: Timestamp) -> Self {
        Self((2 - source as u32) << 26 | (at.minute() & ((1 << 26) - 1)))
    }

    /// The packed form.
    pub const fn packed(self) -> u32 {
        self.0
    }

    /// From the packed form.
    pub const fn from_packed(packed: u32) -> Self {
        Self(packed & ((1 << 28) - 1))
    }

    /// The minute since the epoch.
    pub const fn minute(self) -> u32 {
        self.0 & ((1 << 26) - 1)
    }
}

/// Where a message is counted: the cell the best source names, then the smaller id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placement(u64);

/// Who says which number sent a message, best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlacementSource {
    /// Nobody yet: the connection's unattributed cell.
    Unattributed,
    /// The connection's configured number.
    Connection,
    /// The receipt.
    Receipt,
    /// Whoever registered the send.
    RegisteredSend,
}

impl Placement {
    /// A cell and who names it.
    pub fn new(source: PlacementSource, cell: CellId) -> Self {
        Self((3 - source as u64) << 48 | cell.value())
    }

    /// The packed form.
    pub const fn packed(self) -> u64 {
        self.0
    }

    /// From the packed form.
    pub const fn from_packed(packed: u64) -> Self {
        Self(packed & ((1 << 50) - 1))
    }

    /// The cell.
    pub const fn cell(self) -> CellId {
        CellId::from_value(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATES: [State; 7] = [
        State::Unknown,
        State::Accepted,
        State::Sent,
        State::Delivered,
        State::Canceled,
        State::Blocked,
        State::Failed,
    ];

    #[test]
    fn outcomes_are_ordered_as_the_definition_says() {
        let at = |s| Some(Timestamp::from_seconds(s));
        let failed = |class, time| Outcome::new(State::Failed, Some(class), time);
        let ascending = [
            Outcome::SILENT,
            Outcome::new(State::Accepted, None, at(900)),
            Outcome::new(State::Sent, None, at(900)),
            Outcome::new(State::Delivered, None, None),
            failed(FailureClass::Unknown, None),
            Outcome::new(State::Delivered, None, at(10)),
            Outcome::new(State::Canceled, None, at(10)),
            Outcome::new(State::Blocked, None, at(10)),
            failed(FailureClass::Unknown, at(10)),
            failed(FailureClass::InvalidRecipient, at(10)),
            Outcome::new(State::Delivered, None, at(11)),
        ];
        assert!(ascending.is_sorted_by(|a, b| a < b), "{ascending:?}");
    }

    #[test]
    fn every_state_and_class_counts_as_itself() {
        for state in STATES.into_iter().filter(|s| *s != State::Failed) {
            let index = Outcome::new(state, None, None).counter().index();
            let expected = match state {
                State::Unknown => 0,
                State::Accepted => 1,
                State::Sent => 2,
                State::Delivered => 3,
                State::Canceled => 4,
                State::Blocked | State::Failed => 5,
            };
            assert_eq!(index, expected);
        }
        for (index, class) in FailureClass::ALL.into_iter().enumerate() {
            assert_eq!(Outcome::new(State::Failed, Some(class), None).counter().index(), 6 + index);
        }
    }

    fn heard() -> impl Strategy<Value = Heard> {
        let outcome = (0..STATES.len(), 0..11usize, prop::option::of(0..4i64)).prop_map(|(s, c, t)| {
            Outcome::new(STATES[s], Some(FailureClass::ALL[c]), t.map(Timestamp::from_seconds))
        });
        let cohort = (0..3u8, 0..600i64).prop_map(|(source, at)| {
            let source = [CohortSource::ReceivedAt, CohortSource::ProviderSent, CohortSource::RegisteredSend]
                [usize::from(source)];
            Cohort::new(source, Timestamp::from_seconds(at))
        });
        let placement = (0..4u64, 0..3u64).prop_map(|(s, c)| Placement::from_packed(s << 48 | c));
        (outcome, cohort, placement).prop_map(|(outcome, cohort, placement)| Heard {
            outcome,
            cohort,
            placement,
        })
    }

    #[test]
    fn a_forgotten_message_is_late_and_a_known_one_never_is() {
        let clock = Timestamp::from_seconds(100 * 86_400);
        let old = clock.minus(CORRECTED_FOR).minus(std::time::Duration::from_secs(60));
        let heard = |at| Heard {
            outcome: Outcome::SILENT,
            cohort: Cohort::new(CohortSource::ReceivedAt, at),
            placement: Placement::from_packed(0),
        };
        let touch = |received_at, at| Touch { identity: [0; 16], heard: heard(at), received_at };
        assert_eq!(judge(None, &touch(old, old), clock), Verdict::Late);
        assert_eq!(judge(None, &touch(clock, old), clock), Verdict::Late, "an old cohort");
        assert_eq!(judge(None, &touch(clock, clock), clock), Verdict::Applied(heard(clock)));
        assert_eq!(judge(Some(heard(clock)), &touch(old, old), clock), Verdict::Applied(heard(old)));
        assert_eq!(judge(Some(heard(old)), &touch(clock, clock), clock), Verdict::Duplicate);
    }

    proptest! {
        #[test]
        fn order_and_repetition_do_not_matter(a in heard(), b in heard(), c in heard()) {
            prop_assert_eq!(a.with(b), b.with(a));
            prop_assert_eq!(a.with(b).with(c), a.with(b.with(c)));
            prop_assert_eq!(a.with(b).with(a), a.with(b));
        }

        #[test]
        fn packed_facts_are_what_they_were(a in heard()) {
            prop_assert_eq!(Outcome::from_packed(a.outcome.packed()), a.outcome);
            prop_assert_eq!(Cohort::from_packed(a.cohort.packed()), a.cohort);
            prop_assert_eq!(Placement::from_packed(a.placement.packed()), a.placement);
            prop_assert_eq!(Heard::from_bytes(&a.to_bytes()), Some(a));
        }
    }
}
