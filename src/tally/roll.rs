//! Rolls: who (a digest) is on which list of names since when, and recent notices. Pure.
//!
//! What is counted exactly and outside the cells: recipients who opted out, complaints, notices of
//! carriers and registries. A name stands on a roll with the earliest moment anybody told, so that
//! order and repetition make no difference within the 31 days a roll remembers. A recipient whose
//! earliest opt-out is older than that may be counted again. Of notices, which an upset provider can
//! push by the thousand, each connection keeps the newest of each kind.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::{ConnectionId, FeedbackKind, ListId, Number, Provider, Severity};

use super::window::HOURS_KEPT;

/// Notices of one kind that are kept of one connection.
pub const NOTICES_MAX: usize = 200;

/// What a roll lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RollKind {
    /// Recipients who certainly opted out.
    OptOuts,
    /// Recipients who probably did: shown, never judged.
    LikelyOptOuts,
    /// Complaints, by event.
    Complaints,
    /// Notices of this kind, by event; complaints are among them.
    Notices(FeedbackKind),
}

/// Whose roll it is: the number, or what is known where no number is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A sending number.
    Number(Number),
    /// A list.
    List(ListId),
    /// A connection.
    Connection(ConnectionId),
}

/// Which roll.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollKey {
    /// What it lists.
    pub kind: RollKind,
    /// Whose it is.
    pub subject: Subject,
}

/// A name and the roll it belongs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The roll.
    pub roll: RollKey,
    /// A digest of the recipient, or of the event's id.
    pub name: [u8; 8],
    /// Since when.
    pub at: Timestamp,
    /// What it says, if it is a notice.
    pub notice: Option<Notice>,
}

/// What a carrier, a registry or a provider told of a number, a campaign or an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// What kind of notice it is.
    pub kind: FeedbackKind,
    /// How grave it is.
    pub severity: Severity,
    /// The provider that told.
    pub provider: Provider,
    /// The connection it came in on.
    pub connection: ConnectionId,
    /// The number it is about, when it names one.
    pub number: Option<Number>,
    /// The campaign, brand or request it is about.
    pub subject: Option<String>,
    /// The provider's own word.
    pub event: String,
    /// The provider's code.
    pub code: Option<String>,
    /// One plain sentence.
    pub text: String,
}

/// One roll: since when each of its names has been on it, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    seconds: Vec<u32>,
}

/// Notices of one kind, by when they were told and under which name.
pub type Notices = BTreeMap<(u32, [u8; 8]), Notice>;

/// One roll as a store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RollCopy {
    /// Names.
    Roll(Roll),
    /// Notices.
    Notices(Notices),
}

/// Every roll, and every notice that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rolls {
    rolls: HashMap<RollKey, Roll>,
    notices: BTreeMap<RollKey, Notices>,
}

impl RollKey {
    /// As stores name it: a letter, then whose it is.
    pub(super) fn to_text(&self) -> String {
        let kind = match self.kind {
            RollKind::OptOuts => 'o',
            RollKind::LikelyOptOuts => 'l',
            RollKind::Complaints => 'c',
            RollKind::Notices(kind) => notice_letter(kind),
        };
        match &self.subject {
            Subject::Number(number) => format!("{kind}n{number}"),
            Subject::List(list) => format!("{kind}l{list}"),
            Subject::Connection(connection) => format!("{kind}c{connection}"),
        }
    }

    /// Reads what [`RollKey::to_text`] wrote.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut letters = text.chars();
        let kind = match letters.next()? {
            'o' => RollKind::OptOuts,
            'l' => RollKind::LikelyOptOuts,
            'c' => RollKind::Complaints,
            letter => RollKind::Notices(NOTICES.into_iter().find(|kind| notice_letter(*kind) == letter)?),
        };
        let subject = match (letters.next()?, letters.as_str()) {
            ('n', number) => Subject::Number(Number::parse(number)?),
            ('l', list) => Subject::List(ListId::parse(list)?),
            ('c', connection) => Subject::Connection(ConnectionId::parse(connection)?),
            _ => return None,
        };
        Some(Self { kind, subject })
    }
}

/// Every kind of notice.
const NOTICES: [FeedbackKind; 5] = [
    FeedbackKind::Complaint,
    FeedbackKind::CarrierWarning,
    FeedbackKind::Registration,
    FeedbackKind::Suspension,
    FeedbackKind::Account,
];

