//! The account: every webhook and every event ends in exactly one counted outcome.
//!
//! A webhook is booked by an [`Open`] entry, which must be closed with its [`Answer`]; one that is
//! dropped without counts as `lost`, and the account says so. Events are booked when they are
//! produced and when a sink has made them durable.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::event::ConnectionId;
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
    connection: Option<ConnectionId>,
    closed: bool,
}

/// Events that were offered to the stream, and what became of them.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// What they were offered to.
    pub sink: Sink,
    /// How many became durable: all, or none for certain.
    pub durable: usize,
    /// How many of those in the spool.
    pub spooled: usize,
}

impl Ledger {
    fn lines(&self) -> MutexGuard<'_, Statement> {
        // A panic elsewhere leaves whole numbers behind: the account stays usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Books a webhook in.
    pub fn open(self: &Arc<Self>) -> Open {
        self.lines().webhooks.begin();
        Open { ledger: Arc::clone(self), connection: None, closed: false }
    }

    /// Books events, told by the connections they belong to. Where several have some in the spool,
    /// the spool's are booked on the first.
    pub fn published<'a>(
        &self,
        events: impl Iterator<Item = &'a ConnectionId>,
        Published { sink, durable, spooled }: Published,
    ) {
        let (mut durable, mut spooled) = (durable as u64, spooled as u64);
        let mut lines = self.lines();
        let mut events = events.peekable();
        while let Some(connection) = events.next() {
            let mut produced = 1;
            while events.next_if_eq(&connection).is_some() {
                produced += 1;
            }
            let held = durable.min(produced);
            let aside = spooled.min(held);
            (durable, spooled) = (durable - held, spooled - aside);
            let of = &mut lines.connection(connection).events;
            of.book(produced, held, aside, sink);
            lines.events.book(produced, held, aside, sink);
        }
    }

    /// The account as it stands.
    pub fn statement(&self) -> Statement {
        self.lines().clone()
    }
}

impl Open {
    /// Books it on its connection, too. Returns how many webhooks are in flight.
    pub fn belongs_to(&mut self, connection: Option<&ConnectionId>) -> u64 {
        let mut lines = self.ledger.lines();
        if let (Some(connection), None) = (connection, &self.connection) {
            lines.connection(connection).webhooks.begin();
            self.connection = Some(connection.clone());
        }
        lines.webhooks.in_flight
    }

