//! A batch in, the arguments of one call per slot out; and how a store's keys and answers read. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::consume::Partition;
use crate::event::Topic;
use crate::tally::message::STATE_BYTES;
use crate::tally::{Account, Apply, Aside, Bucket, CellId, CellKey, Counter, Counters, Touch};

/// Touches of one call; Redis does nothing else while it works on them, some 5 µs each.
const TOUCHES_MAX: usize = 5_000;

/// The arguments of one call of `sounder_v2_apply`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The slot it goes to.
    pub(super) slot: usize,
    /// Whether it moves positions.
    pub(super) moves: bool,
    /// As `functions.lua` takes them.
    pub(super) args: Vec<Vec<u8>>,
}

/// Divides a batch into calls. Positions and what carries no news go with the last one, so that a
/// batch that breaks off in between is read again.
pub(super) fn calls(batch: &Apply, slots: usize) -> Vec<Call> {
    let mut by_slot: Vec<Vec<&(Partition, Touch)>> = vec![Vec::new(); slots];
    for touch in &batch.touches {
        by_slot[slot_of(&touch.1.identity, slots)].push(touch);
    }
    let keys: BTreeMap<CellId, &CellKey> = batch.cells.iter().map(|key| (key.id(), key)).collect();
    let mut calls = Vec::new();
    for (slot, touches) in by_slot.iter().enumerate().skip(1) {
        for touches in touches.chunks(TOUCHES_MAX) {
            calls.push(Call { slot, moves: false, args: args(batch, touches, None, &keys) });
        }
    }
    // Slot 0 holds the positions, so it comes last, also when it has no touches.
    let mut rest: &[_] = &by_slot[0];
    while rest.len() > TOUCHES_MAX {
        let (touches, more) = rest.split_at(TOUCHES_MAX);
        calls.push(Call { slot: 0, moves: false, args: args(batch, touches, None, &keys) });
        rest = more;
    }
    calls.push(Call { slot: 0, moves: true, args: args(batch, rest, Some(batch), &keys) });
    calls
}

fn args(
    batch: &Apply,
    touches: &[&(Partition, Touch)],
    rest: Option<&Apply>,
    keys: &BTreeMap<CellId, &CellKey>,
) -> Vec<Vec<u8>> {
    let mut partitions: BTreeSet<Partition> = touches.iter().map(|(partition, _)| *partition).collect();
    if let Some(rest) = rest {
        partitions.extend(rest.aside.keys().chain(rest.positions.keys()));
    }
    let index: BTreeMap<Partition, u16> = partitions.iter().copied().zip(0..).collect();
    let mut blob = Vec::with_capacity(touches.len() * TOUCH_BYTES);
    let mut cells = BTreeSet::new();
    for (partition, touch) in touches {
        pack(&mut blob, touch, index.get(partition).copied().unwrap_or_default());
        cells.insert(touch.heard.placement.cell());
    }
    let times = [batch.clock.millis(), batch.newest.millis()].map(text);
    let mut args = Vec::from(times);
    args.extend([blob, text(partitions.len())]);
    for partition in partitions {
        let aside = rest.and_then(|rest| rest.aside.get(&partition)).copied().unwrap_or_default();
        let Aside { dead, not_counted } = aside;
        let position = rest.and_then(|rest| rest.positions.get(&partition));
        args.extend([partition_name(partition).into_bytes(), text(dead), text(not_counted)]);
        args.push(position.map(text).unwrap_or_default());
    }
    for (id, key) in cells.into_iter().filter_map(|id| Some((id, keys.get(&id)?))) {
        args.extend([cell_name(id).into_bytes(), serde_json::to_vec(key).unwrap_or_default()]);
    }
    args
}

/// Bytes of a touch: shard 4, field 8, state, received second 4, partition 2.
const TOUCH_BYTES: usize = 18 + STATE_BYTES;

