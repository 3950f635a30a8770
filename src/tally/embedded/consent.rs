//! What recipients said last, in the directory: words in, newer ones that were held already out.

use std::collections::HashMap;

use super::disk::unusable;
use super::state::State;
use crate::event::{Recipient, Record};
use crate::tally::Error;
use crate::tally::consent::{Held, Word, record};

impl State {
    /// Holds words that are later than what is held; returns what is later than they are.
    pub(super) fn hold(&mut self, words: &[Word]) -> Result<Vec<Record>, Error> {
        let mut writes = self.disk.db.batch();
        let (mut newer, mut written) = (Vec::new(), HashMap::<Vec<u8>, Vec<u8>>::new());
        for word in words {
            let key = format!("{}\0{}", word.recipient, word.scope).into_bytes();
            let held = match written.get(&key) {
                Some(value) => Some(value.clone()),
                None => self.disk.consents.get(&key).map_err(unusable)?.map(|value| value.to_vec()),
            };
            let order = held.as_deref().map_or(&[][..], Word::order_of);
            if order < word.order.as_bytes() {
                writes.insert(&self.disk.consents, &key[..], word.to_bytes());
                written.insert(key, word.to_bytes());
            } else if order > word.order.as_bytes() {
                newer.extend(held.as_deref().and_then(record));
            }
        }
        writes.commit().map_err(unusable)?;
        Ok(newer)
    }

    /// What a recipient said last, in every scope.
    pub(super) fn held(&self, recipient: &Recipient) -> Result<Vec<Held>, Error> {
        let mut held = Vec::new();
        for item in self.disk.consents.prefix(format!("{recipient}\0")) {
            held.extend(Held::read(&item.value().map_err(unusable)?));
        }
        Ok(held)
    }
}
