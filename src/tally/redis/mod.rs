//! The state in a Redis that several daemons share: batches in, cells, positions and documents out.
//!
//! One call of a function applies a batch of one slot, atomically. Under `{prefix}:{slot}:` stand
//!
//! | key | what |
//! |---|---|
//! | `meta` | format, slots, born, stream clock, sequence; which Redis wrote it last, and when; in slot 0 the positions' epoch |
//! | `gens` | shard bits and messages of each day's generation |
//! | `g:<day>:<shard>` | 8 bytes of a message's digest → what was heard of it |
//! | `m:<cell>:<hour>`, `h:<cell>:<day>` | minute or hour × 30 + counter → messages |
//! | `dirty` | every bucket hash, scored by the sequence that last changed it |
//! | `cells` | cell id → its key as JSON |
//! | `r:<roll>`, `n:<roll>` | names by the second since which they are on it; what notices say |
//! | `rolls` | every roll of the slot, scored by the sequence that last changed it |
//! | `c:<recipient>` | by scope: what they said last, with its order |
//! | `heard` | in slot 0, by connection: the second in which its last receipt was received |
//! | `positions`, `account` | by partition; an account is summed over the slots |
//! | `clocks` | in slot 0, by partition: how far it is, in ms |
//! | `trail` | in slot 0, by minute: where the positions stood |
//! | `doc:<table>`, `lease`, `fence` | documents and the evaluator's lease, in slot 0 |
//!
//! Must never take a change from another mirror: each follows the sequence by itself.

mod beside;
mod connect;
mod consent;
mod loss;
mod packing;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::redis::{Cmd, FromRedisValue, Pipeline, RedisError};
use bytes::Bytes;

use crate::clock::Timestamp;
use crate::config;
use crate::consume::Partition;

use super::mirror::{Delta, Following, Mirror};
use super::window::{CORRECTED_FOR, oldest_hour, oldest_minute};
use super::{Account, Apply, CellId, CellKey, Error, Put, Table};
pub(super) use connect::probe;
use connect::{Link, sort};
use packing::BucketHash;

/// Keys of one pipelined request.
const KEYS_MAX: usize = 1_000;

/// A connection to the state; it comes back by itself after a failure.
#[derive(Clone)]
pub struct Redis {
    link: Link,
    /// `{prefix}:{slot}:` of each slot.
    bases: Arc<[String]>,
    /// How far back the positions go when this Redis may have lost its last moments.
    rewind: Duration,
    /// What stands in `meta.epoch` since the positions were last read to be gone on from; whoever
    /// moves them back writes another.
    epoch: Arc<Mutex<String>>,
    /// True once a loss was found here that nobody has been told of.
    noticed: Arc<AtomicBool>,
    /// The oldest hour that is kept when buckets were last dropped; they change once an hour.
    expired: Arc<Mutex<(u32, u32)>>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("bases", &self.bases).finish_non_exhaustive()
    }
}

impl Redis {
    pub(super) async fn connect(redis: &config::Redis, slots: u16) -> Result<Self, Error> {
        let base = |slot| format!("{}:{{{slot}}}:", redis.key_prefix);
        let bases: Arc<[String]> = (0..slots.max(1)).map(base).collect();
        let mut link = connect::connect(&redis.url).await?;
        connect::load_functions(&mut link).await?;
        let (epoch, noticed, expired) = Default::default();
        let store = Self { link, bases, rewind: redis.rewind, epoch, noticed, expired };
        store.recover().await?;
        Ok(store)
    }

    pub(super) async fn apply(&self, batch: &Apply) -> Result<Account, Error> {
        let mut sum = Account::default();
        // Before the call that moves the positions.
        self.list(batch).await?;
        for call in packing::calls(batch, self.bases.len()) {
            let mut fcall = self.fcall("sounder_v2_apply", call.slot);
            let (clock, rest) = call.args.split_first().map_or((&[][..], &[][..]), |(c, r)| (c, r));
            match call.moves {
                true => fcall.arg(self.epoch()).arg(clock),
                // Nobody asks there whether the positions, and with them the clock, were moved back.
                false if !self.epoch().is_empty() => fcall.arg("").arg(0),
                false => fcall.arg("").arg(clock),
            };
            for arg in rest {
                fcall.arg(arg.as_slice());
            }
            let (applied, duplicate, late, dead, not_counted, corrected) = self.call(&fcall).await?;
            sum.merge(&Account { applied, duplicate, late, dead, not_counted, corrected });
        }
        Ok(sum)
    }

    pub(super) async fn positions(&self) -> Result<BTreeMap<Partition, u64>, Error> {
        let found: HashMap<String, u64> = self.ask(&Cmd::hgetall(self.key(0, "positions"))).await?;
        let read = |(name, position): (String, u64)| Some((packing::read_partition(&name)?, position));
        Ok(found.into_iter().filter_map(read).collect())
    }

