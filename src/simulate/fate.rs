//! What becomes of a message, and what is said of it on the way: the simulator's own words for it.

use crate::clock::Timestamp;
use crate::event::Provider;

/// What becomes of a message in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The handset gets it.
    Delivered,
    /// Nobody gets it, for the reason with this index among its provider's.
    Failed(Reason),
    /// The recipient had opted out.
    Blocked,
    /// Withdrawn.
    Canceled,
    /// Nothing is heard after it was sent.
    Sent,
}

/// Why a message fails, in groups that every provider has codes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Filtered by a carrier.
    Filtered,
    /// The handset cannot be reached just now.
    Unreachable,
    /// There is no such subscriber.
    Unknown,
    /// The provider itself failed.
    Provider,
    /// The sender's account may not send (no balance, suspended).
    Account,
}

/// A state as the admin API counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the variants are the fields of `totals`")]
pub enum State {
    Unknown,
    Accepted,
    Sent,
    Delivered,
    Canceled,
    Blocked,
    Failed,
    Account,
}

impl State {
    /// Every state, as `totals` lists them.
    pub const ALL: [Self; 8] = [
        Self::Delivered,
        Self::Failed,
        Self::Sent,
        Self::Accepted,
        Self::Blocked,
        Self::Canceled,
        Self::Unknown,
        Self::Account,
    ];

    /// The field of `totals`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Accepted => "accepted",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Canceled => "canceled",
            Self::Blocked => "blocked",
            Self::Failed => "failed",
            Self::Account => "account",
        }
    }

    /// First in the order of states: terminal > sent > accepted > unknown.
    pub(super) const fn rank(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Accepted => 1,
            Self::Sent => 2,
            Self::Delivered | Self::Canceled | Self::Blocked | Self::Failed | Self::Account => 3,
        }
    }

    /// Third in the order of states: failed > blocked > canceled > delivered.
    pub(super) const fn severity(self) -> u8 {
        match self {
            Self::Failed | Self::Account => 3,
            Self::Blocked => 2,
            Self::Canceled => 1,
            Self::Delivered | Self::Sent | Self::Accepted | Self::Unknown => 0,
        }
    }
}

/// One thing said about one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The message's index in the run.
    pub message: u32,
    /// Its sender's index in the traffic.
    pub sender: u16,
    /// What was said.
    pub state: State,
    /// The provider's time of it in whole seconds; 0 when it gives none.
    pub second: u32,
}

/// One thing a provider is about to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What happened.
    pub(super) fate: Fate,
    /// When.
    pub(super) at: Timestamp,
}

impl Fate {
    /// The state Sounder must count.
    pub(super) const fn state(self) -> State {
        match self {
            Self::Delivered => State::Delivered,
            Self::Failed(Reason::Account) => State::Account,
            Self::Failed(_) => State::Failed,
            Self::Blocked => State::Blocked,
            Self::Canceled => State::Canceled,
            Self::Sent => State::Sent,
        }
    }
}

/// What `provider` has a word for: it says the nearest thing where it has none.
pub(super) const fn sayable(provider: Provider, fate: Fate) -> Fate {
    match (provider, fate) {
        (Provider::Cm | Provider::Lime, Fate::Failed(Reason::Account)) => Fate::Failed(Reason::Unknown),
        (Provider::Lime, Fate::Failed(Reason::Provider)) => Fate::Failed(Reason::Unreachable),
        (Provider::Lime, Fate::Blocked) => Fate::Failed(Reason::Unknown),
        (Provider::Infobip | Provider::Cm | Provider::Lime, Fate::Canceled) => Fate::Sent,
        (_, fate) => fate,
    }
}
