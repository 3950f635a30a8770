//! What each provider says, in its own words. A message and a step of its life go in, a body comes
//! out. Pure, and written from the providers' documentation alone.

pub(super) mod cm;
pub(super) mod infobip;
pub(super) mod lime;
pub(super) mod twilio;

use crate::clock::Timestamp;

/// A message, as its provider knows it.
#[derive(Clone, Debug)]
pub(super) struct Message {
    /// Its index in the run.
    pub(super) index: u32,
    /// A number no other message of the run's seed has.
    pub(super) id: u128,
    /// Its sender's index in the traffic.
    pub(super) sender: u16,
    /// The sending number, where the provider says it.
    pub(super) from: String,
    /// Who it is for, E.164.
    pub(super) to: String,
    /// When it was sent.
    pub(super) sent_at: Timestamp,
}

/// What a recipient answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A keyword that opts out.
    OptOut(&'static str),
    /// Anything else.
    Reply(&'static str),
}

impl Answer {
    /// The text as the recipient wrote it.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::OptOut(text) | Self::Reply(text) => text,
        }
    }
}

/// A time in `zone` as strftime writes it; empty if there is no such time.
fn written(at: Timestamp, format: &str, zone: &jiff::tz::TimeZone) -> String {
    jiff::Timestamp::from_millisecond(at.millis())
        .map(|at| at.to_zoned_datetime(zone.clone()).strftime(format).to_string())
        .unwrap_or_default()
}
