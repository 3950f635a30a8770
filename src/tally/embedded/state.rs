//! What the directory holds, with its cells in memory: plans a batch, commits it, keeps in step.
//!
//! Every call first writes, then changes what is in memory, so that a call that fails changes
//! neither. Must never forget a message by anything but the stream clock.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytes::Bytes;
use fjall::{Keyspace, OwnedWriteBatch};

use super::changes::Log;
use super::disk::{self, Disk, unusable};
use crate::clock::Timestamp;
use crate::consume::Partition;
use crate::tally::message::{Heard, Verdict, judge};
use crate::tally::mirror::Delta;
use crate::tally::window::{
    Bucket, CORRECTED_FOR, Cell, Cells, Counters, buckets_of, oldest_hour, oldest_minute,
};
use crate::tally::{Account, Apply, CellId, CellKey, Counted, Error, Put, Resume, Table};

/// Batches after which the engine is told to make everything durable; the stream has what is lost.
const BATCHES_PER_SYNC: u32 = 256;
/// Seconds of a generation.
const DAY: u32 = 86_400;
const POSITION: u8 = b'p';
const ACCOUNT: u8 = b'a';

/// The state, open.
pub(super) struct State {
    pub(super) disk: Disk,
    pub(super) cells: Cells,
    clock: Timestamp,
    positions: BTreeMap<Partition, u64>,
    account: BTreeMap<Partition, Account>,
    pub(super) log: Log,
    unsynced: u32,
    /// The hour in which names were last taken off the rolls for their age.
    pub(super) expired: u32,
}

/// A message met while a batch is planned.
struct Met {
    state: Option<Heard>,
    home: Home,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    /// It stands in the newest generation as it is.
    Today,
    /// It must be written there.
    Written,
    /// It stands nowhere, or in an older generation.
    Elsewhere,
}

/// What a batch will change.
#[derive(Default)]
struct Plan {
    messages: HashMap<[u8; 16], Met>,
    changes: HashMap<(CellId, Bucket), Counters>,
    account: BTreeMap<Partition, Account>,
}

