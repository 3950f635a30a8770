//! A Redis that is not the one that was last written to: what it may have lost → positions moved back.
//!
//! Every slot's `meta` holds the `run_id` of the process that wrote it last, and our functions refuse
//! to write through another: one that was restarted, promoted or emptied. Whoever is refused moves the
//! positions back along their trail, under a new epoch, and only then takes the slot into use; who
//! still counts from the old positions is refused for the epoch. A state that is gone is counted again
//! from the stream's beginning. What is applied twice changes nothing, so going back too far is harmless.

use std::collections::{BTreeMap, HashMap};
use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;

use super::connect::{self, FORMAT};
use super::{Redis, packing};
use crate::clock::Timestamp;
use crate::tally::{Clocks, Error, Resume};

/// Why a slot cannot be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// It is gone, or was never there.
    Nothing,
    /// Another process holds what was written up to this second.
    Until(u64),
}

/// Positions, clocks, and what `meta` says of both.
type Standing = (HashMap<String, u64>, HashMap<String, i64>, Vec<Option<String>>);

impl Redis {
    /// Looks at every slot, moves the positions back as far as any of them asks for, and takes them
    /// into use.
    pub(super) async fn recover(&self) -> Result<(), Error> {
        let mut lost = BTreeMap::new();
        for slot in 0..self.bases.len() {
            if let Some(found) = self.look(slot).await? {
                lost.insert(slot, found);
            }
        }
        let Some(worst) = lost.values().min() else { return Ok(()) };
        self.noticed.store(true, Relaxed);
        let second = match worst {
            Found::Nothing => String::new(),
            Found::Until(second) => second.saturating_sub(self.rewind.as_secs()).to_string(),
        };
        // First, so that a crash in between leaves the slots to be found as they are.
        let mut rewind = self.fcall("sounder_v2_rewind", 0);
        rewind.arg(second).arg(rand::random::<u32>());
        let stood: Option<u64> = self.ask(&rewind).await?;
        match stood {
            Some(minute) => tracing::warn!(
                state.slots = lost.len(), stream.from = %Timestamp::from_seconds(minute.cast_signed() * 60),
                "this Redis is not the one that was written to last: it may have lost its last moments, which are counted again"
            ),
            None => tracing::warn!(
                state.slots = lost.len(),
                "the state in Redis is new, or was lost: it is counted from the beginning of the stream"
            ),
        }
        for slot in lost.into_keys() {
            let mut adopt = self.fcall("sounder_v2_adopt", slot);
            adopt.arg(FORMAT).arg(self.bases.len()).arg(rand::random::<u32>());
            self.ask::<i64>(&adopt).await?;
        }
        Ok(())
    }

    async fn look(&self, slot: usize) -> Result<Option<Found>, Error> {
        let ask = self.fcall("sounder_v2_look", slot);
        let look = ask.query_async(&mut self.link.clone()).await;
        let look = match look {
            Err(error) if connect::is_function_missing(&error) => {
                connect::load_functions(&mut self.link.clone()).await?;
                self.ask(&ask).await
            }
            look => look.map_err(connect::sort),
        };
        let (run, meta): (String, HashMap<String, String>) = look?;
        connect::check_meta(&meta, self.bases.len())?;
        let at = meta.get("at").and_then(|at| at.parse().ok());
        Ok(match meta.get("run") {
            Some(known) if *known == run => None,
            Some(_) => Some(at.map_or(Found::Nothing, Found::Until)),
            None => Some(Found::Nothing),
        })
    }

    /// Where to go on, and the right to, which lasts until somebody moves the positions back.
    pub(in crate::tally) async fn resume(&self) -> Result<Resume, Error> {
        let mut pipe = ::redis::pipe();
        pipe.atomic()
            .hgetall(self.key(0, "positions"))
            .hgetall(self.key(0, "clocks"))
            .cmd("HMGET")
            .arg(self.key(0, "meta"))
            .arg(&["epoch", "loss"]);
        let (positions, clocks, mut meta): Standing = self.ask_all(&pipe).await?;
        let (loss, epoch) = (meta.pop().flatten(), meta.pop().flatten().unwrap_or_default());
        let known = std::mem::replace(&mut *self.epoch.lock().unwrap_or_else(PoisonError::into_inner), epoch);
        let is_other = known != self.epoch() && !known.is_empty();
        let is_news = self.noticed.swap(false, Relaxed) || is_other;
        let read = |(name, at): (String, u64)| Some((packing::read_partition(&name)?, at));
        Ok(Resume {
            positions: positions.into_iter().filter_map(read).collect(),
            clock: Timestamp::from_millis(clocks.into_values().min().unwrap_or(0)),
            loss: is_news.then(|| said_of(loss.as_deref())),
        })
    }

    /// Notes how far partitions are; the stream clock is the least of all there are.
    pub(in crate::tally) async fn advance(&self, clocks: &Clocks) -> Result<Timestamp, Error> {
        let mut advance = self.fcall("sounder_v2_advance", 0);
        advance.arg(self.epoch()).arg(if clocks.listed { "all" } else { "" });
        for (partition, clock) in &clocks.times {
            advance.arg(packing::partition_name(*partition));
            advance.arg(clock.map(|clock| clock.millis().to_string()).unwrap_or_default());
        }
        self.call::<i64>(&advance).await.map(Timestamp::from_millis)
    }

    /// A clock, but no further than what is noted of every partition: it may have been read before the
    /// positions were moved back, and what is read again would then be late.
    pub(super) async fn as_far_as_all_are(&self, clock: Timestamp) -> Result<Timestamp, Error> {
        if self.epoch().is_empty() {
            return Ok(clock);
        }
        let clocks: Vec<i64> = self.ask(&::redis::Cmd::hvals(self.key(0, "clocks"))).await?;
        Ok(clock.min(Timestamp::from_millis(clocks.into_iter().min().unwrap_or(0))))
    }

    pub(super) fn epoch(&self) -> String {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The sentence for a loss, as `rewind` wrote it down.
fn said_of(loss: Option<&str>) -> String {
    match loss {
        Some("moments") => {
            "this Redis is not the one that was written to last and may have lost its last moments: they are counted again from the stream"
        }
        _ => "the state in Redis is new or was lost: it is counted from the beginning of the stream, and incidents come back from it",
    }
    .to_owned()
}
