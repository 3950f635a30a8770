//! What the directory holds beside the cells: rolls, notices, when connections were last heard.
//!
//! Must never change what is in memory before it is written.

use std::collections::HashMap;

use fjall::OwnedWriteBatch;

use super::disk::unusable;
use super::state::State;
use crate::clock::Timestamp;
use crate::event::ConnectionId;
use crate::tally::{Apply, Entry, Error, Notice, RollKey, RollKind};

/// A name that is put on a roll, and since when it had been on it.
pub(super) type Listed = (Entry, Option<u32>);

impl State {
    /// Reads it all.
    pub(super) fn read_beside(&mut self) -> Result<(), Error> {
        for item in self.disk.heard.iter() {
            let (key, value) = item.into_inner().map_err(unusable)?;
            let connection = std::str::from_utf8(&key).ok().and_then(ConnectionId::parse);
            if let (Some(connection), Some(second)) = (connection, second_of(&value)) {
                self.cells.heard.insert(connection, Timestamp::from_seconds(i64::from(second)));
            }
        }
        for item in self.disk.rolls.iter() {
            let (key, value) = item.into_inner().map_err(unusable)?;
            if let Some(entry) = read_entry(&key, &value) {
                self.cells.rolls.put(&entry, None);
            }
        }
        Ok(())
    }

    /// Writes the names that a batch puts on rolls earlier than they were.
    pub(super) fn write_beside(
        &self,
        writes: &mut OwnedWriteBatch,
        batch: &Apply,
        clock: Timestamp,
    ) -> Result<Vec<Listed>, Error> {
        for (connection, at) in &batch.heard {
            let latest = self.cells.heard.get(connection).map_or(0, |known| known.seconds());
            let second = at.seconds().max(latest);
            writes.insert(&self.disk.heard, connection.as_str(), &second.to_be_bytes()[..]);
        }
        let mut listed = Vec::new();
        let mut written: HashMap<Vec<u8>, u32> = HashMap::new();
        for entry in batch.entries.iter().filter(|entry| entry.is_kept(clock)) {
            let key = entry_key(&entry.roll, entry.name);
            let was = match written.get(&key) {
                Some(second) => Some(*second),
                None => self.disk.rolls.get(&key).map_err(unusable)?.and_then(|value| second_of(&value)),
            };
            let second = entry.at.seconds();
            if was.is_none_or(|was| second < was) {
                let mut value = second.to_be_bytes().to_vec();
                if let Some(notice) = &entry.notice {
                    value.extend(serde_json::to_vec(notice).unwrap_or_default());
                }
                writes.insert(&self.disk.rolls, &key[..], value);
                written.insert(key, second);
                listed.push((entry.clone(), was));
            }
        }
        Ok(listed)
    }

    /// Puts names on the rolls in memory once they are written; notices that are too many go.
    pub(super) fn list(&mut self, listed: Vec<Listed>) -> Result<(), Error> {
        let mut writes = self.disk.db.batch();
        for (entry, was) in listed {
            if let Some(out) = self.cells.rolls.put(&entry, was) {
                writes.remove(&self.disk.rolls, &entry_key(&entry.roll, out)[..]);
            }
            self.log.push_roll(&entry.roll);
        }
        writes.commit().map_err(unusable)
    }

    /// Takes the names off the disk whose time is over, once an hour: all of it has to be read.
    pub(super) fn expire_rolls(
        &mut self,
        writes: &mut OwnedWriteBatch,
        clock: Timestamp,
    ) -> Result<(), Error> {
        let hour = clock.minute() / 60;
        if hour <= self.expired {
            return Ok(());
        }
        self.expired = hour;
        for item in self.disk.rolls.iter() {
            let (key, value) = item.into_inner().map_err(unusable)?;
            if !read_entry(&key, &value).is_some_and(|entry| entry.is_kept(clock)) {
                writes.remove(&self.disk.rolls, key);
            }
        }
        Ok(())
    }
}

fn entry_key(roll: &RollKey, name: [u8; 8]) -> Vec<u8> {
    let mut key = roll.to_text().into_bytes();
    key.push(0);
    key.extend(name);
    key
}

fn read_entry(key: &[u8], value: &[u8]) -> Option<Entry> {
    let (roll, name) = key.split_last_chunk::<8>()?;
    let roll = RollKey::from_text(std::str::from_utf8(roll.strip_suffix(&[0])?).ok()?)?;
    let at = Timestamp::from_seconds(i64::from(second_of(value)?));
    let notice = match roll.kind {
        RollKind::Notices(_) => Some(serde_json::from_slice::<Notice>(value.get(4..)?).ok()?),
        RollKind::OptOuts | RollKind::LikelyOptOuts | RollKind::Complaints => None,
    };
    Some(Entry { roll, name: *name, at, notice })
}

fn second_of(value: &[u8]) -> Option<u32> {
    value.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))
}