const fn notice_letter(kind: FeedbackKind) -> char {
    match kind {
        FeedbackKind::Complaint => 'C',
        FeedbackKind::CarrierWarning => 'W',
        FeedbackKind::Registration => 'R',
        FeedbackKind::Suspension => 'S',
        FeedbackKind::Account => 'A',
    }
}

impl Entry {
    /// True until a roll has forgotten the moment.
    pub(super) fn is_kept(&self, clock: Timestamp) -> bool {
        self.at.seconds() >= oldest(clock)
    }
}

impl Roll {
    /// A roll whose names have been on it since these seconds.
    pub(super) fn of(mut seconds: Vec<u32>) -> Self {
        seconds.sort_unstable();
        Self { seconds }
    }

    /// Names that have been on it since a moment after `now − span`, up to `now`.
    pub fn within(&self, span: Duration, now: Timestamp) -> u64 {
        let before = |at: Timestamp| self.seconds.partition_point(|second| *second <= at.seconds());
        (before(now).saturating_sub(before(now.minus(span)))) as u64
    }

    /// Moves a name from when it was on the roll, if it was, to when it is.
    pub fn put(&mut self, was: Option<u32>, is: u32) {
        if let Some(place) = was.and_then(|was| self.seconds.binary_search(&was).ok()) {
            self.seconds.remove(place);
        }
        self.seconds.insert(self.seconds.partition_point(|second| *second < is), is);
    }

    fn expire(&mut self, clock: Timestamp) {
        let over = self.seconds.partition_point(|second| *second < oldest(clock));
        self.seconds.drain(..over);
    }
}

impl Rolls {
    /// Names on a roll since a moment within `span` before `now`.
    pub fn within(&self, kind: RollKind, subject: &Subject, span: Duration, now: Timestamp) -> u64 {
        // Most have no roll at all; where nobody has, no key is made to look for one.
        if self.rolls.is_empty() {
            return 0;
        }
        self.rolls.get(&RollKey { kind, subject: subject.clone() }).map_or(0, |roll| roll.within(span, now))
    }

    /// Every roll, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&RollKey, &Roll)> {
        self.rolls.iter()
    }

    /// Every notice that is kept, by connection and kind, oldest first within each.
    pub fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.notices.values().flat_map(BTreeMap::values)
    }

    /// Puts a name on its roll, from when it was on it, if it was. Of notices the oldest is pushed out
    /// where there are too many; its name is returned.
    pub fn put(&mut self, entry: &Entry, was: Option<u32>) -> Option<[u8; 8]> {
        let at = entry.at.seconds();
        let Some(notice) = &entry.notice else {
            self.roll(&entry.roll).put(was, at);
            return None;
        };
        let notices = self.notices.entry(entry.roll.clone()).or_default();
        was.and_then(|was| notices.remove(&(was, entry.name)));
        notices.insert((at, entry.name), notice.clone());
        let out = notices.len() > NOTICES_MAX;
        out.then(|| notices.pop_first()).flatten().map(|((_, name), _)| name)
    }

    /// A copy of one roll.
    pub(super) fn copy(&self, key: &RollKey) -> RollCopy {
        match key.kind {
            RollKind::Notices(_) => RollCopy::Notices(self.notices.get(key).cloned().unwrap_or_default()),
            _ => RollCopy::Roll(self.rolls.get(key).cloned().unwrap_or_default()),
        }
    }

    /// Every key there is a roll of.
    pub(super) fn keys(&self) -> impl Iterator<Item = &RollKey> {
        self.rolls.keys().chain(self.notices.keys())
    }

    /// Sets a roll to what a store holds.
    pub(super) fn set(&mut self, key: RollKey, copy: RollCopy) {
        match copy {
            RollCopy::Roll(roll) => drop(self.rolls.insert(key, roll)),
            RollCopy::Notices(notices) => drop(self.notices.insert(key, notices)),
        }
    }

    /// The roll of a key, made if there is none.
    pub fn roll(&mut self, key: &RollKey) -> &mut Roll {
        self.rolls.entry(key.clone()).or_default()
    }

    /// Forgets names whose time is over.
    pub(super) fn expire(&mut self, clock: Timestamp) {
        self.rolls.retain(|_, roll| {
            roll.expire(clock);
            !roll.seconds.is_empty()
        });
        self.notices.retain(|_, notices| {
            notices.retain(|(at, _), _| *at >= oldest(clock));
            !notices.is_empty()
        });
    }
}

/// The first second that a roll remembers at `clock`.
pub(super) fn oldest(clock: Timestamp) -> u32 {
    clock.minus(HOURS_KEPT).seconds()
}
