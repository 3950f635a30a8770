//! One message's state: the maximum of everything heard about it. Pure.
//!
//! Six facts are kept, each packed into one integer so that “better” is a comparison, in Rust and
//! in the store's own function alike. All are below 2^53, which a double holds exactly.
//!
//! | fact | layout, most significant first | the better one is |
//! |---|---|---|
//! | [`Outcome`] | rank 2, event second 32, severity 2, class 4 | greater |
//! | [`Cohort`] | 2 − source 2, second 32 | smaller |
//! | [`Placement`] | 3 − source 2, cell 48 | smaller |
//! | [`Traces`] | seen under way 1, reported 1 | both together |
//! | [`Arrival`] | second 32 | smaller |
//! | [`RouteId`] | rank 2, digest 30 | greater |
//!
//! Because maxima, minima and unions do not depend on order or repetition, neither does a message's
//! state.

use crate::clock::Timestamp;
use crate::event::{FailureClass, State};

use super::Touch;
use super::cell::CellId;
use super::counter::Counter;
use super::route::RouteId;
use super::window::CORRECTED_FOR;

/// Bytes of a message's state as the stores keep it.
pub(super) const STATE_BYTES: usize = 25;

/// What was heard about a message once, or all that was heard so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heard {
    /// What happened to it.
    pub outcome: Outcome,
    /// When it belongs.
    pub cohort: Cohort,
    /// Where it is counted.
    pub placement: Placement,
    /// By what it is known.
    pub traces: Traces,
    /// When it arrived.
    pub arrival: Arrival,
    /// Where it went.
    pub route: RouteId,
}

impl Heard {
    /// What happened to a message, when and where it counts, and nothing else.
    pub const fn new(outcome: Outcome, cohort: Cohort, placement: Placement) -> Self {
        let (traces, arrival, route) = (Traces::NONE, Arrival::NEVER, RouteId::NONE);
        Self { outcome, cohort, placement, traces, arrival, route }
    }

    /// Both, as one: what is better of each fact.
    pub fn with(self, other: Self) -> Self {
        Self {
            outcome: self.outcome.max(other.outcome),
            cohort: self.cohort.min(other.cohort),
            placement: self.placement.min(other.placement),
            traces: self.traces.with(other.traces),
            arrival: self.arrival.min(other.arrival),
            route: self.route.max(other.route),
        }
    }

    /// As the stores keep it: outcome 5 bytes, traces and cohort 5, placement 7, arrival 4, route 4,
    /// each most significant first.
    pub(super) fn to_bytes(self) -> [u8; STATE_BYTES] {
        let mut bytes = [0; STATE_BYTES];
        let cohort = u64::from(self.traces.0) << 34 | self.cohort.packed();
        bytes[..5].copy_from_slice(&self.outcome.packed().to_be_bytes()[3..]);
        bytes[5..10].copy_from_slice(&cohort.to_be_bytes()[3..]);
        bytes[10..17].copy_from_slice(&self.placement.packed().to_be_bytes()[1..]);
        bytes[17..21].copy_from_slice(&self.arrival.0.to_be_bytes());
        bytes[21..].copy_from_slice(&self.route.value().to_be_bytes());
        bytes
    }

    /// Reads what [`Heard::to_bytes`] wrote; `None` for anything of another length.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; STATE_BYTES] = bytes.try_into().ok()?;
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte))
        };
        let cohort = number(5..10);
        Some(Self {
            outcome: Outcome::from_packed(number(0..5)),
            cohort: Cohort::from_packed(cohort),
            placement: Placement::from_packed(number(10..17)),
            traces: Traces(u8::try_from(cohort >> 34 & 3).ok()?),
            arrival: Arrival(u32::try_from(number(17..21)).ok()?),
            route: RouteId::from_value(u32::try_from(number(21..25)).ok()?),
        })
    }

    /// What a message in this state adds to the counts.
    pub fn counted(self) -> Counted {
        let state = self.outcome.counter();
        let registered = self.cohort.source() == CohortSource::RegisteredSend;
        let delivered = state == Counter::DELIVERED;
        let also = [
            (delivered && (registered || self.traces.has(Traces::UNDER_WAY))).then_some(Counter::SEEN),
            registered.then_some(Counter::REGISTERED),
            (registered && self.traces.has(Traces::REPORTED)).then_some(Counter::ANSWERED),
            self.delay().filter(|_| delivered).map(Counter::delay),
        ];
        let route = if state.is_judged() { self.route } else { RouteId::NONE };
        Counted { cell: self.placement.cell(), minute: self.cohort.minute(), state, also, route }
    }

    /// True when this replaces one terminal state by another.
    pub(super) fn corrects(self, before: Self) -> bool {
        before.outcome.is_terminal() && before.outcome.counter() != self.outcome.counter()
    }

    /// Seconds from sending to arrival, where somebody said when it was sent.
    fn delay(self) -> Option<u32> {
        let told = self.cohort.source() != CohortSource::ReceivedAt && self.arrival != Arrival::NEVER;
        told.then(|| self.arrival.0.saturating_sub(self.cohort.second()))
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

/// All that one message adds to the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The cell.
    pub cell: CellId,
    /// The cohort's minute since the epoch.
    pub minute: u32,
    /// The state it counts as.
    pub state: Counter,
    /// Where it went, if it is judged.
    pub route: RouteId,
    also: [Option<Counter>; 4],
}