    pub(super) async fn account(&self) -> Result<BTreeMap<Partition, Account>, Error> {
        let mut account = BTreeMap::new();
        for slot in 0..self.bases.len() {
            let lines: HashMap<String, u64> = self.ask(&Cmd::hgetall(self.key(slot, "account"))).await?;
            for (field, count) in lines {
                packing::read_account_line(&mut account, &field, count);
            }
        }
        Ok(account)
    }

    pub(super) async fn clock(&self) -> Result<Timestamp, Error> {
        let mut clock = Timestamp::default();
        for slot in 0..self.bases.len() {
            let millis: Option<i64> = self.ask(&Cmd::hget(self.key(slot, "meta"), "clock")).await?;
            clock = clock.max(Timestamp::from_millis(millis.unwrap_or(0)));
        }
        Ok(clock)
    }

    pub(super) async fn refresh(&self, mirror: &Mirror) -> Result<(), Error> {
        let mut following = mirror.follow().await;
        let mut deltas = Vec::with_capacity(self.bases.len());
        for slot in 0..self.bases.len() {
            deltas.push(self.changes(mirror, &following, slot).await?);
        }
        mirror.take(&mut following, deltas);
        Ok(())
    }

    /// What changed in a slot since the mirror last saw it, or everything if it is another store.
    async fn changes(&self, mirror: &Mirror, following: &Following, slot: usize) -> Result<Delta, Error> {
        let (born, seen) = following.place(slot);
        let (mut delta, mut names) = self.dirty(slot, seen).await?;
        if delta.born != born || delta.seen < seen {
            (delta, names) = self.dirty(slot, 0).await?;
            delta.whole = true;
        }
        let hashes = names.iter().filter_map(|name| Some((name, BucketHash::parse(name)?)));
        let hashes: Vec<(&String, BucketHash)> = hashes.collect();
        for chunk in hashes.chunks(KEYS_MAX) {
            let mut pipe = Pipeline::with_capacity(chunk.len());
            for (name, _) in chunk {
                pipe.hgetall(self.key(slot, name));
            }
            let contents: Vec<HashMap<u32, i64>> = self.ask_all(&pipe).await?;
            for ((_, hash), fields) in chunk.iter().zip(contents) {
                delta.buckets.extend(hash.read(&fields.into_iter().collect::<Vec<_>>()));
            }
        }
        let mut unknown: Vec<CellId> = hashes.iter().map(|(_, hash)| hash.cell).collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown.retain(|id| delta.whole || !mirror.knows(following, self.bases.len(), slot, *id));
        for chunk in unknown.chunks(KEYS_MAX) {
            delta.cells.extend(self.cells(slot, chunk).await?);
        }
        delta.rolls = self.rolls_since(slot, if delta.whole { 0 } else { seen }).await?;
        if slot == 0 {
            delta.heard = self.heard().await?;
        }
        Ok(delta)
    }

    /// The names of the bucket hashes that changed after `seen`, and how far that brings a mirror.
    async fn dirty(&self, slot: usize, seen: u64) -> Result<(Delta, Vec<String>), Error> {
        let mut pipe = ::redis::pipe();
        pipe.atomic().cmd("HMGET").arg(self.key(slot, "meta")).arg(&["born", "seq", "clock"]).zrangebyscore(
            self.key(slot, "dirty"),
            format!("({seen}"),
            "+inf",
        );
        let (meta, names): (Vec<Option<i64>>, Vec<String>) = self.ask_all(&pipe).await?;
        let number = |n: usize| meta.get(n).copied().flatten().unwrap_or(0);
        let delta = Delta {
            born: number(0).unsigned_abs(),
            seen: number(1).unsigned_abs(),
            clock: Timestamp::from_millis(number(2)),
            ..Delta::default()
        };
        Ok((delta, names))
    }

    async fn cells(&self, slot: usize, ids: &[CellId]) -> Result<Vec<CellKey>, Error> {
        let names: Vec<String> = ids.iter().map(|id| packing::cell_name(*id)).collect();
        let mut hmget = ::redis::cmd("HMGET");
        hmget.arg(self.key(slot, "cells")).arg(names);
        let found: Vec<Option<Vec<u8>>> = self.ask(&hmget).await?;
        let read = |json: Vec<u8>| {
            serde_json::from_slice(&json).map_err(|_| Error::Unusable("a cell in it cannot be read".into()))
        };
        found.into_iter().flatten().map(read).collect()
    }

    pub(super) async fn expire(&self, clock: Timestamp) -> Result<(), Error> {
        let clock = self.as_far_as_all_are(clock).await?;
        let oldest = (oldest_minute(clock) / 60, oldest_hour(clock));
        let scan = *self.expired.lock().unwrap_or_else(PoisonError::into_inner) < oldest;
        for slot in 0..self.bases.len() {
            let mut raise = self.fcall("sounder_v2_raise", slot);
            raise.arg(clock.millis());
            let (millis, generations): (i64, HashMap<String, u64>) = self.call(&raise).await?;
            let clock = Timestamp::from_millis(millis);
            self.drop_generations(slot, clock, &generations).await?;
            if scan {
                self.drop_buckets(slot, clock).await?;
                self.trim_rolls(slot, clock).await?;
            }
        }
        let mut expired = self.expired.lock().unwrap_or_else(PoisonError::into_inner);
        *expired = (*expired).max(oldest);
        Ok(())
    }