/// Shard 4, field 8, state 25, received second 4, partition 2. The digest's bytes 4 to 7
/// choose the slot, so that shard and slot are independent.
fn pack(blob: &mut Vec<u8>, touch: &Touch, partition: u16) {
    blob.extend_from_slice(&touch.identity[..4]);
    blob.extend_from_slice(&touch.identity[8..]);
    blob.extend_from_slice(&touch.heard.to_bytes());
    blob.extend_from_slice(&touch.received_at.seconds().to_be_bytes());
    blob.extend_from_slice(&partition.to_be_bytes());
}

fn slot_of(identity: &[u8; 16], slots: usize) -> usize {
    let [_, _, _, _, a, b, c, d, ..] = *identity;
    u32::from_be_bytes([a, b, c, d]) as usize % slots
}

fn text(number: impl ToString) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// A partition as fields name it: topic's number, a point, index.
pub(super) fn partition_name(partition: Partition) -> String {
    format!("{}.{}", partition.topic.number(), partition.index)
}

/// Reads what [`partition_name`] wrote.
pub(super) fn read_partition(name: &str) -> Option<Partition> {
    let (topic, index) = name.split_once('.')?;
    Some(Partition { topic: Topic::from_number(topic.parse().ok()?)?, index: index.parse().ok()? })
}

/// A cell's id as keys and fields name it.
pub(super) fn cell_name(cell: CellId) -> String {
    format!("{:012x}", cell.value())
}

/// A hash of buckets: a cell's minutes of an hour, or its hours of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BucketHash {
    pub(super) cell: CellId,
    first: Bucket,
}

impl BucketHash {
    /// Reads a hash's name: `m:<cell>:<hour>` or `h:<cell>:<day>`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split(':');
        let (kind, cell, at) = (parts.next()?, parts.next()?, parts.next()?.parse::<u32>().ok()?);
        let first = match kind {
            "m" => Bucket::Minute(at.checked_mul(60)?),
            "h" => Bucket::Hour(at.checked_mul(24)?),
            _ => return None,
        };
        Some(Self { cell: CellId::from_value(u64::from_str_radix(cell, 16).ok()?), first })
    }

    /// The last bucket in it; once that is over, the hash is.
    pub(super) fn last(self) -> Bucket {
        match self.first {
            Bucket::Minute(at) => Bucket::Minute(at + 59),
            Bucket::Hour(at) => Bucket::Hour(at + 23),
        }
    }

    /// What its fields say, bucket by bucket.
    pub(super) fn read(self, fields: &[(u32, i64)]) -> Vec<(CellId, Bucket, Counters)> {
        let mut buckets: BTreeMap<u32, Counters> = BTreeMap::new();
        for (field, count) in fields {
            let counter = u8::try_from(*field as usize % Counter::COUNT).ok().and_then(Counter::from_index);
            let offset = u32::try_from(*field as usize / Counter::COUNT).unwrap_or(u32::MAX);
            if let Some(counter) = counter {
                buckets.entry(offset).or_default().add(counter, *count);
            }
        }
        let bucket = |offset: u32| match self.first {
            Bucket::Minute(at) => Bucket::Minute(at.saturating_add(offset)),
            Bucket::Hour(at) => Bucket::Hour(at.saturating_add(offset)),
        };
        buckets.into_iter().map(|(offset, counters)| (self.cell, bucket(offset), counters)).collect()
    }
}

/// Adds one line of the account, `<partition>:<line>`, to the partition's.
pub(super) fn read_account_line(into: &mut BTreeMap<Partition, Account>, field: &str, count: u64) {
    let Some((partition, line)) = field.split_once(':') else { return };
    let Some(partition) = read_partition(partition) else { return };
    let account = into.entry(partition).or_default();
    let line = match line {
        "1" => &mut account.applied,
        "2" => &mut account.duplicate,
        "3" => &mut account.late,
        "4" => &mut account.dead,
        "5" => &mut account.not_counted,
        _ => return,
    };
    *line += count;
}