impl Counted {
    /// Every counter it counts in, its state first.
    pub fn counters(self) -> impl Iterator<Item = Counter> {
        std::iter::once(self.state).chain(self.also.into_iter().flatten())
    }
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

    /// True of a state after which nothing else is expected; what replaces it is terminal, too.
    const fn is_terminal(self) -> bool {
        self.0 >> 38 == 3
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
pub struct Cohort(u64);

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
        Self((2 - source as u64) << 32 | u64::from(at.seconds()))
    }

    /// The packed form.
    pub const fn packed(self) -> u64 {
        self.0
    }

    /// From the packed form.
    pub const fn from_packed(packed: u64) -> Self {
        Self(packed & ((1 << 34) - 1))
    }

    /// Who says so.
    pub const fn source(self) -> CohortSource {
        match self.0 >> 32 {
            0 => CohortSource::RegisteredSend,
            1 => CohortSource::ProviderSent,
            _ => CohortSource::ReceivedAt,
        }
    }

    /// The second since the epoch.
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    pub const fn second(self) -> u32 {
        self.0 as u32
    }

    /// The minute since the epoch.
    pub const fn minute(self) -> u32 {
        self.second() / 60
    }
}

/// By what a message is known: what any news of it left, in whatever order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Traces(u8);

impl Traces {
    /// By nothing.
    pub const NONE: Self = Self(0);
    /// By a receipt.
    pub const REPORTED: Self = Self(1);
    /// By a receipt of a state after which another comes.
    pub const UNDER_WAY: Self = Self(2);

    /// By a receipt that says this.
    pub const fn of(state: State) -> Self {
        if state.is_terminal() { Self::REPORTED } else { Self(Self::REPORTED.0 | Self::UNDER_WAY.0) }
    }

    const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The earliest moment at which anybody says that a message was delivered: by the provider's own
/// time, or when its receipt came in where it told none. A later receipt (one that says the message
/// was read, say) does not make a delivery slower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrival(u32);

impl Arrival {
    /// Nobody has said so.
    pub const NEVER: Self = Self(u32::MAX);

    /// At this moment.
    pub fn at(moment: Timestamp) -> Self {
        Self(moment.seconds())
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
        let rest = (0..4u8, prop::option::of(0..600u32), 0..4u32);
        (outcome, cohort, placement, rest).prop_map(|(outcome, cohort, placement, rest)| Heard {
            traces: Traces(rest.0),
            arrival: rest.1.map_or(Arrival::NEVER, Arrival),
            route: RouteId::from_value(rest.2 << 30),
            ..Heard::new(outcome, cohort, placement)
        })
    }

    #[test]
    fn a_forgotten_message_is_late_and_a_known_one_never_is() {
        let clock = Timestamp::from_seconds(100 * 86_400);
        let old = clock.minus(CORRECTED_FOR).minus(std::time::Duration::from_secs(60));
        let heard = |at| {
            let cohort = Cohort::new(CohortSource::ReceivedAt, at);
            Heard::new(Outcome::SILENT, cohort, Placement::from_packed(0))
        };
        let touch = |received_at, at| Touch { identity: [0; 16], heard: heard(at), received_at };
        assert_eq!(judge(None, &touch(old, old), clock), Verdict::Late);
        assert_eq!(judge(None, &touch(clock, old), clock), Verdict::Late, "an old cohort");
        assert_eq!(judge(None, &touch(clock, clock), clock), Verdict::Applied(heard(clock)));
        assert_eq!(judge(Some(heard(clock)), &touch(old, old), clock), Verdict::Applied(heard(old)));
        assert_eq!(judge(Some(heard(old)), &touch(clock, clock), clock), Verdict::Duplicate);
    }

    #[test]
    fn a_message_counts_as_what_is_known_of_it() {
        let at = Timestamp::from_seconds;
        let heard = |source, state, arrival: Option<i64>| Heard {
            traces: Traces::of(state),
            arrival: arrival.map_or(Arrival::NEVER, |second| Arrival::at(at(second))),
            ..Heard::new(
                Outcome::new(state, None, None),
                Cohort::new(source, at(1000)),
                Placement::from_packed(0),
            )
        };
        let also = |heard: Heard| heard.counted().counters().skip(1).collect::<Vec<_>>();
        let sent =
            Heard { traces: Traces::NONE, ..heard(CohortSource::RegisteredSend, State::Unknown, None) };
        let delivered = heard(CohortSource::ReceivedAt, State::Delivered, Some(1070));
        assert_eq!(also(sent), [Counter::REGISTERED]);
        assert_eq!(also(delivered), [], "nobody says when it was sent");
        let whole = [Counter::SEEN, Counter::REGISTERED, Counter::ANSWERED, Counter::delay(70)];
        assert_eq!(also(sent.with(delivered)), whole);
        let reported = heard(CohortSource::ProviderSent, State::Delivered, Some(900));
        assert_eq!(also(reported), [Counter::delay(0)], "clocks differ");
        let under_way = heard(CohortSource::ProviderSent, State::Sent, None);
        assert_eq!(also(reported.with(under_way)), [Counter::SEEN, Counter::delay(0)]);
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
