//! Named places where a test makes the daemon die, break, wait or fail. Only a build with the
//! feature `failpoints` has them: in any other, nothing here does anything, and costs nothing.
//!
//! `FAILPOINTS="batch.applied=kill;log.sync=20%delay(300)"` arms them at start, and the file that
//! `FAILPOINTS_FILE` names whenever it changes. An action is a verb, which may be limited by how
//! often it happens: `3*panic` three times, `5%kill` at one hit in twenty or so.
//!
//! | verb | what happens |
//! |---|---|
//! | `kill` | the process ends at once, as by a power cut |
//! | `panic` | the task or thread panics |
//! | `delay(N)` | it waits N milliseconds |
//! | `fail` | what the place does fails, where it may: [`obstruct`] and [`is_due`] |
//!
//! `clock=-3600000` sets the daemon's clock back by an hour.

#[cfg(feature = "failpoints")]
mod armed;
#[cfg(feature = "failpoints")]
mod script;

#[cfg(feature = "failpoints")]
pub use armed::{arm, clock_offset, is_due, kill, obstruct, reach};

/// A step between reading a request and answering it, or between taking a batch and committing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the places' names")]
pub enum Point {
    RequestRead,
    WebhookProved,
    WebhookNormalized,
    EventsOffered,
    EventsAcknowledged,
    EventsSpooling,
    EventsDurable,
    WebhookAnswered,
    LogWrite,
    LogTorn,
    LogSync,
    LogSynced,
    DrainTaken,
    DrainHanded,
    DrainMarked,
    BatchTaken,
    BatchApplied,
    BatchCommitted,
}

impl Point {
    /// Every place, in the order in which an event passes them.
    pub const ALL: [Self; 18] = [
        Self::RequestRead,
        Self::WebhookProved,
        Self::WebhookNormalized,
        Self::EventsOffered,
        Self::EventsAcknowledged,
        Self::EventsSpooling,
        Self::EventsDurable,
        Self::WebhookAnswered,
        Self::LogWrite,
        Self::LogTorn,
        Self::LogSync,
        Self::LogSynced,
        Self::DrainTaken,
        Self::DrainHanded,
        Self::DrainMarked,
        Self::BatchTaken,
        Self::BatchApplied,
        Self::BatchCommitted,
    ];

    /// The name in `FAILPOINTS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RequestRead => "request.read",
            Self::WebhookProved => "webhook.proved",
            Self::WebhookNormalized => "webhook.normalized",
            Self::EventsOffered => "events.offered",
            Self::EventsAcknowledged => "events.acknowledged",
            Self::EventsSpooling => "events.spooling",
            Self::EventsDurable => "events.durable",
            Self::WebhookAnswered => "webhook.answered",
            Self::LogWrite => "log.write",
            Self::LogTorn => "log.torn",
            Self::LogSync => "log.sync",
            Self::LogSynced => "log.synced",
            Self::DrainTaken => "drain.taken",
            Self::DrainHanded => "drain.handed",
            Self::DrainMarked => "drain.marked",
            Self::BatchTaken => "batch.taken",
            Self::BatchApplied => "batch.applied",
            Self::BatchCommitted => "batch.committed",
        }
    }
}

/// Does what is to happen at a place, if anything is.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub async fn reach(_: Point) {}

/// The same on a thread that may be kept waiting; an error where the place is to fail.
///
/// # Errors
/// Never, in this build.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn obstruct(_: Point) -> std::io::Result<()> {
    Ok(())
}

/// Whether a place is to do wrong what it does, in a way that only it knows.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn is_due(_: Point) -> bool {
    false
}

/// Ends the process as a power cut would.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn kill() {}

/// By how many milliseconds the clock is wrong.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn clock_offset() -> i64 {
    0
}

/// Arms what the environment names.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub const fn arm() {}
