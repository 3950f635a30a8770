//! What recipients said last, in Redis: words in, newer ones that were held already out. All of a
//! recipient's words stand in one slot.

use std::collections::{BTreeMap, HashMap};

use ::redis::Cmd;

use super::Redis;
use super::beside::slot_of;
use crate::event::{Recipient, Record};
use crate::tally::Error;
use crate::tally::consent::{Held, Word, record};

impl Redis {
    /// Holds words that are later than what is held; returns what is later than they are.
    pub(in crate::tally) async fn hold(&self, words: &[Word]) -> Result<Vec<Record>, Error> {
        let mut slots: BTreeMap<usize, Vec<&Word>> = BTreeMap::new();
        for word in words {
            slots.entry(slot_of(&word.recipient, self.bases.len())).or_default().push(word);
        }
        let mut newer = Vec::new();
        for (slot, words) in slots {
            let mut fcall = self.fcall("sounder_v2_hold", slot);
            for word in words {
                fcall.arg(&word.recipient).arg(&word.scope).arg(&word.order).arg(word.to_bytes());
            }
            let held: Vec<Vec<u8>> = self.call(&fcall).await?;
            newer.extend(held.iter().filter_map(|held| record(held)));
        }
        Ok(newer)
    }

    /// What a recipient said last, in every scope.
    pub(in crate::tally) async fn held(&self, recipient: &Recipient) -> Result<Vec<Held>, Error> {
        let slot = slot_of(recipient.as_str(), self.bases.len());
        let held: HashMap<String, Vec<u8>> =
            self.ask(&Cmd::hgetall(self.key(slot, &format!("c:{recipient}")))).await?;
        Ok(held.values().filter_map(|held| Held::read(held)).collect())
    }
}