impl State {
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let mut state = Self {
            disk: Disk::open(dir)?,
            cells: Cells::default(),
            clock: Timestamp::default(),
            positions: BTreeMap::new(),
            account: BTreeMap::new(),
            log: Log::new(),
            unsynced: 0,
            expired: 0,
        };
        state.read_meta()?;
        state.read_cells()?;
        Ok(state)
    }

    fn read_meta(&mut self) -> Result<(), Error> {
        for entry in self.disk.meta.iter() {
            let (key, value) = entry.into_inner().map_err(unusable)?;
            let number = value.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            if *key == *b"clock" {
                self.clock = Timestamp::from_millis(i64::try_from(number).unwrap_or(i64::MAX));
            }
            match disk::read_partition_key(&key) {
                Some((POSITION, partition)) => drop(self.positions.insert(partition, number)),
                Some((ACCOUNT, partition)) => {
                    self.account.insert(partition, disk::read_account(&value));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn read_cells(&mut self) -> Result<(), Error> {
        for entry in self.disk.cells.iter() {
            let json = entry.value().map_err(unusable)?;
            let key: CellKey = serde_json::from_slice(&json)
                .map_err(|_| Error::Unusable("a cell in it cannot be read".into()))?;
            self.cells.register(&key);
        }
        read_buckets(&self.disk.minutes, Bucket::Minute, &mut self.cells)?;
        read_buckets(&self.disk.hours, Bucket::Hour, &mut self.cells)?;
        self.read_beside()
    }

    pub(super) fn positions(&self) -> &BTreeMap<Partition, u64> {
        &self.positions
    }

    pub(super) fn resume(&mut self) -> Resume {
        let moved = self.disk.moved_to.take();
        let loss = moved.map(|to| {
            format!(
                "the state was damaged and is now in {}: it is counted from the beginning of the stream, and incidents come back from it",
                to.display()
            )
        });
        Resume { positions: self.positions.clone(), clock: self.clock, loss }
    }

    pub(super) fn account(&self) -> &BTreeMap<Partition, Account> {
        &self.account
    }

    pub(super) fn clock(&self) -> Timestamp {
        self.clock
    }

    /// Applies a batch: plans it, commits it, and only then changes what is in memory.
    pub(super) fn apply(&mut self, batch: &Apply) -> Result<Account, Error> {
        let clock = self.clock.max(batch.clock);
        let today = self.disk.generation(clock.max(batch.newest).seconds() / DAY)?;
        let plan = self.plan(batch, clock)?;
        let mut writes = self.disk.db.batch();
        for (identity, met) in plan.messages.iter().filter(|(_, met)| met.home == Home::Written) {
            if let Some(state) = met.state {
                writes.insert(&today, &identity[..], &state.to_bytes()[..]);
            }
        }
        let new: Vec<&CellKey> = batch.cells.iter().filter(|key| !self.cells.knows(key.id())).collect();
        for key in &new {
            let json = serde_json::to_vec(key).unwrap_or_default();
            writes.insert(&self.disk.cells, &disk::cell_key(key.id())[..], json);
        }
        let buckets = self.write_buckets(&mut writes, &plan.changes);
        let account = self.write_meta(&mut writes, batch, &plan, clock);
        let listed = self.write_beside(&mut writes, batch, clock)?;
        writes.commit().map_err(unusable)?;

        self.clock = clock;
        self.positions.extend(&batch.positions);
        self.account.extend(account);
        for key in new {
            self.cells.register(key);
        }
        for (cell, bucket, counters) in buckets {
            self.cells.set(cell, bucket, counters);
            self.log.push(cell, bucket);
        }
        self.cells.hear(&batch.heard);
        self.list(listed)?;
        self.sync_now_and_then()?;
        let mut sum = Account::default();
        plan.account.values().for_each(|account| sum.merge(account));
        Ok(sum)
    }

    fn plan(&self, batch: &Apply, clock: Timestamp) -> Result<Plan, Error> {
        let mut plan = Plan::default();
        plan.messages.reserve(batch.touches.len());
        for (partition, aside) in &batch.aside {
            plan.account.entry(*partition).or_default().merge(&Account::from(*aside));
        }
        for (partition, touch) in &batch.touches {
            let met = match plan.messages.entry(touch.identity) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(self.meet(&touch.identity, clock)?)
                }
            };
            let account = plan.account.entry(*partition).or_default();
            match judge(met.state, touch, clock) {
                Verdict::Late => account.late += 1,
                Verdict::Duplicate => {
                    account.duplicate += 1;
                    // A touch keeps a message for another four days, whatever it says.
                    if met.home == Home::Elsewhere {
                        met.home = Home::Written;
                    }
                }
                Verdict::Applied(state) => {
                    account.applied += 1;
                    let before = met.state.replace(state);
                    account.corrected += u64::from(before.is_some_and(|before| state.corrects(before)));
                    met.home = Home::Written;
                    change(&mut plan.changes, before, state, clock);
                }
            }
        }
        Ok(plan)
    }

    /// Looks a message up, newest generation first: an older one may hold an older state of it.
    fn meet(&self, identity: &[u8; 16], clock: Timestamp) -> Result<Met, Error> {
        let newest = self.disk.generations.keys().next_back();
        for (day, generation) in self.disk.generations.range(oldest_generation(clock)..).rev() {
            if let Some(value) = generation.get(identity).map_err(unusable)? {
                let home = if Some(day) == newest { Home::Today } else { Home::Elsewhere };
                return Ok(Met { state: Heard::from_bytes(&value), home });
            }
        }
        Ok(Met { state: None, home: Home::Elsewhere })
    }

    fn write_buckets(
        &self,
        writes: &mut OwnedWriteBatch,
        changes: &HashMap<(CellId, Bucket), Counters>,
    ) -> Vec<(CellId, Bucket, Counters)> {
        let mut after = Vec::with_capacity(changes.len());
        for ((cell, bucket), change) in changes.iter().filter(|(_, change)| !change.is_empty()) {
            let mut counters = self.cells.get(*cell, *bucket);
            counters.merge(change);
            let (keyspace, key) = self.disk.bucket(*cell, *bucket);
            if counters.is_empty() {
                writes.remove(keyspace, &key[..]);
            } else {
                writes.insert(keyspace, &key[..], disk::write_counters(&counters));
            }
            after.push((*cell, *bucket, counters));
        }
        after
    }

    fn write_meta(
        &self,
        writes: &mut OwnedWriteBatch,
        batch: &Apply,
        plan: &Plan,
        clock: Timestamp,
    ) -> BTreeMap<Partition, Account> {
        let meta = &self.disk.meta;
        writes.insert(meta, "clock", &clock.millis().to_be_bytes()[..]);
        for (partition, position) in &batch.positions {
            let key = disk::partition_key(POSITION, *partition);
            writes.insert(meta, &key[..], &position.to_be_bytes()[..]);
        }
        let mut after = BTreeMap::new();
        for (partition, change) in &plan.account {
            let mut account = self.account.get(partition).copied().unwrap_or_default();
            account.merge(change);
            writes.insert(meta, &disk::partition_key(ACCOUNT, *partition)[..], disk::write_account(&account));
            after.insert(*partition, account);
        }
        after
    }

    fn sync_now_and_then(&mut self) -> Result<(), Error> {
        self.unsynced += 1;
        if self.unsynced < BATCHES_PER_SYNC {
            return Ok(());
        }
        self.unsynced = 0;
        self.disk.sync()
    }

    /// What changed since a mirror's last refresh, or everything.
    pub(super) fn since(&self, born: u64, seen: u64) -> Delta {
        let start = Delta {
            born: self.log.born,
            seen: self.log.seen,
            heard: self.cells.heard.clone(),
            clock: self.clock,
            ..Delta::default()
        };
        let behind = usize::try_from(self.log.seen.saturating_sub(seen)).unwrap_or(usize::MAX);
        if born != self.log.born || behind > self.log.entries.len() {
            let all = |(id, cell): (CellId, &Cell)| {
                cell.buckets().map(|(bucket, counters)| (id, bucket, counters)).collect::<Vec<_>>()
            };
            return Delta {
                whole: true,
                rolls: self.cells.rolls.keys().map(|key| (key.clone(), self.cells.rolls.copy(key))).collect(),
                cells: self.cells.iter().map(|(_, cell)| cell.key.clone()).collect(),
                buckets: self.cells.iter().flat_map(all).collect(),
                ..start
            };
        }
        let mut changed: Vec<_> = self.log.entries.iter().rev().take(behind).copied().collect();
        changed.sort_unstable();
        changed.dedup();
        let mut cells: Vec<CellId> = changed.iter().map(|(cell, _)| *cell).collect();
        cells.dedup();
        Delta {
            rolls: self.log.rolls_since(seen).map(|key| (key.clone(), self.cells.rolls.copy(key))).collect(),
            cells: cells.into_iter().filter_map(|id| self.cells.key(id)).cloned().collect(),
            buckets: changed.into_iter().map(|(c, b)| (c, b, self.cells.get(c, b))).collect(),
            ..start
        }
    }

    /// Raises the stream clock and drops what is over by then.
    pub(super) fn expire(&mut self, clock: Timestamp) -> Result<(), Error> {
        let clock = self.clock.max(clock);
        let mut writes = self.disk.db.batch();
        writes.insert(&self.disk.meta, "clock", &clock.millis().to_be_bytes()[..]);
        let kinds = [(&self.disk.minutes, oldest_minute(clock)), (&self.disk.hours, oldest_hour(clock))];
        for (keyspace, oldest) in kinds {
            for entry in keyspace.range(..oldest.to_be_bytes()) {
                writes.remove(keyspace, entry.key().map_err(unusable)?);
            }
        }
        self.expire_rolls(&mut writes, clock)?;
        writes.commit().map_err(unusable)?;
        self.clock = clock;
        self.cells.expire(clock);
        let kept = self.disk.generations.split_off(&oldest_generation(clock));
        for generation in std::mem::replace(&mut self.disk.generations, kept).into_values() {
            self.disk.db.delete_keyspace(generation).map_err(unusable)?;
        }
        Ok(())
    }

    /// Changes documents in one durable step.
    pub(super) fn save(&mut self, puts: &[Put]) -> Result<(), Error> {
        let mut writes = self.disk.db.batch().durability(Some(fjall::PersistMode::SyncAll));
        for put in puts {
            let key = format!("{}/{}", put.table.name(), put.key);
            match &put.value {
                Some(value) => writes.insert(&self.disk.documents, key, &value[..]),
                None => writes.remove(&self.disk.documents, key),
            }
        }
        writes.commit().map_err(unusable)
    }

    pub(super) fn load(&self, table: Table) -> Result<BTreeMap<String, Bytes>, Error> {
        let prefix = format!("{}/", table.name());
        let mut documents = BTreeMap::new();
        for entry in self.disk.documents.prefix(&prefix) {
            let (key, value) = entry.into_inner().map_err(unusable)?;
            let key = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
            documents.insert(key, Bytes::copy_from_slice(&value));
        }
        Ok(documents)
    }

    /// Makes everything durable; the directory is free again afterwards.
    pub(super) fn close(self) -> Result<(), Error> {
        self.disk.sync()
    }
}

fn read_buckets(from: &Keyspace, kind: fn(u32) -> Bucket, into: &mut Cells) -> Result<(), Error> {
    for entry in from.iter() {
        let (key, value) = entry.into_inner().map_err(unusable)?;
        if let Some((at, cell)) = disk::read_bucket_key(&key) {
            into.set(cell, kind(at), disk::read_counters(&value));
        }
    }
    Ok(())
}

/// Moves what a message adds: away from where it was, to where it belongs.
fn change(
    changes: &mut HashMap<(CellId, Bucket), Counters>,
    before: Option<Heard>,
    after: Heard,
    clock: Timestamp,
) {
    let before = before.map(Heard::counted);
    let after = after.counted();
    if before == Some(after) {
        return;
    }
    let mut count = |message: Counted, by: i64| {
        for bucket in buckets_of(message.minute, clock) {
            let counters = changes.entry((message.cell, bucket)).or_default();
            message.counters().for_each(|counter| counters.add(counter, by));
        }
    };
    if let Some(before) = before {
        count(before, -1);
    }
    count(after, 1);
}

/// The first generation whose messages are remembered: it is over four days after its last second.
fn oldest_generation(clock: Timestamp) -> u32 {
    clock.minus(CORRECTED_FOR).seconds() / DAY
}
