//! The embedded log → batches, from the store's position on.

use std::collections::BTreeMap;

use super::{Batch, Error, Partition, Taken};
use crate::clock::Timestamp;
use crate::publish::Log;

/// Takes from the embedded stream.
#[derive(Debug)]
pub struct EmbeddedConsumer {
    log: Log,
    position: u64,
    last: Option<Timestamp>,
}

impl EmbeddedConsumer {
    pub(super) fn new(log: Log, position: u64) -> Self {
        let end = log.end();
        if position > end {
            // The log lost its tail, or was deleted, and gives these offsets out again. Taking them
            // again is harmless, since what was counted is not counted twice; passing over is not.
            tracing::warn!(position, end, "consume.embedded the log ends before the store's position");
        }
        Self { log, position: position.min(end), last: None }
    }

    pub(super) async fn next(&mut self, max: usize) -> Result<Batch, Error> {
        loop {
            self.log.wait_beyond(self.position).await;
            let (log, from) = (self.log.clone(), self.position);
            let read = tokio::task::spawn_blocking(move || log.read(from, max.max(1))).await;
            let read = read
                .map_err(|error| Error::Unusable(error.to_string()))?
                .map_err(|error| Error::Unusable(error.to_string()))?;
            let Some((last, _)) = read.last() else { continue };
            // Nothing is awaited from here on: either the batch is handed out, or nothing moved.
            self.position = last + 1;
            self.last = read.iter().rev().find_map(|(_, r)| r.as_ref().map(|r| r.time)).or(self.last);
            let partition = Partition::EMBEDDED;
            let records =
                read.into_iter().map(|(offset, record)| Taken { partition, offset, record }).collect();
            return Ok(Batch { records, caught_up: self.caught_up() });
        }
    }

    pub(super) fn commit(&self, positions: &BTreeMap<Partition, u64>) {
        if let Some(position) = positions.get(&Partition::EMBEDDED) {
            self.log.release(*position);
        }
    }

    pub(super) fn ends(&self) -> BTreeMap<Partition, u64> {
        BTreeMap::from([(Partition::EMBEDDED, self.log.end())])
    }

    pub(super) fn clock(&self, now: Timestamp) -> Option<Timestamp> {
        if self.caught_up() { Some(now) } else { self.last }
    }

    pub(super) fn caught_up(&self) -> bool {
        self.position >= self.log.end()
    }
}
