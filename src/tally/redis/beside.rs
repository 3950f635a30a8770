//! What Redis holds beside the cells: rolls, notices, when connections were last heard.
//!
//! A roll stands in one slot, chosen by its name, so that a call stays in one slot.

use std::collections::{BTreeMap, HashMap};

use ::redis::{Cmd, Pipeline};
use sha2::{Digest, Sha256};

use super::{KEYS_MAX, Redis};
use crate::clock::Timestamp;
use crate::event::ConnectionId;
use crate::tally::roll::RollCopy;
use crate::tally::{Apply, Entry, Error, Notice, Notices, Roll, RollKey, RollKind};

impl Redis {
    /// Puts a batch's names on their rolls, and notes which connections were heard. Applied twice it
    /// changes nothing.
    pub(super) async fn list(&self, batch: &Apply) -> Result<(), Error> {
        let mut slots: BTreeMap<usize, Vec<&Entry>> = BTreeMap::new();
        for entry in &batch.entries {
            slots.entry(slot_of(&entry.roll.to_text(), self.bases.len())).or_default().push(entry);
        }
        if !batch.heard.is_empty() {
            slots.entry(0).or_default();
        }
        for (slot, entries) in slots {
            let mut fcall = self.fcall("sounder_v2_beside", slot);
            let heard = if slot == 0 { &batch.heard } else { &BTreeMap::new() };
            fcall.arg(batch.clock.millis()).arg(heard.len());
            for (connection, at) in heard {
                fcall.arg(connection.as_str()).arg(at.seconds());
            }
            for entry in entries {
                let notice = entry.notice.as_ref().and_then(|notice| serde_json::to_vec(notice).ok());
                fcall.arg(entry.roll.to_text()).arg(&entry.name[..]).arg(entry.at.seconds());
                fcall.arg(notice.unwrap_or_default());
            }
            self.call::<()>(&fcall).await?;
        }
        Ok(())
    }

    /// The rolls of a slot that changed after `seen`.
    pub(super) async fn rolls_since(
        &self,
        slot: usize,
        seen: u64,
    ) -> Result<Vec<(RollKey, RollCopy)>, Error> {
        let changed = Cmd::zrangebyscore(self.key(slot, "rolls"), format!("({seen}"), "+inf");
        let names: Vec<String> = self.ask(&changed).await?;
        let mut rolls = Vec::with_capacity(names.len());
        for chunk in names.chunks(KEYS_MAX) {
            let known: Vec<(&String, RollKey)> =
                chunk.iter().filter_map(|name| Some((name, RollKey::from_text(name)?))).collect();
            let (notices, others): (Vec<_>, Vec<_>) =
                known.into_iter().partition(|(_, key)| matches!(key.kind, RollKind::Notices(_)));
            let held = self.names(slot, &others).await?;
            rolls.extend(others.into_iter().zip(held).map(|((_, key), roll)| (key, RollCopy::Roll(roll))));
            for (name, key) in notices {
                let held: HashMap<Vec<u8>, Vec<u8>> =
                    self.ask(&Cmd::hgetall(self.key(slot, &format!("n:{name}")))).await?;
                rolls.push((key, RollCopy::Notices(read_notices(held))));
            }
        }
        Ok(rolls)
    }

    async fn names(&self, slot: usize, rolls: &[(&String, RollKey)]) -> Result<Vec<Roll>, Error> {
        if rolls.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipe = Pipeline::with_capacity(rolls.len());
        for (name, _) in rolls {
            pipe.zrange_withscores(self.key(slot, &format!("r:{name}")), 0, -1);
        }
        let held: Vec<Vec<(Vec<u8>, f64)>> = self.ask_all(&pipe).await?;
        let roll = |names: Vec<(Vec<u8>, f64)>| {
            Roll::of(names.into_iter().map(|(_, second)| second_of(second)).collect())
        };
        Ok(held.into_iter().map(roll).collect())
    }

    /// When each connection's last receipt was received.
    pub(super) async fn heard(&self) -> Result<BTreeMap<ConnectionId, Timestamp>, Error> {
        let held: HashMap<String, i64> = self.ask(&Cmd::hgetall(self.key(0, "heard"))).await?;
        let read = |(connection, second): (String, i64)| {
            Some((ConnectionId::parse(&connection)?, Timestamp::from_seconds(second)))
        };
        Ok(held.into_iter().filter_map(read).collect())
    }

    /// Takes names off a slot's rolls whose time is over.
    pub(super) async fn trim_rolls(&self, slot: usize, clock: Timestamp) -> Result<(), Error> {
        let names: Vec<String> = self.ask(&Cmd::zrange(self.key(slot, "rolls"), 0, -1)).await?;
        for chunk in names.chunks(KEYS_MAX) {
            let mut trim = self.fcall("sounder_v2_trim", slot);
            trim.arg(clock.millis()).arg(chunk);
            self.call::<()>(&trim).await?;
        }
        Ok(())
    }
}

fn read_notices(held: HashMap<Vec<u8>, Vec<u8>>) -> Notices {
    let read = |(name, json): (Vec<u8>, Vec<u8>)| {
        let notice: Notice = serde_json::from_slice(&json).ok()?;
        Some(((notice.at.seconds(), name.try_into().ok()?), notice))
    };
    held.into_iter().filter_map(read).collect()
}

pub(super) fn slot_of(name: &str, slots: usize) -> usize {
    let digest = Sha256::digest(name);
    digest.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize % slots)
}

/// Scores are whole seconds, which a double holds exactly.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a second since the epoch")]
fn second_of(score: f64) -> u32 {
    score as u32
}