    async fn drop_generations(
        &self,
        slot: usize,
        clock: Timestamp,
        generations: &HashMap<String, u64>,
    ) -> Result<(), Error> {
        let oldest = clock.minus(CORRECTED_FOR).seconds() / 86_400;
        for (field, bits) in generations {
            // The other fields count messages: `n<day>`.
            let Ok(day) = field.parse::<u32>() else { continue };
            if day >= oldest {
                continue;
            }
            let shards: Vec<String> = (0..1_u64 << (*bits).min(32))
                .map(|shard| self.key(slot, &format!("g:{day}:{shard}")))
                .collect();
            for chunk in shards.chunks(KEYS_MAX) {
                self.ask::<()>(::redis::cmd("UNLINK").arg(chunk)).await?;
            }
            // Last, so that a generation half dropped is dropped again.
            let fields = [day.to_string(), format!("n{day}")];
            self.ask::<()>(&Cmd::hdel(self.key(slot, "gens"), &fields[..])).await?;
        }
        Ok(())
    }

    /// Goes through every bucket hash and drops those that are over. Nothing writes them any more:
    /// the clock was raised first.
    async fn drop_buckets(&self, slot: usize, clock: Timestamp) -> Result<(), Error> {
        let dirty = self.key(slot, "dirty");
        let mut cursor = 0_u64;
        loop {
            let mut scan = ::redis::cmd("ZSCAN");
            scan.arg(&dirty).arg(cursor).arg("COUNT").arg(KEYS_MAX);
            let (next, members): (u64, Vec<(String, f64)>) = self.ask(&scan).await?;
            let is_over =
                |name: &str| BucketHash::parse(name).is_some_and(|hash| !hash.last().is_kept(clock));
            let over: Vec<String> =
                members.into_iter().map(|(name, _)| name).filter(|name| is_over(name)).collect();
            if !over.is_empty() {
                let keys: Vec<String> = over.iter().map(|name| self.key(slot, name)).collect();
                let mut pipe = ::redis::pipe();
                pipe.atomic().unlink(keys).ignore().zrem(&dirty, over).ignore();
                self.ask_all::<()>(&pipe).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    pub(super) async fn save(&self, puts: Vec<Put>, token: Option<u64>) -> Result<(), Error> {
        if puts.is_empty() {
            return Ok(());
        }
        let mut save = self.fcall("sounder_v2_save", 0);
        save.arg(token.map(|token| token.to_string()).unwrap_or_default());
        for put in &puts {
            save.arg(put.table.name()).arg(&put.key);
            save.arg(u8::from(put.value.is_some())).arg(put.value.as_deref().unwrap_or_default());
        }
        self.call(&save).await
    }

    pub(super) async fn load(&self, table: Table) -> Result<BTreeMap<String, Bytes>, Error> {
        self.ask(&Cmd::hgetall(self.documents(table))).await
    }

    pub(super) async fn lease(&self, holder: &str, ttl: Duration) -> Result<Option<u64>, Error> {
        let mut lease = self.fcall("sounder_v2_lease", 0);
        lease.arg(holder).arg(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1));
        self.call(&lease).await
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        self.ask(&::redis::cmd("PING")).await
    }

    fn key(&self, slot: usize, name: &str) -> String {
        format!("{}{name}", self.bases[slot])
    }

    fn documents(&self, table: Table) -> String {
        self.key(0, &format!("doc:{}", table.name()))
    }

    fn fcall(&self, function: &str, slot: usize) -> Cmd {
        let mut cmd = ::redis::cmd("FCALL");
        cmd.arg(function).arg(1).arg(&self.bases[slot]);
        cmd
    }

    /// Calls one of our functions. Where Redis was restarted without them they are brought back
    /// first; where it lost what it held, the positions are moved back and the call is refused.
    async fn call<T: FromRedisValue>(&self, fcall: &Cmd) -> Result<T, Error> {
        let mut link = self.link.clone();
        let mut answer: Result<T, RedisError> = fcall.query_async(&mut link).await;
        if answer.as_ref().is_err_and(connect::is_function_missing) {
            connect::load_functions(&mut link).await?;
            answer = fcall.query_async(&mut link).await;
        }
        if answer.as_ref().is_err_and(connect::is_lost) {
            self.recover().await?;
        }
        answer.map_err(sort)
    }

    async fn ask<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, Error> {
        cmd.query_async(&mut self.link.clone()).await.map_err(sort)
    }

    async fn ask_all<T: FromRedisValue>(&self, pipe: &Pipeline) -> Result<T, Error> {
        pipe.query_async(&mut self.link.clone()).await.map_err(sort)
    }
}