    /// Closes the entry with the answer given at that time.
    pub fn close(mut self, answer: &Answer, at: Timestamp) {
        self.closed = true;
        let mut lines = self.ledger.lines();
        lines.webhooks.end(answer);
        if let Some(connection) = &self.connection {
            let of = lines.connection(connection);
            of.webhooks.end(answer);
            if answer.verdict() == Verdict::Accepted {
                of.last_webhook_at = of.last_webhook_at.max(Some(at));
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.closed {
            let mut lines = self.ledger.lines();
            lines.webhooks.lose();
            if let Some(connection) = &self.connection {
                lines.connection(connection).webhooks.lose();
            }
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

/// Counts by name.
type Counts = BTreeMap<Cow<'static, str>, u64>;

/// The account as it stands, for `GET /api/v1/ledger`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the account's lines")]
pub struct Statement {
    pub webhooks: Webhooks,
    pub events: Events,
    /// The same by connection, without the webhooks that name none of ours.
    pub connections: BTreeMap<ConnectionId, Share>,
}

/// What belongs to one connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the account's lines")]
pub struct Share {
    pub webhooks: Webhooks,
    pub events: Events,
    /// When one was accepted last.
    pub last_webhook_at: Option<Timestamp>,
}

/// Webhooks of this process since it started:
/// received = accepted + rejected + refused + in flight + lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the account's lines")]
pub struct Webhooks {
    pub received: u64,
    pub accepted: u64,
    pub rejected: Counts,
    pub refused: Counts,
    pub in_flight: u64,
    pub lost: u64,
}

/// Events of this process since it started: produced = durable + not durable (answered 503).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are the account's lines")]
pub struct Events {
    pub produced: u64,
    pub durable: Counts,
    pub not_durable: u64,
}

impl Webhooks {
    const fn begin(&mut self) {
        self.received += 1;
        self.in_flight += 1;
    }

    fn end(&mut self, answer: &Answer) {
        self.in_flight -= 1;
        match answer.verdict() {
            Verdict::Accepted => self.accepted += 1,
            Verdict::Rejected => *self.rejected.entry(Cow::Borrowed(answer.outcome())).or_default() += 1,
            Verdict::Refused => *self.refused.entry(Cow::Borrowed(answer.outcome())).or_default() += 1,
        }
    }

    const fn lose(&mut self) {
        self.in_flight -= 1;
        self.lost += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.received += other.received;
        self.accepted += other.accepted;
        merge(&mut self.rejected, &other.rejected);
        merge(&mut self.refused, &other.refused);
        self.in_flight += other.in_flight;
        self.lost += other.lost;
    }

    fn imbalance(&self) -> u64 {
        let ended = self.accepted + sum(&self.rejected) + sum(&self.refused) + self.in_flight + self.lost;
        self.received.abs_diff(ended) + self.lost
    }
}

impl Events {
    fn book(&mut self, produced: u64, durable: u64, spooled: u64, sink: Sink) {
        self.produced += produced;
        *self.durable.entry(Cow::Borrowed(sink.name())).or_default() += durable - spooled;
        if spooled > 0 {
            *self.durable.entry(Cow::Borrowed(Sink::Spool.name())).or_default() += spooled;
        }
        self.not_durable += produced - durable;
    }

    fn merge(&mut self, other: &Self) {
        self.produced += other.produced;
        merge(&mut self.durable, &other.durable);
        self.not_durable += other.not_durable;
    }

    fn imbalance(&self) -> u64 {
        self.produced.abs_diff(sum(&self.durable) + self.not_durable)
    }
}

fn sum(counts: &Counts) -> u64 {
    counts.values().sum()
}

fn merge(into: &mut Counts, other: &Counts) {
    for (name, count) in other {
        *into.entry(name.clone()).or_default() += count;
    }
}

impl Statement {
    fn connection(&mut self, id: &ConnectionId) -> &mut Share {
        self.connections.entry(id.clone()).or_default()
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.webhooks.merge(&other.webhooks);
        self.events.merge(&other.events);
        for (id, share) in &other.connections {
            let of = self.connections.entry(id.clone()).or_default();
            of.webhooks.merge(&share.webhooks);
            of.events.merge(&share.events);
            of.last_webhook_at = of.last_webhook_at.max(share.last_webhook_at);
        }
    }

    /// What is missing from or too much in the account; 0, always.
    pub fn imbalance(&self) -> u64 {
        let shares = self.connections.values();
        let apart: u64 = shares.map(|share| share.webhooks.imbalance() + share.events.imbalance()).sum();
        self.webhooks.imbalance() + self.events.imbalance() + apart
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::{DurableProof, Reply, Unavailable};

    struct Proof;
    impl DurableProof for Proof {}

    const NOW: Timestamp = Timestamp::from_seconds(7);

    #[test]
    fn every_webhook_ends_on_one_line_and_a_dropped_one_is_lost() {
        let ledger = Arc::new(Ledger::default());
        ledger.open().close(&Answer::accepted(Reply::Ok, &Proof), NOW);
        ledger.open().close(&Answer::Unauthorized, NOW);
        ledger.open().close(&Answer::Unavailable(Unavailable::Overloaded), NOW);
        let open = ledger.open();
        assert_eq!(ledger.statement().imbalance(), 0);
        assert_eq!(ledger.statement().webhooks.in_flight, 1);
        drop(open);
        let statement = ledger.statement();
        assert_eq!((statement.webhooks.lost, statement.imbalance()), (1, 1));
    }

    #[test]
    fn what_belongs_to_a_connection_is_on_its_lines_too() {
        let ledger = Arc::new(Ledger::default());
        let (a, b) = (ConnectionId::parse("a").unwrap(), ConnectionId::parse("b").unwrap());
        let mut open = ledger.open();
        assert_eq!(open.belongs_to(Some(&a)), 1);
        let mut refused = ledger.open();
        assert_eq!((refused.belongs_to(Some(&a)), ledger.open().belongs_to(None)), (2, 3));
        open.close(&Answer::accepted(Reply::Ok, &Proof), NOW);
        refused.close(&Answer::RateLimited, NOW.plus(std::time::Duration::from_secs(1)));
        let published = Published { sink: Sink::Kafka, durable: 4, spooled: 3 };
        ledger.published([&a, &a, &b, &b].into_iter(), published);
        ledger.published([&b].into_iter(), Published { sink: Sink::Kafka, durable: 0, spooled: 0 });
        let statement = ledger.statement();
        let share = &statement.connections[&a];
        assert_eq!((share.webhooks.received, share.webhooks.accepted), (2, 1));
        assert_eq!((share.last_webhook_at, share.events.durable["spool"]), (Some(NOW), 2));
        let other = &statement.connections[&b];
        assert_eq!((other.events.produced, other.events.not_durable, other.last_webhook_at), (3, 1, None));
        assert_eq!(statement.events.durable, BTreeMap::from([("kafka".into(), 1), ("spool".into(), 3)]));
        // The one that named nobody was dropped above.
        assert_eq!((statement.webhooks.received, statement.webhooks.lost, statement.imbalance()), (3, 1, 1));
    }

    #[test]
    fn a_statement_is_read_as_it_was_written_and_two_add_up() {
        let ledger = Arc::new(Ledger::default());
        let a = ConnectionId::parse("a").unwrap();
        let mut open = ledger.open();
        open.belongs_to(Some(&a));
        open.close(&Answer::Unauthorized, NOW);
        ledger.published([&a].into_iter(), Published { sink: Sink::Spool, durable: 1, spooled: 1 });
        let statement = ledger.statement();
        let read: Statement = serde_json::from_str(&serde_json::to_string(&statement).unwrap()).unwrap();
        assert_eq!(read, statement);
        let mut both = read;
        both.merge(&statement);
        assert_eq!((both.webhooks.received, both.connections[&a].webhooks.rejected["unauthorized"]), (2, 2));
        assert_eq!((both.events.durable["spool"], both.imbalance()), (2, 0));
    }
}
