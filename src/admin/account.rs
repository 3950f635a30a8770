//! The ledger as the API shows it: webhooks and events of this process or of all receivers, and what
//! became of every record ever taken from the stream.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::consume::{Condition, Fleet, Partition, Reading, Receiver};
use crate::ledger::Statement;
use crate::publish::SpoolAccount;
use crate::tally::Account;

/// `GET /api/v1/ledger`. Every line balances, and `balanced` says so.
#[derive(Debug, Serialize)]
pub(super) struct Ledger {
    /// Whose account it is: `process` or `fleet`.
    scope: &'static str,
    /// Whether every line adds up.
    balanced: bool,
    /// Webhooks and events: of this process since it started, or of all receivers, each since it did.
    #[serde(flatten)]
    statement: Statement,
    /// The receivers that are added up; absent where only this process is told of.
    #[serde(skip_serializing_if = "Option::is_none")]
    receivers: Option<Vec<ReceiverLine>>,
    /// What became of every event ever spooled; absent where there is no spool.
    #[serde(skip_serializing_if = "Option::is_none")]
    spool: Option<SpoolAccount>,
    /// What became of every record ever taken from the stream; absent where nothing observes.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumed: Option<Consumed>,
    /// Records of the stream that are not applied yet.
    lag: u64,
    /// The same by partition.
    partitions: Vec<PartitionLine>,
}

/// A receiver, as it told of itself last.
#[derive(Debug, Serialize)]
struct ReceiverLine {
    receiver: String,
    condition: Condition,
    version: String,
    started_at: Timestamp,
    heard_at: Timestamp,
    in_spool: u64,
    oldest_spooled_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Consumed {
    total: u64,
    #[serde(flatten)]
    account: Account,
}

#[derive(Debug, Serialize)]
struct PartitionLine {
    topic: &'static str,
    partition: i32,
    position: u64,
    end: u64,
    lag: u64,
    consumed: u64,
    #[serde(flatten)]
    account: Account,
}

/// Draws the account up.
pub(super) fn ledger(
    statement: Statement,
    spool: Option<SpoolAccount>,
    reading: Option<&Reading>,
    accounts: &BTreeMap<Partition, Account>,
) -> Ledger {
    let mut total = Account::default();
    for account in accounts.values() {
        total.merge(account);
    }
    let partitions: Vec<_> =
        reading.map(|reading| lines(reading, accounts)).unwrap_or_default().into_iter().collect();
    Ledger {
        scope: "process",
        balanced: statement.imbalance() == 0
            && spool.is_none_or(|spool| spool.imbalance() == 0)
            && partitions.iter().all(|line| line.position + line.lag == line.end),
        statement,
        receivers: None,
        spool,
        consumed: reading.map(|_| Consumed { total: total.total(), account: total }),
        lag: reading.map_or(0, Reading::lag),
        partitions,
    }
}

impl Ledger {
    /// The same for all receivers, whose heartbeats are added up.
    pub(super) fn of_fleet(self, fleet: &Fleet, late_after: Duration, now: Timestamp) -> Self {
        let (statement, spool) = fleet.sum();
        let own = self.balanced;
        let line = |receiver: &Receiver| ReceiverLine {
            receiver: receiver.heartbeat.receiver.clone(),
            condition: receiver.condition(late_after, now),
            version: receiver.heartbeat.version.clone(),
            started_at: receiver.heartbeat.started_at,
            heard_at: receiver.heard_at,
            in_spool: receiver.heartbeat.spool.in_spool,
            oldest_spooled_at: receiver.heartbeat.oldest_spooled_at,
        };
        Self {
            scope: "fleet",
            balanced: own && statement.imbalance() == 0 && spool.imbalance() == 0,
            statement,
            receivers: Some(fleet.receivers().map(line).collect()),
            spool: Some(spool),
            ..self
        }
    }
}

fn lines(reading: &Reading, accounts: &BTreeMap<Partition, Account>) -> Vec<PartitionLine> {
    let line = |(partition, end): (&Partition, &u64)| {
        let account = accounts.get(partition).copied().unwrap_or_default();
        let lag = reading.lag_of(*partition);
        let position = reading.positions.get(partition).copied().unwrap_or(0);
        PartitionLine {
            topic: partition.topic.name(),
            partition: partition.index,
            position,
            // An end that was asked for a while ago may have been passed since.
            end: (*end).max(position),
            lag,
            consumed: account.total(),
            account,
        }
    };
    reading.ends.iter().map(line).collect()
}
