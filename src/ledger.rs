//! The account: every webhook and every event ends in exactly one counted outcome.
//!
//! A webhook is booked by an [`Open`] entry, which must be closed with its [`Answer`]; one that is
//! dropped without counts as `lost`, and the account says so. Events are booked when they are
//! produced and when a sink has made them durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::receive::{Answer, Verdict};

/// The account of this process since it started. One lock holds it, so that it always adds up,
/// also in the middle of a load.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<Statement>);

/// A webhook that has been received and not yet answered.
#[derive(Debug)]
#[must_use = "a webhook must end in an answer"]
pub struct Open {
    ledger: Arc<Ledger>,
    closed: bool,
}

impl Ledger {
    fn lines(&self) -> MutexGuard<'_, Statement> {
        // A panic elsewhere leaves whole numbers behind: the account stays usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Books a webhook in.
    pub fn open(self: &Arc<Self>) -> Open {
        let mut lines = self.lines();
        lines.webhooks.received += 1;
        lines.webhooks.in_flight += 1;
        drop(lines);
        Open { ledger: Arc::clone(self), closed: false }
    }

    /// Webhooks being worked on.
    pub fn in_flight(&self) -> u64 {
        self.lines().webhooks.in_flight
    }

    /// Books events that were offered to the stream, how many of them became durable, and how many
    /// of those in the spool.
    pub fn published(&self, offered: usize, durable: usize, spooled: usize, sink: Sink) {
        let mut lines = self.lines();
        lines.events.produced += offered as u64;
        *lines.events.durable.entry(sink.name()).or_default() += durable.saturating_sub(spooled) as u64;
        if spooled > 0 {
            *lines.events.durable.entry(Sink::Spool.name()).or_default() += spooled as u64;
        }
        lines.events.not_durable += offered.saturating_sub(durable) as u64;
    }

    /// The account as it stands.
    pub fn statement(&self) -> Statement {
        self.lines().clone()
    }
}

impl Open {
    /// Closes the entry with the answer given.
    pub fn close(mut self, answer: &Answer) {
        self.closed = true;
        let mut lines = self.ledger.lines();
        lines.webhooks.in_flight -= 1;
        match answer.verdict() {
            Verdict::Accepted => lines.webhooks.accepted += 1,
            Verdict::Rejected => *lines.webhooks.rejected.entry(answer.outcome()).or_default() += 1,
            Verdict::Refused => *lines.webhooks.refused.entry(answer.outcome()).or_default() += 1,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.closed {
            let mut lines = self.ledger.lines();
            lines.webhooks.in_flight -= 1;
            lines.webhooks.lost += 1;
        }
    }
}

/// What made events durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are the sinks' names")]
pub enum Sink {
    Kafka,
    Embedded,
    Spool,
}

impl Sink {
    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Embedded => "embedded",
            Self::Spool => "spool",
        }
    }
}

/// The account as it stands, for `GET /api/v1/ledger`.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the account's lines")]
pub struct Statement {
    pub webhooks: Webhooks,
    pub events: Events,
}

/// Webhooks of this process since it started:
/// received = accepted + rejected + refused + in flight + lost.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the account's lines")]
pub struct Webhooks {
    pub received: u64,
    pub accepted: u64,
    pub rejected: BTreeMap<&'static str, u64>,
    pub refused: BTreeMap<&'static str, u64>,
    pub in_flight: u64,
    pub lost: u64,
}

/// Events of this process since it started: produced = durable + not durable (answered 503).
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the fields are the account's lines")]
pub struct Events {
    pub produced: u64,
    pub durable: BTreeMap<&'static str, u64>,
    pub not_durable: u64,
}

impl Statement {
    /// What is missing from or too much in the account; 0, always, when nothing is in flight.
    pub fn imbalance(&self) -> u64 {
        let webhooks = &self.webhooks;
        let ended = webhooks.accepted
            + webhooks.rejected.values().sum::<u64>()
            + webhooks.refused.values().sum::<u64>()
            + webhooks.in_flight
            + webhooks.lost;
        let durable = self.events.durable.values().sum::<u64>() + self.events.not_durable;
        webhooks.received.abs_diff(ended) + self.events.produced.abs_diff(durable) + webhooks.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::{DurableProof, Reply, Unavailable};

    struct Proof;
    impl DurableProof for Proof {}

    #[test]
    fn every_webhook_ends_on_one_line_and_a_dropped_one_is_lost() {
        let ledger = Arc::new(Ledger::default());
        ledger.open().close(&Answer::accepted(Reply::Ok, &Proof));
        ledger.open().close(&Answer::Unauthorized);
        ledger.open().close(&Answer::Unavailable(Unavailable::Overloaded));
        let open = ledger.open();
        assert_eq!(ledger.statement().imbalance(), 0);
        assert_eq!(ledger.statement().webhooks.in_flight, 1);
        drop(open);
        let statement = ledger.statement();
        assert_eq!((statement.webhooks.lost, statement.imbalance()), (1, 1));
    }
}
