//! The ledger as the API shows it: this process' webhooks and events, and what became of every
//! record ever taken from the stream.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::consume::{Partition, Reading};
use crate::ledger::Statement;
use crate::publish::SpoolAccount;
use crate::tally::Account;

/// `GET /api/v1/ledger`. Every line balances, and `balanced` says so.
#[derive(Debug, Serialize)]
pub(super) struct Ledger {
    /// Whose account it is.
    scope: &'static str,
    /// Whether every line adds up.
    balanced: bool,
    /// Webhooks and events of this process since it started.
    #[serde(flatten)]
    statement: Statement,
    /// What became of every event ever spooled by this receiver; absent where there is no spool.
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
        spool,
        consumed: reading.map(|_| Consumed { total: total.total(), account: total }),
        lag: reading.map_or(0, Reading::lag),
        partitions,
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
